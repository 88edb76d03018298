import Fields

/// Which rank knows who has and who wants the cells of a grid: the grid is cut into boxes of about the shape of those that ranks have,
/// at most one for every rank. So a box of usual size meets few of them, whatever the number of ranks.
struct Directory {
  private let shape: Index3, counts: Index3
  private let ranks: Int

  /// - Parameter extents: sums over all boxes that ranks have, per axis; `boxes` is their number.
  init(shape: Index3, extents: Index3, boxes: Int, ranks: Int) {
    self.shape = shape; self.ranks = ranks
    var c = Index3(1, 1, 1)
    for a in 0..<3 where extents[a] > 0 { c[a] = max(1, min(shape[a], shape[a] * boxes / extents[a])) }
    while c.product > ranks {
      let a = (0..<3).max { c[$0] < c[$1] }!
      c[a] = (c[a] + 1) / 2
    }
    counts = c
  }

  /// The rank that keeps a cell's entries.
  func keeper(of cell: Index3) -> Int { keeper(place(cell)) }

  /// The ranks that keep entries of a box inside the grid, ascending.
  func keepers(of box: Box) -> [Int] {
    if box.isEmpty { return [] }
    let lo = place(box.lower), hi = place(box.upper - Index3(1, 1, 1))
    var out: [Int] = []
    for z in lo.z...hi.z { for y in lo.y...hi.y { for x in lo.x...hi.x {
      let k = keeper(Index3(z, y, x))
      if out.last != k { out.append(k) }
    } } }
    return out
  }

  private func place(_ cell: Index3) -> Index3 {
    var p = Index3(0, 0, 0)
    for a in 0..<3 { p[a] = ((cell[a] + 1) * counts[a] - 1) / shape[a] }
    return p
  }
  private func keeper(_ p: Index3) -> Int { ((p.z * counts.y + p.y) * counts.x + p.x) * ranks / counts.product }
}

/// What a keeper is told: boxes that ranks have and, image by image, boxes that they want; and what it answers.
struct Entries {
  struct Had { var rank: Int, index: Int, box: Box }
  private struct Wanted { var rank: Int, index: Int, core: Box, shift: Index3 }
  /// Two boxes that hold the same cells.
  struct Overlap { var first: Had, second: Had }
  private let had: [Had], wanted: [Wanted]
  private let index: BoxIndex

  /// What a rank tells each keeper of cells of its boxes.
  static func requests(_ have: [Box], _ want: [Box], _ grid: Grid, _ directory: Directory) -> [(rank: Int, bytes: [UInt8])] {
    var had: [Int: [Int]] = [:], wanted: [Int: [Int]] = [:]
    for (i, b) in have.enumerated() {
      for k in directory.keepers(of: b.intersection(grid.box)) { had[k, default: []] += [i] + words(b) }
    }
    for (j, w) in want.enumerated() where !w.isEmpty {
      Redistribution.eachImage(of: w, in: grid) { core, shift in
        for k in directory.keepers(of: core) { wanted[k, default: []] += [j] + words(core) + [shift.z, shift.y, shift.x] }
      }
    }
    return Set(had.keys).union(wanted.keys).sorted().map { k in (k, bytes([had[k]?.count ?? 0] + (had[k] ?? []) + (wanted[k] ?? []))) }
  }

  /// - Parameter asked: what ranks have told this one, in rank order.
  init(_ asked: [(rank: Int, bytes: [UInt8])]) {
    var had: [Had] = [], wanted: [Wanted] = []
    for (rank, message) in asked {
      message.withUnsafeBytes {
        let w = $0.bindMemory(to: Int.self), end = 1 + w[0]
        for i in stride(from: 1, to: end, by: 7) { had.append(Had(rank: rank, index: w[i], box: Entries.box(w, i + 1))) }
        for i in stride(from: end, to: w.count, by: 10) {
          wanted.append(Wanted(rank: rank, index: w[i], core: Entries.box(w, i + 1), shift: Index3(w[i + 7], w[i + 8], w[i + 9])))
        }
      }
    }
    self.had = had; self.wanted = wanted
    index = BoxIndex(had.map(\.box))
  }

  /// The first pair in the order of ranks and boxes.
  func overlap() -> Overlap? {
    for (i, a) in had.enumerated() {
      var first = Int.max
      index.each(touching: a.box) { j, _ in if j > i { first = min(first, j) } }
      if first != .max { return Overlap(first: a, second: had[first]) }
    }
    return nil
  }

  /// To both sides of every pair of a box had and a box wanted. Of the keepers of both boxes the one of their first common cell answers.
  func answers(keeper: Int, _ directory: Directory) -> [(rank: Int, bytes: [UInt8])] {
    var lists: [Int: [Int]] = [:]
    for w in wanted {
      index.each(touching: w.core) { i, part in
        guard directory.keeper(of: part.lower) == keeper else { return }
        let h = had[i], pair = [h.index, w.index] + Entries.words(part) + [w.shift.z, w.shift.y, w.shift.x]
        lists[w.rank, default: []] += [h.rank, 0] + pair
        if h.rank != w.rank { lists[h.rank, default: []] += [w.rank, 1] + pair }
      }
    }
    return lists.sorted { $0.key < $1.key }.map { ($0.key, Entries.bytes($0.value)) }
  }

  /// Calls `body` with the other rank, whether this one sends, and the cells.
  static func read(_ answer: [UInt8], _ body: (_ other: Int, _ sends: Bool, Redistribution.Transfer) -> Void) {
    answer.withUnsafeBytes {
      let w = $0.bindMemory(to: Int.self)
      for i in stride(from: 0, to: w.count, by: 13) {
        body(w[i], w[i + 1] == 1, .init(have: w[i + 2], want: w[i + 3], part: box(w, i + 4), shift: Index3(w[i + 10], w[i + 11], w[i + 12])))
      }
    }
  }

  private static func words(_ b: Box) -> [Int] { [b.lower.z, b.lower.y, b.lower.x, b.upper.z, b.upper.y, b.upper.x] }
  private static func box(_ w: UnsafeBufferPointer<Int>, _ i: Int) -> Box {
    Box(lower: Index3(w[i], w[i + 1], w[i + 2]), upper: Index3(w[i + 3], w[i + 4], w[i + 5]))
  }
  private static func bytes(_ words: [Int]) -> [UInt8] { words.withUnsafeBytes { [UInt8]($0) } }
}
