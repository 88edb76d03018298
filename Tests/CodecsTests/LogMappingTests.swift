import Codecs
import Fields
import Foundation
import Support
import Testing

@Suite struct LogMappingTests {
  @Test func accuracy() {
    var r = SplitMix64(seed: 4), worst = 0.0, back = 0.0
    for _ in 0..<200_000 {
      let x = Double(bitPattern: (r.next() >> 1) % 0x7ff0_0000_0000_0000)
      if x == 0 { continue }
      let y = LogMapping.log2(x)
      worst = max(worst, abs(y - log2(x)) / max(1, abs(y)))
      if x > 1e-300 && x < 1e300 {
        let z = LogMapping.exp2(y)
        back = max(back, abs(z / x - 1) / max(1, abs(y)))
      }
    }
    #expect(worst < 1e-15)
    #expect(back < 1e-15)
    for e in -1074...1023 {
      let p = Double(sign: .plus, exponent: e, significand: 1)
      #expect(LogMapping.log2(p) == Double(e) && LogMapping.exp2(Double(e)) == p)
    }
    for bad in [Double.nan, .infinity, -.infinity, 1e300, -1e300, 5000, -5000] {
      let v = LogMapping.exp2(bad)
      #expect(v.isFinite && v >= 0)
    }
  }

  @Test func monotoneOnFloat32() {
    var r = SplitMix64(seed: 5)
    for _ in 0..<100_000 {
      let b = UInt32(truncatingIfNeeded: r.next()) % 0x7f7f_fffe + 1
      #expect(LogMapping.log2(Double(Float(bitPattern: b))) < LogMapping.log2(Double(Float(bitPattern: b + 1))))
    }
    // Around the change of octave.
    for b in Float(2).squareRoot().bitPattern - 2000 ..< Float(2).squareRoot().bitPattern + 2000 {
      #expect(LogMapping.log2(Double(Float(bitPattern: b))) < LogMapping.log2(Double(Float(bitPattern: b + 1))))
    }
  }

  @Test(arguments: ScalarType.allCases, [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6])
  func relativeBoundHolds(type: ScalarType, e: Double) throws {
    let box = losslessBox(Index3(16, 18, 20)), a = RawArray(box: box, type: type), n = box.count
    var r = SplitMix64(seed: 6)
    for i in 0..<n {
      let tiny = type == .float32 ? 1e-42 : 0x1p-1045
      let v: Double = i % 9 == 0 ? 0 : i % 31 == 0 ? r.normal() * tiny : i % 37 == 0 ? (type == .float32 ? 3.4e38 : 1.79e308) : r.normal() * exp(r.normal() * 10)
      if type == .float32 { a.bound(to: Float.self)[i] = Float(i % 18 == 0 ? -v : v) } else { a.bound(to: Double.self)[i] = i % 18 == 0 ? -v : v }
    }
    var special = SpecialValues(type: type, fillBitPatterns: LogMapping.zeroPatterns(type))
    try special.collect(a)
    var c = [UInt8](repeating: 0, count: n)
    special.classify(a, into: &c)
    let mask = c.map { UInt8($0 == 0 ? 1 : 0) }, lt = LogMapping.logType(type, relativeBound: e)
    let (log, negative, zero) = LogMapping.forward(a, mask: mask, logType: lt)
    #expect(zero.allSatisfy { $0 == 0 })
    let d = LogMapping.bound(type, relativeBound: e)
    #expect(d > 0.5 * e)
    // Errors up to the bound, as a codec would make them.
    for i in 0..<n {
      let v = log.value(i) + (i % 3 == 0 ? d : i % 3 == 1 ? -d : d * (2 * r.uniform() - 1))
      if lt == .float32 {
        // Not past the bound by rounding.
        var f = Float(v)
        while abs(Double(f) - log.value(i)) > d { f = Double(f) > log.value(i) ? f.nextDown : f.nextUp }
        log.bound(to: Float.self)[i] = f
      } else { log.bound(to: Double.self)[i] = v }
    }
    let plane = MaskCodec.encode(negative, box: box, within: mask)
    var signs = [UInt8](repeating: 0, count: n)
    try plane.withUnsafeBytes { try MaskCodec.decode($0, box: box, within: mask, into: &signs) }
    let b = RawArray(box: box, type: type)
    LogMapping.inverse(log, negative: signs, mask: mask, into: b)
    try special.fill(b, categories: c)
    let normal = type == .float32 ? Double(Float.leastNormalMagnitude) : Double.leastNormalMagnitude
    for i in 0..<n where abs(a.value(i)) >= normal && !(abs(a.value(i) - b.value(i)) <= e * abs(a.value(i))) {
      Issue.record("\(a.value(i)) \(b.value(i)) \(abs(a.value(i) - b.value(i)) / abs(a.value(i)))")
    }
    let before = RawArray(box: box, type: type)
    before.copy(box, from: b)
    let bytes = OutlierCodec.encodeRelative(original: a, decoded: b, mask: mask, bound: e)
    #expect((0..<n).allSatisfy { abs(a.value($0) - b.value($0)) <= e * abs(a.value($0)) })
    try bytes.withUnsafeBytes { try OutlierCodec.decode($0, decoded: before, bound: e) }
    #expect((0..<n).allSatisfy { before.bits($0) == b.bits($0) })
    #expect((0..<n).allSatisfy { mask[$0] == 1 || a.bits($0) == b.bits($0) })
  }
}
