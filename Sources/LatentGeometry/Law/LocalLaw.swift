/// The dense law of one tile: the best noise covariance for D + lambda P, its rate and its limits.
///
/// D = tr(G_D S) and P = tr(G_P S) for noise of covariance S on n latents; G_lambda = G_D + lambda G_P.
public struct LocalLaw: Sendable {
  /// G_D, G_P: n x n, symmetric positive semidefinite, 1/latent^2.
  public let distortion: DenseMatrix, observable: DenseMatrix
  public init(distortion: DenseMatrix, observable: DenseMatrix) {
    precondition(distortion.rows == observable.rows)
    self.distortion = distortion.symmetrised; self.observable = observable.symmetrised
  }
  public var count: Int { distortion.rows }
  /// G_D + lambda G_P.
  public func combined(_ weight: Double) -> DenseMatrix { distortion + weight * observable }
  public func spectrum() throws -> TradeSpectrum { try TradeSpectrum(observable: observable, distortion: distortion) }
  public func errors(_ noise: DenseMatrix) -> (distortion: Double, observable: Double) {
    (DenseMatrix.inner(distortion, noise), DenseMatrix.inner(observable, noise))
  }

  /// High resolution: S = v det(G_lambda)^(1/n) G_lambda^-1 minimises D + lambda P where det S = v^n; the minimum is n v det(G_lambda)^(1/n).
  /// - Parameter volume: v = exp(-2 (rate - reference)/n), latent^2.
  public func noise(weight: Double, volume: Double = 1) throws -> DenseMatrix {
    let g = combined(weight)
    return try volume * exponential(g.logDeterminant() / Double(count)) * g.inverse()
  }
  /// n v det(G_lambda)^(1/n): no noise of that volume has a smaller D + lambda P.
  public func leastCost(weight: Double, volume: Double = 1) throws -> Double {
    try Double(count) * volume * exponential(combined(weight).logDeterminant() / Double(count))
  }

  /// Full law with the rate's own sensitivity G_R (prior: 1/variance), weights in nats per unit:
  /// S = (G_R + 2 lambda_D G_D + 2 lambda_P G_P)^-1. Noise never exceeds what the prior assumes, S <= G_R^-1.
  public func noise(rate: DenseMatrix, distortionWeight: Double, observableWeight: Double) throws -> DenseMatrix {
    try (rate + 2 * distortionWeight * distortion + 2 * observableWeight * observable).inverse()
  }
  /// Rate of Gaussian noise S under a Gaussian prior with G_R = C^-1, latents included: 1/2 (tr(G_R S) - ln det(G_R S) - n) >= 0, nats.
  public static func rate(noise: DenseMatrix, rate: DenseMatrix) throws -> Double {
    try 0.5 * (DenseMatrix.inner(rate, noise) - rate.logDeterminant() - noise.logDeterminant() - Double(noise.rows))
  }

  /// Gaussian latents of covariance C at low rate: hard reverse water-filling of K = C^1/2 G_lambda C^1/2.
  public struct Hard: Sendable {
    /// kappa, largest first, and the water level theta.
    public let variances: [Double], level: Double
    /// Noise over variance in each direction, min(1, theta/kappa), and its rate in nats.
    public let shares: [Double], rates: [Double]
    public let distortion: Double, observable: Double
  }
  /// - Parameter rate: nats in all, positive.
  public func hard(covariance: DenseMatrix, weight: Double, rate: Double) throws -> Hard {
    let root = try covariance.squareRoot()
    let (kappa, v) = try (root * combined(weight) * root).eigen()
    let filling = WaterFilling(kappa), theta = filling.level(rate: rate)
    let s = kappa.map { $0 > theta ? theta / $0 : 1 }
    let noise = root * v.scaled(rows: [Double](repeating: 1, count: count), columns: s) * v.transposed * root
    let (d, p) = errors(noise)
    return Hard(variances: kappa, level: theta, shares: s, rates: s.map { -0.5 * ln($0) }, distortion: d, observable: p)
  }

  /// det(G_D + lambda G_P)^(1/n) - det(G_D)^(1/n) - lambda det(G_P)^(1/n) >= 0, zero only for proportional metrics: no codec of volume v
  /// comes closer than n v times this to both optima at once. Minkowski's determinant inequality; a singular G_P has determinant 0.
  public func simultaneousDefect(weight: Double) throws -> Double {
    let n = Double(count)
    func root(_ g: DenseMatrix) throws -> Double {
      let w = try g.eigen().values
      return w.last! > 1e-14 * w[0] ? exponential(w.reduce(0) { $0 + ln($1) } / n) : 0
    }
    return try root(combined(weight)) - root(distortion) - weight * root(observable)
  }

