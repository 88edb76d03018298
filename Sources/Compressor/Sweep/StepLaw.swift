import Codecs
import Glibc
import LatentGeometry

/// What factors on the steps of the bands do by the law, from one coding with equal steps of noise theta.
///
/// Noise of band b counts d_b times in the distortion and g_b times in an observable's error: steps ~ (d + lambda g)^-1/2. Of a transform alone d is 1; of a
/// learned decoder equal steps are not the best for the distortion, so that small lambda wins there. Bands of an autoencoder are its latents, over the steps of the model.
struct StepLaw {
  /// Relative to the distortion's metric: what lambda^, CV^2 and overlap are told of.
  let statistics: any BandStatistics
  /// Errors of the observables that are foretold for equal steps.
  let errors: [Double]
  /// `nil`: a transform alone.
  let slackDB: Double?
  /// By component and band, all there are: d, g in units of field values, variance.
  private let distortion: [Double], observables: [[Double]], variances: [Double]
  /// Of a latent of sensitivity 1 at equal steps, theta.
  let noise: Double
  /// Bands that count less are coded as if they counted as much.
  private let least: Double

  /// Of a transform.
  ///
  /// - Collective: all ranks.
  init(_ a: BandAlignment, at point: OperatingPoint) throws {
    let rounding = try a.rounding(at: point)
    errors = try a.sensitivities.indices.map { try a.error($0, rounding) }
    statistics = a; slackDB = nil; noise = point.noise; least = 0; variances = a.variances
    distortion = [Double](repeating: 1, count: a.counts.count)
    observables = a.sensitivities.map { s in s.mean.map { a.values * $0 } }
  }
  /// Of a network behind it, whose unit is the common step: no band's may be far from it.
  init(_ a: LearnedAlignment, noise: Double) {
    statistics = a; slackDB = 10 * log10(a.slack); self.noise = noise; least = 0.25; errors = a.errors
    variances = a.transformVariances; distortion = a.distortion
    observables = a.observables.map { g in g.map { a.values * $0 } }
  }

  init(_ a: AutoencoderAlignment, noise: Double) {
    statistics = a; slackDB = a.slackDB(noise: noise); self.noise = noise; least = 0; errors = a.errors
    variances = a.latentVariances
    // In units of the mean: steps differ by model.
    let mean = a.distortion.reduce(0, +) / Double(a.distortion.count), unit = mean > 0 ? 1 / mean : 1
    distortion = a.distortion.map { unit * $0 }
    observables = a.observables.map { g in g.map { unit * a.values * $0 } }
  }

  /// Bands with latents, as many as the transform has, by their places in the lists.
  private var present: [Int] { statistics.counts.indices.filter { statistics.counts[$0] > 0 } }

  /// k of the factors 2^(k/8) next to (d + lambda g)^1/2 over the smallest of them below 1, of every band.
  func exponents(_ j: Int, weight: Double) -> [UInt8] {
    let squares = zip(distortion, observables[j]).map { $0 + weight * $1 }, smallest = present.reduce(1) { min($0, squares[$1]) }
    return squares.map { BandWeights.exponent(($0 / max(smallest, least)).squareRoot()) }
  }

  /// Loss of PSNR, gain of the observable in dB and the common step over that of equal steps, at the same rate.
  func prediction(_ j: Int, _ exponents: [UInt8]) -> (cost: Double, gain: Double, stepRatio: Double) {
    let bands = present, factors = bands.map { BandWeights.factor(Int(exponents[$0])) }
    func of(_ sensitivities: [Double]) -> BandSpectrum.Prediction {
      BandSpectrum(bands.map { .init(sensitivity: sensitivities[$0], count: statistics.counts[$0], variance: variances[$0]) }).prediction(factors: factors, rate: .rounded(noise))
    }
    let d = of(distortion), p = of(observables[j])
    return (-d.gain, p.gain, p.stepRatio)
  }

  /// Steps of the bands by these factors, at the rate of none.
  ///
  /// - Parameter order: which component of the field each of the law's is.
  func shaping(_ exponents: [UInt8], stepRatio: Double, _ transform: LappedOrthogonalTransform, order: [Int]) -> Shaping {
    let m = transform.blockEdge, bands = m * m * m
    var tables = [[UInt8]](repeating: [], count: order.count)
    for (k, c) in order.enumerated() { tables[c] = Array(exponents[k * bands..<(k + 1) * bands]) }
    return Shaping(weights: BandWeights(edge: m, tables: tables), transform, stepRatio: stepRatio)
  }

  /// An autoencoder whose latents have steps by these factors; a factor on all of them sets the rate.
  func shaped(_ model: Autoencoder, _ exponents: [UInt8]) -> Autoencoder {
    if exponents.allSatisfy({ $0 == exponents[0] }) { return model }
    var n = model.numbers
    for (i, k) in exponents.enumerated() {
      let f = Float(BandWeights.factor(Int(k)))
      n.steps[i] /= f; n.magnitudes[i] *= f
    }
    return Autoencoder(model.shape, rounding: n)
  }
}
