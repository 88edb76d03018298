import Glibc

/// What rounding to multiples of a step, with an ideal entropy coder behind it, makes of a Gaussian number: nats and squared error by the ratio of
/// its deviation to the step.
///
/// Far above the step this is the high-rate law, noise step^2/12 at ln(deviation/step) + 1/2 ln(2 pi e) nats: 0.2546 bits more than the ideal
/// code of that noise. Near and below the step water-filling stands for a code that nobody has: rounding leaves a number of deviation 0.4 steps an
/// error between its variance and step^2/12, and still pays for the few that do not round to 0.
///
/// Levels decode to their means. Tables over ln(deviation/step), linear between.
/// - Source: Gish, Pierce, Asymptotically efficient quantizing (1968), for the limit; the integrals are elementary.
struct UniformRounding: Sendable {
  static let shared = UniformRounding()
  private static let first = -3.5, last = 3.0, spacing = 1.0 / 64
  private let nats: [Double], errors: [Double]

  private init() {
    func density(_ x: Double) -> Double { 0.3989422804014327 * exp(-0.5 * x * x) }
    /// Probability above x.
    func tail(_ x: Double) -> Double { 0.5 * erfc(x * 0.7071067811865476) }
    var nats: [Double] = [], errors: [Double] = []
    for i in 0...Int((UniformRounding.last - UniformRounding.first) / UniformRounding.spacing) {
      let s = exp(UniformRounding.first + Double(i) * UniformRounding.spacing)
      let zero = 1 - 2 * tail(0.5 / s)
      var h = zero > 0 ? -zero * log(zero) : 0, kept = 0.0, k = 1.0
      while true {
        let a = (k - 0.5) / s, b = (k + 0.5) / s, p = tail(a) - tail(b)
        if p < 1e-18 { break }
        // The mean of the level, in deviations; both signs.
        let mean = (density(a) - density(b)) / p
        h -= 2 * p * log(p)
        kept += 2 * p * mean * mean
        k += 1
      }
      nats.append(h)
      errors.append(max(0, 1 - kept) * s * s)
    }
    self.nats = nats; self.errors = errors
  }

  /// - Parameter x: ln(deviation/step).
  /// - Returns: nats and their derivative by x, not negative.
  func rate(_ x: Double) -> (nats: Double, slope: Double) {
    let t = (x - UniformRounding.first) / UniformRounding.spacing
    if t >= Double(nats.count - 1) { return (nats[nats.count - 1] + x - UniformRounding.last, 1) }
    if !(t > 0) { return (nats[0] * exp(min(0, 2 * (x - UniformRounding.first))), 0) }
    let i = Int(t), slope = nats[i + 1] - nats[i]
    return (nats[i] + (t - Double(i)) * slope, slope / UniformRounding.spacing)
  }
  /// Squared error in squared steps: the variance far below the step, 1/12 far above.
  func error(_ x: Double) -> Double {
    let t = (x - UniformRounding.first) / UniformRounding.spacing
    if t >= Double(errors.count - 1) { return 1.0 / 12 }
    if !(t > 0) { return exp(2 * x) }
    let i = Int(t)
    return errors[i] + (t - Double(i)) * (errors[i + 1] - errors[i])
  }
}
