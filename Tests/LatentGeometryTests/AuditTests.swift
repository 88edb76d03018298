import Fields
import Foundation
import LatentGeometry
import Statistics
import Testing

/// Rows of one participant, numbered from 0.
private func rows(_ list: [[Double]], _ labels: [Int]) -> LatentRows {
  var r = LatentRows(dimension: list[0].count)
  for (i, v) in list.enumerated() { r.append(v, id: i, label: labels[i]) }
  return r
}
private func all(_ r: LatentRows) -> SharedRows { SharedRows(rows: r, mine: Array(r.ids.indices)) }
private var sole: SoleReducer { SoleReducer() }
private let random = CounterRandom(seed: 11)
private func normal(_ i: Int, _ k: Int, _ stream: Int = 0) -> Double { random.gaussian(component: k, at: Index3(0, stream, i)) }

/// Classes of Gaussians: `count` samples each around `means`.
private func gaussians(_ means: [[Double]], count: Int, spread: Double, noise: Double = 0) -> LatentRows {
  var list: [[Double]] = [], labels: [Int] = []
  for (c, m) in means.enumerated() { for i in 0..<count {
    let n = c * count + i
    list.append(m.enumerated().map { $1 + spread * normal(n, $0) + noise * normal(n, $0, 1) })
    labels.append(c)
  } }
  return rows(list, labels)
}
private func rotated(_ r: LatentRows, by angle: Double, times s: Double = 1) -> LatentRows {
  rows((0..<r.count).map { i in
    var v = Array(r.row(i))
    (v[0], v[1]) = (cos(angle) * v[0] - sin(angle) * v[1], sin(angle) * v[0] + cos(angle) * v[1])
    return v.map { s * $0 }
  }, r.labels)
}

@Suite struct ClusteringTests {
  private func cdnv(_ r: LatentRows, _ classes: Int) throws -> Double { try ClassStatistics(r, classes: classes, reducer: sole).cdnv }
  private func nc1(_ r: LatentRows, _ classes: Int) throws -> Double { try ClassStatistics(r, classes: classes, reducer: sole).collapse(r, reducer: sole) }

  @Test func smallCases() throws {
    #expect(try cdnv(rows([[0], [1], [2], [3]], [0, 0, 1, 1]), 2) == 0.0625)
    #expect(try cdnv(rows([[0], [0], [2], [2]], [0, 0, 1, 1]), 2) == 0)
    #expect(try cdnv(rows([[0], [2], [0], [2]], [0, 0, 1, 1]), 2) == .infinity)
    #expect(try cdnv(rows([[0], [2]], [1, 1]), 3).isNaN)
    // A class without members counts for nothing.
    #expect(try cdnv(rows([[0], [1], [2], [3]], [0, 0, 2, 2]), 3) == 0.0625)
  }

  /// d (sigma_r^2 + sigma_n^2) mean(1 / |mu - mu'|^2).
  @Test func gaussianClasses() throws {
    let means = [[0.0, 0, 0], [8, 0, 0], [0, 6, 0]], r = gaussians(means, count: 4000, spread: 0.8, noise: 0.6)
    let gaps = [64.0, 36, 100], wanted = 3 * (0.64 + 0.36) * gaps.reduce(0) { $0 + 1 / $1 } / 3
    #expect(try abs(cdnv(r, 3) / wanted - 1) < 0.02)
  }

  /// Points mu +- a e_k: variance a^2 / d along each axis; sigma^2 / (2 m^2).
  @Test(arguments: [1, 2, 5]) func collapse(d: Int) throws {
    let m = 3.0, a = 1.5, s2 = a * a / Double(d)
    var list: [[Double]] = [], labels: [Int] = []
    for c in 0..<2 { for k in 0..<d { for sign in [-1.0, 1] {
      var v = [Double](repeating: 0.25, count: d)
      v[0] += c == 0 ? -m : m
      v[k] += sign * a
      list.append(v); labels.append(c)
    } } }
    #expect(try abs(nc1(rows(list, labels), 2) - s2 / (2 * m * m)) < 1e-14)
  }

  @Test func invariance() throws {
    let r = gaussians([[0, 0, 0], [4, 1, 0], [1, 5, 2], [0, 0, 0]], count: 50, spread: 1), q = rotated(r, by: 0.7, times: 31)
    #expect(try abs(cdnv(q, 4) / cdnv(r, 4) - 1) < 1e-10)
    #expect(try abs(nc1(q, 4) / nc1(r, 4) - 1) < 1e-10)
  }
}

