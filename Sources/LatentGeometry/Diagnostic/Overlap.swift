import Statistics

/// Overlap of the dominant eigenspaces of two whitened sensitivities: omega_k = |U^T V|_F^2/k = mean cos^2 of the k principal angles.
///
/// For independent spaces E omega = max(k, k')/n and Var |U^T V|_F^2 = 2 k k' (n - k)(n - k')/(n^2 (n - 1)(n + 2)). The overlap is no function
/// of the trade-off: with a flat spectrum it is undefined while the cost is finite; CV^2 and the law are the primary numbers.
/// - Source: the diagnostic of Segui, Armour (2026), arXiv:2606.03279; k, whitening and aggregation are choices of ours.
public struct Overlap: Equatable, Sendable {
  public enum Verdict: Equatable, Sendable {
    case defined
    /// No gap in a spectrum above ten times the Ritz residual: the spaces are not determined.
    case undefinedGap
    /// A spectrum with GM/AM above 0.9: every space is as dominant as any other.
    case undefinedFlat
  }
  /// Dimension of the compared spaces, and of the whole.
  public let rank: Int, count: Int
  /// omega_k in 0 ... 1.
  public let value: Double
  /// omega_k for k = 1, 2, 4, ... and the largest known.
  public let curve: [Point]
  public struct Point: Equatable, Sendable {
    public let rank: Int, value: Double
  }
  /// (h_k - h_(k + 1))/h_1 of both spectra, and the largest relative Ritz residual.
  public let gaps: (Double, Double), residual: Double
  public let verdict: Verdict

  public static func == (a: Overlap, b: Overlap) -> Bool {
    a.rank == b.rank && a.count == b.count && a.value == b.value && a.curve == b.curve && a.gaps == b.gaps
      && a.residual == b.residual && a.verdict == b.verdict
  }

  /// Expected value for independent spaces.
  public var chance: Double { Double(rank) / Double(count) }
  /// Variance of |U^T V|_F^2 for independent spaces of dimensions k and j of n.
  public static func chanceVariance(_ k: Int, _ j: Int, of n: Int) -> Double {
    let k = Double(k), j = Double(j), n = Double(n)
    return n > 1 ? 2 * k * j * (n - k) * (n - j) / (n * n * (n - 1) * (n + 2)) : 0
  }
  /// Standard deviations above chance.
  public var z: Double {
    let s = Overlap.chanceVariance(rank, rank, of: count).squareRoot() / Double(rank)
    return s > 0 ? (value - chance) / s : 0
  }
  /// (omega - chance)/(1 - chance): 0 for independent spaces, 1 for equal ones.
  public var corrected: Double { rank < count ? (value - chance) / (1 - chance) : 0 }

  /// |U^T V|_F^2/min(j, k) of the first j rows and k columns of the matrix of inner products.
  static func overlap(_ cosines: DenseMatrix, _ j: Int, _ k: Int) -> Double {
    var s = 0.0
    for a in 0..<j { for b in 0..<k { s += cosines[a, b].squared } }
    return s / Double(min(j, k))
  }

  /// One side: known eigenvalues, largest first, their residuals, trace and (if known) flatness GM/AM of the whole spectrum.
  struct Side {
    var values: [Double], residuals: [Double], trace: Double, flatness: Double?
    /// Fewest eigenvalues that hold 90 % of the trace; all known ones if these do not.
    var energyRank: Int {
      var s = 0.0
      for (i, v) in values.enumerated() { s += v; if s >= 0.9 * trace { return i + 1 } }
      return values.count
    }
    /// (h_k - h_(k + 1))/h_1; beyond the last known value 0, at the end of the whole spectrum h_n/h_1.
    func gap(_ k: Int, of n: Int) -> Double {
      guard values[0] > 0, k <= values.count else { return 0 }
      if k == n { return 1 }
      return k < values.count ? (values[k - 1] - values[k]) / values[0] : 0
    }
    func residual(_ k: Int) -> Double { values[0] > 0 ? residuals[..<min(k + 1, residuals.count)].max()! / values[0] : 0 }
  }

