import CKernels
import Fields
import Statistics

/// Fields linear in first derivatives: gradient, vorticity, strain, divergence, and the field itself.
///
/// | name | components |
/// |---|---|
/// | gradient | d u_c / d x_a, component-major, letters x, y, z |
/// | vorticity | curl u; for two components the scalar d u_y / dx - d u_x / dy |
/// | strain | (d u_i / d x_j + d u_j / d x_i) / 2: xx, yy, zz, xy, xz, yz |
/// | divergence | sum of d u_i / d x_i |
///
/// Masked cells and cells whose stencil touches one have value and derivative 0. Scale: the root mean square over all components.
public struct LinearField: Observable, SeparableSensitivity {
  let quantity: LocalQuantity
  init(_ quantity: LocalQuantity) { self.quantity = quantity }

  public var specification: String { quantity == .value ? "field" : quantity.rawValue }
  public var units: String { quantity == .value ? "field" : "field/length" }

  func map(_ components: Int, _ grid: Grid) -> LocalMap { quantity.map(components: components, dimensions: grid.dimensions) }

  public func value(of u: FieldParts, on domain: any Domain) throws -> ObservableValue {
    .field(try map(u.count, domain.grid).sample(u, on: domain).fields)
  }
  public func tangent(at u: FieldParts, along v: FieldParts, on domain: any Domain) throws -> ObservableValue {
    let map = map(u.count, domain.grid)
    return .field(try map.tangent(v, valid: try map.sample(u, on: domain).valid, on: domain))
  }
  public func adjoint(at u: FieldParts, of w: ObservableValue, on domain: any Domain) throws -> FieldParts {
    let map = map(u.count, domain.grid)
    return try map.adjoint(w.field, valid: try map.sample(u, on: domain).valid, on: domain)
  }
  public func scales(of value: ObservableValue, on domain: any Domain) throws -> [Double] {
    [Double](repeating: try commonScale(value.field, on: domain), count: value.field.count)
  }
  public func check(components: Int, grid: Grid, coordinates: Coordinates) throws {
    try quantity.check(specification, components: components, grid: grid, coordinates: coordinates)
  }

  public func sensitivity(components: Int, grid: Grid, coordinates: Coordinates, scales: [Double]) -> [SeparableTerm] {
    let map = map(components, grid), count = Double(grid.count * map.rows.count)
    return map.rows.enumerated().flatMap { r, row in
      map.squareTerms(row, grid: grid, coordinates: coordinates, divisor: count * scales[r] * scales[r])
    }
  }
}

/// f = sum of k_r y_r^2 over the rows of a `LocalMap`, as a field or as its mean over the domain.
///
/// | name | f | field | mean |
/// |---|---|---|---|
/// | enstrophy, totalenstrophy | |curl u|^2 / 2 | yes | yes |
/// | dissipation, totaldissipation | 2 nu S:S | yes | yes |
/// | qcriterion | (A:A - S:S) / 2, A the antisymmetric part of grad u | yes | |
/// | kineticenergy | |u|^2 / 2 | | yes |
///
/// Means are over the volume of the valid cells. Scale: the root mean square of a field, the size of a mean.
public struct QuadraticDensity: QuadraticObservable {
  enum Form: String, Sendable { case enstrophy, dissipation, qcriterion, kineticenergy }
  let form: Form
  let mean: Bool
  /// Viscosity, for the dissipation.
  let nu: Double

  init(_ form: Form, mean: Bool, nu: Double = 1) { self.form = form; self.mean = mean; self.nu = nu }

  public var specification: String {
    let name = (mean && form != .kineticenergy ? "total" : "") + form.rawValue
    return form == .dissipation ? "\(name)(nu=\(nu))" : name
  }
  public var units: String {
    switch form {
    case .kineticenergy: "field^2"
    case .dissipation: "nu*field^2/length^2"
    default: "field^2/length^2"
    }
  }

