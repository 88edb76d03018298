import Codecs
import Fields
import Glibc
import LatentGeometry
import MPI
import Observables
import Reduction
import Statistics

/// How observables lie to the distortion in the latents of an autoencoder of patches: latent i of all patches is a band.
///
/// Latents are over their steps, so that all have noise of one size. Noise of latent i counts d_i times in the distortion, d_i the mean square of J^T xi with
/// random signs xi on the cells, and g_i times in an observable, from one random cotangent over the whole field; J is the synthesis' derivative at rounded latents.
/// Sensitivities are relative to d_i.
struct AutoencoderAlignment: BandStatistics {
  /// By latent: d, g of each observable not divided by it, mean square of the latents over their steps.
  let distortion: [Double]
  private(set) var observables: [[Double]] = []
  let latentVariances: [Double]
  let counts: [Double], values: Double
  /// |o(x^) - o(x)| / |o(x)| of the rounded latents.
  private(set) var errors: [Double] = []

  func sensitivity(_ j: Int) -> (mean: [Double], samples: [[Double]]) { (zip(observables[j], distortion).map { $1 > 0 ? $0 / $1 : 0 }, []) }
  var variances: [Double] { zip(latentVariances, distortion).map(*) }
  // One sample, all of it: there are no intervals.
  var sampled: [[Double]] { [variances] }
  var sampledCounts: [[Double]] { [counts] }

  /// - Parameter encoder: of the field at hand. - Parameter order: which of its components each of the observables' is.
  /// - Parameter factor: on the steps of the model.
  /// - Collective: all ranks.
  init(
    _ model: Autoencoder, _ wanted: [any Observable], _ encoder: FieldEncoder, order: [Int], factor: Double, on domain: RankDomain, ranks: borrowing Communicator
  ) throws {
    let codec = AutoencoderCodec(model, try encoder.patchNormalisation(model.shape.normalisation, ranks: ranks), encodes: true), layout = encoder.layout
    let grid = layout.grid, latents = model.shape.latents, first = layout.mine.lowerBound, scale = codec.normalisation.scale
    var inputs = layout.mine.map { _ in [Float]() }
    let slots = Slots<[Float]>(layout.mine.count, [])
    try encoder.forEachTile(ranks: ranks) { t, original in slots[t - first] = codec.input(original, layout.tiles.box(t)) }
    for i in inputs.indices { inputs[i] = slots[i] }
    let boxes = layout.mine.map { layout.tiles.box($0) }
    let rounded = inputs.map { codec.rounded($0, factor: factor, deadZone: 0).q }
    let x = try encoder.source.ordered(order).parts(on: domain)

    // Sums over latents of the same number, tile by tile: the same bits for any cutting.
    func means(_ own: [[Double]], _ counts: [Double]) throws -> [Double] {
      var sums = [ExactSum](repeating: ExactSum(), count: latents)
      for list in own { for i in 0..<latents where list[i] != 0 { sums[i].add(list[i]) } }
      return zip(try domain.merged(sums), counts).map { $0.value / $1 }
    }
    let patches = (0..<layout.tiles.count).reduce(0) { $0 + codec.patches(of: layout.tiles.box($1)).product }
    let counts = [Double](repeating: Double(patches), count: latents)
    self.counts = counts
    values = Double(layout.components * grid.count)
    latentVariances = try means(inputs.map { list in
      var s = [Double](repeating: 0, count: latents)
      for (k, v) in list.enumerated() { s[k % latents] += Double(v) * Double(v) }
      return s
    }, counts)

    let derivative = SynthesisDerivative(model), steps = model.numbers.steps.map(Double.init)
    func squares(_ r: FieldParts) throws -> [Double] {
      let near = try domain.handed(r, to: boxes), out = Slots<[Double]>(boxes.count, [])
      parallelFor(boxes.count, threads: encoder.threads) { i in
        var s = [Double](repeating: 0, count: latents)
        // Of the field's own components.
        let parts = order.indices.map { c in near[i][order.firstIndex(of: c)!] }
        codec.forEachPatch(of: boxes[i], parts.map(\.values)) { p, cotangent in
          let z = (0..<latents).map { factor * steps[$0] * Double(rounded[i][p * latents + $0]) }
          for (k, v) in derivative.adjoint(cotangent, at: z).enumerated() { s[k] += v * v }
        }
        out[i] = (0..<latents).map { s[$0] * (scale * steps[$0]) * (scale * steps[$0]) }
      }
      return try means(out.array, counts)
    }
    guard case .field(let signs) = BandAlignment.cotangent(components: layout.components, values: 0, of: grid, on: domain, stream: -2) else { preconditionFailure() }
    let root = values.squareRoot()
    distortion = try squares(signs.map { FieldPart($0.box, $0.values.map { root * $0 }) })

    let decoded = boxes.indices.map { codec.values(rounded[$0], boxes[$0], type: .float64, factor: factor, shifts: [0, 0, 0]) }
    let again = try domain.parts(of: order.map { c in decoded.map { $0[c] } }, in: boxes, type: .float64)
    for o in wanted {
      let v = try o.value(of: x, on: domain), square = try v.squareSum(on: domain), count = v.count(on: domain)
      var fields: Int?
      if case .field(let f) = v { fields = f.count }
      let r = try o.adjoint(at: x, of: BandAlignment.cotangent(components: fields, values: count, of: grid, on: domain, stream: -1), on: domain)
      let unit = square > 0 ? Double(max(1, count)) / square : 1
      observables.append(try squares(r).map { $0 * unit })
      let moved = try o.value(of: again, on: domain).squareSum(minus: v, on: domain)
      errors.append(square > 0 ? (moved / square).squareRoot() : .nan)
    }
  }

  /// D of equal noise theta over D of the best noise of the same rate, in dB.
  func slackDB(noise theta: Double) -> Double {
    let bands = distortion.indices.map { BandSpectrum.Band(sensitivity: distortion[$0], count: counts[$0], variance: latentVariances[$0]) }
    let best = distortion.map { $0.squareRoot() }, least = best.filter { $0 > 0 }.min() ?? 1
    return max(0, BandSpectrum(bands).prediction(factors: best.map { max(1, $0 / least) }, rate: .rounded(theta)).gain)
  }
}
