import CxxHash
import Foundation
import MPI
import SnapshotIO

extension Campaign {
  /// What tells one state of a file, or of a set of files, from another.
  public struct Fingerprint: Codable, Equatable, Sendable {
    /// Of all files together.
    public var bytes = 0
    /// Latest time of modification, nanoseconds since 1970.
    public var modified = 0
    /// 16 hexadecimal digits: XXH3-64 over the XXH3-64 (little-endian) of every piece of 64 MiB, files in order.
    public var checksum = ""
    public init() {}

    /// Size and time alone.
    func looksLike(_ other: Fingerprint) -> Bool { bytes == other.bytes && modified == other.modified }
  }

  static let piece = 64 << 20

  /// Size and time of the files; the checksum is left empty. Local.
  static func glance(_ files: [String]) throws -> Fingerprint {
    var f = Fingerprint()
    for path in files {
      var s = stat()
      if stat(path, &s) != 0 { throw Failure(.inputOutput, "cannot open '\(path)': \(String(cString: strerror(errno)))") }
      f.bytes += Int(s.st_size)
      f.modified = max(f.modified, Int(s.st_mtim.tv_sec) * 1_000_000_000 + Int(s.st_mtim.tv_nsec))
    }
    return f
  }

  /// Size, time and checksum of the files; ranks read different pieces.
  ///
  /// - Returns: The same on all ranks, whatever their number.
  /// - Throws: `AgreedError`, on all ranks; also where a file changes meanwhile.
  /// - Collective: all ranks, equal `files`.
  /// - Complexity: reads every byte once; 8 bytes per 64 MiB on every rank.
  static func fingerprint(_ files: [String], ranks: borrowing Communicator) throws -> Fingerprint {
    let n = ranks.size, r = ranks.rank
    // Files are stated once, by rank 0: ranks that saw different sizes would deal out different pieces.
    var message: [UInt8] = []
    var first = Fingerprint()
    try ranks.agree {
      guard r == 0 else { return }
      first = try glance(files)
      for path in files { message += withUnsafeBytes(of: try glance([path]).bytes) { Array($0) } }
    }
    message = try ranks.broadcast(message)
    let sizes = message.withUnsafeBytes { m in files.indices.map { m.loadUnaligned(fromByteOffset: 8 * $0, as: Int.self) } }
    let counts = sizes.map { ($0 + piece - 1) / piece }
    let total = counts.reduce(0, +)
    let mine = total * r / n..<total * (r + 1) / n
    let own: [UInt8] = try ranks.agree {
      var sums: [UInt8] = []
      let chunk = 4 << 20
      var buffer = [UInt8](repeating: 0, count: mine.isEmpty ? 0 : min(chunk, sizes.max() ?? 0))
      let state = XXH3_createState()
      defer { XXH3_freeState(state) }
      var base = 0
      for (i, path) in files.enumerated() {
        let count = counts[i], size = sizes[i]
        let here = mine.clamped(to: base..<base + count)
        defer { base += count }
        if here.isEmpty { continue }
        guard let file = FileHandle(forReadingAtPath: path) else {
          throw Failure(.inputOutput, "cannot read '\(path)': \(String(cString: strerror(errno)))")
        }
        defer { try? file.close() }
        for p in here {
          _ = XXH3_64bits_reset(state)
          var at = (p - base) * piece
          let end = min(at + piece, size)
          while at < end {
            let got = buffer.withUnsafeMutableBytes { pread(file.fileDescriptor, $0.baseAddress!, min($0.count, end - at), off_t(at)) }
            if got < 0, errno == EINTR { continue }
            if got <= 0 {
              throw Failure(.inputOutput, "cannot read '\(path)': " + (got == 0 ? "it became shorter" : String(cString: strerror(errno))))
            }
            _ = buffer.withUnsafeBytes { XXH3_64bits_update(state, $0.baseAddress, got) }
            at += got
          }
          sums += withUnsafeBytes(of: XXH3_64bits_digest(state).littleEndian) { Array($0) }
        }
      }
      return sums
    }
    let all = try ranks.gather(own).flatMap { $0 }
    try ranks.agree {
      guard r == 0 else { return }
      guard try glance(files).looksLike(first) else { throw Failure(.inputOutput, "'\(files[0])' is being written; run again when it is complete") }
      let sum = all.withUnsafeBytes { XXH3_64bits($0.baseAddress, $0.count) }
      let digits = String(sum, radix: 16)
      first.checksum = String(repeating: "0", count: 16 - digits.count) + digits
    }
    return try shared(first, ranks: ranks)
  }

  /// Rank 0's value on all ranks.
  ///
  /// - Collective: all ranks.
  static func shared<T: Codable>(_ value: T, ranks: borrowing Communicator) throws -> T {
    let bytes = try ranks.agree { ranks.rank == 0 ? [UInt8](try JSONEncoder().encode(value)) : [] }
    return try JSONDecoder().decode(T.self, from: Data(try ranks.broadcast(bytes)))
  }

  /// The files a snapshot consists of; empty where it is gone. The same on all ranks.
  ///
  /// - Collective: all ranks.
  static func files(of s: Snapshot, ranks: borrowing Communicator) throws -> [String] {
    var here: [String] = []
    if ranks.rank == 0 { here = ((try? SnapshotInput.files(s.input)) ?? []).filter { FileManager.default.fileExists(atPath: $0) } }
    return try shared(here, ranks: ranks)
  }
}
