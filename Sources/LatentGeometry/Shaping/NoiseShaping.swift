/// Encode-time alignment of one block of latents with steps, feedback or a rotation, for an unchanged decoder.
///
/// G is the combined sensitivity G_D + lambda G_P of the block (n x n, positive definite, 1/latent^2), `step` the step Delta of an
/// orthonormal isotropic codec of the same rate; the optimum at that rate is n Delta^2/12 det(G)^(1/n).
public enum NoiseShaping {
  /// The same step everywhere: D + lambda P is AM(g_ii)/det(G)^(1/n) times the optimum.
  case uniform
  /// Steps ~ g_ii^-1/2: GM(g_ii)/det(G)^(1/n) times the optimum, Hadamard's ratio.
  case diagonal
  /// Steps ~ 1/r_ii of G = R^T R with sequential rounding and feedback: the optimum.
  case nearestPlane

  /// Steps whose product is Delta^n.
  public func steps(_ g: DenseMatrix, step: Double) throws -> [Double] {
    let inverse: [Double] = switch self {
    case .uniform: [Double](repeating: 1, count: g.rows)
    case .diagonal: g.diagonal.map { 1 / $0.squareRoot() }
    case .nearestPlane: try g.cholesky().diagonal.map { 1 / $0 }
    }
    // Ratios to the first, so that equal ones give the given step to the last bit.
    let ratios = inverse.map { $0 / inverse[0] }, mean = exponential(ratios.reduce(0) { $0 + ln($1) } / Double(g.rows))
    return ratios.map { step * $0 / mean }
  }
  /// ln of the expected D + lambda P over the optimum at the same rate, >= 0.
  public func logExcess(_ g: DenseMatrix) throws -> Double {
    let n = Double(g.rows), det = try g.logDeterminant() / n, d = g.diagonal
    return switch self {
    case .uniform: ln(d.reduce(0, +) / n) - det
    case .diagonal: d.reduce(0) { $0 + ln($1) } / n - det
    case .nearestPlane: 0
    }
  }
  /// ln of D + lambda P per n that steps of product Delta^n cost: optimum times excess.
  public func logCost(_ g: DenseMatrix, step: Double) throws -> Double {
    try ln(Double(g.rows) * step * step / 12) + g.logDeterminant() / Double(g.rows) + logExcess(g)
  }
}

/// Rounding to the nearest plane: y^_i = Delta_i round(c_i/Delta_i), c_i = y_i - sum_(j > i) R_ij (y^_j - y_j)/r_ii, i = n ... 1.
///
/// With Delta_i = Delta/r_ii the error R (y^ - y) is uniform in a cube of side Delta. For a diagonal G plain rounding, bit for bit.
/// - Source: Babai, On Lovasz' lattice reduction and the nearest lattice point problem (1986).
public struct NearestPlane: Sendable {
  /// Upper triangular R of G = R^T R.
  public let factor: DenseMatrix
  public let steps: [Double]
  public init(metric: DenseMatrix, steps: [Double]) throws {
    precondition(metric.rows == steps.count)
    factor = try metric.cholesky(); self.steps = steps
  }

  /// Symbols of a block; the decoder's value is symbol times step.
  ///
  /// At low rate a symbol may go to the smaller magnitude: that of least (r_ii (y^_i - c_i))^2 + slope bits(i, symbol).
  /// - Parameter bits: price of a symbol at position i.
  /// - Parameter slope: D units per bit; 0 rounds to nearest.
  /// - Complexity: n^2/2.
  public func symbols(_ y: [Double], slope: Double = 0, bits: (Int, Int) -> Double = { _, _ in 0 }) -> [Int] {
    let n = y.count
    var q = [Int](repeating: 0, count: n), e = [Double](repeating: 0, count: n)
    for i in (0..<n).reversed() {
      var feedback = 0.0
      for j in i + 1..<max(n, i + 1) where factor[i, j] != 0 { feedback += factor[i, j] * e[j] }
      let c = feedback == 0 ? y[i] : y[i] - feedback / factor[i, i]
      let exact = c / steps[i]
      var k = Int(exact.rounded(.toNearestOrEven))
      if slope > 0 {
        func price(_ s: Int) -> Double {
          let d = factor[i, i] * steps[i] * (Double(s) - exact)
          return d * d + slope * bits(i, s)
        }
        let inward = Int(exact.rounded(.towardZero))
        if inward != k && price(inward) < price(k) { k = inward }
      }
      q[i] = k
      e[i] = Double(k) * steps[i] - y[i]
    }
    return q
  }
  public func values(_ symbols: [Int]) -> [Double] { zip(symbols, steps).map { Double($0) * $1 } }
}

/// The generalised Karhunen-Loeve transform of Gaussian latents: K = C^1/2 G C^1/2 = V kappa V^T, coefficients V^T C^-1/2 y of unit
/// variance with steps sqrt(12 theta/kappa_i); directions with kappa_i < theta are not coded. Right at low rate too.
public struct GeneralisedKLT: Sendable {
  /// kappa, largest first.
  public let variances: [Double]
  /// Rows: V^T C^-1/2, and columns C^1/2 V; their product is I.
  public let analysis: DenseMatrix, synthesis: DenseMatrix

  public init(covariance: DenseMatrix, metric: DenseMatrix) throws {
    let root = try covariance.squareRoot()
    let (kappa, v) = try (root * metric.symmetrised * root).eigen()
    variances = kappa
    analysis = try v.transposed * covariance.function { 1 / $0.squareRoot() }
    synthesis = root * v
  }
  /// With the eigenvectors of G only: rotations for any C.
  public init(rotationOf metric: DenseMatrix) throws { try self.init(covariance: .identity(metric.rows), metric: metric) }

  /// Steps of the coefficients at water level theta; nil: not coded.
  public func steps(level theta: Double) -> [Double?] { variances.map { $0 > theta ? (12 * theta / $0).squareRoot() : nil } }
  /// Nats of a Gaussian source, and D + lambda P, at level theta.
  public func rate(level theta: Double) -> Double { WaterFilling(variances).rate(level: theta) }
  public func cost(level theta: Double) -> Double { variances.reduce(0) { $0 + min($1, theta) } }
  /// What coding rotated coefficients one by one loses: 1/2 ln(prod C'_ii / det C') >= 0, nats; 0 for the transform made for C.
  public func scalarCodingLoss(covariance: DenseMatrix) throws -> Double {
    let c = analysis * covariance * analysis.transposed
    return try 0.5 * (c.diagonal.reduce(0) { $0 + ln($1) } - c.logDeterminant())
  }
}