  func parts(_ n: Int, _ grid: Grid) -> (map: LocalMap, factors: [Double]) {
    func map(_ q: LocalQuantity) -> LocalMap { q.map(components: n, dimensions: grid.dimensions) }
    let pairs = n * (n - 1) / 2
    switch form {
    case .kineticenergy: return (map(.value), [Double](repeating: 0.5, count: n))
    case .enstrophy: return (map(.vorticity), [Double](repeating: 0.5, count: pairs))
    case .dissipation:
      return (map(.strain), [Double](repeating: 2 * nu, count: n) + [Double](repeating: 4 * nu, count: pairs))
    case .qcriterion:
      return (LocalMap(rows: map(.vorticity).rows + map(.strain).rows, components: n),
              [Double](repeating: 0.25, count: pairs) + [Double](repeating: -0.5, count: n) + [Double](repeating: -1, count: pairs))
    }
  }

  /// f, or the bilinear form 2 sum k_r y_r z_r, at every cell, and its mean where that is asked for.
  private func reduced(_ f: FieldPart, _ valid: [Bool]?, _ domain: any Domain) throws -> ObservableValue {
    if !mean { return .field([f]) }
    let weights = try CellWeights(valid, on: domain)
    var sum = ExactSum()
    // Where a cell is not valid f is 0.
    if weights.isUniform { sum.add(contentsOf: f.values) } else { for i in f.values.indices { sum.add(weights[i] * f.values[i]) } }
    return .vector([try domain.merged(sum).value / weights.total])
  }
  /// J^T w with y replaced by z: sum of 2 k_r w L_r^T z_r.
  private func pulled(_ z: consuming LocalMap.Sample, _ w: ObservableValue, _ map: LocalMap, _ factors: [Double],
                      _ domain: any Domain) throws -> FieldParts {
    let weights = mean ? try CellWeights(z.valid, on: domain) : nil
    for r in z.fields.indices {
      let k = 2 * factors[r]
      if let weights {
        let w = w.vector[0]
        for i in z.fields[r].values.indices { z.fields[r].values[i] *= k * (w * weights[i] / weights.total) }
      } else {
        w.field[0].values.withUnsafeBufferPointer { w in
          z.fields[r].values.withUnsafeMutableBufferPointer { b in for i in b.indices { b[i] *= k * w[i] } }
        }
      }
    }
    return try map.adjoint(z.fields, valid: z.valid, on: domain)
  }

  public func value(of u: FieldParts, on domain: any Domain) throws -> ObservableValue {
    let (map, factors) = parts(u.count, domain.grid), y = try map.sample(u, on: domain)
    var f = FieldPart(domain.box)
    for r in factors.indices {
      let n = f.values.count
      f.values.withUnsafeMutableBufferPointer { f in
        y.fields[r].values.withUnsafeBufferPointer { if n > 0 { ald_row_add_square(f.baseAddress!, $0.baseAddress!, factors[r], n) } }
      }
    }
    return try reduced(f, y.valid, domain)
  }
  public func tangent(at u: FieldParts, along v: FieldParts, on domain: any Domain) throws -> ObservableValue {
    let (map, factors) = parts(u.count, domain.grid), y = try map.sample(u, on: domain)
    let z = try map.tangent(v, valid: y.valid, on: domain)
    var f = FieldPart(domain.box)
    for r in factors.indices { for i in f.values.indices { f.values[i] += 2 * factors[r] * (y.fields[r].values[i] * z[r].values[i]) } }
    return try reduced(f, y.valid, domain)
  }
  public func adjoint(at u: FieldParts, of w: ObservableValue, on domain: any Domain) throws -> FieldParts {
    let (map, factors) = parts(u.count, domain.grid)
    return try pulled(try map.sample(u, on: domain), w, map, factors, domain)
  }
  public func curvature(at u: FieldParts, weights w: ObservableValue, appliedTo v: FieldParts, on domain: any Domain) throws -> FieldParts {
    let (map, factors) = parts(u.count, domain.grid), y = try map.sample(u, on: domain)
    let z = LocalMap.Sample(fields: try map.tangent(v, valid: y.valid, on: domain), valid: y.valid)
    return try pulled(z, w, map, factors, domain)
  }
  public func scales(of value: ObservableValue, on domain: any Domain) throws -> [Double] {
    switch value {
    case .field(let f): [try commonScale(f, on: domain)]
    case .vector(let v): v.map { positiveScale(abs($0)) }
    }
  }
  public func check(components: Int, grid: Grid, coordinates: Coordinates) throws {
    let quantity: LocalQuantity = form == .kineticenergy ? .value : form == .dissipation ? .strain : .vorticity
    try quantity.check(specification, components: components, grid: grid, coordinates: coordinates)
  }
}

