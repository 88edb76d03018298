import Foundation
import LatentGeometry
import Observables
import Statistics

/// The cells of a study: for each codec, observable and fidelity what the law says of the unaligned codec, and what aligned codecs of the
/// same rate did.
struct Cells {
  var cells = Table([
    "domain", "field", "codec", "observable", "psnr", "rate", "source", "d0", "d0pred", "p0", "p0pred", "lowshare", "slack", "cv2", "cv2active",
    "maxgain", "flatness", "omega", "omegalow", "omegahigh", "chance", "rank", "corrected", "omegag", "gain05", "gain05pred", "cost3", "cost3pred",
  ])
  var points = Table([
    "domain", "field", "codec", "observable", "psnr", "weight", "rate0", "rate", "cost", "costpred", "costhigh", "gain", "gainpred", "gainhigh",
    "gainerror", "draws", "integers", "costintegers", "slope", "spread", "edge", "edgepred", "rateedge", "rateedgepred",
  ])

  init(_ study: Study, _ psnr: Double, _ snapshot: Snapshot, log: (String) -> Void) throws {
    for kind in study.codecs {
      let codec = TransformCodec(kind, grid: snapshot.grid, components: snapshot.components)
      let quantiser = try Quantiser(codec, snapshot.values), variances = quantiser.variances()
      let observables = try study.observables.map { try Study.observable($0) }
      let truths = try observables.map { try $0.value(of: snapshot.values, on: snapshot.domain) }
      let scales = try zip(observables, truths).map { try $0.scales(of: $1, on: snapshot.domain) }
      let felt = try observables.map { try BandSensitivities($0, codec, snapshot, members: quantiser.members) }
      let omegas = try felt.map { try overlap($0, quantiser, seed: 1) }
      let stiff = felt.map { Order($0, key: zip($0.observable, $0.distortion).map { $0 / max($1, 1e-300) }) }
      let dear = Order(felt[0], key: zip(felt[0].distortion, variances).map { -$0 * $1 })
      let limit = Study.draws(values: codec.latentCount), activity = quantiser.activity(classes: 6)
      // The unaligned codec: steps ~ G_D^-1/2.
      let flat = felt[0].factors(weight: 0), rmse = snapshot.range * pow(10, -psnr / 20)
      let step = Quantiser.solved(from: rmse * sqrt(12), slope: -6, target: psnr, tolerance: 0.01) {
        10 * log10(snapshot.range * snapshot.range / meanSquare(quantiser.field(quantiser.coded(factors: flat, step: $0).decoded), snapshot.values))
      }
      let base = quantiser.coded(factors: flat, step: step), rate0 = quantiser.rate(base, factors: flat), noise0 = quantiser.noise(base)
      let today0 = quantiser.rate(base, factors: flat, contexts: .integers)
      let start = Draws(quantiser, factors: flat, step: step)
      for (j, o) in observables.enumerated() {
        func error(_ field: FieldParts) throws -> Double { try alidade_law.error(o, field, truths[j], scales[j], snapshot) }
        let f = felt[j], bands = f.spectrum(quantiser, activity: activity), rate = BandSpectrum.Rate.noise(step * step / 12)
        let predicted = bands.errors(weight: 0, rate: rate), unit = predicted.distortion / predicted.observable
        var p0: [Double] = [], curve = [(cost: 0.0, gain: 0.0)], foreseen = curve
        for w in Study.weights {
          let weight = w * unit, factors = f.factors(weight: weight), prediction = bands.prediction(weight: weight, rate: rate)
          let high = bands.prediction(weight: weight)
          // lambda enlarges factors and with them the step of an equal rate.
          let guess = step * exp(0.5 * bands.spectrum.logVolume(weight))
          let matched = Quantiser.solved(from: guess, slope: -max(0.1, min(1, rate0 / 2)), target: rate0, tolerance: 0.0003 * max(0.3, rate0)) {
            quantiser.rate(quantiser.coded(factors: factors, step: $0), factors: factors)
          }
          let aligned = quantiser.coded(factors: factors, step: matched), draws = Draws(quantiser, factors: factors, step: matched)
          var d0: [Double] = [], d1: [Double] = [], p1: [Double] = []
          while p1.count < 2 || (p1.count < limit && gainError(p0.prefix(p1.count), p1[...]) > 0.05) {
            let k = p1.count, before = start.field(k), after = draws.field(k)
            if p0.count == k { p0.append(try error(before)) }
            d0.append(meanSquare(before, snapshot.values)); d1.append(meanSquare(after, snapshot.values))
            p1.append(try error(after))
          }
          // With the contexts that the library has today.
          var today = Double.nan
          if w == 4 {
            let s = Quantiser.solved(from: matched, slope: -max(0.1, min(1, rate0 / 2)), target: today0, tolerance: 0.0006 * max(0.3, rate0)) {
              quantiser.rate(quantiser.coded(factors: factors, step: $0), factors: factors, contexts: .integers)
            }
            today = 10 * log10(meanSquare(quantiser.field(quantiser.coded(factors: factors, step: s).decoded), snapshot.values) / d0[0])
          }
          let cost = 10 * log10(mean(d1) / mean(d0)), gain = 10 * log10(mean(p0.prefix(p1.count)) / mean(p1))
          curve.append((cost, gain))
          foreseen.append((prediction.cost, prediction.gain))
          let r = Reallocation(f, variances, weight: weight, rate: rate, before: noise0, after: quantiser.noise(aligned), step: step, stiff: stiff[j], dear: dear)
          points.add([
            study.domain, study.field, kind.rawValue, study.observables[j], psnr, w, rate0, quantiser.rate(aligned, factors: factors), cost,
            prediction.cost, high.cost, gain, prediction.gain, high.gain, gainError(p0.prefix(p1.count), p1[...]), p1.count,
            quantiser.rate(aligned, factors: factors, contexts: .integers), today, r.slope, r.spread, r.edge, r.edgePredicted, r.rateEdge, r.rateEdgePredicted,
          ])
        }
        let spectrum = bands.spectrum, active = bands.bands.filter { $0.variance > step * step / 12 }
        let cv2active = active.isEmpty ? 0 : TradeSpectrum(active.map(\.sensitivity), weights: active.map(\.count)).relativeVariance
        let omega = omegas[j]
        let plain = BandOverlap(variances, f.observable, counts: f.counts.map(Double.init), rank: 0.01 * Double(codec.latentCount))
        cells.add([
          study.domain, study.field, kind.rawValue, study.observables[j], psnr, rate0, f.source.rawValue, meanSquare(start.field(0), snapshot.values),
          predicted.distortion, mean(p0), predicted.observable, bands.prediction(weight: unit, rate: rate).lowRateShare, slack(f), spectrum.relativeVariance, cv2active,
          bands.maximumGain(rate: rate), spectrum.flatness, omega.0.value, omega.1.lower, omega.1.upper, omega.0.chance, omega.0.rank,
          omega.0.corrected, plain.value, Cells.interpolated(curve, cost: 0.5),
          Cells.interpolated(foreseen, cost: 0.5), Cells.interpolated(curve, gain: 3), Cells.interpolated(foreseen, gain: 3),
        ])
      }
      log("\(study.field) \(kind.rawValue) \(Int(psnr)) dB: \(String(format: "%.3f", rate0)) bits/value, \(observables.count) observables")
    }
  }