@Suite struct InformationTests {
  private func mixture(_ r: LatentRows, _ classes: Int = 1) throws -> (all: Double, classes: Double) {
    try InformationEstimates.mixture(all(r), classes: classes, reducer: sole)
  }
  private func normals(_ n: Int, _ d: Int, _ s: Double, labels: (Int) -> Int = { _ in 0 }) -> LatentRows {
    rows((0..<n).map { i in (0..<d).map { s * normal(i, $0) } }, (0..<n).map(labels))
  }

  /// y ~ N(0, I_2), beta = 1/2: ln(1 + 1/beta^2) = 1.6094 nat; the mixture of 4000 samples is a little low.
  @Test func gaussianChannel() throws {
    let r = normals(4000, 2, 2)
    #expect(abs(InformationEstimates.gaussian(variances: [4, 4]) - 1.6094379124341003) < 1e-15)
    #expect(try abs(mixture(r).all - 1.6094) < 0.05)
    let (v, _) = try InformationEstimates.components(r, reducer: sole)
    #expect(abs(InformationEstimates.gaussian(variances: v) - 1.6094) < 0.03)
    let decoded = rows((0..<4000).map { i in (0..<2).map { 2 * normal(i, $0) + normal(i, $0, 2) } }, r.labels)
    #expect(try abs(InformationEstimates.contrastive(all(r), decoded: decoded, reducer: sole) - 1.6094) < 0.03)
  }
  @Test func neighboursOfGaussians() throws {
    let r = normals(1000, 1, 2), decoded = rows((0..<1000).map { [2 * normal($0, 0) + normal($0, 0, 2)] }, r.labels)
    #expect(try abs(InformationEstimates.nearestNeighbours(all(r), decoded: decoded, reducer: sole) - 0.5 * log(5)) < 0.08)
  }

