import Codecs
import Decomposition
import Fields
import MPI
import SnapshotIO

/// Values of one field at one step, tile region by tile region, from a container or a snapshot.
///
/// Regions depend on the grid, the wanted tiles and the number of ranks only, so two sources of equal shape walk in step.
protocol FieldValues: AnyObject {
  var walk: TileWalk { get }
  var type: ScalarType { get }
  /// Values in the stored type on the region of a round, one array per component; `nil` where this rank has no region.
  ///
  /// - Collective: all ranks, rounds in order.
  func values(round: Int, ranks: borrowing Communicator) throws -> [RawArray]?
}

/// Which tiles this rank treats, in which rounds.
struct TileWalk {
  let tiles: TileGrid
  /// Those that some rank treats.
  let all: [Int]
  let regions: [Region]
  let rounds: Int
  /// Whether these are all tiles of the grid.
  var isWhole: Bool { all.count == tiles.count }

  /// - Parameter wanted: the cells asked for; all tiles that hold some are walked, split evenly over the ranks.
  /// - Collective: all ranks.
  init(grid: Grid, wanted: Box, ranks: borrowing Communicator) throws {
    let tiles = TileGrid(shape: grid.shape)
    try self.init(tiles, wanted == grid.box ? Array(0..<tiles.count) : tiles.tiles(touching: wanted), ranks: ranks)
  }
  /// - Parameter all: ascending, the same on all ranks.
  /// - Collective: all ranks.
  init(_ tiles: TileGrid, _ all: [Int], ranks: borrowing Communicator) throws {
    self.tiles = tiles; self.all = all
    let mine = all[ranks.share(of: all.count)]
    var found: [Region] = []
    var start = mine.startIndex
    while start < mine.endIndex {
      var end = start + 1
      while end < mine.endIndex && mine[end] == mine[end - 1] + 1 { end += 1 }
      found += Decomposition.regions(of: mine[start]..<mine[end - 1] + 1, in: tiles, maximumCells: TileLayout.regionCells)
      start = end
    }
    regions = found
    rounds = try ranks.allReduce(found.count, .max)
  }
}

/// Values of a snapshot file.
final class SnapshotValues: FieldValues {
  let walk: TileWalk
  let type: ScalarType
  private let input: SnapshotInput, field: Int, step: Int
  /// - Collective: all ranks.
  init(_ input: SnapshotInput, field: Int, step: Int, ranks: borrowing Communicator) throws {
    self.input = input; self.field = field; self.step = step
    type = input.fields[field].type
    let grid = input.fields[field].grid
    walk = try TileWalk(grid: grid, wanted: grid.box, ranks: ranks)
  }
  func values(round: Int, ranks: borrowing Communicator) throws -> [RawArray]? {
    try ranks.agree { () -> [RawArray]? in
      guard round < walk.regions.count else { return nil }
      let box = walk.regions[round].box
      return try (0..<input.fields[field].components).map { c in
        let a = RawArray(box: box, type: type)
        try input.read(field: field, step: step, component: c, box: box, into: a)
        return a
      }
    }
  }
}

/// Names what is corrupt.
func corrupt<T>(_ what: String, _ body: () throws -> T) throws -> T {
  do { return try body() } catch let e as StreamError { throw Failure(.corrupt, "\(what): \(e)") }
}
