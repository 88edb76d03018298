import CKernels
public import Fields

/// Every bit of a tile, coded on its own.
///
/// Prediction by least-squares weights over 23 causal neighbours, fitted and stored per tile, of the values or (densities)
/// of their order-preserving integers; the difference is coded by an adaptive binary range coder under the expected
/// error, low bits raw. All arithmetic in a fixed order: the same bytes and bits on every machine.
public enum LosslessCodec {
  /// - Parameters:
  ///   - tile: float32 or float64 by its element size.
  ///   - mask: one byte per cell in C order; cells with 0 are skipped and do not influence the bytes. `nil`: all valid.
  /// - Returns: At most one byte more than the valid values; 1 byte without valid cells, one value and a byte when all
  ///   are equal.
  /// - Complexity: O(cells).
  public static func encode(_ tile: RawArray, mask: UnsafePointer<UInt8>?) -> [UInt8] {
    let s = tile.box.shape, cap = ald_lossless_cap(tile.count, Int32(tile.elementSize))
    return [UInt8](unsafeUninitializedCapacity: cap) { out, count in
      let z = Int32(s.z), y = Int32(s.y), x = Int32(s.x)
      count = switch tile.elementSize {
      case 4: ald_lossless_encode32(tile.bound(to: UInt32.self), mask, z, y, x, out.baseAddress, cap)
      case 8: ald_lossless_encode64(tile.bound(to: UInt64.self), mask, z, y, x, out.baseAddress, cap)
      default: fatalError("element size \(tile.elementSize)")
      }
      precondition(count > 0, "out of memory")
    }
  }

  /// Writes the cells whose mask is not 0, with the mask given to `encode`.
  /// - Throws: `StreamError`; the cells are then undefined. Not every damage shows here: keep a checksum.
  public static func decode(_ bytes: UnsafeRawBufferPointer, into tile: RawArray, mask: UnsafePointer<UInt8>?) throws {
    let s = tile.box.shape, z = Int32(s.z), y = Int32(s.y), x = Int32(s.x)
    let p = bytes.bindMemory(to: UInt8.self).baseAddress
    let status = switch tile.elementSize {
    case 4: ald_lossless_decode32(p, bytes.count, mask, z, y, x, tile.bound(to: UInt32.self))
    case 8: ald_lossless_decode64(p, bytes.count, mask, z, y, x, tile.bound(to: UInt64.self))
    default: fatalError("element size \(tile.elementSize)")
    }
    try StreamError.check(status, size: bytes.count)
  }
}
