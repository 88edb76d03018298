// A layer as bytes (docs/format.md): a scale, the weights as signed integers of `bits` bits in units of it, low bits first, then the biases.

/// Largest magnitude of numbers that models may hold.
let layerLimit: Float = 0x1p40

extension ByteWriter {
  /// Rounds weights to the nearest multiples of the largest magnitude over 2^(bits - 1) - 1.
  mutating func put(weights: ArraySlice<Float>, bits: Int) {
    let top = Float(1 << (bits - 1) - 1), largest = weights.reduce(0) { max($0, abs($1)) }
    let scale = largest > 0 ? max(largest / top, .leastNormalMagnitude) : 0
    put(scale)
    var packed = [UInt8](repeating: 0, count: (weights.count * bits + 7) / 8), at = 0
    for w in weights {
      let v = scale > 0 ? Int(max(-top, min(top, (w / scale).rounded()))) : 0
      for b in 0..<bits {
        if v >> b & 1 == 1 { packed[at >> 3] |= 1 << UInt8(at & 7) }
        at += 1
      }
    }
    put(packed)
  }
}

extension ByteReader {
  /// - Throws: `StreamError.invalid` for a number outside of `range`, or none.
  mutating func float(in range: ClosedRange<Float> = -layerLimit...layerLimit) throws -> Float {
    let v = try float()
    guard range.contains(v) else { throw StreamError(.invalid, offset: offset) }
    return v
  }
  mutating func weights(_ count: Int, bits: Int) throws -> [Float] {
    let scale = try float(in: 0...layerLimit), bytes = try take((count * bits + 7) / 8)
    return (0..<count).map { i in
      let at = i * bits
      var word = 0
      for k in 0...2 where at >> 3 + k < bytes.count { word |= Int(bytes[at >> 3 + k]) << (8 * k) }
      let v = word >> (at & 7) & (1 << bits - 1)
      return scale * Float(v >> (bits - 1) == 1 ? v - 1 << bits : v)
    }
  }
  mutating func biases(_ count: Int) throws -> [Float] { try (0..<count).map { _ in try float(in: -layerLimit...layerLimit) } }
}
