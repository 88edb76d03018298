@testable import Codecs
import Fields
import Testing

@Suite struct NetworkDerivativeTests {
  private static func doubles(_ box: Box, _ seed: UInt64, _ size: Float = 1) -> RawArray {
    let a = RawArray(box: box, elementSize: 8)
    for (i, v) in NetworkTests.random(a.count, seed, size).enumerated() { a.bound(to: Double.self)[i] = Double(v) }
    return a
  }
  private static func values(_ a: RawArray) -> [Double] { Array(UnsafeBufferPointer(start: a.bound(to: Double.self), count: a.count)) }
  private static func dot(_ a: [RawArray], _ b: [RawArray]) -> Double {
    zip(a, b).reduce(0) { $0 + zip(values($1.0), values($1.1)).reduce(0) { $0 + $1.0 * $1.1 } }
  }

  @Test(arguments: NetworkTests.cases) func adjointBelongsToTangent(_ c: NetworkTests.Case) {
    let n = c.network, whole = c.grid.box, p = n.shape.patches
    // All of the grid, and a part whose surroundings are there.
    let cores = [whole, Box(lower: Index3(0, p.y, p.x), upper: Index3(whole.upper.z, min(whole.upper.y, 3 * p.y), min(whole.upper.x, 4 * p.x - 1)))]
    for core in cores {
      let wide = core.dilated(by: n.shape.reach, in: c.grid)
      let w = (0..<c.components).map { NetworkDerivativeTests.doubles(wide, UInt64(40 + $0)) }
      let d = NetworkDerivative(n, at: w, core: core, unit: 0.3)
      let v = (0..<c.components).map { NetworkDerivativeTests.doubles(wide, UInt64(50 + $0)) }
      let r = (0..<c.components).map { NetworkDerivativeTests.doubles(core, UInt64(60 + $0)) }
      let t = d.tangent(v), left = NetworkDerivativeTests.dot(t, r), right = NetworkDerivativeTests.dot(v, d.adjoint(r))
      let size = (NetworkDerivativeTests.dot(t, t) * NetworkDerivativeTests.dot(r, r)).squareRoot()
      #expect(abs(left - right) <= 1e-6 * size, "\(core): \(left) and \(right)")
    }
  }

  /// The correction is piecewise linear in its values: differences far below the distance to the next kink are the tangent.
  @Test(arguments: NetworkTests.cases) func tangentIsThatOfDifferences(_ c: NetworkTests.Case) {
    let n = c.network, core = c.grid.box, wide = core.dilated(by: n.shape.reach, in: c.grid), unit = 0.3, h = 1e-3
    let w = (0..<c.components).map { NetworkDerivativeTests.doubles(wide, UInt64(40 + $0)) }
    let v = (0..<c.components).map { NetworkDerivativeTests.doubles(wide, UInt64(70 + $0)) }
    func moved(_ by: Double) -> [RawArray] {
      zip(w, v).map { w, v in
        let a = RawArray(box: wide, elementSize: 8)
        for i in 0..<a.count { a.bound(to: Double.self)[i] = w.bound(to: Double.self)[i] + by * v.bound(to: Double.self)[i] }
        return a
      }
    }
    let t = NetworkDerivative(n, at: w, core: core, unit: unit).tangent(v)
    let above = n.corrected(moved(h), core: core, unit: unit), below = n.corrected(moved(-h), core: core, unit: unit)
    var error = 0.0, size = 0.0
    for k in 0..<c.components {
      let own = RawArray(box: core, elementSize: 8)
      own.copy(core, from: v[k])
      for i in 0..<core.count {
        let slope = (above[k].bound(to: Double.self)[i] - below[k].bound(to: Double.self)[i]) / (2 * h) - own.bound(to: Double.self)[i]
        let e = slope - t[k].bound(to: Double.self)[i]
        error += e * e
        size += slope * slope
      }
    }
    #expect(error <= 1e-4 * size, "\((error / size).squareRoot())")
  }
}
