import CKernels
import Fields

/// y = L u or y = L grad u at every cell: what an observable takes from the neighbourhood of a point.
///
/// Gradients are d u_c / d x_a by `Band.derivative`, a an axis letter (0 is x). Cells whose stencil touches a masked cell are invalid.
struct LocalMap: Sendable, Equatable {
  struct Term: Sendable, Equatable {
    let component: Int
    /// Axis letter of the derivative; nil: the value itself.
    let axis: Int?
    let factor: Double
  }
  /// One row per component of y.
  let rows: [[Term]]
  let components: Int

  /// y on `domain.box`, 0 where invalid, and which cells are valid (nil: all).
  struct Sample { var fields: FieldParts; let valid: [Bool]? }

  private func bands(_ domain: any Domain) -> [Int: Band] {
    let letters = Set(rows.joined().compactMap(\.axis))
    return Dictionary(uniqueKeysWithValues: letters.map {
      ($0, .derivative(domain.grid, domain.coordinates, axis: 2 - $0))
    })
  }

  /// - Collective.
  func sample(_ u: FieldParts, on domain: any Domain) throws -> Sample {
    precondition(u.count == components)
    let bands = bands(domain), width = bands.values.map(\.reach).max() ?? 0
    let (clean, bad) = cleaned(bands.isEmpty ? u : try domain.haloed(u, width: width))
    var valid: [Bool]?
    if let bad {
      // How many masked cells each stencil holds.
      let mask = FieldPart(clean[0].box, bad.map { $0 ? 0 : 1 })
      var touched = FieldPart(domain.box)
      Band.identity(domain.grid.shape.x).add(mask, axis: 2, to: &touched)
      for (letter, b) in bands { b.support.add(mask, axis: 2 - letter, to: &touched) }
      valid = touched.values.map { $0 == 0 }
    }
    var fields = apply(clean, bands, domain.box)
    if let valid { for r in fields.indices { fields[r].values.clear(where: valid) } }
    return Sample(fields: fields, valid: valid)
  }

  /// The derivative of `sample` along `v`; masked cells of `v` do not count.
  /// - Collective.
  func tangent(_ v: FieldParts, valid: [Bool]?, on domain: any Domain) throws -> FieldParts {
    let bands = bands(domain), width = bands.values.map(\.reach).max() ?? 0
    var fields = apply(cleaned(bands.isEmpty ? v : try domain.haloed(v, width: width)).0, bands, domain.box)
    if let valid { for r in fields.indices { fields[r].values.clear(where: valid) } }
    return fields
  }

  /// The transpose: gathers, so that every cell adds its terms in the order of rows and offsets, whatever the boxes.
  /// - Collective.
  func adjoint(_ cotangent: FieldParts, valid: [Bool]?, on domain: any Domain) throws -> FieldParts {
    let bands = bands(domain).mapValues(\.transposed), width = bands.values.map(\.reach).max() ?? 0
    var w = cotangent
    if let valid { for r in w.indices { w[r].values.clear(where: valid) } }
    if !bands.isEmpty { w = try domain.haloed(w, width: width) }
    var out = FieldParts(repeating: FieldPart(domain.box), count: components)
    for (r, row) in rows.enumerated() { for t in row { add(w[r], t, bands, to: &out[t.component]) } }
    return out
  }

  private func apply(_ u: FieldParts, _ bands: [Int: Band], _ box: Box) -> FieldParts {
    rows.map { row in
      var y = FieldPart(box)
      for t in row { add(u[t.component], t, bands, to: &y) }
      return y
    }
  }
  private func add(_ input: FieldPart, _ t: Term, _ bands: [Int: Band], to out: inout FieldPart) {
    if let a = t.axis {
      bands[a]!.add(input, axis: 2 - a, factor: t.factor, to: &out)
    } else {
      let n = out.values.count
      out.values.withUnsafeMutableBufferPointer { o in
        input.values.withUnsafeBufferPointer { if n > 0 { ald_row_add(o.baseAddress!, $0.baseAddress!, t.factor, n) } }
      }
    }
  }
}

