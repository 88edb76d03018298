import Glibc
import HDF5
public import MPI

/// One step of one field, as its codec hands it over.
public struct ContainerStep {
  /// Number of the step in the input.
  public var step: Int
  /// Everything a decoder needs beside the description: bound, steps, tables. The same on every rank; rank 0's is written.
  public var header: [UInt8]
  /// This rank's streams, one after the other; ranks hold ascending contiguous ranges of streams.
  public var streams: [UInt8]
  /// Their lengths; empty on a rank without streams.
  public var lengths: [Int]
  public init(step: Int, header: [UInt8], streams: [UInt8], lengths: [Int]) {
    self.step = step; self.header = header; self.streams = streams; self.lengths = lengths
  }
}

/// Bytes a step takes in the file.
public struct StoredBytes: Equatable, Sendable {
  public var streams = 0, index = 0, header = 0
  public init(streams: Int = 0, index: Int = 0, header: Int = 0) { self.streams = streams; self.index = index; self.header = header }
  public var total: Int { streams + index + header }
}

/// A finished file's sizes.
public struct ContainerSizes: Equatable, Sendable {
  public var file = 0
  /// What is carried losslessly, compressed.
  public var carry = 0
  /// File less the steps' stored bytes and the carry.
  public var overhead = 0
}

/// Writes an `.ald` file step by step; the bytes do not depend on the number of ranks.
///
/// Rank 0 lets HDF5 place every dataset (allocated early, never filled); all ranks write their bytes at the known
/// offsets of `<path>.tmp` at once, so that nothing is held in memory. `commit` makes the file durable, writes the
/// first block last, reads everything back and renames. After any error on any rank the temporary file is gone
/// and the writer must not be used again; all ranks throw the same error.
public final class ContainerWriter {
  public let path: String
  private let noClobber: Bool
  /// Rank 0: lays out the file, writes what is not streams, removes the temporary file after an error.
  private let isFirst: Bool
  private var temporary = ""
  private var file: PosixFile?
  private var hdf5: File?                    // rank 0 only
  private var groups: [Handle] = []          // rank 0 only
  private var directory = Directory()        // steps on rank 0 only
  private var stored = 0
  private var reserved = UserBlock.size      // rank 0 only
  /// What this rank wrote, to be read back.
  private var written: [(offset: Int, lengths: [Int], checksums: [UInt32])] = []

  /// - Collective: all ranks.
  public init(path: String, noClobber: Bool = false, ranks: borrowing Communicator) throws {
    self.path = path; self.noClobber = noClobber
    isFirst = ranks.rank == 0
    temporary = path + Temporary.suffix
    try ranks.agree {
      guard isFirst else { return }
      do {
        temporary = try Temporary.prepare(path, noClobber: noClobber)
        let h = try File.create(temporary, userBlock: UserBlock.size)
        groups.append(try createGroup(in: h.handle, "fields"))
        hdf5 = h
      } catch { hdf5 = nil; if !(error is SnapshotError) { Temporary.discard(temporary) }; throw located(error) }
    }
    try guarded(ranks) {
      file = try PosixFile(temporary, O_RDWR)
      if isFirst { try reserve(to: reserved) }
    }
  }

  /// HDF5 1.10 crashes when it cannot write its metadata: keep room on disk ahead of what it will write on closing.
  private func reserve(to end: Int) throws {
    let room = 64 << 10
    try file!.reserve((reserved == UserBlock.size ? 0 : reserved)..<max(reserved, end) + room)
    reserved = max(reserved, end)
  }

  /// Declares a field. The description (see `FieldDescription.encode`) is opaque here.
  ///
  /// - Returns: The number to append steps under.
  /// - Collective: all ranks, equal arguments.
  public func addField(name: String, description: [UInt8], ranks: borrowing Communicator) throws -> Int {
    let n = directory.fields.count
    directory.fields.append(.init(name: name, description: description))
    try guarded(ranks) {
      guard isFirst else { return }
      // Room for three links and the name without a continuation block.
      let g = try createGroup(in: groups[0], String(n), expecting: 6, nameLength: 8)
      // A short name for people with HDF5 tools; the directory holds the whole one.
      try g.write("name", String(decoding: name.utf8.prefix(1024), as: UTF8.self))
      groups.append(g)
    }
    return n
  }

