import Fields

/// A box of whole tiles of one rank, and those tiles (positions in coding order).
public struct Region: Hashable, Sendable {
  public var box: Box
  public var tiles: Range<Int>
}

/// Joins a contiguous range of tiles into few boxes of at most `maximumCells` cells (a single larger tile stays whole).
///
/// Neighbours in coding order that form a box are joined, pairs first: aligned runs become octants.
/// - Complexity: O(tiles).
public func regions(of tileRange: Range<Int>, in tiles: TileGrid, maximumCells: Int) -> [Region] {
  var out: [Region] = []
  for t in tileRange {
    out.append(Region(box: tiles.box(t), tiles: t..<t + 1))
    while out.count >= 2, let box = union(out[out.count - 2].box, out[out.count - 1].box), box.count <= maximumCells {
      let last = out.removeLast()
      out[out.count - 1] = Region(box: box, tiles: out[out.count - 1].tiles.lowerBound..<last.tiles.upperBound)
    }
  }
  return out
}

/// The union of two boxes where it is a box: equal on two axes, adjacent on the third.
private func union(_ a: Box, _ b: Box) -> Box? {
  var axis: Int?
  for i in 0..<3 where a.lower[i] != b.lower[i] || a.upper[i] != b.upper[i] {
    if axis != nil { return nil }
    axis = i
  }
  guard let i = axis, a.upper[i] == b.lower[i] || b.upper[i] == a.lower[i] else { return nil }
  var u = a
  u.lower[i] = min(a.lower[i], b.lower[i]); u.upper[i] = max(a.upper[i], b.upper[i])
  return u
}
