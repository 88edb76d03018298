import CKernels
public import Fields

/// y = log2|x| and back, with the sign as a plane of its own, for bounds relative to each value.
///
/// log2 and exp2 are our own (exponent extraction, series in a fixed order, error below 1e-15): the same bits everywhere.
/// Monotone for arguments that differ by more than 4e-15 of their value, so for all float32.
public enum LogMapping {
  /// Zeros must be special values in this mode: the bit patterns of +0 and -0.
  public static func zeroPatterns(_ type: ScalarType) -> [UInt64] {
    type == .float32 ? [0, 0x8000_0000] : [0, 0x8000_0000_0000_0000]
  }

  /// Type of the log tile: float32 where its rounding (4e-6 at |y| < 128) is small against the bound.
  public static func logType(_ type: ScalarType, relativeBound e: Double) -> ScalarType {
    type == .float32 && e >= 1e-3 ? .float32 : .float64
  }

  /// Absolute bound on y that gives |x - x'| <= E |x|, rounding of the log tile and of the stored type included.
  /// - Returns: log2(1 + E) less the roundings; 0 where nothing is left (code the field losslessly). Subnormal values
  ///   may still miss: check, and correct with `OutlierCodec.encodeRelative`.
  public static func bound(_ type: ScalarType, relativeBound e: Double) -> Double {
    guard e > 0 else { return 0 }
    let stored = type == .float32 ? 8.7e-8 : 1.7e-16
    let log = logType(type, relativeBound: e) == .float32 ? 7.7e-6 : 2.3e-13
    return max(0, ald_log2(1 + e) * (1 - 1e-9) - stored - log)
  }

  public static func log2(_ x: Double) -> Double { ald_log2(x) }
  public static func exp2(_ y: Double) -> Double { ald_exp2(y) }

  /// - Parameter mask: Cells with 0 give 0 and no sign.
  /// - Returns: The log tile; `negative`, 1 where x < 0; `zero`, 1 where a cell of the mask is +-0 (its log is 0).
  public static func forward(_ tile: RawArray, mask: UnsafePointer<UInt8>?, logType: ScalarType)
    -> (log: RawArray, negative: [UInt8], zero: [UInt8]) {
    let log = RawArray(box: tile.box, type: logType), n = tile.count
    var negative = [UInt8](repeating: 0, count: n), zero = negative
    ald_log_forward(tile.pointer, Int32(tile.elementSize), mask, n, log.pointer, Int32(logType.size), &negative, &zero)
    return (log, negative, zero)
  }

  /// Writes the cells whose mask is not 0: +-2^y, rounded, finite and not zero whatever y is.
  public static func inverse(_ log: RawArray, negative: UnsafePointer<UInt8>, mask: UnsafePointer<UInt8>?, into tile: RawArray) {
    precondition(log.count == tile.count)
    ald_log_inverse(log.pointer, Int32(log.elementSize), negative, mask, tile.count, tile.pointer, Int32(tile.elementSize))
  }
}
