import Fields

/// Cross spectrum of two components per shell: C_b = sum over the modes of b of Re(conj(u_i^) u_j^) / N^2.
///
/// Over all shells and the rest it sums to <u_i u_j>.
public struct CrossSpectrum: Observable, Hashable {
  public let first: Int, second: Int
  /// nil: all shells and then the rest in one value.
  public let shells: ClosedRange<Int>?
  public let window: Window

  public init(_ first: Int, _ second: Int, shells: ClosedRange<Int>? = nil, window: Window = .none) {
    self.first = first; self.second = second; self.shells = shells; self.window = window
  }

  public var specification: String { "cross(first=\(first),second=\(second),shells=\(text(shells)),window=\(window.rawValue))" }
  public var units: String { "field^2" }

  public func value(of u: FieldParts, on domain: any Domain) throws -> ObservableValue {
    let sums = ShellSums(shells: shells, window: window, on: domain)
    let a = try sums.transformed([u[first], u[second]], on: domain)
    return .vector(try sums.sums([(a[0], a[1])], on: domain))
  }

  public func tangent(at u: FieldParts, along v: FieldParts, on domain: any Domain) throws -> ObservableValue {
    let sums = ShellSums(shells: shells, window: window, on: domain)
    let a = try sums.transformed([u[first], u[second]], on: domain), b = try sums.transformed([v[first], v[second]], on: domain)
    return .vector(try sums.sums([(b[0], a[1]), (a[0], b[1])], on: domain))
  }

  public func adjoint(at u: FieldParts, of w: ObservableValue, on domain: any Domain) throws -> FieldParts {
    let sums = ShellSums(shells: shells, window: window, on: domain)
    let a = try sums.transformed([u[second], u[first]], on: domain)
    let g = try sums.adjoint(a, weights: vector(w), on: domain)
    var out = u.map { FieldPart($0.box) }
    for (c, part) in zip([first, second], g) { for i in part.values.indices { out[c].values[i] += part.values[i] } }
    return out
  }

  /// Each its own, at least 1e-3 of the largest: cross spectra change sign.
  public func scales(of value: ObservableValue, on domain: any Domain) throws -> [Double] { spectrumScales(value, floor: 1e-3) }

  public func check(components: Int, grid: Grid, coordinates: Coordinates) throws {
    for c in [first, second] where c < 0 || c >= components {
      throw ObservableError("cross: the field has \(components) component\(components == 1 ? "" : "s"), numbered from 0; there is no \(c)")
    }
    try window.check("cross", grid, coordinates)
    try Wavenumbers(grid, coordinates).check("cross", shells)
  }
}
