import Fields
import Observables
import Reduction
import Statistics

/// A field on the boxes of a domain, from arrays that the ranks hold; masked cells are NaN.
///
/// - Parameter fills: bit patterns that are not data.
/// - Collective: all ranks.
func observedParts(_ arrays: [[RawArray]], in boxes: [Box], type: ScalarType, fills: [UInt64], on domain: RankDomain) throws -> FieldParts {
  var parts = try domain.parts(of: arrays, in: boxes, type: type)
  let patterns = Set(fills)
  for c in parts.indices where !patterns.isEmpty {
    for i in parts[c].values.indices {
      let v = parts[c].values[i], p = type == .float32 ? UInt64(Float(v).bitPattern) : v.bitPattern
      if patterns.contains(p) { parts[c].values[i] = .nan }
    }
  }
  return parts
}

/// Gives `decoded` the mask of `original`.
func masked(_ decoded: FieldParts, like original: FieldParts) -> FieldParts {
  zip(decoded, original).map { d, o in
    guard o.values.contains(where: { !$0.isFinite }) else { return d }
    return FieldPart(d.box, zip(d.values, o.values).map { $1.isFinite ? $0 : .nan })
  }
}

extension ObservableValue {
  /// Number of values over all participants, for a field all cells of all components.
  func count(on domain: any Domain) -> Int {
    switch self {
    case .vector(let v): v.count
    case .field(let f): f.count * domain.grid.count
    }
  }
  /// Exact sum of squares of `weight` times the values, the weights being those of each value of a vector or each component of a field.
  /// - Collective.
  func squareSum(on domain: any Domain) throws -> Double {
    var sum = ExactSum()
    switch self {
    case .vector(let v):
      for x in v { sum.add(x * x) }
      return sum.value
    case .field(let f):
      for p in f { for x in p.values { sum.add(x * x) } }
      return try domain.merged(sum).value
    }
  }
  /// self + factor other.
  func plus(_ factor: Double, _ other: ObservableValue) -> ObservableValue {
    func sum(_ x: [Double], _ y: [Double]) -> [Double] { zip(x, y).map { $0 + factor * $1 } }
    switch (self, other) {
    case (.vector(let x), .vector(let y)): return .vector(sum(x, y))
    case (.field(let x), .field(let y)): return .field(zip(x, y).map { FieldPart($0.box, sum($0.values, $1.values)) })
    default: preconditionFailure("a vector and a field")
    }
  }
}

/// a + factor b, cell by cell.
func combined(_ a: FieldParts, _ factor: Double, _ b: FieldParts) -> FieldParts {
  zip(a, b).map { p, q in FieldPart(p.box, zip(p.values, q.values).map { $0 + factor * $1 }) }
}
