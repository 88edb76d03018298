import Fields
import Statistics

/// Radial profile I(q) of an image or volume around a centre: I_b = sum_i w_bi I_i / sum_i w_bi, linear in the field.
///
/// q = distance of a cell from the centre in units of the spacing or coordinates; bins are `width` apart, b = 0 at the centre, and a
/// cell at q shares its weight linearly between its two bins; cells beyond the last bin are left out, and so are masked (not finite)
/// pixels. Bins without pixels are 0. Open: centre the middle of the grid, width the smallest spacing, bins up to the nearest face.
/// Scales are counting errors sqrt(I_b / n_b), n_b = sum_i w_bi before masking, of at least one count in the bin.
public struct RadialProfile: Observable {
  let bins: Int?
  let width: Double?
  /// Cell index along each spatial axis, storage order; fractions allowed.
  let centre: [Double]?

  public var specification: String {
    var parts: [String] = []
    if let bins { parts.append("bins=\(bins)") }
    if let width { parts.append("width=\(width)") }
    if let centre { parts.append("centre=\(centre.map { "\($0)" }.joined(separator: ":"))") }
    return parts.isEmpty ? "radial" : "radial(\(parts.joined(separator: ",")))"
  }
  public var units: String { "field" }

  /// Squared distance along each axis per index, and the bins.
  private struct Geometry {
    let squares: [[Double]]
    let width: Double, bins: Int
    /// Lower bin and the share of the upper one; nil beyond the last bin.
    func place(_ z: Int, _ y: Int, _ x: Int) -> (Int, Double)? {
      let t = (squares[0][z] + squares[1][y] + squares[2][x]).squareRoot() / width, b = t.rounded(.down)
      return b < Double(bins - 1) ? (Int(b), t - b) : t == b && b == Double(bins - 1) ? (bins - 1, 0) : nil
    }
    func forEach(in box: Box, _ body: (_ offset: Int, _ bin: Int, _ share: Double) -> Void) {
      box.forEachRow { z, y, at in
        for x in box.lower.x..<box.upper.x { if let (b, s) = place(z, y, x) { body(at + x - box.lower.x, b, s) } }
      }
    }
  }
  private func geometry(_ domain: any Domain) -> Geometry {
    let grid = domain.grid
    var squares: [[Double]] = [], smallest = Double.infinity, reach = Double.infinity
    for a in 0..<3 {
      let n = grid.shape[a], k = a - (3 - grid.dimensions)
      let c = (k >= 0 ? centre?[k] : nil) ?? Double(n - 1) / 2
      let x: [Double] = switch domain.coordinates.axes[a] {
      case .uniform(let h): (0..<n).map { Double($0) * h }
      case .positions(let p): p
      }
      // The centre's position, linear between the cells (and beyond the ends).
      let i = max(0, min(n - 2, Int(c.rounded(.down)))), origin = n > 1 ? x[i] + (c - Double(i)) * (x[i + 1] - x[i]) : x[0]
      squares.append(x.map { ($0 - origin) * ($0 - origin) })
      if n > 1 {
        smallest = min(smallest, zip(x.dropFirst(), x).map { abs($0 - $1) }.min()!)
        reach = min(reach, max(abs(x[0] - origin), abs(x[n - 1] - origin)))
      }
    }
    let h = width ?? (smallest.isFinite ? smallest : 1)
    return Geometry(squares: squares, width: h, bins: bins ?? (reach.isFinite ? Int(reach / h) + 1 : 1))
  }

  /// sum_i w_bi x_i over the cells where `valid`; the sum of the weights for nil.
  private func sums(_ x: [Double]?, _ valid: [Bool]?, _ g: Geometry, _ domain: any Domain) throws -> [Double] {
    var sums = [ExactSum](repeating: ExactSum(), count: g.bins)
    g.forEach(in: domain.box) { i, b, s in
      guard valid?[i] ?? true else { return }
      let v = x?[i] ?? 1
      sums[b].add((1 - s) * v)
      if s > 0 { sums[b + 1].add(s * v) }
    }
    return try domain.sums(sums)
  }
  private func profile(_ x: FieldParts, mask: FieldParts, _ domain: any Domain) throws -> ObservableValue {
    let g = geometry(domain), valid = cleaned(mask).valid, weights = try sums(nil, valid, g, domain)
    return .vector(zip(try sums(x[0].values, valid, g, domain), weights).map { $1 > 0 ? $0 / $1 : 0 })
  }
  public func value(of u: FieldParts, on domain: any Domain) throws -> ObservableValue { try profile(u, mask: u, domain) }
  public func tangent(at u: FieldParts, along v: FieldParts, on domain: any Domain) throws -> ObservableValue {
    try profile(v, mask: u, domain)
  }
  public func adjoint(at u: FieldParts, of w: ObservableValue, on domain: any Domain) throws -> FieldParts {
    let g = geometry(domain), valid = cleaned(u).valid, weights = try sums(nil, valid, g, domain)
    let per = zip(w.vector, weights).map { $1 > 0 ? $0 / $1 : 0 }
    var out = FieldPart(domain.box)
    g.forEach(in: domain.box) { i, b, s in
      if valid?[i] ?? true { out.values[i] = (1 - s) * per[b] + (s > 0 ? s * per[b + 1] : 0) }
    }
    return [out]
  }
  public func scales(of value: ObservableValue, on domain: any Domain) throws -> [Double] {
    zip(value.vector, try sums(nil, nil, geometry(domain), domain)).map { i, n in
      positiveScale((max(abs(i), n > 0 ? 1 / n : 1) / max(n, 1)).squareRoot())
    }
  }
  public func check(components: Int, grid: Grid, coordinates: Coordinates) throws {
    try checkSpacing("radial", grid: grid, coordinates: coordinates)
    if components != 1 { throw ObservableError("radial needs one component, an image; this field has \(components)") }
    if let centre, centre.count != grid.dimensions {
      throw ObservableError("radial: centre has \(centre.count) numbers, the field has \(grid.dimensions) axes")
    }
  }
}
