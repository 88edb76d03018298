import CKernels
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
    guard o.values.withUnsafeBufferPointer({ !$0.isEmpty && ald_all_finite($0.baseAddress!, $0.count) == 0 }) else { return d }
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
  /// Exact sum of squares of the values.
  /// - Collective.
  func squareSum(on domain: any Domain) throws -> Double {
    var sum = ExactSum()
    switch self {
    case .vector(let v):
      sum.addSquares(of: v)
      return sum.value
    case .field(let f):
      for p in f { sum.addSquares(of: p.values) }
      return try domain.merged(sum).value
    }
  }
  /// Exact sum of squares of the differences from `other`, of the same shape.
  /// - Collective.
  func squareSum(minus other: ObservableValue, on domain: any Domain) throws -> Double {
    var sum = ExactSum()
    switch (self, other) {
    case (.vector(let x), .vector(let y)):
      sum.addSquares(of: x, minus: y)
      return sum.value
    case (.field(let x), .field(let y)):
      for (p, q) in zip(x, y) { sum.addSquares(of: p.values, minus: q.values) }
      return try domain.merged(sum).value
    default: preconditionFailure("a vector and a field")
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
