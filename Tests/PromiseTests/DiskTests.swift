import Fields
import Foundation
import Support
import Testing

/// A file system of a few kilobytes; needs the right to mount one.
final class SmallDisk {
  let folder: URL
  static func command(_ words: [String]) -> Bool {
    (try? Launcher.run(URL(fileURLWithPath: "/usr/bin/env"), arguments: words, timeout: 20))?.status == 0
  }
  static let isPossible: Bool = {
    guard let place = try? Workplace("disk-probe"), let d = try? SmallDisk(place, kilobytes: 64) else { return false }
    _ = d
    return true
  }()

  init(_ place: Workplace, kilobytes: Int) throws {
    folder = place.folder.appendingPathComponent("small")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    guard SmallDisk.command(["mount", "-t", "tmpfs", "-o", "size=\(kilobytes)k", "tmpfs", folder.path]) else { throw POSIXError(.EPERM) }
  }
  deinit { _ = SmallDisk.command(["umount", folder.path]) }
}

extension Promises {
  @Suite struct Disk {
    /// A full disk: exit code 2, the system's words once, and nothing left.
    @Test(.enabled(if: SmallDisk.isPossible, "needs the right to mount a small tmpfs"), arguments: [1, 4])
    func full(ranks: Int) throws {
      let place = try Workplace("disk")
      let shape = [64, 48, 56]
      try Snapshot.write(place.path("in.h5"), (0..<3).map { ("f\($0)", Values(.float32, shape, Pattern.waves.values(shape, seed: 60 + UInt64($0))), [:]) })
      try place.run("compress @in.h5 -o @c.ald --psnr 80")
      try place.run("decompress @c.ald -o @d.h5")
      let sizes = try (place.bytes("c.ald").count, place.bytes("d.h5").count)
      for (words, target, whole) in [("compress @in.h5 -o @small/x.ald --psnr 80", "small/x.ald", sizes.0),
                                     ("decompress @c.ald -o @small/x.h5", "small/x.h5", sizes.1)] {
        // Too small for the first byte, for the first field, for the last, by a page.
        for kilobytes in [4, whole / 1024 / 4, whole / 1024 * 3 / 4, whole / 1024 - 4] {
          let disk = try SmallDisk(place, kilobytes: kilobytes)
          let o = try place.run(words, ranks: ranks, status: 2, timeout: 60)
          let text = o.stderr
          #expect(text.components(separatedBy: "alidade: error: ").count == 2 && text.contains("No space left"), "\(kilobytes) kB: \(text)")
          #expect(!place.exists(target) && !place.exists(target + ".tmp"), "\(kilobytes) kB: something is left: \((try? FileManager.default.contentsOfDirectory(atPath: disk.folder.path)) ?? [])")
          withExtendedLifetime(disk) {}
        }
        // Enough room: the container and what it needs while it is written.
        let disk = try SmallDisk(place, kilobytes: whole / 1024 * 3 + 512)
        try place.run(words, ranks: ranks, timeout: 60)
        #expect(place.exists(target))
        withExtendedLifetime(disk) {}
      }
    }
  }

  /// Promise 5: one rank's failure is everyone's, said once.
  @Suite struct OneRank {
    func once(_ o: Launcher.Outcome, _ fragment: String) {
      #expect(o.stderr.components(separatedBy: "alidade: error: ").count == 2 && o.stderr.contains(fragment), "\(o.stderr)")
    }

    /// The chunk of the last slab is damaged: only the last rank cannot read.
    @Test(arguments: [1, 2, 3, 4, 8]) func unreadableInput(ranks: Int) throws {
      let place = try Workplace("one-rank")
      let shape = [64, 32, 32]
      let values = Values(.float32, shape, Pattern.noise.values(shape, seed: 70))
      try Snapshot.write(place.path("in.h5"), [("u", values, [:])], chunk: [4, 32, 32])
      // Find the last chunk by its first values.
      var bytes = try place.bytes("in.h5")
      let mark = (0..<8).reduce(into: Data()) { d, i in withUnsafeBytes(of: UInt32(truncatingIfNeeded: values.bits[60 * 32 * 32 + i])) { d.append(contentsOf: $0) } }
      let at = try #require(bytes.range(of: mark))
      bytes[at.lowerBound + 5] ^= 0x10
      try bytes.write(to: place.folder.appendingPathComponent("in.h5"))
      once(try place.run("compress @in.h5 -o @c.ald --psnr 60", ranks: ranks, status: 2, timeout: 60), "in.h5: u: cannot be read")
      #expect(try place.names == ["in.h5"])
    }

    /// One rank may not write: its limit of file sizes is 64 kB.
    @Test(arguments: ["compress", "decompress"]) func unwritableOutput(_ command: String) throws {
      let place = try Workplace("one-rank-\(command)")
      let shape = [64, 64, 64]
      try Snapshot.write(place.path("in.h5"), [("u", Values(.float32, shape, Pattern.noise.values(shape, seed: 71)), [:])])
      try place.run("compress @in.h5 -o @c.ald --psnr 60")
      let words = command == "compress" ? "compress \(place.path("in.h5")) -o \(place.path("x.ald")) --psnr 60" : "decompress \(place.path("c.ald")) -o \(place.path("x.h5"))"
      let script = "trap '' XFSZ; if [ \"$OMPI_COMM_WORLD_RANK\" = 2 ]; then ulimit -f 64; fi; exec '\(Launcher.product("alidade").path)' \(words)"
      let o = try Launcher.mpirun(ranks: 4, executable: URL(fileURLWithPath: "/bin/sh"), arguments: ["-c", script], timeout: 60)
      #expect(!o.timedOut && !o.crashed && o.status == 2, "status \(o.status)\n\(o.stderr)")
      once(o, "File too large")
      #expect(try place.names == ["c.ald", "in.h5"])
    }

