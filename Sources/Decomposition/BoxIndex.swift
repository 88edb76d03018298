import Fields

/// Finds the boxes that share cells with a given one, by coarse bins of the grid.
struct BoxIndex {
  let boxes: [Box]
  private let span: Box        // around all boxes
  private let counts: Index3   // bins per axis
  private let edge: Index3     // cells per bin
  private var start: [Int32]   // bin -> first entry
  private var entries: [Int32]

  init(_ boxes: [Box]) {
    self.boxes = boxes
    var span: Box?
    for b in boxes where !b.isEmpty {
      guard var s = span else { span = b; continue }
      for a in 0..<3 { s.lower[a] = min(s.lower[a], b.lower[a]); s.upper[a] = max(s.upper[a], b.upper[a]) }
      span = s
    }
    let around = span ?? Box(shape: Index3(0, 0, 0))
    // About as many bins as boxes.
    var side = 1
    while side * side * side < boxes.count { side += 1 }
    var counts = Index3(1, 1, 1), edge = Index3(1, 1, 1)
    for a in 0..<3 {
      counts[a] = max(1, min(side, around.shape[a]))
      edge[a] = max(1, (around.shape[a] + counts[a] - 1) / counts[a])
    }
    self.span = around; self.counts = counts; self.edge = edge
    var n = [Int32](repeating: 0, count: counts.product + 1)
    start = []; entries = []
    for b in boxes where !b.isEmpty { eachBin(b) { n[$0 + 1] += 1 } }
    for i in 1..<n.count { n[i] += n[i - 1] }
    start = n
    var list = [Int32](repeating: 0, count: Int(n[n.count - 1]))
    for (i, b) in boxes.enumerated() where !b.isEmpty { eachBin(b) { list[Int(n[$0])] = Int32(i); n[$0] += 1 } }
    entries = list
  }

  /// Calls `body` once for every box that shares cells with `query`, in no particular order.
  func each(touching query: Box, _ body: (Int, Box) -> Void) {
    let q = query.intersection(span)
    if q.isEmpty || start.isEmpty { return }
    eachBin(q) { bin in
      for e in start[bin]..<start[bin + 1] {
        let i = Int(entries[Int(e)]), part = boxes[i].intersection(q)
        // A pair meets in several bins; it counts in the one of its first cell.
        if !part.isEmpty && self.bin(part.lower) == bin { body(i, part) }
      }
    }
  }

  private func place(_ i: Index3) -> Index3 {
    var p = Index3(0, 0, 0)
    for a in 0..<3 { p[a] = (i[a] - span.lower[a]) / edge[a] }
    return p
  }
  private func bin(_ i: Index3) -> Int {
    let p = place(i)
    return (p.z * counts.y + p.y) * counts.x + p.x
  }
  private func eachBin(_ b: Box, _ body: (Int) -> Void) {
    let lo = place(b.lower), hi = place(b.upper - Index3(1, 1, 1))
    for z in lo.z...hi.z { for y in lo.y...hi.y { for x in lo.x...hi.x { body((z * counts.y + y) * counts.x + x) } } }
  }
}
