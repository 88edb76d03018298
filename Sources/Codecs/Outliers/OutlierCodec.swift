import CKernels
public import Fields

/// Corrections that turn a lossy decode into a bounded one.
///
/// An outlier is a cell where |x - x'| <= bound does not hold, differences taken in double. It is moved by
/// s (2k - 0.9) bound, k = 1...7, rounded to the type; the encoder checks the outcome and stores the exact bits where
/// no k does, so the bound holds whatever the rounding. Positions are coded as gaps.
public enum OutlierCodec {
  /// Codes the corrections and applies them to `decoded`.
  /// - Parameters:
  ///   - mask: Cells with 0 are left alone. `nil`: all valid.
  ///   - bound: Absolute, >= 0; with 0 every differing cell is stored exactly.
  /// - Returns: Empty when there is nothing to correct. Afterwards |x - x'| <= bound at every valid cell.
  public static func encode(original: RawArray, decoded: RawArray, mask: UnsafePointer<UInt8>?, bound: Double) -> [UInt8] {
    code(original, decoded, mask, bound, relative: false)
  }

  /// As `encode`, with the bound E |x| at every cell; all corrections are exact. `decode` takes any bound.
  public static func encodeRelative(original: RawArray, decoded: RawArray, mask: UnsafePointer<UInt8>?, bound e: Double) -> [UInt8] {
    code(original, decoded, mask, e, relative: true)
  }

  /// Applies the corrections to `decoded`, which must hold the encoder's bits.
  /// - Throws: `StreamError`; the cells are then undefined.
  public static func decode(_ bytes: UnsafeRawBufferPointer, decoded: RawArray, bound: Double) throws {
    try StreamError.check(ald_outlier_decode(bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count, decoded.pointer,
                                             Int32(decoded.elementSize), decoded.count, bound), size: bytes.count)
  }

  private static func code(_ original: RawArray, _ decoded: RawArray, _ mask: UnsafePointer<UInt8>?, _ bound: Double,
                           relative: Bool) -> [UInt8] {
    precondition(original.elementSize == decoded.elementSize && original.count == decoded.count && bound >= 0)
    let size = Int32(original.elementSize), n = original.count
    let count = ald_outlier_count(original.pointer, decoded.pointer, size, mask, n, bound, relative ? 1 : 0)
    if count == 0 { return [] }
    let cap = ald_outlier_cap(count, size)
    return [UInt8](unsafeUninitializedCapacity: cap) { out, used in
      used = ald_outlier_encode(original.pointer, decoded.pointer, size, mask, n, bound, relative ? 1 : 0, count,
                                out.baseAddress, cap)
      precondition(used <= cap, "out of memory")
    }
  }
}
