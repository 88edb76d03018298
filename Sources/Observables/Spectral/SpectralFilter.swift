import Fields
import Statistics

/// A field whose transform is that of u times a real factor of the wavenumber, component by component: linear.
///
/// With a window it is the filter of the windowed field.
public struct SpectralFilter: Observable, Hashable {
  public enum Factor: Sendable, Hashable {
    /// 1 in these shells, 0 elsewhere.
    case band(ClosedRange<Int>)
    /// 1 / |k|^2 with k in radians per length, 0 at k = 0: the solution phi of -laplacian phi = u - <u>, as of the pressure.
    case potential
  }
  public let factor: Factor
  public let window: Window
  public init(_ factor: Factor, window: Window = .none) { self.factor = factor; self.window = window }

  private var name: String { if case .band = factor { "band" } else { "potential" } }
  public var specification: String {
    switch factor {
    case .band(let k): "band(k=\(text(k)),window=\(window.rawValue))"
    case .potential: "potential(window=\(window.rawValue))"
    }
  }
  public var units: String { if case .band = factor { "field" } else { "field*length^2" } }

  private func filtered(_ u: FieldParts, on domain: any Domain) throws -> FieldParts {
    let waves = Wavenumbers(domain.grid, domain.coordinates), n = 1 / Double(domain.grid.count)
    var spectra = try domain.transformed(u)
    for c in spectra.indices {
      waves.each(in: spectra[c].box) { i, square, _ in
        let f = switch factor {
        case .band(let shells): shells.contains(Wavenumbers.shell(square)) ? n : 0
        case .potential: square > 0 ? n / (square * (waves.unit * waves.unit)) : 0
        }
        spectra[c].values[2 * i] *= f; spectra[c].values[2 * i + 1] *= f
      }
    }
    return try domain.inverse(spectra)
  }

  public func value(of u: FieldParts, on domain: any Domain) throws -> ObservableValue {
    .field(try filtered(window.applied(to: u, in: domain.grid), on: domain))
  }
  public func tangent(at u: FieldParts, along v: FieldParts, on domain: any Domain) throws -> ObservableValue {
    try value(of: v, on: domain)
  }
  /// The filter is symmetric: window after filter.
  public func adjoint(at u: FieldParts, of w: ObservableValue, on domain: any Domain) throws -> FieldParts {
    guard case .field(let parts) = w else { preconditionFailure("the cotangent of a field is a field") }
    return window.applied(to: try filtered(parts, on: domain), in: domain.grid)
  }

  /// Root mean square of each component; 1 for one that vanishes.
  public func scales(of value: ObservableValue, on domain: any Domain) throws -> [Double] {
    guard case .field(let parts) = value else { preconditionFailure("a filter gives a field") }
    return try parts.map { p in
      let square = try domain.mean(p.values.lazy.map { $0 * $0 })
      return square > 0 ? square.squareRoot() : 1
    }
  }

  public func check(components: Int, grid: Grid, coordinates: Coordinates) throws {
    try window.check(name, grid, coordinates)
    if case .band(let shells) = factor { try Wavenumbers(grid, coordinates).check(name, shells) }
  }
}
