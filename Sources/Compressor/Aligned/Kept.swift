import Codecs
import Fields
import LatentGeometry
import MPI
import Observables
import Reduction
import SnapshotIO
import Statistics

/// An observable to be kept: ||o(x') - o(x)|| <= target ||o(x)|| over its values.
struct Kept {
  var observable: any Observable
  let target: Double
  /// Whether it is the restored view that keeps it.
  var restored = false
  var text: String { "\(observable.specification):\(short(target))\(restored ? " restored" : "")" }
}

/// One `--keep`, parsed.
struct KeepRequest {
  let specification: ObservableSpecification
  let observable: any Observable
  let asked: KeepTarget

  /// - Throws: `Failure(.usage)`.
  init(_ k: KeepTarget, _ catalogue: ObservableCatalogue) throws {
    do {
      specification = try catalogue.parse(k.observable)
      observable = try catalogue.observable(specification)
    } catch let e as ObservableError { throw Failure(.usage, "\(k.option) \(k.observable): \(e)") }
    asked = k
  }

  /// Another target for the same, however it is written.
  func contradicts(_ other: KeepRequest) -> Bool {
    observable.specification == other.observable.specification && specification.field == other.specification.field && asked.restored == other.asked.restored
      && asked.error != other.asked.error
  }

  func suits(_ f: FieldDescription) -> Bool {
    (specification.field.map { $0 == f.name } ?? true)
      && (try? observable.check(components: f.components, grid: f.grid, coordinates: .unit)) != nil
  }

  /// - Throws: `Failure(.usage)` where it has no field to act on.
  func check(_ fields: [FieldDescription]) throws {
    if let name = specification.field, !fields.contains(where: { $0.name == name }) {
      throw Failure(.usage, "\(asked.option) \(specification): no such field; there are \(fields.map(\.name).joined(separator: ", "))")
    }
    if fields.contains(where: suits) { return }
    do {
      if let f = fields.first(where: { specification.field ?? $0.name == $0.name }) { try observable.check(components: f.components, grid: f.grid, coordinates: .unit) }
    } catch let e as ObservableError { throw Failure(.usage, "\(asked.option) \(specification): \(e)") }
    throw Failure(.usage, "\(asked.option) \(specification): there is no field")
  }
}

/// What the observables of the original are, and how far decoded values are from them.
struct Judge {
  let kept: [Kept]
  let original: FieldParts
  let values: [ObservableValue]
  /// Sums of squares of the values, and their number.
  let norms: [(square: Double, count: Int)]
  let domain: RankDomain
  /// Which component of the field each component of the parts is.
  let order: [Int]

  /// - Parameter observer: whose first observables are those to be kept.
  /// - Collective: all ranks.
  init(_ kept: [Kept], _ observer: FieldObserver, order: [Int]) throws {
    domain = observer.domain; original = observer.original; self.order = order
    self.kept = kept.indices.map { Kept(observable: observer.observables[$0], target: kept[$0].target, restored: kept[$0].restored) }
    values = try kept.indices.map { try observer.value($0) }
    norms = try kept.indices.map { (try observer.square($0), try observer.count($0)) }
  }

  var judgesRestored: Bool { kept.contains(where: \.restored) }

  /// o(x') - o(x) for each.
  ///
  /// - Parameter restored: the restored view of the decoded values, where one is judged.
  /// - Collective: all ranks.
  func residuals(_ decoded: FieldParts, restored: FieldParts?) throws -> [ObservableValue] {
    let decoded = masked(decoded, like: original)
    return try kept.indices.map { try kept[$0].observable.value(of: kept[$0].restored ? restored ?? decoded : decoded, on: domain).plus(-1, values[$0]) }
  }
  /// Relative L2 errors; an observable that vanishes must stay 0.
  ///
  /// - Collective: all ranks.
  func errors(_ residuals: [ObservableValue]) throws -> [Double] {
    try residuals.indices.map { j in
      let square = try residuals[j].squareSum(on: domain)
      return square == 0 ? 0 : (square / norms[j].square).squareRoot()
    }
  }

  func satisfied(_ errors: [Double]) -> Bool { zip(kept, errors).allSatisfy { $1 <= $0.target } }
  /// The largest error in units of its target.
  func worst(_ errors: [Double]) -> Double { zip(kept, errors).reduce(0) { max($0, $1.1 / $1.0.target) } }

  func failure(_ errors: [Double], _ tail: String) -> Failure {
    let missed = zip(kept, errors).filter { $1 > $0.target }.map { "\($0.text) (best: \(short($1)))" }
    return Failure(.boundViolated, "--keep cannot be met: \(missed.joined(separator: ", "))\(tail); nothing was written")
  }
}

extension ObservableValue {
  func times(_ factor: Double) -> ObservableValue {
    switch self {
    case .vector(let v): .vector(v.map { $0 * factor })
    case .field(let f): .field(f.map { p in FieldPart(p.box, p.values.map { $0 * factor }) })
    }
  }
}
