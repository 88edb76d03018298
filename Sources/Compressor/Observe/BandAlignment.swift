import Codecs
import Fields
import Glibc
import LatentGeometry
import MPI
import Observables
import Reduction
import Statistics

/// How observables lie to the distortion in the bands of a lapped transform: their sensitivities per band, the bands' variances, and what
/// the law makes of them.
///
/// The transform is orthonormal, so G_D = I/(C N); G_P is taken as diagonal, one value g per band: closed form where there is one (separable
/// observables, spectral symbols), else from random cotangents r = J^T M^1/2 xi, whose coefficients have mean square g. Observables are in
/// units of their root mean square: P is the square of the relative L2 error.
struct BandAlignment {
  /// An observable and, where known, its values at the field.
  struct Subject {
    let observable: any Observable
    let value: ObservableValue?
    /// Sum of squares of the values over their number.
    let meanSquare: Double?
  }
  /// g of every component and band, `[c M^3 + band]`, and estimates of it from each sample (none where it does not come from samples).
  struct Sensitivity {
    var mean: [Double], samples: [[Double]] = []
    /// Mean square of the observable's values.
    var meanSquare: Double
  }
  let sensitivities: [Sensitivity]
  /// Mean square of the coefficients, per sample, and in all.
  let variances: [Double], sampled: [[Double]]
  /// Latents in the field and in each sample.
  let counts: [Double], sampledCounts: [[Double]]
  /// Values of the field, C N.
  let values: Double

