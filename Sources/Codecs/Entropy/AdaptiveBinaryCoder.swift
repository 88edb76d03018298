/// Probability of a zero bit, 12 bits, adapting with a rate that starts fast.
struct AdaptiveBit {
  var p: UInt16 = 2048
  var n: UInt8 = 0
  static let rates: [UInt8] = [1, 2, 2, 3, 3, 3, 4, 4, 4, 4, 5]
  @inline(__always) mutating func update(_ bit: Int) {
    let r = UInt16(n < 10 ? AdaptiveBit.rates[Int(n)] : 5)
    if n < 10 { n += 1 }
    if bit == 0 { p += (4096 - 32 - p) >> r } else { p -= (p - 32) >> r }
  }
}

/// Carry-less binary range coder for small side information (tables, weights, modes). Integers only.
///
/// - Source: the LZMA range coder's arithmetic, with 12-bit probabilities.
struct AdaptiveBinaryEncoder {
  private var low: UInt64 = 0, range: UInt32 = 0xFFFF_FFFF
  private var cache: UInt8 = 0, cacheSize = 1
  private(set) var bytes: [UInt8] = []

  mutating func encode(_ bit: Int, _ model: inout AdaptiveBit) {
    let split = (range >> 12) * UInt32(model.p)
    if bit == 0 { range = split } else { low += UInt64(split); range -= split }
    model.update(bit)
    while range < 1 << 24 { range <<= 8; shift() }
  }
  mutating func encodeDirect(_ value: Int, bits: Int) {
    for b in stride(from: bits - 1, through: 0, by: -1) {
      range >>= 1
      if value >> b & 1 == 1 { low += UInt64(range) }
      while range < 1 << 24 { range <<= 8; shift() }
    }
  }
  private mutating func shift() {
    if low < 0xFF00_0000 || low > 0xFFFF_FFFF {
      let carry = UInt8(truncatingIfNeeded: low >> 32)
      var c = cache
      repeat { bytes.append(c &+ carry); c = 0xFF; cacheSize -= 1 } while cacheSize > 0
      cache = UInt8(truncatingIfNeeded: low >> 24)
    }
    cacheSize += 1
    low = (low & 0x00FF_FFFF) << 8
  }
  /// The finished bytes: of the numbers that decode alike the one with most zeros at its end. The constant first byte and
  /// trailing zeros are dropped; the decoder reads zeros past the end.
  mutating func finish() -> [UInt8] {
    for zeros in stride(from: UInt64(32), through: 1, by: -1) {
      let mask: UInt64 = (1 << zeros) - 1, rounded = (low + mask) & ~mask
      if rounded < low + UInt64(range) { low = rounded; break }
    }
    for _ in 0..<5 { shift() }
    var out = Array(bytes.dropFirst())
    while out.last == 0 { out.removeLast() }
    return out
  }
}

struct AdaptiveBinaryDecoder {
  private var range: UInt32 = 0xFFFF_FFFF, code: UInt32 = 0
  private let bytes: ArraySlice<UInt8>
  private var next: Int

  init(_ bytes: ArraySlice<UInt8>) {
    self.bytes = bytes
    next = bytes.startIndex
    for _ in 0..<4 { code = code << 8 | UInt32(byte()) }
  }
  private mutating func byte() -> UInt8 {
    guard next < bytes.endIndex else { return 0 }
    defer { next += 1 }
    return bytes[next]
  }
  mutating func decode(_ model: inout AdaptiveBit) -> Int {
    let split = (range >> 12) * UInt32(model.p)
    let bit: Int
    if code < split { range = split; bit = 0 } else { code -= split; range -= split; bit = 1 }
    model.update(bit)
    while range < 1 << 24 { range <<= 8; code = code << 8 | UInt32(byte()) }
    return bit
  }
  mutating func decodeDirect(bits: Int) -> Int {
    var v = 0
    for _ in 0..<bits {
      range >>= 1
      let bit = code >= range ? 1 : 0
      if bit == 1 { code -= range }
      v = v << 1 | bit
      while range < 1 << 24 { range <<= 8; code = code << 8 | UInt32(byte()) }
    }
    return v
  }
}

/// Adaptive model of small signed integers: zero, sign, unary magnitude with an Exp-Golomb tail.
struct AdaptiveInteger {
  var zero: [AdaptiveBit], sign: [AdaptiveBit], unary: [AdaptiveBit]
  let contexts: Int
  static let unaryLength = 12
  init(contexts: Int) {
    self.contexts = contexts
    zero = .init(repeating: .init(), count: contexts)
    sign = .init(repeating: .init(), count: contexts)
    unary = .init(repeating: .init(), count: contexts * Self.unaryLength)
  }
  mutating func encode(_ v: Int, context c: Int, _ e: inout AdaptiveBinaryEncoder) {
    e.encode(v == 0 ? 0 : 1, &zero[c])
    if v == 0 { return }
    e.encode(v < 0 ? 1 : 0, &sign[c])
    let m = abs(v) - 1
    for k in 0..<Self.unaryLength {
      e.encode(m > k ? 1 : 0, &unary[c * Self.unaryLength + k])
      if m <= k { return }
    }
    let r = m - Self.unaryLength + 1  // >= 1... Exp-Golomb of the rest
    let bits = r.bitWidth - r.leadingZeroBitCount
    e.encodeDirect(bits, bits: 6)
    e.encodeDirect(r, bits: bits)
  }
  mutating func decode(context c: Int, _ d: inout AdaptiveBinaryDecoder) -> Int {
    if d.decode(&zero[c]) == 0 { return 0 }
    let negative = d.decode(&sign[c]) == 1
    var m = 0
    while m < Self.unaryLength, d.decode(&unary[c * Self.unaryLength + m]) == 1 { m += 1 }
    if m == Self.unaryLength {
      let bits = min(d.decodeDirect(bits: 6), 40)
      m = Self.unaryLength - 1 + d.decodeDirect(bits: bits)
    }
    return negative ? -(m + 1) : m + 1
  }
}
