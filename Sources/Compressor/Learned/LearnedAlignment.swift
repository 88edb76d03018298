import Codecs
import Fields
import Glibc
import LatentGeometry
import MPI
import Observables
import Reduction
import Statistics

/// How observables lie to the distortion where a network corrects what the transform decodes.
///
/// The decoder's metric is no longer flat: noise in band b counts d_b times, d_b the mean square of the band's coefficients of J^T xi with random signs xi
/// on the cells, and g_b times in an observable. Both come from what J^T makes of one random cotangent over the whole field (`Response`), so that a network
/// that does nothing has the transform's numbers, not estimates of them. Sensitivities are taken relative to d_b. Equal steps
/// are then not the best ones for the distortion: `slack` is what better steps would win, to be had without any loss to an observable (THEORY 1.3).
struct LearnedAlignment: BandStatistics {
  private let bands: BandAlignment
  /// Per component and band.
  let distortion: [Double]
  /// g of each observable by component and band, not divided by the distortion's, and what each tile says of both; no tiles: not asked for.
  private(set) var observables: [[Double]] = []
  private let tiled: [[Double]]
  private var tiledObservables: [[[Double]]] = []
  /// Squared error of the corrected values over that of the decoded ones, of this simulated pass.
  let gain: Double
  /// Mean square error in units of the field, corrected.
  let meanSquareError: Double
  /// D of equal steps over D of the best steps of the same rate, at least 1.
  private(set) var slack = 1.0
  /// Nats per latent.
  private(set) var nats = 0.0
  /// |o(x^) - o(x)| / |o(x)| of the simulated pass.
  private(set) var errors: [Double] = []
  /// J^T J and J_o^T J_o act on these.
  let codec: NetworkCodec

  func sensitivity(_ j: Int) -> (mean: [Double], samples: [[Double]]) {
    func relative(_ g: [Double], _ d: [Double]) -> [Double] { zip(g, d).map { $1 > 0 ? $0 / $1 : 0 } }
    return (relative(observables[j], distortion), tiledObservables.isEmpty ? [] : zip(tiledObservables[j], tiled).map(relative))
  }
  /// Of observable j, not divided by the distortion's, by band.
  func squares(_ j: Int, component c: Int) -> [Double] {
    let size = bands.counts.count / bands.components
    return Array(observables[j][c * size..<(c + 1) * size])
  }
  /// Of the transform's coefficients; `variances` are in the distortion's metric.
  var transformVariances: [Double] { bands.variances }
  var variances: [Double] { zip(bands.variances, distortion).map(*) }
  var sampled: [[Double]] { bands.sampled.enumerated().map { zip($1, tiled.isEmpty ? distortion : tiled[$0]).map(*) } }
  var counts: [Double] { bands.counts }
  var sampledCounts: [[Double]] { bands.sampledCounts }
  var values: Double { bands.values }
  var rate: BandSpectrum.Rate { nats > 0 ? .nats(nats) : .high }

  /// What J^T makes of a cotangent r: coefficients of a band are those of T r times `gain`, and others, orthogonal to them, of mean square `rest`.
  private struct Response {
    var gain: [Double] = [], rest: [Double] = []
    /// - Parameter products: of T r with itself, of T r with T J^T r, of that with itself, by band. - Parameter counts: coefficients.
    init(_ products: [Double], _ counts: [Double]) {
      let n = counts.count
      for i in 0..<n {
        let a = products[i] > 0 ? products[n + i] / products[i] : 1
        gain.append(a)
        rest.append(counts[i] > 0 ? max(0, products[2 * n + i] - a * products[n + i]) / counts[i] : 0)
      }
    }
    /// Mean squares of J^T r by those of r.
    func applied(to g: [Double], scale: Double = 1) -> [Double] { g.indices.map { gain[$0] * gain[$0] * g[$0] + scale * rest[$0] } }
  }

