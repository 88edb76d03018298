import Compressor
import Decomposition
import Fields
import MPI
import SnapshotIO

/// One step of one field in memory, this rank's slab of it.
struct Input {
  let description: FieldDescription
  let label: String
  let source: FieldSource
  /// Bytes over all ranks.
  var bytes: Int { description.valuesPerStep * description.type.size }
  var shape: [Int] { (description.components > 1 ? [description.components] : []) + (0..<3).map { description.grid.shape[$0] } }

  /// - Collective: all ranks.
  init(_ a: Arguments, ranks: borrowing Communicator) throws {
    guard let path = a["input"] else { throw UsageError(description: "--input is missing\n\(Arguments.help)") }
    var options = SnapshotOptions()
    options.axes = a["axes"]
    options.periodic = a["periodic"]
    if let name = a["field"] { options.fields = [name] }
    if let shape = a["raw-shape"] {
      let extents = shape.split(separator: ",").compactMap { Int($0) }
      options.raw = .init(type: .float32, shape: extents)
    }
    let input = try SnapshotInput.open(path, options, ranks: ranks)
    let f = input.fields[0]
    let step = a["step"].flatMap { Int($0) } ?? f.steps - 1
    let box = Partition.slabs(of: f.grid, ranks: ranks.size)[ranks.rank]
    let arrays = try ranks.agree {
      try (0..<f.components).map { c in
        let array = RawArray(box: box, type: f.type)
        try input.read(field: 0, step: step, component: c, box: box, into: array)
        return [array]
      }
    }
    source = FieldSource(name: f.name, grid: f.grid, type: f.type, components: f.components, boxes: [box], arrays: arrays)
    // The container holds this step only.
    let axes = (f.components > 1 ? "c" : "") + f.spatialAxes
    let spatial = (3 - f.grid.dimensions..<3).map { f.grid.shape[$0] }
    description = FieldDescription(
      name: f.name, type: f.type, shape: (f.components > 1 ? [f.components] : []) + spatial, axes: axes, periodic: f.grid.periodic)
    label = a["label"] ?? f.name
  }
}
