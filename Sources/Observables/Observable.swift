import Fields
import Statistics

/// The values of an observable: a short vector that every participant holds, or a field of one or more components on each one's box.
public enum ObservableValue: Sendable {
  case vector([Double])
  case field(FieldParts)
}

/// What physics needs kept: a differentiable map o from fields to numbers.
///
/// o is evaluated at a field u of N cells per component; J is its Jacobian at u. Everything is in double precision and the same
/// bits for any number of participants.
/// - Collective: all methods.
public protocol Observable: Sendable {
  /// Name and all parameters with their values, such as `structure(p=2,r=4,epsilon=1e-06)`; parses back to an equal observable.
  var specification: String { get }
  /// Names of the values' units in terms of the field's and the coordinates', such as `field^2` or `field/length`.
  var units: String { get }
  /// o(u).
  func value(of u: FieldParts, on domain: any Domain) throws -> ObservableValue
  /// J v: the derivative of `value` at u along v.
  func tangent(at u: FieldParts, along v: FieldParts, on domain: any Domain) throws -> ObservableValue
  /// J^T w: <J v, w> = <v, J^T w> with plain sums over cells and values.
  func adjoint(at u: FieldParts, of w: ObservableValue, on domain: any Domain) throws -> FieldParts
  /// Natural scale s_j of the values at u, one per value (vector) or per component (field): M = diag(1 / (m s_j^2)) makes
  /// P = <J v, M J v> a mean of squares in natural units. Positive.
  func scales(of value: ObservableValue, on domain: any Domain) throws -> [Double]
  /// Whether this observable can be evaluated on such a field; throws the error the user should see.
  func check(components: Int, grid: Grid, coordinates: Coordinates) throws
}

/// A request that cannot be met; the text says what and what to do.
public struct ObservableError: Error, Equatable, Sendable, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}
