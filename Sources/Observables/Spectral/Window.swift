import Fields

/// What a field that does not wrap is multiplied by before it is transformed.
public enum Window: String, Sendable, Hashable, CaseIterable {
  case none
  /// sin^2(pi (i + 1/2) / n) along each axis that is not periodic.
  case hann

  /// The factors along one axis; nil where they are 1.
  private func factors(_ grid: Grid, _ axis: Int) -> [Double]? {
    let n = grid.shape[axis]
    if self == .none || grid.periodic[axis] || n == 1 { return nil }
    return (0..<n).map { 0.5 - 0.5 * cosine(2 * $0 + 1, of: 2 * n) }
  }

  /// Multiplies by the window; symmetric, so it is its own adjoint.
  func applied(to parts: FieldParts, in grid: Grid) -> FieldParts {
    let f = (0..<3).map { factors(grid, $0) }
    if f.allSatisfy({ $0 == nil }) { return parts }
    return parts.map { p in
      var out = p
      let b = p.box, s = b.shape
      var i = 0
      for z in 0..<s.z { for y in 0..<s.y {
        let row = (f[0]?[b.lower.z + z] ?? 1) * (f[1]?[b.lower.y + y] ?? 1)
        for x in 0..<s.x { out.values[i] *= row * (f[2]?[b.lower.x + x] ?? 1); i += 1 }
      } }
      return out
    }
  }

  /// Mean of the squared factors over the grid, by which power is divided so that it stays that of the field on average.
  func meanSquare(in grid: Grid) -> Double {
    (0..<3).reduce(1) { product, a in
      guard let f = factors(grid, a) else { return product }
      return product * f.reduce(0) { $0 + $1 * $1 } / Double(f.count)
    }
  }

  /// Throws unless `grid` can be transformed with this window and has uniform spacing.
  func check(_ name: String, _ grid: Grid, _ coordinates: Coordinates) throws {
    for a in 0..<3 where grid.shape[a] > 1 {
      if !grid.periodic[a] && self == .none { throw ObservableError("\(name) needs periodic axes; give --window hann") }
      if case .positions = coordinates.axes[a] { throw ObservableError("\(name) needs uniform spacing along every axis") }
    }
  }
}
