import Fields
import Foundation
import LatentCases
import Testing
@testable import LatentGeometry

private let seed: UInt64 = 14640

/// Well-conditioned random symmetric positive definite matrices.
private func randomMetric(_ n: Int, _ stream: UInt64, spread: Double = 1) throws -> DenseMatrix {
  let q = try LatentCases.orthogonal(n, seed: seed &+ stream &* 77), r = CounterRandom(seed: seed, stream: stream)
  return q.scaled(rows: [Double](repeating: 1, count: n), columns: (0..<n).map { exp(spread * r.gaussian(component: 9, at: Index3(0, 0, $0))) })
    * q.transposed
}
private func close(_ a: Double, _ b: Double, _ tolerance: Double, _ at: SourceLocation = #_sourceLocation) {
  #expect(abs(a - b) <= tolerance, "\(a) against \(b), seed \(seed)", sourceLocation: at)
}

@Suite struct LawTests {
  @Test func reversedOrderCosts() throws {
    let law = LocalLaw(distortion: DenseMatrix(diagonal: [4, 1]), observable: DenseMatrix(diagonal: [1, 4]))
    let s = try law.spectrum()
    close(s.values[0], 4, 1e-14); close(s.values[1], 0.25, 1e-14)
    close(s.distortion(1), 1.25, 1e-14); close(s.observable(1), 10.0 / 17, 1e-14)
    let noise = try law.noise(weight: 1)
    close(noise[0, 0], noise[1, 1], 1e-14); close(noise[0, 1], 0, 1e-15)
    // The same from the noise itself.
    let best = try law.noise(weight: 0), e = law.errors(noise), e0 = law.errors(best)
    close(e.distortion / e0.distortion, 1.25, 1e-13); close(e.observable / e0.observable, 10.0 / 17, 1e-13)
  }

  @Test(arguments: [0.01, 1, 50]) func proportionalMetricsTradeNothing(weight: Double) throws {
    let g = try randomMetric(7, 1), law = LocalLaw(distortion: g, observable: 3 * g), s = try law.spectrum()
    close(s.distortion(weight), 1, 1e-12); close(s.observable(weight), 1, 1e-12)
    close(s.relativeVariance, 0, 1e-12); close(try law.simultaneousDefect(weight: weight), 0, 1e-10)
    let c = try Comparison(g, 3 * g)
    close(c.overlap.value, 1, 1e-12); close(c.cosine, 1, 1e-12)
  }

  @Test func identityObservableIsTheDistortion() throws {
    let q = try LatentCases.orthogonal(6, seed: seed), g = 1.0 / 6 * (q.transposed * q)
    let s = try LocalLaw(distortion: g, observable: g).spectrum()
    close(s.distortion(2), 1, 1e-12); close(s.observable(2), 1, 1e-12)
  }

  @Test func isotropicIsFlat() throws {
    let law = LocalLaw(distortion: .identity(8), observable: 0.3 * .identity(8))
    close(try law.spectrum().maximumGain, 1, 1e-14)
    #expect(try Comparison(law.distortion, law.observable).overlap.verdict == .undefinedFlat)
  }

  @Test func orthogonalSpikes() throws {
    let spiked = SpikedMetrics(count: 9, distortion: (1, 5), observable: (0.2, 3), cosines: [0, 0, 0]), law = spiked.dense()
    let closed = spiked.combined(1.7), g = law.combined(1.7)
    close(closed.logDeterminant, try g.logDeterminant(), 1e-12)
    close(closed.trace, DenseMatrix.inner(law.distortion, try g.inverse()), 1e-12)
    close(try law.spectrum().logDistortion(1.7), spiked.logDistortion(1.7), 1e-12)
    let o = try Comparison(law.distortion, law.observable).overlap
    #expect(o.rank == 3 && o.verdict == .defined)
    close(o.value, 0, 1e-12)
  }

  @Test func spikesAtAngles() throws {
    let spiked = SpikedMetrics(count: 9, distortion: (1, 5), observable: (0.2, 3), cosines: [0.2, 0.7, 1.3].map(cos))
    close(spiked.combined(1.7).logDeterminant, 10.589798828507, 1e-12)
    close(spiked.combined(1.7).trace, 5.759446230527, 1e-12)
    let g = spiked.dense().combined(1.7)
    close(try g.logDeterminant(), 10.589798828507, 1e-12)
    close(DenseMatrix.inner(spiked.dense().distortion, try g.inverse()), 5.759446230527, 1e-12)
  }

