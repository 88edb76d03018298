import Codecs
import Fields
import Glibc
import LatentGeometry
public import MPI
import Observables
import Reduction
import SnapshotIO

/// Codes each field at several rates, without and with steps weighted for each observable, and sets the law beside what comes out.
///
/// At every rate: codings at weight 0, and as many per observable and lambda^ with steps ~ (1 + lambda g)^-1/2 at the same rate: errors that few
/// numbers decide are one draw of the rounding noise each time, so more are made, at rates a little apart, until their mean is known. Predictions
/// come from the coding at weight 0 only. With a model its network corrects all of them, or its autoencoder is what codes, whether that pays or not; weights are
/// then on the steps of its latents. Nothing is written.
/// - Throws: `Failure` or `AgreedError`, the same on all ranks: usage (exit code 1), input or output (2), no such model (5), interruption (75).
/// - Collective: all ranks.
public func sweep(_ o: SweepOptions, ranks: borrowing Communicator, progress: (String) -> Void) throws -> Report {
  let started = PhaseClock.now()
  let phases = PhaseClock()
  let input = try phases.measure("open") { try SnapshotInput.open(o.input, snapshotOptions(o.reading, fields: o.fields), ranks: ranks) }
  let plan = try ObservationPlan(o.observe, input.fields, positions: input.positions, ranks: ranks)
  let model = try o.model.map { try ModelFile.read($0, suiting: input.fields, ranks: ranks) }
  if case .autoencoder(let a) = model, a.shape.coding == .sparse {
    throw Failure(.usage, "model '\(o.model!)' is a sparse code, most of whose latents carry no noise; sweep takes dense autoencoders and networks behind a transform")
  }
  var cells: [SweepReport.Cell] = []
  for (number, f) in input.fields.enumerated() where !plan.fields[number].observables.isEmpty {
    for step in try selectedSteps(o.steps ?? 0..<1, of: f.steps, in: "\(o.input): \(f.name)") {
      let source = try phases.measure("read") { try readSource(input, number, step, ranks: ranks) }
      let found = try withRankDomain(f.grid, coordinates: plan.fields[number].coordinates, ranks: ranks) { domain in
        try sweep(source, f.componentOrder, plan.fields[number], model, o, phases, on: domain, progress, ranks: ranks)
      }
      cells += found.map { c in
        var c = c
        c.field = f.name; c.step = step
        return c
      }
    }
  }
  if cells.isEmpty { throw Failure(.usage, "\(o.input): no field has steps that could be weighted (missing values, constant or lossless)") }
  var report = Report()
  report.result.sweep = SweepReport(cells, model: model?.hashText)
  try finishRun(&report, "sweep", o.threads, phases, started, ranks: ranks)
  return report
}

