/// The law of a transform codec whose sensitivities are diagonal: bands of latents that share sensitivity, count and variance.
///
/// Steps ~ (1 + lambda g)^-1/2. At high rate the `TradeSpectrum` of g with the counts says everything. At low rate, noise of band b is
/// min(theta/(1 + lambda g_b), variance_b): reverse water-filling with theta such that the rate stays; what is not coded cannot lose. That is the
/// ideal code; what codecs do, rounding and entropy coding, is told by `UniformRounding` of Gaussian latents. `soft` is the same with the prior as a
/// further sensitivity, noise 1/(1/variance_b + (1 + lambda g_b)/theta): no band is coded in full or not at all.
public struct BandSpectrum: Equatable, Sendable {
  public struct Band: Equatable, Sendable {
    /// g: P units per D unit.
    public var sensitivity: Double
    /// Latents in the band.
    public var count: Double
    /// Variance of a latent in units of the distortion, G_D sigma^2 (field^2 for an orthonormal transform).
    public var variance: Double
    public init(sensitivity: Double, count: Double, variance: Double) {
      self.sensitivity = sensitivity; self.count = count; self.variance = variance
    }
  }
  public let bands: [Band]
  /// Of all latents, active or not.
  public let spectrum: TradeSpectrum

  /// Bands without latents are left out.
  public init(_ bands: [Band]) {
    self.bands = bands.filter { $0.count > 0 }
    spectrum = TradeSpectrum(self.bands.map { max(0, $0.sensitivity) }, weights: self.bands.map(\.count))
  }

  /// Where the codec is on its rate axis.
  public enum Rate: Hashable, Sendable {
    /// All latents active, steps far below the variances.
    case high
    /// Nats per latent, positive.
    case nats(Double)
    /// The noise variance of an active latent at lambda = 0, in units of the distortion: step^2/12. Ideal code.
    case noise(Double)
    /// The same for a codec that rounds.
    case rounded(Double)
    /// The same for soft water-filling; noise nears theta where the variance is far above it.
    case soft(Double)
  }

  /// D and P relative to lambda = 0 at the same rate.
  public struct Prediction: Equatable, Sendable {
    public var logDistortion: Double, logObservable: Double
    /// The common step that keeps the rate, relative to that at lambda = 0; a band's is this over its factor.
    public var stepRatio: Double
    /// dB of D lost, dB of P won, bits per latent that would buy D back.
    public var cost: Double { decibels(ln: logDistortion) }
    public var gain: Double { -decibels(ln: logObservable) }
    public var rateCost: Double { 0.5 * bits(nats: logDistortion) }
    /// Share of latents near or below the noise (variance below twice theirs).
    public var lowRateShare: Double
  }

  /// w^2 of the factors w on the latents before a common step, 1 + lambda g.
  private func squares(_ weight: Double) -> [Double] { bands.map { 1 + weight * max(0, $0.sensitivity) } }
  private func filling(_ squares: [Double]) -> WaterFilling {
    WaterFilling(zip(bands, squares).map { $0.variance * $1 }, weights: bands.map(\.count))
  }
  /// Whether a rate codes anything that is less than everything.
  private func isLow(_ rate: Rate) -> Bool {
    let top = bands.reduce(0) { max($0, $1.variance) }
    return switch rate {
    case .high: false
    case .nats(let r): top > 0 && r > 0
    case .noise(let theta), .rounded(let theta): top > theta && theta > 0
    case .soft(let theta): top > 0 && theta > 0
    }
  }
  /// The level theta of factors w (1: nil): noise of an active band is theta/w^2 at the rate that `rate` means without factors.
  private func level(_ squares: [Double]?, _ rate: Rate) -> Double {
    switch rate {
    case .high: return .nan
    case .nats(let r): return filling(squares ?? bands.map { _ in 1 }).level(rate: r * spectrum.count)
    case .noise(let theta):
      guard let squares else { return theta }
      return filling(squares).level(rate: filling(bands.map { _ in 1 }).rate(level: theta))
    case .rounded(let theta):
      guard let squares else { return theta }
      let law = UniformRounding.shared
      return level(squares, from: 12 * theta) { x in
        let r = law.rate(0.5 * x)
        return (r.nats, 0.5 * r.slope)
      } / 12
    case .soft(let theta):
      guard let squares else { return theta }
      // q = noise/variance = 1/(1 + e^x): 1/2 (q - 1 - ln q) nats.
      return level(squares, from: theta) { x in
        let ratio = exponential(x), share = ratio / (1 + ratio)
        return (0.5 * (ln1p(ratio) - share), 0.5 * share * share)
      }
    }
  }
  /// The level with factors that has the rate of the level `start` without.
  ///
  /// - Parameter rate: nats of a latent, and their derivative, by x = ln(w^2 variance/level).
  private func level(_ squares: [Double], from start: Double, _ rate: (Double) -> (nats: Double, slope: Double)) -> Double {
    let active = bands.indices.filter { bands[$0].variance > 0 }, logs = active.map { ln(bands[$0].variance) }, shifts = active.map { ln(squares[$0]) }
    func nats(_ l: Double, _ shifts: [Double]?) -> (Double, Double) {
      var n = 0.0, slope = 0.0
      for (k, i) in active.enumerated() {
        let r = rate(logs[k] + (shifts?[k] ?? 0) - l), count = bands[i].count
        n += count * r.nats; slope += count * r.slope
      }
      return (n, -slope)
    }
    // Newton's steps inside a bracket; nats fall with the level.
    let first = ln(start), wanted = nats(first, nil).0
    var low = first, high = first + (shifts.max() ?? 0), l = first
    for _ in 0..<60 {
      let (n, slope) = nats(l, shifts)
      if n > wanted { low = l } else { high = l }
      if abs(n - wanted) <= 1e-12 * wanted || !(high > low) { break }
      let next = l - (n - wanted) / slope
      l = next > low && next < high ? next : 0.5 * (low + high)
    }
    return exponential(l)
  }
  private func noise(_ squares: [Double], level theta: Double, _ rate: Rate) -> [Double] {
    switch rate {
    case .high, .nats, .noise: return zip(bands, squares).map { min(theta / $1, $0.variance) }
    case .soft: return zip(bands, squares).map { $0.variance * theta / (theta + $1 * $0.variance) }
    case .rounded:
      let log = ln(12 * theta)
      return zip(bands, squares).map { b, w in b.variance > 0 ? 12 * theta / w * UniformRounding.shared.error(0.5 * (ln(b.variance * w) - log)) : 0 }
    }
  }
  /// Noise variance per band in units of the distortion, at the level of the rate; rates that code nothing give the variances.
  public func noise(weight: Double, rate: Rate) -> [Double] {
    let w = squares(weight)
    return isLow(rate) ? noise(w, level: level(w, rate), rate) : bands.map(\.variance)
  }
  /// D = sum of counts times noise, P with the sensitivities, both per latent.
  public func errors(weight: Double, rate: Rate) -> (distortion: Double, observable: Double) { errors(noise(weight: weight, rate: rate)) }
  private func errors(_ noise: [Double]) -> (distortion: Double, observable: Double) {
    var d = 0.0, p = 0.0
    for (b, s) in zip(bands, noise) { d += b.count * s; p += b.count * s * max(0, b.sensitivity) }
    return (d / spectrum.count, p / spectrum.count)
  }

