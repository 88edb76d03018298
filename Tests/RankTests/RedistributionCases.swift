import Decomposition
import Fields
import Foundation
import MPI
import Support

enum Effort { case small, full }

/// Ways to own a grid.
enum Layout: CaseIterable {
  case slabs, pencils, blocks, several, lastOnly, unequal

  func boxes(_ grid: Grid, _ ranks: Int, _ rank: Int) -> [Box] {
    switch self {
    case .slabs: return [Partition.slabs(of: grid, ranks: ranks)[rank]]
    case .pencils: return [Partition.pencils(of: grid, ranks: ranks)[rank]]
    case .blocks: return [Partition.blocks(of: grid, ranks: ranks)[rank]]
    case .several:
      // Five blocks per rank, dealt out; some empty on thin grids.
      return Partition.blocks(of: grid, ranks: 5 * ranks).enumerated().filter { $0.offset % ranks == rank }.map(\.element)
    case .lastOnly: return rank == ranks - 1 ? [grid.box] : []
    case .unequal:
      // Cut x at n r^2 / ranks^2.
      var b = grid.box
      b.lower.x = grid.shape.x * rank * rank / (ranks * ranks)
      b.upper.x = grid.shape.x * (rank + 1) * (rank + 1) / (ranks * ranks)
      return [b]
    }
  }
}

/// A linear field goes through every layout into tiles with halo and comes out exact.
func redistribute(_ ranks: borrowing Communicator) throws -> String {
  let before = Traffic.total
  try moveAll(.full, ranks)
  let gathered = (Traffic.total - before).gatheredBytes
  try ranks.agree { try expect(gathered == 0, "plans gather \(gathered) bytes from all ranks") }
  return "ok"
}

func moveAll(_ effort: Effort, _ ranks: borrowing Communicator) throws {
  let shapes: [(Index3, Int)] = effort == .small ? [(Index3(9, 17, 13), 3)]
    : [(Index3(91, 45, 77), 3), (Index3(1, 91, 77), 2), (Index3(1, 1, 333), 1), (Index3(33, 1, 40), 3), (Index3(2, 3, 1), 3)]
  let periodic: [Grid.Periodicity] = [.none, .init(true, true, true), .init(false, true, false)]
  for (shape, dimensions) in shapes {
    for p in periodic {
      let grid = Grid(shape: shape, dimensions: dimensions, periodic: p)
      var edge = Index3(16, 16, 16)
      for a in 0..<3 where shape[a] < 16 { edge[a] = max(1, shape[a] / 2) }
      let tiles = TileGrid(shape: shape, edge: edge)
      if shape.product > 200_000 { try expect(tiles.count >= 27, "too few tiles") }
      for layout in Layout.allCases {
        for (type, halo) in [(ScalarType.float32, 3), (.float64, 20)] {
          let have = layout.boxes(grid, ranks.size, ranks.rank)
          let mine = tiles.range(rank: ranks.rank, of: ranks.size)
          let want = regions(of: mine, in: tiles, maximumCells: 20_000).map { $0.box.dilated(by: halo, in: grid) }
          try check(have, want, grid, type, ranks, "\(shape) \(layout) \(type)")
        }
      }
    }
  }
}

/// Wanted boxes wider than the grid, beyond faces, overlapping, empty; and elements of 1 and 2 bytes.
func redistributeWide(_ ranks: borrowing Communicator) throws -> String {
  let grid = Grid(shape: Index3(7, 5, 9), periodic: .init(true, true, true))
  let have = Layout.several.boxes(grid, ranks.size, ranks.rank)
  let want = [
    Box(lower: Index3(-9, -6, -20), upper: Index3(17, 12, 30)), Box(lower: Index3(7, 5, 9), upper: Index3(8, 6, 10)),
    Box(lower: Index3(3, 3, 3), upper: Index3(3, 4, 4)), Box(lower: Index3(0, -1, 2), upper: Index3(3, 4, 9)),
  ]
  try check(have, ranks.rank == 1 ? [] : want, grid, .float32, ranks, "wide")
  for e in [1, 2] {
    let plan = try Redistribution(have: have, want: want, grid: grid, ranks: ranks)
    func filled(_ b: Box) -> RawArray {
      let a = RawArray(box: b, elementSize: e), source = SyntheticField.linear.array(b, of: grid, type: .float32)
      return withExtendedLifetime(source) {
        let v = source.bound(to: Float.self)
        for i in 0..<b.count {
          if e == 1 { a.bound(to: UInt8.self)[i] = UInt8(Int(v[i]) & 255) } else { a.bound(to: UInt16.self)[i] = UInt16(v[i]) }
        }
        return a
      }
    }
    let out = want.map { RawArray(box: $0, elementSize: e, zeroed: true) }
    try plan.move(have.map(filled), into: out, ranks: ranks)
    try ranks.agree { for (a, b) in zip(out, want) { try expect(same(a, filled(b)), "element size \(e)") } }
  }
  // Parts that nobody has stay as they are where that is allowed.
  let open = Grid(shape: Index3(4, 4, 4))
  let some = ranks.rank == 0 ? [Box(lower: Index3(0, 0, 0), upper: Index3(4, 4, 2))] : []
  let plan = try Redistribution(have: some, want: [open.box], grid: open, ranks: ranks, requireCover: false)
  let out = RawArray(box: open.box, type: .float64, zeroed: true)
  try plan.move(some.map { SyntheticField.constant(7).array($0, of: open, type: .float64) }, into: [out], ranks: ranks)
  try ranks.agree {
    try withExtendedLifetime(out) {
      for i in 0..<64 { try expect(out.bound(to: Double.self)[i] == (i % 4 < 2 ? 7 : 0), "uncovered cell") }
    }
  }
  return "ok"
}

