import Statistics

/// The dominant eigenspace of a symmetric positive semidefinite operator, approximately.
public struct Subspace {
  /// Ritz values, largest first, and orthonormal Ritz vectors: the k asked for and the oversampling.
  public let values: [Double]
  public let vectors: [Flat]
  /// |H q - theta q| of each.
  public let residuals: [Double]
  /// How many were asked for.
  public let rank: Int
  public let iterations: Int
  public let converged: Bool
  /// Whether an ill-conditioned block needed the shifted factorisation.
  public let shifted: Bool
}

extension LatentSpace {
  /// Orthonormal columns of the same span: Cholesky QR, twice; where the Gram matrix has no factor or its condition exceeds 1e7^2, first with
  /// the shift 11 (n s + s (s + 1)) u |Y|^2 on its diagonal.
  ///
  /// A block of deficient rank is filled up with random columns.
  /// - Collective: all participants.
  /// - Source: Fukaya, Kannan, Nakatsukasa, Yamamoto, Yanagisawa, Shifted Cholesky QR (2020).
  public func orthonormalised(_ block: [Flat], seed: UInt64 = 0) throws -> (columns: [Flat], shifted: Bool) {
    var y = block, shifted = false
    let s = Double(y.count), n = Double(count)
    for attempt in 0..<8 {
      // Columns of equal length: a scaling costs nothing and spares the condition number.
      let lengths = try InnerProducts.pairwise(y, y, reducer: reducer).map { $0.squareRoot() }
      for j in y.indices {
        y[j] = lengths[j] > 0 ? scaled(y[j], 1 / lengths[j]) : gaussians(seed: seed, stream: 5 << 32 | UInt64(attempt * 4096 + j))
      }
      if lengths.contains(0) { continue }
      let gram = try InnerProducts.gram(y, y, symmetric: true, reducer: reducer)
      let plain = try factor(gram)
      if let r = plain, r.triangularCondition() <= 1e7 {
        y = combined(y, r.upperInverse())
        let second = try InnerProducts.gram(y, y, symmetric: true, reducer: reducer)
        guard let r2 = try factor(second) else { continue }
        return (combined(y, r2.upperInverse()), shifted)
      }
      shifted = true
      let shift = 11 * (n * s + s * (s + 1)) * 0x1p-53 * gram.trace
      guard let r = try factor(gram + shift * .identity(y.count)) else { throw MatrixError(code: .notPositiveDefinite, info: y.count) }
      y = combined(y, r.upperInverse())
      // Columns that were combinations of others are noise now; after three passes they are replaced.
      if attempt >= 2 {
        let c = try InnerProducts.gram(y, y, symmetric: true, reducer: reducer)
        for j in y.indices where c[j, j] < 1e-3 { y[j] = gaussians(seed: seed, stream: 6 << 32 | UInt64(attempt * 4096 + j)) }
      }
    }
    throw MatrixError(code: .noConvergence, info: y.count)
  }
  /// The Cholesky factor, the same on all participants; nil if there is none.
  private func factor(_ gram: DenseMatrix) throws -> DenseMatrix? {
    let r = try? gram.cholesky()
    let agreed = try reducer.agreed((r?.values ?? [Double](repeating: 0, count: gram.values.count)) + [r == nil ? 0 : 1])
    return agreed.last == 1 ? DenseMatrix(rows: gram.rows, columns: gram.rows, Array(agreed.dropLast())) : nil
  }

  /// Randomised subspace iteration with Rayleigh-Ritz: the `rank` largest eigenvalues of H.
  ///
  /// Stops when |H q - theta q| <= tolerance theta_1 for all and the space turns by less than 1e-4 (mean squared sine).
  /// - Parameter operator: H, symmetric positive semidefinite, in orthonormal coordinates (whitened).
  /// - Complexity: `iterations` (rank + oversampling) products, three reductions each.
  /// - Collective: all participants.
  /// - Source: Halko, Martinsson, Tropp, Finding structure with randomness (2011), arXiv:0909.4061.
  public func dominant(rank k: Int, oversampling: Int = 8, seed: UInt64, stream: UInt64 = 0, tolerance: Double = 1e-3,
                       iterations: Int = 12, operator h: (Flat) throws -> Flat) throws -> Subspace {
    let s = min(k + oversampling, count)
    precondition(k > 0 && k <= count)
    var (q, shifted) = try orthonormalised((0..<s).map { gaussians(seed: seed, stream: stream << 16 | UInt64($0)) }, seed: seed)
    var previous: [Flat] = []
    for iteration in 1...iterations {
      let hq = try q.map(h)
      let t = try InnerProducts.gram(q, hq, reducer: reducer).symmetrised
      let (theta, z) = try t.eigen()
      let agreed = try reducer.agreed(theta + z.values), w = DenseMatrix(rows: s, columns: s, Array(agreed[s...]))
      let values = Array(agreed[..<s]), ritz = combined(q, w), image = combined(hq, w)
      let misfit = zip(zip(image, ritz), values).map { pair, theta in zip(pair.0, pair.1).map { $0 - theta * $1 } }
      let residuals = try InnerProducts.pairwise(misfit, misfit, reducer: reducer).map { $0.squareRoot() }
      let head = Array(ritz[..<k])
      var turned = 1.0
      if !previous.isEmpty { turned = try 1 - InnerProducts.gram(previous, head, reducer: reducer).norm.squared / Double(k) }
      let done = residuals[..<k].allSatisfy { $0 <= tolerance * values[0] } && (turned < 1e-4 || s == count)
      if done || iteration == iterations {
        return Subspace(values: values, vectors: ritz, residuals: residuals, rank: k, iterations: iteration, converged: done, shifted: shifted)
      }
      previous = head
      let next = try orthonormalised(image, seed: seed &+ UInt64(iteration))
      q = next.columns; shifted = shifted || next.shifted
    }
    preconditionFailure("iterations < 1")
  }
}

extension Double {
  var squared: Double { self * self }
}
