import Compressor
import Glibc
import LatentGeometry

/// Did training reach the trade that the law foretells? THEORY 1.8.
struct CodeAudit: Codable {
  /// Bits per value of the validation, and dB of squared error of D, P_0, ... against the principal components there at this rate: below 0 the cost, above the gain.
  var rate: Double, reached: [Double]
  /// The same as foretold; of a code that knows no observables zero.
  var foretold: [Double]
  /// Arithmetic over geometric mean of the eigenvalues of Sigma^1/2 S^T S Sigma^1/2 on active latents, S the synthesis in coordinates in which the loss is the
  /// squared error and Sigma step^2 / 12: 1 where nothing is left to win by other steps or directions. `nil`: hidden layers, whose tangent changes from patch to patch.
  var slack: Double?

  /// - Parameter activity: share of patches in which a latent is not 0.
  static func slack(_ s: CodeShape, _ p: [Double], activity: (Int) -> Double) throws -> Double? {
    // More often than a Gaussian number whose deviation is that of rounding.
    let active = (0..<s.latents).filter { activity($0) > 0.083 }, n = active.count
    guard s.behind == 0, n > 0 else { return nil }
    let at = s.range(.synthesis).lowerBound, step = s.range(.step).lowerBound
    let a = DenseMatrix(rows: s.inputs, columns: n) { j, k in p[at + j * s.latents + active[k]] * exp(p[step + active[k]]) }
    let values = try (a.transposed * a).eigen().values.map { max($0, 1e-300) }
    return values.reduce(0, +) / Double(n) / exp(values.reduce(0) { $0 + log($1) } / Double(n))
  }
  /// "error -0.61 dB, box +7.1 dB".
  static func words(_ db: [Double], _ o: TrainOptions) -> String {
    func signed(_ v: Double) -> String { (v > 0 ? "+" : "") + "\((100 * v).rounded() / 100) dB" }
    return zip(["error"] + TrainOptions.observables, db).filter { $0.0 == "error" || o.physics[$0.0] != nil }.map { "\($0.0) \(signed($0.1))" }.joined(separator: ", ")
  }
  func words(_ o: TrainOptions) -> String {
    let told = o.physics.isEmpty ? "" : "\(CodeAudit.words(foretold, o)) foretold, "
    return "against principal components at \(rounded(rate)) bits/value: \(told)\(CodeAudit.words(reached, o)) reached" + (slack.map { "; slack \(rounded($0))" } ?? "")
  }
}
