import Fields
import MPI

extension Redistribution {
  /// Calls `body` with the part of the grid that each periodic image of `box` covers, and the shift that takes
  /// those cells back into the box.
  static func eachImage(of box: Box, in grid: Grid, _ body: (Box, Index3) -> Void) {
    func turns(_ a: Int) -> ClosedRange<Int> {
      guard grid.periodic[a] else { return 0...0 }
      let n = Double(grid.shape[a])
      return Int((Double(box.lower[a]) / n).rounded(.down))...Int((Double(box.upper[a] - 1) / n).rounded(.down))
    }
    for z in turns(0) { for y in turns(1) { for x in turns(2) {
      let shift = Index3(z * grid.shape.z, y * grid.shape.y, x * grid.shape.x)
      let core = box.shifted(by: Index3(0, 0, 0) - shift).intersection(grid.box)
      if !core.isEmpty { body(core, shift) }
    } } }
  }

  /// What is wrong, the worst first, with what orders it among ranks.
  struct Failure { var kind: Int, order: [Int], error: DecompositionError }

  /// - Parameter transfers: into the wanted boxes; `nil`: they need not be covered.
  static func failure(
    _ have: [Box], _ overlap: Entries.Overlap?, _ want: [Box], _ transfers: [Transfer]?, _ grid: Grid, complete: Bool, rank: Int
  ) -> Failure? {
    for (i, b) in have.enumerated() where !grid.box.contains(b) {
      return Failure(kind: 0, order: [rank, i], error: .outside(b, rank: rank, grid: grid.shape))
    }
    if let o = overlap {
      return Failure(kind: 1, order: [o.first.rank, o.first.index, o.second.rank, o.second.index],
                     error: .overlap(o.first.box, rank: o.first.rank, with: o.second.box, of: o.second.rank))
    }
    guard let transfers else { return nil }
    var cells = [Int](repeating: 0, count: want.count)
    for t in transfers { cells[t.want] += t.part.count }
    for (j, w) in want.enumerated() where cells[j] != w.count {
      return Failure(kind: 2, order: [rank, j], error: firstGap(of: w, in: grid, transfers.filter { $0.want == j }, complete: complete, rank: rank))
    }
    return nil
  }

  /// Throws the worst failure of all ranks on all of them.
  ///
  /// - Collective: all ranks; one reduction where there is none.
  static func agree(_ failure: Failure?, _ ranks: borrowing Communicator) throws {
    let none = 3, worst = try ranks.allReduce(failure?.kind ?? none, .min)
    if worst == none { return }
    var mine = failure?.kind == worst ? failure : nil
    for k in 0..<4 {
      func place(_ f: Failure?) -> Int { f.map { k < $0.order.count ? $0.order[k] : 0 } ?? .max }
      let least = try ranks.allReduce(place(mine), .min)
      if place(mine) != least { mine = nil }
    }
    try ranks.agree { if let mine { throw mine.error } }
  }

  /// A box of cells of `wanted` that nobody has.
  ///
  /// - Parameter transfers: into that box.
  static func firstGap(of wanted: Box, in grid: Grid, _ transfers: [Transfer], complete: Bool, rank: Int) -> DecompositionError {
    var left = [wanted]
    func remove(_ b: Box) { left = left.flatMap { $0.subtracting(b) } }
    // A complete cover leaves out only what lies beyond faces that do not wrap.
    if complete { eachImage(of: wanted, in: grid) { core, shift in remove(core.shifted(by: shift)) } } else {
      for t in transfers { remove(t.part.shifted(by: t.shift)) }
    }
    let gap = left.min { ($0.lower.z, $0.lower.y, $0.lower.x) < ($1.lower.z, $1.lower.y, $1.lower.x) }
    return .gap(gap ?? wanted, rank: rank, wanted: wanted)
  }

  /// Transfers per peer in an order both sides find alone: by wanted box, image, box had.
  static func peers(_ lists: [Int: [Transfer]]) -> [Peer] {
    lists.sorted { $0.key < $1.key }.map { rank, list in
      let sorted = list.sorted {
        ($0.want, $0.shift.z, $0.shift.y, $0.shift.x, $0.have) < ($1.want, $1.shift.z, $1.shift.y, $1.shift.x, $1.have)
      }
      return Peer(rank: rank, transfers: sorted, cells: sorted.reduce(0) { $0 + $1.part.count })
    }
  }
}
