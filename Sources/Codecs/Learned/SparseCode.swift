/// Sparse vectors of whole numbers as bytes: how many are not zero, the gaps between their places, signs and magnitudes, all by adaptive binary models.
///
/// Of sorted places i_1 < ... < i_K the gaps i_1, i_2 - i_1 - 1, ... are coded, K before them, by Exp-Golomb codes whose prefixes and first suffix bits adapt;
/// for independent places of density rho the gaps cost about H_2(rho) / rho bits each. Magnitudes have a model per channel.
/// - Source: THEORY 4.2.
public enum SparseCode {
  /// - Parameter vectors: of one length, a multiple of `channels`; element i belongs to channel i / (length / channels).
  public static func encoded(_ vectors: [[Int32]], channels: Int) -> [UInt8] {
    let length = vectors.first?.count ?? 0
    precondition(vectors.allSatisfy { $0.count == length } && channels > 0 && length % channels == 0)
    var w = ByteWriter(), coder = AdaptiveBinaryEncoder(), models = Models(channels)
    w.put(varint: vectors.count)
    w.put(varint: length)
    w.put(varint: channels)
    let places = max(1, length / channels)
    for v in vectors {
      let at = v.indices.filter { v[$0] != 0 }
      models.number.encode(at.count, &coder)
      var next = 0
      for i in at {
        models.gap.encode(i - next, &coder)
        next = i + 1
        coder.encodeDirect(v[i] < 0 ? 1 : 0, bits: 1)
        models.magnitude[i / places].encode(Int(v[i].magnitude) - 1, &coder)
      }
    }
    w.put(coder.finish())
    return w.bytes
  }

  /// - Parameter limit: elements of all vectors, or vectors, that bytes may announce.
  /// - Throws: `StreamError` for bytes that `encoded` cannot have given.
  public static func decoded(_ bytes: [UInt8], limit: Int = 1 << 24) throws -> [[Int32]] {
    var r = ByteReader(bytes)
    let count = try r.varint(limit: limit), length = try r.varint(limit: limit), channels = try r.varint(limit: limit)
    guard count * max(1, length) <= limit, channels > 0, length % channels == 0 else { throw StreamError(.invalid, offset: r.offset) }
    let start = r.offset
    var coder = AdaptiveBinaryDecoder(ArraySlice(try r.take(r.remaining))), models = Models(channels), out: [[Int32]] = []
    let places = max(1, length / channels)
    for _ in 0..<count {
      var v = [Int32](repeating: 0, count: length), next = 0
      let n = models.number.decode(&coder)
      guard n <= length else { throw StreamError(.invalid, offset: start) }
      for _ in 0..<n {
        let i = next + models.gap.decode(&coder)
        guard i < length else { throw StreamError(.invalid, offset: start) }
        next = i + 1
        let negative = coder.decodeDirect(bits: 1) == 1, m = models.magnitude[i / places].decode(&coder) + 1
        guard m <= Int(Int32.max) else { throw StreamError(.invalid, offset: start) }
        v[i] = negative ? -Int32(m) : Int32(m)
      }
      out.append(v)
    }
    return out
  }

  private struct Models {
    var number = AdaptiveGolomb(), gap = AdaptiveGolomb(), magnitude: [AdaptiveGolomb]
    init(_ channels: Int) { magnitude = [AdaptiveGolomb](repeating: AdaptiveGolomb(), count: channels) }
  }
}

/// Numbers from 0 to 2^31: Exp-Golomb, v + 1 = 2^n + rest, with an adaptive unary n and an adaptive model of the two highest bits of the rest.
struct AdaptiveGolomb {
  private static let longest = 31
  private var prefix = [AdaptiveBit](repeating: .init(), count: longest + 1)
  private var top = [AdaptiveBit](repeating: .init(), count: 3 * (longest + 1))

  mutating func encode(_ v: Int, _ e: inout AdaptiveBinaryEncoder) {
    precondition(v >= 0 && v < 1 << 31)
    let n = (v + 1).bitWidth - 1 - (v + 1).leadingZeroBitCount, rest = v + 1 - 1 << n
    for k in 0..<n { e.encode(1, &prefix[k]) }
    if n < AdaptiveGolomb.longest { e.encode(0, &prefix[n]) }
    if n == 0 { return }
    let first = rest >> (n - 1)
    e.encode(first, &top[3 * n])
    if n == 1 { return }
    e.encode(rest >> (n - 2) & 1, &top[3 * n + 1 + first])
    e.encodeDirect(rest & (1 << (n - 2) - 1), bits: n - 2)
  }
  mutating func decode(_ d: inout AdaptiveBinaryDecoder) -> Int {
    var n = 0
    while n < AdaptiveGolomb.longest, d.decode(&prefix[n]) == 1 { n += 1 }
    if n == 0 { return 0 }
    let first = d.decode(&top[3 * n])
    if n == 1 { return 1 << n + first - 1 }
    let second = d.decode(&top[3 * n + 1 + first])
    return 1 << n + (first << (n - 1) | second << (n - 2) | d.decodeDirect(bits: n - 2)) - 1
  }
}
