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
  /// The level of a rate (nats in all, positive); bisection on ln theta.
  public func level(rate: Double) -> Double {
    let top = ln(variances.max()!)
    let active = zip(variances, weights).reduce(0) { $0 + ($1.0 > 0 ? $1.1 : 0) }
    let spread = top - ln(variances.filter { $0 > 0 }.min()!)
    let lowest = top - spread - 2 * rate / active - 1
    return exponential(-bisected(-top, -lowest, target: rate) { self.rate(level: exponential(-$0)) })
  }
  /// Share of the directions below twice the level, where the high-resolution law begins to fail; above 0.05 use this one.
  public func lowRateShare(level theta: Double) -> Double {
    var low = 0.0
    for i in variances.indices where variances[i] < 2 * theta { low += weights[i] }
    return low / weights.reduce(0, +)
  }
}
