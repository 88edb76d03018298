package import Codecs
import Glibc
public import MPI

/// An `.ald` file whose every byte outside the streams, index pages and carry has been checked.
///
/// Reads by POSIX calls alone; HDF5 never sees the bytes. Streams are checked one by one as they are read.
public final class ContainerReader {
  public let path: String
  private let file: PosixFile
  let directory: Directory
  private var pages: [Int: (starts: [Int], checksums: [UInt32])] = [:]
  private var pageOrder: [Int] = []

  public struct Field: Sendable, Equatable {
    public let name: String
    public let description: [UInt8]
    /// Step numbers in the order they were written.
    public let steps: [Int]
  }
  public var fields: [Field] {
    directory.fields.map { Field(name: $0.name, description: $0.description, steps: $0.steps.map(\.step)) }
  }
  /// XXH3-64 of the first block, which holds, level by level, the checksums of all else: what the file is.
  public var root: UInt64 { get throws { try ContainerReader.root(of: file) } }
  /// The same of a file that need not be open; `nil` where it cannot be read. Local.
  public static func root(of path: String) -> UInt64? { try? root(of: PosixFile(path, O_RDONLY)) }
  private static func root(of file: PosixFile) throws -> UInt64 { Checksum.of(try file.read(UserBlock.size, at: 0)) }
  /// Containers in the same folder that this one's steps are predicted from, as far as they are open, by name.
  package var neighbours: [String: ContainerReader] = [:]
  /// Models that its fields may name, by hash.
  package var models: [UInt64: LearnedModel] = [:]
  public var fileBytes: Int { get throws { try file.size } }

  /// Opens and checks a file: rank 0 reads and verifies all that is not payload, the others receive the directory.
  ///
  /// - Throws: `SnapshotError` by way of `AgreedError`, on all ranks: no container (exit code 2), damaged or truncated (4).
  /// - Collective: all ranks.
  public static func open(_ path: String, ranks: borrowing Communicator) throws -> ContainerReader {
    let isFirst = ranks.rank == 0
    var bytes: [UInt8] = []
    try ranks.agree {
      guard isFirst else { return }
      if path.hasSuffix(Temporary.suffix) {
        throw SnapshotError(.temporaryName, file: path, "is the unfinished file of a run that was killed or still writes; it holds nothing that can be trusted")
      }
      bytes = try verified(PosixFile(path, O_RDONLY)).encode()
    }
    bytes = try ranks.broadcast(bytes)
    return try ranks.agree {
      let file = try PosixFile(path, O_RDONLY)
      guard let d = Directory(bytes, fileBytes: try file.size) else {
        throw SnapshotError(.truncated, file: path, "is shorter on this rank than on rank 0")
      }
      return ContainerReader(path, file, d)
    }
  }

  private init(_ path: String, _ file: PosixFile, _ directory: Directory) {
    self.path = path; self.file = file; self.directory = directory
  }

  /// The directory, after every non-payload byte has been compared with its checksum.
  private static func verified(_ file: PosixFile) throws -> Directory {
    let size = try file.size, path = file.path
    let block = try UserBlock(file.read(min(size, UserBlock.size), at: 0), file: path)
    guard size == block.fileBytes else {
      throw SnapshotError(.truncated, file: path, "has \(size) bytes, not the \(block.fileBytes) it was written with")
    }
    let bytes = try file.read(block.directoryBytes, at: block.directoryOffset)
    guard Checksum.of(bytes) == block.directoryChecksum, let directory = Directory(bytes, fileBytes: size) else {
      throw SnapshotError(.badDirectory, file: path, "directory at byte \(block.directoryOffset) is damaged (checksum)")
    }
    guard try Checksum.of(file, UserBlock.size..<size, without: directory.payload) == block.restChecksum else {
      throw SnapshotError(.badChecksum, file: path, "metadata is damaged (checksum over all bytes outside the streams)")
    }
    return directory
  }

  /// Everything that `open` checks, and the index pages and the carry.
  static func check(_ path: String) throws {
    let file = try PosixFile(path, O_RDONLY)
    let reader = ContainerReader(path, file, try verified(file))
    for (f, field) in reader.directory.fields.enumerated() {
      for s in field.steps.indices { for p in field.steps[s].pages.indices { _ = try reader.page(p, f, s) } }
    }
    _ = try reader.carry()
  }

  // MARK: reading; local, wrap in `agree`

  /// The codec's header of step `step` (a position in `fields[field].steps`).
  public func header(field: Int, step: Int) throws -> [UInt8] {
    let e = directory.fields[field].steps[step]
    let bytes = try file.read(e.header.count, at: e.header.lowerBound)
    guard Checksum.of(bytes) == e.headerChecksum else { throw damaged(field, "header of step \(e.step)") }
    return bytes
  }

