import Fields
import Foundation
import Support
import Testing

extension Promises {
  /// Series: steps predicted from those before.
  @Suite struct Temporal {
    static let shape = [48, 40, 56], steps = 6

    /// Waves of two components that run in all directions; each step a little later.
    static func waves(_ type: ScalarType = .float32) -> Values {
      let n = shape.reduce(1, *)
      var values = [Double](repeating: 0, count: steps * 2 * n), g = SplitMix64(seed: 77)
      for _ in 0..<10 {
        let k = (0..<3).map { _ in Double(g.below(15)) - 7 }, phase = Double(g.below(628)) / 100, speed = Double(g.below(100)) / 200
        let tables = (0..<3).map { a in (0..<shape[a]).map { 2 * Double.pi * k[a] * Double($0) / Double(shape[a]) } }
        for s in 0..<steps { for c in 0..<2 {
          var at = (s * 2 + c) * n
          let shift = phase + Double(c) - speed * Double(s)
          for z in tables[0] { for y in tables[1] { for x in tables[2] { values[at] += sin(z + y + x + shift); at += 1 } } }
        } }
      }
      for i in values.indices { values[i] += 1e-3 * (Double(SplitMix64.hash(5, i) >> 11) * 0x1p-53 - 0.5) }
      return Values(type, [steps, 2] + shape, values)
    }
    static func snapshot(_ place: Workplace, _ type: ScalarType = .float32) throws {
      try Snapshot.write(place.path("in.h5"), [("flow", waves(type), ["dims": "t,c,z,y,x", "periodic": "xyz"])])
    }
    static func predicted(_ reports: [[String: Any]]) -> [Bool] { reports.map { ($0["temporal"] as? [String: Any])?["predicted"] as? Bool ?? false } }
    static func bits(_ reports: [[String: Any]]) -> [Double] { reports.map { $0["bits_per_value"] as? Double ?? .nan } }

