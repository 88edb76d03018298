import CKernels
import Codecs
import Fields
import Glibc
import MPI
import Statistics

extension FieldEncoder {
  /// All of this rank's units.
  ///
  /// - Collective: all ranks.
  func loadUnits(ranks: borrowing Communicator) throws -> [Unit] {
    var units: [Unit] = []
    try phases.measure("exchange") {
      try layout.forEachRegion(have: source.boxes, arrays: source.arrays, elementSize: source.type.size, halo: 0, ranks: ranks) { region, arrays in
        for t in region.tiles { for c in 0..<layout.components { units.append(try makeUnit(t * layout.components + c, from: arrays[c])) } }
      }
    }
    return units.sorted { $0.index < $1.index }
  }

  /// - Collective: all ranks.
  func runInterpolation(_ coding: FieldCoding, _ trial: BankTrial, ranks: borrowing Communicator) throws -> EncodedField {
    let workspaces = Workspaces(threads)
    let units = held ? try loadUnits(ranks: ranks) : []
    // The trial judged on half of the sample.
    let (seen, count) = held ? (units, survey.valid) : (trial.units, trial.count)
    let statistics = try phases.measure("fit") { try predictionStatistics(seen, workspaces, ranks: ranks) }
    func settings(_ step: Double) -> InterpolationSettings { interpolationSettings(step: step, rule: trial.levelRule, statistics: statistics) }
    var step = trial.step
    let model = try phases.measure("fit") { try fitInterpolation(seen, count: count, settings(step), workspaces, ranks: ranks) }
    // The step whose symbols the units hold.
    var ready: Double?
    if let wanted = target.rmse, target.filling == nil {
      // On everything where it is at hand, else on the sample. A PSNR is a floor: aimed a little too well.
      let many = held && layout.streamCount >= 4 * trial.wanted
      let aimed = wanted * 0.9995
      step = try phases.measure("step") {
        func error(_ units: [Unit], _ count: Int, _ s: Double) throws -> Double {
          encodeInterpolated(units, InterpolationCodec(settings: settings(s), model: model), workspaces)
          return try meanSquareError(units, count: count, threads: threads, ranks: ranks).squareRoot()
        }
        // Where the sample is a small part it tells the local slope first.
        var slope = trial.slope
        if many { (step, _, slope) = try solveStep(wanted: aimed, start: step, slope: slope, tolerance: 0.02, limit: 4) { try error(trial.units, trial.count, $0) } }
        return try solveStep(wanted: aimed, start: step, slope: slope, tolerance: 0.0005, ceiling: wanted, limit: 6) { s in
          ready = s
          return try error(seen, count, s)
        }.step
      }
    }
    var aim = StepAim(target: target)
    while true {
      let encoded = try codeInterpolated(coding, settings(step), model, units, trial.units, ready: ready == step, workspaces, ranks: ranks)
      guard let next = aim.next(step: step, result: encoded, streams: layout.streamCount) else { return decoded == nil ? aim.best ?? encoded : encoded }
      step = next
      ready = nil
    }
  }

  /// One complete pass with given settings.
  ///
  /// - Parameter units: all units of this rank when the field is held, else none.
  /// - Parameter ready: whether the counted units hold symbols and decoded values of these settings already.
  /// - Collective: all ranks.
  func codeInterpolated(
    _ start: FieldCoding, _ settings: InterpolationSettings, _ model: InterpolationModel, _ units: [Unit], _ sample: [Unit], ready: Bool = false,
    _ workspaces: Workspaces,
    ranks: borrowing Communicator
  ) throws -> EncodedField {
    var coding = start
    coding.member = .interpolation
    coding.settings = settings.serialised
    coding.model = model.serialised
    let codec = InterpolationCodec(settings: settings, model: model)
    let tables: ClassTables = try phases.measure("transform") {
      let counted = held ? units : sample
      if !ready { encodeInterpolated(counted, codec, workspaces) }
      var histogram = [UInt32](repeating: 0, count: histogramSize)
      for u in counted { u.symbols!.add(to: &histogram) }
      return ClassTables(histogram: try reducedHistogram(histogram, ranks: ranks), sampled: !held)
    }
    coding.tables = tables.serialised
    let emptyStats = emptyStatistics()
    var statistics = [ErrorStatistics](repeating: emptyStats, count: layout.components)
    var streams: [[UInt8]] = []
    func code(_ part: [Unit]) throws {
      let results = Slots<ErrorStatistics?>(part.count, nil), failures = Slots<(any Error)?>(part.count, nil)
      try phases.measure("entropy") {
        parallelFor(part.count, threads: threads) { i in
          let u = part[i]
          u.stream.payload = u.symbols!.encode(tables)
          u.symbols = nil
          if check {
            do {
              let again = RawArray(box: u.box, elementSize: u.work.elementSize)
              try decodeInterpolated(u.stream.payload, codec, tables, u.maskPointer, workspaces.of(i, part.count), into: again)
              guard sameBits(again, u.decoded!, u.maskPointer) else { throw CompressorError.notReproduced(stream: u.index) }
            } catch is StreamError { failures[i] = CompressorError.notReproduced(stream: u.index) } catch { failures[i] = error }
          }
        }
        for i in part.indices { if let e = failures[i] { throw e } }
      }
      phases.measure("verify") {
        guard check || outlierBound != nil else { return }
        parallelFor(part.count, threads: threads) { i in
          var s = emptyStats
          finish(part[i], statistics: &s)
          results[i] = s
        }
        for i in part.indices { statistics[layout.component(of: part[i].index)].merge(results[i]!) }
      }
      streams += part.map(\.stream.bytes)
    }
    if held { try compute(ranks: ranks) { try code(units) } } else {
      try forEachPart(ranks: ranks) { part in
        phases.measure("transform") { encodeInterpolated(part, codec, workspaces) }
        try code(part)
      }
    }
    return try conclude(coding, streams: streams, statistics: statistics, ranks: ranks)
  }

