import Codecs
import Decomposition
import Fields
import MPI

/// Arrays spread over the ranks, of which boxes with halos are wanted, one after the other.
///
/// Boxes whose cells are all here are read where they lie; others are fetched.
struct Surroundings {
  private let grid: Grid
  private let have: [Box], arrays: [[RawArray]]
  private let elementSize: Int
  private let mosaics: [Mosaic]?
  /// Whether some rank has to fetch.
  private let remote: Bool

  /// - Parameter have: this rank's boxes; `arrays[component][box]` hold them.
  /// - Parameter wanted: all boxes this rank is going to ask for.
  /// - Collective: all ranks.
  init(have: [Box], arrays: [[RawArray]], elementSize: Int, wanted: [Box], grid: Grid, ranks: borrowing Communicator) throws {
    self.grid = grid; self.have = have; self.arrays = arrays; self.elementSize = elementSize
    let found = arrays.compactMap { Mosaic($0, grid: grid) }, complete = found.count == arrays.count ? found : nil
    mosaics = complete
    let missing = wanted.contains { w in !w.isEmpty && !(complete?.allSatisfy { $0.holds(w) } ?? false) }
    remote = try ranks.allReduce(missing ? 1 : 0, .max) > 0
  }

  /// Calls `body` for every component with a mosaic that holds `box`; not at all without a box.
  ///
  /// - Collective: all ranks.
  func forEachComponent(of box: Box?, ranks: borrowing Communicator, _ body: (Int, Mosaic) -> Void) throws {
    let local = box.map { b in mosaics?.allSatisfy { $0.holds(b) } ?? false } ?? true
    let want = local ? [] : [box!]
    let plan = remote ? try Redistribution(have: have, want: want, grid: grid, ranks: ranks) : nil
    for c in arrays.indices {
      let fetched = want.map { RawArray(box: $0, elementSize: elementSize) }
      try plan?.move(arrays[c], into: fetched, ranks: ranks)
      if box != nil { body(c, local ? mosaics![c] : Mosaic(fetched[0])) }
    }
  }
}