  /// - Parameter cosines: inner products of the known eigenvectors.
  /// - Parameter limit: the largest k considered.
  init(_ a: Side, _ b: Side, cosines: DenseMatrix, count: Int, limit: Int) {
    self.count = count
    let most = min(limit, a.values.count, b.values.count)
    let wanted = max(1, min(a.energyRank, b.energyRank, most))
    func determined(_ k: Int) -> Bool {
      a.gap(k, of: count) >= 10 * max(a.residual(k), 1e-13) && b.gap(k, of: count) >= 10 * max(b.residual(k), 1e-13)
    }
    let near = (1...most).filter(determined).min { (abs($0 - wanted), $0) < (abs($1 - wanted), $1) }
    let k = near ?? wanted
    rank = k
    value = Overlap.overlap(cosines, k, k)
    var ranks: [Int] = [], next = 1
    while next < most { ranks.append(next); next *= 2 }
    curve = (ranks + [most]).map { Point(rank: $0, value: Overlap.overlap(cosines, $0, $0)) }
    gaps = (a.gap(k, of: count), b.gap(k, of: count))
    residual = max(a.residual(k), b.residual(k))
    let flat = [a.flatness, b.flatness].contains { $0.map { $0 > 0.9 } ?? false }
    verdict = flat ? .undefinedFlat : near == nil ? .undefinedGap : .defined
  }
}

extension Overlap {
  /// Of whitened sensitivities that are diagonal in one basis: dominant spaces are sets of coordinates.
  ///
  /// Coordinate i stands for `counts[i]` latents of equal value; a set ends where 90 % of the trace is reached, the larger one is cut to the
  /// smaller. `errors` are standard errors of the values: a gap below them is none.
  public init(diagonal first: [Double], _ second: [Double], counts: [Double], errors: (first: [Double], second: [Double])? = nil) {
    let pair = DiagonalPair(first, second, counts, errors), (k, sure) = pair.dominant()
    count = Int(pair.latents); rank = Int(k)
    value = pair.share(k)
    gaps = (pair.first.cut(k).gap, pair.second.cut(k).gap)
    residual = 0
    var points: [Point] = [], next = 1.0
    while next < pair.latents / 2 { points.append(Point(rank: Int(next), value: pair.share(next))); next *= 4 }
    curve = points
    verdict = max(pair.first.flatness, pair.second.flatness) > 0.9 ? .undefinedFlat : sure ? .defined : .undefinedGap
  }

  /// The value alone, as resampling needs it: no curve, no verdict.
  package static func value(diagonal first: [Double], _ second: [Double], counts: [Double], errors: (first: [Double], second: [Double])? = nil) -> Double {
    let pair = DiagonalPair(first, second, counts, errors)
    return pair.share(pair.dominant().rank)
  }
}

/// Two diagonal sensitivities over the same coordinates, each in falling order.
private struct DiagonalPair {
  let first: Ranked, second: Ranked
  let counts: [Double]
  /// n
  let latents: Double

  struct Ranked {
    let values: [Double], counts: [Double], errors: [Double]?
    /// Coordinates, largest value first; the place of each in that list; latents up to each place.
    let order: [Int], place: [Int], ends: [Double]
    let trace: Double

    init(_ values: [Double], _ counts: [Double], _ errors: [Double]?) {
      self.values = values; self.counts = counts; self.errors = errors
      var trace = 0.0
      for i in values.indices { trace += counts[i] * values[i] }
      self.trace = trace
      order = values.withUnsafeBufferPointer { h in values.indices.sorted { h[$0] != h[$1] ? h[$0] > h[$1] : $0 < $1 } }
      var place = [Int](repeating: 0, count: order.count), ends = [Double](repeating: 0, count: order.count), n = 0.0
      for (j, i) in order.enumerated() { place[i] = j; n += counts[i]; ends[j] = n }
      self.place = place; self.ends = ends
    }
    /// GM/AM over the latents.
    var flatness: Double {
      let total = ends.last!, m = trace / total
      var logs = 0.0
      for i in values.indices { logs += counts[i] * (values[i] > 0 ? ln(values[i] / m) : -.infinity) }
      return m > 0 ? exponential(logs / total) : 1
    }
    /// Fewest latents that hold a share of the trace.
    func latents(holding share: Double) -> Double {
      var n = 0.0, sum = 0.0
      for i in order {
        let missing = share * trace - sum
        if missing <= counts[i] * values[i] { return n + min(counts[i], (missing / values[i]).rounded(.up)) }
        n += counts[i]; sum += counts[i] * values[i]
      }
      return n
    }
    /// Where the k largest latents end: the place, its share, the relative gap behind it (0 inside a coordinate), and whether that is above its error.
    func cut(_ k: Double) -> (place: Int, share: Double, gap: Double, sure: Bool) {
      var low = 0, high = ends.count - 1
      while low < high {
        let middle = (low + high) / 2
        if ends[middle] >= k - 1e-9 { high = middle } else { low = middle + 1 }
      }
      let i = order[low], rest = ends[low] - k
      let share = min(1, (counts[i] - rest) / counts[i])
      guard rest < 1e-9 else { return (low, share, 0, false) }
      guard low + 1 < order.count else { return (low, share, 0, true) }
      let next = order[low + 1], top = values[order[0]], gap = values[i] - values[next]
      let error = errors.map { ($0[i].squared + $0[next].squared).squareRoot() } ?? 0
      return (low, share, top > 0 ? gap / top : 0, gap > max(error, 1e-12 * top))
    }
  }

