import Fields
import Foundation
import Support
import Testing

extension Promises {
  /// Promise 4: a damaged container is an error with a name, never a crash and never silently wrong values.
  @Suite struct Corruption {
    static let flips = Promises.long ? 2000 : 300, cuts = Promises.long ? 200 : 40

    /// Small fields of all kinds: transform, interpolation with mask, exact, outliers, logarithms with signs, constant, steps.
    static func container(_ place: Workplace) throws {
      let shape = [24, 20, 28]
      var sea = Pattern.waves.values(shape, seed: 2)
      for i in sea.indices where sea[i] > 0.7 { sea[i] = .nan }
      var signs = Pattern.noise.values(shape, seed: 3)
      for i in stride(from: 0, to: signs.count, by: 13) { signs[i] = 0 }
      let several = Pattern.waves.values([48, 48, 48], seed: 1)
      let steps = (0..<3).flatMap { Pattern.waves.values([20, 30], seed: 8 + UInt64($0)) }
      try Snapshot.write(place.path("in.h5"), [
        ("smooth", Values(.float32, [48, 48, 48], several), ["units": "m s-1", "periodic": "x"]),
        ("sea", Values(.float32, shape, sea), [:]),
        ("exact", Values(.float64, shape, Pattern.noise.values(shape, seed: 4)), [:]),
        ("spikes", Values(.float32, shape, Pattern.spikes.values(shape, seed: 5)), [:]),
        ("signs", Values(.float64, shape, signs), [:]),
        ("constant", Values(.float32, shape, shape.reduce([1.0]) { a, n in [Double](repeating: 2.5, count: a.count * n) }), [:]),
        ("series", Values(.float32, [3, 20, 30], steps), ["dims": "time,y,x"]),
      ])
      try place.run("compress @in.h5 -o @good.ald --report @good.json --psnr 60 --bound sea:rel=1e-3 --bound exact:lossless --bound spikes:abs=1 --bound signs:pwrel=1e-2")
      let members = Set(try place.reports("good.json").compactMap { $0["transform"] as? String })
      #expect(members.isSuperset(of: ["interpolation", "lossless", "constant"]), "\(members)")
      #expect(!members.isDisjoint(with: ["lot16", "lot8", "wavelet97"]), "\(members)")
      try place.run("decompress @good.ald -o @good.h5")
    }

    @Test(.timeLimit(.minutes(20))) func flippedBytesAndLostTails() throws {
      let place = try Workplace("corruption")
      try Corruption.container(place)
      let good = [UInt8](try place.bytes("good.ald")), right = try place.bytes("good.h5")
      let seed: UInt64 = 20_261_121
      print("corruption seed \(seed): \(good.count) bytes, \(Corruption.flips) flips, \(Corruption.cuts) truncations")
      var g = SplitMix64(seed: seed)
      var trials: [(name: String, bytes: [UInt8], empty: Bool)] = []
      for i in 0..<Corruption.flips {
        // A quarter in the first kilobyte, a quarter in the last four, where the structure is.
        let at = i % 4 == 0 ? g.below(1024) : i % 4 == 1 ? good.count - 1 - g.below(4096) : g.below(good.count)
        var bad = good
        bad[at] ^= UInt8(1 + g.below(255))
        trials.append(("byte \(at) \(good[at]) -> \(bad[at])", bad, false))
      }
      for i in 0..<Corruption.cuts {
        let n = i < 4 ? [0, 1, 7, 8][i] : i % 4 == 0 ? g.below(1024) : i % 4 == 1 ? good.count - 1 - g.below(2048) : g.below(good.count)
        trials.append(("first \(n) bytes", Array(good[..<n]), n < 8))
      }
      let all = trials, lanes = 4
      let lock = NSLock()
      nonisolated(unsafe) var counts: [String: Int] = [:]
      DispatchQueue.concurrentPerform(iterations: lanes) { lane in
        for t in stride(from: lane, to: all.count, by: lanes) {
          let (name, bytes, empty) = all[t]
          do {
            let file = "bad\(lane).ald", out = "bad\(lane).h5"
            try Data(bytes).write(to: place.folder.appendingPathComponent(file))
            place.remove(out)
            let command = t % 2 == 0 ? "verify @\(file) -q" : "decompress @\(file) -o @\(out) -q"
            var o = try place.run(command, status: nil, timeout: 60)
            var verdict = o.crashed ? "signal \(o.status)" : o.timedOut ? "hang" : "exit \(o.status)"
            if !o.crashed && !o.timedOut && o.status == 0 {
              // The byte does not matter: then the values are right.
              if t % 2 == 0 { o = try place.run("decompress @\(file) -o @\(out) -q", status: nil, timeout: 60) }
              verdict = try o.status == 0 && place.bytes(out) == right ? "right" : "silently wrong"
            }
            lock.withLock { counts[verdict, default: 0] += 1 }
            let accepted = verdict == "exit 4" || verdict == "right" || (empty && verdict == "exit 2")
            #expect(accepted, "\(name), \(command): \(verdict)\n\(o.stdout)\(o.stderr)")
            if verdict == "exit 4" {
              #expect(o.stderr.components(separatedBy: "alidade: error: ").count == 2 && o.stderr.contains(file), "\(name): \(o.stderr)")
              #expect(!place.exists(out) && !place.exists(out + ".tmp"), "\(name) left an output")
            }
          } catch { Issue.record("\(name): \(error)") }
        }
      }
      print("corruption: \(counts.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", "))")
    }

    /// Bytes that no encoder wrote behind checksums that fit: the decoders themselves are safe.
    @Test(.timeLimit(.minutes(10))) func forgedStreams() throws {
      let o = try Launcher.run(Launcher.product("RankTests"), arguments: ["promise-forged"],
                               environment: ["ALIDADE_FORGERIES": Promises.long ? "20000" : "400"], timeout: Promises.long ? 500 : 100)
      #expect(!o.timedOut && !o.crashed && o.status == 0, "status \(o.status), crashed \(o.crashed), hang \(o.timedOut)\n\(o.stderr.suffix(1000))")
      print("forged streams: \(o.stdout)")
    }

    @Test func onSeveralRanksOnce() throws {
      let place = try Workplace("corruption-ranks")
      try Corruption.container(place)
      var bad = [UInt8](try place.bytes("good.ald"))
      bad[bad.count / 2] ^= 0x55
      try Data(bad).write(to: place.folder.appendingPathComponent("bad.ald"))
      for n in [1, 3, 4] {
        let o = try place.run("verify @bad.ald", ranks: n, status: 4, timeout: 60)
        #expect(o.stderr.components(separatedBy: "alidade: error: ").count == 2, "\(o.stderr)")
        try place.run("decompress @bad.ald -o @bad.h5", ranks: n, status: 4, timeout: 60)
        #expect(!place.exists("bad.h5") && !place.exists("bad.h5.tmp"))
      }
    }
  }
}
