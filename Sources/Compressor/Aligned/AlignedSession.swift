import Codecs
import Fields
import Glibc
import MPI
import Observables
import Reduction
import Statistics

/// The passes over one field.
struct AlignedSession {
  private let request: AlignedRequest
  private let judge: Judge
  private let domain: RankDomain
  private let reserved: [UInt8]
  /// What the container will hold, but for gains; and the original in the field's own order of components.
  private let restoration: FieldRestoration, original: FieldParts
  private let observer: FieldObserver
  private(set) var encoder: FieldEncoder

  /// - Collective: all ranks.
  init(_ r: AlignedRequest, _ observer: FieldObserver, _ encoder: FieldEncoder, _ restoration: FieldRestoration, _ original: FieldParts) throws {
    request = r; domain = observer.domain; self.observer = observer; self.restoration = restoration; self.original = original
    reserved = restoration.isEmpty ? [] : restoration.serialised(r.coordinates)
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
    let u = try encoder.decodedParts(on: domain)
    func ordered(_ p: FieldParts) -> FieldParts { request.order.map { p[$0] } }
    let view = judge.judgesRestored && field.coding.member != .lossless ? try restored(u).values : nil
    let residuals = try judge.residuals(ordered(u), restored: view.map(ordered))
    return Pass(field: field, residuals: residuals, errors: try judge.errors(residuals))
  }

  /// The restored view of decoded values.
  ///
  /// - Collective: all ranks.
  func restored(_ decoded: FieldParts) throws -> RestorationMeasure {
    try RestorationMeasure(restoration, original, masked(decoded, like: original), encoder.source.type, domain)
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
    // An autoencoder has the steps of its model: where those miss a target the field is coded as if it were not there.
    if plain.field.coding.member == .autoencoder, encoder.forced == nil, !judge.satisfied(plain.errors) {
      encoder.autoencoders = []
      plain = try pass(ranks)
    }
    func done(_ p: Pass, _ steps: String, predicted: [Double]) -> AlignedField { self.done(p, steps, predicted, against: plain.field) }
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
    let step = plain.field.coding.step
    if plain.field.coding.member == .spectral, let s = encoder.spectral, let last = s.last {
      let space = try encoder.phases.measure("align") {
        let source = encoder.source.ordered(request.order)
        let law = try SpectralLaw(
          s, last, Array(try observer.subjects().prefix(judge.kept.count)), source, order: request.order, samples: 8, original: { judge.original }, on: domain,
          ranks: ranks)
        return ShapedSpace(s, law.bands, judge.kept.indices, SpectralLatents(encoder: s, domain: domain, order: request.order), step: step)
      }
      // Where the modes cannot keep it blocks may, whose carriers are local; what is told then is the modes' best.
      do { return try shaped(plain, space, against: plain.field, ranks: ranks) } catch let modes as Failure where modes.code == .boundViolated && encoder.forced == nil {
        do { return try byBlocks(plain, lapped: lapped, ranks: ranks) } catch let f as Failure where f.code == .boundViolated { throw modes }
      }
    }
    return try byBlocks(plain, lapped: lapped, ranks: ranks)
  }

  /// By a lapped transform, the field's own or LOT 16.
  ///
  /// - Collective: all ranks.
  private mutating func byBlocks(_ plain: Pass, lapped: (borrowing Communicator) throws -> FieldEncoder, ranks: borrowing Communicator) throws -> AlignedField {
    var start = plain
    if start.field.coding.member.blockEdge == nil {
      guard encoder.forced == nil, start.field.coding.member != .lossless, start.field.coding.member != .constant else {
        throw judge.failure(start.errors, start.field.coding.member == .autoencoder ? "; an autoencoder has the steps of its model: ask for a finer bound, or leave --codec out" : "")
      }
      encoder = try lapped(ranks)
      prepare()
      start = try pass(ranks)
      if judge.satisfied(start.errors) { return done(start, "uniform", start.errors, against: plain.field) }
    }
    guard let transform = start.field.coding.member.transform(domain.grid) as? LappedOrthogonalTransform else { throw judge.failure(start.errors, "") }
    let latents = TileLatents(layout: encoder.layout, transform: transform, domain: domain, order: request.order)
    let space = try encoder.phases.measure("align") {
      let learned = try learnedSensitivities(start.field, transform, ranks: ranks)
      return try ShapedSpace(judge, encoder, latents, step: start.field.coding.step, request.coordinates, sensitivities: learned, ranks: ranks)
    }
    return try shaped(start, space, against: plain.field, ranks: ranks)
  }

