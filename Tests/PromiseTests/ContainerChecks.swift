import Foundation
import Support
import Testing

/// What a container must show whatever codec made it. Everywhere `1.ald` is a container of `in.h5`, and `1.h5` what one process decodes from it.
extension Workplace {
  /// The same decoded file on any number of ranks.
  func decodesAlike(ranks: [Int], options: String = "") throws {
    for n in ranks {
      try run("decompress @1.ald -o @n.h5 \(options)", ranks: n)
      #expect(try bytes("n.h5") == bytes("1.h5"), "decoded on \(n) ranks")
    }
  }

  /// Instruction sets change nothing, neither of the encoder, given `options`, nor of the decoder.
  func sameOnEveryLevel(_ options: String, levels: [String] = ["baseline", "avx2", "avx512"]) throws {
    for level in levels {
      try run("compress @in.h5 -o @s.ald \(options)", environment: ["ALIDADE_SIMD": level])
      #expect(try bytes("s.ald") == bytes("1.ald"), "container at \(level)")
      try run("decompress @1.ald -o @s.h5", environment: ["ALIDADE_SIMD": level])
      #expect(try bytes("s.h5") == bytes("1.h5"), "decoded at \(level)")
    }
  }

  /// Regions are crops of the whole; every second one is decoded on three ranks.
  func regionsAreCrops(_ field: String, _ regions: [[Range<Int>]]) throws {
    let all = try Snapshot.read(path("1.h5"), field)
    for (k, region) in regions.enumerated() {
      let text = region.map { "\($0.lowerBound):\($0.upperBound)" }.joined(separator: ",")
      try run("decompress @1.ald -o @r.h5 -f \(field) --region \(text)", ranks: k % 2 == 0 ? 0 : 3)
      #expect(try Snapshot.read(path("r.h5"), field) == all.cropped(region), "region \(text)")
    }
  }

  /// A changed byte is named (exit 4, or 5 where it may be that of a model's name; no output) or changes nothing, on one process and, every eighth time, on two ranks.
  func damageIsNamed(tries: Int, seed: UInt64, codes: Set<Int32> = [4]) throws {
    let good = [UInt8](try bytes("1.ald")), right = try bytes("1.h5")
    var g = SplitMix64(seed: seed)
    for t in 0..<tries {
      var bad = good
      let at = g.below(good.count)
      bad[at] ^= UInt8(1 + g.below(255))
      try Data(bad).write(to: folder.appendingPathComponent("bad.ald"))
      remove("bad.h5")
      let o = try run("decompress @bad.ald -o @bad.h5 -q", ranks: t % 8 == 0 ? 2 : 0, status: nil, timeout: 60)
      #expect(!o.crashed && !o.timedOut, "byte \(at)")
      if o.status == 0 { #expect(try bytes("bad.h5") == right, "byte \(at)") } else { #expect(codes.contains(o.status) && !exists("bad.h5"), "byte \(at): \(o.status) \(o.stderr)") }
    }
  }
}
