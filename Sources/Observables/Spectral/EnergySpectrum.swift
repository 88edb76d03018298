import Fields
import Foundation

/// Energy per shell of wavenumbers: E_b = 1/2 sum over the modes of b and the components of |u^|^2 / N^2.
///
/// Over all shells and the rest it sums to <|u|^2> / 2. With `epsilon` the values are ln(E_b + epsilon).
/// - Source: Pope, Turbulent Flows (2000), section 6.5.
public struct EnergySpectrum: Observable, Hashable {
  /// nil: all shells and then the rest in one value.
  public let shells: ClosedRange<Int>?
  /// field^2; nil: the energies themselves.
  public let epsilon: Double?
  public let window: Window

  /// - Parameter logarithm: epsilon > 0 of ln(E_b + epsilon).
  public init(shells: ClosedRange<Int>? = nil, logarithm epsilon: Double? = nil, window: Window = .none) {
    precondition(epsilon.map { $0 > 0 } ?? true, "epsilon must be positive")
    self.shells = shells; self.epsilon = epsilon; self.window = window
  }

  public var specification: String {
    let log = epsilon.map { "yes,epsilon=\($0)" } ?? "no"
    return "spectrum(shells=\(text(shells)),log=\(log),window=\(window.rawValue))"
  }
  public var units: String { epsilon == nil ? "field^2" : "1" }

  private func energies(_ u: [SpectralPart], _ sums: ShellSums, on domain: any Domain) throws -> [Double] {
    try sums.powers(u, on: domain).map { $0 / 2 }
  }

  public func value(of u: FieldParts, on domain: any Domain) throws -> ObservableValue {
    let sums = ShellSums(shells: shells, window: window, on: domain)
    let e = try energies(sums.transformed(u, on: domain), sums, on: domain)
    return .vector(epsilon.map { epsilon in e.map { log($0 + epsilon) } } ?? e)
  }

  public func tangent(at u: FieldParts, along v: FieldParts, on domain: any Domain) throws -> ObservableValue {
    let sums = ShellSums(shells: shells, window: window, on: domain)
    let a = try sums.transformed(u, on: domain), b = try sums.transformed(v, on: domain)
    let t = try sums.sums(Array(zip(a, b)), on: domain)
    guard let epsilon else { return .vector(t) }
    return .vector(zip(t, try energies(a, sums, on: domain)).map { $0 / ($1 + epsilon) })
  }

  public func adjoint(at u: FieldParts, of w: ObservableValue, on domain: any Domain) throws -> FieldParts {
    let sums = ShellSums(shells: shells, window: window, on: domain)
    let a = try sums.transformed(u, on: domain)
    var weights = vector(w)
    if let epsilon { weights = zip(weights, try energies(a, sums, on: domain)).map { $0 / ($1 + epsilon) } }
    return try sums.adjoint(a, weights: weights, on: domain)
  }

  /// Energies: each its own, at least 1e-9 of the largest. Logarithms: 1.
  public func scales(of value: ObservableValue, on domain: any Domain) throws -> [Double] {
    epsilon == nil ? spectrumScales(value, floor: 1e-9) : vector(value).map { _ in 1 }
  }

  /// All shells and the rest.
  package static func valueCount(_ grid: Grid, _ coordinates: Coordinates) -> Int { Wavenumbers(grid, coordinates).highest + 2 }

  public func check(components: Int, grid: Grid, coordinates: Coordinates) throws {
    try window.check("spectrum", grid, coordinates)
    try Wavenumbers(grid, coordinates).check("spectrum", shells)
  }
}