  /// - Parameter bands: the transform's, of the same observables; where its samples are the whole grid tiles are looked at one by one as well.
  /// - Parameter order: which component of the field each component of `source` is.
  /// - Parameter target: root mean square error that the corrected values are to have; `nil`: the step is as given.
  /// - Throws: `Failure(.usage)`, on all ranks: see `NetworkCorrection`.
  /// - Collective: all ranks.
  init(
    _ network: Network, _ bands: BandAlignment, _ wanted: [any Observable], _ source: FieldSource, order: [Int], noise: Double, target: Double?, on domain: RankDomain,
    ranks: borrowing Communicator
  ) throws {
    let transform = bands.blocks.transform, components = source.components
    self.bands = bands
    let x = try source.parts(on: domain), lapped = LappedCodec(transform, components: components, on: domain), latents = try lapped.adjoint(x)
    func meanSquare(_ u: FieldParts) throws -> Double {
      var s = ExactSum()
      for (a, b) in zip(u, x) { for (p, q) in zip(a.values, b.values) { s.add((p - q) * (p - q)) } }
      return try domain.merged(s).value / Double(components * source.grid.count)
    }
    // The step that decodes to the target once corrected: errors grow about as fast as steps.
    var step = (12 * noise).squareRoot(), plain = 0.0, found: NetworkCorrection?, error = 0.0
    for pass in 0..<2 {
      let w = try lapped.tangent(LatentRounding(latents, step: step, on: domain).decoded(latents))
      plain = try meanSquare(w)
      found = try NetworkCorrection(network, decoded: w, unit: step, order: order, on: domain)
      error = try meanSquare(found!.corrected)
      guard pass == 0, let target, error > 0 else { break }
      step *= target / error.squareRoot()
    }
    let correction = found!
    codec = NetworkCodec(lapped, correction)
    gain = plain > 0 ? error / plain : 1
    meanSquareError = error

    let byTile = bands.blocks.isWhole, all = byTile ? bands.blocks : SampledBlocks(tiles: TileGrid(shape: source.grid.shape), transform, ranks: ranks)
    let sampledCounts = bands.sampledCounts
    func responses(_ r: FieldParts) throws -> (whole: Response, tiles: [Response]) {
      let boxes = all.mine.map { all.around($0, transform.analysisHalo) }
      let before = try domain.handed(r, to: boxes), behind = try domain.handed(correction.adjoint(r), to: boxes)
      var sums = [ExactSum](repeating: ExactSum(), count: 3 * bands.counts.count), own: [[Double]] = []
      for (k, i) in all.mine.enumerated() {
        let s = all.analysed(before[k], sample: i), t = all.analysed(behind[k], sample: i)
        let list = all.squares(of: s, sample: i) + all.products(s, t, sample: i) + all.squares(of: t, sample: i)
        for b in sums.indices where list[b] != 0 { sums[b].add(list[b]) }
        if byTile { own.append(list) }
      }
      let whole = Response(try domain.merged(sums).map(\.value), bands.counts)
      return (whole, byTile ? zip(try all.gathered(own, on: domain), sampledCounts).map { Response($0, $1) } : [])
    }
    guard case .field(let signs) = BandAlignment.cotangent(components: components, values: 0, of: source.grid, on: domain, stream: -2) else { preconditionFailure() }
    // Of unit variance per cell: d is 1 without a network.
    let root = Double(components * source.grid.count).squareRoot(), ones = [Double](repeating: 1, count: bands.counts.count)
    let flat = try responses(signs.map { FieldPart($0.box, $0.values.map { root * $0 }) })
    distortion = flat.whole.applied(to: ones)
    tiled = flat.tiles.map { $0.applied(to: ones) }

    for (j, o) in wanted.enumerated() {
      let v = try o.value(of: x, on: domain), square = try v.squareSum(on: domain), count = v.count(on: domain)
      var fields: Int?
      if case .field(let f) = v { fields = f.count }
      let r = try o.adjoint(at: x, of: BandAlignment.cotangent(components: fields, values: count, of: source.grid, on: domain, stream: -1), on: domain)
      let scale = square > 0 ? Double(max(1, count)) / square : 1, found = try responses(r), g = bands.sensitivity(j)
      observables.append(found.whole.applied(to: g.mean, scale: scale))
      if byTile { tiledObservables.append(found.tiles.enumerated().map { $1.applied(to: g.samples.isEmpty ? g.mean : g.samples[$0], scale: scale) }) }
      let moved = try o.value(of: correction.corrected, on: domain).squareSum(minus: v, on: domain)
      errors.append(square > 0 ? (moved / square).squareRoot() : .nan)
    }

    // Equal steps against the best ones of the same rate.
    let theta = step * step / 12
    var spent = 0.0, distorted = 0.0
    for i in bands.counts.indices where bands.counts[i] > 0 {
      let v = bands.variances[i], noise = min(theta, v)
      if v > theta { spent += bands.counts[i] * 0.5 * log(v / theta) }
      distorted += bands.counts[i] * distortion[i] * noise
    }
    let total = bands.counts.reduce(0, +)
    nats = spent / total
    if nats > 0 {
      let spectrum = BandSpectrum(bands.counts.indices.map { .init(sensitivity: 0, count: bands.counts[$0], variance: distortion[$0] * bands.variances[$0]) })
      let best = spectrum.errors(weight: 0, rate: .nats(nats)).distortion
      if best > 0 { slack = max(1, distorted / total / best) }
    }
  }
}

/// Rounding of latents as the tile codecs do it without a wider zero bin: to multiples of the step, decoded to the middle of what is rounded there.
struct LatentRounding {
  private let step: Double, shifts: [Double]

  /// - Collective: all ranks.
  init(_ latents: FieldParts, step: Double, on domain: RankDomain) throws {
    self.step = step
    var sums = [ExactSum](repeating: ExactSum(), count: 6)
    for p in latents { for y in p.values {
      let q = (abs(y) / step).rounded()
      if q > 0 { let k = 2 * (min(Int(min(q, 3)), 3) - 1); sums[k].add(1); sums[k + 1].add(abs(y) / step - q) }
    } }
    let all = try domain.merged(sums).map(\.value)
    shifts = [0] + (0..<3).map { all[2 * $0] > 0 ? all[2 * $0 + 1] / all[2 * $0] : 0 }
  }
  func decoded(_ latents: FieldParts) -> FieldParts {
    latents.map { p in
      FieldPart(p.box, p.values.map { y in
        let q = (abs(y) / step).rounded()
        return q == 0 ? 0 : (q + shifts[min(Int(min(q, 3)), 3)]) * (y < 0 ? -step : step)
      })
    }
  }
}
