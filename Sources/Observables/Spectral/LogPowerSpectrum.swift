import Fields
import Foundation
import Statistics

/// Power per shell of the logarithm of a density: P_b = sum over the modes of b of |d^|^2 / N^2, d = ln(rho / <rho> + epsilon).
///
/// Over all shells and the rest it sums to <d^2>.
public struct LogPowerSpectrum: Observable, Hashable {
  public let epsilon: Double
  /// nil: all shells and then the rest in one value.
  public let shells: ClosedRange<Int>?
  public let window: Window

  public init(epsilon: Double = 1e-6, shells: ClosedRange<Int>? = nil, window: Window = .none) {
    precondition(epsilon > 0, "epsilon must be positive")
    self.epsilon = epsilon; self.shells = shells; self.window = window
  }

  public var specification: String { "logpower(epsilon=\(epsilon),shells=\(text(shells)),window=\(window.rawValue))" }
  public var units: String { "1" }

  /// Mean density and rho / mean + epsilon.
  ///
  /// - Throws: where that is not positive somewhere, on all participants.
  private func relative(_ u: FieldParts, on domain: any Domain) throws -> (mean: Double, ratio: FieldPart) {
    let mean = try domain.mean(u[0].values)
    var ratio = u[0]
    for i in ratio.values.indices { ratio.values[i] = ratio.values[i] / mean + epsilon }
    let bad = ratio.values.contains { !($0 > 0 && $0 < .infinity) }
    if try domain.merged(IntegerSums([bad ? 1 : 0])).values[0] > 0 {
      throw ObservableError("logpower needs a density: rho / mean + epsilon must be positive everywhere")
    }
    return (mean, ratio)
  }
  private func logarithm(_ ratio: FieldPart) -> FieldParts { [FieldPart(ratio.box, ratio.values.map { log($0) })] }

  public func value(of u: FieldParts, on domain: any Domain) throws -> ObservableValue {
    let sums = ShellSums(shells: shells, window: window, on: domain)
    let d = try sums.transformed(logarithm(relative(u, on: domain).ratio), on: domain)
    return .vector(try sums.sums([(d[0], d[0])], on: domain))
  }

  /// delta d = (delta rho - rho <delta rho> / <rho>) / (<rho> (rho / <rho> + epsilon)).
  public func tangent(at u: FieldParts, along v: FieldParts, on domain: any Domain) throws -> ObservableValue {
    let sums = ShellSums(shells: shells, window: window, on: domain)
    let (mean, ratio) = try relative(u, on: domain), change = try domain.mean(v[0].values)
    var delta = v[0]
    for i in delta.values.indices {
      delta.values[i] = (delta.values[i] - u[0].values[i] * change / mean) / (mean * ratio.values[i])
    }
    let d = try sums.transformed(logarithm(ratio) + [delta], on: domain)
    return .vector(try sums.sums([(d[0], d[1])], on: domain).map { 2 * $0 })
  }

  public func adjoint(at u: FieldParts, of w: ObservableValue, on domain: any Domain) throws -> FieldParts {
    let sums = ShellSums(shells: shells, window: window, on: domain)
    let (mean, ratio) = try relative(u, on: domain)
    let d = try sums.transformed(logarithm(ratio), on: domain)
    var g = try sums.adjoint(d, weights: vector(w).map { 2 * $0 }, on: domain)
    for i in g[0].values.indices { g[0].values[i] /= mean * ratio.values[i] }
    let back = try domain.mean(zip(g[0].values, u[0].values).lazy.map { $0 * $1 }) / mean
    for i in g[0].values.indices { g[0].values[i] -= back }
    return g
  }

  /// Each its own, at least 1e-9 of the largest.
  public func scales(of value: ObservableValue, on domain: any Domain) throws -> [Double] { spectrumScales(value, floor: 1e-9) }

  public func check(components: Int, grid: Grid, coordinates: Coordinates) throws {
    if components != 1 { throw ObservableError("logpower needs a field of one component, a density") }
    try window.check("logpower", grid, coordinates)
    try Wavenumbers(grid, coordinates).check("logpower", shells)
  }
}
