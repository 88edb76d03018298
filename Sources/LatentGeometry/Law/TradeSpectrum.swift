/// What keeping an observable better costs at a fixed rate, from the eigenvalues of its sensitivity relative to the distortion's.
///
/// With G_D, G_P the sensitivities of the distortion D and of the observable's error P to the latents' quantisation noise, a_i are the
/// eigenvalues of G_P w = a G_D w. Noise of covariance ~ (G_D + lambda G_P)^-1 minimises D + lambda P at a fixed rate (high resolution); then
///
///     D(lambda)/D(0) = GM(1 + lambda a) mean(1/(1 + lambda a))            >= 1
///     P(lambda)/P(0) = GM(1 + lambda a) mean(a/(1 + lambda a)) / mean(a)   <= 1
///
/// Both are 1 for every lambda if and only if all a are equal. lambda^ = lambda mean(a) is the dimensionless weight: 1 counts a percent of P
/// like a percent of D. Samples may carry weights: counts of equal eigenvalues, or quadrature weights of a Lanczos estimate.
/// - Source: local rate-distortion law in latent tangent space after Segui, Armour (2026), arXiv:2606.03279; Linder, Zamir, High-resolution
///   source coding for non-difference distortion measures (1999).
public struct TradeSpectrum: Equatable, Sendable {
  /// Eigenvalues, not negative; rounding errors below 0 count as 0.
  public let values: [Double]
  /// Number of directions that each stands for.
  public let weights: [Double]
  /// Directions in all, n.
  public let count: Double

  public init(_ values: [Double], weights: [Double]? = nil) {
    let w = weights ?? [Double](repeating: 1, count: values.count)
    precondition(w.count == values.count && !values.isEmpty)
    self.values = values.map { max(0, $0) }; self.weights = w; count = w.reduce(0, +)
  }
  /// Of dense metrics; eigenvalues below 1e-14 of the largest count as 0.
  /// - Throws: `MatrixError.notPositiveDefinite` if G_D is not.
  public init(observable: DenseMatrix, distortion: DenseMatrix) throws {
    let a = try observable.pencil(distortion).values
    self.init(a.map { $0 > 1e-14 * a[0] ? $0 : 0 })
  }
  /// Of several tiles that share one noise level: their directions together.
  public init(pooling tiles: [TradeSpectrum]) { self.init(tiles.flatMap(\.values), weights: tiles.flatMap(\.weights)) }

  /// Weighted mean of f(a).
  public func mean(_ f: (Double) -> Double) -> Double {
    var s = 0.0
    for i in values.indices { s += weights[i] * f(values[i]) }
    return s / count
  }
  /// AM(a) = tr(G_D^-1 G_P) / n = P(0)/D(0), in units of P per unit of D.
  public var mean: Double { mean { $0 } }
  /// Var(a)/mean(a)^2 = n tr(A^2)/(tr A)^2 - 1: the curvature of the front at its start; 0: nothing to trade. 0 if all a are 0.
  public var relativeVariance: Double {
    let m = mean
    return m > 0 ? mean { ($0 / m - 1) * ($0 / m - 1) } : 0
  }
  /// r_eff = (tr A)^2 / tr(A^2): how many directions the observable feels.
  public var effectiveRank: Double { count / (1 + relativeVariance) }
  /// ln of AM(a)/GM(a) = P(0)/P(infinity), the most the observable can win at a fixed rate; infinite if some a is 0.
  public var logMaximumGain: Double {
    let m = mean
    return m > 0 ? max(0, -mean { $0 > 0 ? ln($0 / m) : -.infinity }) : 0
  }
  public var maximumGain: Double { exponential(logMaximumGain) }
  /// GM(a)/AM(a) in 0 ... 1; 1 for an isotropic form.
  public var flatness: Double { exponential(-logMaximumGain) }

