import Compressor
import Glibc
import LatentGeometry
import MPI

/// Coordinates z of uncorrelated y in which a metric is the squared length, and which stay uncorrelated: with C = diag(variances of y),
///
///     C^1/2 G C^1/2 = V kappa V^T          z = kappa^1/2 V^T C^-1/2 y          y = C^1/2 V kappa^-1/2 z
struct LossAxes {
  /// kappa, largest first.
  let variances: [Double]
  /// z of y, and y of z: [z][y] both.
  let there: [Double], back: [Double]

  /// - Parameter variances: positive.
  /// - Parameter metric: symmetric, positive semidefinite; directions that it does not see have no way back.
  /// - Collective: all ranks.
  init(variances v: [Double], metric g: DenseMatrix, ranks: borrowing Communicator) throws {
    let m = v.count, root = v.map { $0.squareRoot() }
    let (kappa, vectors) = try g.scaled(rows: root, columns: root).eigen(ranks: ranks)
    variances = kappa
    there = vectors.indices.map { vectors[$0] * kappa[$0 / m].squareRoot() / root[$0 % m] }
    back = vectors.indices.map { kappa[$0 / m] > 0 ? vectors[$0] * root[$0 % m] / kappa[$0 / m].squareRoot() : 0 }
  }
}

/// The best linear code of L = R + lambda_D D + sum lambda_k P_k at the rate of the principal components, and what the law says of the pair.
///
/// Of Gaussian patches with the covariance C = diag(v) of principal coordinates y and the mean metric of the loss
///
///     G = lambda_D 1 + sum_k lambda_k D_0/P_0k M_k          M_k = <J_k^T J_k> + B_k, J_k the derivative of observable k by a patch's y
///
/// (B_k, for energies and shells of a spectrum: what the energy of the principal components' noise adds, see CTorch.h; else 0)
/// the code is that of `LossAxes`: z are uncorrelated with variances kappa and |z^ - z|^2 is the loss: one step for all is reverse water-filling, Karhunen and Loeve's transform in the metric of
/// the loss. Without observables z = y. D_0, P_0k: errors of the principal components; errors of different patches are taken as uncorrelated, so that an
/// observable that reaches over several counts for each of them. What the code will do is foretold by sending the blocks through the law's channel,
///
///     z -> (1 - s) z + (s (1 - s) kappa)^1/2 n          s = min(1, theta/kappa), n normal; theta from the rate sum 1/2 ln max(1, kappa/theta)
///
/// and looking at them, which counts what noise adds to a power and what a lost direction takes from it.
/// - Source: Segui and Armour, arXiv 2606.03279 (metrics, trade); Cover, Thomas, Elements of Information Theory (2006), section 10.3 (channel).
struct LossLaw {
  let coordinates: CodeCoordinates
  /// dB of squared error against the principal components at equal rate, D and then the observables in the trainer's order: below 0 the cost, above the gain.
  let foretold: [Double]
  /// What lambda_D D + ... is foretold to be.
  let loss: Double

  /// Of the squared error aimed at, what principal coordinates that no metric is sought for may hold; of the loss what its own may.
  private static let unseen = 0.001, left = 0.01
  /// Gradients per coordinate that metrics are means of, and the most for a block; patches that curvatures are means of.
  private static let samples = 200, mostSeeds = 32, curved = 256.0

