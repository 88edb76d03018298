import Fields

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
}

/// A one-dimensional operator of a `SeparableTerm`.
public enum AxisOperator: Sendable {
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

  /// The mean of phi^T T phi over the places `start`, start + period, ... of a basis function.
  public func meanForm(_ phi: [Double], starts: some Collection<Int>) -> Double {
    starts.reduce(0) { $0 + form(phi, phi, start: $1) } / Double(max(1, starts.count))
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
