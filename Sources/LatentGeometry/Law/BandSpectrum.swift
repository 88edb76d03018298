/// The law of a transform codec whose sensitivities are diagonal: bands of latents that share sensitivity, count and variance.
///
/// Steps ~ (1 + lambda g)^-1/2. At high rate the `TradeSpectrum` of g with the counts says everything. At low rate, noise of band b is
/// min(theta/(1 + lambda g_b), variance_b): reverse water-filling with theta such that the rate stays; what is not coded cannot lose.
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
    /// The noise variance of an active latent at lambda = 0, in units of the distortion: step^2/12.
    case noise(Double)
  }

  /// D and P relative to lambda = 0 at the same rate.
  public struct Prediction: Equatable, Sendable {
    public var logDistortion: Double, logObservable: Double
    /// dB of D lost, dB of P won, bits per latent that would buy D back.
    public var cost: Double { decibels(ln: logDistortion) }
    public var gain: Double { -decibels(ln: logObservable) }
    public var rateCost: Double { 0.5 * bits(nats: logDistortion) }
    /// Share of latents near or below the noise (variance below twice theirs).
    public var lowRateShare: Double
  }

  private func filling(_ weight: Double) -> WaterFilling {
    WaterFilling(bands.map { $0.variance * (1 + weight * max(0, $0.sensitivity)) }, weights: bands.map(\.count))
  }
  /// Nats in all at lambda = 0; nil for high rate.
  private func total(_ rate: Rate) -> Double? {
    guard bands.contains(where: { $0.variance > 0 }) else { return nil }
    switch rate {
    case .high: return nil
    case .nats(let r): return r > 0 ? r * spectrum.count : nil
    case .noise(let theta):
      let r = filling(0).rate(level: theta)
      return r > 0 ? r : nil
    }
  }
  /// Noise variance per band in units of the distortion, at the water level of the rate; rates that code nothing give the variances.
  public func noise(weight: Double, rate: Rate) -> [Double] {
    guard let nats = total(rate) else { return bands.map(\.variance) }
    let f = filling(weight), theta = f.level(rate: nats)
    return bands.map { min(theta / (1 + weight * max(0, $0.sensitivity)), $0.variance) }
  }
  /// D = sum of counts times noise, P with the sensitivities, both per latent.
  public func errors(weight: Double, rate: Rate) -> (distortion: Double, observable: Double) {
    let v = noise(weight: weight, rate: rate)
    var d = 0.0, p = 0.0
    for (b, s) in zip(bands, v) { d += b.count * s; p += b.count * s * max(0, b.sensitivity) }
    return (d / spectrum.count, p / spectrum.count)
  }

  public func prediction(weight: Double, rate: Rate = .high) -> Prediction {
    guard let nats = total(rate) else {
      return Prediction(logDistortion: spectrum.logDistortion(weight), logObservable: spectrum.logObservable(weight), lowRateShare: 0)
    }
    let start = errors(weight: 0, rate: rate), end = errors(weight: weight, rate: rate), f = filling(weight)
    return Prediction(
      logDistortion: ln(end.distortion / start.distortion),
      logObservable: start.observable > 0 ? ln(end.observable / start.observable) : 0,
      lowRateShare: f.lowRateShare(level: f.level(rate: nats)))
  }

  /// Largest gain of the observable in dB; at low rate that of the water-filling at lambda^ = 10^12.
  public func maximumGain(rate: Rate = .high) -> Double {
    if total(rate) == nil { return decibels(ln: spectrum.logMaximumGain) }
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
    var scale = spectrum.logVolume(weight)
    if let nats = total(rate) { scale = ln(filling(weight).level(rate: nats) / filling(0).level(rate: nats)) }
    return bands.map { exponential(0.5 * (scale - ln1p(weight * max(0, $0.sensitivity)))) }
  }
}
