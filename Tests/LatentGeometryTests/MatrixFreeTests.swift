import Fields
import Foundation
import LatentCases
import Statistics
import Testing
@testable import LatentGeometry

private let seed: UInt64 = 240310
private let grid = LatentCases.grid

/// All latents on one participant.
private func space(_ n: Int) -> LatentSpace {
  LatentSpace(boxes: [Box(shape: Index3(1, 1, n))], count: n, reducer: SoleReducer())
}

@Suite struct InnerProductTests {
  @Test func anyPartsGiveTheSameBits() throws {
    let n = 5000, r = CounterRandom(seed: seed)
    func vector(_ c: Int) -> [Double] { (0..<n).map { r.gaussian(component: c, at: Index3(0, 0, $0)) * exp(20 * r.uniform(component: c + 9, at: Index3(0, 0, $0))) } }
    let x = vector(0), y = vector(1)
    let whole = try InnerProducts.pairwise([x], [y], reducer: SoleReducer())[0]
    for p in [2, 3, 7] {
      let parts = try Participant.run(p, grid: grid) { me in
        let cut = (0...p).map { n * $0 * $0 / (p * p) }, k = me.index
        let range = cut[k]..<cut[k + 1]
        return try InnerProducts.pairwise([Array(x[range])], [Array(y[range])], reducer: me)[0]
      }
      #expect(parts.allSatisfy { $0 == whole })
    }
    // Against the exact sum of the products.
    var exact = ExactSum()
    for (a, b) in zip(x, y) { exact.add(a * b) }
    #expect(abs(whole - exact.value) <= 1e-15 * zip(x, y).reduce(0) { $0 + abs($1.0 * $1.1) })
    #expect(try InnerProducts.pairwise([[1, .nan]], [[1, 1]], reducer: SoleReducer())[0].isNaN)
    #expect(try InnerProducts.pairwise([[]], [[]], reducer: SoleReducer())[0] == 0)
    #expect(try InnerProducts.pairwise([[3, 1e-200]], [[5, 1e-200]], reducer: SoleReducer())[0] == 15)
  }

  @Test func randomNumbers() {
    let n = 200_000, r = CounterRandom(seed: seed, stream: 3)
    var s = [0.0, 0, 0, 0], sign = 0.0, poisson = 0.0
    for i in 0..<n {
      let g = r.gaussian(component: 0, at: Index3(0, 0, i))
      s[0] += g; s[1] += g * g; s[2] += g * g * g; s[3] += g * g * g * g
      sign += r.sign(component: 1, at: Index3(0, 0, i)); poisson += Double(r.poisson(i))
    }
    let m = Double(n), e = 4 / m.squareRoot()
    #expect(abs(s[0] / m) < e && abs(s[1] / m - 1) < 1.5 * e && abs(s[2] / m) < 4 * e && abs(s[3] / m - 3) < 10 * e)
    #expect(abs(sign / m) < e && abs(poisson / m - 1) < e, "seed \(seed)")
    for x in [1e-300, 0.3, 0.999999, 1, 1.5, 7e9] { #expect(abs(CounterRandom.logarithm(x) - log(x)) <= 4e-16 * max(1, abs(log(x)))) }
    // Known answer of Philox 4x32-10: counter and key 0.
    #expect(CounterRandom(rawKey: (0, 0)).block(SIMD4(0, 0, 0, 0)) == SIMD4(0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8))
  }
}

@Suite struct SubspaceTests {
  /// A product of Householder reflections, applied to a whole vector.
  private static func reflected(_ z: [Double], _ reflectors: [[Double]], reversed: Bool) -> [Double] {
    var v = z
    for u in reversed ? reflectors.reversed() : reflectors {
      let c = 2 * zip(u, v).reduce(0) { $0 + $1.0 * $1.1 }
      for i in v.indices { v[i] -= c * u[i] }
    }
    return v
  }
  private static func reflectors(_ n: Int, _ stream: UInt64) -> [[Double]] {
    let r = CounterRandom(seed: seed, stream: stream)
    return (0..<4).map { k in
      let g = (0..<n).map { r.gaussian(component: k, at: Index3(0, 0, $0)) }, s = g.reduce(0) { $0 + $1 * $1 }.squareRoot()
      return g.map { $0 / s }
    }
  }