  /// Rows of the weight fit, over all ranks.
  private static let fitRows = 48_000

  /// Context weights fitted on the sampled tiles; the built-in ones where that does not pay for its bytes.
  ///
  /// - Parameter count: valid values of the sample, over all ranks.
  /// - Collective: all ranks.
  private func fitInterpolation(_ sample: [Unit], count: Int, _ settings: InterpolationSettings, _ workspaces: Workspaces, ranks: borrowing Communicator) throws -> InterpolationModel {
    let every = max(1, count / FieldEncoder.fitRows)
    let plain = InterpolationCodec(settings: settings)
    let slots = Slots<FitRows?>(sample.count, nil)
    parallelFor(sample.count, threads: threads) { i in
      slots[i] = plain.features(
        sample[i].work, mask: sample[i].maskPointer, workspace: workspaces.of(i, sample.count), every: every, phase: sample[i].index % every)
    }
    let rows = slots.array.map { $0! }
    var model = InterpolationModel.default
    var weights: [Double]?
    for _ in 0..<2 {
      // Steep: measured on four fields and three rates 0-3 % better than 1/(S + 0.03).
      let solved = try equations(rows, like: .interpolation(), weights: weights, steep: true, ranks: ranks).interpolationWeights()
      weights = solved.real
      model = solved.model
    }
    let share = Double(count / every) / Double(max(1, survey.valid))
    func bits(_ m: InterpolationModel) throws -> Double {
      try rowBits(rows, weights: m.weights.flatMap { $0.map { Double($0) / 128 } }, share: share, bytes: m.serialised.count, ranks: ranks)
    }
    return try bits(model) < bits(.default) ? model : .default
  }

  /// Decimal data coded exactly by interpolation on their lattice; `nil` when they are none.
  ///
  /// - Collective: all ranks.
  func runLattice(_ coding: FieldCoding, ranks: borrowing Communicator) throws -> EncodedField? {
    guard let quantum = lattice else { return nil }
    // The lattice must also give back the sign of zero; the scan has refused data with negative zeros.
    guard let plain = InterpolationSettings(quantum) else { return nil }
    let (encoded, units) = try codeIntegers(coding, plain, ranks: ranks) { InterpolationSettings(quantum, prediction: $0) }
    // Exactness is checked on the decoded bits, not taken from the lattice's word.
    var exact = 1
    for u in units where !sameBits(u.decoded!, u.original, u.maskPointer) { exact = 0 }
    return try ranks.allReduce(exact, .min) == 1 ? encoded : nil
  }

  /// One pass over values that all lie on the lattice of `plain`; `settings` are those with a prediction.
  ///
  /// - Collective: all ranks.
  func codeIntegers(
    _ start: FieldCoding, _ plain: InterpolationSettings, ranks: borrowing Communicator, _ settings: (InterpolationPrediction) -> InterpolationSettings?
  ) throws -> (EncodedField, [Unit]) {
    let workspaces = Workspaces(threads)
    var coding = start
    coding.workType = source.type
    let units = try loadUnits(ranks: ranks)
    let slots = Slots<[Int64]>(units.count, [])
    parallelFor(units.count, threads: threads) { i in
      slots[i] = InterpolationCodec.statistics(units[i].work, mask: units[i].maskPointer, settings: plain, workspace: workspaces.of(i, units.count))
    }
    var sums = [Int64](repeating: 0, count: Int(ALD_INTERP_STATISTICS))
    for i in units.indices { for j in sums.indices { sums[j] += slots[i][j] } }
    sums = try ranks.allReduce(sums, .sum)
    let chosen = settings(InterpolationCodec.choose(from: sums)) ?? plain
    let model = try phases.measure("fit") { try fitInterpolation(units, count: survey.valid, chosen, workspaces, ranks: ranks) }
    return (try codeInterpolated(coding, chosen, model, units, units, workspaces, ranks: ranks), units)
  }
}

