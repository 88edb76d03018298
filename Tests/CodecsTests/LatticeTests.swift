import Codecs
import Fields
import Support
import Testing

@Suite struct LatticeTests {
  func lattice(_ type: ScalarType, _ n: Int, _ f: (Int) -> Double) -> RawArray {
    let a = RawArray(box: Box(shape: Index3(1, 1, n)), type: type)
    a.fill { _, _, x in f(x) }
    return a
  }
  func quantum(_ a: RawArray) -> DecimalLattice.Quantum? {
    var d = DecimalLattice()
    d.scan(a, mask: nil)
    return d.quantum
  }

  @Test(arguments: ScalarType.allCases)
  func found(type: ScalarType) throws {
    var r = SplitMix64(seed: 1)
    let n = 5000
    for (step, divisor, multiple) in [(0.001, 1000, 1), (0.25, 4, 1), (20, 1, 20), (0.5, 2, 1), (0.05, 100, 5), (1e-6, 1_000_000, 1)] {
      let k = (0..<n).map { _ in Int(r.next() % 60_000) - 30_000 }
      // k * step correctly rounded: by division.
      let a = lattice(type, n) { step < 1 ? Double(k[$0]) / (1 / step).rounded() : Double(k[$0]) * step }
      let q = try #require(quantum(a))
      #expect(q.divisor == divisor && q.multiple == multiple)
      var j = [Int32](repeating: 0, count: n)
      q.indices(a, mask: nil, into: &j)
      #expect(j.allSatisfy { Int($0) % multiple == 0 && Int($0) >= q.lower && Int($0) <= q.upper })
      let b = RawArray(box: a.box, type: type)
      q.values(j, mask: nil, into: b)
      #expect((0..<n).allSatisfy { a.bits($0) == b.bits($0) })
      // Any split over ranks, any order, idle ranks included: the same state.
      var whole = DecimalLattice()
      whole.scan(a, mask: nil)
      var parts = (0..<5).map { p in
        var d = DecimalLattice()
        d.scan(a, mask: (0..<n).map { p > 0 && Int($0) * 7 % 4 == p - 1 ? 1 : 0 })
        return DecimalLattice(words: d.words)
      }
      parts.shuffle(using: &r)
      let merged = parts.dropFirst().reduce(into: parts[0]) { $0.merge($1) }
      #expect(merged.words == whole.words)
    }
  }

  @Test func nearLattice() throws {
    var r = SplitMix64(seed: 8)
    let a = lattice(.float32, 3000) { _ in Double(Int(r.next() % 30_000)) / 1000 + 1e-6 * (2 * r.uniform() - 1) }
    #expect(quantum(a) == nil)
    var d = DecimalLattice(tolerance: 3e-6), coarse = DecimalLattice(tolerance: 2e-4)
    d.scan(a, mask: nil)
    coarse.scan(a, mask: nil)
    let q = try #require(d.quantum)
    #expect(q.divisor == 1000 && coarse.quantum == nil)
    var k = [Int32](repeating: 0, count: a.count)
    q.indices(a, mask: nil, into: &k)
    let b = RawArray(box: a.box, type: .float32)
    q.values(k, mask: nil, into: b)
    #expect((0..<a.count).allSatisfy { abs(a.value($0) - b.value($0)) <= 4e-6 })
  }

  @Test(arguments: ScalarType.allCases)
  func notFound(type: ScalarType) {
    var r = SplitMix64(seed: 2)
    #expect(quantum(lattice(type, 100) { _ in r.normal() }) == nil)
    #expect(quantum(lattice(type, 100) { $0 == 50 ? -0.0 : Double($0) }) == nil)
    #expect(quantum(lattice(type, 100) { $0 == 50 ? .nan : Double($0) }) == nil)
    #expect(quantum(lattice(type, 100) { $0 == 50 ? 5e6 : Double($0) }) == nil)
    #expect(quantum(lattice(type, 100) { $0 == 50 ? 0.001 : Double($0) * 10_000 }) == nil)   // range at the finer level
    #expect(quantum(lattice(type, 0) { _ in 0 }) == nil)
    #expect(quantum(lattice(type, 9) { _ in 0 })?.levels == 1)
    var d = DecimalLattice(), e = DecimalLattice()
    d.scan(lattice(type, 9) { _ in .pi }, mask: nil)
    #expect(!d.isAlive)
    e.scan(lattice(type, 9) { _ in 1 }, mask: nil)
    e.merge(d)
    #expect(!e.isAlive && e.words == d.words)
  }

