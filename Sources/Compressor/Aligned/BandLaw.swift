import Codecs
import Glibc

/// Noise, rate and observables' errors of bands with steps of their own: reverse water-filling with several observables.
///
/// Band b has count_b latents of variance_b; observable j has sensitivity g_jb. With factors w_b (steps ~ 1/w_b) the noise of band b is
/// min(theta / w_b^2, variance_b), so what is not coded cannot lose, and P_j = sum_b count_b g_jb noise_b.
/// - Source: THEORY 1.3 (law C), 3 (S1).
struct BandLaw {
  struct Band { var count: Double, variance: Double, sensitivities: [Double] }
  enum Held { case rate, fidelity }
  let bands: [Band]
  let held: Held
  /// Noise of a coded band at factors of 1.
  let level: Double
  /// What is held: nats, or the sum of squared errors.
  private let budget: Double

  init(_ bands: [Band], level: Double, held: Held) {
    self.bands = bands; self.level = level; self.held = held
    budget = bands.reduce(0) { sum, b in
      switch held {
      case .rate: sum + (b.variance > level ? b.count * 0.5 * log(b.variance / level) : 0)
      case .fidelity: sum + b.count * min(level, b.variance)
      }
    }
  }

  /// sqrt(1 + sum_j lambda_j g_jb), as the stream can hold it.
  func exponents(_ lambda: [Double]) -> [UInt8] {
    bands.map { b in BandWeights.exponent((1 + zip(lambda, b.sensitivities).reduce(0) { $0 + $1.0 * $1.1 }).squareRoot()) }
  }

  /// The level theta that keeps what is held, under squared factors.
  private func level(_ squares: [Double]) -> Double {
    let logs = held == .rate ? zip(bands, squares).map { $0.variance > 0 ? log($0.variance * $1) : -.infinity } : []
    var low = log(level) - 80, high = log(level) + 80
    for _ in 0..<60 {
      let middle = 0.5 * (low + high), theta = exp(middle)
      var sum = 0.0
      for (i, b) in bands.enumerated() {
        switch held {
        case .rate: if logs[i] > middle { sum += b.count * 0.5 * (logs[i] - middle) }
        case .fidelity: sum += b.count * min(theta / squares[i], b.variance)
        }
      }
      if (held == .rate) == (sum > budget) { low = middle } else { high = middle }
    }
    return exp(0.5 * (low + high))
  }

  struct State {
    /// theta, the sum of squared errors, P_j.
    var level: Double, distortion: Double, observables: [Double]
  }
  /// - Parameter share: of the noise that keeps what is held.
  func state(_ exponents: [UInt8], share: Double = 1) -> State {
    let squares = exponents.map { BandWeights.factor(Int($0)) * BandWeights.factor(Int($0)) }
    let theta = level(squares) * share
    var s = State(level: theta, distortion: 0, observables: [Double](repeating: 0, count: bands[0].sensitivities.count))
    for (i, b) in bands.enumerated() {
      let noise = b.count * min(theta / squares[i], b.variance)
      s.distortion += noise
      for j in s.observables.indices { s.observables[j] += noise * b.sensitivities[j] }
    }
    return s
  }

  /// The smallest multipliers at which P_j <= targets_j.
  ///
  /// Multipliers act on each other's P; sweeps over j, each a bisection on ln lambda_j, until they stand still. What cannot be had is
  /// brought to within a few per cent of its least; where fidelity is held all noise is then lowered by `share`: bits pay.
  func multipliers(for targets: [Double]) -> (lambda: [Double], share: Double) {
    let means = targets.indices.map { j in
      bands.reduce(0) { $0 + $1.count * $1.sensitivities[j] } / max(1, bands.reduce(0) { $0 + $1.count })
    }
    var lambda = [Double](repeating: 0, count: targets.count)
    for _ in 0..<12 {
      let before = lambda
      for j in targets.indices where means[j] > 0 {
        func observable(_ l: Double) -> Double {
          var trial = lambda
          trial[j] = l
          return state(exponents(trial)).observables[j]
        }
        if observable(0) <= targets[j] { lambda[j] = 0; continue }
        var low = log(1e-3), high = log(BandLaw.largest)
        for _ in 0..<24 {
          let middle = 0.5 * (low + high)
          if observable(exp(middle) / means[j]) > targets[j] { low = middle } else { high = middle }
        }
        lambda[j] = exp(high) / means[j]
      }
      if zip(before, lambda).allSatisfy({ abs($0 - $1) <= 0.02 * $1 }) { break }
    }
    func met(_ share: Double) -> Bool { zip(targets, state(exponents(lambda), share: share).observables).allSatisfy { $1 <= 1.01 * $0 } }
    if met(1) { return (lambda, 1) }
    for j in targets.indices where lambda[j] * means[j] > BandLaw.enough { lambda[j] = BandLaw.enough / means[j] }
    if held == .rate { return (lambda, 1) }
    // Bands that are not coded have nothing to lower: not proportional to the share.
    var low = -50.0, high = 0.0
    for _ in 0..<30 {
      let middle = 0.5 * (low + high)
      if met(exp(middle)) { low = middle } else { high = middle }
    }
    return (lambda, exp(low))
  }
  /// Largest lambda in units of 1 / mean g, and one that wins nearly all there is to win where g is spread over all bands.
  private static let largest = 1e5, enough = 10.0
}
