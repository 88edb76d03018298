import Codecs
import Glibc
import LatentGeometry
import Reduction
import Statistics

/// Latents that share a sensitivity and a variance, and samples of them: what the law and its intervals are made from.
///
/// Bands are those of a lapped transform, or shells of modes; all lists are `[component][band]`, one after another.
protocol BandStatistics {
  /// g of every band of observable j, and estimates of it from each sample (none where it does not come from samples).
  func sensitivity(_ j: Int) -> (mean: [Double], samples: [[Double]])
  /// Mean square of the coefficients, in all, and per sample.
  var variances: [Double] { get }
  var sampled: [[Double]] { get }
  /// Latents in the field and in each sample.
  var counts: [Double] { get }
  var sampledCounts: [[Double]] { get }
  /// Values of the field, C N.
  var values: Double { get }
}

/// Bands of like sensitivity and variance, within half an octave, taken together.
struct BandClasses {
  /// Class of each component and band.
  let of: [Int]
  let bands: BandSpectrum
  /// g in units of the distortion, variance and latents of each class by sample.
  var samples = BandSamples()
  var counts: [Double] { bands.bands.map(\.count) }
}

extension BandStatistics {
  func classes(_ j: Int) -> BandClasses {
    let (mean, samples) = sensitivity(j), g = mean.map { $0 * values }
    let top = g.max() ?? 0, high = variances.max() ?? 0
    func step(_ v: Double, _ largest: Double) -> Int { v > 0 && largest > 0 ? max(-80, Int((2 * log2(v / largest)).rounded(.down))) : -81 }
    let counts = counts, variances = variances, sampled = sampled, sampledCounts = sampledCounts
    // Steps are -81 ... 0.
    var seen = [Bool](repeating: false, count: g.count), numbers = [Int](repeating: -1, count: 82 * 82), size = 0, of = [Int](repeating: -1, count: g.count)
    for list in sampledCounts { for i in list.indices where list[i] > 0 { seen[i] = true } }
    for i in g.indices where counts[i] > 0 && seen[i] {
      let key = -82 * step(g[i], top) - step(variances[i], high)
      if numbers[key] < 0 { numbers[key] = size; size += 1 }
      of[i] = numbers[key]
    }
    func summed(_ v: [Double]) -> [Double] {
      var s = [Double](repeating: 0, count: size)
      for i in of.indices where of[i] >= 0 { s[of[i]] += v[i] }
      return s
    }
    func merged(_ v: [Double], _ weights: [Double], _ n: [Double]) -> [Double] {
      var s = [Double](repeating: 0, count: size)
      for i in of.indices where of[i] >= 0 { s[of[i]] += weights[i] * v[i] }
      return zip(s, n).map { $1 > 0 ? $0 / $1 : 0 }
    }
    let n = summed(counts), means = merged(g, counts, n), spread = merged(variances, counts, n)
    var out = BandClasses(of: of, bands: BandSpectrum(n.indices.map { .init(sensitivity: means[$0], count: n[$0], variance: spread[$0]) }))
    out.samples.counts = sampledCounts.map(summed)
    for (t, n) in out.samples.counts.enumerated() {
      if !samples.isEmpty { out.samples.sensitivities.append(merged(samples[t].map { $0 * values }, sampledCounts[t], n)) }
      out.samples.variances.append(merged(sampled[t], sampledCounts[t], n))
    }
    return out
  }

  /// Overlap of the dominant spaces of observable and rate: G_P and G_R = 1/variance (Fisher information of Gaussian latents), both whitened by
  /// the quantiser, whose noise is the same in every coefficient. The distortion's is flat there: it has no such spaces.
  func rateOverlap(_ c: BandClasses) -> Overlap {
    let b = c.bands.bands
    return Overlap(diagonal: b.map(\.sensitivity), b.map { $0.variance > 0 ? 1 / $0.variance : 0 }, counts: c.counts)
  }

