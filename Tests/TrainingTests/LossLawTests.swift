import CTorch
@testable import Compressor
import Fields
import Glibc
import LatentGeometry
import MPI
import Support
import Testing
@testable import Training

/// The linear code of a loss with observables: closed forms, and what is foretold against what rounding does.
@Suite(.serialized) struct LossLawTests {
  /// Variances v_j and a diagonal metric g_j: kappa = v g, noise theta / g_j where v_j g_j > theta and v_j elsewhere (reverse water-filling).
  @Test func diagonalMetricsGiveWaterFilling() throws {
    let v = [9.0, 4, 1, 0.25, 0.01], g = [1.0, 5, 2, 100, 3]
    let a = try LossAxes(variances: v, metric: DenseMatrix(diagonal: g), ranks: Communicator.alone())
    let order = v.indices.sorted { v[$0] * g[$0] > v[$1] * g[$1] }
    for (i, j) in order.enumerated() {
      #expect(abs(a.variances[i] - v[j] * g[j]) < 1e-12 * v[j] * g[j])
      for k in v.indices {
        #expect(abs(a.there[i * 5 + k] - (k == j ? g[j].squareRoot() : 0)) < 1e-12)
        #expect(abs(a.back[i * 5 + k] - (k == j ? 1 / g[j].squareRoot() : 0)) < 1e-12)
      }
    }
    // Three nats: 20, 25 and 9 lie above the level exp((ln 20 25 9 - 6) / 3), 2 and 0.03 below it.
    let filling = WaterFilling(a.variances), theta = filling.level(rate: 3)
    #expect(abs(theta - exp((log(25.0 * 20 * 9) - 6) / 3)) < 1e-12 && theta > 2)
    for (i, j) in order.enumerated() { #expect(abs(filling.noise(level: theta)[i] / g[j] - min(v[j], theta / g[j])) < 1e-12) }
  }

  /// Any metric: there and back is nothing, B G B^T = 1, B^T kappa B = C.
  @Test func axesTurnTheLossIntoALength() throws {
    let n = 6, v = (0..<n).map { pow(0.5, Double($0)) }
    let r = DenseMatrix(rows: n, columns: n) { Double(SplitMix64.hash(5, $0 * 7 + $1) >> 40) * 0x1p-23 - 1 }, g = r * r.transposed + DenseMatrix.identity(n)
    let a = try LossAxes(variances: v, metric: g, ranks: Communicator.alone())
    let there = DenseMatrix(rows: n, columns: n) { a.there[$0 * n + $1] }, back = DenseMatrix(rows: n, columns: n) { a.back[$0 * n + $1] }
    #expect((there * back.transposed - .identity(n)).norm < 1e-10)
    #expect((back * g * back.transposed - .identity(n)).norm < 1e-10)
    #expect((back.transposed * DenseMatrix(diagonal: a.variances) * back - DenseMatrix(diagonal: v)).norm < 1e-10)
  }

  static let shape = CodeShape(kind: .autoencoder, components: 1, dimensions: 2, patch: 4, inputs: 0, latents: 0, before: 0, behind: 0)
  /// Patches of 4 x 4 independent Gaussian coordinates along Hadamard's rows, the mean of a patch among the weaker ones.
  static func gaussian(_ seed: UInt64, blocks: Int) -> [(number: Int, blocks: CodeBlocks)] {
    var random = Shuffle(seed: seed, stream: 3)
    return (0..<blocks).map { b in
      var v = [Float](repeating: 0, count: 256)
      for p in 0..<16 {
        let y = (0..<16).map { i in random.normal() * pow(2, -0.25 * Double(i == 0 ? 9 : i)) }
        for c in 0..<16 {
          let u = (0..<16).reduce(0.0) { $0 + y[$1] * (($1 & c).nonzeroBitCount & 1 == 0 ? 0.25 : -0.25) }
          v[(p / 4 * 4 + c / 4) * 16 + p % 4 * 4 + c % 4] = Float(u)
        }
      }
      var e = CodeBlocks(extents: Index3(1, 16, 16))
      e.add(v[...])
      return (b, e)
    }
  }
  static func sums(_ b: [(number: Int, blocks: CodeBlocks)], _ loss: CodeLoss, _ p: [Float]) throws -> [Double] {
    try b.reduce(into: [Double](repeating: 0, count: CodeLoss.terms)) { s, e in for (k, t) in try loss.evaluate(e.blocks, p).enumerated() { s[k] += t } }
  }

  /// Averages of whole patches: J is one row of 1/16, whatever the signs.
  @Test func sensitivitiesOfAveragesAreExact() throws {
    var o = TrainOptions(input: "", output: "", field: "")
    (o.physics["box"], o.box) = (TrainingSchedule(3), 4)
    var loss = CodeLoss(o, LossLawTests.shape.linear(16), basis: [], axes: [-1, -1, -1])
    loss.normalise(by: [1, 2, 0, 0, 0, 0])
    var sums = [Double](repeating: 0, count: 256)
    try loss.addSensitivity(LossLawTests.gaussian(1, blocks: 1)[0].blocks, seed: 5, to: &sums)
    for s in sums { #expect(abs(s / 16 - 1.5 / 256) < 1e-9) }
  }

  /// What is foretold of the pair is what rounding gives on other blocks: closely at high rates; where many deviations are below the step, rounding is not the channel.
  @Test(arguments: [(2.5, 0.25), (0.8, 1.5)]) func gaussianSourcesDoWhatIsForetold(rate: Double, within: Double) throws {
    var o = TrainOptions(input: "", output: "", field: "")
    (o.rate, o.kind, o.box) = (rate, .autoencoder, 4)
    o.physics["box"] = TrainingSchedule(1)
    let axes = [-1, -1, -1], s = LossLawTests.shape, sample = LossLawTests.gaussian(1, blocks: 64), other = LossLawTests.gaussian(2, blocks: 64), alone = try Communicator.alone()
    let first = try PrincipalComponents(o, s, sample.map(\.blocks), range: 10, axes: axes, ranks: alone), c = first.coordinates
    let plain = CodeLoss(o, s.linear(c.count), basis: c.basis, axes: axes), p = plain.shape.identity(step: c.step)
    let errors = try LossLawTests.sums(sample, plain, p)
    let law = try LossLaw(o, s, first, sample, errors: Array(errors[1...]), patches: 64 * 16, axes: axes, ranks: alone), l = law.coordinates
    #expect(abs(l.rate - c.rate) < 0.02 && law.foretold[0] < -0.1 && law.foretold[1] > 1.5, "\(law.foretold)")
    let informed = CodeLoss(o, s.linear(l.count), basis: l.basis, dual: l.dual, axes: axes)
    let a = try LossLawTests.sums(other, plain, p), b = try LossLawTests.sums(other, informed, informed.shape.identity(step: l.step))
    for k in 0...1 {
      let measured = 10 * log10(a[k + 1] / b[k + 1])
      #expect(abs(measured - law.foretold[k]) < within, "term \(k): \(law.foretold[k]) foretold, \(measured) measured")
    }
    // The loss is what the new coordinates' squared error is.
    let scale = errors[1...].map { $0 / errors[1] }, z = try sample.flatMap { try informed.latents($0.blocks, informed.shape.identity(step: 1)) }
    let own = z.reduce(0.0) { let t = Double($1) / l.step; return $0 + (t - t.rounded()) * (t - t.rounded()) * l.step * l.step }
    let n = try LossLawTests.sums(sample, informed, informed.shape.identity(step: l.step))
    if l.count == 16 { #expect(abs(own / (n[1] / scale[0] + n[2] / scale[1]) - 1) < 1e-2) }
  }

  /// A code of loss coordinates that are not orthonormal says as a model of the container what it says in training.
  @Test func modelsOfObliqueCoordinates() throws {
    var s = LossLawTests.shape
    (s.inputs, s.latents) = (3, 3)
    let basis: [Float] = (0..<48).map { Float(SplitMix64.hash(8, $0) >> 40) * 0x1p-23 - 1 }, rows = DenseMatrix(rows: 3, columns: 16) { Double(basis[$0 * 16 + $1]) }
    let back = try (rows * rows.transposed).inverse() * rows, dual = (0..<48).map { Float(back[$0 / 16, $0 % 16]) }
    let o = TrainOptions(input: "", output: "", field: ""), p = CodeTests.parameters(s)
    let made = try CodeModel(o, s, p.map(Double.init), basis: basis, dual: dual, costs: [], magnitudes: [1, 1, 1], used: [true, true, true])
    let b = LossLawTests.gaussian(4, blocks: 1)[0].blocks, loss = CodeLoss(o, s, basis: basis, dual: dual, axes: [-1, -1, -1]), stored = CodeLoss(o, made.shape, basis: [], axes: [-1, -1, -1])
    let here = try loss.evaluate(b, p), there = try stored.evaluate(b, made.parameters)
    #expect(abs(here[1] - there[1]) < 1e-2 * here[1])
    for i in 0..<3 {
      let column = (0..<16).reduce(0.0) { $0 + pow(Double(made.parameters[made.shape.range(.synthesis).lowerBound + $1 * 3 + i]), 2) }
      #expect(abs(column - 1) < 1e-3)
    }
  }
}
