import Fields
public import MPI
public import SnapshotIO

/// What may be left out of a step where time is short. A bound is never.
public enum StepPart: String, Sendable {
  /// For the report; those of triggers change bounds and stay.
  case observables
  /// Decoding again of fields whose bound holds without, and reading the file back.
  case verification
  /// That transform a whole field that wraps.
  case globalCodecs = "global-codecs"
}

/// A step of a series on its way to the disk: `encode` and `store` of every field in order, then `commit`; or `abandon`.
///
/// Fields may be encoded in several tasks at once; all else is done by one after the other.
public final class SeriesStep {
  private let series: SeriesWriter, fields: [StepField], step: Int, time: Double, carry: StepCarry, threads: Int, verify: Bool, without: [StepPart]
  private let container: ContainerWriter
  private let phases: PhaseClock
  private var bounds: [ErrorBound]
  /// Arrays that triggers have looked at already.
  private var fetched: [Int: FieldSource] = [:]
  private var coded: [AlignedField?]
  private var result = StepResult()

  /// - Parameter carry: What is told beside the fields; rank 0's is written.
  /// - Parameter source: The arrays of field i, where a trigger needs them.
  /// - Throws: `AgreedError`, on all ranks: a number or time that does not follow the last (2), no file can be made (2).
  /// - Collective: all ranks, equal arguments but for the arrays.
  public init(
    of series: SeriesWriter, _ fields: [StepField], step: Int, time: Double, carry: StepCarry, threads: Int = 1, verify: Bool = true,
    without: [StepPart] = [], phases: PhaseClock = PhaseClock(), ranks: borrowing Communicator, source: (Int) throws -> FieldSource
  ) throws {
    self.series = series; self.fields = fields; self.step = step; self.time = time; self.carry = carry; self.threads = threads
    self.verify = verify; self.without = without
    self.phases = phases
    bounds = fields.map(\.bound)
    coded = fields.map { _ in nil }
    try ranks.agree { try series.check(step: step, time: time) }
    container = try ContainerWriter(path: series.folder.path + "/" + series.folder.fileName(of: step), ranks: ranks)
    do { try applyTriggers(ranks: ranks, source) } catch {
      abandon()
      throw error
    }
  }

  /// - Collective: all ranks.
  private func applyTriggers(ranks: borrowing Communicator, _ source: (Int) throws -> FieldSource) throws {
    guard let watch = series.watch else { return }
    for alarm in watch.alarms {
      guard let i = fields.firstIndex(where: { $0.description.name == watch.names[alarm.field] }),
            let j = fields.firstIndex(where: { $0.description.name == alarm.trigger.field }) else { continue }
      let values = try fetched[i] ?? ranks.agree { try source(i) }
      fetched[i] = values
      let v = try phases.measure("observe") { try observedValue(alarm.plan, fields[i].description, values, ranks: ranks) }
      if alarm.trigger.below ? v < alarm.trigger.threshold : v > alarm.trigger.threshold {
        bounds[j] = alarm.trigger.bound
        if !result.triggered.contains(alarm.trigger.field) { result.triggered.append(alarm.trigger.field) }
      }
    }
  }

  private func description(_ i: Int) -> FieldDescription {
    var d = fields[i].description
    d.times = [time]
    return d
  }

  /// Codes field `i`.
  ///
  /// - Parameter background: has its tiles coded beside the caller; this runs inside its body.
  /// - Parameter source: The arrays of field i, let go of as soon as they are coded.
  /// - Collective: all ranks.
  public func encode(_ i: Int, background: CodingTask? = nil, ranks: borrowing Communicator, source: (Int) throws -> FieldSource) throws {
    let values = try fetched.removeValue(forKey: i) ?? ranks.agree { try source(i) }
    let d = description(i), unobserved = ObservationPlan.Field(observables: [], names: [], coordinates: .unit)
    var request = AlignedRequest(d, observing: without.contains(.observables) ? unobserved : series.watch?.observing(d.name) ?? unobserved)
    request.globalTransforms = !without.contains(.globalCodecs)
    let clock = PhaseClock()
    // What a PSNR or a rate comes to is known by measuring alone.
    let check = verify && (!without.contains(.verification) || ["psnr", "rate"].contains(bounds[i].kind))
    coded[i] = try encodeAligned(
      request, values, bound: bounds[i], forced: nil, temporal: series.temporal, threads: threads, check: check, phases: clock, background: background,
      ranks: ranks)
    phases.add(clock)
  }

  /// Writes field `i`, which is coded.
  ///
  /// - Throws: `Failure` or `AgreedError`, on all ranks: full disk and the like (2), a bound that is not kept (3).
  /// - Collective: all ranks.
  public func store(_ i: Int, ranks: borrowing Communicator) throws {
    let d = description(i), aligned = coded[i]!, encoded = aligned.field
    coded[i] = nil
    let stored = try phases.measure("write") {
      let slot = try container.addField(name: d.name, description: d.encode(), ranks: ranks)
      return try container.append(
        ContainerStep(step: step, header: encoded.coding.serialised, streams: encoded.streams, lengths: encoded.lengths), to: slot, ranks: ranks)
    }
    var line = fieldReport(d, step: step, encoded, stored)
    fill(&line, aligned)
    result.fields.append(line)
    guard line.boundKept != false else { throw Failure(.boundViolated, "\(d.name), step \(step): \(boundText(line)); the step was not written") }
  }

  /// Makes the container whole and enters it into the index.
  ///
  /// - Parameter seconds: what the step has taken so far on this rank.
  /// - Throws: `AgreedError`, on all ranks; the series is as before, and its next step a key step.
  /// - Collective: all ranks.
  public func commit(after seconds: Double, ranks: borrowing Communicator) throws -> StepResult {
    let isFirst = ranks.rank == 0, start = PhaseClock.now()
    result.fileBytes = try phases.measure("write") {
      let bytes = try ranks.agree { isFirst ? try carry.encode() : [] }
      return try container.commit(carry: bytes, verify: verify && !without.contains(.verification), ranks: ranks).file
    }
    result.leftOut = without
    let entry = try phases.measure("write") { try series.publish(step: step, time: time, ranks: ranks) }
    result.keyStep = entry.key
    if series.reporting, isFirst {
      series.folder.add(StepLine(
        step: step, time: time, result, bytesPerStep: series.bytesPerStep, secondsPerStep: series.secondsPerStep,
        seconds: seconds + PhaseClock.now() - start))
    }
    return result
  }

  /// Leaves no trace of the step; the next one of the series is a key step. Local.
  public func abandon() {
    container.abandon()
    series.temporal?.reset()
  }
}
