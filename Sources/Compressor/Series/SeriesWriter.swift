public import Fields
import Glibc
public import MPI
public import SnapshotIO

/// One field of one step, as a running program hands it over.
public struct StepField {
  /// Without a time axis; `times` is filled in by the writer.
  public var description: FieldDescription
  public var bound: ErrorBound
  public init(description: FieldDescription, bound: ErrorBound) { self.description = description; self.bound = bound }
}

/// What became of a step.
public struct StepResult: Sendable {
  /// One per field, in the order given.
  public var fields: [FieldReport] = []
  /// Of the container.
  public var fileBytes = 0
  /// Fields whose bound a trigger changed.
  public var triggered: [String] = []
  public init() {}
}

/// Appends steps to a series on disk (docs/format.md section 9): one committed container each, then the index.
///
/// A step that fails leaves the series as it was. One writer at a time: the directory is locked while it lives.
public final class SeriesWriter {
  public enum Opening: Sendable {
    /// Continue what is there; else begin.
    case append
    /// Begin anew, dropping what is there.
    case replace
    /// Refuse what is there.
    case create
  }
  public let folder: SeriesFolder
  /// The same on all ranks.
  public private(set) var index: SeriesIndex
  /// The directory, on rank 0; its lock ends with it, also where the process is killed.
  private var lock: Int32 = -1
  private var watch: PreparedWatch?
  /// Whether every step adds a line to `steps.jsonl`.
  public var reporting = false

  /// - Throws: `AgreedError` of a `SnapshotError`: no directory can be made (2), somebody else writes there (2), a damaged index (4).
  /// - Collective: all ranks.
  public init(_ path: String, opening: Opening = .append, ranks: borrowing Communicator) throws {
    folder = SeriesFolder(path)
    index = SeriesIndex()
    let isFirst = ranks.rank == 0, folder = folder
    let (bytes, lock) = try ranks.agree { isFirst ? try SeriesWriter.open(folder, opening) : ([], -1) }
    self.lock = lock
    index = try SeriesIndex(try ranks.broadcast(bytes), file: folder.indexPath)
  }
  deinit { close() }

  /// Lets others write. Local; after it the writer must not be used.
  public func close() {
    if lock >= 0 { _ = Glibc.close(lock) }
    lock = -1
  }