/// A vector observable of components that lie on the faces of cells: each is averaged to the centres first.
///
/// Component i at index j lies on the lower face of cell j along its axis letter; see `Band.centring`.
struct Centred: CalibratedObservable {
  let inner: any Observable

  func calibrated(to original: FieldParts, on domain: any Domain) throws -> any Observable {
    guard let open = inner as? any CalibratedObservable else { return self }
    return Centred(inner: try open.calibrated(to: try centres(original, of: original, domain), on: domain))
  }

  var specification: String {
    let s = inner.specification
    return s.hasSuffix(")") ? "\(s.dropLast()),staggered=true)" : "\(s)(staggered=true)"
  }
  var units: String { inner.units }

  private func bands(_ n: Int, _ grid: Grid) -> [Band] { (0..<n).map { .centring(grid, axis: 2 - $0) } }

  /// Centres of `u`; NaN where a face is masked. Masked faces of tangents count as 0.
  private func centres(_ u: FieldParts, of masked: FieldParts, _ domain: any Domain) throws -> FieldParts {
    let bands = bands(u.count, domain.grid), halo = cleaned(try domain.haloed(u, width: 1)).0
    let bad = cleaned(try domain.haloed(masked, width: 1)).valid.map { FieldPart(halo[0].box, $0.map { $0 ? 0 : 1 }) }
    return bands.enumerated().map { i, band in
      var centre = FieldPart(domain.box)
      band.add(halo[i], axis: 2 - i, to: &centre)
      if let bad {
        var touched = FieldPart(domain.box)
        band.support.add(bad, axis: 2 - i, to: &touched)
        for j in centre.values.indices where touched.values[j] > 0 { centre.values[j] = .nan }
      }
      return centre
    }
  }

  func value(of u: FieldParts, on domain: any Domain) throws -> ObservableValue {
    try inner.value(of: try centres(u, of: u, domain), on: domain)
  }
  func tangent(at u: FieldParts, along v: FieldParts, on domain: any Domain) throws -> ObservableValue {
    try inner.tangent(at: try centres(u, of: u, domain), along: try centres(v, of: u, domain), on: domain)
  }
  func adjoint(at u: FieldParts, of w: ObservableValue, on domain: any Domain) throws -> FieldParts {
    let bar = try domain.haloed(try inner.adjoint(at: try centres(u, of: u, domain), of: w, on: domain), width: 1)
    var out = FieldParts(repeating: FieldPart(domain.box), count: u.count)
    for (i, band) in bands(u.count, domain.grid).enumerated() { band.transposed.add(bar[i], axis: 2 - i, to: &out[i]) }
    return out
  }
  func scales(of value: ObservableValue, on domain: any Domain) throws -> [Double] { try inner.scales(of: value, on: domain) }
  func check(components: Int, grid: Grid, coordinates: Coordinates) throws {
    try checkVector(specification, components: components, grid: grid)
    try inner.check(components: components, grid: grid, coordinates: coordinates)
  }
}