    @Test(arguments: [2, 3, 4, 8]) func overlappingBoxes(ranks: Int) throws {
      let o = try Launcher.mpirun(ranks: ranks, executable: Launcher.product("RankTests"), arguments: ["promise-bad-boxes"], timeout: 60)
      #expect(!o.timedOut && o.status == 2, "status \(o.status) \(o.stdout)\(o.stderr)")
      #expect(o.stderr.split(separator: "\n").filter { $0.hasPrefix("rank ") }.count == 1, "\(o.stderr)")
      #expect(!o.stdout.contains("not reached"))
    }
  }

  @Suite struct Sizes {
    /// Ten thousand streams: as many components of a small grid.
    @Test func tenThousandStreams() throws {
      let place = try Workplace("streams")
      let n = 10_000 * 4 * 4 * 4
      var g = SplitMix64(seed: 80)
      try place.write("in.raw", raw: (0..<n).map { i in Float(sin(Double(i) * 0.02) + 0.01 * g.uniform()) })
      let options = "--raw --type f32 --shape 10000,4,4,4 --axes czyx"
      for (name, ranks) in [("1", 1), ("3", 3)] {
        try place.run("compress @in.raw -o @\(name).ald --report @\(name).json \(options) --rel 1e-3", ranks: ranks)
        try place.run("decompress @\(name).ald -o @\(name).h5", ranks: ranks)
      }
      #expect(try place.bytes("1.ald") == place.bytes("3.ald"))
      #expect(try place.result("1.json") == place.result("3.json"))
      #expect(try place.bytes("1.h5") == place.bytes("3.h5"))
      try place.run("verify @3.ald --against @in.raw \(options)", ranks: 3)
    }

    /// Ten thousand tiles on three ranks: 8 tiles of 1,250 components; 138 million values.
    @Test(.enabled(if: Promises.long, "set ALIDADE_LONG_TESTS"), .timeLimit(.minutes(20))) func tenThousandTiles() throws {
      let place = try Workplace("tiles")
      let plane = Pattern.waves.values([48, 48, 48], seed: 81).map { Float($0) }
      _ = FileManager.default.createFile(atPath: place.path("in.raw"), contents: nil)
      let out = try FileHandle(forWritingTo: place.folder.appendingPathComponent("in.raw"))
      for c in 0..<1250 { try plane.map { $0 * Float(1 + c % 7) + Float(c) * 0.01 }.withUnsafeBytes { try out.write(contentsOf: Data($0)) } }
      try out.close()
      let options = "--raw --type f32 --shape 1250,48,48,48 --axes czyx"
      try place.run("compress @in.raw -o @3.ald --report @3.json \(options) --psnr 70", ranks: 3, timeout: 600)
      try place.run("verify @3.ald --against @in.raw \(options)", ranks: 3, timeout: 600)
      try place.run("compress @in.raw -o @2.ald --report @2.json \(options) --psnr 70", ranks: 2, timeout: 600)
      #expect(try place.bytes("2.ald") == place.bytes("3.ald"))
      #expect(try place.result("2.json") == place.result("3.json"))
    }

    /// More than 2 GiB of tiles on one rank. The file is mostly a hole; some planes hold waves.
    @Test(.enabled(if: Promises.long, "set ALIDADE_LONG_TESTS (needs 8 GB of memory)"), .timeLimit(.minutes(30)),
          arguments: ["--abs 1e-3", "--lossless", "--psnr 60"])
    func beyondTwoGibibytes(_ bound: String) throws {
      let place = try Workplace("two-gibibytes")
      let nz = 580, n = 1024
      _ = FileManager.default.createFile(atPath: place.path("in.raw"), contents: nil)
      let out = try FileHandle(forWritingTo: place.folder.appendingPathComponent("in.raw"))
      try out.truncate(atOffset: UInt64(nz * n * n * 4))
      for z in [0, 1, 2, 3, 300, 301, nz - 2, nz - 1] {
        try out.seek(toOffset: UInt64(z * n * n * 4))
        let plane = (0..<n * n).map { Float(sin(Double($0 % n) * 0.05 + Double(z)) * cos(Double($0 / n) * 0.03)) }
        try plane.withUnsafeBytes { try out.write(contentsOf: Data($0)) }
      }
      try out.close()
      let options = "--raw --type f32 --shape \(nz),\(n),\(n)"
      let start = Date()
      try place.run("compress @in.raw -o @c.ald --report @c.json \(options) \(bound)", ranks: 1, timeout: 900)
      try place.run("verify @c.ald --against @in.raw \(options)", ranks: 1, timeout: 900)
      let peak = String(decoding: try place.bytes("c.json"), as: UTF8.self).components(separatedBy: "peak_memory").last?.prefix(80) ?? ""
      print("2.27 GiB \(bound): \(Date().timeIntervalSince(start)) s, \(try place.bytes("c.ald").count) bytes, peak \(peak)")
    }
  }
}
