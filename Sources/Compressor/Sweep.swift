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
/// come from the coding at weight 0 only. Nothing is written.
/// - Throws: `Failure` or `AgreedError`, the same on all ranks: usage (exit code 1), input or output (2), interruption (75).
/// - Collective: all ranks.
public func sweep(_ o: SweepOptions, ranks: borrowing Communicator, progress: (String) -> Void) throws -> Report {
  let started = PhaseClock.now()
  let phases = PhaseClock()
  let input = try phases.measure("open") { try SnapshotInput.open(o.input, snapshotOptions(o.reading, fields: o.fields), ranks: ranks) }
  let plan = try ObservationPlan(o.observe, input.fields, positions: input.positions, ranks: ranks)
  var cells: [SweepReport.Cell] = []
  for (number, f) in input.fields.enumerated() where !plan.fields[number].observables.isEmpty {
    for step in try selectedSteps(o.steps ?? 0..<1, of: f.steps, in: "\(o.input): \(f.name)") {
      let source = try phases.measure("read") { try readSource(input, number, step, ranks: ranks) }.ordered(f.componentOrder)
      let found = try withRankDomain(f.grid, coordinates: plan.fields[number].coordinates, ranks: ranks) { domain in
        try sweep(source, plan.fields[number], o, phases, on: domain, progress, ranks: ranks)
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
  report.result.sweep = SweepReport(cells)
  try finishRun(&report, "sweep", o.threads, phases, started, ranks: ranks)
  return report
}

/// - Collective: all ranks.
private func sweep(
  _ source: FieldSource, _ wanted: ObservationPlan.Field, _ o: SweepOptions, _ phases: PhaseClock, on domain: RankDomain,
  _ progress: (String) -> Void, ranks: borrowing Communicator
) throws -> [SweepReport.Cell] {
  let observer = try phases.measure("observe") { try FieldObserver(wanted.observables, of: source.parts(on: domain), on: domain) }
  var member: FieldCoding.Member?
  var out: [SweepReport.Cell] = []
  /// One coding and what it gives.
  struct Outcome { var bits: Double, tableBits: Double, rmse: Double, range: Double, errors: [Double] }
  func code(_ encoder: FieldEncoder) throws -> (EncodedField, Outcome) {
    try checkInterruption(ranks)
    let e = try encoder.encode(ranks: ranks)
    let reports = try phases.measure("observe") { try observer.reports(encoder.decodedParts(on: domain)) }
    let n = e.statistics.reduce(0) { $0 + $1.count }, square = e.statistics.reduce(0) { $0 + $1.sumSquaredError.value }
    let table = e.coding.weights?.serialised.count ?? 0, stored = e.streamBytes + e.coding.serialised.count - table
    func bits(_ bytes: Int) -> Double { 8 * Double(bytes) / Double(max(1, n)) }
    return (e, Outcome(bits: bits(stored), tableBits: bits(table), rmse: (square / Double(max(1, n))).squareRoot(),
                       range: e.survey.maximum - e.survey.minimum, errors: reports.map(\.error)))
  }
  func encoder(_ rate: Double) throws -> FieldEncoder {
    let e = try FieldEncoder(source, bound: .rate(rate), forced: member, threads: o.threads, check: false, phases: phases, ranks: ranks)
    e.keepDecoded()
    return e
  }
  typealias Base = (encoder: FieldEncoder, field: EncodedField, outcome: Outcome)
  // The members at all rates are lapped ones, of one block edge.
  var plain: [Base] = []
  for rate in o.rates {
    var e = try encoder(rate)
    let (chosen, point) = try e.preview(ranks: ranks)
    guard let point else { return [] }
    if member == nil {
      member = chosen.blockEdge != nil ? chosen : point.edge == 16 ? .lapped16 : .lapped8
      e = try encoder(rate)
    }
    let (field, outcome) = try code(e)
    plain.append((e, field, outcome))
    progress("\(source.name)  \(short(outcome.bits)) bits/value  weight 0")
  }
  let transform = member!.transform(source.grid) as! LappedOrthogonalTransform
  let alignment = try phases.measure("align") {
    try BandAlignment(observer.subjects(), source, SampledBlocks(transform, count: 32, ranks: ranks), original: { observer.original }, on: domain, ranks: ranks)
  }
  for (r, rate) in o.rates.enumerated() {
    let (_, field, base) = plain[r], theta = field.coding.step * field.coding.step / 12, rounding = try alignment.rounding(at: OperatingPoint(edge: transform.blockEdge, noise: theta))
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
      let classes = alignment.classes(j), (overlap, _) = try alignment.overlap(j, classes, replicas: 1), bands = alignment.spectrum(j)
      let rmseSlope = slope { $0.rmse }, errorSlope = slope { $0.errors[j] }
      func squares(_ o: Outcome) -> (distortion: Double, observable: Double) {
        (o.rmse * o.rmse * exp((base.bits - o.bits) * rmseSlope), o.errors[j] * o.errors[j] * exp((base.bits - o.bits) * errorSlope))
      }
      for lambda in o.weights {
        let weight = classes.bands.spectrum.weight(normalised: lambda), exponents = alignment.exponents(j, weight: weight)
        let p = bands.prediction(factors: alignment.factors(exponents), rate: .rounded(theta))
        var before: [(distortion: Double, observable: Double)] = [], after = before, outcomes: [Outcome] = []
        repeat {
          let b = try drawn(before.count)
          b.encoder.shaping = alignment.shaping(exponents, p, transform)
          outcomes.append(try code(b.encoder).1)
          b.encoder.shaping = nil
          before.append(squares(b.outcome)); after.append(squares(outcomes.last!))
        } while before.count < fewestDraws || (before.count < mostDraws && ratio(before.map(\.observable), after.map(\.observable)).error > wantedError)
        let first = outcomes[0]
        var c = SweepReport.Cell(observable: wanted.names[j])
        c.rate = rate; c.weight = lambda; c.bitsPerValue = first.bits; c.baseBits = base.bits; c.tableBits = first.tableBits
        c.psnrDB = 20 * log10(base.range / base.rmse)
        c.error = first.errors[j]; c.baseError = base.errors[j]; c.predictedError = try alignment.error(j, rounding)
        c.predictedCostDB = p.cost; c.predictedGainDB = p.gain
        c.costDB = -ratio(before.map(\.distortion), after.map(\.distortion)).decibels
        (c.gainDB, c.drawDB) = ratio(before.map(\.observable), after.map(\.observable))
        c.draws = before.count
        c.cv2 = classes.bands.spectrum.relativeVariance
        c.maxGainDB = classes.bands.maximumGain(rate: .rounded(theta))
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

extension BandAlignment {
  /// Bands with latents, as many as the transform has, by their places in the lists.
  private var present: [Int] { counts.indices.filter { counts[$0] > 0 } }
  /// All bands apart, where classes take like ones together.
  func spectrum(_ j: Int) -> BandSpectrum {
    BandSpectrum(present.map { .init(sensitivity: sensitivities[j].mean[$0] * values, count: counts[$0], variance: variances[$0]) })
  }
  /// k of the factors 2^(k/8) next to (1 + lambda g)^1/2, of every band.
  func exponents(_ j: Int, weight: Double) -> [UInt8] { sensitivities[j].mean.map { BandWeights.exponent((1 + weight * values * $0).squareRoot()) } }
  /// The factors of the bands of `spectrum`.
  func factors(_ exponents: [UInt8]) -> [Double] { present.map { BandWeights.factor(Int(exponents[$0])) } }
  /// Steps of the bands by these factors, at the rate of none.
  func shaping(_ exponents: [UInt8], _ p: BandSpectrum.Prediction, _ transform: LappedOrthogonalTransform) -> Shaping {
    let m = transform.blockEdge, bands = m * m * m
    let tables = stride(from: 0, to: exponents.count, by: bands).map { Array(exponents[$0..<$0 + bands]) }
    return Shaping(weights: BandWeights(edge: m, tables: tables), transform, stepRatio: p.stepRatio)
  }
}

/// The law against measurement, cell by cell, and how well it follows. See docs/report.md.
public struct SweepReport: Codable, Equatable, Sendable {
  public struct Cell: Codable, Equatable, Sendable {
    public var field = "", step = 0
    public var observable: String
    /// Asked for; lambda^.
    @Number public var rate: Double = .nan
    @Number public var weight: Double = .nan
    /// Of the weighted and of the plain coding, streams and header but for the table of weights, which the law does not know.
    @Number public var bitsPerValue: Double = .nan
    @Number public var baseBits: Double = .nan
    @Number public var tableBits: Double = .nan
    /// Of the plain coding.
    @Number public var psnrDB: Double = .nan
    @Number public var error: Double = .nan
    @Number public var baseError: Double = .nan
    /// For the plain coding.
    @Number public var predictedError: Double = .nan
    /// dB of PSNR lost and dB of the observable won at the plain coding's rate.
    @Number public var costDB: Double = .nan
    @Number public var gainDB: Double = .nan
    /// Codings of either kind that cost and gain are means over, and the standard error of the gain by their scatter.
    public var draws = 1
    @Number public var drawDB: Double = .nan
    @Number public var predictedCostDB: Double = .nan
    @Number public var predictedGainDB: Double = .nan
    @Number public var cv2: Double = .nan
    @Number public var maxGainDB: Double = .nan
    @Number public var overlap: Double = .nan
    init(observable: String) { self.observable = observable }
    enum CodingKeys: String, CodingKey {
      case field, step, observable, rate, weight, error, cv2, overlap, draws, bitsPerValue = "bits_per_value", baseBits = "base_bits_per_value", tableBits = "table_bits_per_value"
      case psnrDB = "base_psnr_db", baseError = "base_error", predictedError = "predicted_base_error", costDB = "cost_db", gainDB = "gain_db", drawDB = "draw_db"
      case predictedCostDB = "predicted_cost_db", predictedGainDB = "predicted_gain_db", maxGainDB = "max_gain_db"
    }
  }
  public struct Agreement: Codable, Equatable, Sendable {
    /// Value, lower and upper end of the 95 % interval over clusters of field and observable.
    @Numbers public var spearman: [Double]
    @Numbers public var pearson: [Double]
    @Numbers public var slope: [Double]
    @Number public var rms: Double
    /// Likewise of the rms.
    @Numbers public var rmsCI: [Double]
    public var cells: Int
    enum CodingKeys: String, CodingKey { case spearman, pearson, slope, rms, cells, rmsCI = "rms_ci" }
    init(_ c: Correlation) {
      func list(_ i: Interval) -> [Double] { [i.value, i.lower, i.upper] }
      spearman = list(c.spearman); pearson = list(c.pearson); slope = list(c.slope); rms = c.rms.value; rmsCI = [c.rms.lower, c.rms.upper]; cells = c.count
    }
  }
  public var cells: [Cell]
  /// Predicted against measured, in dB.
  public var cost: Agreement, gain: Agreement
  /// ln CV^2 against the measured gain, and the overlap against the measured cost, both at the weight next to 1.
  public var cv2Gain: Agreement, overlapCost: Agreement
  enum CodingKeys: String, CodingKey { case cells, cost, gain, cv2Gain = "cv2_gain", overlapCost = "overlap_cost" }

  init(_ cells: [Cell]) {
    self.cells = cells
    let names = cells.map { "\($0.field)/\($0.observable)" }, clusters = names.map { n in names.firstIndex(of: n)! }
    func agreement(_ x: (Cell) -> Double, _ y: (Cell) -> Double, where use: (Cell) -> Bool = { _ in true }) -> Agreement {
      let chosen = cells.indices.filter { use(cells[$0]) }
      return Agreement(Correlation(predicted: chosen.map { x(cells[$0]) }, measured: chosen.map { y(cells[$0]) }, clusters: chosen.map { clusters[$0] }))
    }
    let unit = cells.map(\.weight).min { abs(log($0)) < abs(log($1)) } ?? 1
    cost = agreement({ $0.predictedCostDB }, { $0.costDB })
    gain = agreement({ $0.predictedGainDB }, { $0.gainDB })
    cv2Gain = agreement({ log($0.cv2) }, { $0.gainDB }) { $0.weight == unit }
    overlapCost = agreement({ $0.overlap }, { $0.costDB }) { $0.weight == unit }
  }

  func lines() -> [String] {
    func row(_ words: [String]) -> String {
      zip(words, [26, 8, 8, 10, 18, 26]).map { $0.padding(toLength: $1, withPad: " ", startingAt: 0) }.joined(separator: " ")
    }
    var out = [row(["observable", "rate", "weight", "psnr dB", "cost dB (law)", "gain dB (law)"])]
    for c in cells {
      out.append(row([c.observable, short(c.bitsPerValue), short(c.weight), short(c.psnrDB), "\(short(c.costDB)) (\(short(c.predictedCostDB)))",
                      "\(short(c.gainDB)) +- \(short(c.drawDB)) (\(short(c.predictedGainDB)))"]))
    }
    for (name, a) in [("cost", cost), ("gain", gain), ("gain by CV^2", cv2Gain), ("cost by overlap", overlapCost)] {
      func value(_ v: [Double]) -> String { short(v[0]) + (v[1].isFinite ? " [\(short(v[1])), \(short(v[2]))]" : "") }
      out.append("\(name): Spearman \(value(a.spearman))" + (name.contains(" by ") ? "" : ", Pearson \(value(a.pearson)), slope \(value(a.slope)), rms \(value([a.rms] + a.rmsCI)) dB")
        + ", \(a.cells) cells")
    }
    return out
  }
}