    @Test(arguments: ["--psnr 60", "--rel 1e-3 --codec lot8", "--psnr 70 --codec wavelet97", "--rate 1"])
    func predictedStepsKeepTheirBounds(_ request: String) throws {
      let place = try Workplace("temporal")
      try Temporal.snapshot(place, request.contains("wavelet") ? .float64 : .float32)
      try place.run("compress @in.h5 --access tile -o @p.ald --report @p.json --temporal 4 \(request)", ranks: 2)
      // Against blocks, not a coarser grid, which prediction leaves out.
      try place.run("compress @in.h5 --access tile -o @i.ald --report @i.json \(request)\(request.contains("codec") ? "" : " --codec lot16")")
      let p = try place.reports("p.json"), i = try place.reports("i.json")
      #expect(Temporal.predicted(p) == [false, true, true, true, false, true])
      #expect(p.allSatisfy { $0["bound_kept"] as? Bool == true })
      for k in [2, 3] {
        if request.contains("rate") {
          #expect((p[k]["psnr_db"] as! Double) > (i[k]["psnr_db"] as! Double) + 3)
        } else { #expect(Temporal.bits(p)[k] < 0.6 * Temporal.bits(i)[k], "\(request), step \(k): \(Temporal.bits(p)[k]) and \(Temporal.bits(i)[k])") }
      }
      try place.run("verify @p.ald --against @in.h5", ranks: 3)
    }

    /// Steps that choose between their modes and earlier steps: whatever is chosen, bounds hold and every step is found.
    @Test(arguments: ["--psnr 60", "--rel 1e-4", "--psnr 90"])
    func seriesThatMayBeSpectral(_ request: String) throws {
      let place = try Workplace("temporal-spectral")
      try Temporal.snapshot(place)
      try place.run("compress @in.h5 -o @p.ald --report @p.json --temporal 4 \(request)")
      let reports = try place.reports("p.json")
      #expect(reports.contains { $0["transform"] as? String == "spectral" } && reports.allSatisfy { $0["bound_kept"] as? Bool == true })
      for r in reports where r["transform"] as? String == "spectral" { #expect(Temporal.predicted([r]) == [false]) }
      try place.run("verify @p.ald --against @in.h5", ranks: 2)
      try place.run("decompress @p.ald -o @all.h5")
      let all = try Snapshot.read(place.path("all.h5"), "flow")
      try place.run("decompress @p.ald -o @3.h5 --steps 3:4", ranks: 3)
      #expect(try Snapshot.read(place.path("3.h5"), "flow") == Values(.float32, [1, 2] + Temporal.shape, bits: Array(all.bits[3 * all.count / Temporal.steps..<4 * all.count / Temporal.steps])))
      try place.run("compress @in.h5 -o @n.ald --temporal 4 \(request)", ranks: 3)
      #expect(try place.bytes("n.ald") == place.bytes("p.ald"))
    }

    /// A step, or a part of one, is what it is in the whole, from its key step on.
    @Test func anyStepAlone() throws {
      let place = try Workplace("temporal-access")
      try Temporal.snapshot(place)
      try place.run("compress @in.h5 --access tile -o @c.ald --psnr 60 --temporal 5")
      try place.run("decompress @c.ald -o @all.h5")
      let all = try Snapshot.read(place.path("all.h5"), "flow"), n = 2 * Temporal.shape.reduce(1, *)
      for s in 0..<Temporal.steps {
        try place.run("decompress @c.ald -o @one.h5 --steps \(s):\(s + 1)", ranks: s % 2 == 0 ? 0 : 3)
        #expect(try Snapshot.read(place.path("one.h5"), "flow").bits == Array(all.bits[s * n..<(s + 1) * n]), "step \(s)")
      }
      let step = Values(.float32, [1, 2] + Temporal.shape, bits: Array(all.bits[3 * n..<4 * n]))
      for (k, r) in [[0..<3, 5..<33, 50..<56], [31..<33, 0..<40, 20..<21]].enumerated() {
        let text = r.map { "\($0.lowerBound):\($0.upperBound)" }.joined(separator: ",")
        try place.run("decompress @c.ald -o @r.h5 --steps 3:4 --region \(text)", ranks: k == 0 ? 0 : 3)
        #expect(try Snapshot.read(place.path("r.h5"), "flow") == step.cropped(r), "region \(text)")
      }
    }

    @Test(arguments: ["--psnr 60", "--rel 1e-3 --codec wavelet97"]) func sameOnAnyRanks(_ request: String) throws {
      let place = try Workplace("temporal-identity")
      try Temporal.snapshot(place)
      try Identity.same(place, "in.h5", "--temporal 4 \(request)", ranks: Promises.rankCounts)
      try place.run("decompress @1.ald -o @1.h5")
      try place.decodesAlike(ranks: [3, 8])
    }

    /// The same from arrays in memory, with steps that were given up, in `RankTests`.
    @Test func seriesInMemory() throws {
      var expected = ""
      for n in Promises.rankCounts {
        let o = try Launcher.mpirun(ranks: n, executable: Launcher.product("RankTests"), arguments: ["temporal-series"], timeout: 100)
        #expect(!o.timedOut && o.status == 0, "\(n) ranks\n\(o.stdout)\(o.stderr)")
        if n == 1 { expected = o.stdout } else { #expect(o.stdout == expected, "\(n) ranks") }
      }
    }

    /// A container per step: references lie beside it, are named where they are not, and never guessed.
    @Test func chainOfContainers() throws {
      let place = try Workplace("temporal-chain")
      try Temporal.snapshot(place)
      try place.run("compress @in.h5 --access tile -o @all.ald --psnr 60 --temporal 4")
      try place.run("decompress @all.ald -o @all.h5")
      for s in 0..<5 {
        let after = s > 0 ? "--after @\(s - 1).ald" : ""
        try place.run("compress @in.h5 --access tile -o @\(s).ald --report @\(s).json --psnr 60 --temporal 4 --steps \(s):\(s + 1) \(after)", ranks: s == 2 ? 3 : 0)
      }
      #expect(Temporal.predicted(try (0..<5).flatMap { try place.reports("\($0).json") }) == [false, true, true, true, false])
      try place.run("verify @3.ald --against @in.h5", ranks: 2)
      try place.run("decompress @3.ald -o @3.h5")
      let all = try Snapshot.read(place.path("all.h5"), "flow"), n = 2 * Temporal.shape.reduce(1, *)
      #expect(try Snapshot.read(place.path("3.h5"), "flow").bits == Array(all.bits[3 * n..<4 * n]), "the same values as in one container")

      func refused(_ file: String, _ code: Int32, _ words: [String]) throws {
        for ranks in [0, 3] {
          for command in ["verify @\(file)", "decompress @\(file) -o @x.h5 --region 0:4,0:4,0:4"] {
            let o = try place.run(command, ranks: ranks, status: code)
            #expect(words.allSatisfy { o.stderr.contains($0) }, "\(o.stderr)")
            #expect(o.stderr.components(separatedBy: "alidade: error: ").count == 2 && !place.exists("x.h5"))
          }
        }
      }
      func text(_ file: String) throws -> String { try place.run("inspect @\(file)").stdout }
      #expect(try text("3.ald").contains("from step 2 of 2.ald and 1 of 1.ald, key step 0"))
      let first = try place.bytes("0.ald")
      place.remove("0.ald")
      try refused("3.ald", 2, ["1.ald", "step 0", "0.ald", "missing"])
      #expect(try text("1.ald").contains("0 of 0.ald (missing)"))
      // Another container under the name.
      try place.run("compress @in.h5 --access tile -o @0.ald --psnr 61 --steps 0:1")
      try refused("2.ald", 2, ["0.ald", "not the container that it was"])
      // The one it was, with a byte of a stream changed.
      var damaged = [UInt8](first)
      damaged[damaged.count / 2] ^= 0x10
      try Data(damaged).write(to: place.folder.appendingPathComponent("0.ald"))
      let o = try place.run("verify @1.ald", status: 4)
      #expect(o.stderr.contains("0.ald"), "\(o.stderr)")
      // The same bytes again: all is well.
      try first.write(to: place.folder.appendingPathComponent("0.ald"))
      try place.run("verify @3.ald")
      // A key step needs nobody.
      for s in 0..<4 { place.remove("\(s).ald") }
      try place.run("verify @4.ald")

      try FileManager.default.createDirectory(at: place.folder.appendingPathComponent("other"), withIntermediateDirectories: true)
      try place.run("compress @in.h5 --access tile -o @other/5.ald --psnr 60 --temporal 4 --steps 5:6 --after @4.ald", status: 1)
      try place.run("compress @in.h5 --access tile -o @4.ald --psnr 60 --temporal 4 --steps 5:6 --after @4.ald", status: 1)
      try place.run("compress @in.h5 --access tile -o @5.ald --psnr 60 --steps 5:6 --after @4.ald", status: 1)
    }

    /// What has nothing in common with the step before stands alone, as does what no transform codes; the bytes are then those of a plain job.
    @Test func standsAloneWhereItDoesNotPay() throws {
      let place = try Workplace("temporal-alone")
      let shape = [40, 40, 40], n = 4 * shape.reduce(1, *)
      var holes = [Double](), noise = holes
      for s in 0..<4 {
        holes += Pattern.waves.values(shape, seed: 3)
        noise += Pattern.noise.values(shape, seed: UInt64(10 + s))
      }
      for i in stride(from: 0, to: n, by: 97) { holes[i] = .nan }
      let dims = ["dims": "t,z,y,x"]
      try Snapshot.write(place.path("in.h5"), [
        ("noise", Values(.float32, [4] + shape, noise), dims), ("holes", Values(.float32, [4] + shape, holes), dims),
        ("constant", Values(.float32, [4] + shape, [Double](repeating: 1.5, count: n)), dims),
      ])
      try place.run("compress @in.h5 --access tile -o @p.ald --report @p.json --psnr 50 --temporal 3")
      try place.run("compress @in.h5 --access tile -o @i.ald --psnr 50")
      #expect(Temporal.predicted(try place.reports("p.json")).allSatisfy { !$0 })
      #expect(try place.bytes("p.ald") == place.bytes("i.ald"))
    }
  }
}