  init(_ first: [Double], _ second: [Double], _ counts: [Double], _ errors: (first: [Double], second: [Double])?) {
    precondition(first.count == second.count && counts.count == first.count && !first.isEmpty)
    self.first = Ranked(first, counts, errors?.first); self.second = Ranked(second, counts, errors?.second); self.counts = counts
    latents = counts.reduce(0, +)
  }

  /// The border of either order that is nearest to 90 % of the smaller trace's latents, within a factor of two, and determined on both sides; else
  /// that number itself.
  func dominant() -> (rank: Double, sure: Bool) {
    let wanted = max(1, min(first.latents(holding: 0.9), second.latents(holding: 0.9)))
    var sizes = (first.ends + second.ends).filter { $0 < latents && $0 >= wanted / 2 && $0 <= 2 * wanted }
    sizes.sort { (abs($0 - wanted), $0) < (abs($1 - wanted), $1) }
    var tried = 0, last = -1.0
    for k in sizes where k != last {
      if tried == 16 { break }
      tried += 1
      last = k
      if first.cut(k).sure && second.cut(k).sure { return (k, true) }
    }
    return (wanted, false)
  }

  /// Latents that both sets of k share, over k.
  func share(_ k: Double) -> Double {
    let u = first.cut(k), v = second.cut(k)
    func weight(_ place: Int, _ c: (place: Int, share: Double, gap: Double, sure: Bool)) -> Double { place < c.place ? 1 : place == c.place ? c.share : 0 }
    var s = 0.0
    for i in counts.indices { s += counts[i] * min(weight(first.place[i], u), weight(second.place[i], v)) }
    return s / k
  }
}

/// Two whitened sensitivities compared: overlap and the companions that need no gap.
public struct Comparison: Equatable, Sendable {
  public let overlap: Overlap
  /// tr(H K)/(|H|_F |K|_F), and its value for independent orientations tr H tr K/(n |H|_F |K|_F).
  public let cosine: Double, cosineChance: Double
  /// Shares tr(U^T K U)/tr K and tr(V^T H V)/tr H: how much of the second the first's dominant space feels, and the reverse.
  public let captured: (first: Double, second: Double)

  public static func == (a: Comparison, b: Comparison) -> Bool {
    a.overlap == b.overlap && a.cosine == b.cosine && a.cosineChance == b.cosineChance && a.captured == b.captured
  }

  /// Of dense matrices, already whitened.
  /// - Parameter limit: largest k of the overlap; default n/2.
  public init(_ h: DenseMatrix, _ g: DenseMatrix, limit: Int? = nil) throws {
    let n = h.rows, (a, u) = try h.eigen(), (b, v) = try g.eigen()
    let none = [Double](repeating: 0, count: n)
    let cosines = u.transposed * v
    overlap = Overlap(.init(values: a, residuals: none, trace: h.trace, flatness: TradeSpectrum(a).flatness),
                      .init(values: b, residuals: none, trace: g.trace, flatness: TradeSpectrum(b).flatness),
                      cosines: cosines, count: n, limit: limit ?? max(1, n / 2))
    cosine = DenseMatrix.inner(h, g) / (h.norm * g.norm)
    cosineChance = h.trace * g.trace / (Double(n) * h.norm * g.norm)
    let uk = u.columns(0..<overlap.rank), vk = v.columns(0..<overlap.rank)
    captured = ((uk.transposed * g * uk).trace / g.trace, (vk.transposed * h * vk).trace / h.trace)
  }