  /// lambda = lambda^ / mean(a): P(0)/D(0) is mean(a).
  public func weight(normalised: Double) -> Double { mean > 0 ? normalised / mean : 0 }
  public func normalised(weight: Double) -> Double { weight * mean }

  /// ln GM(1 + lambda a).
  public func logVolume(_ weight: Double) -> Double { mean { ln1p(weight * $0) } }
  /// ln D(lambda)/D(0).
  public func logDistortion(_ weight: Double) -> Double { logVolume(weight) + ln(mean { 1 / (1 + weight * $0) }) }
  /// ln P(lambda)/P(0); 0 if no direction is felt.
  public func logObservable(_ weight: Double) -> Double {
    let m = mean
    return m > 0 ? logVolume(weight) + ln(mean { $0 / m / (1 + weight * $0) }) : 0
  }
  public func distortion(_ weight: Double) -> Double { exponential(logDistortion(weight)) }
  public func observable(_ weight: Double) -> Double { exponential(logObservable(weight)) }
  /// Loss of D in dB at fixed rate, 10 log10 D(lambda)/D(0).
  public func cost(_ weight: Double) -> Double { decibels(ln: logDistortion(weight)) }
  /// Rate that would buy the loss back, bits per latent: 1/2 log2 D(lambda)/D(0); 6.02 dB per bit.
  public func rateCost(_ weight: Double) -> Double { 0.5 * bits(nats: logDistortion(weight)) }
  /// Gain of P in dB at fixed rate, 10 log10 P(0)/P(lambda).
  public func gain(_ weight: Double) -> Double { -decibels(ln: logObservable(weight)) }

  /// GM(1 + lambda a) - 1 - lambda GM(a) >= 0 in units of D(0): at this rate no noise brings D + lambda P closer to both optima at once. Minkowski's
  /// determinant inequality, as `LocalLaw.simultaneousDefect`; 0 only where all a are equal.
  public func simultaneousDefect(_ weight: Double) -> Double { max(0, expm1(logVolume(weight)) - weight * flatness * mean) }
  /// dB by which D or P, whichever is further, stays above its own least value: 10 log10 of GM(1 + lambda a)/(1 + lambda GM(a)), the ratio of what
  /// D + lambda P can be to what both optima would make of it. A lower bound for every lambda.
  public func simultaneousBound(_ weight: Double) -> Double { max(0, decibels(ln: logVolume(weight) - ln1p(weight * flatness * mean))) }

  /// The lambda where P has gained so many dB; nil beyond the largest gain. Bisection on ln lambda^.
  public func weight(gain: Double) -> Double? { inverse(gain, self.gain) }
  /// The lambda that costs so many dB of D; nil if none does.
  public func weight(cost: Double) -> Double? { inverse(cost, self.cost) }
  private func inverse(_ target: Double, _ f: (Double) -> Double) -> Double? {
    let m = mean
    if target <= 0 { return 0 }
    guard m > 0, f(exponential(200) / m) >= target else { return nil }
    return exponential(bisected(-80, 200, target: target) { f(exponential($0) / m) }) / m
  }

  /// Small trades: ln(D/D0) ~ ln(P/P0)^2 / (2 CV^2); here in dB of D for dB of P. Infinite if all a are equal.
  public func smallTradeCost(gain: Double) -> Double { curvature * gain * gain }
  /// dB of D per squared dB of P at the start of the front: ln(10)/20 / CV^2.
  public var curvature: Double { 0.11512925464970229 / relativeVariance }

  /// TradeSpectrum of an observable of rank m with equal eigenvalues a:
  /// D/D0 = (1 + lambda a)^(m/n) (1 - (m/n) lambda a/(1 + lambda a)), P/P0 = (1 + lambda a)^(m/n - 1).
  public static func rank(_ m: Int, of n: Int, value: Double = 1) -> TradeSpectrum {
    TradeSpectrum([value, 0], weights: [Double(m), Double(n - m)])
  }
}