  @Test func diagonalSpectrum() throws {
    let n = 300, d = (0..<n).map { pow(0.5, Double($0)) }
    let s = try space(n).dominant(rank: 5, seed: seed, tolerance: 1e-8, iterations: 30) { product(d, $0) }
    #expect(s.converged)
    for i in 0..<5 { #expect(abs(s.values[i] - d[i]) < 1e-10) }
  }

  @Test func rotatedSpectraAndTheirOverlap() throws {
    let n = 200, k = 4, d = (0..<n).map { $0 < k ? 10 - Double($0) : 1 / Double($0 + 1) }
    let a = SubspaceTests.reflectors(n, 1), b = SubspaceTests.reflectors(n, 2)
    func operatorOf(_ h: [[Double]]) -> (Flat) -> Flat {
      { SubspaceTests.reflected(product(d, SubspaceTests.reflected($0, h, reversed: true)), h, reversed: false) }
    }
    let u = try space(n).dominant(rank: k, seed: seed, tolerance: 1e-10, iterations: 40, operator: operatorOf(a))
    for i in 0..<k { #expect(abs(u.values[i] - d[i]) < 1e-10) }
    // Exact spaces: the reflected unit vectors.
    func unit(_ i: Int) -> Flat { (0..<n).map { $0 == i ? 1 : 0 } }
    func exact(_ h: [[Double]]) -> [Flat] { (0..<k).map { SubspaceTests.reflected(unit($0), h, reversed: false) } }
    let true_ = try InnerProducts.gram(exact(a), exact(b), reducer: SoleReducer()).norm.squared / Double(k)
    let c = try Comparison(space: space(n), rank: k, probes: 4, seed: seed, tolerance: 1e-10, first: operatorOf(a), second: operatorOf(b))
    #expect(c.overlap.rank == k && c.overlap.verdict == .defined)
    #expect(abs(c.overlap.value - true_) < 1e-8, "\(c.overlap.value) \(true_)")
  }

  @Test func deficientBlocksAreShifted() throws {
    let s = space(400), a = s.gaussians(seed: seed, stream: 1), b = s.gaussians(seed: seed, stream: 2)
    let (q, shifted) = try s.orthonormalised([a, b, zip(a, b).map { $0 + $1 }, zip(a, b).map { $0 + 1e-9 * $1 }, Flat(repeating: 0, count: 400)])
    #expect(shifted)
    let g = try InnerProducts.gram(q, q, symmetric: true, reducer: SoleReducer())
    #expect((g - .identity(5)).norm < 1e-13)
    #expect(try !s.orthonormalised([a, b]).shifted)
  }
}

@Suite struct EstimatorTests {
  /// Rank 3 plus a floor, dense.
  private static func problem() throws -> (Pencil, TradeSpectrum) {
    let problem = try LatentCases.planted(cosines: [0.9, 0.6, 0.3], floor: 0.5)
    let g = problem.law.observable
    return (Pencil(space: space(48), observable: { g * $0 }, metric: .identity(2)),
            try TradeSpectrum(observable: g, distortion: 2 * .identity(48)))
  }

  @Test func traces() throws {
    let (pencil, exact) = try EstimatorTests.problem()
    let t = try pencil.traces(probes: 400, seed: seed), n = exact.count
    #expect(abs(t.trace - n * exact.mean) < 4 * t.standardError.trace, "seed \(seed)")
    #expect(abs(t.squareTrace - n * exact.mean { $0 * $0 }) < 4 * t.standardError.squareTrace)
    #expect(abs(t.relativeVariance / exact.relativeVariance - 1) < 0.1)
    // Three spikes on a constant: the sketch takes the spikes, the rest is a constant times a projector.
    #expect(abs(try pencil.improvedTrace(probes: 8, seed: seed) / (n * exact.mean) - 1) < 0.02)
  }

  @Test func quadrature() throws {
    let (pencil, exact) = try EstimatorTests.problem()
    let s = try TradeSpectrum(pooling: pencil.quadrature(probes: 16, steps: 20, seed: seed)), w = exact.weight(normalised: 1)
    #expect(abs(s.mean { log(1 + w * $0) } / exact.mean { log(1 + w * $0) } - 1) < 0.03)
    #expect(abs(s.cost(w) - exact.cost(w)) < 0.03 && abs(s.gain(w) - exact.gain(w)) < 0.2, "\(s.cost(w)) \(exact.cost(w)) \(s.gain(w)) \(exact.gain(w))")
    let a = try Alignment(observable: "x", samples: pencil.quadrature(probes: 16, steps: 20, seed: seed))
    #expect(a.cost.lower < exact.cost(w) && exact.cost(w) < a.cost.upper)
    #expect(abs(s.effectiveRank / exact.effectiveRank - 1) < 0.1)
  }

  /// G_D is no identity: conjugate gradients, Lanczos in the inner product of G_D.
  @Test func generalMetric() throws {
    let problem = try LatentCases.planted(cosines: [0.9, 0.6, 0.3], floor: 0.5), exact = try problem.law.spectrum()
    let found = try Participant.run(1, grid: grid) { me in
      let s = try problem.sensitivities(on: me), pencil = s.pencil()
      let z = s.latents.signs(seed: seed, stream: 0)
      let direct = try s.distortion(z), dense = problem.law.distortion * z
      let back = try pencil.solved(direct)
      let samples = try TradeSpectrum(pooling: pencil.quadrature(probes: 12, steps: 20, seed: seed))
      let dual = try problem.sensitivities(on: me, asVector: true).dualSpectrum()
      return (zip(direct, dense).map { abs($0 - $1) }.max()!, zip(back, z).map { abs($0 - $1) }.max()!, samples, dual)
    }[0]
    #expect(found.0 < 1e-12 && found.1 < 1e-9)
    let w = exact.weight(normalised: 1)
    #expect(abs(found.2.cost(w) - exact.cost(w)) < 0.1 && abs(found.2.gain(w) - exact.gain(w)) < 0.3, "\(found.2.cost(w)) \(exact.cost(w))")
    for (a, b) in zip(found.3.values, exact.values) { #expect(abs(a / b - 1) < 1e-9) }
    #expect(found.3.count == exact.count)
  }

  @Test func groupsAndTiles() throws {
    let problem = try LatentCases.planted(cosines: [0.5]), g = problem.law.observable
    _ = try Participant.run(1, grid: grid) { me in
      let s = try problem.sensitivities(on: me).latents
      let d = try s.groupDiagonals(groups: 2, probes: 300, seed: seed, of: { $1.y < 3 ? 0 : 1 }) { g * $0 }
      let first = d.means.map { $0[0] }, mean = first.reduce(0, +) / 300
      let error = (first.reduce(0) { $0 + ($1 - mean).squared }).squareRoot() / 300
      #expect(abs(mean - g.diagonal[..<24].reduce(0, +) / 24) < 4 * error && error < 0.1 * mean && d.counts == [24, 24], "seed \(seed)")
      // A local operator: three-point averages along x, interacting over one cell.
      func local(_ z: Flat) -> Flat {
        z.indices.map { i in 2 * z[i] + (i % 8 > 0 ? 0.5 * z[i - 1] : 0) + (i % 8 < 7 ? 0.5 * z[i + 1] : 0) }
      }
      let tiles = (0..<8).map { x in Box(lower: Index3(0, x / 4 * 3, x % 4 * 2), upper: Index3(1, x / 4 * 3 + 3, x % 4 * 2 + 2)) }
      for b in try s.tileBlocks(tiles, reach: 1, grid: grid, operator: local) {
        #expect(b == DenseMatrix(rows: 6, columns: 6) { i, j in i == j ? 2 : i / 2 == j / 2 ? 0.5 : 0 })
      }
    }
  }
}

@Suite struct DiagnosticTests {
  @Test(arguments: [[1.0, 1, 1], [0.9, 0.6, 0.3], [0, 0, 0]]) func plantedAngles(cosines: [Double]) throws {
    let problem = try LatentCases.planted(cosines: cosines), wanted = cosines.reduce(0) { $0 + $1 * $1 } / 3
    let found = try Participant.run(2, grid: grid) { me -> (Double, Double) in
      let s = try problem.sensitivities(on: me)
      let c = try Comparison(space: s.latents, rank: 3, seed: seed, first: s.distortion, second: s.observable)
      let z = s.latents.vector { _, _ in 1 }
      // Quantiser of equal steps, prior of equal deviations: the same spaces.
      let pairs = try PairwiseComparison(s, deviations: z, steps: z, rank: 3, probes: 4, seed: seed)
      #expect(pairs.distortionRate.overlap.verdict == .undefinedFlat)
      return (c.overlap.value, pairs.distortionObservable.overlap.value)
    }
    for f in found { #expect(abs(f.0 - wanted) < 0.01 && abs(f.1 - wanted) < 0.01, "\(f) against \(wanted), seed \(seed)") }
    let dense = try Comparison(problem.law.distortion, problem.law.observable, limit: 3).overlap
    let halves = [0, 3].map { Box(lower: Index3(0, $0, 0), upper: Index3(1, $0 + 3, 8)) }
    let i = try Participant.run(1, grid: grid) { me in
      let s = try problem.sensitivities(on: me)
      return try s.overlapIntervals(rank: 3, whitening: s.latents.vector { _, _ in 1 }, blocks: halves, seed: seed,
                                    bootstrap: Bootstrap(replicas: 40, seed: seed)).averaged
    }[0]
    #expect(abs(i.value - wanted) < 0.01 && i.lower <= i.value + 1e-12, "\(i)")
    #expect(abs(dense.value - wanted) < 1e-9 && dense.rank == 3)
    #expect(abs(dense.chance - 3.0 / 48) < 1e-15 && (wanted < 0.5 || dense.z > 5))
  }

  @Test func noGapNoOverlap() throws {
    // One dominant value four times over: no k below 4 is determined.
    let h = DenseMatrix(diagonal: [5, 5, 5, 5, 1e-3, 1e-3, 1e-3, 1e-3]), g = DenseMatrix(diagonal: [8, 4, 2, 1, 0.5, 0.25, 0.1, 0.05])
    #expect(try Comparison(h, g, limit: 3).overlap.verdict == .undefinedGap)
    let o = try Comparison(h, g).overlap
    #expect(o.verdict == .defined && o.rank == 4 && o.value == 1)
  }

  @Test func intervalsCoverAndNarrow() throws {
    let r = CounterRandom(seed: seed, stream: 40)
    func interval(_ n: Int) throws -> Interval {
      let units = Dictionary(uniqueKeysWithValues: (0..<n).map { ($0, [3 + r.gaussian(component: n, at: Index3(0, 0, $0)), 1]) })
      return try Bootstrap(seed: seed).intervals(units, reducer: SoleReducer()) { [$0[0] / $0[1]] }[0]
    }
    let a = try interval(25), b = try interval(400)
    // 2 * 1.96 / sqrt(n).
    #expect(abs((a.upper - a.lower) / (3.92 / 5) - 1) < 0.35 && abs((b.upper - b.lower) / (3.92 / 20) - 1) < 0.15)
    #expect(b.lower < 3.1 && b.upper > 2.9)
  }

  @Test func resampledOverlap() throws {
    let law = try LatentCases.planted(cosines: [0.8, 0.8]).law, r = CounterRandom(seed: seed, stream: 41)
    let q = try law.distortion.eigen().vectors.columns(0..<10)
    func noisy(_ g: DenseMatrix, _ t: Int) -> DenseMatrix {
      let e = DenseMatrix(rows: 48, columns: 48) { 0.05 * r.gaussian(component: t, at: Index3(0, $0, $1)) }.symmetrised
      return q.transposed * (g + e) * q
    }
    let blocks = ProjectedBlocks(distortion: (0..<30).map { noisy(law.distortion, $0) }, observable: (0..<30).map { noisy(law.observable, 100 + $0) })
    let o = try blocks.overlaps(rank: 2, bootstrap: Bootstrap(replicas: 300, seed: seed))
    #expect(o.averaged.lower <= o.averaged.value && o.averaged.value <= o.averaged.upper && o.averaged.upper - o.averaged.lower < 0.2)
    #expect(o.mean.lower <= o.mean.value && o.mean.value <= o.mean.upper)
  }
}

@Suite struct ParticipantTests {
  static let alone = Result { try Participant.run(1, grid: grid) { try LatentCases.digest(on: $0).map(\.bitPattern) }[0] }

  @Test(arguments: [2, 3, 4, 8]) func sameBits(participants: Int) throws {
    let one = try ParticipantTests.alone.get()
    #expect(one.count > 100)
    for d in try Participant.run(participants, grid: grid, { try LatentCases.digest(on: $0).map(\.bitPattern) }) {
      #expect(d == one, "\(participants) participants, seed \(LatentCases.seed)")
    }
  }
}
