import Fields

/// Even cuttings of a grid, one box per rank; boxes differ in size by one cell per axis and may be empty.
public enum Partition {
  /// The box of one rank in `slabs`.
  public static func slab(of grid: Grid, rank: Int, of ranks: Int) -> Box {
    let axis = (0..<3).first { grid.shape[$0] > 1 } ?? 0
    var b = grid.box
    b.lower[axis] = grid.shape[axis] * rank / ranks
    b.upper[axis] = grid.shape[axis] * (rank + 1) / ranks
    return b
  }

  /// Cut along the slowest axis that is longer than 1.
  public static func slabs(of grid: Grid, ranks: Int) -> [Box] {
    var p = Index3(1, 1, 1)
    p[(0..<3).first { grid.shape[$0] > 1 } ?? 0] = ranks
    return cut(grid.shape, p)
  }

  /// Cut along the two slowest axes that are longer than 1.
  public static func pencils(of grid: Grid, ranks: Int) -> [Box] {
    let axes = (0..<3).filter { grid.shape[$0] > 1 }
    guard axes.count >= 2 else { return slabs(of: grid, ranks: ranks) }
    let f = factors(ranks, 2)
    var p = Index3(1, 1, 1)
    p[axes[0]] = f[0]; p[axes[1]] = f[1]
    return cut(grid.shape, p)
  }

  /// Cut along all axes that are longer than 1.
  public static func blocks(of grid: Grid, ranks: Int) -> [Box] {
    let axes = (0..<3).filter { grid.shape[$0] > 1 }
    guard !axes.isEmpty else { return slabs(of: grid, ranks: ranks) }
    let f = factors(ranks, axes.count)
    var p = Index3(1, 1, 1)
    for (i, a) in axes.enumerated() { p[a] = f[i] }
    return cut(grid.shape, p)
  }

  private static func cut(_ n: Index3, _ p: Index3) -> [Box] {
    var out: [Box] = []
    for z in 0..<p.z { for y in 0..<p.y { for x in 0..<p.x {
      out.append(Box(lower: Index3(n.z * z / p.z, n.y * y / p.y, n.x * x / p.x),
                     upper: Index3(n.z * (z + 1) / p.z, n.y * (y + 1) / p.y, n.x * (x + 1) / p.x)))
    } } }
    return out
  }

  /// `n` as a product of `k` factors as equal as they go, largest first.
  private static func factors(_ n: Int, _ k: Int) -> [Int] {
    if k == 1 { return [n] }
    var root = 1
    while (0..<k).reduce(1, { t, _ in t * (root + 1) }) <= n { root += 1 }
    let last = (1...root).reversed().first { n % $0 == 0 }!
    return factors(n / last, k - 1) + [last]
  }
}
