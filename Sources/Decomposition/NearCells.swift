public import Fields

/// This rank's boxes and some of the cells around them, as one place to take boxes of cells from.
public struct NearCells {
  private let index: BoxIndex
  private let arrays: [RawArray]
  private let grid: Grid

  /// - Parameter arrays: share no cells; all inside the grid and of one element size.
  public init(_ arrays: [RawArray], grid: Grid) {
    index = BoxIndex(arrays.map(\.box))
    self.arrays = arrays; self.grid = grid
  }

  /// The cells of `box`, which may reach beyond periodic faces. Cells that no array has are undefined.
  public func array(holding box: Box) -> RawArray {
    let e = arrays.first?.elementSize ?? 1, out = RawArray(box: box, elementSize: e)
    Redistribution.eachImage(of: box, in: grid) { core, shift in
      index.each(touching: core) { i, part in
        copy(part.shape, e, from: Strided(arrays[i], part), to: Strided(out, part.shifted(by: shift)))
      }
    }
    return out
  }

  /// The cells of `wanted` that `have` lacks, as boxes inside the grid that share no cells.
  ///
  /// - Parameter wanted: boxes that may overlap and reach beyond periodic faces.
  /// - Returns: `nil` where there would be more than `limit` boxes.
  /// - Complexity: O(wanted x boxes found).
  public static func missing(_ wanted: [Box], have: [Box], grid: Grid, limit: Int) -> [Box]? {
    let index = BoxIndex(have)
    var found: [Box] = []
    for w in wanted where !w.isEmpty {
      Redistribution.eachImage(of: w, in: grid) { core, _ in
        var left = [core]
        index.each(touching: core) { _, part in left = left.flatMap { $0.subtracting(part) } }
        for f in found where !left.isEmpty { left = left.flatMap { $0.subtracting(f) } }
        found += left
      }
      if found.count > limit { return nil }
    }
    return found
  }
}