  /// AM/GM of the noise of equal steps in the distortion's metric.
  private func slack(_ f: BandSensitivities) -> Double {
    let used = f.counts.indices.filter { f.counts[$0] > 0 }
    return 1 / TradeSpectrum(used.map { f.distortion[$0] }, weights: used.map { Double(f.counts[$0]) }).flatness
  }

  /// Overlap in prior-whitened latents and its interval over blocks of the grid.
  private func overlap(_ f: BandSensitivities, _ q: Quantiser, seed: UInt64) throws -> (BandOverlap, Interval) {
    let n = f.counts.map(Double.init)
    func overlap(_ v: [Double]) -> BandOverlap {
      BandOverlap(zip(v, f.distortion).map { $0 * $1 }, zip(v, f.observable).map { $0 * $1 }, counts: n)
    }
    let units = q.blockSums()
    let interval = try Bootstrap(replicas: 200, seed: seed).intervals(units, reducer: SoleReducer()) { s in
      let b = n.count
      return [overlap((0..<b).map { s[b + $0] > 0 ? s[$0] / s[b + $0] : 0 }).value]
    }
    return (overlap(q.variances()), interval[0])
  }

  /// The gain where a curve costs so much; its end where it never does. Costs grow like squares of gains.
  static func interpolated(_ curve: [(cost: Double, gain: Double)], cost: Double) -> Double {
    for (a, b) in zip(curve, curve.dropFirst()) where b.cost >= cost {
      let x = max(0, a.cost).squareRoot(), y = b.cost.squareRoot()
      return y > x ? a.gain + (b.gain - a.gain) * (cost.squareRoot() - x) / (y - x) : b.gain
    }
    return curve.map(\.gain).max()!
  }
  /// The cost where a curve gains so much; not a number where it never does.
  static func interpolated(_ curve: [(cost: Double, gain: Double)], gain: Double) -> Double {
    for (a, b) in zip(curve, curve.dropFirst()) where b.gain >= gain {
      let x = max(0, a.cost).squareRoot(), y = max(0, b.cost).squareRoot(), s = x + (y - x) * (gain - a.gain) / (b.gain - a.gain)
      return s * s
    }
    return .nan
  }
}

/// Fields decoded from several draws of the same quantisation noise.
final class Draws {
  private let quantiser: Quantiser, factors: [Double], step: Double
  private var known: [FieldParts] = []
  init(_ quantiser: Quantiser, factors: [Double], step: Double) { self.quantiser = quantiser; self.factors = factors; self.step = step }

