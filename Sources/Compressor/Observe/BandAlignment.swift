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
struct BandAlignment: BandStatistics {
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
    /// The observable's values, from the samples where it was looked at there; nil: a field, or not needed.
    var value: ObservableValue?
    /// What noise does to second order, and its forms in the bands.
    var response: NoiseResponse?, forms: [[Double]] = []
    var shells: (any ShellBiased)?
  }
  private(set) var sensitivities: [Sensitivity]
  /// Mean square of the coefficients, per sample, and in all.
  let variances: [Double], sampled: [[Double]]
  /// Latents in the field and in each sample.
  let counts: [Double], sampledCounts: [[Double]]
  /// Values of the field, C N.
  let values: Double
  let components: Int
  let blocks: SampledBlocks
  let domain: RankDomain
  /// Coefficients of this rank's samples, for maps of the first only.
  let latents: [FieldParts]
  private(set) var tones: TonePowers?

  /// - Parameter original: the whole field; asked for only where an observable needs it.
  /// - Collective: all ranks.
  init(
    _ subjects: [Subject], _ source: FieldSource, _ blocks: SampledBlocks, original: () throws -> FieldParts, on domain: RankDomain,
    ranks: borrowing Communicator
  ) throws {
    let transform = blocks.transform, components = source.components, halo = transform.analysisHalo
    self.components = components; self.blocks = blocks; self.domain = domain
    let tones = subjects.contains { $0.observable is any SpectralSensitivity } ? TonePowers(transform, coordinates: domain.coordinates) : nil
    self.tones = tones
    let bandForms = BandForms(transform)
    func repeated(_ v: [Double]) -> [Double] { (0..<components).flatMap { _ in v } }
    counts = repeated(blocks.counts(in: source.grid.box))
    sampledCounts = blocks.boxes.map { repeated(blocks.counts(in: $0)) }
    values = Double(components * source.grid.count)
    // One fetch for all that is local.
    let local = subjects.map { blocks.piecewise($0.observable) }
    let margin = halo + (local.compactMap { $0?.reach }.max() ?? 0)
    let cells = try blocks.cells(of: source, margin: margin, ranks: ranks)
    var kept: [FieldParts] = []
    let squares = try blocks.gathered(zip(blocks.mine, cells).map { i, c in
      let y = blocks.analysed(c, sample: i)
      if i < BandAlignment.keptSamples { kept.append(y) }
      return blocks.squares(of: y, sample: i)
    }, on: domain)
    latents = kept
    let sampledCounts = sampledCounts, counts = counts
    func quotients(_ sums: [[Double]]) -> [Double] {
      var s = [Double](repeating: 0, count: sums[0].count), n = s
      for (t, list) in sums.enumerated() { for i in s.indices { s[i] += list[i]; n[i] += sampledCounts[t][i] } }
      return zip(s, n).map { $1 > 0 ? $0 / $1 : 0 }
    }
    variances = quotients(squares)
    sampled = zip(squares, sampledCounts).map { zip($0, $1).map { $1 > 0 ? $0 / $1 : 0 } }

    sensitivities = try subjects.indices.map { (j: Int) -> Sensitivity in
      let subject = subjects[j], o = subject.observable
      var known: (value: ObservableValue, meanSquare: Double)?
      if let v = subject.value, let q = subject.meanSquare { known = (v, q) }
      let size = known?.meanSquare ?? subject.meanSquare
      func evaluated() throws -> (value: ObservableValue, meanSquare: Double) {
        if let known { return known }
        let u = try original(), v = try o.value(of: u, on: domain)
        return (v, try v.squareSum(on: domain) / Double(max(1, v.count(on: domain))))
      }
      /// What one sample says: the mean square of the values there, how many they are as a vector and these, and sums of squares of the
      /// coefficients of r.
      func patched(_ o: any LocalObservable, _ i: Int, _ u: FieldParts, probe: Bool) throws -> [Double] {
        let box = blocks.around(i, halo + o.reach)
        let patch = Patch(box, in: source.grid, coordinates: domain.coordinates)
        let at = u.map { $0.cut(box).atOrigin }
        let made = try (o as? any CalibratedObservable).flatMap { subject.value == nil ? try $0.calibrated(to: at, on: patch.domain) : nil } ?? o
        var form = known?.value, q = size ?? 0
        let components = o.fieldComponents(of: u.count, in: source.grid)
        if size == nil || (form == nil && components == nil) {
          let v = try made.value(of: at, on: patch.domain)
          if size == nil { q = try v.squareSum(on: patch.domain) / Double(max(1, v.count(on: patch.domain))) }
          form = v
        }
        if !probe { return [q, 0] }
        var list: [Double] = []
        if case .vector(let v) = form { list = v }
        let share = o.isMean ? Double(box.count) / Double(source.grid.count) : 1
        var count = components
        if case .vector = form { count = nil }
        let w = BandAlignment.cotangent(
          components: count, values: form.map { $0.count(on: patch.domain) } ?? 0, of: source.grid, on: patch.domain, stream: i)
        let r = try made.adjoint(at: at, of: w, on: patch.domain)
        let inner = blocks.around(i, halo)
        return [q, Double(list.count)] + list + blocks.squares(r.map { $0.moved(to: box).cut(inner) }, sample: i).map { $0 * share * share }
      }
      if let s = o as? any SeparableSensitivity {
        var meanSquare = 0.0
        if let size { meanSquare = size } else if let l = local[j] {
          let q = try blocks.gathered(zip(blocks.mine, cells).map { try patched(l, $0, $1, probe: false) }, on: domain)
          meanSquare = q.reduce(0) { $0 + $1[0] } / Double(q.count)
        } else { meanSquare = try evaluated().meanSquare }
        let scale = meanSquare > 0 ? meanSquare.squareRoot() : 1
        // As many scales as an observable may have values or components.
        let scales = [Double](repeating: scale, count: max(Averages.limit, 16))
        if let g = bandForms.sensitivities(s, components: components, coordinates: domain.coordinates, scales: scales) {
          return Sensitivity(mean: g.flatMap { $0 }, meanSquare: meanSquare)
        }
      }
      if let s = o as? any SpectralSensitivity {
        let v = try evaluated()
        let a = s.symbol(of: v.value, scale: v.meanSquare > 0 ? v.meanSquare.squareRoot() : 1, components: components, grid: source.grid,
                         coordinates: domain.coordinates)
        return Sensitivity(mean: repeated(try tones!.sensitivities(a, on: domain)), meanSquare: v.meanSquare, value: v.value, shells: o as? any ShellBiased)
      }
      var lists: [[Double]], meanSquare = size, value = known?.value
      if let l = local[j] {
        lists = try blocks.gathered(domain.agree { try zip(blocks.mine, cells).map { try patched(l, $0, $1, probe: true) } }, on: domain)
        meanSquare = meanSquare ?? lists.reduce(0) { $0 + $1[0] } / Double(lists.count)
        let n = Int(lists[0][1])
        if value == nil, n > 0 { value = .vector((0..<n).map { k in lists.reduce(0) { $0 + $1[2 + k] } / Double(lists.count) }) }
        lists = lists.map { Array($0.dropFirst(2 + n)) }
      } else {
        let u = try original(), v = try evaluated()
        meanSquare = v.meanSquare
        if case .vector = v.value { value = v.value }
        var components: Int?
        if case .field(let f) = v.value { components = f.count }
        let w = BandAlignment.cotangent(components: components, values: v.value.count(on: domain), of: source.grid, on: domain, stream: -1)
        let r = try o.adjoint(at: u, of: w, on: domain)
        // Where r is known everywhere it is looked at everywhere: what few cells decide, such as extremes, would escape samples.
        let all = blocks.isWhole ? blocks : SampledBlocks(tiles: TileGrid(shape: source.grid.shape), transform, ranks: ranks)
        let near = try domain.handed(r, to: all.mine.map { all.around($0, halo) }), own = zip(all.mine, near).map { all.squares($1, sample: $0) }
        if !blocks.isWhole {
          var sums = [ExactSum](repeating: ExactSum(), count: counts.count)
          for list in own { for i in sums.indices where list[i] != 0 { sums[i].add(list[i]) } }
          let scale = v.meanSquare > 0 ? 1 / v.meanSquare : 1
          return Sensitivity(
            mean: smoothed(zip(try domain.merged(sums), counts).map { $1 > 0 ? scale * $0.value / $1 : 0 }, of: counts, edge: transform.blockEdge),
            meanSquare: v.meanSquare, value: v.value,
            shells: o as? any ShellBiased)
        }
        lists = try blocks.gathered(own, on: domain)
      }
      let scale = meanSquare.map { $0 > 0 ? 1 / $0 : 1 } ?? 1
      lists = lists.map { $0.map { $0 * scale } }
      return Sensitivity(
        mean: smoothed(quotients(lists), of: counts.indices.map { i in sampledCounts.reduce(0) { $0 + $1[i] } }, edge: transform.blockEdge),
        samples: zip(lists, sampledCounts).map { zip($0, $1).map { $1 > 0 ? $0 / $1 : 0 } }, meanSquare: meanSquare ?? 0,
        value: value)
    }
    for j in subjects.indices {
      guard let o = subjects[j].observable as? any NoiseBiased else { continue }
      var s = sensitivities[j]
      s.response = o.noiseResponse(of: s.value, components: components, grid: source.grid, coordinates: domain.coordinates)
      s.forms = s.response?.forms.map { bandForms.tables($0, components: components).flatMap { $0 } } ?? []
      sensitivities[j] = s
    }
  }
  func sensitivity(_ j: Int) -> (mean: [Double], samples: [[Double]]) { (sensitivities[j].mean, sensitivities[j].samples) }

  /// Samples whose coefficients are held.
  static let keptSamples = 64

  /// M^1/2 xi for unit scale, xi random signs by value or by cell of `domain`; a field has values in all cells of `grid`.
  ///
  /// - Parameter components: of a field of values; nil: a vector of `count`.
  static func cotangent(components: Int?, values count: Int, of grid: Grid, on domain: any Domain, stream: Int) -> ObservableValue {
    let random = CounterRandom(seed: 0x0b5e, stream: UInt64(bitPattern: Int64(stream)))
    guard let components else {
      let size = (1 / Double(max(1, count))).squareRoot()
      return .vector((0..<count).map { size * random.sign(component: 0, at: Index3(0, 0, $0)) })
    }
    let size = (1 / Double(components * grid.count)).squareRoot(), box = domain.box
    return .field((0..<components).map { c in
      var out = FieldPart(box), at = 0
      if box.isEmpty { return out }
      out.values.withUnsafeMutableBufferPointer { values in
        for z in box.lower.z..<box.upper.z { for y in box.lower.y..<box.upper.y { for x in box.lower.x..<box.upper.x {
          values[at] = size * random.sign(component: c, at: Index3(z, y, x))
          at += 1
        } } }
      }
      return out
    })
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
