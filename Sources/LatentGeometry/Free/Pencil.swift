import Statistics

/// The eigenproblem G_P w = a G_D w through products only.
///
/// - Collective: all methods.
public struct Pencil {
  public enum Metric {
    /// G_D = d I.
    case identity(Double)
    /// G_D as an operator, and random vectors of covariance G_D by seed and stream.
    case general(apply: (Flat) throws -> Flat, noise: (UInt64, UInt64) throws -> Flat)
  }
  public let space: LatentSpace
  public let observable: (Flat) throws -> Flat
  public let metric: Metric
  public init(space: LatentSpace, observable: @escaping (Flat) throws -> Flat, metric: Metric) {
    self.space = space; self.observable = observable; self.metric = metric
  }

  public func distortion(_ z: Flat) throws -> Flat {
    switch metric {
    case .identity(let d): scaled(z, d)
    case .general(let apply, _): try apply(z)
    }
  }
  /// G_D^-1 r. Conjugate gradients to a residual of 1e-12 |r|, at most 500 steps.
  /// - Throws: `MatrixError.noConvergence` where that leaves more than 1e-6 |r|: a G_D too near to singular.
  public func solved(_ r: Flat) throws -> Flat {
    guard case .general(let apply, _) = metric else { return scaled(r, 1 / distortionScale) }
    var x = Flat(repeating: 0, count: r.count), residual = r, p = r
    var rr = try space.dot(r, r)
    let target = rr * 1e-24
    for _ in 0..<500 where rr > target {
      let g = try apply(p), alpha = try rr / space.dot(p, g)
      axpy(alpha, p, to: &x)
      axpy(-alpha, g, to: &residual)
      let next = try space.dot(residual, residual), beta = next / rr
      p = zip(residual, p).map { $0 + beta * $1 }
      rr = next
    }
    guard rr <= target * 1e12 else { throw MatrixError(code: .noConvergence, info: 500) }
    return x
  }
  private var distortionScale: Double { if case .identity(let d) = metric { d } else { 1 } }

  /// A random vector of covariance G_D^-1: E[v^T G_D f(G_D^-1 G_P) v] = tr f(A).
  func probe(seed: UInt64, stream: UInt64) throws -> Flat {
    switch metric {
    case .identity(let d): scaled(space.signs(seed: seed, stream: stream), 1 / d.squareRoot())
    case .general(_, let noise): try solved(noise(seed, stream))
    }
  }

  /// tr A and tr A^2 of A = G_D^-1/2 G_P G_D^-1/2 from random probes, one pair per probe.
  public struct Traces: Sendable {
    public let first: [Double], second: [Double]
    public let count: Int
    public var trace: Double { average(first) }
    public var squareTrace: Double { average(second) }
    /// CV^2 = n tr A^2/(tr A)^2 - 1.
    public var relativeVariance: Double { max(0, Double(count) * squareTrace / (trace * trace) - 1) }
    public var standardError: (trace: Double, squareTrace: Double) { (deviation(first), deviation(second)) }
    private func average(_ v: [Double]) -> Double { v.reduce(0, +) / Double(v.count) }
    private func deviation(_ v: [Double]) -> Double {
      let m = average(v)
      return (v.reduce(0) { $0 + ($1 - m) * ($1 - m) } / Double(max(1, v.count - 1) * v.count)).squareRoot()
    }
  }
  /// Hutchinson: E v^T G_P v = tr A, E (G_P v)^T G_D^-1 (G_P v) = tr A^2. For signs, variance of the first 2 (|A|_F^2 - sum a_ii^2).
  public func traces(probes: Int, seed: UInt64) throws -> Traces {
    var first: [Double] = [], second: [Double] = []
    for k in 0..<probes {
      let v = try probe(seed: seed, stream: UInt64(k)), g = try observable(v)
      first.append(try space.dot(v, g))
      second.append(try space.dot(g, solved(g)))
    }
    return Traces(first: first, second: second, count: space.count)
  }
  /// Hutch++ for an identity metric: the trace on the range of A times `probes` random vectors exactly, the rest by probes.
  /// - Source: Meyer, Musco, Musco, Woodruff, Hutch++ (2021), arXiv:2010.09649.
  public func improvedTrace(probes: Int, seed: UInt64) throws -> Double {
    guard case .identity(let d) = metric else { preconditionFailure("Hutch++ takes an identity metric") }
    let sketch = try (0..<probes).map { try observable(space.signs(seed: seed, stream: 1 << 32 | UInt64($0))) }
    let q = try space.orthonormalised(sketch).columns
    let exact = try InnerProducts.pairwise(q, q.map(observable), reducer: space.reducer).reduce(0, +)
    var rest = 0.0
    for k in 0..<probes {
      let v = space.signs(seed: seed, stream: 2 << 32 | UInt64(k))
      let c = try InnerProducts.gram(q, [v], reducer: space.reducer)
      var w = v
      for i in q.indices { axpy(-c[i, 0], q[i], to: &w) }
      rest += try space.dot(w, observable(w)) / Double(probes)
    }
    return (exact + rest) / d
  }

  /// Stochastic Lanczos quadrature: the spectrum of A as weighted samples, one list per probe. Pool them (`TradeSpectrum(pooling:)`) for
  /// estimates of mean ln(1 + lambda a), mean 1/(1 + lambda a) and with them of the whole law; single probes give their spread.
  ///
  /// Lanczos in the inner product of G_D with full reorthogonalisation.
  /// - Parameter steps: Lanczos steps, 20 to 40; stops earlier when an invariant space is found.
  /// - Source: Ubaru, Chen, Saad, Fast estimation of tr(f(A)) via stochastic Lanczos quadrature (2017).
  public func quadrature(probes: Int, steps: Int, seed: UInt64) throws -> [TradeSpectrum] {
    try (0..<probes).map { k in
      var q: [Flat] = [], dual: [Flat] = []   // q_i and G_D q_i
      var alpha: [Double] = [], beta: [Double] = []
      var v = try probe(seed: seed, stream: 3 << 32 | UInt64(k)), g = try distortion(v)
      let norm = try space.dot(v, g), start = norm.squareRoot()
      v = scaled(v, 1 / start); g = scaled(g, 1 / start)
      for step in 0..<min(steps, space.count) {
        q.append(v); dual.append(g)
        let w = try observable(v)          // G_P q
        alpha.append(try space.dot(v, w))
        if step == min(steps, space.count) - 1 { break }
        var u = try solved(w)              // G_D^-1 G_P q
        for _ in 0..<2 {
          let c = try InnerProducts.gram(dual, [u], reducer: space.reducer)
          for i in q.indices { axpy(-c[i, 0], q[i], to: &u) }
        }
        let gu = try distortion(u), b = try max(0, space.dot(u, gu)).squareRoot()
        if b <= 1e-11 * alpha.map(abs).max()! { break }
        beta.append(b)
        v = scaled(u, 1 / b); g = scaled(gu, 1 / b)
      }
      let m = alpha.count
      let t = DenseMatrix(rows: m, columns: m) { i, j in i == j ? alpha[i] : abs(i - j) == 1 ? beta[min(i, j)] : 0 }
      let (a, z) = try t.eigen()
      let agreed = try space.reducer.agreed(a + (0..<m).map { z[0, $0] * z[0, $0] * norm / Double(space.count) })
      // All probes together stand for n directions.
      let floor = 1e-14 * agreed[0]
      return TradeSpectrum(agreed[..<m].map { $0 > floor ? $0 : 0 }, weights: agreed[m...].map { $0 * Double(space.count) / Double(probes) })
    }
  }
}
