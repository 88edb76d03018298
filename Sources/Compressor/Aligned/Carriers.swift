import Codecs
import Fields
import LatentGeometry
import MPI
import Observables
import Reduction
import Statistics

/// Shaping of the noise for observables of few values (S2): nearest plane with the most sensitive bands, the *carriers*, rounded last.
///
/// All other latents are rounded as always; what that does to the observables, r, is made up for by the carriers, whose steps are fine:
///
///     d = argmin sum_j |r_j + J_j T^T d|^2 / (t_j |o_j|)^2,  d 0 but for the carriers;  y^ = Q(y + d)
///
/// which is THEORY 3's sequence of roundings with the last block solved exactly: G = I + lambda J^T J has large entries between carriers
/// and the rest wherever an average straddles blocks. The decoder sees steps of bands only.
/// - Source: Babai, On Lovasz' lattice reduction and the nearest lattice point problem (1986).
struct Carriers {
  let latents: any ShapedLatents
  let judge: Judge
  /// Observables that are carried.
  let observables: [Int]
  /// Per array of this rank, offsets of the carriers.
  private let places: [[Int]]

  /// - Parameter bands: `[component of the field][band]`.
  init(_ bands: [[Bool]], for observables: [Int], _ judge: Judge, _ latents: any ShapedLatents) {
    self.judge = judge; self.latents = latents; self.observables = observables
    let exact = latents.exactBand
    places = latents.arrays.indices.map { i in
      let own = bands[latents.arrays[i].component]
      var list: [Int] = []
      if own.contains(true) { latents.eachBand(of: i) { if own[$1] || $1 == exact { list.append($0) } } }
      return list
    }
  }

  /// The change of the carriers that makes up for `residuals`, by conjugate gradients, and the relative errors it would leave.
  ///
  /// - Collective: all ranks.
  func correction(_ residuals: [ObservableValue], ranks: borrowing Communicator) throws -> (change: [[Double]], left: [Double]) {
    var left = residuals
    var x = places.map { [Double](repeating: 0, count: $0.count) }
    var s = try gradient(left, ranks: ranks).map { $0.map { -$0 } }
    var p = s, square = try dot(s, s)
    let start = square
    for _ in 0..<Carriers.iterations where square > 1e-12 * start && square > 0 {
      let v = try latents.synthesis(of: dense(p), ranks: ranks)
      let moved = try judge.kept.indices.map { j in
        observables.contains(j) ? try judge.kept[j].observable.tangent(at: judge.original, along: v, on: judge.domain) : left[j]
      }
      let q = try gradient(moved, ranks: ranks), curvature = try dot(p, q)
      guard curvature > 0 else { break }
      let alpha = square / curvature
      for u in x.indices { for i in x[u].indices { x[u][i] += alpha * p[u][i]; s[u][i] -= alpha * q[u][i] } }
      for j in observables { left[j] = left[j].plus(alpha, moved[j]) }
      let next = try dot(s, s)
      for u in p.indices { for i in p[u].indices { p[u][i] = s[u][i] + next / square * p[u][i] } }
      square = next
    }
    return (x, try judge.errors(left))
  }
  private static let iterations = 30

  /// sum_j T J_j^T r_j / (t_j |o_j|)^2 on the carriers.
  ///
  /// - Collective: all ranks.
  private func gradient(_ residuals: [ObservableValue], ranks: borrowing Communicator) throws -> [[Double]] {
    var sum: FieldParts?
    for j in observables {
      let weight = 1 / (judge.kept[j].target * judge.kept[j].target * max(judge.norms[j].square, .leastNormalMagnitude))
      let h = try judge.kept[j].observable.adjoint(at: judge.original, of: residuals[j].times(weight), on: judge.domain)
      sum = sum.map { combined($0, 1, h) } ?? h
    }
    let all = try latents.analysis(of: sum!, ranks: ranks)
    return zip(places, all).map { list, a in
      let v = a.bound(to: Double.self)
      return list.map { v[$0] }
    }
  }

  /// - Collective: all ranks.
  private func dot(_ a: [[Double]], _ b: [[Double]]) throws -> Double {
    var sum = ExactSum()
    // Exact: arrays may be cut by ranks.
    for (x, y) in zip(a, b) { x.withUnsafeBufferPointer { x in y.withUnsafeBufferPointer { sum.addProducts(x, $0) } } }
    return try judge.domain.merged(sum).value
  }

  /// Arrays that are 0 but for the carriers.
  func dense(_ sparse: [[Double]]) -> [RawArray] {
    let arrays = latents.arrays
    return sparse.indices.map { i in
      let a = RawArray(box: arrays[i].box, elementSize: 8, zeroed: true)
      for (k, place) in places[i].enumerated() { a.bound(to: Double.self)[place] = sparse[i][k] }
      return a
    }
  }
}
