import Decomposition
import Fields
import MPI

/// One field at one step, held by the ranks as boxes of the global grid.
public struct FieldSource {
  public var name: String
  public var grid: Grid
  public var type: ScalarType
  public var components: Int
  /// This rank's boxes; together with those of the other ranks they tile the grid.
  public var boxes: [Box]
  /// `[component][box]`, element type `type`. Emptied by the encoder when it no longer needs them.
  public var arrays: [[RawArray]]
  /// Bit patterns that are not data, beside NaN and the infinities.
  public var fillPatterns: [UInt64]
  /// Where the cells and the components lie.
  public var geometry: SpectralGeometry

  public init(name: String, grid: Grid, type: ScalarType, components: Int, boxes: [Box], arrays: [[RawArray]], fillPatterns: [UInt64] = [],
              geometry: SpectralGeometry? = nil) {
    self.name = name; self.grid = grid; self.type = type; self.components = components
    self.boxes = boxes; self.arrays = arrays; self.fillPatterns = fillPatterns
    self.geometry = geometry ?? SpectralGeometry(vectorOn: grid, components: components)
  }

  /// The same with its components in another order.
  func ordered(_ order: [Int]) -> FieldSource {
    var s = self
    s.arrays = order.map { arrays[$0] }
    if s.geometry.axes.count == order.count { s.geometry.axes = order.map { geometry.axes[$0] } }
    return s
  }
}

/// Who codes what: tiles along the Morton curve, one stream per tile and component.
struct TileLayout {
  let grid: Grid
  let tiles: TileGrid
  let components: Int
  /// This rank's tiles.
  let mine: Range<Int>
  /// This rank's tiles as boxes of bounded size, coded one after the other so that halos and scratch stay small.
  let regions: [Region]
  /// The largest number of regions on any rank: every rank takes part in as many exchanges.
  let rounds: Int

  static let regionCells = 1 << 19

  /// - Collective: all ranks.
  init(grid: Grid, components: Int, ranks: borrowing Communicator) throws {
    self.grid = grid; self.components = components
    tiles = TileGrid(shape: grid.shape)
    mine = tiles.range(rank: ranks.rank, of: ranks.size)
    regions = Decomposition.regions(of: mine, in: tiles, maximumCells: TileLayout.regionCells)
    rounds = try ranks.allReduce(regions.count, .max)
  }

  /// Streams of the whole field.
  var streamCount: Int { tiles.count * components }
  /// Streams of this rank: `stream = tile * components + component`.
  var units: Range<Int> { mine.lowerBound * components..<mine.upperBound * components }
  func tile(of unit: Int) -> Int { unit / components }
  func component(of unit: Int) -> Int { unit % components }
  func box(of unit: Int) -> Box { tiles.box(unit / components) }

  /// Brings this rank's regions, dilated by `halo`, one round after the other.
  ///
  /// - Parameter body: the region, and one array per component on the dilated box. Not called in rounds without a region.
  /// - Collective: all ranks.
  func forEachRegion(
    have: [Box], arrays: [[RawArray]], elementSize: Int, halo: Int, ranks: borrowing Communicator,
    _ body: (Region, [RawArray]) throws -> Void
  ) throws {
    for round in 0..<rounds {
      let region = round < regions.count ? regions[round] : nil
      let want = region.map { [$0.box.dilated(by: halo, in: grid)] } ?? []
      let plan = try Redistribution(have: have, want: want, grid: grid, ranks: ranks)
      var fetched: [RawArray] = []
      for c in 0..<components {
        let target = want.map { RawArray(box: $0, elementSize: elementSize) }
        try plan.move(arrays[c], into: target, ranks: ranks)
        fetched += target
      }
      try ranks.agree { if let region { try body(region, fetched) } }
    }
  }
}