  /// Writes one step of a field.
  ///
  /// - Returns: Bytes stored for it, the same on all ranks.
  /// - Collective: all ranks, those without streams too.
  public func append(_ step: ContainerStep, to field: Int, ranks: borrowing Communicator) throws -> StoredBytes {
    var entries = ByteWriter(), checksums: [UInt32] = []
    try guarded(ranks) {
      guard step.lengths.reduce(0, +) == step.streams.count else {
        throw SnapshotError(.sizeMismatch, file: path, dataset: directory.fields[field].name,
                            "stream lengths add up to \(step.lengths.reduce(0, +)), not to \(step.streams.count) bytes")
      }
      checksums.reserveCapacity(step.lengths.count)
      var at = 0
      for n in step.lengths {
        checksums.append(UInt32(truncatingIfNeeded: Checksum.of(step.streams[at..<at + n])))
        at += n
      }
      for (n, c) in zip(step.lengths, checksums) { IndexPage.encode(length: n, checksum: c, into: &entries) }
    }
    let before = try ranks.exclusiveScan(step.streams.count)
    let sums = try ranks.allReduce([step.streams.count, step.lengths.count], .sum)
    let all = try ranks.gather(entries.bytes)
    var placed = ByteWriter()
    var index: [UInt8] = [], entry = StepEntry()
    try guarded(ranks) {
      guard isFirst else { return }
      index = Array(all.joined())
      entry.step = step.step; entry.streamCount = sums[1]
      entry.pages = ContainerWriter.pages(index, count: sums[1])
      let ordinal = directory.fields[field].steps.count
      func place(_ name: String, _ n: Int) throws -> Range<Int> {
        let at = try createRaw(in: groups[1 + field], "\(ordinal).\(name)", bytes: n) ?? 0
        return at..<at + n
      }
      entry.header = try place("header", step.header.count)
      entry.index = try place("index", index.count)
      entry.streams = try place("streams", sums[0])
      entry.headerChecksum = Checksum.of(step.header)
      let end = max(entry.header.upperBound, entry.index.upperBound, entry.streams.upperBound)
      try reserve(to: end)
      directory.fields[field].steps.append(entry)
      placed.fixed(Int64(entry.streams.lowerBound)); placed.fixed(Int64(index.count))
    }
    let placement = try ranks.broadcast(placed.bytes)
    var r = ByteReader(placement)
    let base = Int(r.fixed(Int64.self)!), indexBytes = Int(r.fixed(Int64.self)!)
    try guarded(ranks) {
      try file!.write(step.streams, at: base + before)
      if isFirst {
        try file!.write(index, at: entry.index.lowerBound)
        try file!.write(step.header, at: entry.header.lowerBound)
      }
    }
    written.append((base + before, step.lengths, checksums))
    let bytes = StoredBytes(streams: sums[0], index: indexBytes, header: step.header.count)
    stored += bytes.total
    return bytes
  }

  /// Makes the file durable and gives it its name.
  ///
  /// - Parameter carry: What is carried losslessly; rank 0's is written.
  /// - Parameter verify: Reads everything back and compares checksums before the rename.
  /// - Collective: all ranks.
  public func commit(carry: [UInt8] = [], verify: Bool = true, ranks: borrowing Communicator) throws -> ContainerSizes {
    // Metadata first, everything durable, then the block that makes the file valid.
    try guarded(ranks) { if isFirst { try finishMetadata(carry) }; try file!.sync() }
    try guarded(ranks) { if isFirst { try writeBlock() } }
    if verify {
      try guarded(ranks) {
        file!.forget()
        if isFirst { try ContainerReader.check(temporary) }
        for part in written { try readBack(part) }
      }
    }
    var sizes = ByteWriter()
    try guarded(ranks) {
      guard isFirst else { return }
      let n = try file!.size
      try Temporary.publish(temporary, as: path, noClobber: noClobber)
      sizes.fixed(Int64(n)); sizes.fixed(Int64(directory.carry.count))
    }
    file = nil
    var r = ByteReader(try ranks.broadcast(sizes.bytes))
    let n = Int(r.fixed(Int64.self)!), c = Int(r.fixed(Int64.self)!)
    return ContainerSizes(file: n, carry: c, overhead: n - c - stored)
  }