  /// Never above ln N, whatever is compared; I(C;T) <= min(H(C), I(X;T)).
  @Test(arguments: [0.01, 0.3, 2, 50]) func limits(scale: Double) throws {
    let n = 300, r = gaussians([[0, 0, 0], [scale, 0, 0], [0, 2 * scale, 0]], count: n / 3, spread: 0.4 * scale)
    let m = try mixture(r, 3), h = try ClassStatistics(r, classes: 3, reducer: sole).entropy
    #expect(m.all <= log(Double(n)) && m.classes <= h + 1e-12 && m.classes <= m.all + 0.02, "\(m)")
    #expect(abs(h - log(3)) < 1e-12)
    for wrong in [r, r.scaled(by: 0.5), rotated(r, by: 2), r.scaled(by: -3)] {
      #expect(try InformationEstimates.contrastive(all(r), decoded: wrong, reducer: sole) <= log(Double(n)))
    }
    if scale == 50 { #expect(abs(m.all - log(Double(n))) < 0.2 && abs(m.classes - h) < 0.1) }
    if scale == 0.01 { #expect(m.all < 0.01 && abs(m.classes) < 0.01) }
  }

  /// Turning the latents changes nothing; nor do they in units of their noise.
  @Test func invariance() throws {
    let r = gaussians([[0, 0], [3, 1]], count: 200, spread: 1), decoded = rows((0..<400).map { i in r.row(i).enumerated().map { $1 + normal(i, $0, 4) } }, r.labels)
    let own = try InformationEstimates.contrastive(all(r), decoded: decoded, reducer: sole)
    #expect(try abs(InformationEstimates.contrastive(all(rotated(r, by: 1)), decoded: rotated(decoded, by: 1), reducer: sole) - own) < 1e-10)
    let a = try InformationEstimates.components(r, reducer: sole).variances, b = try InformationEstimates.components(rotated(r, by: 1), reducer: sole).variances
    #expect(zip(a, b).allSatisfy { abs($0 - $1) < 1e-10 * a[0] })
  }

  @Test func cells() {
    let w = 12.0.squareRoot()
    #expect(InformationEstimates.binned(rows([[0], [0.3 * w], [w], [w], [-4 * w], [-4 * w], [2 * w], [2 * w]], [Int](repeating: 0, count: 8))) == log(4))
  }

  /// Z = mu_c + N(0, sigma_r^2) + noise: less noise, more information and at the same time tighter clusters.
  @Test func informationIsNotClustering() throws {
    var last = (information: 0.0, cdnv: Double.infinity)
    for noise in [2, 1, 0.5] {
      let means = [[0.0, 0], [6, 0], [0, 6]], y = gaussians(means, count: 200, spread: 1), t = gaussians(means, count: 200, spread: 1, noise: noise)
      let m = try mixture(y.scaled(by: 1 / noise), 3), cdnv = try ClassStatistics(t, classes: 3, reducer: sole).cdnv
      #expect(m.all - m.classes > last.information && cdnv < last.cdnv)
      last = (m.all - m.classes, cdnv)
    }
  }
}

@Suite struct DistortionTests {
  private func distortion(_ z: LatentRows, _ r: LatentRows, _ classes: Int, epsilon: Double) throws -> ClassDistortion {
    try ClassDistortion(all(z), reference: r, classes: classes, epsilon: epsilon, reducer: sole)
  }
  private let clouds = gaussians([[0, 0], [5, 1], [2, 7]], count: 40, spread: 1)

  @Test func noChange() throws {
    for epsilon in [0, 1.0] { #expect(try distortion(clouds, clouds, 3, epsilon: epsilon).matrix.allSatisfy { $0.allSatisfy { $0 == 0 } }) }
    let d = try distortion(clouds.scaled(by: 3.7), clouds, 3, epsilon: 0)
    #expect(d.matrix.allSatisfy { $0.allSatisfy { abs($0) < 1e-12 } } && abs(d.prototypization) < 1e-12)
  }

  /// Far classes, deviations from their means times s: -2 ln s.
  @Test(arguments: [0.5, 0.9, 2]) func contraction(s: Double) throws {
    let means = [[0.0, 0], [1e5, 0]], r = gaussians(means, count: 60, spread: 1)
    let z = rows((0..<r.count).map { i in zip(r.row(i), means[r.labels[i]]).map { $1 + s * ($0 - $1) } }, r.labels)
    #expect(try abs(distortion(z, r, 2, epsilon: 0).prototypization + 2 * log(s)) < 1e-4)
  }

  /// Resolution goes to the frequent class.
  @Test func specialization() throws {
    var list: [[Double]] = [], labels: [Int] = []
    for i in 0..<90 { labels.append(i < 60 ? 0 : 1); list.append([normal(i, 0) + (i < 60 ? 0 : 1e6), normal(i, 1)]) }
    let r = rows(list, labels), z = rows(list.enumerated().map { i, v in i < 60 ? [2 * v[0], 2 * v[1]] : [1e6 + 0.5 * (v[0] - 1e6), 0.5 * v[1]] }, labels)
    let d = try distortion(z, r, 2, epsilon: 0)
    #expect(d.extremes.frequent == 0 && d.extremes.rare == 1)
    #expect(abs(d.specialization - (2 * log(2) + 2 * log(2))) < 1e-4)
    // Of equal classes the last is the frequent one.
    #expect(try distortion(clouds, clouds, 3, epsilon: 1).extremes == (2, 0))
  }

  @Test func factors() throws {
    var list: [[Double]] = [], a: [Int] = [], b: [Int] = []
    for i in 0..<3 { for j in 0..<4 { for k in 0..<5 {
      a.append(i); b.append(j)
      list.append([2 * Double(i) + 0.01 * normal(a.count, 0), Double(j) + 0.01 * normal(a.count, 1), 0.01 * Double(k)])
    } } }
    func geometry(_ l: [[Double]], _ second: [Int], _ levels: Int) throws -> FactorGeometry {
      try FactorGeometry(rows(l, a.map { _ in 0 }), first: a, levels: 3, second: second, levels: levels, reducer: sole)
    }
    let along = try geometry(list, b, 4)
    #expect(along.orthogonality > 0.98 && along.subspaceOrthogonality > 0.98)
    #expect(abs(along.chance - 0.5) < 1e-12)   // E|cos| = 1/2 in three dimensions
    // Exactly along axes.
    let exact = list.indices.map { [Double(a[$0]), 3 * Double(b[$0]), 0] }
    #expect(try abs(geometry(exact, b, 4).orthogonality - 1) < 1e-14)
    // Both move the first coordinate.
    let same = list.indices.map { [Double(a[$0]) + Double(b[$0]), 0, 0] }
    let both = try geometry(same, b, 4)
    #expect(abs(both.orthogonality) < 1e-14 && abs(both.subspaceOrthogonality) < 1e-12)
    // The second moves nothing: undefined.
    #expect(try geometry(list.indices.map { [Double(a[$0]), normal($0, 5), 0] }, b, 4).orthogonality.isNaN)
  }
}

@Suite struct UtilityTests {
  @Test func separableClassesAreFound() throws {
    let r = gaussians([[0, 0, 0], [9, 0, 0], [0, 9, 0]], count: 60, spread: 1)
    let near = try ClassUtility.nearestNeighbours(all(r), classes: 3, reducer: sole), probe = try ClassUtility.linearProbe(r, classes: 3, reducer: sole)
    #expect(near.accuracy == 1 && near.macroF1 == 1 && probe.accuracy > 0.97 && probe.macroF1 > 0.97)
  }
  @Test func nothingIsFoundInNoise() throws {
    let r = rows((0..<400).map { i in (0..<4).map { normal(i, $0) } }, (0..<400).map { $0 % 4 })
    #expect(try abs(ClassUtility.nearestNeighbours(all(r), classes: 4, reducer: sole).accuracy - 0.25) < 0.08)
    #expect(try abs(ClassUtility.linearProbe(r, classes: 4, reducer: sole).accuracy - 0.25) < 0.1)
  }
  @Test func ranks() {
    #expect(rankCorrelation([1, 2, 3, 4], [1, 10, 100, 1000]) == 1)
    #expect(rankCorrelation([1, 2, 3, .nan], [3, 2, 1, 0]) == -1)
    #expect(rankCorrelation([1, 2], [1, 2]).isNaN)
  }
}

@Suite struct PartedAuditTests {
  /// Everything, of rows dealt out to participants; some have none.
  private static func digest(_ r: LatentRows, _ reducer: any Reducer) throws -> [UInt64] {
    let s = try ClassStatistics(r, classes: 3, reducer: reducer), (variances, directions) = try InformationEstimates.components(r, reducer: reducer)
    let sample = try r.shared(limit: 70, reducer: reducer), projected = sample.with(sample.rows.projected(on: directions.columns(0..<2)))
    let other = sample.with(sample.rows.scaled(by: 0.5))
    let m = try InformationEstimates.mixture(projected, classes: 3, reducer: reducer)
    let d = try ClassDistortion(sample, reference: sample.rows.projected(on: directions.scaled(rows: [1, 1, 1], columns: [1, 2, 0.5])), classes: 3, reducer: reducer)
    let f = try FactorGeometry(r, first: r.ids.map { $0 % 2 }, levels: 2, second: r.labels, levels: 3, reducer: reducer)
    let u = try ClassUtility.nearestNeighbours(sample, classes: 3, reducer: reducer), p = try ClassUtility.linearProbe(r, classes: 3, reducer: reducer)
    let numbers = s.means.flatMap { $0 } + s.variances + [s.cdnv, try s.collapse(r, reducer: reducer)] + variances + [m.all, m.classes]
      + [try InformationEstimates.contrastive(projected, decoded: other.rows.projected(on: directions.columns(0..<2)), reducer: reducer),
         try InformationEstimates.nearestNeighbours(projected, decoded: projected.rows.scaled(by: 0.9), reducer: reducer)]
    return (numbers + d.matrix.flatMap { $0 } + [f.orthogonality, f.subspaceOrthogonality, u.accuracy, p.macroF1]).map(\.bitPattern)
  }

  @Test func partsDoNotMatter() throws {
    let whole = gaussians([[0, 0, 1], [3, 0, 2], [0, 4, 0]], count: 37, spread: 1), expected = try Self.digest(whole, sole)
    for n in [2, 3, 5] {
      let found = try Participant.run(n, grid: Grid(shape: Index3(1, 4, 4))) { p in
        // Uneven, in another order, nothing for the first.
        let mine = (0..<whole.count).reversed().filter { n == 2 ? p.index == 1 : 1 + $0 * $0 % (n - 1) == p.index }
        return try Self.digest(whole.rows(Array(mine)), p)
      }
      for f in found { #expect(f == expected, "\(n) participants") }
    }
  }
}