  /// Overlap of the dominant spaces of variance (distortion) and sensitivity times variance (observable), whitened by the prior, with its
  /// interval over the samples.
  func overlap(_ j: Int, _ c: BandClasses, replicas: Int) throws -> (Overlap, Interval) {
    let n = c.counts
    // A mean square over m latents has a relative standard error of sqrt(2/m).
    var looked = [Double](repeating: 0, count: n.count)
    for list in c.samples.counts { for i in looked.indices { looked[i] += list[i] } }
    let relative = looked.map { (2 / max(1, $0)).squareRoot() }
    func whitened(_ bands: BandSpectrum) -> (h: [Double], k: [Double], errors: ([Double], [Double])) {
      let h = bands.bands.map(\.variance), k = bands.bands.map { $0.variance * $0.sensitivity }
      return (h, k, (zip(h, relative).map { $0 * $1 }, zip(k, relative).map { $0 * $1 }))
    }
    let w = whitened(c.bands), best = Overlap(diagonal: w.h, w.k, counts: n, errors: w.errors)
    let interval = try Bootstrap(replicas: replicas, seed: 2).intervals(c.samples.units, reducer: SoleReducer()) { s in
      let w = whitened(c.samples.resampled(s, c.bands))
      return [Overlap.value(diagonal: w.h, w.k, counts: n, errors: w.errors)]
    }[0]
    return (best, Interval(value: best.value, lower: min(interval.lower, best.value), upper: max(interval.upper, best.value)))
  }
}

/// The cheap form for the report of a job: the law's numbers and the overlap, from a few samples.
extension ObservableReport.Alignment {
  init(_ a: some BandStatistics, _ j: Int, noise theta: Double) throws {
    self.init()
    let c = a.classes(j), (overlap, interval) = try a.overlap(j, c, replicas: 60)
    k = overlap.rank
    chance = overlap.chance
    if overlap.verdict == .defined { self.overlap = overlap.value; ci = [interval.lower, interval.upper] }
    let p = c.bands.prediction(weight: c.bands.spectrum.weight(normalised: 1), rate: .noise(theta))
    cv2 = c.bands.spectrum.relativeVariance
    maxGainDB = c.bands.maximumGain(rate: .noise(theta))
    predictedCostDB = p.cost; predictedGainDB = p.gain; predictedCostBits = p.rateCost
  }

  /// The full form of the pre-flight, with intervals over the samples and a verdict.
  ///
  /// - Parameter slack: D of the steps at hand over that of the best ones.
  init(_ a: some BandStatistics, _ j: Int, rate: BandSpectrum.Rate, slack: Double = 1, name: String) throws {
    self.init()
    let c = a.classes(j), found = try a.overlap(j, c, replicas: 100)
    let full = try LatentGeometry.Alignment(
      observable: name, bands: c.bands, rate: rate, samples: c.samples, slack: slack, overlap: found,
      bootstrap: Bootstrap(replicas: 100, seed: 1))
    k = found.0.rank
    chance = found.0.chance
    if found.0.verdict == .defined { overlap = found.1.value; ci = [found.1.lower, found.1.upper] }
    let shared = a.rateOverlap(c)
    if shared.verdict == .defined { rateOverlap = shared.value }
    cv2 = full.relativeVariance.value; cv2CI = ends(full.relativeVariance)
    maxGainDB = full.maximumGain.value; maxGainCI = ends(full.maximumGain)
    predictedCostDB = full.cost.value; predictedCostCI = ends(full.cost)
    predictedGainDB = full.gain.value; predictedCostBits = full.rateCost.value
    laws = .init(full.forms, slack: full.slack)
    if let t = full.tenfold { tenfoldCostDB = t.cost; tenfoldCostBits = t.rateCost }
    verdict = full.verdict
  }
}

/// Empty where nothing was sampled.
private func ends(_ i: Interval) -> [Double] { i.lower < i.upper ? [i.lower, i.upper] : [] }

extension ObservableReport.Alignment.Laws {
  fileprivate init(_ f: LatentGeometry.Alignment.Forms, slack: Double) {
    func law(_ l: LatentGeometry.Alignment.Law) -> Law {
      var out = Law()
      out.costDB = l.cost.value; out.costCI = ends(l.cost)
      out.gainDB = l.gain.value; out.gainCI = ends(l.gain)
      out.costBits = l.rateCost.value
      out.maxGainDB = l.maximumGain.value; out.maxGainCI = ends(l.maximumGain)
      return out
    }
    self.init()
    high = law(f.high); soft = f.soft.map(law); hard = f.hard.map(law)
    curvature = f.curvature.value; curvatureCI = ends(f.curvature)
    defect = f.defect.value; defectCI = ends(f.defect)
    boundDB = f.bound.value; boundCI = ends(f.bound)
    slackDB = 10 * log10(slack)
  }
}
