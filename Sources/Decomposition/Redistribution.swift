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

  /// Moves one component.
  ///
  /// Peak extra memory is what is sent to and received from other ranks; cells that stay are copied directly.
  /// Misuse traps: other numbers of arrays than of boxes, arrays that do not hold their box, differing element sizes.
  /// - Parameter sources: one array per box of `have`, whose box contains it.
  /// - Parameter destinations: one array per box of `want`, whose box contains it; cells outside it are left alone.
  /// - Collective: all ranks, also those with nothing to move.
  public func move(_ sources: [RawArray], into destinations: [RawArray], ranks: borrowing Communicator) throws {
    precondition(sources.count == have.count && destinations.count == want.count)
    for (a, b) in zip(sources, have) { precondition(a.box.contains(b), "a source does not hold its box") }
    for (a, b) in zip(destinations, want) { precondition(a.box.contains(b), "a destination does not hold its box") }
    let e = sources.first?.elementSize ?? destinations.first?.elementSize ?? 1
    precondition(sources.allSatisfy { $0.elementSize == e } && destinations.allSatisfy { $0.elementSize == e })

    var exchange = Exchange(ranks)
    for p in incoming { try exchange.receive(p.cells * e, from: p.rank) }
    for p in outgoing {
      try exchange.send(p.cells * e, to: p.rank) { buffer in
        var at = buffer.baseAddress!
        for t in p.transfers {
          let s = t.part.shape
          copy(s, e, from: Strided(sources[t.have], t.part), to: Strided(packed: at, s, e))
          at += s.product * e
        }
      }
    }
    for t in own {
      copy(t.part.shape, e, from: Strided(sources[t.have], t.part),
           to: Strided(destinations[t.want], t.part.shifted(by: t.shift)))
    }
    try exchange.finish()
    for (i, p) in incoming.enumerated() {
      exchange.withReceived(i) { buffer in
        var at = UnsafeMutableRawPointer(mutating: buffer.baseAddress!)
        for t in p.transfers {
          let s = t.part.shape
          copy(s, e, from: Strided(packed: at, s, e), to: Strided(destinations[t.want], t.part.shifted(by: t.shift)))
          at += s.product * e
        }
      }
    }
    counters.bytes += exchange.bytesSent
    counters.messages += exchange.messages
  }
}
