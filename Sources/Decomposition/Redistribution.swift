import Fields
import MPI

/// Moves cells from the boxes ranks have to the boxes ranks want, in one exchange.
///
/// Wanted boxes may overlap and may reach beyond periodic faces by any amount: there they receive the wrapped cells.
/// A plan holds for any number of components and any element size of 1, 2, 4 or 8 bytes.
public struct Redistribution {
  /// Cells `part` of box `have` here, which become the cells `part + shift` of box `want`.
  struct Transfer {
    var have: Int, want: Int, part: Box, shift: Index3
  }
  struct Peer {
    let rank: Int
    var transfers: [Transfer]
    var cells: Int
  }
  private final class Counters { var bytes = 0, messages = 0 }

  public let have: [Box], want: [Box]
  private let own: [Transfer]
  private let outgoing: [Peer], incoming: [Peer]
  private let counters = Counters()

  /// Cells one `move` sends to and receives from other ranks.
  public var cellsSent: Int { outgoing.reduce(0) { $0 + $1.cells } }
  public var cellsReceived: Int { incoming.reduce(0) { $0 + $1.cells } }
  /// Ranks that one `move` sends to.
  public var peers: Int { outgoing.count }
  /// Bytes and messages sent to other ranks by all moves so far.
  public var bytesSent: Int { counters.bytes }
  public var messages: Int { counters.messages }

  /// Plans the exchange.
  ///
  /// - Parameter have: this rank's boxes inside the grid; any number, empty ones allowed.
  /// - Parameter want: this rank's wanted boxes; any number, empty ones allowed.
  /// - Parameter requireCover: whether wanted cells that no rank has are an error; else they are left as they are.
  /// - Collective: all ranks of `ranks`, equal `grid` and `requireCover`.
  /// - Throws: `AgreedError` with the text of a `DecompositionError`, on all ranks: boxes outside the grid, boxes that
  ///   overlap, wanted cells that no rank has.
  /// - Complexity: about linear in the boxes of this rank and those they meet, not in those of all ranks: who has what is asked of the
  ///   keepers of a `Directory`. Two sparse exchanges, two reductions.
  public init(
    have: [Box], want: [Box], grid: Grid, ranks: borrowing Communicator, requireCover: Bool = true
  ) throws {
    self.have = have; self.want = want
    var sums = [0, 0, 0, 0, 0]   // extents per axis, boxes, cells
    for b in have where !b.isEmpty {
      for a in 0..<3 { sums[a] += b.shape[a] }
      sums[3] += 1; sums[4] += b.count
    }
    sums = try ranks.allReduce(sums, .sum)
    let directory = Directory(shape: grid.shape, extents: Index3(sums[0], sums[1], sums[2]), boxes: sums[3], ranks: ranks.size)
    let asked = try ranks.exchangeSparsely(Entries.requests(have, want, grid, directory), .request)
    let entries = Entries(asked)
    let answers = try ranks.exchangeSparsely(entries.answers(keeper: ranks.rank, directory), .answer)

    let me = ranks.rank
    var own: [Transfer] = [], incoming: [Int: [Transfer]] = [:], outgoing = incoming
    for (_, bytes) in answers {
      Entries.read(bytes) { other, sends, t in
        if sends { outgoing[other, default: []].append(t) } else if other == me { own.append(t) } else { incoming[other, default: []].append(t) }
      }
    }
    self.own = own; self.incoming = Redistribution.peers(incoming); self.outgoing = Redistribution.peers(outgoing)
    let failure = Redistribution.failure(
      have, entries.overlap(), want, requireCover ? own + self.incoming.flatMap(\.transfers) : nil, grid, complete: sums[4] == grid.count, rank: me)
    try Redistribution.agree(failure, ranks)
  }

  /// Moves one component, in portions: peak extra memory is what is sent and received of one; cells that stay are copied directly.
  ///
  /// Misuse traps: other numbers of arrays than of boxes, arrays that do not hold their box, differing element sizes.
  /// - Parameter sources: one array per box of `have`, whose box contains it.
  /// - Parameter destinations: one array per box of `want`, whose box contains it; cells outside it are left alone.
  /// - Parameter emptying: whether sources are not needed any more; inside a host their memory goes back to the system portion by portion. Each has the
  ///   box of `have` then, and no cell is wanted twice.
  /// - Collective: all ranks, also those with nothing to move.
  public func move(_ sources: [RawArray], into destinations: [RawArray], emptying: Bool = false, ranks: borrowing Communicator) throws {
    precondition(sources.count == have.count && destinations.count == want.count)
    for (a, b) in zip(sources, have) { precondition(a.box.contains(b), "a source does not hold its box") }
    for (a, b) in zip(destinations, want) { precondition(a.box.contains(b), "a destination does not hold its box") }
    let e = sources.first?.elementSize ?? destinations.first?.elementSize ?? 1
    precondition(sources.allSatisfy { $0.elementSize == e } && destinations.allSatisfy { $0.elementSize == e })

    let most = Redistribution.portion(ranks.size) / e
    let staying = Redistribution.portions(own, most), leaving = outgoing.map { Redistribution.portions($0.transfers, most) }
    let arriving = incoming.map { Redistribution.portions($0.transfers, most) }
    var exchange = Exchange(ranks), emptied = emptying ? EmptiedArrays(sources) : nil
    for round in 0..<([staying] + leaving + arriving).reduce(0, { max($0, $1.count) }) {
      for (p, list) in zip(incoming, arriving) where round < list.count { try exchange.receive(Redistribution.cells(list[round]) * e, from: p.rank) }
      for (p, list) in zip(outgoing, leaving) where round < list.count {
        try exchange.send(Redistribution.cells(list[round]) * e, to: p.rank) { buffer in
          var at = buffer.baseAddress!
          for t in list[round] {
            let s = t.part.shape
            copy(s, e, from: Strided(sources[t.have], t.part), to: Strided(packed: at, s, e))
            at += s.product * e
            emptied?.take(t.have, t.part)
          }
        }
      }
      for t in (round < staying.count ? staying[round] : []) {
        copy(t.part.shape, e, from: Strided(sources[t.have], t.part), to: Strided(destinations[t.want], t.part.shifted(by: t.shift)))
        emptied?.take(t.have, t.part)
      }
      try exchange.finish()
      for (i, list) in arriving.lazy.filter({ round < $0.count }).enumerated() {
        exchange.withReceived(i) { buffer in
          var at = UnsafeMutableRawPointer(mutating: buffer.baseAddress!)
          for t in list[round] {
            let s = t.part.shape
            copy(s, e, from: Strided(packed: at, s, e), to: Strided(destinations[t.want], t.part.shifted(by: t.shift)))
            at += s.product * e
          }
        }
      }
      exchange.again()
    }
    counters.bytes += exchange.bytesSent
    counters.messages += exchange.messages
  }
}
