import Codecs
import Fields
import Glibc
import LatentGeometry
import MPI
import Observables
import Reduction
import SnapshotIO
import Statistics

// Aligned coding: steps per band, and the rounding itself, such that given observables come out at most so wrong. docs/aligned.md.

/// What is asked for one field beside its bound.
struct AlignedRequest {
  var kept: [Kept] = []
  /// dB of PSNR.
  var maximumLoss: Double?
  var restoration: Set<RestorationKind> = []
  var coordinates = Coordinates.unit
  var tileAccess = false
  var correctors: [Corrector] = []
  let observed: [any Observable]
  /// As of `FieldDescription.componentOrder`.
  let order: [Int]

  var isEmpty: Bool { kept.isEmpty && restoration.isEmpty && observed.isEmpty }

  init(_ f: FieldDescription, observing: ObservationPlan.Field) {
    order = f.componentOrder
    observed = observing.observables
    coordinates = observing.coordinates
  }
}

extension FieldDescription {
  /// Which component stands for storage axis 2, 1, 0, in the order in which observables take them: components belong to axis letters.
  var componentOrder: [Int] {
    let places = spatialAxes.reversed().map { Array("xyz").firstIndex(of: $0)! }
    return places.count == components && places.allSatisfy { $0 < components } ? places : Array(0..<components)
  }
}

/// A field coded with its request met.
struct AlignedField {
  var field: EncodedField
  /// What was to be kept, then what else was to be observed.
  var observables: [ObservableReport] = []
  /// Errors of what was to be kept by the law.
  var predicted: [Double] = []
  /// Steps that were needed (`uniform`, `diagonal`, `nearest-plane`) and the PSNR they cost; nil where nothing was to be kept.
  var steps: (name: String, lossDB: Double)?
  var restoration: RestorationMeasure?
}

/// Codes a field so that all that is to be kept holds on the decoded values, outliers and all, and adds what restores it.
///
/// Without a request the stream is that of a plain job.
/// Fields with missing values have no steps to weight: for them the bound is made finer until the targets hold.
/// - Parameter temporal: the series that the step belongs to; the caller commits it there.
/// - Parameter background: codes tiles beside the caller; this runs inside its body.
/// - Throws: `Failure(.boundViolated)` with the best that was had; `Failure(.usage)` for what cannot be restored.
/// - Collective: all ranks.
func encodeAligned(
  _ r: AlignedRequest, _ source: FieldSource, bound: ErrorBound, forced: FieldCoding.Member?, temporal: TemporalSeries? = nil, threads: Int, check: Bool,
  phases: PhaseClock, background: CodingTask? = nil, ranks: borrowing Communicator
) throws -> AlignedField {
  func encoder(_ forced: FieldCoding.Member?, finer: Double = 1, _ ranks: borrowing Communicator) throws -> FieldEncoder {
    let e = try FieldEncoder(source, bound: bound.scaled(by: finer), forced: forced, threads: threads, check: check, phases: phases, ranks: ranks)
    e.tileAccess = r.tileAccess
    e.background = background
    e.correctors = r.correctors
    return e
  }
  let first = try encoder(forced, ranks)
  // Where observables are to be kept every step stands alone.
  if r.kept.isEmpty { first.history = temporal?.history(of: source.name) }
  if r.isEmpty { return AlignedField(field: try first.encode(ranks: ranks)) }
  return try withRankDomain(source.grid, coordinates: r.coordinates, ranks: ranks) { domain in
    let original = masking(try domain.parts(of: source.arrays, in: source.boxes, type: source.type), first.survey.specials, source.type)
    var restoration = FieldRestoration()
    do {
      restoration = try FieldRestoration(
        of: original, kinds: r.restoration, componentOfAxis: (0..<3).filter { source.grid.shape[$0] > 1 }.compactMap { 2 - $0 < r.order.count ? r.order[2 - $0] : nil },
        precision: source.type == .float32 ? 0x1p-24 : 0x1p-50, on: domain)
    } catch let e as ObservableError { throw Failure(.usage, "\(source.name): \(e)") }
    let reserved = restoration.isEmpty ? [] : restoration.serialised(r.coordinates)
    // First those of the original: what cannot be evaluated ends the job before the field is coded.
    let names = Set(r.kept.map { $0.observable.specification })
    let all = r.kept.map(\.observable) + r.observed.filter { !names.contains($0.specification) }
    let observer = try phases.measure("observe") { try FieldObserver(all, of: r.order.map { original[$0] }, on: domain) }
    var session = try AlignedSession(r, observer, first, reserved)
    var out = try session.run(ranks: ranks, lapped: { try encoder(.lapped16, $0) }, finer: { try encoder(forced, finer: $0, $1) })
    if !all.isEmpty {
      out.observables = try phases.measure("observe") {
        let decoded = try session.encoder.decodedParts(on: domain)
        return try observer.reports(r.order.map { decoded[$0] })
      }
      if let point = session.encoder.operatingPoint(of: out.field) {
        try phases.measure("align") { try observer.align(&out.observables, at: point, source.ordered(r.order), ranks: ranks) }
      }
      for j in r.kept.indices {
        out.observables[j].target = r.kept[j].target
        out.observables[j].predictedError = out.predicted[j]
      }
    }
    out.field.coding.restoration = []
    if !restoration.isEmpty, out.field.coding.member != .lossless {
      let decoded = masked(try session.encoder.decodedParts(on: domain), like: original)
      try restoration.setGains(original: original, decoded: decoded, on: domain)
      out.field.coding.restoration = restoration.serialised(r.coordinates)
      out.restoration = try RestorationMeasure(restoration, original, decoded, source.type, domain)
    }
    return out
  }
}

