/// A half-open index range `lower ..< upper` per axis, in global grid indices.
///
/// A box dilated by a halo may reach outside the grid; across a periodic face that means the wrapped cells.
public struct Box: Hashable, Sendable, Codable, CustomStringConvertible {
  public var lower: Index3, upper: Index3
  @inlinable public init(lower: Index3, upper: Index3) { self.lower = lower; self.upper = upper }
  @inlinable public init(shape: Index3) { self.init(lower: Index3(repeating: 0), upper: shape) }
  @inlinable public var shape: Index3 {
    Index3(max(0, upper.z - lower.z), max(0, upper.y - lower.y), max(0, upper.x - lower.x))
  }
  /// Number of cells; 0 for an empty box.
  @inlinable public var count: Int { shape.product }
  @inlinable public var isEmpty: Bool { count == 0 }
  @inlinable public func intersection(_ o: Box) -> Box {
    var b = self
    for a in 0..<3 { b.lower[a] = max(lower[a], o.lower[a]); b.upper[a] = max(b.lower[a], min(upper[a], o.upper[a])) }
    return b
  }
  /// The cells that are not in `hole`, as up to six boxes; itself where they do not meet.
  public func subtracting(_ hole: Box) -> [Box] {
    let h = intersection(hole)
    if h.isEmpty { return [self] }
    var out: [Box] = [], rest = self
    for a in 0..<3 {
      if rest.lower[a] < h.lower[a] { var b = rest; b.upper[a] = h.lower[a]; out.append(b); rest.lower[a] = h.lower[a] }
      if h.upper[a] < rest.upper[a] { var b = rest; b.lower[a] = h.upper[a]; out.append(b); rest.upper[a] = h.upper[a] }
    }
    return out
  }
  @inlinable public func contains(_ o: Box) -> Bool { o.isEmpty || intersection(o) == o }
  @inlinable public func contains(_ i: Index3) -> Bool {
    i.z >= lower.z && i.z < upper.z && i.y >= lower.y && i.y < upper.y && i.x >= lower.x && i.x < upper.x
  }
  @inlinable public func shifted(by d: Index3) -> Box { Box(lower: lower + d, upper: upper + d) }
  /// C-order offset of a global index inside this box's array.
  @inlinable public func offset(of i: Index3) -> Int {
    ((i.z - lower.z) * (upper.y - lower.y) + (i.y - lower.y)) * (upper.x - lower.x) + (i.x - lower.x)
  }
  /// Grown by `halo` cells on every side that has cells beyond it: not past a non-periodic face, and not
  /// along an axis of extent 1.
  @inlinable public func dilated(by halo: Int, in grid: Grid) -> Box {
    var b = self
    for a in 0..<3 where grid.shape[a] > 1 {
      b.lower[a] -= halo; b.upper[a] += halo
      if !grid.periodic[a] { b.lower[a] = max(0, b.lower[a]); b.upper[a] = min(grid.shape[a], b.upper[a]) }
    }
    return b
  }
  public var description: String { "[\(lower.z):\(upper.z), \(lower.y):\(upper.y), \(lower.x):\(upper.x)]" }
}
