/// The fixed cutting of a global grid into tiles, the unit of coding.
///
/// Depends on the grid's shape only, never on ranks. Faces lie at multiples of `edge` (a multiple of 16 on every
/// axis that is cut); a remainder of at least half an edge is its own tile, a smaller one joins the last tile, so
/// extents lie in `edge/2 ..< 3*edge/2`. Tiles are numbered along a Morton curve; a rank owns a contiguous range.
public struct TileGrid: Hashable, Sendable {
  public let shape: Index3
  public let edge: Index3
  /// Number of tiles per axis.
  public let counts: Index3
  /// Tile coordinates in coding order.
  @usableFromInline let order: [Index3]
  @usableFromInline let rankOf: [Int]

  public init(shape: Index3) {
    self.init(shape: shape, edge: TileGrid.edge(for: shape))
  }

  public init(shape: Index3, edge: Index3) {
    self.shape = shape; self.edge = edge
    var c = Index3(1, 1, 1)
    for a in 0..<3 {
      let n = shape[a], e = edge[a]
      c[a] = n < e ? 1 : n / e + (n % e * 2 >= e ? 1 : 0)
    }
    counts = c
    var all: [(UInt64, Index3)] = []
    all.reserveCapacity(c.product)
    for z in 0..<c.z { for y in 0..<c.y { for x in 0..<c.x { all.append((TileGrid.morton(z, y, x), Index3(z, y, x))) } } }
    all.sort { $0.0 < $1.0 }
    order = all.map(\.1)
    var r = [Int](repeating: 0, count: c.product)
    for (i, t) in order.enumerated() { r[(t.z * c.y + t.y) * c.x + t.x] = i }
    rankOf = r
  }

  /// Number of tiles (per component).
  public var count: Int { order.count }

  /// The cells of tile `t` (a position in coding order).
  public func box(_ t: Int) -> Box { box(at: order[t]) }

  /// The cells of the tile with coordinates `c`.
  public func box(at c: Index3) -> Box {
    var b = Box(lower: Index3(0, 0, 0), upper: shape)
    for a in 0..<3 {
      b.lower[a] = c[a] * edge[a]
      b.upper[a] = c[a] == counts[a] - 1 ? shape[a] : (c[a] + 1) * edge[a]
    }
    return b
  }

  public func coordinates(_ t: Int) -> Index3 { order[t] }
  /// Position in coding order of the tile with coordinates `c`.
  public func position(of c: Index3) -> Int { rankOf[(c.z * counts.y + c.y) * counts.x + c.x] }

  /// Tiles (positions in coding order, ascending) that hold cells of `box`; parts outside the grid are wrapped
  /// on periodic axes and dropped on others.
  public func tiles(touching box: Box, periodic: Grid.Periodicity = .none) -> [Int] {
    var per: [[Int]] = []
    for a in 0..<3 {
      var s = [Bool](repeating: false, count: counts[a])
      let n = shape[a]
      if box.upper[a] <= box.lower[a] { return [] }
      if periodic[a] && box.upper[a] - box.lower[a] >= n { for i in 0..<counts[a] { s[i] = true } } else {
        var i = box.lower[a]
        while i < box.upper[a] {
          let w = periodic[a] ? ((i % n) + n) % n : i
          if w >= 0 && w < n {
            let c = min(w / edge[a], counts[a] - 1)
            s[c] = true
            let end = c == counts[a] - 1 ? n : (c + 1) * edge[a]
            i += end - w
          } else if w < 0 { i = 0 } else { break }
        }
      }
      per.append(s.indices.filter { s[$0] })
    }
    var out: [Int] = []
    for z in per[0] { for y in per[1] { for x in per[2] { out.append(position(of: Index3(z, y, x))) } } }
    return out.sorted()
  }

  /// The contiguous range of tiles coded by `rank` of `ranks`; empty when there are more ranks than tiles.
  public func range(rank: Int, of ranks: Int) -> Range<Int> { count * rank / ranks ..< count * (rank + 1) / ranks }

  /// Edge rule: about 32^3 cells per tile up to 64^3 grids (8 tiles there), 64^3 beyond 128^3; the same volumes in two and
  /// one dimensions; thin axes are not cut and lend their share to the others.
  static func edge(for shape: Index3) -> Index3 {
    let cells = shape.product
    let target = cells <= 1 << 19 ? 1 << 15 : cells <= 1 << 21 ? 1 << 16 : 1 << 18
    // Grow the edges together by doublings until the tile volume reaches the target.
    var e = Index3(16, 16, 16)
    for a in 0..<3 where shape[a] < 24 { e[a] = shape[a] }
    func volume() -> Int { min(e.z, shape.z) * min(e.y, shape.y) * min(e.x, shape.x) }
    while volume() < target {
      var grow = -1
      for a in 0..<3 where e[a] < shape[a] && shape[a] >= 24 && (grow < 0 || e[a] < e[grow]) { grow = a }
      // Prefer the fastest axis on a tie: longer runs.
      if grow >= 0 { for a in 0..<3 where e[a] < shape[a] && shape[a] >= 24 && e[a] == e[grow] { grow = a } }
      if grow < 0 { break }
      e[grow] *= 2
    }
    return e
  }

  /// Interleaves the bits of three tile coordinates.
  static func morton(_ z: Int, _ y: Int, _ x: Int) -> UInt64 {
    func spread(_ v: Int) -> UInt64 {
      var r: UInt64 = 0
      for b in 0..<21 where v >> b & 1 == 1 { r |= 1 << UInt64(3 * b) }
      return r
    }
    return spread(z) << 2 | spread(y) << 1 | spread(x)
  }
}