/// The passes over one field.
private struct AlignedSession {
  private let request: AlignedRequest
  private let judge: Judge
  private let domain: RankDomain
  private let reserved: [UInt8]
  private(set) var encoder: FieldEncoder

  /// - Collective: all ranks.
  init(_ r: AlignedRequest, _ observer: FieldObserver, _ encoder: FieldEncoder, _ reserved: [UInt8]) throws {
    request = r; domain = observer.domain; self.reserved = reserved
    judge = try Judge(r.kept, observer, order: r.order)
    self.encoder = encoder
    prepare()
  }
  private func prepare() {
    encoder.reserved = reserved
    encoder.keepDecoded()
  }

  private struct Pass {
    var field: EncodedField, residuals: [ObservableValue], errors: [Double]
  }
  /// - Collective: all ranks.
  private func pass(_ ranks: borrowing Communicator) throws -> Pass {
    let field = try encoder.encode(ranks: ranks)
    if judge.kept.isEmpty { return Pass(field: field, residuals: [], errors: []) }
    let u = try encoder.decodedParts(on: domain), residuals = try judge.residuals(request.order.map { u[$0] })
    return Pass(field: field, residuals: residuals, errors: try judge.errors(residuals))
  }

  /// Passes with factors at most, each a coding of the whole field.
  private static let passes = 6
  /// Observables with up to one value for so many latents are carried.
  private static let latentsPerValue = 32
  /// Share of the squared target that the carriers' own rounding may take.
  private static let carrierShare = 0.1