  /// By observable, component of the field and band, of the decoder that corrects what the transform decodes; `nil`: there is none, or the transform's will do.
  ///
  /// - Collective: all ranks.
  private func learnedSensitivities(_ e: EncodedField, _ transform: LappedOrthogonalTransform, ranks: borrowing Communicator) throws -> [[[Double]]]? {
    let network: Network
    switch (e.coding.network, encoder.settled) {
    case (.inline(let n), _): network = n
    case (.stored, .network(let n)): network = n
    default: return nil
    }
    guard NetworkCorrection.takes(domain.grid, network) else { return nil }
    let source = encoder.source.ordered(request.order), subjects = Array(try observer.subjects().prefix(judge.kept.count))
    let bands = try BandAlignment(subjects, source, SampledBlocks(transform, count: 8, ranks: ranks), original: { judge.original }, on: domain, ranks: ranks)
    let a = try LearnedAlignment(
      network, bands, subjects.map(\.observable), source, order: request.order, noise: e.coding.step * e.coding.step / 12, target: nil, on: domain, ranks: ranks)
    return judge.kept.indices.map { j in
      var g = [[Double]](repeating: [], count: request.order.count)
      for (c, own) in request.order.enumerated() { g[own] = a.squares(j, component: c) }
      return g
    }
  }

  private func done(_ p: Pass, _ steps: String, _ predicted: [Double], against reference: EncodedField) -> AlignedField {
    let lost = loss(reference, p.field)
    return AlignedField(field: p.field, predicted: predicted, steps: judge.kept.isEmpty ? nil : (steps, lost.isNaN ? 0 : lost))
  }

