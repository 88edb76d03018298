import CKernels
import Fields
import Foundation

/// An observable whose values are quadratic in the field (or whose second derivatives are known): noise biases them.
public protocol QuadraticObservable: Observable {
  /// sum_j w_j H_j v with H_j the Hessian of value j at u: THEORY's bias b_j = tr(H_j Sigma) / 2 and its gradient.
  /// - Collective.
  func curvature(at u: FieldParts, weights w: ObservableValue, appliedTo v: FieldParts, on domain: any Domain) throws -> FieldParts
}

/// A linear observable whose J^T M J is a short sum of products of one-dimensional operators, so that sensitivities of separable
/// transforms need no probes.
///
/// For a basis function phi = phi_z phi_y phi_x of component c, phi^T J^T M J phi is the sum over the terms with row = column = c of
/// weight * prod_a (phi_a^T T_a phi_a); the mean over the places of a band is the product of the axes' means. Masks are left out.
public protocol SeparableSensitivity: Observable {
  /// J^T M J with M = diag(1 / (m s^2)), m the number of values: cells times components for a field.
  func sensitivity(components: Int, grid: Grid, coordinates: Coordinates, scales: [Double]) -> [SeparableTerm]
}

/// weight * (T_z x T_y x T_x), from component `column` to component `row`.
public struct SeparableTerm: Sendable {
  public let row: Int, column: Int
  public let weight: Double
  /// One operator per storage axis.
  public let axes: [AxisOperator]
  /// The same between the components that have these numbers.
  package func renumbered(_ numbers: [Int]) -> SeparableTerm {
    SeparableTerm(row: numbers[row], column: numbers[column], weight: weight, axes: axes)
  }
}

/// A one-dimensional operator of a `SeparableTerm`.
public enum AxisOperator: Sendable, Equatable {
  case identity
  case band(Band)
  /// sum_k a_k a_k^T, a_k being `weights` inside `ranges[k]` and 0 elsewhere; ranges are disjoint.
  case averages(ranges: [Range<Int>], weights: [Double])

  /// phi^T T psi for functions that are 0 but for the points `start ..< start + count`; beyond the ends periodic bands wrap and all
  /// else is cut off.
  public func form(_ phi: [Double], _ psi: [Double], start: Int) -> Double {
    switch self {
    case .identity: return zip(phi, psi).reduce(0) { $0 + $1.0 * $1.1 }
    case .band(let b): return b.form(phi, psi, start: start)
    case .averages(let ranges, let weights):
      return ranges.reduce(0) { sum, range in
        let inside = range.clamped(to: start..<start + phi.count)
        let (p, q) = inside.reduce((0.0, 0.0)) { ($0.0 + weights[$1] * phi[$1 - start], $0.1 + weights[$1] * psi[$1 - start]) }
        return sum + p * q
      }
    }
  }
}

/// An observable with constants that the original fixes, such as the range of its bins.
public protocol CalibratedObservable: Observable {
  /// This observable with every constant that was left open taken from the original; its `specification` then names them all.
  ///
  /// Before, `value` and the derivatives throw.
  /// - Collective.
  func calibrated(to original: FieldParts, on domain: any Domain) throws -> any Observable
}

/// An observable whose adjoint at a cell comes from the field within `reach` cells, so that it can be taken on a part of the grid.
public protocol LocalObservable: Observable {
  /// Cells along each axis, effects of a part's faces included.
  var reach: Int { get }
  /// Values are means over the grid: taken on a part with a share s of the cells, the adjoint is 1/s times that of the whole. Else the values
  /// are a field.
  var isMean: Bool { get }
  /// Components of values that are a field; nil: a vector.
  func fieldComponents(of components: Int, in grid: Grid) -> Int?
}

