import Glibc

/// The directory of a series; docs/format.md section 9. All calls are local: one rank writes, any may read.
public struct SeriesFolder: Sendable {
  public let path: String
  public init(_ path: String) {
    var p = path
    while p.utf8.count > 1, p.hasSuffix("/") { p.removeLast() }
    self.path = p
  }

  public var indexPath: String { path + "/" + SeriesIndex.fileName }
  /// The container of a step, e.g. `0000000120.ald`.
  public func fileName(of step: Int) -> String {
    let digits = String(step)
    return String(repeating: "0", count: max(0, 10 - digits.utf8.count)) + digits + ".ald"
  }
  public func containerPath(of e: SeriesIndex.Entry) -> String { path + "/" + e.file }

  /// Whether there is a directory with an index.
  public var exists: Bool { access(indexPath, F_OK) == 0 }

  /// Statistics of the steps, a line of JSON each, for people and plots; no part of the series.
  public var reportPath: String { path + "/steps.jsonl" }

  /// The index; an empty one where there is none yet.
  public func index() throws -> SeriesIndex {
    guard exists else { return SeriesIndex() }
    let file = try PosixFile(indexPath, O_RDONLY)
    return try SeriesIndex(try file.read(try file.size, at: 0), file: indexPath)
  }

  /// Makes the directory, and an index without steps where there is none.
  public func create() throws {
    if mkdir(path, 0o777) != 0, errno != EEXIST { throw SnapshotError(.writeFailed, file: path, PosixFile.text(errno)) }
    if !exists { try write(SeriesIndex()) }
  }

  /// Replaces the index: either the old or the new one is there, whatever happens.
  public func write(_ index: SeriesIndex) throws {
    let temporary = indexPath + Temporary.suffix
    do {
      let file = try PosixFile(temporary, O_RDWR | O_CREAT | O_TRUNC)
      try file.write(index.encode(), at: 0)
      try file.sync()
      try Temporary.publish(temporary, as: indexPath, noClobber: false)
    } catch {
      Temporary.discard(temporary)
      throw error
    }
  }

  /// The entry of a step whose container has just been committed.
  public func entry(step: Int, time: Double, key: Int, references: [Int]) throws -> SeriesIndex.Entry {
    let name = fileName(of: step), file = try PosixFile(path + "/" + name, O_RDONLY)
    return SeriesIndex.Entry(
      step: step, time: time, file: name, bytes: try file.size, root: Checksum.of(try file.read(UserBlock.size, at: 0)), key: key,
      references: references)
  }

  /// Refuses a container that is not the one the index names.
  ///
  /// - Throws: `SnapshotError`: cannotOpen, or badIndex where length or root differ.
  public func check(_ e: SeriesIndex.Entry) throws {
    let p = containerPath(of: e), file = try PosixFile(p, O_RDONLY), size = try file.size
    guard size == e.bytes, size >= UserBlock.size, Checksum.of(try file.read(UserBlock.size, at: 0)) == e.root else {
      throw SnapshotError(.badIndex, file: p, "is not the container that the index of the series names for step \(e.step)")
    }
  }

  /// Keeps others from writing here until the descriptor is closed, also by the end of the process.
  ///
  /// - Throws: `SnapshotError`: cannotOpen, or badSeries where somebody else writes.
  public func lock() throws -> Int32 {
    let fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    if fd < 0 { throw SnapshotError(.cannotOpen, file: path, PosixFile.text(errno)) }
    // File systems without locks let everybody pass.
    if flock(fd, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK {
      _ = close(fd)
      throw SnapshotError(.badSeries, file: path, "is being written by another program, or was opened twice")
    }
    return fd
  }

  /// Deletes steps; the index goes without them first, so that it never names what is gone.
  ///
  /// - Parameter dryRun: only whether they could be.
  /// - Throws: `SnapshotError.badSeries`: no such step, one that a step to be kept is predicted from, or somebody writes the series. Nothing is deleted then.
  public func remove(_ steps: [Int], dryRun: Bool = false) throws {
    guard exists else { throw SnapshotError(.notContainer, file: path, "is no series") }
    let fd = try lock()
    defer { _ = close(fd) }
    let old = try index()
    let left = try old.without(steps, of: path)
    if dryRun { return }
    try write(left)
    for e in old.entries where steps.contains(e.step) {
      if unlink(containerPath(of: e)) != 0, errno != ENOENT { throw SnapshotError(.writeFailed, file: containerPath(of: e), PosixFile.text(errno)) }
    }
  }

  /// Removes all steps; the index goes empty first, so that it never names what is gone.
  public func empty() throws {
    let old = try index()
    try write(SeriesIndex())
    for e in old.entries { _ = unlink(containerPath(of: e)) }
    _ = unlink(reportPath)
  }
}
