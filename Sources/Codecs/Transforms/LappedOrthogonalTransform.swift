import CKernels
public import Fields

/// Lapped orthogonal transform with block edge M = 8 or 16: T = DCT blocks * pre-filter, orthonormal, per axis z, y, x.
///
/// Blocks of M from 0; a remainder r >= M/2 is a block of its own, a smaller one joins the last block; fewer than M
/// samples are one block. So blocks have 1 ... 3M/2 - 1 samples. The pre-filter crosses each edge between two blocks
/// (and the wrap edge of a periodic axis of several blocks) with the width of the smaller one, made even: at most M,
/// as only the last block may be wider. Hence M/2 cells of halo.
///
///     pre-filter = W diag(I, V) W,   W = [I J; J -I] / sqrt 2,   V = J DCT2^T DCT4 J
///
/// - Source: Tran, Liang, Tu, IEEE Trans. Signal Process. 51 (2003) 1557, lapped transform by time-domain pre-filtering.
public struct LappedOrthogonalTransform: HaloTransform {
  public let blockEdge: Int
  public let grid: Grid
  public var analysisHalo: Int { blockEdge / 2 }
  public var synthesisHalo: Int { blockEdge / 2 }
  private let starts: [[Int]]
  /// Filters of each axis: edge and half width, ascending; the wrap edge at 0.
  private let edges: [[(edge: Int, half: Int)]]

  /// - Precondition: `blockEdge` is 8 or 16.
  public init(blockEdge: Int, grid: Grid) {
    precondition(blockEdge == 8 || blockEdge == 16)
    self.blockEdge = blockEdge; self.grid = grid
    starts = (0..<3).map { Self.cuts(samples: grid.shape[$0], blockEdge: blockEdge) }
    var e: [[(edge: Int, half: Int)]] = []
    for a in 0..<3 {
      let s = starts[a], blocks = s.count - 1
      var list: [(edge: Int, half: Int)] = []
      func half(_ left: Int, _ right: Int) -> Int { min(s[left + 1] - s[left], s[right + 1] - s[right]) / 2 }
      if grid.periodic[a] && blocks > 1 { list.append((0, half(blocks - 1, 0))) }
      for b in 1..<max(blocks, 1) { list.append((s[b], half(b - 1, b))) }
      e.append(list)
    }
    edges = e
  }

  /// First samples of the blocks of an axis and, last, its extent.
  public func blockStarts(axis: Int) -> [Int] { starts[axis] }

  static func cuts(samples n: Int, blockEdge m: Int) -> [Int] {
    if n < m { return [0, n] }
    let blocks = n / m + (n % m * 2 >= m ? 1 : 0)
    return (0..<blocks).map { $0 * m } + [n]
  }

  /// - Precondition: `core` is a union of whole blocks.
  public func analyse(_ input: RawArray, core: Box, into output: RawArray) {
    if core.isEmpty { return }
    let filtered = RawArray(box: core, elementSize: input.elementSize)
    apply(filters(ALD_SEGMENT_FILTER, core), from: Mosaic(input), to: filtered, core)
    apply(blocks(ALD_SEGMENT_DCT, core), from: Mosaic(filtered), to: output, core)
  }

  public func analyse(_ input: Mosaic, core: Box, into parts: [RawArray]) {
    if core.isEmpty { return }
    let filtered = RawArray(box: core, elementSize: input.elementSize)
    apply(filters(ALD_SEGMENT_FILTER, core), from: input, to: filtered, core)
    transformBlocks(filtered, into: parts)
  }

  /// The DCT of every block of `parts`, unions of whole blocks.
  func transformBlocks(_ filtered: RawArray, into parts: [RawArray]) {
    for p in parts { apply(blocks(ALD_SEGMENT_DCT, p.box), from: Mosaic(filtered), to: p, p.box) }
  }
  /// Cells on either side of a face between blocks that a filter mixes; 0: none does.
  func halfWidth(at face: Int, axis: Int) -> Int {
    let n = grid.shape[axis], edge = ((face % n) + n) % n
    return edges[axis].first { $0.edge == edge }?.half ?? 0
  }
  /// The pre-filter along one axis, or its inverse, for the cells of `output`.
  func filter(_ input: RawArray, along axis: Int, inverse: Bool, into output: RawArray) {
    let kind = inverse ? ALD_SEGMENT_UNFILTER : ALD_SEGMENT_FILTER
    apply((0..<3).map { $0 == axis ? filters(kind, $0, output.box) : identity(output.box.lower[$0], output.box.upper[$0]) }, from: Mosaic(input), to: output, output.box)
  }

