import Codecs
import Decomposition
import Fields
import MPI

/// Arrays spread over the ranks, of which boxes with halos are wanted, one after the other.
///
/// Boxes whose cells are all here are read where they lie. What other ranks have is fetched once where it is little, so that ranks do
/// not wait for each other box by box, and is read where it lies too if own cells make a mosaic; else with each box.
struct Surroundings {
  private let grid: Grid
  private let have: [Box], arrays: [[RawArray]]
  private let elementSize: Int
  private var mosaics: [Mosaic]?
  /// Own and fetched cells per component, where all that is missing was fetched.
  private var near: [NearCells]?
  /// Whether every box is an exchange of its own.
  let exchangesBoxes: Bool

  /// Most cells fetched at once: this many, or this share of a rank's own.
  private static let fetchedCells = 1 << 20, fetchedShare = 4
  private static let fetchedBoxes = 1 << 10

  /// - Parameter have: this rank's boxes; `arrays[component][box]` hold them.
  /// - Parameter wanted: all boxes this rank is going to ask for.
  /// - Collective: all ranks.
  init(have: [Box], arrays: [[RawArray]], elementSize: Int, wanted: [Box], grid: Grid, ranks: borrowing Communicator) throws {
    self.grid = grid; self.have = have; self.arrays = arrays; self.elementSize = elementSize
    let found = arrays.compactMap { Mosaic($0, grid: grid) }
    let mosaics = found.count == arrays.count ? found : nil
    self.mosaics = mosaics
    let distant = wanted.filter { w in !w.isEmpty && !(mosaics?.allSatisfy { $0.holds(w) } ?? false) }
    let own = have.reduce(0) { $0 + $1.count } * arrays.count
    let most = max(Surroundings.fetchedCells, own / Surroundings.fetchedShare)
    func isLittle(_ boxes: [Box]) -> Bool { boxes.count <= Surroundings.fetchedBoxes && boxes.reduce(0) { $0 + $1.count } * arrays.count <= most }
    let frame = mosaics.flatMap { isLittle($0[0].frame(holding: distant)) ? $0[0].frame(holding: distant) : nil }
    let want = frame ?? NearCells.missing(distant, have: mosaics.map { [$0[0].box] } ?? have, grid: grid, limit: Surroundings.fetchedBoxes)
    let here = distant.isEmpty ? 0 : want.map(isLittle) ?? false ? 1 : 2
    let effort = try ranks.allReduce(here, .max)
    exchangesBoxes = effort == 2
    guard effort == 1 else { return }
    let plan = try Redistribution(have: have, want: want ?? [], grid: grid, ranks: ranks)
    let around = try arrays.map { own in
      let fetched = plan.want.map { RawArray(box: $0, elementSize: elementSize) }
      try plan.move(own, into: fetched, ranks: ranks)
      return own.filter { $0.count > 0 } + fetched
    }
    if frame == nil { near = around.map { NearCells($0, grid: grid) } } else { self.mosaics = around.map { Mosaic($0, grid: grid)! } }
  }

  /// Calls `body` for every component with a mosaic that holds `box`; not at all without a box.
  ///
  /// - Collective: all ranks.
  func forEachComponent(of box: Box?, ranks: borrowing Communicator, _ body: (Int, Mosaic) -> Void) throws {
    let local = box.map { b in mosaics?.allSatisfy { $0.holds(b) } ?? false } ?? true
    let want = local || !exchangesBoxes ? [] : [box!]
    let plan = exchangesBoxes ? try Redistribution(have: have, want: want, grid: grid, ranks: ranks) : nil
    for c in arrays.indices {
      let fetched = want.map { RawArray(box: $0, elementSize: elementSize) }
      try plan?.move(arrays[c], into: fetched, ranks: ranks)
      guard let box else { continue }
      body(c, local ? mosaics![c] : Mosaic(fetched.first ?? near![c].array(holding: box)))
    }
  }
}
