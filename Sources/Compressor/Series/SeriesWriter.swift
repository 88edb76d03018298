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
  /// The step that decoding begins with.
  public var keyStep = 0
  /// Fields whose bound a trigger changed.
  public var triggered: [String] = []
  /// What time did not allow; see `StepPart`.
  public var leftOut: [StepPart] = []
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
  private(set) var watch: PreparedWatch?
  /// What steps may be predicted from; `nil`: each stands alone. A restart begins with a key step.
  public var temporal: TemporalSeries?
  /// Whether every step adds a line to `steps.jsonl`.
  public var reporting = false
  /// What the run allows a step, for that line; 0: no limit.
  public var bytesPerStep = 0.0, secondsPerStep = 0.0

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
    let fd = try folder.lock()
    do {
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

  /// Enters a committed container into the index; later steps may be predicted from it.
  ///
  /// - Collective: all ranks.
  func publish(step: Int, time: Double, ranks: borrowing Communicator) throws -> SeriesIndex.Entry {
    let isFirst = ranks.rank == 0, basis = temporal?.pending
    let bytes = try ranks.agree { () -> [UInt8] in
      guard isFirst else { return [] }
      var next = index
      do {
        try next.append(try folder.entry(step: step, time: time, key: basis?.key ?? step, references: basis?.references ?? []), of: folder.path)
        try folder.write(next)
      } catch {
        _ = unlink(folder.path + "/" + folder.fileName(of: step))
        throw error
      }
      return next.encode()
    }
    index = try SeriesIndex(try ranks.broadcast(bytes), file: folder.indexPath)
    let entry = index.entries.last!
    temporal?.commit(step: step, file: entry.file, root: entry.root)
    return entry
  }
}
