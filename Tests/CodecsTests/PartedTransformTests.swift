import CKernels
@testable import Codecs
import Fields
import Support
import Testing

/// Lapped transforms that leave some tiles to another codec.
@Suite(.serialized) struct PartedTransformTests {
  static let grids: [(Grid, Index3)] = [
    (shaped(32, 48, 64, wrapped), Index3(16, 16, 32)), (shaped(45, 37, 29), Index3(16, 16, 16)), (shaped(1, 91, 77), Index3(1, 32, 16)), (shaped(48, 40, 32, .init(false, true, false)), Index3(16, 16, 16)),
  ]
  /// Half of the tiles, scattered: faces, edges and corners of all kinds.
  static func made(_ edge: Int, _ grid: Grid, _ tile: Index3, seed: UInt64 = 3) -> (PartedTransform, TileGrid, [Bool]) {
    let tiles = TileGrid(shape: grid.shape, edge: tile), others = (0..<tiles.count).map { SplitMix64.hash(seed, $0) & 1 == 0 }
    return (PartedTransform(LappedOrthogonalTransform(blockEdge: edge, grid: grid), tiles, others: others), tiles, others)
  }

  @Test(arguments: [8, 16], grids.indices) func givesEverythingBackAndKeepsTheNorm(_ edge: Int, _ which: Int) {
    let (grid, tile) = PartedTransformTests.grids[which], (t, tiles, others) = PartedTransformTests.made(edge, grid, tile)
    var noise = NoiseSource(seed: 11)
    let x = RawArray(box: grid.box, type: .float64)
    x.fill(&noise)
    let c = t.analyseWhole(x, grid: grid)
    // Values of the other tiles have no part in it.
    let y = x.duplicate
    for (k, b) in (0..<tiles.count).map({ tiles.box($0) }).enumerated() where others[k] {
      for z in b.lower.z..<b.upper.z { for i in b.lower.y..<b.upper.y { for j in b.lower.x..<b.upper.x { y.set(y.box.offset(of: Index3(z, i, j)), 1e9 * noise.next()) } } }
    }
    #expect(t.analyseWhole(y, grid: grid).sameBits(c))
    var own = 0.0, coefficients = 0.0
    let staged = RawArray(box: grid.box, type: .float64)
    for k in 0..<tiles.count {
      let b = tiles.box(k)
      staged.copy(b, from: others[k] ? y : c)
      if others[k] { continue }
      for z in b.lower.z..<b.upper.z { for i in b.lower.y..<b.upper.y { for j in b.lower.x..<b.upper.x {
        let o = x.box.offset(of: Index3(z, i, j))
        own += x.value(o) * x.value(o)
        coefficients += c.value(o) * c.value(o)
      } } }
    }
    #expect(abs(own / coefficients - 1) < 1e-12)
    let again = t.synthesiseWhole(staged, grid: grid)
    for k in 0..<tiles.count {
      let b = tiles.box(k), a = again.cells(b, grid: grid)
      if others[k] { #expect(a.sameBits(y.cells(b, grid: grid))) } else { #expect(a.maxDifference(x.cells(b, grid: grid)) < 1e-12) }
    }
  }

  /// Tile by tile, on parts of tiles and on every level: the same bits.
  @Test(arguments: [8, 16], grids.indices) func sameFromAnyPart(_ edge: Int, _ which: Int) {
    let (grid, tile) = PartedTransformTests.grids[which], (t, tiles, others) = PartedTransformTests.made(edge, grid, tile, seed: 8)
    var noise = NoiseSource(seed: 12)
    let x = RawArray(box: grid.box, type: .float32)
    x.fill(&noise)
    let c = t.analyseWhole(x, grid: grid), staged = c.duplicate
    for k in 0..<tiles.count where others[k] { staged.copy(tiles.box(k), from: x) }
    let all = t.synthesiseWhole(staged, grid: grid), inside = staged.duplicate
    for k in 0..<tiles.count { t.synthesiseInside(inside, core: tiles.box(k)) }
    PatchKernelTests.onEveryLevel {
      for k in 0..<tiles.count {
        let b = tiles.box(k), own = RawArray(box: b, type: .float32)
        t.analyse(x.surroundings(of: b, halo: t.analysisHalo, grid: grid), core: b, into: own)
        #expect(own.sameBits(c.cells(b, grid: grid)))
        var part = b
        for a in 0..<3 where b.shape[a] > 3 { part.lower[a] += 1; part.upper[a] -= 2 }
        for core in [b, part] {
          let out = RawArray(box: core, type: .float32)
          t.synthesise(inside.cells(t.synthesisInput(for: core), grid: grid), core: core, into: out)
          #expect(out.sameBits(all.cells(core, grid: grid)))
        }
      }
    }
  }

  @Test func headersThatNoEncoderWrote() throws {
    let p = PatchTiles(factor: 0.5, shifts: [1, 2, 3], settings: [1], tables: [0], chosen: [true, false, true, false, false, false, false, false, false, true])
    #expect(try PatchTiles(serialised: p.serialised) == p && p.chosen(of: 10) == [true, false, true, false, false, false, false, false, false, true])
    #expect(throws: StreamError.self) { try p.chosen(of: 9) }
    #expect(throws: StreamError.self) { try p.chosen(of: 8) }
    #expect(throws: StreamError.self) { try p.chosen(of: 17) }
    for k in 0..<p.serialised.count - 2 { #expect(throws: StreamError.self) { try PatchTiles(serialised: Array(p.serialised[..<k])) } }
    #expect(throws: StreamError.self) { try PatchTiles(serialised: [UInt8](repeating: 0, count: 20)) }
  }
}
