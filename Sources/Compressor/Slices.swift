import Fields
public import MPI
import SnapshotIO

/// A plane of a field: the middle of the first axis of three, all of a plane, a line as one row.
public struct Slice: Sendable {
  public let field: String
  public let step: Int, component: Int
  /// Where it was cut, such as `z = 32`; empty where the field is no larger.
  public let place: String
  /// Extents of `original` and `error`, slowest first.
  public let rows: Int, columns: Int
  /// Row by row, of every n-th cell where the plane is larger than asked for; NaN where masked.
  public let original: [Double], error: [Double]
  /// The pointwise bound; 0 where there is none.
  public let granted: Double
}

/// What `report` shows of fields: the original on a plane and the decoded values' error there. Only the tiles that touch the plane are decoded.
///
/// - Parameter largest: rows and columns at most; larger planes are thinned evenly.
/// - Returns: Per field of the container, its first step, one slice per component.
/// - Throws: `Failure` or `SnapshotError`: input or output (exit code 2), a corrupt container (4).
/// - Collective: all ranks; whole slices on rank 0 only.
public func slices(of container: String, original: String, reading: InputOptions, largest: Int, ranks: borrowing Communicator) throws -> [Slice] {
  let reader = try ContainerReader.open(container, ranks: ranks)
  let all = try ranks.agree { try descriptions(reader) }
  var reading = reading
  for d in all where !d.datasets.isEmpty && !reading.vectors.contains(where: { $0.name == d.name }) {
    reading.vectors.append(VectorGroup(name: d.name, components: d.datasets))
  }
  let input = try SnapshotInput.open(original, snapshotOptions(reading, fields: all.map(\.name)), ranks: ranks)
  var out: [Slice] = []
  for (i, d) in all.enumerated() {
    let other = try ranks.agree { try matching(d, input, container) }
    let (plane, place) = middle(d)
    let values = try ContainerValues(reader, d, field: i, stepIndex: 0, wanted: plane, threads: 1, ranks: ranks)
    let decoded = (0..<d.components).map { _ in RawArray(box: plane, type: d.type) }
    for round in 0..<values.walk.rounds {
      guard let part = try values.values(round: round, ranks: ranks) else { continue }
      for c in part.indices { decoded[c].copy(part[c].box.intersection(plane), from: part[c]) }
    }
    let step = reader.fields[i].steps[0], fills = Set(d.fillValues)
    for c in 0..<d.components {
      let x = RawArray(box: plane, type: d.type)
      try ranks.agree { try input.read(field: other, step: step, component: c, box: plane, into: x) }
      let cells = thinned(plane, largest)
      let valid = cells.numbers.map { x.number($0, d.type).isFinite && !fills.contains(x.pattern($0, d.type)) }
      out.append(Slice(
        field: d.name, step: step, component: c, place: place, rows: cells.rows, columns: cells.columns,
        original: zip(cells.numbers, valid).map { $1 ? x.number($0, d.type) : .nan },
        error: zip(cells.numbers, valid).map { $1 ? decoded[c].number($0, d.type) - x.number($0, d.type) : .nan }, granted: values.coding.bound ?? 0))
    }
  }
  return out
}

/// The same planes of every floating-point dataset of a snapshot, such as the map of `align`; without errors.
///
/// - Throws: `SnapshotError`.
/// - Collective: all ranks.
public func planes(of snapshot: String, largest: Int, ranks: borrowing Communicator) throws -> [Slice] {
  let input = try SnapshotInput.open(snapshot, ranks: ranks)
  return try ranks.agree {
    var out: [Slice] = []
    for (i, d) in input.fields.enumerated() {
      let (plane, place) = middle(d), cells = thinned(plane, largest)
      for c in 0..<d.components {
        let x = RawArray(box: plane, type: d.type)
        try input.read(field: i, step: 0, component: c, box: plane, into: x)
        out.append(Slice(field: d.name, step: 0, component: c, place: place, rows: cells.rows, columns: cells.columns, original: cells.numbers.map { x.number($0, d.type) },
                         error: [], granted: 0))
      }
    }
    return out
  }
}

/// The plane shown of a field, and its name.
private func middle(_ d: FieldDescription) -> (plane: Box, place: String) {
  var plane = d.grid.box
  guard d.grid.dimensions == 3 else { return (plane, "") }
  plane.lower.z = d.grid.shape.z / 2; plane.upper.z = plane.lower.z + 1
  return (plane, "\(Array(d.spatialAxes)[0]) = \(plane.lower.z)")
}

/// Positions within a plane, row by row, so that neither side has more than `largest` cells.
private func thinned(_ plane: Box, _ largest: Int) -> (numbers: [Int], rows: Int, columns: Int) {
  let height = plane.shape.y, width = plane.shape.x
  let down = (height + largest - 1) / largest, across = (width + largest - 1) / largest
  let numbers = stride(from: 0, to: height, by: down).flatMap { y in stride(from: y * width, to: (y + 1) * width, by: across) }
  return (numbers, (height + down - 1) / down, (width + across - 1) / across)
}

extension RawArray {
  fileprivate func number(_ i: Int, _ t: ScalarType) -> Double { t == .float32 ? Double(bound(to: Float.self)[i]) : bound(to: Double.self)[i] }
  fileprivate func pattern(_ i: Int, _ t: ScalarType) -> UInt64 { t == .float32 ? UInt64(bound(to: UInt32.self)[i]) : bound(to: UInt64.self)[i] }
}