  /// Lower bound on ln D(lambda)/D(0) from the dominant k-spaces only (2 k <= n); 0 where they force nothing.
  ///
  /// With c the largest principal cosine, Courant-Fischer gives k eigenvalues a >= p_k/(c^2 d_1 + (1 - c^2) d_(k+1)) and k with
  /// a <= (c^2 p_1 + (1 - c^2) p_(k+1))/d_k; q the ratio of 1 + lambda a: ln D/D0 >= (k/n) ln((1 + q)^2/(4 q)).
  public func misalignmentBound(rank k: Int, weight: Double) throws -> Double {
    precondition(k > 0 && 2 * k <= count)
    let (d, u) = try distortion.eigen(), (p, w) = try observable.eigen()
    let m = u.columns(0..<k).transposed * w.columns(0..<k)
    let c2 = min(1, max(0, try (m.transposed * m).eigen().values[0]))
    let high = p[k - 1] / (c2 * d[0] + (1 - c2) * d[k]), low = (c2 * p[0] + (1 - c2) * p[k]) / d[k - 1]
    guard high > low else { return 0 }
    let q = (1 + weight * high) / (1 + weight * low)
    return Double(k) / Double(count) * ln((1 + q) * (1 + q) / (4 * q))
  }

  /// How far given noise is from the best for D alone: AM/GM of the eigenvalues of S^1/2 G_D S^1/2, >= 1. Above D(lambda)/D(0), shaping
  /// improves D and P together.
  public func slack(noise: DenseMatrix) throws -> Double {
    let n = Double(count), mean = DenseMatrix.inner(distortion, noise) / n
    return try mean / exponential((distortion.logDeterminant() + noise.logDeterminant()) / n)
  }

  /// Loss of one static shape for all tiles, nats per tile: 1/2 (ln det mean G_t - mean ln det G_t) >= 0. Jensen.
  public static func staticShapeLoss(_ tiles: [DenseMatrix]) throws -> Double {
    let mean = 1 / Double(tiles.count) * tiles.dropFirst().reduce(tiles[0], +)
    return try 0.5 * (mean.logDeterminant() - tiles.reduce(0) { try $0 + $1.logDeterminant() } / Double(tiles.count))
  }
}

/// Metrics alpha I + beta U U^T with k-dimensional dominant spaces at known principal angles: everything in closed form.
public struct SpikedMetrics: Sendable {
  /// Latents, 2 k <= n.
  public var count: Int
  /// (alpha, beta) of G_D and of G_P.
  public var distortion: (floor: Double, spike: Double), observable: (floor: Double, spike: Double)
  /// Cosines of the k principal angles.
  public var cosines: [Double]
  public init(count: Int, distortion: (floor: Double, spike: Double), observable: (floor: Double, spike: Double), cosines: [Double]) {
    precondition(2 * cosines.count <= count)
    self.count = count; self.distortion = distortion; self.observable = observable; self.cosines = cosines
  }

  /// ln det G_lambda and tr(G_D G_lambda^-1).
  public func combined(_ weight: Double) -> (logDeterminant: Double, trace: Double) {
    let ad = distortion.floor, bd = distortion.spike
    let a = ad + weight * observable.floor, b = weight * observable.spike, rest = Double(count - 2 * cosines.count)
    var l = rest * ln(a), t = rest * ad / a
    for c in cosines {
      let trace = 2 * a + bd + b, det = a * a + a * (bd + b) + bd * b * (1 - c * c)
      let both = a * (2 * ad + bd) + bd * (ad + bd) + b * (ad + bd * c * c)
      l += ln(det)
      t += (trace * (2 * ad + bd) - both) / det
    }
    return (l, t)
  }
  /// ln D(lambda)/D(0).
  public func logDistortion(_ weight: Double) -> Double {
    let (l, t) = combined(weight), n = Double(count)
    return (l - combined(0).logDeterminant) / n + ln(t / n)
  }
  /// G_D and G_P with U = (e_1 ... e_k) and V turned from it into (e_(k+1) ... e_2k).
  public func dense() -> LocalLaw {
    let k = cosines.count
    func metric(_ m: (floor: Double, spike: Double), _ basis: (Int) -> [(Int, Double)]) -> DenseMatrix {
      var g = DenseMatrix(diagonal: [Double](repeating: m.floor, count: count))
      for j in 0..<k { for (i, x) in basis(j) { for (h, y) in basis(j) { g[i, h] += m.spike * x * y } } }
      return g
    }
    return LocalLaw(
      distortion: metric(distortion) { [($0, 1)] },
      observable: metric(observable) { [($0, cosines[$0]), ($0 + k, max(0, 1 - cosines[$0] * cosines[$0]).squareRoot())] })
  }
}
