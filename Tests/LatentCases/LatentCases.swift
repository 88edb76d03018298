import Fields
import LatentGeometry
import Observables
import Statistics

/// Everything matrix-free, as functions of a domain: the same bits for any number of participants.
public enum LatentCases {
  /// The grid that a domain for these cases has.
  public static let grid = Grid(shape: Index3(1, 6, 8), dimensions: 2)
  public static let seed: UInt64 = 20260603

  /// Random orthonormal columns.
  public static func orthogonal(_ n: Int, seed: UInt64) throws -> DenseMatrix {
    let r = CounterRandom(seed: seed)
    var q = DenseMatrix(rows: n, columns: n) { r.gaussian(component: $0, at: Index3(0, 0, $1)) }
    for _ in 0..<3 { q = try q * (q.transposed * q).cholesky().upperInverse() }
    return q
  }
  /// Two spiked metrics with known principal angles in random coordinates.
  public static func planted(cosines: [Double], floor: Double = 0.05, seed: UInt64 = seed) throws -> LinearProblem {
    let n = grid.count, q = try orthogonal(n, seed: seed)
    let law = SpikedMetrics(count: n, distortion: (1, 5), observable: (floor, 3), cosines: cosines).dense()
    return try LinearProblem(law: LocalLaw(distortion: q * law.distortion * q.transposed, observable: q * law.observable * q.transposed), grid: grid)
  }

  /// Numbers from every matrix-free algorithm.
  public static func digest(on domain: any Domain) throws -> [Double] {
    let problem = try planted(cosines: [0.9, 0.6, 0.3])
    let s = try problem.sensitivities(on: domain), pencil = s.pencil()
    var out: [Double] = []
    let traces = try pencil.traces(probes: 2, seed: seed)
    out += traces.first + traces.second
    for sample in try pencil.quadrature(probes: 1, steps: 4, seed: seed) { out += sample.values + sample.weights }
    let identity = Pencil(space: s.latents, observable: s.observable, metric: .identity(2))
    out.append(try identity.improvedTrace(probes: 3, seed: seed))
    let c = try Comparison(space: s.latents, rank: 3, probes: 2, seed: seed, first: s.distortion, second: s.observable)
    out += [c.overlap.value, c.overlap.residual, c.overlap.gaps.0, c.overlap.gaps.1, c.cosine, c.cosineChance, c.captured.first, c.captured.second]
    out += try problem.sensitivities(on: domain, asVector: true).dualSpectrum(distortionScale: 1).values.prefix(4)
    let d = try s.latents.groupDiagonals(groups: 3, probes: 2, seed: seed, of: { $1.x % 3 }, operator: s.observable)
    out += d.means.joined() + d.counts.map(Double.init)
    let tiles = [Box(lower: Index3(0, 0, 0), upper: Index3(1, 2, 2)), Box(lower: Index3(0, 3, 5), upper: Index3(1, 5, 7))]
    for b in try s.latents.tileBlocks(tiles, reach: 1, grid: grid, operator: s.observable) { out += b.values }
    let space = try s.latents.dominant(rank: 3, seed: seed, operator: s.distortion)
    let halves = [Box(lower: Index3(0, 0, 0), upper: Index3(1, 3, 8)), Box(lower: Index3(0, 3, 0), upper: Index3(1, 6, 8))]
    let blocks = try ProjectedBlocks(s, basis: Array(space.vectors.prefix(4)), whitening: s.latents.vector { _, _ in 1 }, blocks: halves)
    for b in blocks.distortion + blocks.observable { out += b.values }
    let mine = halves.indices.filter { domain.box.contains(halves[$0].lower) }
    let units = Dictionary(uniqueKeysWithValues: mine.map { ($0, blocks.observable[$0].values) })
    for i in try Bootstrap(replicas: 50, seed: seed).intervals(units, reducer: domain, statistics: { [$0[0], $0[5]] }) {
      out += [i.value, i.lower, i.upper]
    }
    return out
  }
}
