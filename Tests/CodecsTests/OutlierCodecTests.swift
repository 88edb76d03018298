import Codecs
import Fields
import Foundation
import Support
import Testing

@Suite struct OutlierCodecTests {
  func copy(_ a: RawArray) -> RawArray {
    let b = RawArray(box: a.box, elementSize: a.elementSize)
    b.copy(a.box, from: a)
    return b
  }

  @Test(arguments: [ScalarType.float32, .float64], [0, 1e-300, 1e-9, 1e-7, 1e-3, 0.5, 100])
  func boundHolds(type: ScalarType, bound: Double) throws {
    for s in losslessShapes {
      var r = SplitMix64(seed: UInt64(s.product))
      let a = RawArray(box: losslessBox(s), type: type), y = RawArray(box: a.box, type: type)
      a.fill { z, y, x in 100 * sin(0.1 * Double(x + y)) + Double(z) }
      // Gaussian errors with some far outliers and some that are no numbers.
      for i in 0..<a.count {
        let e = a.value(i) + r.normal() * max(bound, 1e-8) / 2.5 * (i % 50 == 7 ? 20 : 1), v = i % 211 == 5 ? .nan : i % 223 == 9 ? -.infinity : e
        if type == .float32 { y.bound(to: Float.self)[i] = Float(v) } else { y.bound(to: Double.self)[i] = v }
      }
      let mask = (0..<a.count).map { UInt8($0 % 13 == 4 ? 0 : 1) }
      let before = copy(y), bytes = OutlierCodec.encode(original: a, decoded: y, mask: mask, bound: bound)
      for i in 0..<a.count {
        if mask[i] == 0 { #expect(y.bits(i) == before.bits(i)) } else if !(abs(a.value(i) - y.value(i)) <= bound) { Issue.record("\(s) \(i)") }
      }
      let z = copy(before)
      try bytes.withUnsafeBytes { try OutlierCodec.decode($0, decoded: z, bound: bound) }
      #expect((0..<a.count).allSatisfy { z.bits($0) == y.bits($0) })
      #expect(OutlierCodec.encode(original: a, decoded: y, mask: mask, bound: bound).isEmpty)
    }
  }

  // bits per value of the study (CODEC C): 0.11 at bound/RMSE 2.5, 0.316 at 2, 0.031 at 3.
  @Test(arguments: [(2.0, 0.34), (2.5, 0.13), (3.0, 0.04)])
  func cost(ratio: Double, limit: Double) {
    let a = RawArray(box: Box(shape: Index3(32, 32, 32)), type: .float32, zeroed: true), y = RawArray(box: a.box, type: .float32)
    var r = SplitMix64(seed: 9)
    // Box-Muller: true tails.
    y.fill { _, _, _ in sqrt(-2 * log(1 - r.uniform())) * cos(2 * .pi * r.uniform()) }
    let bits = 8 * Double(OutlierCodec.encode(original: a, decoded: y, mask: nil, bound: ratio).count) / Double(a.count)
    #expect(bits < limit, "\(bits) b/v")
  }

  @Test func garbageNeverCrashes() {
    for type in ScalarType.allCases {
      let a = RawArray(box: losslessBox(Index3(5, 6, 7)), type: type)
      var r = SplitMix64(seed: 2)
      let valid = [0.3, 1, 2].map { b in
        a.fill { _, _, _ in 0 }
        let y = RawArray(box: a.box, type: type)
        y.fill { _, _, _ in r.normal() }
        return OutlierCodec.encode(original: a, decoded: y, mask: nil, bound: b)
      }
      for seed in 0..<2000 as Range<UInt64> {
        var r = SplitMix64(seed: seed)
        let bytes = losslessDamage(valid, &r)
        bytes.withUnsafeBytes { p in try? OutlierCodec.decode(p, decoded: a, bound: 1) }
      }
    }
  }
}