  /// What was carried losslessly, compressed; empty where there is nothing.
  public func carry() throws -> [UInt8] {
    let bytes = try file.read(directory.carry.count, at: directory.carry.lowerBound)
    guard bytes.isEmpty || Checksum.of(bytes) == directory.carryChecksum else {
      throw SnapshotError(.badChecksum, file: path, "the losslessly carried part is damaged (checksum)")
    }
    return bytes
  }

  public func streamCount(field: Int, step: Int) -> Int { directory.fields[field].steps[step].streamCount }

  /// Bytes stored for a step.
  public func stored(field: Int, step: Int) -> StoredBytes {
    let e = directory.fields[field].steps[step]
    return StoredBytes(streams: e.streams.count, index: e.index.count, header: e.header.count)
  }

  /// Sizes as the writer returned them.
  public func sizes() throws -> ContainerSizes {
    let n = try file.size
    let stored = directory.fields.flatMap(\.steps).reduce(0) { $0 + $1.streams.count + $1.index.count + $1.header.count }
    return ContainerSizes(file: n, carry: directory.carry.count, overhead: n - stored - directory.carry.count)
  }

  /// Streams by number, each compared with its checksum. Neighbouring streams are read together.
  ///
  /// - Throws: `SnapshotError.badChecksum` or `truncated` (exit code 4), `outOfRange` for a number that does not exist.
  public func readStreams(field: Int, step: Int, _ numbers: [Int]) throws -> [[UInt8]] {
    let e = directory.fields[field].steps[step]
    var places: [(range: Range<Int>, checksum: UInt32)] = []
    places.reserveCapacity(numbers.count)
    for n in numbers {
      guard n >= 0 && n < e.streamCount else {
        throw SnapshotError(.outOfRange, file: path, dataset: directory.fields[field].name, "no stream \(n) among \(e.streamCount)")
      }
      let p = try page(n / Directory.pageSize, field, step), i = n % Directory.pageSize
      places.append((p.starts[i]..<p.starts[i + 1], p.checksums[i]))
    }
    let order = places.indices.sorted { places[$0].range.lowerBound < places[$1].range.lowerBound }
    var out = [[UInt8]](repeating: [], count: numbers.count)
    var i = 0
    while i < order.count {
      let from = places[order[i]].range.lowerBound
      var to = places[order[i]].range.upperBound, j = i + 1
      while j < order.count, places[order[j]].range.lowerBound <= to + (16 << 10),
            places[order[j]].range.upperBound - from <= 8 << 20 { to = max(to, places[order[j]].range.upperBound); j += 1 }
      let bytes = try file.read(to - from, at: e.streams.lowerBound + from)
      for k in i..<j {
        let n = order[k], r = places[n].range
        let stream = bytes[r.lowerBound - from..<r.upperBound - from]
        guard UInt32(truncatingIfNeeded: Checksum.of(stream)) == places[n].checksum else {
          throw damaged(field, "stream \(numbers[n]) of step \(e.step)")
        }
        out[n] = Array(stream)
      }
      i = j
    }
    return out
  }

  /// Compares a range of streams with their checksums.
  public func verifyChecksums(field: Int, step: Int, _ range: Range<Int>) throws {
    var at = range.lowerBound
    while at < range.upperBound {
      let end = min(at + 256, range.upperBound)
      _ = try readStreams(field: field, step: step, Array(at..<end))
      at = end
    }
  }

  private func damaged(_ field: Int, _ what: String) -> SnapshotError {
    SnapshotError(.badChecksum, file: path, dataset: directory.fields[field].name, "\(what) is damaged (checksum)")
  }

  /// Offsets (one more than streams) and checksums of an index page; the last few pages are kept.
  private func page(_ p: Int, _ field: Int, _ step: Int) throws -> (starts: [Int], checksums: [UInt32]) {
    let key = (field << 40) ^ (step << 20) ^ p
    if let known = pages[key] { return known }
    let e = directory.fields[field].steps[step], info = e.pages[p]
    let count = min(Directory.pageSize, e.streamCount - p * Directory.pageSize)
    let bytes = try file.read(info.indexBytes, at: e.index.lowerBound + info.indexStart)
    guard Checksum.of(bytes) == info.checksum, let entries = IndexPage.decode(bytes, count: count) else {
      throw damaged(field, "index page \(p) of step \(e.step)")
    }
    var starts = [info.streamStart]
    for n in entries {
      guard n.length <= e.streams.count - starts.last! else { throw damaged(field, "index page \(p) of step \(e.step)") }
      starts.append(starts.last! + n.length)
    }
    let result = (starts, entries.map(\.checksum))
    pages[key] = result; pageOrder.append(key)
    if pageOrder.count > 64 { pages[pageOrder.removeFirst()] = nil }
    return result
  }
}