/// Fills `tile` from a payload.
func decodeInterpolated(
  _ payload: [UInt8], _ codec: InterpolationCodec, _ tables: ClassTables, _ mask: UnsafePointer<UInt8>?,
  _ workspace: InterpolationWorkspace, into tile: RawArray
) throws {
  // A tile without valid points has no payload.
  if payload.isEmpty, let mask, !(0..<tile.count).contains(where: { mask[$0] != 0 }) { return }
  try payload.withUnsafeBufferPointer { bytes in
    var d = ald_decoder()
    guard ald_decoder_open(&d, tables.pointer, bytes.baseAddress, bytes.count) == 0 else { throw StreamError(.truncated, offset: 0) }
    codec.decode(&d, mask: mask, workspace: workspace, into: tile)
    guard ald_decoder_close(&d) == 0 else { throw StreamError(.invalid, offset: bytes.count) }
  }
}

/// Whether the valid cells hold the same bits.
func sameBits(_ a: RawArray, _ b: RawArray, _ mask: UnsafePointer<UInt8>?) -> Bool {
  guard let mask else { return memcmp(a.pointer, b.pointer, a.byteCount) == 0 }
  if a.elementSize == 4 {
    let p = a.bound(to: UInt32.self), q = b.bound(to: UInt32.self)
    for i in 0..<a.count where mask[i] != 0 && p[i] != q[i] { return false }
  } else {
    let p = a.bound(to: UInt64.self), q = b.bound(to: UInt64.self)
    for i in 0..<a.count where mask[i] != 0 && p[i] != q[i] { return false }
  }
  return true
}

/// A failure inside the pipeline that is neither bad input nor a corrupt stream.
public enum CompressorError: Error, CustomStringConvertible, ExitCoded {
  /// Decoding a stream just written gave other values.
  case notReproduced(stream: Int)
  case boundNotMet(field: String, text: String)
  public var exitCode: Int32 { 3 }
  public var description: String {
    switch self {
    case .notReproduced(let s): "stream \(s) does not decode to what was encoded; nothing was written (please report this)"
    case .boundNotMet(let f, let t): "\(f): \(t); nothing was written"
    }
  }
}

/// Decides whether a measured result meets a PSNR or rate, and which step to try next.
struct StepAim {
  let target: Target
  private var attempts = 0
  /// log2 step and bits of earlier passes, for rates.
  private var history: [(x: Double, bits: Double)] = []
  /// The smallest result so far that meets a PSNR, of few values: their error is ragged in the step.
  private(set) var best: EncodedField?
  static let fewValues = 1 << 17

  init(target: Target) { self.target = target }

  /// `nil`: take the result.
  mutating func next(step: Double, result: EncodedField, streams: Int) -> Double? {
    attempts += 1
    if target.rate == nil && target.pointwise != nil { return nil }
    if let wanted = target.rate {
      guard attempts < 12 else { return nil }
      let bits = 8 * Double(result.estimatedStoredBytes(streams: streams)) / Double(max(1, result.survey.valid))
      if abs(bits / wanted - 1) < 0.01 { return nil }
      let x = log2(step)
      var slope = -min(1, max(0.2, bits))
      if let p = history.last, abs(p.x - x) > 1e-6 {
        let s = (bits - p.bits) / (x - p.x)
        if s < -0.02 { slope = s }
      }
      history.append((x, bits))
      return exp2(x + min(max((wanted - bits) / slope, -3), 3))
    }
    guard let wanted = target.rmse, !result.statistics.isEmpty, let rmse = result.rmse, rmse > 0, attempts < 10 else { return nil }
    // A pass over few values costs little, and a hundredth of a dB shows in their bytes.
    let few = result.survey.valid < StepAim.fewValues
    if few, rmse <= wanted, best.map({ result.estimatedStoredBytes(streams: streams) < $0.estimatedStoredBytes(streams: streams) }) ?? true { best = result }
    if rmse <= wanted && (rmse > wanted * (few ? 0.999 : 0.996) || attempts > 3) { return nil }
    let factor = wanted / rmse
    return step * factor * (factor < 1 ? 0.9995 : 0.9998)
  }
}

extension EncodedField {
  var rmse: Double? {
    var e = 0.0, n = 0
    for s in statistics { e += s.sumSquaredError.value; n += s.count }
    return n > 0 ? (e / Double(n)).squareRoot() : nil
  }
  /// Streams, header and about six bytes of index per stream.
  func estimatedStoredBytes(streams: Int) -> Int { streamBytes + coding.serialised.count + 6 * streams + 16 }
}
