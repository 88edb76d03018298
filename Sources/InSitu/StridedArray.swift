import Fields

/// Values of a box in the host's memory: where the first lies, and the distances between neighbours along the padded axes, in elements.
struct StridedArray {
  let first: UnsafeRawPointer
  let strides: Index3
  let box: Box
  let type: ScalarType

  /// Whether the values lie as a `RawArray` of the box would hold them.
  var isPacked: Bool {
    let n = box.shape
    return (n.x == 1 || strides.x == 1) && (n.y == 1 || strides.y == n.x) && (n.z == 1 || strides.z == n.y * n.x)
  }

  /// The cells of `part` in memory of their own.
  func copy(_ part: Box) -> RawArray {
    let out = RawArray(box: part, type: type)
    if type == .float32 { copy(part, into: out.bound(to: UInt32.self)) } else { copy(part, into: out.bound(to: UInt64.self)) }
    return out
  }

  private func copy<T: BitwiseCopyable>(_ part: Box, into target: UnsafeMutablePointer<T>) {
    let n = part.shape, o = part.lower - box.lower
    let start = first.assumingMemoryBound(to: T.self) + (o.z * strides.z + o.y * strides.y + o.x * strides.x)
    var to = target
    for z in 0..<n.z {
      for y in 0..<n.y {
        let row = start + (z * strides.z + y * strides.y)
        if strides.x == 1 { to.update(from: row, count: n.x) } else {
          let s = strides.x
          for x in 0..<n.x { to[x] = row[x * s] }
        }
        to += n.x
      }
    }
  }
}
