public import Fields

/// A lapped transform of some tiles of a field, beside which other tiles have a codec of their own.
///
/// No filter crosses a face between the two kinds: axis by axis, the cells beyond such a face are taken as the mirror image of those before it, on which filters do
/// nothing. Filters run along z, y, x, and back along x, y, z, as those of one axis end where those of another may go on. Coefficients of the other tiles are 0;
/// what is put in their place before the synthesis comes out as it is.
public struct PartedTransform: HaloTransform {
  private let lapped: LappedOrthogonalTransform
  private let tiles: TileGrid
  /// By position in coding order: whether a tile has the other codec.
  private let others: [Bool]
  public var analysisHalo: Int { lapped.analysisHalo }
  public var synthesisHalo: Int { lapped.synthesisHalo }

  /// - Precondition: one entry per tile.
  public init(_ lapped: LappedOrthogonalTransform, _ tiles: TileGrid, others: [Bool]) {
    precondition(others.count == tiles.count)
    self.lapped = lapped; self.tiles = tiles; self.others = others
  }

  public func analyse(_ input: RawArray, core: Box, into output: RawArray) {
    if core.isEmpty { return }
    let part = RawArray(box: core, elementSize: input.elementSize)
    analyse(Mosaic(input), core: core, into: [part])
    output.copy(core, from: part)
  }

  public func analyse(_ input: Mosaic, core: Box, into parts: [RawArray]) {
    if core.isEmpty { return }
    var cells = input.cells(of: core.dilated(by: analysisHalo, in: lapped.grid)).duplicate
    for a in 0..<3 { cells = filtered(cells, along: a, core: core, inverse: false) }
    lapped.transformBlocks(cells, into: parts)
    for p in parts { for (box, other) in pieces(of: p.box) where other { p.clear(box) } }
  }

  public func synthesiseInside(_ a: RawArray, core: Box) {
    for (box, other) in pieces(of: core) where !other { lapped.synthesiseInside(a, core: box) }
  }

  public func synthesisInput(for core: Box) -> Box { lapped.synthesisInput(for: core) }

  public func synthesise(_ input: RawArray, core: Box, into output: RawArray) { synthesise(Mosaic(input), core: core, into: output) }

  public func synthesise(_ input: Mosaic, core: Box, into output: RawArray) {
    if core.isEmpty { return }
    let given = input.cells(of: synthesisInput(for: core))
    var cells = given.duplicate
    for a in [2, 1, 0] { cells = filtered(cells, along: a, core: core, inverse: true) }
    for (box, other) in pieces(of: core) { output.copy(box, from: other ? given : cells) }
  }

  /// The filters of one axis, on the extent of `core` along it. Changes `cells` beyond faces.
  private func filtered(_ cells: RawArray, along a: Int, core: Box, inverse: Bool) -> RawArray {
    let parts = (0..<3).map { spans($0, cells.box) }
    for z in parts[0] { for y in parts[1] { for x in parts[2] {
      let here = [z, y, x]
      guard let i = parts[a].firstIndex(where: { $0.lower == here[a].lower }), i + 1 < parts[a].count else { continue }
      var there = here
      there[a] = parts[a][i + 1]
      let left = isOther(here), right = isOther(there)
      if left == right { continue }
      let face = there[a].lower, depth = min(lapped.halfWidth(at: face, axis: a), face - here[a].lower, there[a].upper - face)
      var box = Box(lower: Index3(z.lower, y.lower, x.lower), upper: Index3(z.upper, y.upper, x.upper))
      (box.lower[a], box.upper[a]) = (face - depth, face + depth)
      cells.mirror(box, along: a, upwards: right)
    } } }
    var box = cells.box
    (box.lower[a], box.upper[a]) = (core.lower[a], core.upper[a])
    let out = RawArray(box: box, elementSize: cells.elementSize)
    lapped.filter(cells, along: a, inverse: inverse, into: out)
    return out
  }

  private typealias Span = (lower: Int, upper: Int, tile: Int)
  private func isOther(_ s: [Span]) -> Bool { others[tiles.position(of: Index3(s[0].tile, s[1].tile, s[2].tile))] }

  /// Tiles along an axis, as far as they lie in a box, which may reach beyond periodic faces.
  private func spans(_ a: Int, _ box: Box) -> [Span] {
    let n = lapped.grid.shape[a]
    var list: [Span] = [], i = box.lower[a]
    while i < box.upper[a] {
      let w = ((i % n) + n) % n, t = min(w / tiles.edge[a], tiles.counts[a] - 1)
      let end = min(i + (t == tiles.counts[a] - 1 ? n : (t + 1) * tiles.edge[a]) - w, box.upper[a])
      list.append((i, end, t))
      i = end
    }
    return list
  }
  /// A box inside the grid tile by tile, and whether the tile has the other codec.
  private func pieces(of box: Box) -> [(Box, Bool)] {
    var list: [(Box, Bool)] = []
    for z in spans(0, box) { for y in spans(1, box) { for x in spans(2, box) {
      list.append((Box(lower: Index3(z.lower, y.lower, x.lower), upper: Index3(z.upper, y.upper, x.upper)), isOther([z, y, x])))
    } } }
    return list
  }
}

extension RawArray {
  /// Sets the cells of a box to zero.
  fileprivate func clear(_ b: Box) {
    for z in b.lower.z..<b.upper.z { for y in b.lower.y..<b.upper.y {
      (pointer + box.offset(of: Index3(z, y, b.lower.x)) * elementSize).initializeMemory(as: UInt8.self, repeating: 0, count: b.shape.x * elementSize)
    } }
  }
  /// One half of a box becomes the mirror image of the other along an axis.
  ///
  /// - Parameter upwards: the upper half that of the lower one.
  fileprivate func mirror(_ b: Box, along a: Int, upwards: Bool) {
    let depth = b.shape[a] / 2, face = b.lower[a] + depth
    for k in 0..<depth {
      let (from, to) = upwards ? (face - 1 - k, face + k) : (face + k, face - 1 - k)
      var part = b
      (part.lower[a], part.upper[a]) = (from, from + 1)
      for z in part.lower.z..<part.upper.z { for y in part.lower.y..<part.upper.y {
        let i = Index3(z, y, part.lower.x)
        var j = i
        j[a] = to
        (pointer + box.offset(of: j) * elementSize).copyMemory(from: pointer + box.offset(of: i) * elementSize, byteCount: part.shape.x * elementSize)
      } }
    }
  }
}