  /// Of operators: dominant spaces by subspace iteration, norms and traces by probes.
  ///
  /// - Parameter rank: largest k; 90 % of the energy may need fewer.
  /// - Parameter probes: random vectors for traces; 30 give norms to about 5 %.
  /// - Collective: all participants of `space`.
  public init(space: LatentSpace, rank: Int, probes: Int = 30, seed: UInt64, tolerance: Double = 1e-3,
              first h: (Flat) throws -> Flat, second g: (Flat) throws -> Flat) throws {
    let oversampling = min(space.count, rank + 8) - rank
    let a = try space.dominant(rank: rank, oversampling: oversampling, seed: seed, stream: 11, tolerance: tolerance, iterations: 40, operator: h)
    let b = try space.dominant(rank: rank, oversampling: oversampling, seed: seed, stream: 12, tolerance: tolerance, iterations: 40, operator: g)
    let cosines = try InnerProducts.gram(a.vectors, b.vectors, reducer: space.reducer)
    // Random parts orthogonal to nothing: plain Hutchinson for tr H, tr K, tr H^2, tr K^2, tr H K.
    var trH = 0.0, trG = 0.0, hh = 0.0, gg = 0.0, hg = 0.0
    for k in 0..<probes {
      let z = space.signs(seed: seed, stream: 4 << 32 | UInt64(k)), x = try h(z), y = try g(z)
      let s = try InnerProducts.pairwise([z, z, x, y, x], [x, y, x, y, y], reducer: space.reducer)
      trH += s[0]; trG += s[1]; hh += s[2]; gg += s[3]; hg += s[4]
    }
    let m = Double(max(1, probes)), n = Double(space.count)
    (trH, trG, hh, gg, hg) = (trH / m, trG / m, hh / m, gg / m, hg / m)
    func side(_ s: Subspace, _ trace: Double) -> Overlap.Side {
      // Flat where even the largest known values are near the mean.
      let flatness: Double? = s.values.count == space.count ? TradeSpectrum(s.values).flatness : s.values[0] < 1.2 * trace / n ? 1 : nil
      return .init(values: s.values, residuals: s.residuals, trace: trace, flatness: flatness)
    }
    overlap = Overlap(side(a, trH), side(b, trG), cosines: cosines, count: space.count, limit: rank)
    cosine = hg / (hh * gg).squareRoot()
    cosineChance = trH * trG / (n * (hh * gg).squareRoot())
    let u = Array(a.vectors[..<overlap.rank]), v = Array(b.vectors[..<overlap.rank])
    let gu = try InnerProducts.pairwise(u, u.map(g), reducer: space.reducer).reduce(0, +)
    let hv = try InnerProducts.pairwise(v, v.map(h), reducer: space.reducer).reduce(0, +)
    captured = (gu / trG, hv / trH)
  }
}

/// The three pairs of distortion D, observable P and rate R.
///
/// (D, P) is whitened by the rate's sensitivity, which makes the overlap independent of the latents' coordinates; the pairs with R by the
/// quantiser's noise, since R whitened by itself is I.
public struct PairwiseComparison: Equatable, Sendable {
  public let distortionObservable: Comparison, distortionRate: Comparison, observableRate: Comparison

  /// - Parameter noise: covariance of the quantiser, S_q.
  public init(distortion: DenseMatrix, observable: DenseMatrix, rate: DenseMatrix, noise: DenseMatrix) throws {
    func whitened(_ g: DenseMatrix, _ root: DenseMatrix) -> DenseMatrix { root * g * root }
    let r = try rate.function { 1 / $0.squareRoot() }, q = try noise.squareRoot()
    distortionObservable = try Comparison(whitened(distortion, r), whitened(observable, r))
    distortionRate = try Comparison(whitened(distortion, q), whitened(rate, q))
    observableRate = try Comparison(whitened(observable, q), whitened(rate, q))
  }

  /// Matrix-free, for diagonal priors and quantisers.
  /// - Parameter deviations: prior standard deviation of each latent; `steps`: quantiser step of each; on this participant.
  /// - Collective.
  public init(_ s: Sensitivities, deviations: Flat, steps: Flat, rank: Int, probes: Int = 30, seed: UInt64, tolerance: Double = 1e-3) throws {
    func whitened(_ g: @escaping (Flat) throws -> Flat, _ w: Flat) -> (Flat) throws -> Flat { { try product(w, g(product(w, $0))) } }
    let q = scaled(steps, 1 / 3.4641016151377544), ratio = zip(q, deviations).map { ($0 / $1).squared }
    func rate(_ z: Flat) -> Flat { product(ratio, z) }
    func pair(_ a: @escaping (Flat) throws -> Flat, _ b: @escaping (Flat) throws -> Flat) throws -> Comparison {
      try Comparison(space: s.latents, rank: rank, probes: probes, seed: seed, tolerance: tolerance, first: a, second: b)
    }
    distortionObservable = try pair(whitened(s.distortion, deviations), whitened(s.observable, deviations))
    distortionRate = try pair(whitened(s.distortion, q), rate)
    observableRate = try pair(whitened(s.observable, q), rate)
  }
}