  /// - Parameter original: the whole field; asked for only where an observable needs it.
  /// - Collective: all ranks.
  init(
    _ subjects: [Subject], _ source: FieldSource, _ blocks: SampledBlocks, original: () throws -> FieldParts, on domain: RankDomain,
    ranks: borrowing Communicator
  ) throws {
    let transform = blocks.transform, components = source.components, halo = transform.analysisHalo
    func repeated(_ v: [Double]) -> [Double] { (0..<components).flatMap { _ in v } }
    counts = repeated(blocks.counts(in: source.grid.box))
    sampledCounts = blocks.boxes.map { repeated(blocks.counts(in: $0)) }
    values = Double(components * source.grid.count)
    // One fetch for all that is local.
    let local = subjects.map { blocks.piecewise($0.observable) }
    let margin = halo + (local.compactMap { $0?.reach }.max() ?? 0)
    let cells = try blocks.cells(of: source, margin: margin, ranks: ranks)
    let squares = try blocks.gathered(zip(blocks.mine, cells).map { i, c in blocks.squares(c, sample: i) }, on: domain)
    let sampledCounts = sampledCounts, counts = counts
    func quotients(_ sums: [[Double]]) -> [Double] {
      var s = [Double](repeating: 0, count: sums[0].count), n = s
      for (t, list) in sums.enumerated() { for i in s.indices { s[i] += list[i]; n[i] += sampledCounts[t][i] } }
      return zip(s, n).map { $1 > 0 ? $0 / $1 : 0 }
    }
    variances = quotients(squares)
    sampled = zip(squares, sampledCounts).map { zip($0, $1).map { $1 > 0 ? $0 / $1 : 0 } }

    sensitivities = try subjects.indices.map { j in
      let subject = subjects[j], o = subject.observable
      var known: (value: ObservableValue, meanSquare: Double)?
      if let v = subject.value, let q = subject.meanSquare { known = (v, q) }
      func evaluated() throws -> (value: ObservableValue, meanSquare: Double) {
        if let known { return known }
        let u = try original(), v = try o.value(of: u, on: domain)
        return (v, try v.squareSum(on: domain) / Double(max(1, v.count(on: domain))))
      }
      /// What one sample says: sums of squares of the coefficients of r and the mean square of the values there.
      func patched(_ o: any LocalObservable, _ i: Int, _ u: FieldParts, probe: Bool) throws -> [Double] {
        let box = blocks.around(i, halo + o.reach)
        let patch = Patch(box, in: source.grid, coordinates: domain.coordinates)
        let at = u.map { $0.cut(box).atOrigin }
        let made = try (o as? any CalibratedObservable).flatMap { subject.value == nil ? try $0.calibrated(to: at, on: patch.domain) : nil } ?? o
        var form = known?.value, q = known?.meanSquare ?? 0
        if known == nil {
          let v = try made.value(of: at, on: patch.domain)
          q = try v.squareSum(on: patch.domain) / Double(max(1, v.count(on: patch.domain)))
          form = v
        }
        if !probe { return [q] }
        let share = o.isMean ? Double(box.count) / Double(source.grid.count) : 1
        let r = try made.adjoint(at: at, of: BandAlignment.cotangent(like: form!, values: source.grid, on: patch.domain, stream: i), on: patch.domain)
        let inner = blocks.around(i, halo)
        return [q] + blocks.squares(r.map { $0.moved(to: box).cut(inner) }, sample: i).map { $0 * share * share }
      }
      if let s = o as? any SeparableSensitivity {
        var meanSquare = 0.0
        if let known { meanSquare = known.meanSquare } else if let l = local[j] {
          let q = try blocks.gathered(zip(blocks.mine, cells).map { try patched(l, $0, $1, probe: false) }, on: domain)
          meanSquare = q.reduce(0) { $0 + $1[0] } / Double(q.count)
        } else { meanSquare = try evaluated().meanSquare }
        let scale = meanSquare > 0 ? meanSquare.squareRoot() : 1
        // As many scales as an observable may have values or components.
        let scales = [Double](repeating: scale, count: max(Averages.limit, 16))
        if let g = BandSensitivity.separable(s, transform: transform, components: components, coordinates: domain.coordinates, scales: scales) {
          return Sensitivity(mean: g.flatMap { $0 }, meanSquare: meanSquare)
        }
      }
      if let s = o as? any SpectralSensitivity {
        let v = try evaluated()
        let a = s.symbol(of: v.value, scale: v.meanSquare > 0 ? v.meanSquare.squareRoot() : 1, components: components, grid: source.grid,
                         coordinates: domain.coordinates)
        return Sensitivity(
          mean: repeated(try spectralSensitivity(a, transform, coordinates: domain.coordinates, on: domain, ranks: ranks)), meanSquare: v.meanSquare)
      }
      var lists: [[Double]], meanSquare = known?.meanSquare
      if let l = local[j] {
        lists = try blocks.gathered(domain.agree { try zip(blocks.mine, cells).map { try patched(l, $0, $1, probe: true) } }, on: domain)
        meanSquare = meanSquare ?? lists.reduce(0) { $0 + $1[0] } / Double(lists.count)
        lists = lists.map { Array($0.dropFirst()) }
      } else {
        let u = try original(), v = try evaluated()
        meanSquare = v.meanSquare
        let w = BandAlignment.cotangent(like: v.value, values: source.grid, on: domain, stream: -1)
        let r = try o.adjoint(at: u, of: w, on: domain)
        // Where r is known everywhere it is looked at everywhere: what few cells decide, such as extremes, would escape samples.
        let all = blocks.isWhole ? blocks : SampledBlocks(tiles: TileGrid(shape: source.grid.shape), transform, ranks: ranks)
        let near = try domain.handed(r, to: all.mine.map { all.around($0, halo) }), own = zip(all.mine, near).map { all.squares($1, sample: $0) }
        if !blocks.isWhole {
          var sums = [ExactSum](repeating: ExactSum(), count: counts.count)
          for list in own { for i in sums.indices where list[i] != 0 { sums[i].add(list[i]) } }
          let scale = v.meanSquare > 0 ? 1 / v.meanSquare : 1
          return Sensitivity(mean: zip(try domain.merged(sums), counts).map { $1 > 0 ? scale * $0.value / $1 : 0 }, meanSquare: v.meanSquare)
        }
        lists = try blocks.gathered(own, on: domain)
      }
      let scale = meanSquare.map { $0 > 0 ? 1 / $0 : 1 } ?? 1
      lists = lists.map { $0.map { $0 * scale } }
      return Sensitivity(
        mean: quotients(lists), samples: zip(lists, sampledCounts).map { zip($0, $1).map { $1 > 0 ? $0 / $1 : 0 } }, meanSquare: meanSquare ?? 0)
    }
  }

