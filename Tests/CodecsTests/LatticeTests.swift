import Codecs
import Fields
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
    var r = LosslessRandom(1)
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
    var r = LosslessRandom(8)
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
    var r = LosslessRandom(2)
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
}
