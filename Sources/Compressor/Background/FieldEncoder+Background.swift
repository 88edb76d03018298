package import MPI

extension FieldEncoder {
  /// Local work that may fail: by the worker while the caller's thread does something else, where there is one.
  ///
  /// - Throws: as `agree`, the same on all ranks.
  /// - Collective: all ranks; `work` itself must not communicate.
  package func compute(ranks: borrowing Communicator, _ work: () throws -> Void) throws {
    guard let background else { return try ranks.agree(work) }
    var failure: (any Error)?
    phases.pause { background.run { do { try work() } catch { failure = error } } }
    HostHeap.trim()
    try ranks.agree { if let failure { throw failure } }
  }

  /// Calls `body` with the number of each region of this rank, which may ask the surroundings for its cells and then fail; with `nil` where other ranks
  /// have more regions and cells travel region by region. By the worker where none do.
  ///
  /// - Throws: as `agree`, the same on all ranks.
  /// - Collective: all ranks.
  func forEachRound(of all: [Surroundings], ranks: borrowing Communicator, _ body: (Int?) throws -> Void) throws {
    if all.allSatisfy({ !$0.exchangesBoxes }) { return try compute(ranks: ranks) { for round in layout.regions.indices { try body(round) } } }
    // One word for all regions: ranks do not wait for each other at each of them.
    var failure: (any Error)?
    for round in 0..<layout.rounds { do { try body(round < layout.regions.count ? round : nil) } catch { failure = failure ?? error } }
    try ranks.agree { if let failure { throw failure } }
  }

  /// Gives this rank's units to `body`, in order: region after region, so that few are held; all at once where a worker codes them.
  ///
  /// - Collective: all ranks; `body` itself must not communicate.
  func forEachPart(ranks: borrowing Communicator, _ body: ([Unit]) throws -> Void) throws {
    if background != nil {
      let units = try loadUnits(ranks: ranks)
      return try compute(ranks: ranks) { try body(units) }
    }
    try layout.forEachRegion(have: source.boxes, arrays: source.arrays, elementSize: source.type.size, halo: 0, ranks: ranks) { region, arrays in
      try body(try region.tiles.flatMap { t in try (0..<layout.components).map { c in try makeUnit(t * layout.components + c, from: arrays[c]) } })
    }
  }
}