  @Test func lowRank() {
    let n = 100, m = 7, a = 3.0, w = 2.5, s = TradeSpectrum.rank(m, of: n, value: a), f = Double(m) / Double(n), b = w * a
    close(s.distortion(w), pow(1 + b, f) * (1 - f * b / (1 + b)), 1e-13)
    close(s.observable(w), pow(1 + b, f - 1), 1e-13)
    // 64 shells of a million latents, ten thousand times better: at most 0.0026 dB.
    let global = TradeSpectrum.rank(64, of: 1_000_000)
    let price = global.cost(global.weight(gain: 40)!)
    #expect(price < 0.0026 && price > 0.0022, "\(price) dB")
    close(s.effectiveRank, Double(m), 1e-12)
    #expect(s.maximumGain == .infinity)
  }

  /// n v det(G)^(1/n) is the least D + lambda P: random perturbations never lower it, descent from 20 starts reaches it.
  @Test func bestNoiseIsBest() throws {                                                 // A-8, GL-5
    let n = 5, law = LocalLaw(distortion: try randomMetric(n, 2), observable: try randomMetric(n, 3)), weight = 1.3
    let g = law.combined(weight), best = try law.leastCost(weight: weight), root = try law.noise(weight: weight).squareRoot()
    close(DenseMatrix.inner(g, try law.noise(weight: weight)), best, 1e-12)
    close(try law.noise(weight: weight).logDeterminant(), 0, 1e-12)
    let r = CounterRandom(seed: seed)
    func symmetric(_ k: Int, _ size: Double) -> DenseMatrix {
      let m = DenseMatrix(rows: n, columns: n) { size * r.gaussian(component: $0 * n + $1, at: Index3(0, 0, k)) }.symmetrised
      return m - m.trace / Double(n) * .identity(n)
    }
    for k in 0..<1000 {
      let s = root * (try symmetric(k, k % 2 == 0 ? 0.01 : 0.5).function { exp($0) }) * root
      #expect(DenseMatrix.inner(g, s) >= best * (1 - 1e-8))
    }
    for start in 0..<20 {
      var s = try symmetric(5000 + start, 1).function { exp($0) }
      for _ in 0..<200 {
        let q = try s.squareRoot(), h = (q * g * q).symmetrised, mean = h.trace / Double(n)
        let step = -0.5 / h.norm * (h - mean * .identity(n))
        s = (q * (try step.function { exp($0) }) * q).symmetrised
        #expect(DenseMatrix.inner(g, s) >= best * (1 - 1e-8))
      }
      close(DenseMatrix.inner(g, s) / best, 1, 1e-6)
    }
  }

  @Test func coordinatesDoNotMatter() throws {
    let n = 8, d = try randomMetric(n, 4), p = try randomMetric(n, 5), rate = try randomMetric(n, 6, spread: 0.3)
    let q = try LatentCases.orthogonal(n, seed: seed &+ 3)
    let t = q.scaled(rows: (0..<n).map { 1 + 0.3 * Double($0) }, columns: [Double](repeating: 1, count: n))   // T^-1 of y -> T y
    func moved(_ g: DenseMatrix) -> DenseMatrix { t.transposed * g * t }
    let a = try TradeSpectrum(observable: p, distortion: d), b = try TradeSpectrum(observable: moved(p), distortion: moved(d))
    for (x, y) in zip(a.values, b.values) { close(x / y, 1, 1e-9) }
    close(a.distortion(1), b.distortion(1), 1e-9)
    let noise = DenseMatrix.identity(n)
    let w = try PairwiseComparison(distortion: d, observable: p, rate: rate, noise: noise).distortionObservable.overlap
    let v = try PairwiseComparison(distortion: moved(d), observable: moved(p), rate: moved(rate), noise: noise).distortionObservable.overlap
    #expect(w.rank == v.rank)
    close(w.value, v.value, 1e-9)
    let plain = try Comparison(d, p).overlap.curve, turned = try Comparison(moved(d), moved(p)).overlap.curve
    #expect(zip(plain, turned).contains { abs($0.value - $1.value) > 1e-3 })
  }