  /// M^1/2 xi for unit scale, xi random signs by value or by cell of `domain`; a field has values in all cells of `grid`.
  private static func cotangent(like v: ObservableValue, values grid: Grid, on domain: any Domain, stream: Int) -> ObservableValue {
    let random = CounterRandom(seed: 0x0b5e, stream: UInt64(bitPattern: Int64(stream)))
    switch v {
    case .vector(let x):
      let size = (1 / Double(max(1, x.count))).squareRoot()
      return .vector(x.indices.map { size * random.sign(component: 0, at: Index3(0, 0, $0)) })
    case .field(let f):
      let size = (1 / Double(f.count * grid.count)).squareRoot(), box = domain.box
      return .field(f.indices.map { c in
        var out = FieldPart(box), at = 0
        if box.isEmpty { return out }
        for z in box.lower.z..<box.upper.z { for y in box.lower.y..<box.upper.y { for x in box.lower.x..<box.upper.x {
          out.values[at] = size * random.sign(component: c, at: Index3(z, y, x))
          at += 1
        } } }
        return out
      })
    }
  }

  /// Relative error of observable j where every coefficient has noise of variance min(theta, its variance).
  func error(_ j: Int, noise theta: Double) -> Double {
    var p = 0.0
    for i in counts.indices { p += counts[i] * sensitivities[j].mean[i] * min(theta, variances[i]) }
    return p.squareRoot()
  }

  // MARK: classes

  /// Bands of like sensitivity and variance, within half an octave, taken together.
  struct Classes {
    /// Class of each component and band.
    let of: [Int]
    let bands: BandSpectrum
    /// g in units of the distortion, and variance, of each class by sample.
    var sensitivities: [[Double]] = [], variances: [[Double]] = []
    var counts: [Double] { bands.bands.map(\.count) }
  }

  func classes(_ j: Int) -> Classes {
    let g = sensitivities[j].mean.map { $0 * values }
    let top = g.max() ?? 0, high = variances.max() ?? 0
    func step(_ v: Double, _ largest: Double) -> Int { v > 0 && largest > 0 ? max(-80, Int((2 * log2(v / largest)).rounded(.down))) : -81 }
    var numbers: [[Int]: Int] = [:], of = [Int](repeating: -1, count: g.count)
    for i in g.indices where counts[i] > 0 && sampledCounts.contains(where: { $0[i] > 0 }) {
      let key = [step(g[i], top), step(variances[i], high)]
      let n = numbers[key] ?? numbers.count
      numbers[key] = n
      of[i] = n
    }
    func merged(_ v: [Double], _ weights: [Double]) -> [Double] {
      var s = [Double](repeating: 0, count: numbers.count), n = s
      for i in of.indices where of[i] >= 0 { s[of[i]] += weights[i] * v[i]; n[of[i]] += weights[i] }
      return zip(s, n).map { $1 > 0 ? $0 / $1 : 0 }
    }
    var n = [Double](repeating: 0, count: numbers.count)
    for i in of.indices where of[i] >= 0 { n[of[i]] += counts[i] }
    let means = merged(g, counts), spread = merged(variances, counts)
    var out = Classes(of: of, bands: BandSpectrum(n.indices.map { .init(sensitivity: means[$0], count: n[$0], variance: spread[$0]) }))
    out.sensitivities = sensitivities[j].samples.enumerated().map { t, s in merged(s.map { $0 * values }, sampledCounts[t]) }
    out.variances = sampled.enumerated().map { t, s in merged(s, sampledCounts[t]) }
    return out
  }

