/// The fixed 512 bytes in front of the HDF5 file; docs/format.md section 3.
struct UserBlock: Equatable {
  static let size = 512, version: UInt32 = 1
  static let magic: [UInt8] = Array("ALIDADE".utf8) + [0]
  var fileBytes = 0, directoryOffset = 0, directoryBytes = 0
  var directoryChecksum: UInt64 = 0
  /// Of every byte after the block that lies in no extent with checksums of its own.
  var restChecksum: UInt64 = 0

  func encode() -> [UInt8] {
    var w = ByteWriter()
    w.append(UserBlock.magic)
    w.fixed(UserBlock.version); w.fixed(UInt32(UserBlock.size))
    w.fixed(UInt64(fileBytes)); w.fixed(UInt64(directoryOffset)); w.fixed(UInt64(directoryBytes))
    w.fixed(directoryChecksum); w.fixed(restChecksum)
    w.append([UInt8](repeating: 0, count: UserBlock.size - 8 - w.bytes.count))
    let sum = Checksum.of(w.bytes)
    w.fixed(sum)
    return w.bytes
  }

  /// - Throws: `notContainer`, `truncated`, `badBlock`, `newerVersion`.
  init(_ bytes: [UInt8], file: String) throws {
    let same = zip(bytes, UserBlock.magic).filter(==).count
    // A few wrong letters mean damage; none right means another kind of file.
    if same < 4 {
      throw SnapshotError(.notContainer, file: file, bytes.isEmpty ? "is empty" : "is not an .ald container")
    }
    guard bytes.count >= UserBlock.size else {
      throw SnapshotError(.truncated, file: file, "has \(bytes.count) bytes, fewer than the \(UserBlock.size) of its first block")
    }
    var tail = ByteReader(bytes, at: UserBlock.size - 8), r = ByteReader(bytes, at: 8)
    guard same == 8, tail.fixed(UInt64.self) == Checksum.of(bytes[0..<UserBlock.size - 8]) else {
      throw SnapshotError(.badBlock, file: file, "first block is damaged (checksum)")
    }
    let version = r.fixed(UInt32.self)!
    if version > UserBlock.version {
      throw SnapshotError(.newerVersion, file: file, "has format version \(version); this program reads up to \(UserBlock.version)")
    }
    _ = r.fixed(UInt32.self)
    func next() -> Int? { Int(exactly: r.fixed(UInt64.self)!) }
    guard version == UserBlock.version, let n = next(), let d = next(), let l = next(), d >= UserBlock.size, d <= n, l <= n - d
    else { throw SnapshotError(.badBlock, file: file, "first block holds impossible lengths") }
    fileBytes = n; directoryOffset = d; directoryBytes = l
    directoryChecksum = r.fixed(UInt64.self)!; restChecksum = r.fixed(UInt64.self)!
  }
  init() {}
}

/// Where the bytes of one step of one field lie.
struct StepEntry: Equatable {
  struct Page: Equatable {
    /// Where the page starts, from the start of the index; streams' bytes before its first stream.
    var indexStart = 0, streamStart = 0
    var indexBytes = 0
    var checksum: UInt64 = 0
  }
  var step = 0, streamCount = 0
  var streams = 0..<0, index = 0..<0, header = 0..<0
  var headerChecksum: UInt64 = 0
  var pages: [Page] = []
}

/// Everything about the extents of a container that lies outside them; docs/format.md section 4.
struct Directory: Equatable {
  /// Streams per index page.
  static let pageSize = 4096
  struct Field: Equatable { var name: String, description: [UInt8], steps: [StepEntry] = [] }
  var fields: [Field] = []
  var carry = 0..<0
  var carryChecksum: UInt64 = 0

  /// Extents whose bytes have checksums of their own.
  var payload: [Range<Int>] { fields.flatMap { $0.steps.flatMap { [$0.streams, $0.index] } } + [carry] }

  func encode() -> [UInt8] {
    var w = ByteWriter()
    func extent(_ e: Range<Int>) { w.number(e.lowerBound); w.number(e.count) }
    w.number(fields.count)
    for f in fields {
      w.text(f.name); w.blob(f.description); w.number(f.steps.count)
      for s in f.steps {
        w.number(s.step); w.number(s.streamCount)
        extent(s.streams); extent(s.index); extent(s.header); w.fixed(s.headerChecksum)
        for p in s.pages { w.number(p.indexBytes); w.number(p.streamStart); w.fixed(p.checksum) }
      }
    }
    extent(carry); w.fixed(carryChecksum)
    return w.bytes
  }

  /// - Parameter fileBytes: Every extent must end by there.
  init?(_ bytes: [UInt8], fileBytes: Int) {
    var r = ByteReader(bytes)
    func extent() -> Range<Int>? {
      guard let o = r.number(), let n = r.number(), o <= fileBytes, n <= fileBytes - o, n == 0 || o >= UserBlock.size else { return nil }
      return o..<o + n
    }
    guard let count = r.number(), count <= bytes.count else { return nil }
    for _ in 0..<count {
      guard let name = r.text(), let description = r.blob(), let steps = r.number(), steps <= bytes.count else { return nil }
      var f = Field(name: name, description: description)
      for _ in 0..<steps {
        var s = StepEntry()
        guard let step = r.number(), let n = r.number(), let streams = extent(), let index = extent(), let header = extent(),
              let sum = r.fixed(UInt64.self) else { return nil }
        s.step = step; s.streamCount = n; s.streams = streams; s.index = index; s.header = header; s.headerChecksum = sum
        let pages = n / Directory.pageSize + (n % Directory.pageSize > 0 ? 1 : 0)
        guard pages <= bytes.count else { return nil }
        var at = 0
        for _ in 0..<pages {
          guard let bytes = r.number(), let start = r.number(), let sum = r.fixed(UInt64.self),
                bytes <= index.count - at, start <= streams.count else { return nil }
          s.pages.append(.init(indexStart: at, streamStart: start, indexBytes: bytes, checksum: sum))
          at += bytes
        }
        guard at == index.count else { return nil }
        f.steps.append(s)
      }
      fields.append(f)
    }
    guard let c = extent(), let sum = r.fixed(UInt64.self), r.isAtEnd else { return nil }
    carry = c; carryChecksum = sum
  }
  init() {}
}

/// Index entries: per stream a LEB128 length and the low 32 bits of its XXH3, in pages of 4096 streams.
enum IndexPage {
  static func encode(length: Int, checksum: UInt32, into w: inout ByteWriter) {
    w.number(length)
    if length > 0 { w.fixed(checksum) }
  }

  static func decode(_ bytes: [UInt8], count: Int) -> [(length: Int, checksum: UInt32)]? {
    var r = ByteReader(bytes), out: [(length: Int, checksum: UInt32)] = []
    out.reserveCapacity(count)
    for _ in 0..<count {
      guard let n = r.number() else { return nil }
      guard n > 0 else { out.append((0, Checksum.ofNothing)); continue }
      guard let c = r.fixed(UInt32.self) else { return nil }
      out.append((n, c))
    }
    return r.isAtEnd ? out : nil
  }
}