  @Test func chanceOfHaarSpaces() {
    let n = 20, k = 3, pairs = 40_000, r = CounterRandom(seed: seed, stream: 10)
    func space(_ t: Int) -> [[Double]] {
      var v = (0..<k).map { j in (0..<n).map { r.gaussian(component: t, at: Index3(0, j, $0)) } }
      for j in 0..<k {
        for i in 0..<j {
          let c = zip(v[i], v[j]).reduce(0) { $0 + $1.0 * $1.1 }
          for x in 0..<n { v[j][x] -= c * v[i][x] }
        }
        let s = v[j].reduce(0) { $0 + $1 * $1 }.squareRoot()
        for x in 0..<n { v[j][x] /= s }
      }
      return v
    }
    var sum = 0.0, squares = 0.0
    for t in 0..<pairs {
      let u = space(2 * t), w = space(2 * t + 1)
      var f = 0.0
      for a in u { for b in w { let c = zip(a, b).reduce(0) { $0 + $1.0 * $1.1 }; f += c * c } }
      sum += f; squares += f * f
    }
    let mean = sum / Double(pairs), variance = squares / Double(pairs) - mean * mean
    close(mean, 0.45, 0.45 * 0.03); close(variance, 0.03111, 0.03111 * 0.03)
    close(Overlap.chanceVariance(3, 3, of: 20), 0.03111, 1e-5)
  }

  @Test func misalignmentBoundsTheCost() throws {
    let r = CounterRandom(seed: seed, stream: 11)
    var sharp = 0
    for t in 0..<300 {
      let n = 6 + t % 5, k = 1 + t % 3, u = try LatentCases.orthogonal(n, seed: seed &+ UInt64(2 * t)), v = try LatentCases.orthogonal(n, seed: seed &+ UInt64(2 * t + 1))
      func metric(_ q: DenseMatrix, _ c: Int) -> DenseMatrix {
        let d = (0..<n).map { ($0 < k ? 30 : 1) * (0.5 + r.uniform(component: c, at: Index3(0, t, $0))) }
        return q.scaled(rows: [Double](repeating: 1, count: n), columns: d) * q.transposed
      }
      let law = LocalLaw(distortion: metric(u, 0), observable: metric(v, 1))
      let weight = exp(6 * r.uniform(component: 2, at: Index3(0, t, 0)) - 3), bound = try law.misalignmentBound(rank: k, weight: weight)
      if bound > 0 { sharp += 1 }
      #expect(try law.spectrum().logDistortion(weight) >= bound - 1e-12, "case \(t), seed \(seed)")
      #expect(try law.simultaneousDefect(weight: weight) >= -1e-10)
    }
    #expect(sharp > 50)
  }

  @Test func waterFilling() throws {
    let n = 6, c = try randomMetric(n, 7, spread: 0.3), law = LocalLaw(distortion: try randomMetric(n, 8), observable: try randomMetric(n, 9))
    let spectrum = try law.spectrum()
    let a = try law.hard(covariance: c, weight: 0, rate: 40), b = try law.hard(covariance: c, weight: 2, rate: 40)
    #expect(a.shares.allSatisfy { $0 < 1 } && b.shares.allSatisfy { $0 < 1 })
    close(b.distortion / a.distortion, spectrum.distortion(2), 1e-10); close(b.observable / a.observable, spectrum.observable(2), 1e-10)
    close(b.rates.reduce(0, +), 40, 1e-9)
    let kappa = [9.0, 4, 1, 0.01], low = LocalLaw(distortion: DenseMatrix(diagonal: kappa), observable: DenseMatrix(diagonal: [1, 1, 1, 1]))
    let h = try low.hard(covariance: .identity(4), weight: 0, rate: 1.5)
    #expect(h.shares[3] == 1 && h.rates[3] == 0)
    close(h.rates.reduce(0, +), 1.5, 1e-12)
    close(h.distortion, kappa.reduce(0) { $0 + min($1, h.level) }, 1e-12)
  }

