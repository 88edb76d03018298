import Codecs
import Fields
import Glibc

/// A bound resolved against the data: what the codec must reach.
struct Target: Sendable {
  var bound: ErrorBound
  /// Pointwise bound on the stored values: absolute, or relative in `logarithmic` mode.
  var pointwise: Double?
  /// Root mean square error to aim at, in units of the working values; `nil` for a rate.
  var rmse: Double?
  /// Bits per valid value.
  var rate: Double?
  var logarithmic = false
  var lossless = false
  /// What is printed and stored as the absolute bound; NaN where there is none.
  var absolute = Double.nan

  /// Step of the interpolation whose errors, uniform or smaller, just fill a pointwise bound: no outliers, bound / rmse >= 1.73.
  var filling: Double?

  /// bound / rmse of a transform where a pointwise bound is asked: with Gaussian errors 1.4 % of the points become outliers.
  /// Source: measured optimum of bytes at SPERR's quality, between 2.25 and 2.5.
  static let boundOverRmse = 2.44

  init(_ bound: ErrorBound, survey: FieldSurvey, type: ScalarType) {
    self.bound = bound
    let ulp = type == .float32 ? 0x1p-24 : 0x1p-53
    switch bound {
    case .absolute(let e): absolute = e
    case .relative(let e): absolute = e * survey.range
    case .psnr(let db):
      // No libm where it matters: the measured PSNR decides in the end.
      absolute = survey.range * pow(10, -db / 20)
    case .pointwiseRelative(let e):
      logarithmic = true
      pointwise = e
      // (1 + e) in either direction; a hair less, so that rounding to the stored type rarely makes outliers.
      let inLog = log2(1 + e) * (1 - 0x1p-10)
      rmse = inLog / Target.boundOverRmse
      filling = 2 * inLog
      if e < 8 * ulp { lossless = true; absolute = 0 }
      return
    case .rate(let r):
      rate = r
      if r >= Double(8 * type.size) { lossless = true }
      return
    case .lossless:
      lossless = true
      absolute = 0
      return
    }
    if case .psnr = bound { rmse = absolute } else {
      pointwise = absolute
      rmse = absolute / Target.boundOverRmse
      fill(workingIn: type, magnitude: survey.magnitude)
    }
    // Below the resolution of the type, or beyond 32-bit integers, nothing is saved by losing bits.
    if absolute < survey.magnitude * ulp || absolute * 0x1p27 < survey.range { lossless = true }
  }

  /// Takes off what rounding to a type and to units adds; nothing where no absolute bound is to be filled.
  mutating func fill(workingIn type: ScalarType, magnitude: Double) {
    guard pointwise != nil, !logarithmic else { return }
    filling = 2 * max(absolute / 2, absolute - magnitude * (type == .float32 ? 0x1p-24 : 0x1p-53)) * (1 - 0x1p-20)
  }
}

extension ErrorBound {
  /// Half the width of the error histogram: the pointwise bound, or four times the rms error where that is what is bounded.
  func histogramScale(_ absolute: Double) -> Double {
    switch self {
    case .psnr, .rate: 4 * absolute
    default: absolute
    }
  }
}