  /// Passes with weighted steps until the targets hold.
  ///
  /// - Parameter plain: the pass without, of the same member. - Parameter reference: what losses count from.
  /// - Throws: `Failure(.boundViolated)` with the best that was had.
  /// - Collective: all ranks.
  private func shaped(_ plain: Pass, _ space: ShapedSpace, against reference: EncodedField, ranks: borrowing Communicator) throws -> AlignedField {
    let step = plain.field.coding.step, bands = space
    let law = BandLaw(bands.law, level: step * step / 12, held: encoder.target.rate != nil ? .rate : .fidelity)

    // Which observables the carriers can put right: those of few values whose error of the plain pass they would undo.
    let count = encoder.layout.components * domain.grid.count
    var carried = judge.kept.indices.filter { !judge.kept[$0].restored && plain.errors[$0] > judge.kept[$0].target && judge.norms[$0].count * AlignedSession.latentsPerValue <= count }
    var carriers: Carriers?, bits = [UInt8](repeating: 0, count: bands.law.count)
    if !carried.isEmpty {
      let chosen = try encoder.phases.measure("align") { () -> (Carriers, [Bool])? in
        // As few as will do; those that are coded anyway before those that are not.
        for (latentsPerValue, idle) in bands.hasIdle ? [(2.0, false), (4, false), (8, false), (2, true), (4, true), (8, true)] : [(2.0, true), (4, true), (8, true)] {
          let mask = bands.carriers(for: carried, judge, latentsPerValue, idle: idle)
          let c = Carriers(bands.tables(mask), for: carried, judge, space.latents)
          let left = try c.correction(plain.residuals, ranks: ranks).left
          let good = carried.filter { left[$0] < 0.3 * judge.kept[$0].target }
          if good == carried { return (c, mask) }
          if latentsPerValue < 8 || !idle || good.isEmpty { continue }
          carried = good
          return (Carriers(bands.tables(mask), for: carried, judge, space.latents), mask)
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
      var steps = ShapedSteps(
        exponents: exponents, bits: bits, stepRatio: (state.level / flat.level).squareRoot(), aim: share.squareRoot() * slack)
      space.apply(steps, space)
      var p = try pass(ranks)
      var predicted = zip(state.observables, scale).map { ($0 * $1).squareRoot() }
      for j in scale.indices where state.observables[j] > 0 && !carried.contains(j) { scale[j] = p.errors[j] * p.errors[j] / state.observables[j] }
      if let carriers {
        for j in carried { predicted[j] = (AlignedSession.carrierShare).squareRoot() * judge.kept[j].target }
        steps.fixed = (p.field.coding.step, p.field.coding.shifts)
        var change: [[Double]]?
        // What outliers do shows only when they are coded again.
        for _ in 0..<AlignedSession.passes where carried.contains(where: { p.errors[$0] > judge.kept[$0].target }) {
          let more = try encoder.phases.measure("align") { try carriers.correction(p.residuals, ranks: ranks).change }
          change = change.map { zip($0, more).map { zip($0, $1).map(+) } } ?? more
          steps.change = carriers.dense(change!)
          space.apply(steps, space)
          p = try pass(ranks)
        }
      }
      return (p, predicted)
    }

    var result: (pass: Pass, predicted: [Double])?, used: [Double] = []
    // A little better than asked for, so that a second pass is rare; of few coefficients the error is ragged, and bits can always pay for less.
    var ease = 0.94
    for _ in 0..<AlignedSession.passes {
      let (lambda, share) = law.multipliers(for: wanted(ease)), r = try shaped(lambda, share)
      if encoder.target.pointwise == nil, let wanted = encoder.target.rmse, let rmse = r.pass.field.rmse, rmse > wanted {
        slack *= 0.999 * wanted / rmse
        continue
      }
      if judge.satisfied(r.pass.errors) {
        result = r; used = lambda
        break
      }
      let better = judge.worst(r.pass.errors) < 0.95 * judge.worst(best)
      if judge.worst(r.pass.errors) < judge.worst(best) { best = r.pass.errors; bestLoss = loss(reference, r.pass.field) }
      if (!better && law.held == .rate) || carried.contains(where: { r.pass.errors[$0] > judge.kept[$0].target }) { break }
      ease *= better ? 1 : 0.8
    }
    guard let result else { throw judge.failure(best, encoder.target.rate != nil ? ", at \(short(bestLoss)) dB of PSNR" : "") }
    let name = carriers != nil ? "nearest-plane" : "diagonal"
    if let limit = request.maximumLoss, loss(reference, result.pass.field) > limit {
      // The best within the limit: the same shape, weaker.
      var low = 0.0, high = 1.0
      for _ in 0..<20 {
        let middle = 0.5 * (low + high), s = law.state(law.exponents(used.map { $0 * middle }))
        if 10 * log10(s.distortion / flat.distortion) > 0.95 * limit { high = middle } else { low = middle }
      }
      let within = used.contains { $0 > 0 } ? try shaped(used.map { $0 * low }, 1).pass.errors : plain.errors
      throw judge.failure(
        within, " within --max-psnr-loss \(short(limit)) dB; what is asked for costs \(short(loss(reference, result.pass.field))) dB")
    }
    return done(result.pass, name, result.predicted, against: reference)
  }
}

extension ErrorBound {
  /// With errors smaller by a factor; rates and lossless stay as they are.
  func scaled(by factor: Double) -> ErrorBound {
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
