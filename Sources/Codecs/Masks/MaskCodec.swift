import CKernels
public import Fields

/// Where the special values of a tile are, and of which category; also sign planes.
///
/// Ordinary or special under 13 causal neighbours (adaptive binary range coder, tile-local), then the category of special
/// cells where more than one occurs.
public enum MaskCodec {
  /// - Parameters:
  ///   - categories: One byte per cell, C order; 0 is ordinary.
  ///   - within: Cells with 0 are not coded and decode as 0. `nil`: all are coded.
  /// - Returns: Empty when all are 0, 2 bytes when all are of one other category.
  public static func encode(_ categories: UnsafePointer<UInt8>, box: Box, within: UnsafePointer<UInt8>? = nil) -> [UInt8] {
    let s = box.shape, n = box.count
    // Nearly always nothing, or little: room only once it is needed.
    var none = true
    for i in 0..<n where categories[i] != 0 { none = false; break }
    if none { return [] }
    let cap = ald_mask_cap(n)
    return [UInt8](unsafeUninitializedCapacity: cap) { out, count in
      count = ald_mask_encode(categories, within, Int32(s.z), Int32(s.y), Int32(s.x), out.baseAddress, cap)
      precondition(count <= cap, "out of memory")
    }
  }

  /// - Throws: `StreamError`; the categories are then undefined.
  public static func decode(_ bytes: UnsafeRawBufferPointer, box: Box, within: UnsafePointer<UInt8>? = nil,
                            into categories: UnsafeMutablePointer<UInt8>) throws {
    let s = box.shape
    try StreamError.check(ald_mask_decode(bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count, within,
                                          Int32(s.z), Int32(s.y), Int32(s.x), categories), size: bytes.count)
  }
}
