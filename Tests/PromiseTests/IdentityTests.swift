import Fields
import Foundation
import Support
import Testing

extension Promises {
  /// Promise 1: bytes and results depend on the data and the request only.
  @Suite struct Identity {
    /// A flow of three components on 27 tiles, a field with land, an awkward shape, and one too large to be held whole.
    static func snapshot(_ place: Workplace, large: Bool) throws -> [String] {
      let shape = [80, 80, 80]
      var flow: [Double] = []
      for c in 0..<3 { flow += Pattern.waves.values(shape, seed: 11 + UInt64(c)) }
      let land = Pattern.waves(Index3(80, 80, 80), 5)
      var sea = Pattern.waves.values(shape, seed: 21), i = 0
      for z in 0..<80 { for y in 0..<80 { for x in 0..<80 {
        if land.at(z, y, x) > 0.8 { sea[i] = .nan } else if (x + y + z) % 997 == 0 { sea[i] = x % 2 == 0 ? .infinity : -.infinity }
        i += 1
      } } }
      let odd = Pattern.waves.values([91, 45, 77], seed: 31)
      let dims = ["dims": "component,z,y,x"]
      var entries: [Snapshot.Entry] = [
        ("flow", Values(.float32, [3] + shape, flow), dims.merging(["periodic": "x z"]) { $1 }),
        ("flow-rel", Values(.float32, [3] + shape, flow), dims),
        ("flow-lossless", Values(.float32, shape, Array(flow[..<512_000])), [:]),
        ("sea", Values(.float32, shape, sea), [:]),
        ("sea-lossless", Values(.float32, shape, sea), [:]),
        ("odd", Values(.float64, [91, 45, 77], odd), [:]),
        ("odd-pwrel", Values(.float64, [91, 45, 77], odd.map { exp($0) }), [:]),
        ("odd-rate", Values(.float32, [91, 45, 77], odd), [:]),
        ("flat", Values(.float32, [91, 45, 77], Pattern.noise.values([91, 45, 77], seed: 32)), [:]),
        ("constant", Values(.float32, [91, 45, 77], odd.map { _ in 2.5 }), [:]),
        ("lattice", Values(.float32, [91, 45, 77], odd.map { (100 * $0).rounded() / 100 }), [:]),
      ]
      var bounds = "--psnr 70 --bound flow-rel:rel=1e-3 --bound flow-lossless:lossless --bound sea:rel=1e-3 --bound sea-lossless:lossless "
      bounds += "--bound odd-pwrel:pwrel=1e-3 --bound odd-rate:rate=3 --bound flat:psnr=4 --bound lattice:lossless"
      if large { entries = [("large", Values(.float32, [176, 176, 176], Pattern.waves.values([176, 176, 176], seed: 41)), [:])] }
      try Snapshot.write(place.path(large ? "large.h5" : "in.h5"), entries)
      return [bounds]
    }

    /// Compresses in several ways; containers and results are those of one rank.
    static func same(_ place: Workplace, _ input: String, _ options: String, ranks: [Int], threads: [Int] = [4]) throws {
      try place.run("compress @\(input) -o @1.ald --report @1.json \(options)", ranks: 0)
      let container = try place.bytes("1.ald"), result = try place.result("1.json")
      #expect(!container.isEmpty)
      let ways = ranks.map { ($0, 1) } + threads.map { (0, $0) } + [(2, 4)]
      for (n, t) in ways {
        try place.run("compress @\(input) -o @n.ald --report @n.json --threads \(t) \(options)", ranks: n)
        #expect(try place.bytes("n.ald") == container, "container of \(options) on \(n) ranks, \(t) threads")
        #expect(try place.result("n.json") == result, "result of \(options) on \(n) ranks, \(t) threads")
      }
    }

    @Test func everyBoundOnAnyRanks() throws {
      let place = try Workplace("identity")
      let options = try Identity.snapshot(place, large: false)[0]
      try Identity.same(place, "in.h5", options, ranks: Promises.rankCounts)

      // The same container decodes to the same bytes everywhere, and verifies with one result.
      try place.run("decompress @1.ald -o @1.h5", ranks: 0)
      try place.run("verify @1.ald --against @in.h5 --report @v1.json", ranks: 0)
      let verdict = try place.result("v1.json")
      try place.decodesAlike(ranks: Promises.rankCounts)
      for n in Promises.rankCounts {
        try place.run("verify @1.ald --against @in.h5 --report @vn.json", ranks: n)
        #expect(try place.result("vn.json") == verdict, "verified on \(n) ranks")
      }

      try place.sameOnEveryLevel(options)
    }

    @Test(arguments: ["lot16", "lot8", "wavelet97", "interpolation"]) func everyMember(_ member: String) throws {
      let place = try Workplace("identity-\(member)")
      let n = 80 * 80 * 80
      let odd = Pattern.waves.values([91, 45, 77], seed: 31)
      let flow = Pattern.waves.values([80, 80, 80], seed: 11) + Pattern.waves.values([80, 80, 80], seed: 12)
      try Snapshot.write(place.path("in.h5"), [
        ("flow", Values(.float32, [2, 80, 80, 80], flow), ["dims": "component,z,y,x", "periodic": "x y z"]),
        ("walls", Values(.float64, [80, 80, 80], Array(flow[..<n])), [:]),
        ("odd", Values(.float32, [91, 45, 77], odd), [:]),
      ])
      let options = "--codec \(member) --psnr 70 --bound walls:rel=1e-4 --bound odd:rel=1e-3"
      try Identity.same(place, "in.h5", options, ranks: [3, 8])
      for f in try place.reports("1.json") { #expect(f["transform"] as? String == member) }
      try place.run("decompress @1.ald -o @1.h5")
      try place.decodesAlike(ranks: [3, 8])
      try place.sameOnEveryLevel(options, levels: ["baseline", "avx2"])
    }

    /// Models come from samples here, and ranks hold several regions.
    @Test(arguments: ["--psnr 60", "--rel 1e-3 --codec interpolation"]) func largeFields(_ options: String) throws {
      let place = try Workplace("identity-large")
      _ = try Identity.snapshot(place, large: true)
      try Identity.same(place, "large.h5", options, ranks: [3, 8], threads: [])
      try place.run("decompress @1.ald -o @1.h5")
      try place.run("decompress @1.ald -o @3.h5", ranks: 3)
      #expect(try place.bytes("3.h5") == place.bytes("1.h5"))
    }

    /// Slabs, pencils, blocks, several boxes, everything on one rank, unequal shares: one digest, in `RankTests`.
    @Test func anyCuttingInMemory() throws {
      var expected = ""
      for n in Promises.rankCounts {
        let o = try Launcher.mpirun(ranks: n, executable: Launcher.product("RankTests"), arguments: ["promise-cuttings"], timeout: 300)
        #expect(!o.timedOut && o.status == 0, "\(n) ranks\n\(o.stdout)\(o.stderr)")
        if n == 1 { expected = o.stdout } else { #expect(o.stdout == expected, "\(n) ranks") }
      }
      #expect(expected.split(separator: "\n").count == PromiseCounts.cuttingLines)
    }
  }
}

enum PromiseCounts {
  /// Lines that `RankTests promise-cuttings` prints.
  static let cuttingLines = 16
}