  /// - Parameter sample: blocks of this rank, numbered over all ranks from 0 on.
  /// - Parameter errors: D_0, P_0 of the principal components on the blocks learned from, and `patches` there.
  /// - Throws: `Failure`, on all ranks.
  /// - Collective: all ranks.
  init(_ o: TrainOptions, _ shape: CodeShape, _ start: PrincipalComponents, _ sample: [(number: Int, blocks: CodeBlocks)], errors: [Double], patches: Double, axes: [Int], ranks: borrowing Communicator) throws {
    let n = shape.channels, m = start.needed(share: LossLaw.unseen), v = start.variances[..<m].map { max($0, 1e-12 * start.variances[0]) }
    let rows = Array(start.rows[..<(m * n)]), weights = o.weights(at: 1), linear = shape.linear(m)
    // G less lambda_D.
    var seen = CodeLoss(o, linear, basis: rows.map(Float.init), axes: axes)
    seen.normalise(by: errors.map { $0 / errors[0] })
    // The level at which the principal components have their error.
    let lost = start.variances[m...].reduce(0, +), wanted = max(errors[0] / patches - lost, 1e-6 * v[m - 1])
    var (low, high) = (1e-12 * v[m - 1], v[0])
    for _ in 0..<100 {
      let t = (low * high).squareRoot()
      if v.reduce(0, { $0 + min($1, t) }) < wanted { low = t } else { high = t }
    }
    let metric = seen, seed = UInt64(o.seed) << 40, floor = low
    let have = try ranks.allReduce(Double(sample.reduce(0) { $0 + $1.blocks.patches(shape) }), .sum)
    let seeds = max(1, min(LossLaw.mostSeeds, Int(Double(LossLaw.samples * m) / have) + 1))
    var g = try ranks.allReduce(ranks.agree { () -> [Double] in
      var sums = [Double](repeating: 0, count: m * m)
      for b in sample { for k in 0..<seeds { try metric.addSensitivity(b.blocks, seed: seed | UInt64(b.number) << 8 | UInt64(k), to: &sums) } }
      return sums
    }, .sum).map { $0 / (have * Double(seeds)) }
    func channel(_ variances: [Double], _ s: CodeShape, level: Double) -> [Float] {
      var p = s.identity(step: 1)
      for (i, k) in variances.enumerated() {
        let share = min(1, level / k)
        p[s.range(.synthesis).lowerBound + i * (s.inputs + 1)] = Float(1 - share)
        // Variational noise has a variance of step^2 / 12.
        if share < 1 { p[s.range(.step).lowerBound + i] = Float(0.5 * log(12 * share * k / (1 - share))) }
      }
      return p
    }
    func noisy(_ b: (number: Int, blocks: CodeBlocks), _ s: CodeShape) -> CodeBlocks {
      var out = b.blocks, random = Shuffle(seed: UInt64(o.seed), stream: UInt64(b.number) + 1 << 32)
      out.addNoise(s, &random)
      return out
    }
    if ["energy", "spectrum"].contains(where: { o.physics[$0] != nil }) {
      let all = try ranks.allReduce(Double(sample.count), .sum), stride = max(1, Int(min(all / 2, have / LossLaw.curved)))
      let mine = sample.filter { $0.number % stride == 0 }
      let seen = try ranks.allReduce(ranks.agree { () -> [Double] in
        var sums = [Double](repeating: 0, count: m * m)
        for b in mine { try metric.addCurvature(noisy(b, linear), channel(Array(v), linear, level: floor), size: floor.squareRoot(), seed: seed | UInt64(b.number), to: &sums) }
        return sums + [Double(mine.reduce(0) { $0 + $1.blocks.patches(shape) })]
      }, .sum)
      for i in g.indices { g[i] += seen[i] / max(1, seen[m * m]) }
    }
    let own = try LossAxes(variances: Array(v), metric: DenseMatrix(rows: m, columns: m) { i, j in g[i + j * m] + (i == j ? weights[0] : 0) }, ranks: ranks), kappa = own.variances
    let plain = WaterFilling(v), nats = plain.rate(level: floor), informed = WaterFilling(kappa)
    let level = informed.level(rate: max(nats, 1e-9)), kept = PrincipalComponents.needed(kappa, tail: LossLaw.left * informed.noise(level: level).reduce(0, +))
    var basis = [Float](repeating: 0, count: kept * n), dual = basis
    for i in 0..<kept {
      var (a, b) = ([Double](repeating: 0, count: n), [Double](repeating: 0, count: n))
      for j in 0..<m {
        for c in 0..<n {
          a[c] += own.there[i * m + j] * rows[j * n + c]
          b[c] += own.back[i * m + j] * rows[j * n + c]
        }
      }
      for c in 0..<n { (basis[i * n + c], dual[i * n + c]) = (Float(a[c]), Float(b[c])) }
    }
    coordinates = try CodeCoordinates(
      o, shape, variances: Array(kappa[..<kept]), basis: basis, dual: dual, rest: kappa[kept...].reduce(0, +), aim: .rate(o.rate ?? start.coordinates.rate), sample: sample.map(\.blocks), axes: axes, ranks: ranks)
    // Both through the channel.
    func sent(_ variances: [Double], _ basis: [Float], _ dual: [Float], level: Double) throws -> [Double] {
      let s = shape.linear(variances.count), loss = CodeLoss(o, s, basis: basis, dual: dual, axes: axes), parameters = channel(variances, s, level: level)
      return try ranks.allReduce(ranks.agree { () -> [Double] in
        try sample.reduce(into: [Double](repeating: 0, count: Loss.terms)) { sum, b in
          for (k, t) in try loss.evaluate(noisy(b, s), parameters)[1...].enumerated() { sum[k] += t }
        }
      }, .sum)
    }
    let before = try sent(v, rows.map(Float.init), [], level: floor), after = try sent(Array(kappa[..<kept]), basis, dual, level: level)
    foretold = zip(before, after).map { $0 > 0 && $1 > 0 ? 10 * log10($0 / $1) : 0 }
    loss = zip(weights, foretold).reduce(0) { $0 + $1.0 * pow(10, -0.1 * $1.1) }
  }
}