  /// - Collective: all ranks.
  mutating func run(
    ranks: borrowing Communicator, lapped: (borrowing Communicator) throws -> FieldEncoder, finer: (Double, borrowing Communicator) throws -> FieldEncoder
  ) throws -> AlignedField {
    var plain = try pass(ranks)
    func done(_ p: Pass, _ steps: String, predicted: [Double]) -> AlignedField {
      let lost = loss(plain.field, p.field)
      return AlignedField(
        field: p.field, predicted: predicted, steps: judge.kept.isEmpty ? nil : (steps, lost.isNaN ? 0 : lost))
    }
    if judge.satisfied(plain.errors) { return done(plain, "uniform", predicted: plain.errors) }
    // Only lapped transforms have factors on bands, and they code no masks.
    if encoder.special != nil || encoder.survey.unlisted {
      guard encoder.target.rate == nil else { throw judge.failure(plain.errors, "; fields with missing values have one step for all") }
      var scale = 1.0, best = plain.errors
      for _ in 0..<AlignedSession.passes {
        scale *= max(0.8 / judge.worst(best), 1e-3)
        encoder = try finer(scale, ranks)
        prepare()
        let p = try pass(ranks)
        if judge.satisfied(p.errors) { return done(p, "uniform", predicted: p.errors) }
        best = p.errors
      }
      throw judge.failure(best, ", at \(short(scale)) of the bound")
    }
    if plain.field.coding.member.blockEdge == nil {
      guard encoder.forced == nil, plain.field.coding.member != .lossless, plain.field.coding.member != .constant else { throw judge.failure(plain.errors, "") }
      encoder = try lapped(ranks)
      prepare()
      plain = try pass(ranks)
      if judge.satisfied(plain.errors) { return done(plain, "uniform", predicted: plain.errors) }
    }
    guard let transform = plain.field.coding.member.transform(domain.grid) as? LappedOrthogonalTransform else { throw judge.failure(plain.errors, "") }
    let latents = TileLatents(layout: encoder.layout, transform: transform, domain: domain, order: request.order)
    let step = plain.field.coding.step
    let bands = try encoder.phases.measure("align") { try Bands(judge, encoder, latents, step: step, request.coordinates, ranks: ranks) }
    let law = BandLaw(bands.law, level: step * step / 12, held: encoder.target.rate != nil ? .rate : .fidelity)

    // Which observables the carriers can put right: those of few values whose error of the plain pass they would undo.
    let count = encoder.layout.components * domain.grid.count
    var carried = judge.kept.indices.filter { plain.errors[$0] > judge.kept[$0].target && judge.norms[$0].count * AlignedSession.latentsPerValue <= count }
    var carriers: Carriers?, bits = [UInt8](repeating: 0, count: bands.law.count)
    if !carried.isEmpty {
      let chosen = try encoder.phases.measure("align") { () -> (Carriers, [Bool])? in
        // As few as will do.
        for latentsPerValue in [2.0, 4, 8] {
          let mask = bands.carriers(for: carried, judge, latentsPerValue)
          let c = Carriers(bands.tables(mask, judge.order.count), for: carried, judge, latents)
          let left = try c.correction(plain.residuals, ranks: ranks).left
          let good = carried.filter { left[$0] < 0.3 * judge.kept[$0].target }
          if good == carried { return (c, mask) }
          if latentsPerValue < 8 || good.isEmpty { continue }
          carried = good
          return (Carriers(bands.tables(mask, judge.order.count), for: carried, judge, latents), mask)
        }
        return nil
      }
      if let chosen {
        carriers = chosen.0
        bits = bands.bits(of: chosen.1, for: carried, judge, step: step, share: AlignedSession.carrierShare)
      } else { carried = [] }
    }

    let flat = law.state([UInt8](repeating: 0, count: bands.law.count))
    // Measured over predicted.
    var scale = zip(plain.errors, flat.observables).map { $1 > 0 ? $0 * $0 / $1 : 1 }
    func wanted(_ share: Double) -> [Double] {
      judge.kept.indices.map { carried.contains($0) || scale[$0] <= 0 ? .infinity : share * judge.kept[$0].target * judge.kept[$0].target / scale[$0] }
    }
    var best = plain.errors, bestLoss = 0.0
    // Moved carriers add a little to the error: aimed at so much less.
    var slack = carriers != nil ? 0.999 : 1
    /// A pass with these multipliers, and then with the carriers moved.
    func shaped(_ lambda: [Double], _ share: Double) throws -> (pass: Pass, predicted: [Double]) {
      var exponents = zip(law.exponents(lambda), bands.highest).map { min($0, $1) }
      exponents = try domain.agreed(exponents.map(Double.init)).map { UInt8($0) }
      let state = law.state(exponents, share: share)
      let weights = BandWeights(edge: transform.blockEdge, tables: bands.tables(exponents, judge.order.count)).simplified(latents: count)
      let further = BandWeights(edge: transform.blockEdge, tables: bands.tables(bits, judge.order.count))
      var shaping = Shaping(
        weights: weights, refinement: further.isFlat ? nil : BandRefinement(further), transform, stepRatio: (state.level / flat.level).squareRoot())
      shaping.aim = share.squareRoot() * slack
      encoder.shaping = shaping
      var p = try pass(ranks)
      var predicted = zip(state.observables, scale).map { ($0 * $1).squareRoot() }
      for j in scale.indices where state.observables[j] > 0 && !carried.contains(j) { scale[j] = p.errors[j] * p.errors[j] / state.observables[j] }
      if let carriers {
        for j in carried { predicted[j] = (AlignedSession.carrierShare).squareRoot() * judge.kept[j].target }
        shaping.fixed = (p.field.coding.step, p.field.coding.shifts)
        var change: [[Double]]?
        // What outliers do shows only when they are coded again.
        for _ in 0..<AlignedSession.passes where carried.contains(where: { p.errors[$0] > judge.kept[$0].target }) {
          let more = try encoder.phases.measure("align") { try carriers.correction(p.residuals, ranks: ranks).change }
          change = change.map { zip($0, more).map { zip($0, $1).map(+) } } ?? more
          shaping.change = carriers.dense(change!)
          encoder.shaping = shaping
          p = try pass(ranks)
        }
      }
      return (p, predicted)
    }

    var result: (pass: Pass, predicted: [Double])?, used: [Double] = []
    for _ in 0..<AlignedSession.passes {
      // A little better than asked for, so that a second pass is rare.
      let (lambda, share) = law.multipliers(for: wanted(0.94)), r = try shaped(lambda, share)
      if encoder.target.pointwise == nil, let wanted = encoder.target.rmse, let rmse = r.pass.field.rmse, rmse > wanted {
        slack *= 0.999 * wanted / rmse
        continue
      }
      if judge.satisfied(r.pass.errors) {
        result = r; used = lambda
        break
      }
      let better = judge.worst(r.pass.errors) < 0.95 * judge.worst(best)
      if judge.worst(r.pass.errors) < judge.worst(best) { best = r.pass.errors; bestLoss = loss(plain.field, r.pass.field) }
      if !better || carried.contains(where: { r.pass.errors[$0] > judge.kept[$0].target }) { break }
    }
    guard let result else { throw judge.failure(best, encoder.target.rate != nil ? ", at \(short(bestLoss)) dB of PSNR" : "") }
    let name = carriers != nil ? "nearest-plane" : "diagonal"
    if let limit = request.maximumLoss, loss(plain.field, result.pass.field) > limit {
      // The best within the limit: the same shape, weaker.
      var low = 0.0, high = 1.0
      for _ in 0..<20 {
        let middle = 0.5 * (low + high), s = law.state(law.exponents(used.map { $0 * middle }))
        if 10 * log10(s.distortion / flat.distortion) > 0.95 * limit { high = middle } else { low = middle }
      }
      let within = used.contains { $0 > 0 } ? try shaped(used.map { $0 * low }, 1).pass.errors : plain.errors
      throw judge.failure(
        within, " within --max-psnr-loss \(short(limit)) dB; what is asked for costs \(short(loss(plain.field, result.pass.field))) dB")
    }
    return done(result.pass, name, predicted: result.predicted)
  }
}

