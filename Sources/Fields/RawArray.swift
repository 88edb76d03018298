/// Owned, uninitialised or zeroed memory for the cells of a box: one component, C order, elements of `type`.
///
/// A reference so that large arrays are never copied by accident; not shared between threads while written.
public final class RawArray: @unchecked Sendable {
  public let box: Box
  public let elementSize: Int
  public let pointer: UnsafeMutableRawPointer
  public var count: Int { box.count }
  public var byteCount: Int { box.count * elementSize }

  public init(box: Box, elementSize: Int, zeroed: Bool = false) {
    self.box = box; self.elementSize = elementSize
    let bytes = max(64, box.count * elementSize)
    if bytes >= MappedMemory.threshold {
      (pointer, mapped) = MappedMemory.allocate(bytes)
    } else {
      pointer = .allocate(byteCount: bytes, alignment: 64)
      mapped = 0
    }
    if zeroed { pointer.initializeMemory(as: UInt8.self, repeating: 0, count: bytes) }
  }
  /// Bytes of `MappedMemory`; 0: on the heap; -1: lent.
  private let mapped: Int
  public convenience init(box: Box, type: ScalarType, zeroed: Bool = false) {
    self.init(box: box, elementSize: type.size, zeroed: zeroed)
  }
  /// The memory of somebody else, who keeps it alive and frees it.
  public init(lending pointer: UnsafeMutableRawPointer, box: Box, elementSize: Int) {
    self.pointer = pointer; self.box = box; self.elementSize = elementSize
    mapped = -1
  }
  /// Cells of another box at the beginning of the memory of `whole`, or at its end; it is kept as long as they are.
  public init(inside whole: RawArray, box: Box, elementSize: Int, atEnd: Bool = false) {
    precondition(box.count * elementSize <= whole.byteCount)
    pointer = whole.pointer + (atEnd ? whole.byteCount - box.count * elementSize : 0)
    self.box = box; self.elementSize = elementSize
    owner = whole
    mapped = -1
  }
  private var owner: RawArray?
  /// What it lies in: another array, or none but itself.
  public var whole: RawArray { owner ?? self }
  deinit { if mapped > 0 { MappedMemory.release(pointer, mapped) } else if mapped == 0 { pointer.deallocate() } }

  @inlinable public func bound<T>(to: T.Type) -> UnsafeMutablePointer<T> { pointer.assumingMemoryBound(to: T.self) }

  /// From now on arrays of tiles are mapped too, in this process: its heap, which is a host's, neither grows by them nor keeps them. Costs page faults.
  public static func leaveHeapAlone() { MappedMemory.beModest() }

  /// Says that these bytes are not needed any more, until they are written again: inside a host their memory goes back to the system.
  public func empty(_ bytes: Range<Int>) {
    precondition(bytes.lowerBound >= 0 && bytes.upperBound <= byteCount)
    if whole.mapped > 0 { MappedMemory.empty(pointer + bytes.lowerBound, bytes.count) }
  }

  /// A copy.
  public var duplicate: RawArray {
    let a = RawArray(box: box, elementSize: elementSize)
    a.pointer.copyMemory(from: pointer, byteCount: byteCount)
    return a
  }

  /// Copies the cells of `part` (inside both boxes) from `source`.
  public func copy(_ part: Box, from source: RawArray) {
    precondition(elementSize == source.elementSize)
    let s = part.shape, run = s.x * elementSize
    if run == 0 { return }
    for z in part.lower.z..<part.upper.z {
      for y in part.lower.y..<part.upper.y {
        let i = Index3(z, y, part.lower.x)
        (pointer + box.offset(of: i) * elementSize)
          .copyMemory(from: source.pointer + source.box.offset(of: i) * elementSize, byteCount: run)
      }
    }
  }
}