extension LinearField: LocalObservable {
  public var reach: Int { quantity == .value ? 0 : 3 }
  public var isMean: Bool { false }
  public func fieldComponents(of components: Int, in grid: Grid) -> Int? { map(components, grid).rows.count }
}
extension QuadraticDensity: LocalObservable {
  public var reach: Int { form == .kineticenergy ? 0 : 3 }
  public var isMean: Bool { mean }
  public func fieldComponents(of components: Int, in grid: Grid) -> Int? { mean ? nil : 1 }
}
extension Distribution: LocalObservable {
  public var reach: Int { sample == .value || sample == .log ? 0 : 3 }
  public var isMean: Bool { true }
  public func fieldComponents(of components: Int, in grid: Grid) -> Int? { nil }
}
extension StructureFunction: LocalObservable {
  public var reach: Int { distances.max() ?? 0 }
  public var isMean: Bool { true }
  public func fieldComponents(of components: Int, in grid: Grid) -> Int? { nil }
}
extension Centred: LocalObservable {
  public var reach: Int { (inner as? any LocalObservable).map { $0.reach + 2 } ?? .max }
  public var isMean: Bool { (inner as? any LocalObservable)?.isMean ?? false }
  public func fieldComponents(of components: Int, in grid: Grid) -> Int? {
    (inner as? any LocalObservable)?.fieldComponents(of: components, in: grid)
  }
}

/// An observable with J^T M J = F^H diag(a) F / N for each component, F the discrete Fourier transform: a(kappa^2) is its symbol.
///
/// What multiplies |u^|^2.
public enum SpectralSymbol: Sendable {
  /// Of kappa^2.
  case function(@Sendable (Double) -> Double)
  /// By shell; those beyond the last have its value.
  case shells([Double])
}

/// Exact for filters; for spectra modes are taken as equal inside a shell, and windows are left out.
public protocol SpectralSensitivity: Observable {
  /// a by kappa^2, at a field whose values are `value`, with M = 1/(m s^2) for all m values of the field or the vector.
  func symbol(of value: ObservableValue, scale s: Double, components: Int, grid: Grid, coordinates: Coordinates) -> SpectralSymbol
}

extension SpectralFilter: SpectralSensitivity {
  public func symbol(of value: ObservableValue, scale s: Double, components: Int, grid: Grid, coordinates: Coordinates)
    -> SpectralSymbol {
    let waves = Wavenumbers(grid, coordinates), unit = waves.unit * waves.unit, m = 1 / (Double(components * grid.count) * s * s)
    switch factor {
    case .band(let shells): return .shells((0...shells.upperBound + 1).map { shells.contains($0) ? m : 0 })
    case .potential: return .function { $0 > 0 ? m / ($0 * unit * $0 * unit) : 0 }
    }
  }
}

extension EnergySpectrum: SpectralSensitivity {
  /// The gradient of E_b has |u^|^2/N^2 = 2 E_b/(C n_b) per mode of the n_b of its shell and component: a = 2 M_b E_b/(C n_b N).
  public func symbol(of value: ObservableValue, scale s: Double, components: Int, grid: Grid, coordinates: Coordinates) -> SpectralSymbol {
    let values = vector(value), first = shells?.lowerBound ?? 0, squares = wavenumberSquares(grid, coordinates), nx = squares[2].count
    func count(_ a: Int, _ j: Int) -> Double { j == 0 || 2 * j == grid.shape[a] ? 1 : 2 }
    let along = (0..<nx).map { count(2, $0) }, rest = Wavenumbers(grid, coordinates).highest + 1
    var modes = [Double](repeating: 0, count: rest + 1), shell = [Int32](repeating: 0, count: nx)
    for z in squares[0].indices { for y in squares[1].indices {
      ald_shell_row(squares[0][z] + squares[1][y], squares[2], nx, &shell)
      let n = count(0, z) * count(1, y)
      for x in 0..<nx { modes[min(Int(shell[x]), rest)] += n * along[x] }
    } }
    let factor = 2 / (s * s * Double(values.count * components * grid.count))
    let a = (0...rest).map { b -> Double in
      let j = b - first
      guard values.indices.contains(j), modes[b] > 0 else { return 0 }
      guard let epsilon else { return factor * values[j] / modes[b] }
      let e = max(0, exp(values[j]) - epsilon)
      return factor * e / ((e + epsilon) * (e + epsilon)) / modes[b]
    }
    return .shells(a)
  }
}

/// kappa_a^2 of the indices 0 ... n/2 of each storage axis, the squares that symbols take: their sum over the axes.
public func wavenumberSquares(_ grid: Grid, _ coordinates: Coordinates) -> [[Double]] {
  let waves = Wavenumbers(grid, coordinates)
  return (0..<3).map { Array(waves.squares[$0].prefix(grid.shape[$0] / 2 + 1)) }
}
