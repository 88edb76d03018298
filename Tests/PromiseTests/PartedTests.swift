import Codecs
import Foundation
import Support
import Testing

extension Promises {
  /// Fields of which an autoencoder suits some tiles and a transform the others.
  @Suite struct Parted {
    static let edge = 64, shape = [64, 64, 64]

    /// Patches of 4^3 cells from one column each, where `isPatched`, smooth waves elsewhere.
    static func field(_ extents: [Int], from z0: Int = 0, _ isPatched: (Int, Int, Int) -> Bool) -> [Double] {
      let waves = (0..<3).map { Pattern.waves.values(shape, seed: 3 + UInt64($0)) }
      var out: [Double] = []
      for c in 0..<3 { for z in z0..<z0 + extents[0] { for y in 0..<extents[1] { for x in 0..<extents[2] {
        let patch = (z / 4 * 50 + y / 4) * 50 + x / 4
        out.append(isPatched(z, y, x)
          ? Double(SplitMix64.hash(7 + UInt64(c), patch) % 9) / 4 * cos(Double.pi * 3 * (Double(x % 4) + 0.5) / 4) : waves[c][(z * edge + y) * edge + x])
      } } } }
      return out
    }
    static func model(_ place: Workplace) throws {
      try Autoencoders.model(Values(.float32, [3] + Learned.shape, field(Learned.shape) { _, _, _ in true }), .contextual, place.path("m.aldm"))
    }
    static func write(_ place: Workplace, _ name: String, _ extents: [Int], _ values: [Double], _ attributes: [String: String] = [:]) throws {
      try Snapshot.write(place.path(name), [("velocity", Values(.float32, [3] + extents, values), ["dims": "c,z,y,x"].merging(attributes) { a, _ in a })])
    }

    /// Half and half: no more bytes than the halves alone, each by what suits it.
    @Test func asSmallAsTheBetterOfEach() throws {
      let place = try Workplace("parted")
      try Parted.model(place)
      let half = [32, 64, 64]
      try Parted.write(place, "in.h5", Parted.shape, Parted.field(Parted.shape) { z, _, _ in z < 32 })
      try Parted.write(place, "low.h5", half, Parted.field(half) { _, _, _ in true })
      try Parted.write(place, "high.h5", half, Parted.field(half, from: 32) { _, _, _ in false })
      let bound = "--abs 0.02"
      try place.run("compress @low.h5 -o @low.ald \(bound) --model @m.aldm --codec autoencoder")
      try place.run("compress @high.h5 -o @high.ald \(bound) --codec lot16")
      try place.run("compress @in.h5 -o @plain.ald \(bound)")
      try place.run("compress @in.h5 -o @c.ald \(bound) --model @m.aldm --report @c.json")
      let parts = try place.bytes("low.ald").count + place.bytes("high.ald").count, plain = try place.bytes("plain.ald").count, mixed = try place.bytes("c.ald").count
      print("plain \(plain), halves \(parts), parted \(mixed) bytes")
      #expect(Double(mixed) < 1.02 * Double(parts) && mixed < plain)
      let c = try place.reports("c.json")[0]
      #expect((c["transform"] as? String)?.hasPrefix("lot16/autoencoder+") == true && c["bound_kept"] as? Bool == true)
      try place.run("verify @c.ald --against @in.h5", ranks: 3)
    }

    /// Scattered tiles on an axis that wraps: ranks, levels, regions.
    @Test func sameEverywhere() throws {
      let place = try Workplace("parted-identity")
      try Parted.model(place)
      let v = Parted.field(Parted.shape) { z, y, x in (z < 32 && y < 32) || (z >= 32 && y >= 32 && x >= 32) }
      try Parted.write(place, "in.h5", Parted.shape, v, ["periodic": "x"])
      try Identity.same(place, "in.h5", "--psnr 45 --access tile --model @m.aldm", ranks: Promises.rankCounts)
      try place.run("compress @in.h5 -o @c.ald --psnr 45 --access tile --model @m.aldm --report @c.json")
      #expect((try place.reports("c.json")[0]["transform"] as? String)?.contains("/autoencoder+") == true)
      try place.run("verify @c.ald --against @in.h5")
      try place.run("decompress @c.ald -o @all.h5")
      let bytes = try place.bytes("all.h5"), all = try Snapshot.read(place.path("all.h5"), "velocity")
      for n in Promises.rankCounts.dropFirst() {
        try place.run("decompress @c.ald -o @n.h5", ranks: n)
        #expect(try place.bytes("n.h5") == bytes, "\(n) ranks")
      }
      for r in [[0..<3, 5..<33, 40..<48], [31..<33, 0..<44, 60..<64], [30..<50, 28..<36, 31..<32]] {
        try place.run("decompress @c.ald -o @r.h5 --region \(r.map { "\($0.lowerBound):\($0.upperBound)" }.joined(separator: ","))", ranks: 2)
        #expect(try Snapshot.read(place.path("r.h5"), "velocity") == all.cropped(r))
      }
      for level in ["baseline", "avx2", "avx512"] {
        try place.run("decompress @c.ald -o @l.h5", environment: ["ALIDADE_SIMD": level])
        #expect(try place.bytes("l.h5") == bytes, "\(level)")
      }
    }

    /// Bytes changed at random: an error or the right values.
    @Test func damage() throws {
      let place = try Workplace("parted-damage")
      try Parted.model(place)
      try Parted.write(place, "in.h5", Parted.shape, Parted.field(Parted.shape) { z, _, _ in z < 32 })
      try place.run("compress @in.h5 -o @good.ald --psnr 40 --access tile --model @m.aldm")
      try place.run("decompress @good.ald -o @good.h5")
      let good = [UInt8](try place.bytes("good.ald")), right = try place.bytes("good.h5")
      var g = SplitMix64(seed: 20_261_122)
      for _ in 0..<40 {
        var bad = good
        bad[g.below(bad.count)] ^= UInt8(1 + g.below(255))
        try Data(bad).write(to: place.folder.appendingPathComponent("bad.ald"))
        let o = try place.run("decompress @bad.ald -o @bad.h5", status: nil)
        let isRight = try o.status == 0 && place.bytes("bad.h5") == right
        #expect(isRight || (!o.crashed && [4, 5].contains(o.status)), "\(o.status): \(o.stderr)")
        place.remove("bad.h5")
      }
    }
  }
}
