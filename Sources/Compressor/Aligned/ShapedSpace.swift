import Codecs
import Fields
import Glibc
import MPI
import Observables
import Reduction

/// The latents of an orthonormal transform where the encoder has them, one array of doubles each of some boxes, and the fields they stand for.
///
/// - Collective: both transforms, all ranks.
protocol ShapedLatents {
  /// Of this rank, and which component each is of.
  var arrays: [(box: Box, component: Int)] { get }
  /// T u.
  func analysis(of parts: FieldParts, ranks: borrowing Communicator) throws -> [RawArray]
  /// T^T z; overwrites `latents`.
  func synthesis(of latents: [RawArray], ranks: borrowing Communicator) throws -> FieldParts
  /// Calls `body` with the offset of each latent of array i and its band.
  func eachBand(of i: Int, _ body: (_ offset: Int, _ band: Int) -> Void)
  /// Band of latents that are stored exactly and cost nothing; `nil`: none.
  var exactBand: Int? { get }
}

/// Steps for one pass: factors 2^(k/8) of all bands, and further bits of the carriers.
struct ShapedSteps {
  var exponents: [UInt8], bits: [UInt8]
  /// Predicted step relative to the one without factors.
  var stepRatio: Double
  /// Share of the error asked for that is aimed at.
  var aim: Double
  /// Added to the latents before they are rounded; step and shifts to be taken as they are.
  var change: [RawArray]?
  var fixed: (step: Double, shifts: [UInt8])?
}

/// The bands that have latents, of all components of the field, and how an encoder is told their steps.
struct ShapedSpace {
  let latents: any ShapedLatents
  private(set) var law: [BandLaw.Band] = []
  /// Largest exponents that keep symbols inside 2^26.
  private(set) var highest: [UInt8] = []
  private let places: [(component: Int, band: Int)]
  let bandCount: Int, components: Int
  /// Bands of less variance are idle: not coded.
  private let floor: Double
  var hasIdle: Bool { law.contains { $0.variance < floor } }
  /// Makes the next pass use these steps.
  let apply: (ShapedSteps, ShapedSpace) -> Void

  /// - Parameter sizes: latents of each component and band. - Parameter squares: their sums of squares. - Parameter g: by observable, component, band.
  private init(
    _ latents: any ShapedLatents, sizes: [[Double]], squares: [[Double]], _ g: [[[Double]]], step: Double, floor: Double,
    apply: @escaping (ShapedSteps, ShapedSpace) -> Void
  ) {
    self.latents = latents; self.floor = floor; self.apply = apply
    bandCount = sizes[0].count; components = sizes.count
    places = sizes.indices.flatMap { c in sizes[c].indices.filter { sizes[c][$0] > 0 }.map { (c, $0) } }
    for (c, b) in places {
      law.append(.init(count: sizes[c][b], variance: squares[c][b] / sizes[c][b], sensitivities: g.map { $0[c][b] }))
      // No latent exceeds the root of its band's sum of squares.
      var k = BandWeights.largest
      let top = squares[c][b].squareRoot() / step
      while k > 0 && top * BandWeights.factor(k) > 0x1p26 { k -= 1 }
      highest.append(UInt8(k))
    }
  }

  /// Bands of the lapped transform that an encoder works with.
  ///
  /// - Parameter sensitivities: by observable, component of the field and band, where they are not the transform's.
  /// - Collective: all ranks.
  init(
    _ judge: Judge, _ encoder: FieldEncoder, _ latents: TileLatents, step: Double, _ coordinates: Coordinates, sensitivities: [[[Double]]]? = nil,
    ranks: borrowing Communicator
  ) throws {
    encoder.shaping = nil
    let coefficients = try encoder.analyse(latents.transform, ranks: ranks), squares = try latents.bandSums(coefficients, coefficients)
    let g = try sensitivities ?? judge.kept.indices.map { try judge.sensitivities($0, latents, coordinates, ranks: ranks) }, transform = latents.transform
    let values = encoder.layout.components * encoder.layout.grid.count
    self.init(latents, sizes: squares.map { _ in latents.bandSizes }, squares: squares, g, step: step, floor: 0) { [unowned encoder] s, space in
      let weights = BandWeights(edge: transform.blockEdge, tables: space.tables(s.exponents)).simplified(latents: values)
      let further = BandWeights(edge: transform.blockEdge, tables: space.tables(s.bits))
      var shaping = Shaping(weights: weights, refinement: further.isFlat ? nil : BandRefinement(further), transform, stepRatio: s.stepRatio)
      shaping.aim = s.aim; shaping.change = s.change; shaping.fixed = s.fixed
      encoder.shaping = shaping
    }
  }

  /// Shells of the modes that an encoder works with; sensitivities are those of `bands`.
  init(_ s: SpectralEncoder, _ bands: SpectralBands, _ kept: Range<Int>, _ latents: SpectralLatents, step: Double) {
    func split(_ v: [Double]) -> [[Double]] { (0..<bands.components).map { Array(v[$0 * bands.shells..<($0 + 1) * bands.shells]) } }
    let sizes = split(bands.counts), squares = split(zip(bands.counts, bands.variances).map { $0 * $1 })
    // The third component of a flow without divergence is idle.
    self.init(latents, sizes: sizes, squares: squares, kept.map { split(bands.sensitivity($0).mean) }, step: step, floor: step * step / 12) { t, space in
      let total = t.exponents.indices.map { UInt8(min(Int(t.exponents[$0]) + 8 * Int(t.bits[$0]), Int(space.highest[$0]))) }
      s.shape(SpectralShaping(weights: ShellWeights(space.tables(total).flatMap { $0 }, components: space.components), aim: t.aim, change: t.change, fixed: t.fixed))
    }
  }

