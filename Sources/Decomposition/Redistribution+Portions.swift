import Fields

extension Redistribution {
  /// Bytes of a message at most, but for the shortest piece of a box: to all ranks at once few megabytes are under way.
  static func portion(_ ranks: Int) -> Int { max(1 << 16, (2 << 20) / ranks) }
  static func cells(_ list: [Transfer]) -> Int { list.reduce(0) { $0 + $1.part.count } }

  /// Transfers in lists of `most` cells at most, large boxes cut along their slowest axis; both sides find the same.
  static func portions(_ list: [Transfer], _ most: Int) -> [[Transfer]] {
    if list.isEmpty { return [] }
    if cells(list) <= most { return [list] }
    var out: [[Transfer]] = [[]], open = 0
    for t in list {
      for part in t.part.slices(most) {
        if open > 0 && open + part.count > most { out.append([]); open = 0 }
        out[out.count - 1].append(Transfer(have: t.have, want: t.want, part: part, shift: t.shift))
        open += part.count
      }
    }
    return out
  }
}

extension Box {
  /// The slowest axis along which there is more than one cell.
  fileprivate var slowest: Int { shape.z > 1 ? 0 : shape.y > 1 ? 1 : 2 }
  /// In order, parts of at most `most` cells, one at least.
  fileprivate func slices(_ most: Int) -> [Box] {
    if count <= max(1, most) { return [self] }
    let a = slowest, thick = most / (count / shape[a])
    return stride(from: lower[a], to: upper[a], by: max(1, thick)).flatMap { at in
      var b = self
      b.lower[a] = at; b.upper[a] = min(upper[a], at + max(1, thick))
      return b.slices(most)
    }
  }
}

/// Arrays whose cells are taken once each; memory that has none left goes back to the system, where that is wanted.
struct EmptiedArrays {
  private let arrays: [RawArray]
  /// Cells left of each slab, one cell thick, along the slowest axis.
  private var left: [[Int]]

  init(_ arrays: [RawArray]) {
    self.arrays = arrays
    left = arrays.map { a in
      let n = a.count == 0 ? 0 : a.box.shape[a.box.slowest]
      return [Int](repeating: n == 0 ? 0 : a.count / n, count: n)
    }
  }

  mutating func take(_ i: Int, _ part: Box) {
    if part.isEmpty { return }
    let box = arrays[i].box, a = box.slowest, slab = arrays[i].byteCount / left[i].count
    let range = part.lower[a] - box.lower[a]..<part.upper[a] - box.lower[a]
    for k in range { left[i][k] -= part.count / range.count }
    var k = range.lowerBound
    while k < range.upperBound {
      let start = k
      while k < range.upperBound && left[i][k] == 0 { k += 1 }
      if k > start {
        // With slabs that became empty before, pages that lie across.
        let first = start > 0 && left[i][start - 1] == 0 ? start - 1 : start, end = k < left[i].count && left[i][k] == 0 ? k + 1 : k
        arrays[i].empty(first * slab..<end * slab)
      }
      k += 1
    }
  }
}
