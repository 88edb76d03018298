import Statistics
import Support
import Testing

@Suite struct ExactSumTests {
  func sum(_ v: [Double]) -> ExactSum { var s = ExactSum(); for x in v { s.add(x) }; return s }

  /// IEEE addition rounds correctly, so the sum of any two doubles is known.
  @Test(arguments: [1, 2, 3] as [UInt64])
  func twoTermsRoundAsAddition(seed: UInt64) {
    var g = SplitMix64(seed: seed)
    for i in 0..<20_000 {
      var a = Double(bitPattern: g.next()), b = Double(bitPattern: g.next())
      // Near each other, far apart, subnormal, halfway.
      if i % 4 == 1 { b = a * (g.uniform() - 0.5) }
      if i % 4 == 2 { a = Double(bitPattern: g.next() >> 12 | g.next() << 63); b = Double(bitPattern: g.next() >> 11) }
      if i % 4 == 3 { a = Double(1 + g.below(1 << 53)); b = Double(g.below(64)) / 8 * (i % 8 == 3 ? 1 : -1) }
      if !a.isFinite || !b.isFinite { continue }
      let s = sum([a, b]).value
      #expect(s.bitPattern == (a + b == 0 ? 0 : a + b).bitPattern, "\(a) + \(b)")
      #expect(sum([a, b, -a]).value == b)
    }
  }

  @Test func knownSums() {
    #expect(sum([]).value.bitPattern == 0)
    #expect(sum([-0.0]).value.bitPattern == 0)
    #expect(sum([1e300, 1, -1e300]).value == 1)
    #expect(sum([1, 0x1p-53, 0x1p-1074]).value == 1 + 0x1p-52)   // just above half
    #expect(sum([1, 0x1p-53]).value == 1)                      // half, to even
    #expect(sum([-1, -0x1p-53, -0x1p-1074]).value == -1 - 0x1p-52)
    #expect(sum([.greatestFiniteMagnitude, .greatestFiniteMagnitude]).value == .infinity)
    #expect(sum([.greatestFiniteMagnitude, .greatestFiniteMagnitude, -.greatestFiniteMagnitude]).value == .greatestFiniteMagnitude)
    #expect(sum([Double](repeating: -.greatestFiniteMagnitude, count: 3)).value == -.infinity)
    #expect(sum([Double](repeating: 0.1, count: 10)).value == 1)
    #expect(sum([.leastNonzeroMagnitude, .leastNonzeroMagnitude]).value == 2 * .leastNonzeroMagnitude)
    #expect(sum([1, .infinity]).value == .infinity && sum([1, -.infinity]).value == -.infinity)
    #expect(sum([1, .infinity, -.infinity]).value.isNaN && sum([.nan, 1]).value.isNaN)
    #expect(!sum([.nan]).isFinite && sum([1]).isFinite)
  }

  /// Any order and any grouping: the same state.
  /// Many terms at once are the terms one by one: near each other, spread over all exponents, cancelling, not finite.
  @Test func manyTermsAtOnce() {
    var g = SplitMix64(seed: 4)
    for length in [0, 1, 7, 8, 1000, 1024, 1025, 5000] {
      for kind in 0..<8 {
        func term() -> Double {
          let v = g.uniform() - 0.5
          switch kind {
          case 0: return v
          case 1: return v * Double(sign: .plus, exponent: Int(g.below(60)) - 30, significand: 1)
          case 2: return v * Double(sign: .plus, exponent: Int(g.below(1800)) - 900, significand: 1)
          case 3: return Double(bitPattern: g.next() >> 12)
          case 4: return g.below(3) == 0 ? 1e300 : v
          case 5: return g.below(900) == 0 ? (g.below(2) == 0 ? .infinity : .nan) : v
          case 6: return 0
          default: return v * 1e-310
          }
        }
        let x = (0..<length).map { _ in term() }, y = (0..<length).map { _ in term() }
        var plain = sum([1.5]), squares = plain, differences = plain, products = plain
        for (a, b) in zip(x, y) { plain.add(a); squares.add(a * a); differences.add((a - b) * (a - b)); products.add(a * b) }
        var many = [ExactSum](repeating: sum([1.5]), count: 4)
        many[0].add(contentsOf: x); many[1].addSquares(of: x); many[2].addSquares(of: x, minus: y)
        x.withUnsafeBufferPointer { x in y.withUnsafeBufferPointer { many[3].addProducts(x, $0) } }
        for (a, b) in zip(many, [plain, squares, differences, products]) {
          #expect(a.isFinite == b.isFinite && (!a.isFinite || a == b) && a.nonFinite == b.nonFinite, "kind \(kind), \(length) terms")
        }
      }
    }
  }

  @Test func groupingDoesNotMatter() {
    var g = SplitMix64(seed: 9)
    let v = (0..<3000).map { _ in (g.uniform() - 0.5) * Double(sign: .plus, exponent: g.below(400) - 200, significand: 1) }
    let whole = sum(v)
    for parts in [1, 2, 7, 500] {
      let shuffled = v.shuffled(using: &g)
      var groups = [ExactSum](repeating: ExactSum(), count: parts)
      for (i, x) in shuffled.enumerated() { groups[i % parts].add(x) }
      var merged = ExactSum()
      for s in groups.shuffled(using: &g) { merged.merge(s) }
      #expect(merged == whole && merged.value.bitPattern == whole.value.bitPattern)
    }
    // Doubling by merging 40 times stays exact: 2^40 terms.
    var s = sum([-0.1])
    for _ in 0..<40 { let t = s; s.merge(t) }
    #expect(s.value == -0.1 * 0x1p40)
  }
}