private func check(
  _ have: [Box], _ want: [Box], _ grid: Grid, _ type: ScalarType, _ ranks: borrowing Communicator, _ what: String
) throws {
  let plan = try Redistribution(have: have, want: want, grid: grid, ranks: ranks)
  let out = want.map { RawArray(box: $0, type: type, zeroed: true) }, own = have.map { SyntheticField.linear.array($0, of: grid, type: type) }
  try plan.move(own, into: out, ranks: ranks)
  // The same with what is missing fetched once, and only that.
  let missing = try ranks.agree { try expectSome(NearCells.missing(want, have: have, grid: grid, limit: .max), "\(what): no boxes") }
  let fetched = missing.map { RawArray(box: $0, type: type, zeroed: true) }
  try Redistribution(have: have, want: missing, grid: grid, ranks: ranks).move(own, into: fetched, ranks: ranks)
  let near = NearCells((own + fetched).filter { $0.count > 0 }, grid: grid)
  let sent = try ranks.allReduce([plan.cellsSent, plan.cellsReceived, plan.bytesSent], .sum)
  try ranks.agree {
    for (a, b) in zip(out, want) {
      try expect(same(a, SyntheticField.linear.array(b, of: grid, type: type)), "\(what): wrong cells in \(b)")
      if !b.isEmpty { try expect(same(near.array(holding: b), a), "\(what): wrong cells near \(b)") }
    }
    for (i, m) in missing.enumerated() {
      for o in missing[..<i] + have { try expect(m.intersection(o).isEmpty, "\(what): \(m) is fetched twice or already here") }
    }
    try expect(sent[0] == sent[1] && sent[2] == sent[0] * type.size, "\(what): counters \(sent)")
  }
}

private func expectSome<T>(_ value: T?, _ what: String) throws -> T {
  try expect(value != nil, what)
  return value!
}

private func same(_ a: RawArray, _ b: RawArray) -> Bool {
  withExtendedLifetime((a, b)) { a.byteCount == b.byteCount && memcmp(a.pointer, b.pointer, a.byteCount) == 0 }
}

/// Transposes of more than travels at once, inside a host: cells arrive, and what they came from is given back to the system.
func redistributeEmptying(_ ranks: borrowing Communicator) throws -> String {
  RawArray.leaveHeapAlone()
  for (shape, from, to) in [(Index3(96, 80, 130), 0, 1), (Index3(80, 96, 130), 1, 0), (Index3(1, 700, 900), 1, 2)] {
    let grid = Grid(shape: shape)
    func slab(_ axis: Int) -> Box {
      let mine = ranks.share(of: shape[axis])
      var b = grid.box
      b.lower[axis] = mine.lowerBound; b.upper[axis] = mine.upperBound
      return b
    }
    let plan = try Redistribution(have: [slab(from)], want: [slab(to)], grid: grid, ranks: ranks)
    let source = SyntheticField.linear.array(slab(from), of: grid, type: .float64), out = RawArray(box: slab(to), type: .float64)
    try plan.move([source], into: [out], emptying: true, ranks: ranks)
    try ranks.agree {
      try expect(same(out, SyntheticField.linear.array(out.box, of: grid, type: .float64)), "\(shape): wrong cells")
      try withExtendedLifetime(source) { try expect(source.bound(to: Double.self)[source.count / 2] == 0, "\(shape): still there") }
    }
  }
  return "ok"
}

/// Errors in one rank's boxes are the same error on all, with ranks and boxes named.
func redistributeErrors(_ ranks: borrowing Communicator) throws -> String {
  let grid = Grid(shape: Index3(8, 6, 4)), last = ranks.size - 1
  func outcome(_ have: [Box], _ want: [Box]) throws -> String {
    do { _ = try Redistribution(have: have, want: want, grid: grid, ranks: ranks); return "no error" } catch let e as AgreedError { return e.message }
  }
  let whole = ranks.rank == last ? [grid.box] : []
  let corner = Box(lower: Index3(0, 0, 0), upper: Index3(2, 2, 2))
  let wanted = ranks.rank == last ? [Box(lower: Index3(6, 0, 0), upper: Index3(9, 6, 4))] : []
  var hole = grid.box
  hole.upper.x = 3
  let seen = [
    try outcome(ranks.rank == 0 ? [corner] + whole : whole, []),
    try outcome(whole + whole, []),
    try outcome(ranks.rank == last ? [corner.shifted(by: Index3(7, 0, 0))] : [], []),
    try outcome(whole, wanted),
    try outcome(ranks.rank == last ? [hole] : [], [grid.box]),
    try outcome([], [grid.box]),
    try outcome([], []),
  ]
  let text = seen.joined(separator: "\n").replacing("rank \(last)", with: "rank LAST").replacing("rank 0", with: "rank LAST")
  let all = try ranks.allGather([UInt8](seen.joined().utf8))
  try ranks.agree { try expect(all.allSatisfy { $0 == all[0] }, "errors differ between ranks") }
  return text
}