  @Test func softLaw() throws {
    let n = 5, c = try randomMetric(n, 12), law = LocalLaw(distortion: try randomMetric(n, 13), observable: try randomMetric(n, 14)), prior = try c.inverse()
    let s = try law.noise(rate: prior, distortionWeight: 3, observableWeight: 2)
    let back = try s.inverse() - (prior + 6 * law.distortion + 4 * law.observable)
    close(back.norm, 0, 1e-9)
    #expect(try LocalLaw.rate(noise: s, rate: prior) > 0)
    close(try LocalLaw.rate(noise: c, rate: prior), 0, 1e-12)
    // In whitened coordinates: 1/2 (tr S - ln det S - n).
    let root = try prior.squareRoot(), white = (root * s * root).symmetrised
    close(try LocalLaw.rate(noise: s, rate: prior), 0.5 * (white.trace - (try white.logDeterminant()) - Double(n)), 1e-11)
    // Noise never exceeds the prior: C - S is positive semidefinite.
    #expect(try (c - s).eigen().values.last! >= -1e-12)
    // Stationary: small changes of S never lower the Lagrangian.
    func lagrangian(_ s: DenseMatrix) throws -> Double {
      try LocalLaw.rate(noise: s, rate: prior) + 3 * law.errors(s).distortion + 2 * law.errors(s).observable
    }
    let least = try lagrangian(s)
    for k in 0..<20 { #expect(try lagrangian(s + 1e-3 * s * randomMetric(n, UInt64(100 + k)) * s) >= least) }
  }

  /// Law B in bands is law B of matrices, at the same rate; far above the noise it is law A.
  @Test(arguments: [0.0, 0.3, 8]) func softLawOfBands(weight: Double) throws {
    let theta = 0.1, g = [4, 0.5, 0.5, 0.02, 0.02, 0.02], v = [3, 0.8, 0.8, 0.05, 0.05, 0.05]
    let bands = BandSpectrum([.init(sensitivity: 4, count: 1, variance: 3), .init(sensitivity: 0.5, count: 2, variance: 0.8), .init(sensitivity: 0.02, count: 3, variance: 0.05)])
    let law = LocalLaw(distortion: .identity(6), observable: DenseMatrix(diagonal: g)), prior = DenseMatrix(diagonal: v.map { 1 / $0 })
    let p = bands.prediction(weight: weight, rate: .soft(theta)), after = theta * p.stepRatio * p.stepRatio
    let start = try law.noise(rate: prior, distortionWeight: 0.5 / theta, observableWeight: 0)
    let end = try law.noise(rate: prior, distortionWeight: 0.5 / after, observableWeight: 0.5 * weight / after)
    close(try LocalLaw.rate(noise: end, rate: prior) / LocalLaw.rate(noise: start, rate: prior), 1, 1e-11)
    let noise = bands.noise(weight: weight, rate: .soft(theta))
    for (i, band) in [0, 1, 1, 2, 2, 2].enumerated() { close(end[i, i], noise[band], 1e-12); #expect(noise[band] < v[i]) }
    close(p.logDistortion, log(law.errors(end).distortion / law.errors(start).distortion), 1e-11)
    close(p.logObservable, log(law.errors(end).observable / law.errors(start).observable), 1e-11)
    #expect(p.cost >= -1e-12 && p.gain >= -1e-12)
    let fine = bands.prediction(weight: weight, rate: .soft(1e-7)), high = bands.prediction(weight: weight)
    close(fine.cost, high.cost, 1e-4); close(fine.gain, high.gain, 1e-4)
    // Hard and soft water-filling at the same rate: levels that agree where nearly all is active.
    guard case .soft(let level) = bands.soft(.nats(4)) else { Issue.record("not soft"); return }
    close(level / WaterFilling(v).level(rate: 24), 1, 1e-12)
    #expect(bands.soft(.noise(0.2)) == .soft(0.2) && bands.soft(.high) == .high)
  }

  /// Minkowski's bound from the eigenvalues is that from the determinants, and no noise of the same volume undercuts it.
  @Test func simultaneousBound() throws {                                               // THEORY 1.4
    let n = 6, d = try randomMetric(n, 40), p = try randomMetric(n, 41), law = LocalLaw(distortion: d, observable: p), s = try law.spectrum()
    for w in [0.05, 1, 30] {
      close(try law.simultaneousDefect(weight: w), exp(try d.logDeterminant() / Double(n)) * s.simultaneousDefect(w), 1e-10)
      let least = (try law.leastCost(weight: 0), try LocalLaw(distortion: p, observable: d).leastCost(weight: 0))
      #expect(s.simultaneousBound(w) > 0)
      for k in 0..<30 {
        let g = try randomMetric(n, UInt64(50 + k)), noise = exp(-(try g.logDeterminant()) / Double(n)) * g, e = law.errors(noise)
        #expect(10 * log10(max(e.distortion / least.0, e.observable / least.1)) >= s.simultaneousBound(w) - 1e-10)
      }
    }
    let same = TradeSpectrum([2, 2, 2])
    #expect(same.simultaneousDefect(3) < 1e-14 && same.simultaneousBound(3) < 1e-14)
    // What is felt nowhere in some direction can be kept at any price there: lambda AM(a) at most.
    close(TradeSpectrum.rank(1, of: 10).simultaneousDefect(2), pow(3, 0.1) - 1, 1e-14)
  }

  @Test func uniformQuantiserExcess() {
    let step = 0.05
    var entropy = 0.0
    for k in -200...200 {
      let p = 0.5 * (erfc((Double(k) - 0.5) * step / 2.0.squareRoot()) - erfc((Double(k) + 0.5) * step / 2.0.squareRoot()))
      if p > 0 { entropy -= p * log2(p) }
    }
    close(entropy - 0.5 * log2(12 / (step * step)), 0.2546, 0.003)
  }

  @Test(arguments: [0.2, 1, 4]) func smallTrades(spread: Double) throws {
    let r = CounterRandom(seed: seed, stream: 15)
    let s = TradeSpectrum((0..<200).map { 1 + spread * r.uniform(at: Index3(0, 0, $0)) }), v = s.relativeVariance
    for l in [1e-2, 1e-3, 1e-4] {
      let w = s.weight(normalised: l), d = s.logDistortion(w), p = s.logObservable(w)
      close(d / (0.5 * l * l * v), 1, 20 * l + 1e-6 / (l * l * v) * 1e-6)
      close(p / (-l * v), 1, 20 * l)
      close(s.smallTradeCost(gain: s.gain(w)) / s.cost(w), 1, 20 * l + 1e-12 / (l * l * v))
    }
  }

  @Test func dualEigenvalues() throws {
    let n = 12, m = 3, r = CounterRandom(seed: seed, stream: 16)
    let v = DenseMatrix(rows: n, columns: m) { r.gaussian(component: $0, at: Index3(0, 0, $1)) }
    let primal = try (v * v.transposed).eigen().values, dual = try (v.transposed * v).eigen().values
    for i in 0..<m { close(primal[i] / dual[i], 1, 1e-12) }
    for i in m..<n { close(primal[i], 0, 1e-12 * primal[0]) }
  }

  @Test func slackAndStaticShape() throws {
    let law = LocalLaw(distortion: try randomMetric(5, 20), observable: .identity(5))
    close(try law.slack(noise: law.noise(weight: 0)), 1, 1e-12)
    #expect(try law.slack(noise: .identity(5)) > 1)
    #expect(try LocalLaw.staticShapeLoss([randomMetric(5, 21), randomMetric(5, 22)]) > 0)
    close(try LocalLaw.staticShapeLoss([law.distortion, law.distortion]), 0, 1e-12)
  }

  @Test func pooledTilesShareOneLevel() {
    let a = TradeSpectrum([1, 2, 3]), b = TradeSpectrum([0.1, 5], weights: [2, 1]), both = TradeSpectrum(pooling: [a, b])
    #expect(both.count == 6)
    close(both.distortion(0.7), TradeSpectrum([1, 2, 3, 0.1, 0.1, 5]).distortion(0.7), 1e-15)
  }
}

@Suite struct BandTests {
  static let bands = BandSpectrum([
    .init(sensitivity: 4000, count: 8, variance: 50), .init(sensitivity: 3, count: 56, variance: 8),
    .init(sensitivity: 0.5, count: 448, variance: 0.9), .init(sensitivity: 0.02, count: 3584, variance: 0.06),
  ])

  @Test func highRateIsTheSpectrum() {
    let b = BandTests.bands, w = 0.8, p = b.prediction(weight: w)
    close(p.logDistortion, b.spectrum.logDistortion(w), 0)
    // All active: water-filling says the same.
    let q = b.prediction(weight: w, rate: .noise(1e-6))
    close(q.logDistortion, p.logDistortion, 1e-9); close(q.logObservable, p.logObservable, 1e-9)
    #expect(q.lowRateShare == 0)
    // Steps keep the rate and have ratios (1 + lambda g)^-1/2.
    let s = b.steps(weight: w)
    close(zip(b.bands, s).reduce(0) { $0 + $1.0.count * log($1.1) }, 0, 1e-9)
    close(s[0] / s[3], ((1 + w * 0.02) / (1 + w * 4000)).squareRoot(), 1e-14)
  }

  @Test(arguments: [BandSpectrum.Rate.noise(0.05), .noise(0.5), .nats(0.2)]) func lowRate(rate: BandSpectrum.Rate) {
    let b = BandTests.bands
    let noise = b.noise(weight: 0, rate: rate), after = b.noise(weight: 2, rate: rate)
    func nats(_ v: [Double]) -> Double { zip(b.bands, v).reduce(0) { $0 + $1.0.count * 0.5 * log($1.0.variance / $1.1) } }
    close(nats(noise) / nats(after), 1, 1e-9)
    if case .nats(let r) = rate { close(nats(noise) / b.spectrum.count, r, 1e-9) }
    let p = b.prediction(weight: 2, rate: rate)
    #expect(p.cost >= 0 && p.gain >= 0)
    #expect(p.lowRateShare > 0.5)
  }

  /// Far above the step the high-rate law, 0.2546 bits over the ideal code; below it the variance for nearly nothing.
  @Test func roundingOfGaussians() {
    let law = UniformRounding.shared
    for s in [1.5, 3.0, 7, 50, 1e6] {
      let x = log(s)
      // With the first term of the series in 1/s^2.
      close(law.rate(x).nats, x + 0.5 * log(2 * Double.pi * M_E) + 1 / (24 * s * s), 5e-4); close(law.error(x), 1.0 / 12 - 1 / (144 * s * s), 5e-4)
      if s >= 7 { close((law.rate(x).nats - 0.5 * log(s * s / law.error(x))) / log(2), 0.2546, 3e-3) }
    }
    for s in [1e-9, 0.01, 0.1] { close(law.error(log(s)) / (s * s), 1, 1e-4); close(law.rate(log(s)).nats, 0, 1e-5) }
    // Against integrals by small steps, levels decoded to their means.
    for s in [0.2, 0.37, 0.8] {
      var p = [Int: (weight: Double, sum: Double, square: Double)]()
      for i in -400_000..<400_000 {
        let x = (Double(i) + 0.5) * 2e-5, w = exp(-0.5 * x * x / (s * s)) / (s * (2 * Double.pi).squareRoot()) * 2e-5, q = Int(x.rounded())
        let old = p[q] ?? (0, 0, 0)
        p[q] = (old.weight + w, old.sum + w * x, old.square + w * x * x)
      }
      close(law.rate(log(s)).nats, p.values.reduce(0) { $0 - ($1.weight > 0 ? $1.weight * log($1.weight) : 0) }, 1e-4)
      close(law.error(log(s)), p.values.reduce(0) { $0 + ($1.weight > 0 ? $1.square - $1.sum * $1.sum / $1.weight : 0) }, 1e-4)
    }
    for k in -40..<20 { #expect(law.rate(0.1 * Double(k)).nats <= law.rate(0.1 * Double(k + 1)).nats && law.rate(0.1 * Double(k)).slope >= 0) }
  }

  /// The rate is kept, factors by hand are those of the weight, and the ideal code's numbers are the limit.
  @Test(arguments: [0.0005, 0.05, 0.5]) func rounded(theta: Double) {
    let b = BandTests.bands, rate = BandSpectrum.Rate.rounded(theta), w = 2.0
    let p = b.prediction(weight: w, rate: rate), law = UniformRounding.shared
    func nats(_ steps: [Double]) -> Double { zip(b.bands, steps).reduce(0) { $0 + $1.0.count * law.rate(0.5 * log($1.0.variance) - log($1.1)).nats } }
    let step = (12 * theta).squareRoot()
    close(nats(b.steps(weight: w, rate: rate).map { step * $0 }) / nats(b.bands.map { _ in step }), 1, 1e-9)
    let q = b.prediction(factors: b.bands.map { (1 + w * $0.sensitivity).squareRoot() }, rate: rate)
    close(p.cost, q.cost, 1e-12); close(p.gain, q.gain, 1e-12)
    // Near the step equal steps are not quite the best for D alone.
    #expect(p.cost > -0.1 && p.gain > 0)
    if theta < 0.001 { close(p.cost, b.prediction(weight: w).cost, 0.01); close(p.gain, b.prediction(weight: w).gain, 0.02) }
  }

  @Test(arguments: [BandSpectrum.Rate.high, .noise(0.05), .rounded(0.05)]) func inverses(rate: BandSpectrum.Rate) throws {
    let b = BandTests.bands
    let w = try #require(b.weight(gain: 5, rate: rate)), v = try #require(b.weight(cost: 0.2, rate: rate))
    close(b.prediction(weight: w, rate: rate).gain, 5, 1e-9)
    close(b.prediction(weight: v, rate: rate).cost, 0.2, 1e-9)
    #expect(b.weight(gain: b.maximumGain(rate: rate) + 0.1, rate: rate) == nil)
    #expect(b.weight(gain: 0, rate: rate) == 0)
  }

  @Test func nothingFelt() {
    let b = BandSpectrum([.init(sensitivity: 0, count: 10, variance: 1)])
    #expect(b.prediction(weight: 1).cost == 0 && b.prediction(weight: 1).gain == 0 && b.weight(gain: 1) == nil && b.spectrum.relativeVariance == 0)
  }

  @Test func verdicts() throws {
    let a = try Alignment(observable: "averages", bands: BandTests.bands,
                          samples: BandSamples(sensitivities: (0..<20).map { k in BandTests.bands.bands.map { $0.sensitivity * (1 + 0.02 * Double(k % 5 - 2)) } }))
    #expect(a.tenfold != nil && a.verdict.hasPrefix("keeping averages 10x better"), "\(a.verdict)")
    #expect(a.cost.lower <= a.cost.value && a.cost.value <= a.cost.upper)
    #expect(a.forms.high.cost == a.cost && a.forms.soft == nil && a.forms.bound.lower < a.forms.bound.upper)
    let low = try Alignment(observable: "averages", bands: BandTests.bands, rate: .noise(0.1), samples: BandSamples(
      variances: (0..<20).map { k in BandTests.bands.bands.map { $0.variance * (1 + 0.1 * Double(k % 5 - 2)) } }, counts: (0..<20).map { _ in [1, 7, 56, 448] }))
    let soft = try #require(low.forms.soft), hard = try #require(low.forms.hard)
    #expect(hard.cost == low.cost && hard.cost.lower < hard.cost.upper && soft.gain.lower < soft.gain.upper)
    // Sensitivities are known: only what depends on variances has an interval.
    #expect(low.forms.high.cost.lower == low.forms.high.cost.upper && low.relativeVariance.lower == low.relativeVariance.upper)
    let b = try Alignment(observable: "vorticity", bands: BandSpectrum([
      .init(sensitivity: 0.4, count: 100, variance: 1), .init(sensitivity: 1.5, count: 100, variance: 1)]))
    #expect(b.tenfold == nil && b.verdict.contains("cannot gain more than 0.9 dB"), "\(b.verdict)")
    let c = try Alignment(observable: "copy", bands: BandSpectrum([.init(sensitivity: 2, count: 100, variance: 1)]))
    #expect(c.verdict.contains("nothing to gain"), "\(c.verdict)")
  }
}

@Suite struct ShapingTests {
  private static func correlated(_ rho: Double) -> DenseMatrix { DenseMatrix(rows: 2, columns: 2, [1, rho, rho, 1]) }

  @Test(arguments: [(0.6, 1.25), (0.8, 1.0 / 0.6)]) func hadamardRatio(rho: Double, ratio: Double) throws {
    let g = ShapingTests.correlated(rho)
    close(exp(try NoiseShaping.diagonal.logExcess(g) - NoiseShaping.nearestPlane.logExcess(g)), ratio, 1e-12)
    let u = try NoiseShaping.nearestPlane.steps(g, step: 0.1)
    close(u[0] * u[1], 0.01, 1e-15)
  }

  @Test func diagonalMetricIsPlainRounding() throws {
    let g = DenseMatrix(diagonal: [4, 1, 0.3, 17]), s1 = try NoiseShaping.diagonal.steps(g, step: 0.37), s2 = try NoiseShaping.nearestPlane.steps(g, step: 0.37)
    #expect(s1 == s2)
    let plane = try NearestPlane(metric: g, steps: s2), y = [1.234, -7.1, 0.05, 3.3]
    #expect(plane.symbols(y) == zip(y, s1).map { Int(($0 / $1).rounded(.toNearestOrEven)) })
    #expect(try NoiseShaping.nearestPlane.steps(0.7 * .identity(5), step: 0.37) == [Double](repeating: 0.37, count: 5))
    #expect(try NoiseShaping.diagonal.steps(0.7 * .identity(5), step: 0.37) == [Double](repeating: 0.37, count: 5))
  }

  /// The error R (y^ - y) fills a cube: D + lambda P is n Delta^2/12 within sampling error, and less than with diagonal steps of equal rate.
  @Test func nearestPlaneReachesTheOptimum() throws {
    let n = 6, g = try randomMetric(n, 30), delta = 0.05, trials = 4000, r = CounterRandom(seed: seed, stream: 30)
    var costs: [Double] = []
    for shaping in [NoiseShaping.nearestPlane, .diagonal, .uniform] {
      let steps = try shaping.steps(g, step: delta)
      // Feedback for the first; none for the others.
      let plane = try NearestPlane(metric: shaping == .nearestPlane ? g : .identity(n), steps: steps)
      var sum = 0.0
      for t in 0..<trials {
        let y = (0..<n).map { 3 * r.gaussian(component: t, at: Index3(0, 0, $0)) }
        let e = zip(plane.values(plane.symbols(y)), y).map { $0 - $1 }
        sum += zip(e, g * e).reduce(0) { $0 + $1.0 * $1.1 }
      }
      costs.append(sum / Double(trials))
      close(costs.last! / exp(try shaping.logCost(g, step: delta)), 1, 0.05)
    }
    close(costs[0] / (Double(n) * delta * delta / 12 * exp(try g.logDeterminant() / Double(n))), 1, 0.02)
    #expect(costs[0] < costs[1] && costs[1] < costs[2])
  }

  @Test func deadZoneTradesRateForError() throws {
    let g = ShapingTests.correlated(0.5), plane = try NearestPlane(metric: g, steps: [1, 1])
    #expect(plane.symbols([0.6, 0.6]) == [1, 1] || plane.symbols([0.6, 0.6]) == [0, 1])
    #expect(plane.symbols([0.6, 0.6], slope: 10, bits: { Double(abs($1)) }) == [0, 0])
  }

  @Test func generalisedTransform() throws {
    let n = 5, c = try randomMetric(n, 31), g = try randomMetric(n, 32), t = try GeneralisedKLT(covariance: c, metric: g)
    close((t.synthesis * t.analysis - .identity(n)).norm, 0, 1e-11)
    close((t.synthesis.transposed * g * t.synthesis - DenseMatrix(diagonal: t.variances)).norm, 0, 1e-10)
    close(try t.scalarCodingLoss(covariance: c), 0, 1e-11)
    let rotation = try GeneralisedKLT(rotationOf: g), plain = try GeneralisedKLT(covariance: .identity(n), metric: g)
    #expect(rotation.analysis == plain.analysis && rotation.variances == plain.variances)
    #expect(try rotation.scalarCodingLoss(covariance: c) > 0.01)
    // Cost and rate are those of the law.
    let law = try LocalLaw(distortion: g, observable: .identity(n)).hard(covariance: c, weight: 0, rate: 3)
    close(t.cost(level: law.level), law.distortion, 1e-9); close(t.rate(level: law.level), 3, 1e-9)
    #expect(t.steps(level: t.variances[2]).map { $0 == nil } == [false, false, true, true, true])
  }
}