/// - Parameter order: as of `FieldDescription.componentOrder`.
/// - Collective: all ranks.
private func sweep(
  _ source: FieldSource, _ order: [Int], _ wanted: ObservationPlan.Field, _ model: LearnedModel?, _ o: SweepOptions, _ phases: PhaseClock, on domain: RankDomain,
  _ progress: (String) -> Void, ranks: borrowing Communicator
) throws -> [SweepReport.Cell] {
  let ordered = source.ordered(order)
  let observer = try phases.measure("observe") { try FieldObserver(wanted.observables, of: ordered.parts(on: domain), on: domain) }
  var member: FieldCoding.Member?
  var out: [SweepReport.Cell] = []
  /// One coding and what it gives.
  struct Outcome { var bits: Double, tableBits: Double, rmse: Double, range: Double, errors: [Double] }
  func code(_ encoder: FieldEncoder) throws -> (EncodedField, Outcome) {
    try checkInterruption(ranks)
    let e = try encoder.encode(ranks: ranks)
    let decoded = try encoder.decodedParts(on: domain), reports = try phases.measure("observe") { try observer.reports(order.map { decoded[$0] }) }
    let n = e.statistics.reduce(0) { $0 + $1.count }, square = e.statistics.reduce(0) { $0 + $1.sumSquaredError.value }
    let table = e.coding.weights?.serialised.count ?? 0, stored = e.streamBytes + e.coding.serialised.count - table
    func bits(_ bytes: Int) -> Double { 8 * Double(bytes) / Double(max(1, n)) }
    return (e, Outcome(bits: bits(stored), tableBits: bits(table), rmse: (square / Double(max(1, n))).squareRoot(),
                       range: e.survey.maximum - e.survey.minimum, errors: reports.map(\.error)))
  }
  func encoder(_ rate: Double) throws -> FieldEncoder {
    let e = try FieldEncoder(source, bound: .rate(rate), forced: member, threads: o.threads, check: false, phases: phases, ranks: ranks)
    e.keepDecoded()
    switch model {
    case .network(let n):
      e.tileAccess = true
      e.correctors = [.network(n)]
      e.alwaysCorrects = true
    case .autoencoder(let a): e.autoencoders = [a]
    case nil: break
    }
    return e
  }
  typealias Base = (encoder: FieldEncoder, field: EncodedField, outcome: Outcome)
  // The members at all rates are the autoencoder, or lapped ones of one block edge.
  var plain: [Base] = []
  for rate in o.rates {
    var e = try encoder(rate)
    let (chosen, point) = try e.preview(ranks: ranks)
    guard let point else { return [] }
    if member == nil {
      if case .autoencoder = model { member = .autoencoder } else { member = chosen.blockEdge != nil ? chosen : point.edge == 16 ? .lapped16 : .lapped8 }
      e = try encoder(rate)
    }
    let (field, outcome) = try code(e)
    plain.append((e, field, outcome))
    progress("\(source.name)  \(short(outcome.bits)) bits/value  weight 0")
  }
  let transform = member!.transform(source.grid) as? LappedOrthogonalTransform
  let alignment = try transform.map { t in
    try phases.measure("align") {
      try BandAlignment(observer.subjects(), ordered, SampledBlocks(t, count: 32, ranks: ranks), original: { observer.original }, on: domain, ranks: ranks)
    }
  }
  /// Of a coding with equal steps.
  func foretold(_ base: Base) throws -> StepLaw {
    let theta = base.field.coding.step * base.field.coding.step / 12
    switch model {
    case .autoencoder(let a):
      return StepLaw(try AutoencoderAlignment(a, observer.observables, base.encoder, order: order, factor: base.field.coding.step, on: domain, ranks: ranks), noise: theta)
    case .network(let n):
      return StepLaw(try LearnedAlignment(n, alignment!, observer.observables, ordered, order: order, noise: theta, target: nil, on: domain, ranks: ranks), noise: theta)
    case nil: return try StepLaw(alignment!, at: OperatingPoint(edge: transform!.blockEdge, noise: theta))
    }
  }
  for (r, rate) in o.rates.enumerated() {
    let base = plain[r].outcome, law = try phases.measure("align") { try foretold(plain[r]) }
    // d ln D / d bits and d ln P / d bits between neighbouring rates, to bring cells to the baseline's rate; 6.02 dB per bit where there is one.
    func slope(_ value: (Outcome) -> Double) -> Double {
      let other = plain[r > 0 ? r - 1 : min(1, plain.count - 1)].outcome
      guard other.bits != base.bits, value(other) > 0, value(base) > 0 else { return -2 * log(2.0) }
      return 2 * log(value(base) / value(other)) / (base.bits - other.bits)
    }
    // Further draws of the rounding noise: codings at rates a little apart, and what their errors are at the first one's rate.
    var bases = [plain[r]]
    func drawn(_ k: Int) throws -> Base {
      while bases.count <= k {
        let n = bases.count, e = try encoder(rate * (1 + 0.004 * Double(n % 2 == 0 ? -n / 2 : (n + 1) / 2)))
        let (field, outcome) = try code(e)
        bases.append((e, field, outcome))
      }
      return bases[k]
    }
    for j in observer.observables.indices {
      let classes = law.statistics.classes(j), (overlap, _) = try law.statistics.overlap(j, classes, replicas: 1)
      let rmseSlope = slope { $0.rmse }, errorSlope = slope { $0.errors[j] }
      func squares(_ o: Outcome) -> (distortion: Double, observable: Double) {
        (o.rmse * o.rmse * exp((base.bits - o.bits) * rmseSlope), o.errors[j] * o.errors[j] * exp((base.bits - o.bits) * errorSlope))
      }
      for lambda in o.weights {
        let weight = classes.bands.spectrum.weight(normalised: lambda), exponents = law.exponents(j, weight: weight), p = law.prediction(j, exponents)
        var before: [(distortion: Double, observable: Double)] = [], after = before, outcomes: [Outcome] = []
        repeat {
          let b = try drawn(before.count)
          if case .autoencoder(let a) = model { b.encoder.autoencoders = [law.shaped(a, exponents)] } else {
            b.encoder.shaping = law.shaping(exponents, stepRatio: p.stepRatio, transform!, order: order)
          }
          outcomes.append(try code(b.encoder).1)
          if case .autoencoder(let a) = model { b.encoder.autoencoders = [a] } else { b.encoder.shaping = nil }
          before.append(squares(b.outcome)); after.append(squares(outcomes.last!))
        } while before.count < fewestDraws || (before.count < mostDraws && ratio(before.map(\.observable), after.map(\.observable)).error > wantedError)
        let first = outcomes[0]
        var c = SweepReport.Cell(observable: wanted.names[j])
        c.rate = rate; c.weight = lambda; c.bitsPerValue = first.bits; c.baseBits = base.bits; c.tableBits = first.tableBits
        c.psnrDB = 20 * log10(base.range / base.rmse)
        c.error = first.errors[j]; c.baseError = base.errors[j]; c.predictedError = law.errors[j]
        c.predictedCostDB = p.cost; c.predictedGainDB = p.gain
        c.costDB = -ratio(before.map(\.distortion), after.map(\.distortion)).decibels
        (c.gainDB, c.drawDB) = ratio(before.map(\.observable), after.map(\.observable))
        c.draws = before.count
        c.cv2 = classes.bands.spectrum.relativeVariance
        c.maxGainDB = classes.bands.maximumGain(rate: .rounded(law.noise))
        c.slackDB = law.slackDB
        if overlap.verdict == .defined { c.overlap = overlap.value }
        out.append(c)
        progress("\(source.name)  \(short(c.bitsPerValue)) bits/value  \(c.observable) weight \(short(lambda))  cost \(short(c.costDB)) (\(short(p.cost))) dB  gain \(short(c.gainDB)) +- \(short(c.drawDB)) (\(short(p.gain))) dB")
      }
    }
  }
  return out
}

/// Draws of the noise: as many as tell a gain to so many dB.
private let fewestDraws = 3, mostDraws = 32, wantedError = 0.08

/// Ratio of two means in dB and its standard error by the scatter of the numbers.
private func ratio(_ a: [Double], _ b: [Double]) -> (decibels: Double, error: Double) {
  func mean(_ v: [Double]) -> Double { v.reduce(0, +) / Double(v.count) }
  func relativeVariance(_ v: [Double]) -> Double {
    let m = mean(v)
    return v.reduce(0) { $0 + ($1 / m - 1) * ($1 / m - 1) } / Double(max(1, v.count - 1) * v.count)
  }
  return (decibels(ln: log(mean(a) / mean(b))), decibels(ln: (relativeVariance(a) + relativeVariance(b)).squareRoot()))
}