/// The quantities made of first derivatives, each a `LocalMap`.
enum LocalQuantity: String, Sendable, CaseIterable {
  case value, gradient, longitudinal, divergence, vorticity, strain

  var needsVector: Bool { self == .divergence || self == .vorticity || self == .strain }

  func map(components n: Int, dimensions: Int) -> LocalMap {
    func d(_ c: Int, _ a: Int, _ f: Double = 1) -> LocalMap.Term { .init(component: c, axis: a, factor: f) }
    let pairs = n == 3 ? [(0, 1), (0, 2), (1, 2)] : n == 2 ? [(0, 1)] : []
    let rows: [[LocalMap.Term]] = switch self {
    case .value: (0..<n).map { [.init(component: $0, axis: nil, factor: 1)] }
    // Component-major, letters x, y, z.
    case .gradient: (0..<n).flatMap { c in (0..<dimensions).map { [d(c, $0)] } }
    case .longitudinal: n == 1 ? (0..<dimensions).map { [d(0, $0)] } : (0..<n).map { [d($0, $0)] }
    case .divergence: [(0..<n).map { d($0, $0) }]
    case .vorticity:
      n == 2 ? [[d(1, 0), d(0, 1, -1)]] : [[d(2, 1), d(1, 2, -1)], [d(0, 2), d(2, 0, -1)], [d(1, 0), d(0, 1, -1)]]
    // xx, yy, zz, then xy, xz, yz.
    case .strain: (0..<n).map { [d($0, $0)] } + pairs.map { [d($0.0, $0.1, 0.5), d($0.1, $0.0, 0.5)] }
    }
    return LocalMap(rows: rows, components: n)
  }

  /// Throws what the user should see where this quantity has no meaning.
  func check(_ name: String, components n: Int, grid: Grid, coordinates: Coordinates) throws {
    if needsVector {
      try checkVector(name, components: n, grid: grid)
      if self == .vorticity && n == 1 { throw ObservableError("\(name) needs a vector of 2 or 3 components, this field has 1") }
    } else if self == .longitudinal, n > 1 {
      try checkVector(name, components: n, grid: grid)
    }
    if self != .value { try checkSpacing(name, grid: grid, coordinates: coordinates) }
  }
}

/// A vector field: one component per axis letter, at least as many as the grid has axes.
func checkVector(_ name: String, components n: Int, grid: Grid) throws {
  if n > 3 || n < grid.dimensions {
    throw ObservableError("\(name) needs a vector of one component per axis (\(grid.dimensions)\(grid.dimensions < 3 ? " or more, at most 3" : "")), "
      + "this field has \(n); --vector name=x,y,z joins scalar fields")
  }
}

/// Coordinates that derivatives can use.
func checkSpacing(_ name: String, grid: Grid, coordinates: Coordinates) throws {
  for a in 0..<3 {
    switch coordinates.axes[a] {
    case .uniform(let h):
      if !(h.isFinite && h != 0) { throw ObservableError("\(name): the spacing along axis \(a) is \(h)") }
    case .positions(let x):
      if x.count != grid.shape[a] {
        throw ObservableError("\(name): axis \(a) has \(grid.shape[a]) points and \(x.count) coordinates")
      }
      if grid.periodic[a] && x.count > 1 {
        throw ObservableError("\(name): axis \(a) is periodic and not uniform; give one spacing for it")
      }
      let gaps = zip(x.dropFirst(), x).map { $0 - $1 }
      if !(gaps.allSatisfy { $0 > 0 } || gaps.allSatisfy { $0 < 0 }) || !gaps.allSatisfy(\.isFinite) {
        throw ObservableError("\(name): the coordinates along axis \(a) are not strictly monotone")
      }
    }
  }
}