extension ErrorBound {
  /// With errors smaller by a factor; rates and lossless stay as they are.
  fileprivate func scaled(by factor: Double) -> ErrorBound {
    switch self {
    case .absolute(let v): .absolute(v * factor)
    case .relative(let v): .relative(v * factor)
    case .psnr(let v): .psnr(v - 20 * log10(factor))
    case .pointwiseRelative, .rate, .lossless: self
    }
  }
}

/// dB of PSNR from one coding of a field to another; NaN where they were not decoded.
private func loss(_ a: EncodedField, _ b: EncodedField) -> Double {
  guard let x = a.rmse, let y = b.rmse, x > 0, y > 0 else { return .nan }
  return 20 * log10(y / x)
}

/// The bands that have latents, of all components of the field.
private struct Bands {
  private(set) var law: [BandLaw.Band] = []
  /// Largest exponents that keep symbols inside 2^26.
  private(set) var highest: [UInt8] = []
  private var places: [(component: Int, band: Int)] = []
  private let bandCount: Int

  /// Variances of the coefficients and sensitivities of all observables.
  ///
  /// - Collective: all ranks.
  init(
    _ judge: Judge, _ encoder: FieldEncoder, _ latents: TileLatents, step: Double, _ coordinates: Coordinates, ranks: borrowing Communicator
  ) throws {
    encoder.shaping = nil
    let coefficients = try encoder.analyse(latents.transform, ranks: ranks)
    let squares = try latents.bandSums(coefficients, coefficients), sizes = latents.bandSizes
    bandCount = latents.bandCount
    let g = try judge.kept.indices.map { try judge.sensitivities($0, latents, coordinates, ranks: ranks) }
    for c in squares.indices {
      for b in sizes.indices where sizes[b] > 0 {
        places.append((c, b))
        law.append(.init(count: sizes[b], variance: squares[c][b] / sizes[b], sensitivities: g.map { $0[c][b] }))
        // No latent exceeds the root of its band's sum of squares.
        var k = BandWeights.largest
        let top = squares[c][b].squareRoot() / step
        while k > 0 && top * BandWeights.factor(k) > 0x1p26 { k -= 1 }
        highest.append(UInt8(k))
      }
    }
  }

