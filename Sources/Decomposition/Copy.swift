import Fields

/// One strided side of a copy: where the first cell lies, and the distances between rows and planes.
struct Strided {
  var pointer: UnsafeMutableRawPointer
  var row: Int, plane: Int   // bytes

  init(_ array: RawArray, _ part: Box) {
    let s = array.box.shape, e = array.elementSize
    pointer = array.pointer + array.box.offset(of: part.lower) * e
    row = s.x * e; plane = s.y * s.x * e
  }
  init(packed pointer: UnsafeMutableRawPointer, _ shape: Index3, _ elementSize: Int) {
    self.pointer = pointer
    row = shape.x * elementSize; plane = shape.y * shape.x * elementSize
  }
}

/// Copies `shape` cells; rows and planes that follow each other on both sides become one run.
func copy(_ shape: Index3, _ elementSize: Int, from s: Strided, to d: Strided) {
  var run = shape.x * elementSize, rows = shape.y, planes = shape.z
  if run == 0 || rows == 0 || planes == 0 { return }
  if rows == 1 || (s.row == run && d.row == run) {
    run *= rows; rows = 1
    if planes == 1 || (s.plane == run && d.plane == run) { run *= planes; planes = 1 }
  }
  func words<T: BitwiseCopyable>(_: T.Type) {
    let n = run / MemoryLayout<T>.size
    for z in 0..<planes {
      for y in 0..<rows {
        let a = (s.pointer + (z * s.plane + y * s.row)).assumingMemoryBound(to: T.self)
        let b = (d.pointer + (z * d.plane + y * d.row)).assumingMemoryBound(to: T.self)
        for i in 0..<n { b[i] = a[i] }
      }
    }
  }
  // Short rows (faces of a halo) are not worth a call each.
  if run <= 64 {
    switch elementSize {
    case 8: return words(UInt64.self)
    case 4: return words(UInt32.self)
    case 2: return words(UInt16.self)
    default: return words(UInt8.self)
    }
  }
  for z in 0..<planes {
    for y in 0..<rows {
      (d.pointer + (z * d.plane + y * d.row)).copyMemory(from: s.pointer + (z * s.plane + y * s.row), byteCount: run)
    }
  }
}
