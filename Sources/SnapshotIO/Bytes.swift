/// Little-endian numbers, LEB128 variable-length numbers and length-prefixed bytes; docs/format.md section 2.
public struct ByteWriter {
  public private(set) var bytes: [UInt8] = []
  public init() {}
  public mutating func fixed<I: FixedWidthInteger>(_ v: I) { withUnsafeBytes(of: v.littleEndian) { bytes.append(contentsOf: $0) } }
  public mutating func number(_ v: Int) {
    var u = UInt64(v)
    while u >= 0x80 { bytes.append(UInt8(truncatingIfNeeded: u) | 0x80); u >>= 7 }
    bytes.append(UInt8(u))
  }
  public mutating func blob(_ b: [UInt8]) { number(b.count); bytes.append(contentsOf: b) }
  public mutating func text(_ s: String) { blob(Array(s.utf8)) }
  public mutating func append(_ b: [UInt8]) { bytes.append(contentsOf: b) }
}

/// Reads what `ByteWriter` wrote; running past the end gives nil, never a trap.
public struct ByteReader {
  public let bytes: [UInt8]
  public private(set) var at: Int
  public init(_ bytes: [UInt8], at: Int = 0) { self.bytes = bytes; self.at = at }
  public var isAtEnd: Bool { at == bytes.count }
  public mutating func fixed<I: FixedWidthInteger>(_: I.Type) -> I? {
    let n = MemoryLayout<I>.size
    guard bytes.count - at >= n else { return nil }
    defer { at += n }
    return bytes.withUnsafeBytes { I(littleEndian: $0.loadUnaligned(fromByteOffset: at, as: I.self)) }
  }
  /// A number below 2^62.
  public mutating func number() -> Int? {
    var v: UInt64 = 0, shift: UInt64 = 0
    while at < bytes.count, shift < 63 {
      let b = bytes[at]; at += 1
      v |= UInt64(b & 0x7f) << shift
      if b < 0x80 { return v < 1 << 62 ? Int(v) : nil }
      shift += 7
    }
    return nil
  }
  public mutating func blob() -> [UInt8]? {
    guard let n = number(), n <= bytes.count - at else { return nil }
    defer { at += n }
    return Array(bytes[at..<at + n])
  }
  public mutating func text() -> String? { blob().map { String(decoding: $0, as: UTF8.self) } }
}
