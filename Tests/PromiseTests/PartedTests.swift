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

    /// Half and half: nearly as few bytes as the halves alone, each by what suits it (their steps are found one by one, those of the field for both together).
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
      #expect(Double(mixed) < 1.15 * Double(parts) && mixed < plain / 4, "plain \(plain), halves \(parts), parted \(mixed) bytes")
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
      let options = "--psnr 45 --access tile --model @m.aldm"
      try Identity.same(place, "in.h5", options, ranks: Promises.rankCounts)
      #expect((try place.reports("1.json")[0]["transform"] as? String)?.contains("/autoencoder+") == true)
      try place.run("verify @1.ald --against @in.h5")
      try place.run("decompress @1.ald -o @1.h5")
      try place.decodesAlike(ranks: [2, 3, 4, 8])
      try place.regionsAreCrops("velocity", [[0..<3, 5..<33, 40..<48], [31..<33, 0..<44, 60..<64], [30..<50, 28..<36, 31..<32]])
      try place.sameOnEveryLevel(options)
    }

    @Test func damageIsNamed() throws {
      let place = try Workplace("parted-damage")
      try Parted.model(place)
      try Parted.write(place, "in.h5", Parted.shape, Parted.field(Parted.shape) { z, _, _ in z < 32 })
      try place.run("compress @in.h5 -o @1.ald --psnr 40 --access tile --model @m.aldm")
      try place.run("decompress @1.ald -o @1.h5")
      try place.damageIsNamed(tries: Promises.long ? 400 : 40, seed: 20_261_122, codes: [4, 5])
    }
  }
}
