import Fields

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

  /// Throws if a box leaves the grid or two boxes share cells; finds the same pair on every rank.
  static func checkDisjoint(_ boxes: [Box], _ rank: [Int], _ index: BoxIndex, _ grid: Grid) throws {
    for (i, b) in boxes.enumerated() {
      if !grid.box.contains(b) { throw DecompositionError.outside(b, rank: rank[i], grid: grid.shape) }
    }
    for (i, b) in boxes.enumerated() {
      var first = Int.max
      index.each(touching: b) { j, _ in if j > i { first = min(first, j) } }
      if first != .max { throw DecompositionError.overlap(b, rank: rank[i], with: boxes[first], of: rank[first]) }
    }
  }

  /// A box of cells of `wanted` that nobody has.
  static func firstGap(of wanted: Box, in grid: Grid, _ index: BoxIndex, complete: Bool, rank: Int) -> DecompositionError {
    var left = [wanted]
    func remove(_ b: Box) { left = left.flatMap { $0.subtracting(b) } }
    eachImage(of: wanted, in: grid) { core, shift in
      if complete { return remove(core.shifted(by: shift)) }
      index.each(touching: core) { _, part in remove(part.shifted(by: shift)) }
    }
    let gap = left.min { ($0.lower.z, $0.lower.y, $0.lower.x) < ($1.lower.z, $1.lower.y, $1.lower.x) }
    return .gap(gap ?? wanted, rank: rank, wanted: wanted)
  }

  /// Transfers per peer in an order both sides find alone: by wanted box, image, box had.
  static func peers(_ lists: [[Transfer]]) -> [Peer] {
    lists.enumerated().compactMap { rank, list in
      if list.isEmpty { return nil }
      let sorted = list.sorted {
        ($0.want, $0.shift.z, $0.shift.y, $0.shift.x, $0.have) < ($1.want, $1.shift.z, $1.shift.y, $1.shift.x, $1.have)
      }
      return Peer(rank: rank, transfers: sorted, cells: sorted.reduce(0) { $0 + $1.part.count })
    }
  }

  static func encode(_ have: [Box], _ want: [Box]) -> [UInt8] {
    var words: [Int64] = [Int64(have.count)]
    words.reserveCapacity(1 + 6 * (have.count + want.count))
    for b in have + want { for a in 0..<3 { words.append(Int64(b.lower[a])); words.append(Int64(b.upper[a])) } }
    return words.withUnsafeBytes { [UInt8]($0) }
  }

  static func decode(_ bytes: [UInt8]) -> (have: [Box], want: [Box]) {
    let words = bytes.withUnsafeBytes { b in (0..<b.count / 8).map { Int(b.loadUnaligned(fromByteOffset: 8 * $0, as: Int64.self)) } }
    let boxes = stride(from: 1, to: words.count, by: 6).map { i in
      Box(lower: Index3(words[i], words[i + 2], words[i + 4]), upper: Index3(words[i + 1], words[i + 3], words[i + 5]))
    }
    return (Array(boxes[..<words[0]]), Array(boxes[words[0]...]))
  }
}
