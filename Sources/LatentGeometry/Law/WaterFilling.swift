/// Reverse water-filling over directions of variance kappa_i: noise min(kappa_i, theta), rate 1/2 sum ln max(1, kappa_i/theta).
///
/// - Source: Cover, Thomas, Elements of Information Theory (2006), section 10.3.
public struct WaterFilling: Equatable, Sendable {
  /// kappa_i, not negative, in the units of the distortion.
  public let variances: [Double]
  public let weights: [Double]

  public init(_ variances: [Double], weights: [Double]? = nil) {
    self.variances = variances.map { max(0, $0) }
    self.weights = weights ?? [Double](repeating: 1, count: variances.count)
    precondition(self.weights.count == variances.count && variances.contains { $0 > 0 })
  }
  /// Nats in all, not increasing in theta.
  public func rate(level theta: Double) -> Double {
    var r = 0.0
    for i in variances.indices where variances[i] > theta { r += weights[i] * 0.5 * ln(variances[i] / theta) }
    return r
  }
  public func noise(level theta: Double) -> [Double] { variances.map { min($0, theta) } }
  /// The level of a rate (nats in all, positive): with the k largest variances above it, ln theta = (sum w ln kappa - 2 R) / sum w.
  public func level(rate: Double) -> Double {
    let logs = zip(variances, weights).compactMap { v, w in v > 0 && w > 0 ? (ln(v), w) : nil }.sorted { $0.0 > $1.0 }
    var sum = 0.0, count = 0.0, level = 0.0
    for (k, (l, w)) in logs.enumerated() {
      sum += w * l; count += w
      level = (sum - 2 * rate) / count
      if k + 1 == logs.count || level >= logs[k + 1].0 { break }
    }
    return exponential(level)
  }
  /// Share of the directions below twice the level, where the high-resolution law begins to fail; above 0.05 use this one.
  public func lowRateShare(level theta: Double) -> Double {
    var low = 0.0
    for i in variances.indices where variances[i] < 2 * theta { low += weights[i] }
    return low / weights.reduce(0, +)
  }
}
