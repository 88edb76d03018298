import Codecs
import Fields
import Observables

/// Closed forms in the bands of a lapped transform.
///
/// Means over the places of one-dimensional operators are kept: terms of different observables share them.
package final class BandForms {
  package let transform: LappedOrthogonalTransform
  private lazy var bases = (0..<3).map { axis in like[axis] < axis ? nil : LappedBasis(transform, axis: axis) }
  /// The first axis of the same extent and faces.
  private let like: [Int]
  private var known: [[(operation: AxisOperator, means: [Double])]] = [[], [], []]
  package init(_ transform: LappedOrthogonalTransform) {
    self.transform = transform
    let g = transform.grid
    like = (0..<3).map { a in (0...a).first { g.shape[$0] == g.shape[a] && g.periodic[$0] == g.periodic[a] }! }
  }

  private func means(_ operation: AxisOperator, _ any: Int) -> [Double] {
    let axis = like[any]
    if let found = known[axis].first(where: { $0.operation == operation }) { return found.means }
    let m = bases[axis]!.means(of: operation)
    known[axis].append((operation, m))
    return m
  }

  /// The mean of phi^T A phi over the basis functions of every band, phi orthonormal and A the sum of `terms`; one table of M^3 per component.
  ///
  ///     sum over terms with row = column = c of weight * prod_a mean over places of phi_a^T T_a phi_a
  ///
  /// The means of axes multiply because a band is the product of its axes' basis functions. Bands are `(fz M + fy) M + fx`; those without
  /// latents have 0.
  package func tables(_ terms: [SeparableTerm], components: Int) -> [[Double]] {
    let m = transform.blockEdge
    var g = [[Double]](repeating: [Double](repeating: 0, count: m * m * m), count: components)
    for t in terms where t.row == t.column {
      let means = (0..<3).map { self.means(t.axes[$0], $0) }
      for z in 0..<m { for y in 0..<m {
        let w = t.weight * means[0][z] * means[1][y]
        if w == 0 { continue }
        for x in 0..<m { g[t.row][(z * m + y) * m + x] += w * means[2][x] }
      } }
    }
    // Rounding may leave a hair below 0.
    return g.map { $0.map { max(0, $0) } }
  }

  /// g of every band for an observable with a separable form: for noise of variance v_b in band b, P = sum over bands of count_b g_b v_b.
  /// Masks are left out, as in `SeparableSensitivity`.
  ///
  /// - Parameter scales: as of `sensitivity(components:grid:coordinates:scales:)`; with all of them the root mean square of the
  ///   values, P is the square of the relative L2 error.
  /// - Returns: `nil` where the observable has no such form.
  package func sensitivities(_ observable: any SeparableSensitivity, components: Int, coordinates: Coordinates, scales: [Double]) -> [[Double]]? {
    let terms = observable.sensitivity(components: components, grid: transform.grid, coordinates: coordinates, scales: scales)
    return terms.isEmpty ? nil : tables(terms, components: components)
  }
}

/// The basis functions of a lapped transform along one axis: impulses in each block, synthesised.
struct LappedBasis {
  private struct Function { let band: Int, start: Int, values: [Double] }
  private let functions: [Function]
  private let edge: Int

  init(_ transform: LappedOrthogonalTransform, axis: Int) {
    let n = transform.grid.shape[axis], m = transform.blockEdge, periodic = transform.grid.periodic[axis]
    edge = m
    let line = Grid(shape: Index3(1, 1, n), dimensions: 1, periodic: .init(false, false, periodic))
    let t = LappedOrthogonalTransform(blockEdge: m, grid: line), cuts = t.blockStarts(axis: 2), blocks = cuts.count - 1
    let bands = BandWeights.bands(transform, axis: axis)
    var list: [Function] = []
    // Functions of a block reach half a block beyond it: blocks two apart do not overlap. The last one may be next to the first.
    for colour in 0..<3 {
      let members = (0..<blocks).filter { (blocks > 1 && $0 == blocks - 1 ? 2 : $0 % 2) == colour }
      for f in 0..<(members.map { cuts[$0 + 1] - cuts[$0] }.max() ?? 0) {
        let a = RawArray(box: line.box, elementSize: 8, zeroed: true), out = RawArray(box: line.box, elementSize: 8)
        let present = members.filter { f < cuts[$0 + 1] - cuts[$0] }
        for b in present { a.bound(to: Double.self)[cuts[b] + f] = 1 }
        t.synthesiseInside(a, core: line.box)
        // Across a periodic face the input has to hold the wrapped cells.
        let wide = t.synthesisInput(for: line.box), input = RawArray(box: wide, elementSize: 8)
        let p = a.bound(to: Double.self), q = input.bound(to: Double.self), v = out.bound(to: Double.self)
        for i in 0..<wide.count { q[i] = p[((wide.lower.x + i) % n + n) % n] }
        t.synthesise(input, core: line.box, into: out)
        for b in present {
          var lower = cuts[b] - m / 2, upper = cuts[b + 1] + m / 2
          if !periodic { lower = max(lower, 0); upper = min(upper, n) }
          if upper - lower > n { lower = 0; upper = n }
          list.append(Function(band: bands[cuts[b] + f], start: lower, values: (lower..<upper).map { v[(($0 % n) + n) % n] }))
        }
      }
    }
    functions = list
  }

  /// Per frequency the mean of phi^T T phi over its functions; 0 where there are none.
  func means(of operation: AxisOperator) -> [Double] {
    var sums = [Double](repeating: 0, count: edge), counts = [Int](repeating: 0, count: edge)
    for f in functions {
      sums[f.band] += form(operation, f)
      counts[f.band] += 1
    }
    return zip(sums, counts).map { $1 > 0 ? $0 / Double($1) : 0 }
  }

  /// `AxisOperator.form` cuts averages off at the ends; functions that reach across a periodic face are turned into two pieces.
  private func form(_ operation: AxisOperator, _ f: Function) -> Double {
    guard case .averages(let ranges, let weights) = operation else { return operation.form(f.values, f.values, start: f.start) }
    let n = weights.count
    return ranges.reduce(0) { sum, range in
      var s = 0.0
      for turn in [-n, 0, n] {
        let inside = (range.lowerBound + turn..<range.upperBound + turn).clamped(to: f.start..<f.start + f.values.count)
        for i in inside { s += weights[i - turn] * f.values[i - f.start] }
      }
      return sum + s * s
    }
  }
}