  /// The inverse DCT of every block.
  public func synthesiseInside(_ a: RawArray, core: Box) {
    if core.isEmpty { return }
    apply(blocks(ALD_SEGMENT_IDCT, core), from: Mosaic(a), to: a, core)
  }

  public func synthesisInput(for core: Box) -> Box {
    if core.isEmpty { return core }
    let f = filters(ALD_SEGMENT_UNFILTER, core)
    var b = core
    for a in 0..<3 {
      b.lower[a] = Int(f[a][0].start)
      b.upper[a] = Int(f[a].last!.start) + Int(f[a].last!.length)
    }
    return b
  }

  /// The inverse pre-filter.
  public func synthesise(_ input: RawArray, core: Box, into output: RawArray) { synthesise(Mosaic(input), core: core, into: output) }

  public func synthesise(_ input: Mosaic, core: Box, into output: RawArray) {
    if core.isEmpty { return }
    apply(filters(ALD_SEGMENT_UNFILTER, core), from: input, to: output, core)
  }

  private typealias Kind = Int

  private func apply(_ segments: [[ald_segment]], from source: Mosaic, to target: RawArray, _ core: Box) {
    precondition(source.elementSize == target.elementSize)
    var read = core
    for a in 0..<3 {
      read.lower[a] = Int(segments[a][0].start)
      read.upper[a] = Int(segments[a].last!.start) + Int(segments[a].last!.length)
    }
    precondition(source.holds(read) && target.box.contains(core))
    var to = target.view
    segments[0].withUnsafeBufferPointer { z in
      segments[1].withUnsafeBufferPointer { y in
        segments[2].withUnsafeBufferPointer { x in
          let lists = [z.baseAddress, y.baseAddress, x.baseAddress]
          let counts = [Int32(z.count), Int32(y.count), Int32(x.count)]
          withAxes(core.lower) { lower in
            withAxes(core.upper) { upper in
              source.withPieces { ald_segments_apply(Int32(target.elementSize), $0, &to, lists, counts, lower, upper) }
            }
          }
        }
      }
    }
  }

  /// Segments of the DCT stage that make up `core`.
  private func blocks(_ kind: Kind, _ core: Box) -> [[ald_segment]] {
    (0..<3).map { a in
      let s = starts[a]
      var list: [ald_segment] = []
      for b in 0..<s.count - 1 where s[b] >= core.lower[a] && s[b + 1] <= core.upper[a] {
        let n = s[b + 1] - s[b]
        list.append(ald_segment(start: Int64(s[b]), length: Int32(n), kind: Int32(n == 1 ? ALD_SEGMENT_IDENTITY : kind)))
      }
      precondition(list.first.map { Int($0.start) } == core.lower[a]
        && list.last.map { Int($0.start) + Int($0.length) } == core.upper[a], "not a union of whole blocks")
      return list
    }
  }

  /// Segments of the filter stage that cover `core`: filters, and what no filter touches between them.
  private func filters(_ kind: Kind, _ core: Box) -> [[ald_segment]] { (0..<3).map { filters(kind, $0, core) } }
  private func filters(_ kind: Kind, _ a: Int, _ core: Box) -> [ald_segment] {
    let lo = core.lower[a], hi = core.upper[a], n = grid.shape[a]
    precondition(lo >= 0 && hi <= n)
    var list: [ald_segment] = [], at = lo
    func filter(_ edge: Int, _ half: Int) {
      if edge + half <= lo || edge - half >= hi { return }
      list += identity(at, edge - half) + [ald_segment(start: Int64(edge - half), length: Int32(2 * half), kind: Int32(kind))]
      at = edge + half
    }
    for (edge, half) in edges[a] { filter(edge, half) }
    if let wrap = edges[a].first, wrap.edge == 0 { filter(n, wrap.half) }
    return list + identity(at, hi)
  }
  private func identity(_ lower: Int, _ upper: Int) -> [ald_segment] {
    stride(from: lower, to: upper, by: blockEdge).map { ald_segment(start: Int64($0), length: Int32(min(blockEdge, upper - $0)), kind: Int32(ALD_SEGMENT_IDENTITY)) }
  }
}