  func field(_ k: Int) -> FieldParts {
    while known.count <= k { known.append(quantiser.field(quantiser.coded(factors: factors, step: step, draw: known.count).decoded)) }
    return known[k]
  }
}

func mean(_ v: some Collection<Double>) -> Double { v.reduce(0, +) / Double(v.count) }
/// Standard error of a mean, relative to it.
func relativeError(_ v: ArraySlice<Double>) -> Double {
  let m = mean(v)
  return (v.reduce(0) { $0 + ($1 / m - 1) * ($1 / m - 1) } / Double(max(1, v.count - 1) * v.count)).squareRoot()
}
/// Standard error, in dB, of the ratio of two means.
func gainError(_ a: ArraySlice<Double>, _ b: ArraySlice<Double>) -> Double {
  let x = relativeError(a), y = relativeError(b)
  return 4.342944819 * (x * x + y * y).squareRoot()
}

/// P: mean square of the values' errors in their scales.
func error(_ o: any Observable, _ field: FieldParts, _ truth: ObservableValue, _ scales: [Double], _ s: Snapshot) throws -> Double {
  switch (try o.value(of: field, on: s.domain), truth) {
  case (.vector(let a), .vector(let b)):
    return a.indices.reduce(0) { $0 + pow((a[$1] - b[$1]) / scales[$1], 2) } / Double(a.count)
  case (.field(let a), .field(let b)):
    var sum = 0.0
    for c in a.indices { sum += meanSquare([a[c]], [b[c]]) / (scales[c] * scales[c]) }
    return sum / Double(a.count)
  default: preconditionFailure("an observable changes its kind")
  }
}

/// The bands that have latents, by a key.
struct Order {
  /// Numbers among these, largest key first.
  private let places: [Int]
  init(_ f: BandSensitivities, key: [Double]) {
    let keys = f.counts.indices.filter { f.counts[$0] > 0 }.map { key[$0] }
    places = keys.indices.sorted { keys[$0] > keys[$1] }
  }
  /// Means of `e` over the tenths of the latents with the largest and the smallest keys, bands having `n`.
  func tenths(_ n: [Double], _ e: [Double]) -> (top: Double, bottom: Double) {
    func tenth(_ order: some Sequence<Int>) -> Double {
      let all = 0.1 * n.reduce(0, +)
      var left = all, sum = 0.0
      for i in order { let t = min(left, n[i]); sum += t * e[i]; left -= t; if left <= 0 { break } }
      return sum / all
    }
    return (tenth(places), tenth(places.reversed()))
  }
}

/// Where the real errors went, band by band.
struct Reallocation {
  /// Slope of ln(noise with lambda/noise without) over ln(1 + lambda a), bands weighted by their latents; those that both codecs code.
  let slope: Double
  /// Standard deviation of ln(1 + lambda a) over those.
  let spread: Double
  /// Noise of the tenth of the latents with the largest a over that with the smallest, relative to the unaligned codec.
  let edge: Double, edgePredicted: Double
  /// The same for the tenths with the largest and the smallest sensitivity of the rate, 1/variance.
  let rateEdge: Double, rateEdgePredicted: Double

  init(_ f: BandSensitivities, _ variances: [Double], weight: Double, rate: BandSpectrum.Rate, before: [Double], after: [Double], step: Double,
       stiff: Order, dear: Order) {
    let used = f.counts.indices.filter { f.counts[$0] > 0 }
    let a = used.map { f.observable[$0] / f.distortion[$0] }, n = used.map { Double(f.counts[$0]) }
    let bands = f.spectrum(variances: variances), theta = step * step / 12
    let p0 = bands.noise(weight: 0, rate: rate), p1 = bands.noise(weight: weight, rate: rate), v = bands.bands.map(\.variance)
    let e0 = used.map { before[$0] * f.distortion[$0] }, e1 = used.map { after[$0] * f.distortion[$0] }
    var s = 0.0, x = 0.0, y = 0.0, xx = 0.0, xy = 0.0
    for i in used.indices where v[i] > 12 * max(p0[i], p1[i], theta) && e0[i] > 0 && e1[i] > 0 {
      let t = log1p(weight * a[i]), u = log(e1[i] / e0[i])
      s += n[i]; x += n[i] * t; y += n[i] * u; xx += n[i] * t * t; xy += n[i] * t * u
    }
    let varx = s > 0 ? xx / s - x * x / (s * s) : 0
    spread = max(0, varx).squareRoot()
    slope = varx > 1e-12 ? (xy / s - x * y / (s * s)) / varx : .nan
    func ratio(_ order: Order, _ e0: [Double], _ e1: [Double]) -> Double {
      let before = order.tenths(n, e0), after = order.tenths(n, e1)
      return after.top / after.bottom * before.bottom / before.top
    }
    edge = ratio(stiff, e0, e1); edgePredicted = ratio(stiff, p0, p1)
    rateEdge = ratio(dear, e0, e1); rateEdgePredicted = ratio(dear, p0, p1)
  }
}
