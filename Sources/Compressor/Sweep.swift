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
/// At every rate: one coding at weight 0, and one per observable and lambda^ with steps ~ (1 + lambda g)^-1/2 at the same rate. Predictions
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
    // Observables of few values are one draw of their noise: codings at steps a little finer give others.
    var others: [Base] = []
    func draws(_ j: Int) throws -> [Base] {
      let wanted = min(mostDraws, (enoughValues + max(1, try observer.count(j)) - 1) / max(1, try observer.count(j)))
      while others.count + 1 < wanted {
        let e = try encoder(rate * (1 + 0.005 * Double(others.count + 1)))
        let (field, outcome) = try code(e)
        others.append((e, field, outcome))
      }
      return [plain[r]] + others.prefix(wanted - 1)
    }
    for j in observer.observables.indices {
      let bases = try draws(j)
      let classes = alignment.classes(j), (overlap, _) = try alignment.overlap(j, classes, replicas: 1)
      for lambda in o.weights {
        let weight = classes.bands.spectrum.weight(normalised: lambda)
        let p = classes.bands.prediction(weight: weight, rate: .noise(theta))
        var shaped: [Outcome] = []
        for b in bases {
          b.encoder.shaping = alignment.shaping(j, classes, weight: weight, noise: b.field.coding.step * b.field.coding.step / 12, transform)
          shaped.append(try code(b.encoder).1)
          b.encoder.shaping = nil
        }
        func mean(_ f: (Outcome, Outcome) -> Double) -> Double { zip(bases, shaped).reduce(0) { $0 + f($1.0.outcome, $1.1) } / Double(bases.count) }
        var c = SweepReport.Cell(observable: wanted.names[j])
        c.rate = rate; c.weight = lambda; c.bitsPerValue = shaped[0].bits; c.baseBits = base.bits; c.tableBits = shaped[0].tableBits
        c.psnrDB = 20 * log10(base.range / base.rmse)
        c.error = shaped[0].errors[j]; c.baseError = base.errors[j]; c.predictedError = try alignment.error(j, rounding)
        c.predictedCostDB = p.cost; c.predictedGainDB = p.gain
        // At the rate of each one's base.
        let rmseSlope = slope { $0.rmse }, errorSlope = slope { $0.errors[j] }
        c.costDB = decibels(ln: mean { a, b in 2 * log(b.rmse / a.rmse) - (b.bits - a.bits) * rmseSlope })
        c.gainDB = decibels(ln: mean { a, b in 2 * log(a.errors[j] / b.errors[j]) + (b.bits - a.bits) * errorSlope })
        c.drawDB = decibels(ln: 2 / (Double(max(1, try observer.count(j))) * Double(bases.count)).squareRoot())
        c.cv2 = classes.bands.spectrum.relativeVariance
        c.maxGainDB = classes.bands.maximumGain(rate: .noise(theta))
        if overlap.verdict == .defined { c.overlap = overlap.value }
        out.append(c)
        progress("\(source.name)  \(short(c.bitsPerValue)) bits/value  \(c.observable) weight \(short(lambda))  cost \(short(c.costDB)) (\(short(p.cost))) dB  gain \(short(c.gainDB)) (\(short(p.gain))) dB")
      }
    }
  }
  return out
}

/// Values that tell an error to 0.2 dB; observables of fewer are looked at in several codings.
private let enoughValues = 2000, mostDraws = 12

extension BandAlignment {
  /// Steps ~ (1 + lambda g)^-1/2 of observable j, in factors of 2^(1/8).
  func shaping(_ j: Int, _ c: BandClasses, weight: Double, noise theta: Double, _ transform: LappedOrthogonalTransform) -> Shaping {
    let m = transform.blockEdge, bands = m * m * m
    let exponents = sensitivities[j].mean.map { BandWeights.exponent((1 + weight * values * $0).squareRoot()) }
    let tables = stride(from: 0, to: exponents.count, by: bands).map { Array(exponents[$0..<$0 + bands]) }
    let weights = BandWeights(edge: m, tables: tables)
    // Step times factor is the same in every band.
    let steps = c.bands.steps(weight: weight, rate: .noise(theta)), first = c.bands.bands[0]
    return Shaping(weights: weights, transform, stepRatio: steps[0] * (1 + weight * max(0, first.sensitivity)).squareRoot())
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
    /// How far the gain is off by chance, one standard deviation: errors of m values over k codings have relative squares within sqrt(2 / (m k)), twice.
    @Number public var drawDB: Double = .nan
    @Number public var predictedCostDB: Double = .nan
    @Number public var predictedGainDB: Double = .nan
    @Number public var cv2: Double = .nan
    @Number public var maxGainDB: Double = .nan
    @Number public var overlap: Double = .nan
    init(observable: String) { self.observable = observable }
    enum CodingKeys: String, CodingKey {
      case field, step, observable, rate, weight, error, cv2, overlap, bitsPerValue = "bits_per_value", baseBits = "base_bits_per_value", tableBits = "table_bits_per_value"
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
    public var cells: Int
    init(_ c: Correlation) {
      func list(_ i: Interval) -> [Double] { [i.value, i.lower, i.upper] }
      spearman = list(c.spearman); pearson = list(c.pearson); slope = list(c.slope); rms = c.rms; cells = c.count
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
      zip(words, [26, 8, 8, 10, 18, 18]).map { $0.padding(toLength: $1, withPad: " ", startingAt: 0) }.joined(separator: " ")
    }
    var out = [row(["observable", "rate", "weight", "psnr dB", "cost dB (law)", "gain dB (law)"])]
    for c in cells {
      out.append(row([c.observable, short(c.bitsPerValue), short(c.weight), short(c.psnrDB), "\(short(c.costDB)) (\(short(c.predictedCostDB)))",
                      "\(short(c.gainDB)) (\(short(c.predictedGainDB)))"]))
    }
    for (name, a) in [("cost", cost), ("gain", gain), ("gain by CV^2", cv2Gain), ("cost by overlap", overlapCost)] {
      func value(_ v: [Double]) -> String { short(v[0]) + (v[1].isFinite ? " [\(short(v[1])), \(short(v[2]))]" : "") }
      out.append("\(name): Spearman \(value(a.spearman))" + (name.contains(" by ") ? "" : ", Pearson \(value(a.pearson)), slope \(value(a.slope)), rms \(short(a.rms)) dB")
        + ", \(a.cells) cells")
    }
    return out
  }
}
