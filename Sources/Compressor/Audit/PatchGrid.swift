import Codecs
import Fields
import LatentGeometry
import MPI
import Observables
import Reduction

/// The blocks of a lapped transform as samples: their coefficients are what a tile codec sees of a field, whatever codec it was stored by.
struct PatchGrid {
  let transform: LappedOrthogonalTransform
  let tiles: TileGrid
  let components: Int
  /// Extents of a patch; those at the end of an axis may have others, and are left out.
  let extents: Index3
  /// Lowest frequencies kept along each axis.
  let kept: Index3
  /// Patches along each axis.
  let counts: Index3

  /// - Parameter dimensions: coefficients kept at most; at least one per component.
  init(_ grid: Grid, components: Int, edge: Int, dimensions: Int) {
    transform = LappedOrthogonalTransform(blockEdge: edge, grid: grid)
    tiles = TileGrid(shape: grid.shape)
    self.components = components
    var e = Index3(1, 1, 1), n = e
    for a in 0..<3 {
      let s = transform.blockStarts(axis: a)
      e[a] = s[1] - s[0]
      n[a] = s.count - 1
    }
    extents = e; counts = n
    func widths(_ k: Int) -> Index3 { Index3(min(k, e.z), min(k, e.y), min(k, e.x)) }
    var k = 1
    while k < edge, components * widths(k + 1).product <= dimensions { k += 1 }
    kept = widths(k)
  }

  var dimension: Int { components * kept.product }
  /// Octaves of frequencies: 0, 1, 2 to 3, 4 to 7 ...
  var octaves: Int { 1 + (Int.bitWidth - (max(extents.z, extents.y, extents.x) - 1).leadingZeroBitCount) }
  var total: Int { counts.product }

  func number(_ p: Index3) -> Int { (p.z * counts.y + p.y) * counts.x + p.x }
  func box(_ p: Index3) -> Box {
    var b = Box(shape: Index3(1, 1, 1))
    for a in 0..<3 {
      let s = transform.blockStarts(axis: a)
      b.lower[a] = s[p[a]]; b.upper[a] = s[p[a] + 1]
    }
    return b
  }

  /// Calls `body` for the patches of regular extents in a union of patches.
  func eachPatch(in tile: Box, _ body: (Index3, Box) throws -> Void) rethrows {
    let runs = (0..<3).map { a -> [Int] in
      let s = transform.blockStarts(axis: a)
      return (0..<s.count - 1).filter { s[$0] >= tile.lower[a] && s[$0 + 1] <= tile.upper[a] && s[$0 + 1] - s[$0] == extents[a] }
    }
    for z in runs[0] { for y in runs[1] { for x in runs[2] { try body(Index3(z, y, x), box(Index3(z, y, x))) } } }
  }

  /// One patch: its number, the lowest coefficients, and mean squares of all by component and octave of the largest frequency.
  struct Patch { var number: Int, coefficients: [Double], squares: [Double] }

  /// This rank's tiles.
  func mine(_ ranks: borrowing Communicator) -> [Box] { tiles.range(rank: ranks.rank, of: ranks.size).map { tiles.box($0) } }

  /// The patches of this rank's tiles that hold no missing value.
  ///
  /// - Collective: all ranks.
  func patches(of parts: FieldParts, on domain: RankDomain, ranks: borrowing Communicator) throws -> [Patch] {
    let own = mine(ranks), around = try domain.handed(parts, to: own.map { $0.dilated(by: transform.analysisHalo, in: domain.grid) })
    var out: [Patch] = []
    for (tile, cells) in zip(own, around) {
      let coefficients = cells.map { p in
        var from = p, to = FieldPart(tile)
        lend(&from) { a in lend(&to) { transform.analyse(a, core: tile, into: $0) } }
        return to
      }
      eachPatch(in: tile) { place, box in
        var low: [Double] = [], squares: [Double] = []
        low.reserveCapacity(dimension)
        for c in coefficients {
          var sums = [Double](repeating: 0, count: octaves), counts = sums
          for z in 0..<extents.z { for y in 0..<extents.y { for x in 0..<extents.x {
            let v = c.values[tile.offset(of: box.lower + Index3(z, y, x))], octave = Int.bitWidth - max(z, y, x).leadingZeroBitCount
            sums[octave] += v * v; counts[octave] += 1
            if z < kept.z, y < kept.y, x < kept.x { low.append(v) }
          } } }
          squares += zip(sums, counts).map { $1 > 0 ? $0 / $1 : 0 }
        }
        if squares.allSatisfy(\.isFinite) { out.append(Patch(number: number(place), coefficients: low, squares: squares)) }
      }
    }
    return out
  }
}

/// Samples of one source: rows of coefficients and of mean squares, in the field's units.
struct PatchLatents {
  var coefficients: LatentRows, squares: LatentRows
  init(_ patches: PatchGrid) {
    coefficients = LatentRows(dimension: patches.dimension)
    squares = LatentRows(dimension: patches.components * patches.octaves)
  }
  mutating func append(_ p: PatchGrid.Patch, id: Int, label: Int) {
    coefficients.append(p.coefficients, id: id, label: label)
    squares.append(p.squares, id: id, label: label)
  }
  /// Bits per coefficient that noise leaves of each band's energy: 1/2 log2(1 + mean square / noise^2).
  func energies(noise: Double) -> LatentRows {
    var out = LatentRows(dimension: squares.dimension)
    for i in 0..<squares.count { out.append(squares.row(i).map { halfLog2(1 + $0 / (noise * noise)) }, id: squares.ids[i], label: squares.labels[i]) }
    return out
  }
}
