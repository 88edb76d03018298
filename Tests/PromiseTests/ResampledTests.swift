import Fields
import Foundation
import Support
import Testing

extension Promises {
  /// The promises for fields of few waves that are coded on a coarser grid, where access by tile is asked for.
  @Suite struct Resampled {
    @Test func sameBytesOnAnyRanksThreadsAndInstructions() throws {
      let place = try Workplace("resampled")
      try Snapshot.write(place.path("in.h5"), [
        ("flow", Values(.float32, [3, 48, 40, 91], Self.waves([48, 40, 91], components: 3, seed: 3)), Spectral.all),
        ("plane", Values(.float64, [1, 160, 96], Self.waves([160, 96], components: 1, seed: 4)), ["dims": "component,y,x", "periodic": "x y"]),
        ("line", Values(.float32, [2, 480], Self.waves([480], components: 2, seed: 5)), ["dims": "component,x", "periodic": "x"]),
      ])
      let options = "--access tile --psnr 70 --bound plane:rel=1e-4 --bound line:abs=1e-3"
      try Identity.same(place, "in.h5", options, ranks: Promises.rankCounts)
      for f in try place.reports("1.json") { #expect(f["transform"] as? String == "resampled" && f["bound_kept"] as? Bool == true, "\(f["transform"] ?? "")") }
      try place.run("decompress @1.ald -o @1.h5")
      try place.decodesAlike(ranks: Promises.rankCounts, options: "--threads 2")
      try place.run("verify @1.ald --against @in.h5 --report @v1.json")
      try place.run("verify @1.ald --against @in.h5 --report @v3.json", ranks: 3)
      #expect(try place.result("v1.json") == place.result("v3.json"))
      try place.sameOnEveryLevel(options, levels: ["baseline", "avx2"])
      // Regions are crops, across the faces that wrap as well.
      try place.regionsAreCrops("flow", [[0..<48, 3..<4, 10..<33], [47..<48, 0..<40, 0..<1], [5..<9, 6..<7, 88..<91]])
    }

    /// Waves of at most five in each direction.
    static func waves(_ shape: [Int], components: Int, seed: UInt64) -> [Double] {
      var g = SplitMix64(seed: seed)
      let cells = shape.reduce(1, *)
      var out = [Double](repeating: 0, count: components * cells)
      for c in 0..<components {
        for _ in 0..<20 {
          let k = shape.map { _ in Double(g.below(11) - 5) }, phase = 2 * Double.pi * g.uniform(), size = 1 / (1 + k.reduce(0) { $0 + $1 * $1 })
          for i in 0..<cells {
            var rest = i, angle = phase
            for a in shape.indices.reversed() { angle += 2 * .pi * k[a] * Double(rest % shape[a]) / Double(shape[a]); rest /= shape[a] }
            out[c * cells + i] += size * sin(angle)
          }
        }
      }
      return out
    }

    /// The choice needs at most 1 % more bytes than the members by tile on the full grid, and far fewer where there are few waves; rates too.
    @Test func choiceIsNeverMuchWorse() throws {
      let place = try Workplace("resampled-choice")
      let n = 32, flow = Spectral.flow(n, seed: 7), noise = Pattern.noise.values([3, n, n * n], seed: 8)
      let entries: [Snapshot.Entry] = [
        ("flow", Values(.float32, [3, n, n, n], flow), Spectral.all),
        ("noisy", Values(.float32, [3, n, n, n], zip(flow, noise).map { $0 + 1e-2 * $1 }), Spectral.all),
        ("steps", Values(.float32, [n, n, n], Pattern.steps.values([n, n, n], seed: 9)), ["dims": "z,y,x", "periodic": "x y z"]),
        ("waves", Values(.float32, [n, n, n], Pattern.waves.values([n, n, n], seed: 9)), ["dims": "z,y,x", "periodic": "x y z"]),
      ]
      try Snapshot.write(place.path("in.h5"), entries)
      try Snapshot.write(place.path("walls.h5"), entries.map { ($0.name, $0.values, $0.attributes.filter { $0.key != "periodic" }) })
      for bound in ["--psnr 60", "--rel 1e-4"] {
        var sizes: [[(Int, String)]] = []
        for input in ["in", "walls"] {
          try place.run("compress @\(input).h5 -o @c.ald --report @c.json \(bound) --access tile")
          sizes.append(try place.reports("c.json").map { ($0["stored_bytes"] as! Int, $0["transform"] as! String) })
        }
        for (i, e) in entries.enumerated() {
          let (periodic, walls) = (sizes[0][i], sizes[1][i])
          // Blocks that lap across the faces help too, so this is not the same choice but one that must not lose.
          #expect(Double(periodic.0) <= 1.02 * Double(walls.0), "\(e.name) \(bound): \(sizes.map { $0[i] })")
          if e.name == "flow" { #expect(periodic.1 == "resampled" && Double(periodic.0) < 0.8 * Double(walls.0), "\(bound): \(sizes.map { $0[i] })") }
          if e.name == "noisy" { #expect(periodic.1 != "resampled") }
        }
      }
      try place.run("compress @in.h5 -o @c.ald --report @c.json --rate 1 --access tile -f noisy -f waves")
      for f in try place.reports("c.json") { #expect(abs((f["bits_per_value"] as! Double) - 1) < 0.03, "\(f)") }
    }

    @Test func damageIsNamed() throws {
      let place = try Workplace("resampled-damage")
      try Snapshot.write(place.path("in.h5"), [("flow", Values(.float32, [3, 32, 32, 32], Spectral.flow(32, seed: 17)), Spectral.all)])
      try place.run("compress @in.h5 -o @1.ald --rel 1e-3 --codec resampled")
      try place.run("decompress @1.ald -o @1.h5")
      try place.damageIsNamed(tries: Promises.long ? 400 : 30, seed: 19)
    }
  }
}
