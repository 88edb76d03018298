import Fields
import Observables
import Statistics

/// Parts of an operator from products with chosen vectors.
extension LatentSpace {
  /// Mean diagonal element of H in each group of latents, estimated with random signs: z_i (H z)_i has mean H_ii.
  ///
  /// For a transform codec whose groups are bands this is what `BandSpectrum` takes (of G_P and G_D; their ratio is g). Variance of an
  /// element's estimate: the sum of its squared off-diagonal elements; group means are far better.
  /// - Parameter group: of each latent, 0 ..< groups, from component and global index.
  /// - Returns: one list per probe, one mean per group (0 for an empty one), and the groups' counts.
  /// - Collective: all participants.
  public func groupDiagonals(groups: Int, probes: Int, seed: UInt64, of group: (Int, Index3) -> Int,
                             operator h: (Flat) throws -> Flat) throws -> (means: [[Double]], counts: [Int]) {
    let member = vector { Double(group($0, $1)) }.map { Int($0) }
    var n = [Int](repeating: 0, count: groups)
    for g in member { n[g] += 1 }
    let counts = try reducer.merged(IntegerSums(n)).values
    let means = try (0..<probes).map { k in
      let z = signs(seed: seed, stream: 8 << 32 | UInt64(k)), y = try h(z)
      var sums = [ExactSum](repeating: ExactSum(), count: groups)
      for i in z.indices { sums[member[i]].add(z[i] * y[i]) }
      return zip(try reducer.merged(sums), counts).map { $1 > 0 ? $0.value / Double($1) : 0 }
    }
    return (means, counts)
  }

  /// The diagonal blocks of a local operator, one per tile: all tiles of one colour are probed at once.
  ///
  /// Exact when latents of tiles farther apart than `reach` cells do not interact.
  /// - Parameter tiles: disjoint boxes of latents, the same list on all participants; a block's latents are those of all components in its box,
  ///   components one after the other, each in C order.
  /// - Parameter grid: of the latents, for distances across periodic faces.
  /// - Returns: the blocks in the tiles' order, on all participants.
  /// - Complexity: colours (at most 2^d to 3^d for touching tiles) times latents per tile products.
  /// - Collective: all participants.
  public func tileBlocks(_ tiles: [Box], reach: Int, grid: Grid, operator h: (Flat) throws -> Flat) throws -> [DenseMatrix] {
    let components = boxes.count
    var colours: [[Int]] = []
    for t in tiles.indices {
      let free = colours.indices.first { c in colours[c].allSatisfy { !LatentSpace.near(tiles[$0], tiles[t], reach, grid) } }
      if let free { colours[free].append(t) } else { colours.append([t]) }
    }
    // Own latents of each tile: (place in the vector, place in the tile).
    var own = [[(Int, Int)]](repeating: [], count: tiles.count), at = 0
    for (c, b) in boxes.enumerated() {
      for (t, tile) in tiles.enumerated() {
        let part = b.intersection(tile)
        if part.isEmpty { continue }
        for z in part.lower.z..<part.upper.z {
          for y in part.lower.y..<part.upper.y {
            for x in part.lower.x..<part.upper.x {
              let i = Index3(z, y, x)
              own[t].append((at + b.offset(of: i), c * tile.count + tile.offset(of: i)))
            }
          }
        }
      }
      at += b.count
    }
    var entries: [Double] = []
    for colour in colours {
      for j in 0..<(colour.map { tiles[$0].count }.max()! * components) {
        var z = Flat(repeating: 0, count: at)
        for t in colour { for (i, k) in own[t] where k == j { z[i] = 1 } }
        let y = try h(z)
        for t in colour where j < components * tiles[t].count {
          for (i, k) in own[t] { entries += [Double(t), Double(k), Double(j), y[i]] }
        }
      }
    }
    var out = tiles.map { DenseMatrix(rows: components * $0.count, columns: components * $0.count) }
    for e in try reducer.gathered(entries) {
      for k in stride(from: 0, to: e.count, by: 4) { out[Int(e[k])][Int(e[k + 1]), Int(e[k + 2])] = e[k + 3] }
    }
    return out
  }
  /// Whether some cells of two boxes are at most `distance` apart along every axis.
  private static func near(_ a: Box, _ b: Box, _ distance: Int, _ grid: Grid) -> Bool {
    (0..<3).allSatisfy { axis in
      let n = grid.shape[axis]
      return (grid.periodic[axis] ? [-n, 0, n] : [0]).contains { s in
        a.lower[axis] < b.upper[axis] + s + distance && b.lower[axis] + s < a.upper[axis] + distance
      }
    }
  }
}
