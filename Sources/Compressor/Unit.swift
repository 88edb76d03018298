import CKernels
import Codecs
import Fields
import Glibc

/// One tile of one component on its way through the encoder.
final class Unit: @unchecked Sendable {
  /// Number of its stream.
  let index: Int
  let box: Box
  /// What to add to decoded values.
  var offset = 0.0
  /// Values as given, stored type.
  var original: RawArray
  /// Special-value category per cell, 0 = valid; `nil`: all valid.
  var categories: RawArray?
  /// Values the codec works on; `original` itself where nothing had to change.
  var work: RawArray
  /// 1 = valid, for the kernels; `nil`: all valid.
  var mask: RawArray?
  var maskPointer: UnsafePointer<UInt8>? { mask.map { UnsafePointer($0.bound(to: UInt8.self)) } }
  /// 1 where the value is below zero; logarithmic fields only.
  var negative: [UInt8] = []
  var stream = TileStream()
  var symbols: Symbols?
  /// Decoded values before outliers, element type of the arithmetic.
  var decoded: RawArray?

  init(index: Int, box: Box, original: RawArray, work: RawArray) {
    self.index = index; self.box = box; self.original = original; self.work = work
  }
}

/// Classes and values of a tile in coding order.
final class Symbols: @unchecked Sendable {
  let classes: UnsafeMutablePointer<UInt8>
  let values: UnsafeMutablePointer<Int32>
  let capacity: Int
  var count = 0
  private let memory: RawArray
  init(capacity: Int) {
    self.capacity = capacity
    memory = RawArray(box: Box(shape: Index3(1, 1, 5 * capacity)), elementSize: 1)
    values = memory.bound(to: Int32.self)
    classes = (memory.pointer + 4 * capacity).assumingMemoryBound(to: UInt8.self)
  }

  func add(to histogram: UnsafeMutablePointer<UInt32>) { ald_histogram(classes, values, count, histogram) }

  /// Entropy-coded bytes under `tables`.
  func encode(_ tables: ClassTables) -> [UInt8] {
    if count == 0 { return [] }
    let scratch = UnsafeMutablePointer<UInt8>.allocate(capacity: count)
    let bound = ald_encode_bound(count)
    let out = UnsafeMutablePointer<UInt8>.allocate(capacity: bound)
    defer { scratch.deallocate(); out.deallocate() }
    let n = ald_encode(tables.pointer, classes, values, count, scratch, out, bound)
    precondition(n > 0, "value outside the coder's range")
    return Array(UnsafeBufferPointer(start: out, count: n))
  }
}

/// Bits of counted symbols, raw bits included: per class the cheaper of its own entropy with a table and the shipped shape.
///
/// - Parameter share: how much of a table's cost to charge, where the counts are a sample of the field.
func estimatedBits(_ histogram: [UInt64], share: Double) -> Double {
  let symbols = ClassTables.symbols
  var total = 0.0
  for c in 0..<ClassTables.classes {
    var n: UInt64 = 0, used = 0, own = 0.0, shipped = 0.0, raw = 0.0
    let level = ald_base_row(Int32(c))!
    for s in 0..<symbols {
      let h = histogram[c * symbols + s]
      if h == 0 { continue }
      let count = Double(h)
      n += h; used += 1
      own -= count * log2(count)
      shipped += count * Double(level[s]) / 8
      if s > 0 { raw += count }
      if s >= 16 { raw += count * Double((s - 16) / 4 + 2) }
    }
    if n == 0 { continue }
    own += Double(n) * log2(Double(n))
    total += raw + min(shipped, own + share * (0.5 * log2(Double(n)) + 1) * Double(used))
  }
  return total
}