  /// Tables of all components; bands without latents get 0.
  func tables(_ exponents: [UInt8], _ components: Int) -> [[UInt8]] {
    var t = [[UInt8]](repeating: [UInt8](repeating: 0, count: bandCount), count: components)
    for (p, e) in zip(places, exponents) { t[p.component][p.band] = e }
    return t
  }
  func tables(_ mask: [Bool], _ components: Int) -> [[Bool]] { tables(mask.map { $0 ? 1 : 0 }, components).map { $0.map { $0 > 0 } } }

  /// For each observable the bands to which it is most sensitive, all components together, until there are enough latents.
  func carriers(for observables: [Int], _ judge: Judge, _ latentsPerValue: Double) -> [Bool] {
    var mask = [Bool](repeating: false, count: law.count)
    for j in observables {
      var g = [Double](repeating: 0, count: bandCount), counts = g, latents = 0.0
      for (b, place) in zip(law, places) { g[place.band] += b.sensitivities[j]; counts[place.band] += b.count }
      for band in g.indices.sorted(by: { g[$0] != g[$1] ? g[$0] > g[$1] : $0 < $1 }) {
        if latents >= latentsPerValue * Double(judge.norms[j].count) || g[band] <= 0 { break }
        latents += counts[band]
        for i in places.indices where places[i].band == band && law[i].sensitivities[j] > 0 { mask[i] = true }
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

// MARK: what is asked for

/// `--keep` for one field: those named for it and those that can be evaluated on it.
///
/// - Throws: `Failure(.usage)` for a bound that has nothing to trade.
func keptObservables(_ all: [KeepRequest], _ f: FieldDescription, bound: ErrorBound) throws -> [Kept] {
  let mine = all.filter { $0.suits(f) }
  if !mine.isEmpty, bound == .lossless || bound.kind == "pwrel" {
    throw Failure(.usage, "--keep and --\(bound.kind) exclude each other (\(f.name)): \(bound == .lossless ? "nothing is lost" : "logarithms are coded"); give --rate, --psnr, --abs or --rel")
  }
  return mine.map { Kept(observable: $0.observable, target: $0.target) }
}

/// `--restoration` for one field: what such a grid and such components allow.
func restorationKinds(_ all: Set<RestorationKind>, _ f: FieldDescription) -> Set<RestorationKind> {
  let axes = (0..<3).filter { f.grid.shape[$0] > 1 }, wraps = axes.allSatisfy { f.grid.periodic[$0] }
  return all.filter { kind in
    switch kind {
    case .totals: true
    case .spectrum, .band: wraps
    case .divergence: wraps && f.components == axes.count
    }
  }
}
