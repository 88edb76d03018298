import Fields
import MPI
import Observables
import SnapshotIO

/// One step of one field on a grid that this process has all of, in double precision.
struct Snapshot {
  let domain: SoleDomain
  let values: FieldParts
  var grid: Grid { domain.grid }
  var components: Int { values.count }
  /// Over all components.
  let range: Double

  init(_ values: FieldParts, on domain: SoleDomain) {
    self.values = values; self.domain = domain
    let all = values.lazy.flatMap(\.values)
    range = all.max()! - all.min()!
  }

  /// - Parameter step: from 0; negative: from the end.
  init(_ path: String, field: String, axes: String?, step: Int, ranks: borrowing Communicator) throws {
    var options = SnapshotOptions()
    options.fields = [field]
    options.axes = axes
    let input = try SnapshotInput.open(path, options, ranks: ranks), f = input.fields[0]
    let parts = try (0..<f.components).map { c in
      let a = RawArray(box: f.grid.box, type: f.type)
      try input.read(field: 0, step: step < 0 ? f.steps + step : step, component: c, box: f.grid.box, into: a)
      return withExtendedLifetime(a) {
        FieldPart(f.grid.box, f.type == .float64
          ? (0..<a.count).map { a.bound(to: Double.self)[$0] } : (0..<a.count).map { Double(a.bound(to: Float.self)[$0]) })
      }
    }
    self.init(parts, on: SoleDomain(f.grid))
  }
}

/// Mean of squared differences over all cells and components.
func meanSquare(_ a: FieldParts, _ b: FieldParts) -> Double {
  var s = 0.0, n = 0
  for (p, q) in zip(a, b) {
    for i in p.values.indices { let d = p.values[i] - q.values[i]; s += d * d }
    n += p.values.count
  }
  return s / Double(n)
}