  public func prediction(weight: Double, rate: Rate = .high) -> Prediction {
    if isLow(rate) { return prediction(squares(weight), rate) }
    return Prediction(
      logDistortion: spectrum.logDistortion(weight), logObservable: spectrum.logObservable(weight), stepRatio: exponential(0.5 * spectrum.logVolume(weight)), lowRateShare: 0)
  }
  /// Of given factors on the latents before a common step, one per band, such as a table can hold; not for `high`.
  public func prediction(factors: [Double], rate: Rate) -> Prediction { prediction(factors.map { $0 * $0 }, rate) }
  private func prediction(_ squares: [Double], _ rate: Rate) -> Prediction {
    let ones = bands.map { _ in 1.0 }, base = level(nil, rate), theta = level(squares, rate)
    let start = errors(noise(ones, level: base, rate)), end = errors(noise(squares, level: theta, rate))
    var low = 0.0
    for (b, w) in zip(bands, squares) where b.variance * w < 2 * theta { low += b.count }
    return Prediction(
      logDistortion: ln(end.distortion / start.distortion),
      logObservable: start.observable > 0 ? ln(end.observable / start.observable) : 0,
      stepRatio: (theta / base).squareRoot(), lowRateShare: low / spectrum.count)
  }

  /// Soft water-filling where `rate` is: at the level that hard water-filling has there.
  public func soft(_ rate: Rate) -> Rate {
    switch rate {
    case .high, .soft: rate
    case .noise(let theta), .rounded(let theta): .soft(theta)
    case .nats: isLow(rate) ? .soft(level(nil, rate)) : .high
    }
  }

  /// Largest gain of the observable in dB; at low rate that of the water-filling at lambda^ = 10^12.
  public func maximumGain(rate: Rate = .high) -> Double {
    if !isLow(rate) { return decibels(ln: spectrum.logMaximumGain) }
    return prediction(weight: spectrum.weight(normalised: 1e12), rate: rate).gain
  }
  /// lambda for a gain of P in dB; nil if out of reach.
  public func weight(gain: Double, rate: Rate = .high) -> Double? { inverse(gain) { prediction(weight: $0, rate: rate).gain } }
  /// lambda that costs so many dB of D; nil if none does.
  public func weight(cost: Double, rate: Rate = .high) -> Double? { inverse(cost) { prediction(weight: $0, rate: rate).cost } }
  private func inverse(_ target: Double, _ f: (Double) -> Double) -> Double? {
    if target <= 0 { return 0 }
    let m = spectrum.mean
    guard m > 0, f(1e12 / m) >= target else { return nil }
    return exponential(bisected(-30, ln(1e12), target: target) { f(exponential($0) / m) }) / m
  }

  /// Step of each band relative to the unaligned step, at the same rate: sqrt of the noise ratio of active latents.
  public func steps(weight: Double, rate: Rate = .high) -> [Double] {
    let ratio = prediction(weight: weight, rate: rate).stepRatio
    return bands.map { ratio / (1 + weight * max(0, $0.sensitivity)).squareRoot() }
  }
}
