/// Little-endian writer of headers and stream parts.
public struct ByteWriter: Sendable {
  public private(set) var bytes: [UInt8] = []
  public init() {}
  public mutating func put(_ v: UInt8) { bytes.append(v) }
  public mutating func put(_ v: [UInt8]) { bytes += v }
  /// Seven bits per byte, low first.
  public mutating func put(varint v: Int) {
    precondition(v >= 0)
    var v = v
    while v >= 128 { bytes.append(UInt8(v & 127 | 128)); v >>= 7 }
    bytes.append(UInt8(v))
  }
  /// Eight bytes, low first.
  public mutating func put(_ v: UInt64) { for k in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: v >> UInt64(8 * k))) } }
  public mutating func put(_ v: Double) { put(v.bitPattern) }
  /// Four bytes, low first.
  public mutating func put(_ v: Float) { for k in 0..<4 { bytes.append(UInt8(truncatingIfNeeded: v.bitPattern >> UInt32(8 * k))) } }
  /// Length, then the bytes.
  public mutating func put(block v: [UInt8]) { put(varint: v.count); put(v) }
}

/// Bounds-checked reader of what `ByteWriter` wrote; every call throws `StreamError.truncated` past the end.
public struct ByteReader: Sendable {
  private let bytes: [UInt8]
  public private(set) var offset = 0
  public init(_ bytes: [UInt8]) { self.bytes = bytes }
  public var remaining: Int { bytes.count - offset }
  public mutating func byte() throws -> UInt8 {
    guard offset < bytes.count else { throw StreamError(.truncated, offset: offset) }
    defer { offset += 1 }
    return bytes[offset]
  }
  /// - Throws: `StreamError.invalid` for numbers above `limit`.
  public mutating func varint(limit: Int = Int(Int32.max)) throws -> Int {
    var v = 0, shift = 0
    while true {
      let b = try byte()
      if shift > 56 { throw StreamError(.invalid, offset: offset) }
      v |= Int(b & 127) << shift
      if b < 128 { break }
      shift += 7
    }
    guard v <= limit else { throw StreamError(.invalid, offset: offset) }
    return v
  }
  public mutating func take(_ n: Int) throws -> [UInt8] {
    guard n >= 0, n <= remaining else { throw StreamError(.truncated, offset: offset) }
    defer { offset += n }
    return Array(bytes[offset..<offset + n])
  }
  public mutating func word() throws -> UInt64 {
    var v: UInt64 = 0
    for (k, b) in try take(8).enumerated() { v |= UInt64(b) << UInt64(8 * k) }
    return v
  }
  public mutating func double() throws -> Double { Double(bitPattern: try word()) }
  public mutating func float() throws -> Float {
    let b = try take(4)
    return Float(bitPattern: UInt32(b[0]) | UInt32(b[1]) << 8 | UInt32(b[2]) << 16 | UInt32(b[3]) << 24)
  }
  public mutating func block() throws -> [UInt8] { try take(varint()) }
}
