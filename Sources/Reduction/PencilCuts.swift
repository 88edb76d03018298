import Fields

/// How a grid is cut into pencils for transforms along its three axes: the same two numbers of parts each time, so that a transpose
/// stays within a row or a column of ranks.
struct PencilCuts {
  /// Parts of the slower and the faster of the two axes that are cut.
  let slow: Int, fast: Int
  let ranks: Int

  /// The cuts whose largest pencil along any axis is smallest; at most `ranks` pencils.
  init(_ shape: Index3, ranks: Int) {
    func parts(_ n: Int, _ p: Int) -> Int { (n + p - 1) / p }
    let half = Index3(shape.z, shape.y, shape.x / 2 + 1)
    var best = (cells: Int.max, surface: Int.max, slow: 1, fast: 1)
    for p in 1...ranks {
      let q = ranks / p
      let faces = [(parts(half.z, p), parts(half.y, q)), (parts(half.z, p), parts(half.x, q)), (parts(half.y, p), parts(half.x, q))]
      let cells = max(faces[0].0 * faces[0].1 * half.x, faces[1].0 * faces[1].1 * half.y, faces[2].0 * faces[2].1 * half.z)
      let surface = faces[0].0 + faces[0].1
      if (cells, surface) < (best.cells, best.surface) { best = (cells, surface, p, q) }
    }
    slow = best.slow; fast = best.fast; self.ranks = ranks
  }

  /// Boxes of all ranks that are whole along `axis`; those of ranks without a pencil are empty.
  func boxes(_ n: Index3, along axis: Int) -> [Box] {
    let cut = (0..<3).filter { $0 != axis }
    return (0..<ranks).map { r in
      var b = Box(shape: n)
      if r >= slow * fast { b.upper = b.lower; return b }
      for (a, parts, i) in [(cut[0], slow, r / fast), (cut[1], fast, r % fast)] {
        b.lower[a] = n[a] * i / parts
        b.upper[a] = n[a] * (i + 1) / parts
      }
      return b
    }
  }
}
