import Testing
@testable import Codecs

@Suite struct WeightFitTests {
  @Test func nonNegativeLeastSquaresExactCases() {
    // Unconstrained optimum inside: x = (1, 2).
    var x = nonNegativeLeastSquares(gram: [[2, 1], [1, 3]], rhs: [4, 7])
    #expect(abs(x[0] - 1) < 1e-12 && abs(x[1] - 2) < 1e-12)
    // Unconstrained optimum (2, -1): on the boundary x2 = 0, x1 = 3 / 2.
    x = nonNegativeLeastSquares(gram: [[2, 1], [1, 3]], rhs: [3, -1])
    #expect(abs(x[0] - 1.5) < 1e-12 && x[1] == 0)
    // Everything negative.
    #expect(nonNegativeLeastSquares(gram: [[1, 0], [0, 1]], rhs: [-1, -2]) == [0, 0])
    // Three variables, one leaves the free set again: optimality conditions hold.
    let a = [[4.0, 3.9, 0.1], [3.9, 4, 0.2], [0.1, 0.2, 1]], b = [4.0, 4.2, 0.1]
    x = nonNegativeLeastSquares(gram: a, rhs: b)
    for i in 0..<3 {
      let g = b[i] - (0..<3).reduce(0.0) { $0 + a[i][$1] * x[$1] }
      #expect(x[i] >= 0 && (x[i] > 0 ? abs(g) < 1e-10 : g <= 1e-10))
    }
  }

  @Test func recoversWeights() {
    // |v| = 4 (0.5 f0 + 0.25 f2), scale 4.
    var rows = FitRows(width: 4, unit: 1), state: UInt32 = 1
    for _ in 0..<500 {
      var f: [UInt16] = []
      for _ in 0..<3 { state = state &* 1664525 &+ 1013904223; f.append(UInt16(state >> 24) * 8) }
      rows.features += f + [1]
      rows.values.append(Int32(2 * Int(f[0]) + Int(f[2])) * (state & 4096 == 0 ? 1 : -1))
    }
    rows.scales = [Double](repeating: 4, count: 500)
    rows.groups = [UInt8](repeating: 1, count: 500)
    var w: [Double]?
    for _ in 0..<3 {
      var e = NormalEquations(groups: 2, features: 4)
      e.add(rows, weights: w)
      #expect(e.rows(ofGroup: 0) == 0 && e.rows(ofGroup: 1) == 500)
      let s = e.solve()
      #expect(s[0] == nil)
      w = [0, 0, 0, 0] + (s[1] ?? [0, 0, 0, 0])
    }
    #expect(abs(w![4] - 0.5) < 0.01 && w![5] < 0.01 && abs(w![6] - 0.25) < 0.01)
  }

  @Test func codes() {
    #expect(WeightCode.linear(0.5) == 32 && WeightCode.linear(-1) == 0 && WeightCode.linear(9) == 63)
    for c in 0..<64 where WeightCode.constantValue(UInt8(c)) != WeightCode.constantValue(UInt8(max(0, c - 1))) {
      #expect(WeightCode.constant(WeightCode.constantValue(UInt8(c))) == UInt8(c))
    }
  }
}