  /// Packed data, n a smooth function or noise: fl(fl(n/d) + s) or fl(fl(n * fl(1/d)) + s), written out in the type.
  func packed(_ type: ScalarType, _ n: [Int], _ d: Double, _ s: Double, product: Bool) -> RawArray {
    let a = RawArray(box: Box(shape: Index3(1, 1, n.count)), type: type)
    for i in n.indices {
      if type == .float32 {
        let f: Float = product ? Float(n[i]) * (1 / Float(d)) : Float(n[i]) / Float(d)
        a.bound(to: Float.self)[i] = f + Float(s)
      } else {
        let f: Double = product ? Double(n[i]) * (1 / d) : Double(n[i]) / d
        a.bound(to: Double.self)[i] = f + s
      }
    }
    return a
  }
  func states(_ a: RawArray, parts: Int, _ r: inout SplitMix64) -> DecimalLattice {
    let n = a.count
    var masks = [[UInt8]](repeating: [UInt8](repeating: 0, count: n), count: parts)
    for i in 0..<n { masks[1 + i * 7 % (parts - 1)][i] = 1 }   // part 0 is idle
    var order = Array(0..<parts)
    func pass(_ start: DecimalLattice, _ take: (inout DecimalLattice, [UInt8]) -> Void) -> DecimalLattice {
      order.shuffle(using: &r)
      let all = order.map { p in
        var d = start
        take(&d, masks[p])
        return DecimalLattice(words: d.words)
      }
      return all.dropFirst().reduce(into: all[0]) { $0.merge($1) }
    }
    let scanned = pass(DecimalLattice()) { $0.scan(a, mask: $1) }
    return scanned.needsConfirmation ? pass(scanned) { $0.confirm(a, mask: $1) } : scanned
  }

  @Test(arguments: ScalarType.allCases, [false, true])
  func shifted(type: ScalarType, product: Bool) throws {
    var r = SplitMix64(seed: 11)
    let n = 6000
    for (d, s) in [(1000.0, -10.0), (100, 273.15), (10_000, 1), (20, -273.15), (500, 1000)] {
      let k = (0..<n).map { _ in Int(r.next() % 60_000) - 20_000 }
      let a = packed(type, k, d, s, product: product)
      var whole = DecimalLattice()
      whole.scan(a, mask: nil)
      try #require(whole.needsConfirmation && whole.quantum == nil)
      whole.confirm(a, mask: nil)
      let q = try #require(whole.quantum)
      #expect(q.divisor == Int(d) && q.multiple == 1 && !q.isPlain)
      var j = [Int32](repeating: 0, count: n)
      q.indices(a, mask: nil, into: &j)
      #expect(Int(j.min()!) == q.lower && Int(j.max()!) == q.upper)
      let b = RawArray(box: a.box, type: type)
      q.values(j, mask: nil, into: b)
      #expect((0..<n).allSatisfy { a.bits($0) == b.bits($0) })
      for parts in [2, 5, 9] { #expect(states(a, parts: parts, &r).words == whole.words) }
      // Through the codec, whatever the neighbours.
      let settings = try #require(InterpolationSettings(q))
      #expect(try InterpolationSettings(serialised: settings.serialised) == settings && settings.serialised.count == 27)
      let cap = InterpolationCodec.capacity(n)
      var classes = [UInt8](repeating: 0, count: cap), values = [Int32](repeating: 0, count: cap)
      let c = RawArray(box: a.box, type: type)
      _ = InterpolationCodec(settings: settings).encode(a, mask: nil, workspace: InterpolationWorkspace(), classes: &classes,
                                                        values: &values, reconstruction: c)
      #expect((0..<n).allSatisfy { a.bits($0) == c.bits($0) })
      // One value beside the lattice, in the last bit or by its sign, excludes it.
      for foreign in [-0.0, .pi, .nan] {
        let e = packed(type, k, d, s, product: product)
        if type == .float32 { e.bound(to: Float.self)[777] = Float(foreign) } else { e.bound(to: Double.self)[777] = foreign }
        #expect(!states(e, parts: 3, &r).isAlive)
      }
    }
  }

  @Test func shiftedRange() {
    var r = SplitMix64(seed: 12)
    let k = (0..<4000).map { _ in Int(r.next() % 9_000_000) - 4_500_000 }
    let a = packed(.float32, k, 1000, -10, product: false)
    var d = DecimalLattice()
    d.scan(a, mask: nil)
    #expect(!d.isAlive && d.quantum == nil)
    // Values of different plain lattices are not told apart before confirmation.
    let mixed = lattice(.float32, 100) { $0 == 50 ? 0.001 : Double($0) * 10_000 }
    var m = DecimalLattice()
    m.scan(mixed, mask: nil)
    m.confirm(mixed, mask: nil)
    #expect(!m.isAlive && m.quantum == nil)
    // Plain data stay plain.
    let b = packed(.float32, k.map { $0 % 30_000 }, 1000, 0, product: false)
    var e = DecimalLattice()
    e.scan(b, mask: nil)
    #expect(e.quantum?.isPlain == true && !e.needsConfirmation && e.quantum?.divisor == 1000)
  }

  /// Settings whose scale is out of bounds are refused.
  @Test func shiftedSettings() throws {
    let q = DecimalLattice.Quantum(divisor: 1000, multiple: 1, lower: 0, upper: 50_000, shift: -10, form: .product)
    let good = try #require(InterpolationSettings(q)).serialised
    #expect(good.count == 27)
    for (at, value) in [(0, UInt8(1)), (10, 0x30), (10, 0xf0), (14, 0x7f), (18, 0x7f), (26, 0x7f)] {
      var bytes = good
      bytes[at] = value
      let wrong = bytes
      #expect(throws: StreamError.self) { try InterpolationSettings(serialised: wrong) }
    }
    for n in 0..<27 { #expect(throws: StreamError.self) { try InterpolationSettings(serialised: Array(good[..<n])) } }
  }
}
