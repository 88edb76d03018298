import CxxHash

/// XXH3, 64 bits, seed 0.
enum Checksum {
  /// Low half of the checksum of an empty stream; not stored.
  static let ofNothing = UInt32(truncatingIfNeeded: of([]))
  static func of(_ bytes: UnsafeRawBufferPointer) -> UInt64 { XXH3_64bits(bytes.baseAddress, bytes.count) }
  static func of(_ bytes: [UInt8]) -> UInt64 { bytes.withUnsafeBytes { of($0) } }
  static func of(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.withUnsafeBytes { of($0) } }

  /// The checksum of the bytes of `file` in `range` outside `holes`, as if they were one buffer.
  static func of(_ file: PosixFile, _ range: Range<Int>, without holes: [Range<Int>]) throws -> UInt64 {
    let state = XXH3_createState()
    defer { XXH3_freeState(state) }
    _ = XXH3_64bits_reset(state)
    var at = range.lowerBound
    func add(to end: Int) throws {
      while at < end {
        let piece = try file.read(min(end - at, 1 << 22), at: at)
        _ = piece.withUnsafeBytes { XXH3_64bits_update(state, $0.baseAddress, $0.count) }
        at += piece.count
      }
    }
    for hole in holes.sorted(by: { $0.lowerBound < $1.lowerBound }) where !hole.isEmpty {
      try add(to: hole.lowerBound)
      at = hole.upperBound
    }
    try add(to: range.upperBound)
    return XXH3_64bits_digest(state)
  }
}
