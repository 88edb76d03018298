/// What the user asked for, before it is resolved against the data.
public enum ErrorBound: Hashable, Sendable {
  /// |x - x'| <= E at every valid point.
  case absolute(Double)
  /// |x - x'| <= E * (global maximum - global minimum over all components and valid points).
  case relative(Double)
  /// |x - x'| <= E * |x| at every valid point; zeros come back as zeros.
  case pointwiseRelative(Double)
  /// 20 log10(range / rmse) >= E, in dB.
  case psnr(Double)
  /// Stored bits per valid value, within 2 %.
  case rate(Double)
  /// Every bit comes back.
  case lossless

  public var kind: String {
    switch self {
    case .absolute: "abs"
    case .relative: "rel"
    case .pointwiseRelative: "pwrel"
    case .psnr: "psnr"
    case .rate: "rate"
    case .lossless: "lossless"
    }
  }
  /// The number given; 0 for `lossless`.
  public var value: Double {
    switch self {
    case .absolute(let v), .relative(let v), .pointwiseRelative(let v), .psnr(let v), .rate(let v): v
    case .lossless: 0
    }
  }
  public init?(kind: String, value: Double) {
    switch kind {
    case "abs": self = .absolute(value)
    case "rel": self = .relative(value)
    case "pwrel": self = .pointwiseRelative(value)
    case "psnr": self = .psnr(value)
    case "rate": self = .rate(value)
    case "lossless": self = .lossless
    default: return nil
    }
  }
}
