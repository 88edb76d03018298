import CKernels
public import Fields

/// Arrays of one element type side by side, that share the cells of a box without gaps: one array, or tiles.
///
/// Along a periodic axis that it holds whole, a mosaic goes on for ever.
public struct Mosaic {
  /// In C order.
  let arrays: [RawArray]
  let counts: Index3
  /// All cells.
  public let box: Box
  /// Extents of the axes that wrap; 0: the axis does not.
  let wrap: Index3
  public var elementSize: Int { arrays[0].elementSize }

  /// One array, taken as it is.
  public init(_ array: RawArray) {
    arrays = [array]
    counts = Index3(1, 1, 1); box = array.box; wrap = Index3(0, 0, 0)
  }

  /// `nil` where the arrays, in any order, do not make a mosaic.
  public init?(_ given: [RawArray], grid: Grid) {
    guard let first = given.first, given.allSatisfy({ !$0.box.isEmpty && $0.elementSize == first.elementSize }) else { return nil }
    arrays = given.sorted { a, b in
      let l = a.box.lower, r = b.box.lower
      return (l.z, l.y, l.x) < (r.z, r.y, r.x)
    }
    box = Box(lower: arrays[0].box.lower, upper: arrays[arrays.count - 1].box.upper)
    // Faces along an axis: those of the arrays that start where the first one does on the others.
    var counts = Index3(0, 0, 0), wrap = Index3(0, 0, 0)
    let lower = box.lower
    for a in arrays {
      let l = a.box.lower
      if l.y == lower.y && l.x == lower.x { counts.z += 1 }
      if l.z == lower.z && l.x == lower.x { counts.y += 1 }
      if l.z == lower.z && l.y == lower.y { counts.x += 1 }
    }
    guard counts.product == arrays.count, arrays.reduce(0, { $0 + $1.count }) == box.count else { return nil }
    // Every array continues the one before it on each axis and is as wide as its neighbours on the others.
    for (i, a) in arrays.enumerated() {
      let at = Index3(i / (counts.y * counts.x), i / counts.x % counts.y, i % counts.x), n = counts
      for axis in 0..<3 {
        let stride = axis == 0 ? n.y * n.x : axis == 1 ? n.x : 1
        let start = at[axis] == 0 ? box.lower[axis] : arrays[i - stride].box.upper[axis]
        guard a.box.lower[axis] == start, a.box.upper[axis] == arrays[at[axis] * stride].box.upper[axis] else { return nil }
      }
    }
    for a in 0..<3 where grid.periodic[a] && box.lower[a] == 0 && box.upper[a] == grid.shape[a] { wrap[a] = grid.shape[a] }
    self.counts = counts; self.wrap = wrap
  }

  /// Whether it holds all cells of `b`, which may reach beyond periodic faces.
  public func holds(_ b: Box) -> Bool {
    (0..<3).allSatisfy { wrap[$0] > 0 || (b.lower[$0] >= box.lower[$0] && b.upper[$0] <= box.upper[$0]) }
  }

  /// Boxes around it, cut along its own faces, that make it a mosaic which holds `wanted`.
  public func frame(holding wanted: [Box]) -> [Box] {
    var hull = box
    for b in wanted where !b.isEmpty {
      for a in 0..<3 where wrap[a] == 0 { hull.lower[a] = min(hull.lower[a], b.lower[a]); hull.upper[a] = max(hull.upper[a], b.upper[a]) }
    }
    func cuts(_ a: Int) -> [Int] {
      let stride = a == 0 ? counts.y * counts.x : a == 1 ? counts.x : 1
      let own = (0..<counts[a]).map { arrays[$0 * stride].box.lower[a] } + [box.upper[a]]
      return (hull.lower[a] < box.lower[a] ? [hull.lower[a]] : []) + own + (hull.upper[a] > box.upper[a] ? [hull.upper[a]] : [])
    }
    let z = cuts(0), y = cuts(1), x = cuts(2)
    var out: [Box] = []
    for i in 1..<z.count { for j in 1..<y.count { for k in 1..<x.count {
      let b = Box(lower: Index3(z[i - 1], y[j - 1], x[k - 1]), upper: Index3(z[i], y[j], x[k]))
      if !box.contains(b) { out.append(b) }
    } } }
    return out
  }

  /// The mosaic as the kernels see it.
  func withPieces(_ body: (UnsafePointer<ald_pieces>) -> Void) {
    arrays.map(\.view).withUnsafeBufferPointer { views in
      var pieces = ald_pieces(
        views: views.baseAddress, count: (Int64(counts.z), Int64(counts.y), Int64(counts.x)), wrap: (Int64(wrap.z), Int64(wrap.y), Int64(wrap.x)))
      body(&pieces)
    }
  }

  /// An array that has all cells of a box it holds: the mosaic's only one, or a copy.
  public func array(holding b: Box) -> RawArray { arrays.count == 1 && box.contains(b) ? arrays[0] : cells(of: b) }

  /// The cells of a box it holds and no others.
  public func cells(of b: Box) -> RawArray {
    if arrays.count == 1 && box == b { return arrays[0] }
    let out = RawArray(box: b, elementSize: elementSize)
    /// Runs of cells along an axis: first cell of `b`, how many, number of the array, and the first cell there.
    func runs(_ axis: Int) -> [(start: Int, count: Int, piece: Int, cell: Int)] {
      let stride = axis == 0 ? counts.y * counts.x : axis == 1 ? counts.x : 1, n = wrap[axis]
      var list: [(start: Int, count: Int, piece: Int, cell: Int)] = [], i = b.lower[axis]
      while i < b.upper[axis] {
        let w = n > 0 ? ((i % n) + n) % n : i
        let k = (0..<counts[axis]).first { w < arrays[$0 * stride].box.upper[axis] }!
        let count = min(arrays[k * stride].box.upper[axis] - w, b.upper[axis] - i)
        list.append((i, count, k * stride, w))
        i += count
      }
      return list
    }
    let x = runs(2), y = runs(1)
    for z in runs(0) { for y in y { for x in x {
      let from = arrays[z.piece + y.piece + x.piece]
      for k in 0..<z.count {
        for j in 0..<y.count {
          (out.pointer + out.box.offset(of: Index3(z.start + k, y.start + j, x.start)) * elementSize).copyMemory(
            from: from.pointer + from.box.offset(of: Index3(z.cell + k, y.cell + j, x.cell)) * elementSize, byteCount: x.count * elementSize)
        }
      }
    } } }
    return out
  }
}