  /// Overlap of the dominant spaces of variance (distortion) and sensitivity times variance (observable), whitened by the prior, with its
  /// interval over the samples.
  func overlap(_ j: Int, _ c: Classes, replicas: Int) throws -> (Overlap, Interval) {
    let n = c.counts, g = c.bands.bands.map(\.sensitivity)
    // A mean square over m latents has a relative standard error of sqrt(2/m).
    var looked = [Double](repeating: 0, count: n.count)
    for s in sampledCounts { for i in c.of.indices where c.of[i] >= 0 { looked[c.of[i]] += s[i] } }
    let relative = looked.map { (2 / max(1, $0)).squareRoot() }
    func overlap(_ h: [Double], _ k: [Double]) -> Overlap {
      Overlap(diagonal: h, k, counts: n, errors: (zip(h, relative).map { $0 * $1 }, zip(k, relative).map { $0 * $1 }))
    }
    let h = c.bands.bands.map(\.variance), best = overlap(h, zip(h, g).map { $0 * $1 })
    var units: [Int: [Double]] = [:]
    for t in c.variances.indices {
      let v = c.variances[t], s = c.sensitivities.isEmpty ? g : c.sensitivities[t]
      units[t] = v + s + [1]
    }
    let k = n.count
    let interval = try Bootstrap(replicas: replicas, seed: 2).intervals(units, reducer: SoleReducer()) { s in
      let v = s[..<k].map { $0 / s[2 * k] }, g = s[k..<2 * k].map { $0 / s[2 * k] }
      return [overlap(v, zip(v, g).map { $0 * $1 }).value]
    }[0]
    return (best, Interval(value: best.value, lower: min(interval.lower, best.value), upper: max(interval.upper, best.value)))
  }
}

/// A piece of the grid as a domain of its own, whose faces do not wrap.
struct Patch {
  let domain: SoleDomain
  init(_ box: Box, in grid: Grid, coordinates: Coordinates) {
    let axes = (0..<3).map { a -> Coordinates.Axis in
      guard case .positions(let x) = coordinates.axes[a] else { return coordinates.axes[a] }
      return .positions(Array(x[box.lower[a]..<box.upper[a]]))
    }
    domain = SoleDomain(Grid(shape: box.shape, dimensions: grid.dimensions), coordinates: Coordinates(axes))
  }
}

/// The cheap form for the report of a job: the law's numbers and the overlap, from a few samples.
extension ObservableReport.Alignment {
  init(_ a: BandAlignment, _ j: Int, noise theta: Double) throws {
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
  init(_ a: BandAlignment, _ j: Int, noise theta: Double, name: String) throws {
    self.init()
    let c = a.classes(j), found = try a.overlap(j, c, replicas: 200)
    let full = try LatentGeometry.Alignment(
      observable: name, bands: c.bands, rate: .noise(theta), samples: c.sensitivities, overlap: found, bootstrap: Bootstrap(replicas: 200, seed: 1))
    k = found.0.rank
    chance = found.0.chance
    if found.0.verdict == .defined { overlap = found.1.value; ci = [found.1.lower, found.1.upper] }
    func ends(_ i: Interval) -> [Double] { [i.lower, i.upper] }
    cv2 = full.relativeVariance.value; cv2CI = ends(full.relativeVariance)
    maxGainDB = full.maximumGain.value; maxGainCI = ends(full.maximumGain)
    predictedCostDB = full.cost.value; predictedCostCI = ends(full.cost)
    predictedGainDB = full.gain.value; predictedCostBits = full.rateCost.value
    if let t = full.tenfold { tenfoldCostDB = t.cost; tenfoldCostBits = t.rateCost }
    verdict = full.verdict
  }
}