  /// Tables of all components; bands without latents get 0.
  func tables(_ exponents: [UInt8]) -> [[UInt8]] {
    var t = [[UInt8]](repeating: [UInt8](repeating: 0, count: bandCount), count: components)
    for (p, e) in zip(places, exponents) { t[p.component][p.band] = e }
    return t
  }
  func tables(_ mask: [Bool]) -> [[Bool]] { tables(mask.map { $0 ? 1 : 0 }).map { $0.map { $0 > 0 } } }

  /// For each observable the bands to which it is most sensitive, all components together, until there are enough latents.
  ///
  /// - Parameter idle: whether they may be ones that are not coded otherwise.
  func carriers(for observables: [Int], _ judge: Judge, _ latentsPerValue: Double, idle: Bool) -> [Bool] {
    let floor = idle ? 0 : floor
    var mask = [Bool](repeating: false, count: law.count)
    for j in observables {
      var g = [Double](repeating: 0, count: bandCount), counts = g, latents = 0.0
      for (b, place) in zip(law, places) where b.variance >= floor { g[place.band] += b.sensitivities[j]; counts[place.band] += b.count }
      for band in g.indices.sorted(by: { g[$0] != g[$1] ? g[$0] > g[$1] : $0 < $1 }) {
        if latents >= latentsPerValue * Double(judge.norms[j].count) || g[band] <= 0 { break }
        latents += counts[band]
        for i in places.indices where places[i].band == band && law[i].sensitivities[j] > 0 && law[i].variance >= floor { mask[i] = true }
      }
    }
    return mask
  }

  /// Further bits with which the rounding of the carriers takes at most `share` of each squared target, spread evenly.
  func bits(of mask: [Bool], for observables: [Int], _ judge: Judge, step: Double, share: Double) -> [UInt8] {
    var factors = [Double](repeating: 1, count: law.count)
    for j in observables {
      let total = law.indices.reduce(0) { $0 + (mask[$1] && law[$1].sensitivities[j] > 0 ? law[$1].count : 0) }
      let budget = share * judge.kept[j].target * judge.kept[j].target
      for i in law.indices where mask[i] && law[i].sensitivities[j] > 0 {
        let wanted = (12 * budget / (total * law[i].sensitivities[j])).squareRoot()
        factors[i] = max(factors[i], step / wanted)
      }
    }
    return factors.map { f in UInt8(min(Double(BandRefinement.largest), max(0, log2(f).rounded(.up)))) }
  }
}

/// The modes of a field as latents, and with them its means, as modes of shell 0.
struct SpectralLatents: ShapedLatents {
  let encoder: SpectralEncoder
  let domain: RankDomain
  /// Which component of the field each component of the parts is.
  let order: [Int]

  var arrays: [(box: Box, component: Int)] { encoder.coefficients.enumerated().map { ($1.box, $0) } }
  var exactBand: Int? { 0 }
  private var root: Double { Double(encoder.transform.shape.product).squareRoot() }

  func analysis(of parts: FieldParts, ranks: borrowing Communicator) throws -> [RawArray] {
    let rows = try domain.fetched(parts, to: encoder.transform.rows)
    let all = try rows.map { p in
      try encoder.transform.forward(ranks: ranks) { a in
        p.values.withUnsafeBytes { if !$0.isEmpty { a.pointer.copyMemory(from: $0.baseAddress!, byteCount: $0.count) } }
      }
    }
    let out = order.indices.map { c in all[order.firstIndex(of: c)!] }, mean = encoder.meanOffset
    let means = mean.map { at in out.map { $0.bound(to: Double.self)[at] / root } }
    SpectralEncoder.eachRow(encoder.transform.mine, out, threads: encoder.encoder.threads) { z, y, u in encoder.frame.forward(z, y, encoder.transform.mine, u) }
    if let mean, let means { for (a, m) in zip(out, means) { a.bound(to: Double.self)[mean] = m } }
    return out
  }

  func synthesis(of latents: [RawArray], ranks: borrowing Communicator) throws -> FieldParts {
    let means = try ranks.allReduce(latents.map { a in encoder.meanOffset.map { a.bound(to: Double.self)[$0] / root } ?? 0 }, .sum)
    SpectralEncoder.eachRow(encoder.transform.mine, latents, threads: encoder.encoder.threads) { z, y, u in encoder.frame.backward(z, y, encoder.transform.mine, u) }
    let values = try zip(latents, means).map { [try encoder.transform.backward($0, adding: $1, ranks: ranks)] }
    return try domain.parts(of: order.map { values[$0] }, in: [encoder.transform.rows], type: .float64)
  }

  func eachBand(of i: Int, _ body: (_ offset: Int, _ band: Int) -> Void) {
    let box = encoder.transform.mine, modes = encoder.everything, shells = encoder.shells
    if let mean = encoder.meanOffset { body(mean, 0) }
    for z in box.lower.z..<max(box.lower.z, box.upper.z) { for y in box.lower.y..<max(box.lower.y, box.upper.y) {
      let row = ((z - box.lower.z) * box.shape.y + y - box.lower.y) * box.shape.x
      for x in modes.range(box, z, y) {
        let band = min(modes.shell(z, y, box.lower.x + x), shells - 1)
        body(2 * (row + x), band); body(2 * (row + x) + 1, band)
      }
    } }
  }
}
