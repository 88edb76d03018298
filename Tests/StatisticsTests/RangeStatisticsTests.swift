import Fields
import Statistics
import Support
import Testing

@Suite struct RangeStatisticsTests {
  func array(_ v: [Double], _ type: ScalarType) -> RawArray {
    let a = RawArray(box: Box(shape: Index3(1, 1, v.count)), type: type)
    for (i, x) in v.enumerated() {
      if type == .float32 { a.bound(to: Float.self)[i] = Float(x) } else { a.bound(to: Double.self)[i] = x }
    }
    return a
  }

  @Test(arguments: ScalarType.allCases)
  func specialValuesAreCountedApart(type: ScalarType) {
    for n in 1...40 {
      for special in [Double.nan, .infinity, -.infinity, -9999, 0.1] {
        var v = (0..<n).map { Double($0) - 3.5 }
        v[n / 2] = special
        var s = RangeStatistics(fill: special.isFinite ? special : -9999)
        let a = array(v, type)
        s.add(a.box, of: a, type: type)
        #expect(s.validCount == n - 1 && s.specialCount == 1)
        #expect(s.nanCount == (special.isNaN ? 1 : 0) && s.infinityCount == (special.isInfinite ? 1 : 0))
        v.remove(at: n / 2)
        #expect(s.minimum == v.min() ?? .infinity && s.maximum == v.max() ?? -.infinity)
        #expect(s.range == (v.isEmpty ? 0 : v.max()! - v.min()!))
      }
    }
  }

  @Test func maskedValuesAreNeither() {
    let a = array([5, .nan, 1, -7, 2, 3, 4, 5, 6, 7, 8], .float32), m = RawArray(box: a.box, elementSize: 1)
    for i in 0..<a.count { m.bound(to: UInt8.self)[i] = i == 1 || i == 3 ? 0 : 1 }
    var s = RangeStatistics()
    s.add(a.box, of: a, type: .float32, mask: m)
    #expect(s.validCount == 9 && s.maskedCount == 2 && s.specialCount == 0 && s.minimum == 1 && s.maximum == 8)
  }

  @Test func zerosArePositive() {
    let a = array([-0.0, -0.0], .float64)
    var s = RangeStatistics()
    s.add(a.box, of: a, type: .float64)
    #expect(s.minimum.sign == .plus && s.maximum.sign == .plus && s.range == 0)
  }

  @Test func partsMerge() {
    let grid = Grid(shape: Index3(7, 9, 21))
    let a = SyntheticField.noise(seed: 2).array(grid.box, of: grid, type: .float32)
    var whole = RangeStatistics(), parts = RangeStatistics()
    whole.add(grid.box, of: a, type: .float32)
    for z in 0..<7 {
      var p = RangeStatistics()
      p.add(Box(lower: Index3(z, 0, 0), upper: Index3(z + 1, 9, 21)), of: a, type: .float32)
      parts.merge(p)
    }
    #expect(parts == whole)
  }
}
