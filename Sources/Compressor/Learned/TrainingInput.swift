package import Codecs
package import Fields
package import MPI
import SnapshotIO

/// A field of a snapshot file to learn from.
package struct TrainingInput {
  private let input: SnapshotInput, index: Int
  package let components: Int, dimensions: Int
  package let steps: Range<Int>, validation: Range<Int>
  /// Component that belongs to axis z, y, x; -1: none.
  package let axes: [Int]

  /// - Throws: `Failure`, on all ranks: no such field, steps that are not there, or a field that networks cannot take.
  /// - Collective: all ranks.
  package init(_ o: TrainOptions, ranks: borrowing Communicator) throws {
    input = try SnapshotInput.open(o.input, snapshotOptions(o.reading, fields: [o.field]), ranks: ranks)
    guard let i = input.fields.firstIndex(where: { $0.name == o.field }) else { throw Failure(.inputOutput, "\(o.input): no field \(o.field)") }
    index = i
    let f = input.fields[i], wanted = f.grid.shape.z > 1 ? 3 : 2
    guard (1...16).contains(f.components), f.grid.shape.y > 1, f.grid.shape.x > 1 else {
      throw Failure(.usage, "\(o.input): \(o.field) has \(f.components) components on \(f.grid.shape); networks take 1 to 16 in two or three dimensions")
    }
    components = f.components
    dimensions = wanted
    let n = f.steps, what = "\(o.input): \(o.field)"
    guard n > 1 || (o.steps != nil && o.validation != nil) else { throw Failure(.usage, "\(what) has one step; give --steps and --validate") }
    steps = try selectedSteps(o.steps ?? 0..<(n - 1), of: n, in: what)
    validation = try selectedSteps(o.validation ?? (n - 1)..<n, of: n, in: what)
    var axes = [-1, -1, -1]
    let order = f.componentOrder
    if order.count == wanted { for (k, c) in order.enumerated() { axes[2 - k] = c } }
    self.axes = axes
  }

  /// A network of the options' sizes for this field.
  package func shape(_ o: TrainOptions) -> Network.Shape { .init(components: components, dimensions: dimensions, patch: o.patch, width: o.width, blocks: o.blocks) }

  /// The blocks of a step at an operating point.
  ///
  /// - Collective: all ranks.
  package func tiles(step: Int, psnr: Double, shape: Network.Shape, every: Int, ranks: borrowing Communicator) throws -> TrainingTiles {
    try TrainingTiles(readSource(input, index, step, ranks: ranks), bound: .psnr(psnr), shape: shape, every: every, threads: 1, ranks: ranks)
  }

  /// The blocks of a step as they are.
  ///
  /// - Collective: all ranks.
  package func blocks(step: Int, patch: Index3, ranks: borrowing Communicator) throws -> TrainingBlocks {
    try TrainingBlocks(readSource(input, index, step, ranks: ranks), patch: patch, ranks: ranks)
  }
}
