import Codecs
import Fields

/// Symbols that wait for their tables, each value in one, two or four bytes, as few as all of them fit into.
final class PackedSymbols: @unchecked Sendable {
  private let classes: RawArray, values: RawArray
  private var count: Int { classes.count }

  init(_ s: Symbols) {
    let box = Box(shape: Index3(1, 1, s.count))
    classes = RawArray(box: box, elementSize: 1)
    classes.pointer.copyMemory(from: s.classes, byteCount: s.count)
    // Bits beside the sign.
    var bits: Int32 = 0
    for i in 0..<s.count { bits |= s.values[i] ^ (s.values[i] >> 31) }
    values = RawArray(box: box, elementSize: bits < 1 << 7 ? 1 : bits < 1 << 15 ? 2 : 4)
    func put<T: FixedWidthInteger>(_: T.Type) {
      let p = values.bound(to: T.self)
      for i in 0..<s.count { p[i] = T(truncatingIfNeeded: s.values[i]) }
    }
    switch values.elementSize {
    case 1: put(Int8.self)
    case 2: put(Int16.self)
    default: put(Int32.self)
    }
  }

  /// Entropy-coded bytes under `tables`.
  func encode(_ tables: ClassTables) -> [UInt8] {
    let s = Symbols(capacity: count)
    s.count = count
    s.classes.update(from: classes.bound(to: UInt8.self), count: count)
    func take<T: FixedWidthInteger>(_: T.Type) {
      let p = values.bound(to: T.self)
      for i in 0..<count { s.values[i] = Int32(truncatingIfNeeded: p[i]) }
    }
    switch values.elementSize {
    case 1: take(Int8.self)
    case 2: take(Int16.self)
    default: take(Int32.self)
    }
    return s.encode(tables)
  }
}