  /// Rank 0: the index to go on from, and the locked directory.
  private static func open(_ folder: SeriesFolder, _ opening: Opening) throws -> ([UInt8], Int32) {
    if opening == .create, folder.exists { throw SnapshotError(.exists, file: folder.path, "is a series already") }
    try folder.create()
    let fd = Glibc.open(folder.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    if fd < 0 { throw SnapshotError(.cannotOpen, file: folder.path, String(cString: strerror(errno))) }
    do {
      // File systems without locks let everybody pass.
      if flock(fd, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK {
        throw SnapshotError(.badSeries, file: folder.path, "is being written by another program, or was opened twice")
      }
      if opening == .replace { try folder.empty() }
      return (try folder.index().encode(), fd)
    } catch {
      _ = Glibc.close(fd)
      throw error
    }
  }

  /// Has observables measured in every step, and bounds changed by them.
  ///
  /// - Parameter fields: all that the series will hold; `positions`: of their cells per spatial axis, empty where unknown.
  /// - Throws: `AgreedError` (usage): unknown observables, or such that suit no field.
  /// - Collective: all ranks, equal arguments.
  public func observe(_ w: SeriesWatch, fields: [FieldDescription], positions: [[[Double]]], ranks: borrowing Communicator) throws {
    watch = try PreparedWatch(w, fields, positions: positions, ranks: ranks)
  }

  /// Refuses steps and times that do not follow the last.
  ///
  /// - Throws: `SnapshotError.badSeries`. Local, and the same on all ranks for equal arguments.
  public func check(step: Int, time: Double) throws {
    var next = index
    try next.append(.init(step: step, time: time, file: folder.fileName(of: step), bytes: 0, root: 0, key: step, references: []), of: folder.path)
  }

  /// Codes the fields of one step and commits them.
  ///
  /// - Parameter source: The arrays of field i; asked for once per field, in order, and let go of as soon as they are coded.
  /// - Parameter carry: What is told beside the fields; rank 0's is written.
  /// - Throws: `AgreedError` or `Failure`, on all ranks: full disk and the like (2), a bound that is not kept (3). The series is as before.
  /// - Collective: all ranks, equal arguments but for the arrays.
  public func write(
    _ fields: [StepField], step: Int, time: Double, carry: StepCarry, threads: Int = 1, verify: Bool = true, phases: PhaseClock = PhaseClock(),
    ranks: borrowing Communicator, source: (Int) throws -> FieldSource
  ) throws -> StepResult {
    let isFirst = ranks.rank == 0
    try ranks.agree { try check(step: step, time: time) }
    let path = folder.path + "/" + folder.fileName(of: step)
    let container = try ContainerWriter(path: path, ranks: ranks)
    var result = StepResult()
    do {
      // Fields that an observable may change the bounds by are looked at first.
      var fetched: [Int: FieldSource] = [:], bounds = fields.map(\.bound)
      for alarm in watch?.alarms ?? [] {
        guard let i = fields.firstIndex(where: { $0.description.name == watch!.names[alarm.field] }),
              let j = fields.firstIndex(where: { $0.description.name == alarm.trigger.field }) else { continue }
        let values = try fetched[i] ?? ranks.agree { try source(i) }
        fetched[i] = values
        let v = try phases.measure("observe") { try observedValue(alarm.plan, fields[i].description, values, ranks: ranks) }
        if alarm.trigger.below ? v < alarm.trigger.threshold : v > alarm.trigger.threshold {
          bounds[j] = alarm.trigger.bound
          if !result.triggered.contains(alarm.trigger.field) { result.triggered.append(alarm.trigger.field) }
        }
      }
      for (i, f) in fields.enumerated() {
        var d = f.description
        d.times = [time]
        let slot = try container.addField(name: d.name, description: d.encode(), ranks: ranks)
        let values = try fetched.removeValue(forKey: i) ?? ranks.agree { try source(i) }
        let request = AlignedRequest(d, observing: watch?.observing(d.name) ?? .init(observables: [], names: [], coordinates: .unit))
        let aligned = try encodeAligned(request, values, bound: bounds[i], forced: nil, threads: threads, check: verify, phases: phases, ranks: ranks)
        let encoded = aligned.field
        let header = encoded.coding.serialised
        let stored = try phases.measure("write") {
          try container.append(ContainerStep(step: step, header: header, streams: encoded.streams, lengths: encoded.lengths), to: slot, ranks: ranks)
        }
        var line = fieldReport(d, step: step, encoded, stored)
        fill(&line, aligned)
        result.fields.append(line)
        guard line.boundKept != false else { throw Failure(.boundViolated, "\(d.name), step \(step): \(boundText(line)); the step was not written") }
      }
      result.fileBytes = try phases.measure("write") {
        let bytes = try ranks.agree { isFirst ? try carry.encode() : [] }
        return try container.commit(carry: bytes, verify: verify, ranks: ranks).file
      }
    } catch {
      container.abandon()
      throw error
    }
    try phases.measure("write") { try publish(step: step, time: time, ranks: ranks) }
    if reporting, isFirst { folder.report(result, step: step, time: time) }
    return result
  }

  /// Enters a committed container into the index.
  ///
  /// - Collective: all ranks.
  private func publish(step: Int, time: Double, ranks: borrowing Communicator) throws {
    let isFirst = ranks.rank == 0
    let bytes = try ranks.agree { () -> [UInt8] in
      guard isFirst else { return [] }
      var next = index
      do {
        try next.append(try folder.entry(step: step, time: time, key: step, references: []), of: folder.path)
        try folder.write(next)
      } catch {
        _ = unlink(folder.path + "/" + folder.fileName(of: step))
        throw error
      }
      return next.encode()
    }
    index = try SeriesIndex(try ranks.broadcast(bytes), file: folder.indexPath)
  }
}
