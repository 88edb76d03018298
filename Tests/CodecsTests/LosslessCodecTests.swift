import Codecs
import Fields
import Foundation
import Support
import Testing

@Suite struct LosslessCodecTests {
  static let kinds = ["smooth", "rough", "bits", "constant", "zeros", "negative zeros", "wide", "subnormal", "spots", "huge", "coarse", "decimal", "near decimal"]

  static func tile(_ kind: String, _ s: Index3, _ type: ScalarType, seed: UInt64) -> RawArray {
    let a = RawArray(box: losslessBox(s), type: type)
    var r = SplitMix64(seed: seed)
    func smooth(_ z: Int, _ y: Int, _ x: Int) -> Double { sin(0.2 * Double(x) + 0.1 * Double(y)) * cos(0.15 * Double(z)) + 0.3 }
    switch kind {
    case "smooth": a.fill(smooth)
    case "rough": a.fill { _, _, _ in r.normal() }
    case "bits": for i in 0..<a.count { a.setBits(i, r.next()) }   // NaN payloads and infinities too
    case "constant": a.fill { _, _, _ in 0.1 }
    case "zeros": a.fill { _, _, _ in 0 }
    case "negative zeros": a.fill { z, y, x in (x + y) % 3 == 0 ? -0.0 : x % 2 == 0 ? 0 : smooth(z, y, x) }
    case "wide": a.fill { _, _, _ in exp(20 * r.normal()) }
    case "subnormal": a.fill { _, _, _ in r.normal() * (type == .float32 ? 1e-43 : 0x1p-1060) }
    case "spots": a.fill { z, y, x in x % 7 < 5 ? 0 : smooth(z, y, x) }
    case "huge": a.fill { z, y, x in smooth(z, y, x) * (type == .float32 ? 3e38 : 1.7e308) }
    case "decimal": a.fill { z, y, x in (smooth(z, y, x) * 3000).rounded() / 100 }
    case "near decimal":
      a.fill { z, y, x in (smooth(z, y, x) * 3000).rounded() / 100 }
      for i in 0..<a.count where r.next() % 4 == 0 { a.setBits(i, a.bits(i) ^ (r.next() & 1)) }
    default: a.fill { z, y, x in (smooth(z, y, x) * 1000).rounded() / 8 }
    }
    return a
  }

  @Test(arguments: kinds, [ScalarType.float32, .float64])
  func everyBitComesBack(kind: String, type: ScalarType) throws {
    for (n, s) in losslessShapes.enumerated() {
      let a = Self.tile(kind, s, type, seed: UInt64(n))
      var r = SplitMix64(seed: 77 + UInt64(n))
      let some = (0..<a.count).map { _ in UInt8(r.next() % 4 == 0 ? 0 : 1) }
      for mask in [nil, some, [UInt8](repeating: 0, count: a.count)] {
        let bytes = mask == nil ? LosslessCodec.encode(a, mask: nil) : LosslessCodec.encode(a, mask: mask!)
        #expect(bytes.count <= 1 + a.byteCount)
        let b = RawArray(box: a.box, type: type)
        memset(b.pointer, 0x5a, b.byteCount)
        let untouched = type == .float32 ? 0x5a5a_5a5a as UInt64 : 0x5a5a_5a5a_5a5a_5a5a
        try bytes.withUnsafeBytes { p in
          if let mask { try LosslessCodec.decode(p, into: b, mask: mask) } else { try LosslessCodec.decode(p, into: b, mask: nil) }
        }
        let bad = (0..<a.count).filter { b.bits($0) != (mask == nil || mask![$0] != 0 ? a.bits($0) : untouched) }
        #expect(bad.isEmpty, "\(s), \(bad.count) of \(a.count)")
        // Masked cells have no influence.
        if let mask {
          for i in 0..<a.count where mask[i] == 0 { b.setBits(i, r.next()) }
          #expect(LosslessCodec.encode(b, mask: mask) == bytes)
        }
      }
    }
  }

  @Test func knownSizes() {
    let s = Index3(32, 32, 32)
    func size(_ kind: String, _ type: ScalarType) -> Int { LosslessCodec.encode(Self.tile(kind, s, type, seed: 1), mask: nil).count }
    #expect(size("zeros", .float32) == 5)
    #expect(size("constant", .float64) == 9)
    #expect(size("bits", .float32) == 1 + 4 * s.product)
    // Regions of a constant cost next to nothing; smooth fields a fraction.
    #expect(size("smooth", .float32) < 2 * s.product)
    #expect(size("smooth", .float64) < 5 * s.product)
    #expect(size("decimal", .float64) < s.product)
    #expect(size("near decimal", .float64) < 5 * s.product / 4)
    // float32 values kept as float64 cost little more than as float32.
    let a = Self.tile("rough", s, .float32, seed: 3), b = RawArray(box: a.box, type: .float64)
    for i in 0..<a.count { b.bound(to: Double.self)[i] = a.value(i) }
    #expect(LosslessCodec.encode(b, mask: nil).count < LosslessCodec.encode(a, mask: nil).count * 11 / 10)
  }

  @Test(arguments: [ScalarType.float32, .float64])
  func garbageNeverCrashes(type: ScalarType) {
    let s = Index3(5, 6, 9)
    let valid = ["smooth", "rough", "wide", "spots", "constant"].map { LosslessCodec.encode(Self.tile($0, s, type, seed: 5), mask: nil) }
    let out = RawArray(box: losslessBox(s), type: type)
    for seed in 0..<2000 as Range<UInt64> {
      var r = SplitMix64(seed: seed)
      let bytes = losslessDamage(valid, &r)
      bytes.withUnsafeBytes { p in try? LosslessCodec.decode(p, into: out, mask: nil) }
    }
    #expect(throws: StreamError.self) { try LosslessCodec.decode(UnsafeRawBufferPointer(start: nil, count: 0), into: out, mask: nil) }
  }
}
