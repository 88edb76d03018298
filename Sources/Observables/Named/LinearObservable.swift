import Fields
import Statistics
import Synchronization

/// Weights of one value, for some cells of a box.
public struct WeightRow: Sendable {
  /// Which value of the observable, which component of the field.
  public let value: Int, component: Int
  /// Offsets in the box; nil: all its cells in order.
  public let cells: [Int]?
  public let weights: [Double]
  public init(value: Int, component: Int, cells: [Int]?, weights: [Double]) {
    self.value = value; self.component = component; self.cells = cells; self.weights = weights
  }
}

/// Where the weights of a `LinearObservable` come from, such as an HDF5 file.
public protocol WeightSource: Sendable {
  /// Parses back: `weights:file.h5:dataset`.
  var specification: String { get }
  /// How many values the observable has.
  var count: Int { get }
  /// Throws what the user should see where the weights are not for such a field.
  func check(components: Int, grid: Grid) throws
  /// All weights of the cells of `box`. Not collective.
  func rows(in box: Box, components: Int, grid: Grid) throws -> [WeightRow]
}

/// o_j = sum over cells and components of weight * field: any linear observable. Masked cells are left out.
public final class LinearObservable: Observable {
  let source: any WeightSource
  /// The weights of one box, read once.
  private let held = Mutex<(box: Box, rows: [WeightRow])?>(nil)

  public init(_ source: any WeightSource) { self.source = source }
  public var specification: String { source.specification }
  public var units: String { "weight*field" }

  private func rows(_ components: Int, _ domain: any Domain) throws -> [WeightRow] {
    try domain.agreed {
      if let h = held.withLock({ $0 }), h.box == domain.box { return h.rows }
      let rows = domain.box.isEmpty ? [] : try source.rows(in: domain.box, components: components, grid: domain.grid)
      held.withLock { $0 = (domain.box, rows) }
      return rows
    }
  }
  private func applied(_ x: FieldParts, mask: FieldParts, _ domain: any Domain) throws -> ObservableValue {
    let valid = cleaned(mask).valid
    var sums = [ExactSum](repeating: ExactSum(), count: source.count)
    for row in try rows(x.count, domain) {
      for (k, weight) in row.weights.enumerated() where weight != 0 {
        let i = row.cells?[k] ?? k
        if valid?[i] ?? true { sums[row.value].add(weight * x[row.component].values[i]) }
      }
    }
    return .vector(try domain.sums(sums))
  }
  public func value(of u: FieldParts, on domain: any Domain) throws -> ObservableValue { try applied(u, mask: u, domain) }
  public func tangent(at u: FieldParts, along v: FieldParts, on domain: any Domain) throws -> ObservableValue {
    try applied(v, mask: u, domain)
  }
  public func adjoint(at u: FieldParts, of w: ObservableValue, on domain: any Domain) throws -> FieldParts {
    let valid = cleaned(u).valid
    var out = FieldParts(repeating: FieldPart(domain.box), count: u.count)
    for row in try rows(u.count, domain) {
      for (k, weight) in row.weights.enumerated() where weight != 0 {
        out[row.component].values[row.cells?[k] ?? k] += weight * w.vector[row.value]
      }
    }
    if let valid { for c in out.indices { out[c].values.clear(where: valid) } }
    return out
  }
  public func scales(of value: ObservableValue, on domain: any Domain) throws -> [Double] {
    [Double](repeating: commonScale(value.vector), count: source.count)
  }
  public func check(components: Int, grid: Grid, coordinates: Coordinates) throws {
    if source.count > Averages.limit { throw ObservableError("\(specification) has \(source.count) values, more than \(Averages.limit)") }
    try source.check(components: components, grid: grid)
  }
}