  /// Gives up and removes the temporary file.
  ///
  /// - Collective: all ranks should call it; it does not communicate.
  public func abandon() {
    groups = []
    let unfinished = hdf5 != nil || file != nil
    hdf5 = nil; file = nil
    if unfinished && isFirst { Temporary.discard(temporary) }
  }

  // MARK: parts

  private func guarded(_ ranks: borrowing Communicator, _ work: () throws -> Void) throws {
    do { try ranks.agree { do { try work() } catch { throw located(error) } } } catch { abandon(); throw error }
  }

  /// Says the target's name where a system or HDF5 call knows only the temporary file.
  private func located(_ error: any Error) -> any Error {
    if let e = error as? SnapshotError, e.file == temporary {
      return SnapshotError(e.code.rawValue < 0 ? .writeFailed : e.code, file: path, dataset: e.dataset,
                           e.code.rawValue < 0 ? "what was read back is not what was written: \(e.detail)" : e.detail)
    }
    if let e = error as? HDF5Error { return SnapshotError(.writeFailed, file: path, "writing metadata: \(e)") }
    return error
  }

  /// Cuts index entries into pages.
  private static func pages(_ index: [UInt8], count: Int) -> [StepEntry.Page] {
    var r = ByteReader(index), pages: [StepEntry.Page] = [], streamAt = 0, done = 0
    while done < count {
      let n = min(Directory.pageSize, count - done), start = r.at
      var page = StepEntry.Page(indexStart: start, streamStart: streamAt)
      for _ in 0..<n {
        let length = r.number()!
        streamAt += length
        if length > 0 { _ = r.fixed(UInt32.self) }
      }
      page.indexBytes = r.at - start
      page.checksum = Checksum.of(index[start..<r.at])
      pages.append(page)
      done += n
    }
    return pages
  }

  /// Rank 0: carry and directory, then HDF5 is closed for good.
  private func finishMetadata(_ carry: [UInt8]) throws {
    let root = hdf5!.handle
    if !carry.isEmpty {
      let at = try createRaw(in: root, "carry", bytes: carry.count)!
      directory.carry = at..<at + carry.count
      directory.carryChecksum = Checksum.of(carry)
    }
    let bytes = directory.encode()
    block.directoryOffset = try createRaw(in: root, "directory", bytes: bytes.count)!
    block.directoryBytes = bytes.count
    block.directoryChecksum = Checksum.of(bytes)
    let end = max(directory.carry.upperBound, block.directoryOffset + bytes.count)
    try reserve(to: end)
    groups = []
    try hdf5!.close()
    hdf5 = nil
    try file!.write(carry, at: directory.carry.lowerBound)
    try file!.write(bytes, at: block.directoryOffset)
  }
  private var block = UserBlock()

  private func writeBlock() throws {
    block.fileBytes = try file!.size
    block.restChecksum = try Checksum.of(file!, UserBlock.size..<block.fileBytes, without: directory.payload)
    try file!.write(block.encode(), at: 0)
    try file!.sync()
  }

  private func readBack(_ part: (offset: Int, lengths: [Int], checksums: [UInt32])) throws {
    var i = 0, at = part.offset
    while i < part.lengths.count {
      var j = i, n = 0
      while j < part.lengths.count, n == 0 || n + part.lengths[j] <= 4 << 20 { n += part.lengths[j]; j += 1 }
      let bytes = try file!.read(n, at: at)
      var o = 0
      for k in i..<j {
        guard UInt32(truncatingIfNeeded: Checksum.of(bytes[o..<o + part.lengths[k]])) == part.checksums[k] else {
          throw SnapshotError(.badChecksum, file: temporary, "stream at byte \(at + o)")
        }
        o += part.lengths[k]
      }
      at += n; i = j
    }
  }
}
