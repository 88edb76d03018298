import Codecs
import Fields
import Support
import Testing

@Suite struct MaskCodecTests {
  static func plane(_ kind: Int, _ s: Index3, _ r: inout SplitMix64) -> [UInt8] {
    var c: [UInt8] = []
    for z in 0..<s.z { for y in 0..<s.y { for x in 0..<s.x {
      switch kind {
      case 0: c.append(0)
      case 1: c.append(7)
      case 2: c.append(UInt8(r.next() & 1))
      case 3: c.append(UInt8(r.next() % 201))
      case 4: c.append((x - 9) * (x - 9) + (y - 7) * (y - 7) + z * z < 60 ? 1 : 0)
      default: c.append(x + y > 30 ? 3 : z > 4 && x > 5 ? 2 : 0)
      }
    } } }
    return c
  }

  @Test(arguments: 0..<6)
  func everyCategoryComesBack(kind: Int) throws {
    for s in losslessShapes {
      var r = SplitMix64(seed: UInt64(kind))
      let c = Self.plane(kind, s, &r), box = losslessBox(s)
      let within = c.map { _ in UInt8(r.next() % 5 == 0 ? 0 : 1) }
      let bytes = MaskCodec.encode(c, box: box), part = MaskCodec.encode(c, box: box, within: within)
      var d = [UInt8](repeating: 99, count: c.count), e = d
      try bytes.withUnsafeBytes { try MaskCodec.decode($0, box: box, into: &d) }
      #expect(d == c)
      try part.withUnsafeBytes { try MaskCodec.decode($0, box: box, within: within, into: &e) }
      #expect(e == zip(c, within).map { $1 == 0 ? 0 : $0 })
      if kind == 0 { #expect(bytes.isEmpty) }
      if kind == 1 && !c.isEmpty { #expect(bytes == [1, 7]) }
    }
  }

  @Test func costs() {
    var r = SplitMix64(seed: 1)
    let s = Index3(20, 64, 64)
    #expect(MaskCodec.encode(Self.plane(4, s, &r), box: losslessBox(s)).count < 150)
    #expect(MaskCodec.encode(Self.plane(5, s, &r), box: losslessBox(s)).count < 450)
    let random = MaskCodec.encode(Self.plane(2, s, &r), box: losslessBox(s)).count
    #expect(random < s.product / 8 * 110 / 100)
  }

  @Test func garbageNeverCrashes() {
    let s = Index3(4, 7, 9), box = losslessBox(s)
    var r = SplitMix64(seed: 3)
    let valid = (1..<6).map { MaskCodec.encode(Self.plane($0, s, &r), box: box) }
    var out = [UInt8](repeating: 0, count: s.product)
    for seed in 0..<2000 as Range<UInt64> {
      var r = SplitMix64(seed: seed)
      let bytes = losslessDamage(valid, &r)
      bytes.withUnsafeBytes { p in try? MaskCodec.decode(p, box: box, into: &out) }
    }
  }

  @Test(arguments: [ScalarType.float32, .float64])
  func specialValues(type: ScalarType) throws {
    let a = RawArray(box: losslessBox(Index3(7, 8, 9)), type: type)
    var r = SplitMix64(seed: 11)
    a.fill { _, _, _ in r.normal() }
    let w: UInt64 = type == .float32 ? 0xffff_ffff : .max
    let top: UInt64 = type == .float32 ? 0x7f80_0000 : 0x7ff0_0000_0000_0000
    let odd: [UInt64] = [top, top | 1, top | (top >> 1) | 5, (w ^ (w >> 1)) | top, w, type == .float32 ? 0xc479_c000 : 0xc08f_3800_0000_0000]
    for i in 0..<a.count where i % 5 == 0 { a.setBits(i, odd[Int(r.next() % UInt64(odd.count))]) }
    // -999 is a fill value; two "ranks" see parts of it.
    var left = SpecialValues(type: type, fillBitPatterns: [odd[5]]), right = left
    try left.collect(a)
    try right.merge([top | 9])
    try left.merge(right.patterns)
    #expect(left.patterns == (odd + [top | 9]).sorted())
    var c = [UInt8](repeating: 0, count: a.count)
    let counts = left.classify(a, into: &c)
    #expect(counts.reduce(0, +) == a.count)
    #expect((0..<a.count).allSatisfy { c[$0] == 0 ? a.value($0).isFinite && a.value($0) != -999 : left.patterns[Int(c[$0]) - 1] == a.bits($0) })
    let stored = try SpecialValues(type: type, patterns: left.patterns), b = RawArray(box: a.box, type: type)
    b.copy(a.box, from: a)
    for i in 0..<b.count where c[i] != 0 { b.setBits(i, 0) }
    try stored.fill(b, categories: c)
    #expect((0..<a.count).allSatisfy { a.bits($0) == b.bits($0) })
    c[3] = 250
    #expect(throws: StreamError.self) { try stored.fill(b, categories: c) }
    #expect(throws: StreamError.self) { try SpecialValues(type: type, patterns: [2, 1]) }
    for i in 0..<a.count { a.setBits(i, top | UInt64(i + 1)) }
    #expect(throws: SpecialValues.TooMany.self) { try left.collect(a) }
  }
}
