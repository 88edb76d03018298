import Fields
import Support
import Testing

@Suite struct TileGridTests {
  /// Axes that are cut, thin ones, remainders on both sides of half an edge, fewer dimensions.
  static let shapes: [Index3] = [
    Index3(1, 1, 1), Index3(1, 1, 100_000), Index3(1, 64, 64), Index3(1, 257, 1000), Index3(64, 64, 64), Index3(91, 91, 91), Index3(23, 24, 25),
    Index3(3, 500, 7), Index3(130, 17, 200), Index3(128, 128, 128), Index3(144, 129, 161), Index3(40, 1, 40),
  ]

  @Test(arguments: shapes) func tilesCoverEveryCellOnce(shape: Index3) {
    let g = TileGrid(shape: shape)
    var cells = 0
    for t in 0..<g.count {
      let b = g.box(t)
      #expect(Box(shape: shape).contains(b) && !b.isEmpty)
      #expect(g.position(of: g.coordinates(t)) == t)
      #expect(g.tiles(touching: b) == [t])
      cells += b.count
    }
    #expect(cells == shape.product)
  }

  @Test(arguments: shapes) func cutAxesLieOnMultiplesOfSixteen(shape: Index3) {
    let g = TileGrid(shape: shape)
    for t in 0..<g.count {
      let b = g.box(t)
      for a in 0..<3 where g.counts[a] > 1 {
        #expect(b.lower[a] % 16 == 0)
        #expect(2 * b.shape[a] >= g.edge[a] && 2 * b.shape[a] < 3 * g.edge[a])
      }
    }
  }

  @Test func knownCuttings() {
    let g = TileGrid(shape: Index3(64, 64, 64))
    #expect(g.counts == Index3(2, 2, 2))
    #expect(TileGrid(shape: Index3(256, 256, 256)).counts == Index3(4, 4, 4))
    #expect(TileGrid(shape: Index3(1, 1, 1)).count == 1)
    // Morton order, x lowest.
    for t in 0..<8 { #expect(g.coordinates(t) == Index3(t >> 2, t >> 1 & 1, t & 1)) }
  }

  @Test(arguments: shapes, [1, 3, 8, 100]) func ranksShareAllTilesInOrder(shape: Index3, ranks: Int) {
    let g = TileGrid(shape: shape)
    #expect((0..<ranks).flatMap { Array(g.range(rank: $0, of: ranks)) } == Array(0..<g.count))
  }

  @Test(arguments: [UInt64(1), 2, 3]) func wrappedBoxesTouchTheTilesOfTheirCells(seed: UInt64) {
    var r = SplitMix64(seed: seed)
    let shape = Index3(40, 33, 70), g = TileGrid(shape: shape), all = Grid.Periodicity(true, true, true)
    for _ in 0..<20 {
      var b = Box(shape: shape)
      for a in 0..<3 { b.lower[a] = r.below(3 * shape[a]) - shape[a]; b.upper[a] = b.lower[a] + 1 + r.below(12) }
      var expected = Set<Int>()
      for z in b.lower.z..<b.upper.z { for y in b.lower.y..<b.upper.y { for x in b.lower.x..<b.upper.x {
        let c = Index3((z + 2 * shape.z) % shape.z, (y + 2 * shape.y) % shape.y, (x + 2 * shape.x) % shape.x)
        expected.insert((0..<g.count).first { g.box($0).contains(c) }!)
      } } }
      #expect(g.tiles(touching: b, periodic: all) == expected.sorted(), "seed \(seed), box \(b)")
    }
  }
}
