import Glibc

/// A file descriptor with whole reads and writes; errors carry the system's text.
final class PosixFile {
  let fd: Int32
  let path: String

  init(_ path: String, _ flags: Int32) throws {
    self.path = path
    fd = open(path, flags | O_CLOEXEC, 0o666)
    if fd < 0 {
      throw SnapshotError(flags & (O_WRONLY | O_RDWR) == 0 ? .cannotOpen : .writeFailed, file: path, PosixFile.text(errno))
    }
  }
  deinit { _ = Glibc.close(fd) }

  static func text(_ code: Int32) -> String { String(cString: strerror(code)) }

  var size: Int { get throws {
    var s = stat()
    if fstat(fd, &s) != 0 { throw SnapshotError(.readFailed, file: path, PosixFile.text(errno)) }
    return Int(s.st_size)
  } }

  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws {
    var done = 0
    while done < bytes.count {
      // One system call moves at most 2 GiB - 4 KiB.
      let n = pwrite(fd, bytes.baseAddress! + done, min(bytes.count - done, 1 << 30), off_t(offset + done))
      if n < 0 && errno == EINTR { continue }
      if n <= 0 { throw SnapshotError(.writeFailed, file: path, "\(PosixFile.text(n == 0 ? ENOSPC : errno)) at byte \(offset + done)") }
      done += n
    }
  }
  func write(_ bytes: [UInt8], at offset: Int) throws { try bytes.withUnsafeBytes { try write($0, at: offset) } }

  /// Reads exactly `into.count` bytes; a shorter file is `truncated`.
  func read(into: UnsafeMutableRawBufferPointer, at offset: Int) throws {
    var done = 0
    while done < into.count {
      let n = pread(fd, into.baseAddress! + done, min(into.count - done, 1 << 30), off_t(offset + done))
      if n < 0 && errno == EINTR { continue }
      if n < 0 { throw SnapshotError(.readFailed, file: path, "\(PosixFile.text(errno)) at byte \(offset + done)") }
      if n == 0 { throw SnapshotError(.truncated, file: path, "ends at byte \(offset + done), before byte \(offset + into.count)") }
      done += n
    }
  }
  func read(_ count: Int, at offset: Int) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    try bytes.withUnsafeMutableBytes { try read(into: $0, at: offset) }
    return bytes
  }

  /// Reserves disk blocks now, so that a full disk shows before any rank writes.
  func reserve(_ range: Range<Int>) throws {
    if range.isEmpty { return }
    let rc = posix_fallocate(fd, off_t(range.lowerBound), off_t(range.count))
    // File systems that cannot reserve still report a full disk at pwrite or fsync.
    if rc != 0 && rc != EOPNOTSUPP && rc != EINVAL && rc != ENOSYS {
      throw SnapshotError(.writeFailed, file: path, "\(PosixFile.text(rc)) while reserving \(range.count) bytes")
    }
  }
  func sync() throws {
    if fsync(fd) != 0 { throw SnapshotError(.writeFailed, file: path, "\(PosixFile.text(errno)) at fsync") }
  }
  /// Lets go of cached pages, so that a read-back sees the disk where the system allows it.
  func forget() { _ = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) }
}

/// The file that an unfinished output lives in until it is renamed.
package enum Temporary {
  static let suffix = ".tmp"

  /// Refuses early what the rename would refuse late.
  package static func prepare(_ target: String, noClobber: Bool) throws -> String {
    var s = stat()
    if stat(target, &s) == 0 {
      if s.st_mode & S_IFMT == S_IFDIR { throw SnapshotError(.writeFailed, file: target, "is a directory") }
      if noClobber { throw SnapshotError(.exists, file: target, "exists and --no-clobber is given") }
    }
    let tmp = target + suffix
    _ = try PosixFile(tmp, O_RDWR | O_CREAT | O_TRUNC)
    return tmp
  }

  /// Gives a finished file its name and makes the name durable.
  package static func publish(_ tmp: String, as target: String, noClobber: Bool) throws {
    if noClobber {
      // link() refuses an existing name atomically, on network file systems too.
      if link(tmp, target) == 0 { _ = unlink(tmp) } else if errno == EEXIST {
        throw SnapshotError(.exists, file: target, "exists and --no-clobber is given")
      } else {
        if access(target, F_OK) == 0 { throw SnapshotError(.exists, file: target, "exists and --no-clobber is given") }
        if rename(tmp, target) != 0 { throw SnapshotError(.writeFailed, file: target, PosixFile.text(errno)) }
      }
    } else if rename(tmp, target) != 0 { throw SnapshotError(.writeFailed, file: target, PosixFile.text(errno)) }
    let directory = target.lastIndex(of: "/").map { $0 == target.startIndex ? "/" : String(target[..<$0]) } ?? "."
    let fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    if fd >= 0 { _ = fsync(fd); _ = close(fd) }
  }

  package static func discard(_ tmp: String) { _ = unlink(tmp) }
}
