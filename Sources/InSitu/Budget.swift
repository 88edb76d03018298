import Compressor
import Fields

/// Bytes that a run may spend per step in the mean, and how much finer than asked its fields can be for that.
///
/// A bound holds whatever it costs; what is left of the budget makes errors smaller. Halving an error costs about one bit per value, so after each
/// step the number of halvings follows from the bytes that were left. All ranks know the same numbers, so all decide alike.
struct Budget {
  let bytesPerStep: Double
  /// Halvings of every bound, 0 ... 24, in sixteenths.
  private(set) var halvings = 0.0
  /// Not yet spent of the steps so far.
  private(set) var saved = 0.0

  init(bytesPerStep: Double) { self.bytesPerStep = bytesPerStep }

  /// The bound that the next step works to, never looser than `bound`.
  func spent(on bound: ErrorBound) -> ErrorBound {
    guard bytesPerStep > 0, halvings > 0 else { return bound }
    let factor = Budget.power(ofHalf: halvings)
    return switch bound {
    case .absolute(let e): .absolute(e * factor)
    case .relative(let e): .relative(e * factor)
    case .pointwiseRelative(let e): .pointwiseRelative(e * factor)
    case .psnr(let db): .psnr(db + 6.020599913279624 * halvings)
    case .rate, .lossless: bound
    }
  }

  /// 2^-h of multiples of 1/16, by roots, which IEEE 754 fixes to the last bit: every rank has the same, whatever its C library.
  private static func power(ofHalf h: Double) -> Double {
    var factor = 1.0, root = 0.5, left = Int(h * 16)
    for _ in 0..<left / 16 { factor *= 0.5 }
    left %= 16
    for bit in [8, 4, 2, 1] {
      root = root.squareRoot()
      if left & bit != 0 { factor *= root }
    }
    return factor
  }

  mutating func account(for r: StepResult) {
    guard bytesPerStep > 0 else { return }
    let values = r.fields.filter { !["rate", "lossless"].contains($0.bound?.kind ?? "lossless") }.reduce(0) { $0 + $1.validValues }
    saved += bytesPerStep - Double(r.fileBytes)
    guard values > 0 else { return }
    // Old savings and debts are settled over four steps, within a factor of two of the budget.
    let target = min(2 * bytesPerStep, max(0.5 * bytesPerStep, bytesPerStep + saved / 4))
    let wanted = halvings + 8 * (target - Double(r.fileBytes)) / Double(values)
    halvings = (min(24, max(0, wanted)) * 16).rounded() / 16
  }
}
