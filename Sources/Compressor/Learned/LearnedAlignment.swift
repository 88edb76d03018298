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
/// on the cells, and g_b times in an observable, from one random cotangent over the whole field. Sensitivities are taken relative to d_b. Equal steps
/// are then not the best ones for the distortion: `slack` is what better steps would win, to be had without any loss to an observable (THEORY 1.3).
struct LearnedAlignment: BandStatistics {
  private let bands: BandAlignment
  /// Per component and band.
  let distortion: [Double]
  private var observables: [[Double]] = []
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
    (zip(observables[j], distortion).map { $1 > 0 ? $0 / $1 : 0 }, [])
  }
  /// Of observable j, not divided by the distortion's, by band.
  func squares(_ j: Int, component c: Int) -> [Double] {
    let size = bands.counts.count / bands.components
    return Array(observables[j][c * size..<(c + 1) * size])
  }
  var variances: [Double] { zip(bands.variances, distortion).map(*) }
  var sampled: [[Double]] { bands.sampled.map { zip($0, distortion).map(*) } }
  var counts: [Double] { bands.counts }
  var sampledCounts: [[Double]] { bands.sampledCounts }
  var values: Double { bands.values }
  var rate: BandSpectrum.Rate { nats > 0 ? .nats(nats) : .high }

  /// - Parameter target: root mean square error that the corrected values are to have; `nil`: the step is as given.
  /// - Throws: `Failure(.usage)`, on all ranks: see `NetworkCorrection`.
  /// - Collective: all ranks.
  init(
    _ network: Network, _ wanted: [any Observable], _ source: FieldSource, at point: OperatingPoint, target: Double?, on domain: RankDomain, ranks: borrowing Communicator
  ) throws {
    let transform = LappedOrthogonalTransform(blockEdge: point.edge, grid: source.grid), components = source.components
    let bands = try BandAlignment([], source, SampledBlocks(transform, count: 8, ranks: ranks), original: { [] }, on: domain, ranks: ranks)
    self.bands = bands
    let x = try source.parts(on: domain), lapped = LappedCodec(transform, components: components, on: domain), latents = try lapped.adjoint(x)
    func meanSquare(_ u: FieldParts) throws -> Double {
      var s = ExactSum()
      for (a, b) in zip(u, x) { for (p, q) in zip(a.values, b.values) { s.add((p - q) * (p - q)) } }
      return try domain.merged(s).value / Double(components * source.grid.count)
    }
    // The step that decodes to the target once corrected: errors grow about as fast as steps.
    var step = (12 * point.noise).squareRoot(), plain = 0.0, found: NetworkCorrection?, error = 0.0
    for pass in 0..<2 {
      let w = try lapped.tangent(LatentRounding(latents, step: step, on: domain).decoded(latents))
      plain = try meanSquare(w)
      found = try NetworkCorrection(network, decoded: w, unit: step, on: domain)
      error = try meanSquare(found!.corrected)
      guard pass == 0, let target, error > 0 else { break }
      step *= target / error.squareRoot()
    }
    let correction = found!
    codec = NetworkCodec(lapped, correction)
    gain = plain > 0 ? error / plain : 1
    meanSquareError = error

    let all = SampledBlocks(tiles: TileGrid(shape: source.grid.shape), transform, ranks: ranks), size = bands.counts.count
    func bandMeans(_ r: FieldParts) throws -> [Double] {
      let near = try domain.handed(correction.adjoint(r), to: all.mine.map { all.around($0, transform.analysisHalo) })
      var sums = [ExactSum](repeating: ExactSum(), count: size)
      for (i, u) in zip(all.mine, near) {
        let list = all.squares(u, sample: i)
        for b in 0..<size where list[b] != 0 { sums[b].add(list[b]) }
      }
      return zip(try domain.merged(sums), bands.counts).map { $1 > 0 ? $0.value / $1 : 0 }
    }
    guard case .field(let signs) = BandAlignment.cotangent(components: components, values: 0, of: source.grid, on: domain, stream: -2) else { preconditionFailure() }
    // Of unit variance per cell: d is 1 without a network.
    let root = Double(components * source.grid.count).squareRoot()
    distortion = try bandMeans(signs.map { FieldPart($0.box, $0.values.map { root * $0 }) })

    let open = wanted.contains { $0 is any CalibratedObservable }
    let known = open ? try RowComparison.calibrated(wanted, to: x, on: domain) : wanted
    for o in known {
      let v = try o.value(of: x, on: domain), square = try v.squareSum(on: domain), count = v.count(on: domain)
      var fields: Int?
      if case .field(let f) = v { fields = f.count }
      let r = try o.adjoint(at: x, of: BandAlignment.cotangent(components: fields, values: count, of: source.grid, on: domain, stream: -1), on: domain)
      let scale = square > 0 ? Double(max(1, count)) / square : 1
      observables.append(try bandMeans(r).map { $0 * scale })
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
