import Fields

/// Random numbers that depend on (seed, stream, component, cell) only: the same for any number of participants and any order.
///
/// Philox 4x32 with 10 rounds; the counter is the global index (component, z, y, x), the key the seed and the stream.
/// - Source: Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (2011).
public struct CounterRandom: Sendable {
  private let key: (UInt32, UInt32)
  public init(seed: UInt64, stream: UInt64 = 0) {
    // Two rounds of a 64-bit mixer, so that neighbouring streams share nothing.
    func mix(_ v: UInt64) -> UInt64 {
      var z = v &+ 0x9e37_79b9_7f4a_7c15
      z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
      z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
      return z ^ (z >> 31)
    }
    let k = mix(mix(seed) ^ stream)
    self.init(rawKey: (UInt32(truncatingIfNeeded: k), UInt32(truncatingIfNeeded: k >> 32)))
  }
  init(rawKey: (UInt32, UInt32)) { key = rawKey }

  /// 128 bits.
  func block(_ counter: SIMD4<UInt32>) -> SIMD4<UInt32> {
    var c = counter, k = key
    for _ in 0..<10 {
      let a = UInt64(c[0]) &* 0xd251_1f53, b = UInt64(c[2]) &* 0xcd9e_8d57
      c = SIMD4(UInt32(truncatingIfNeeded: b >> 32) ^ c[1] ^ k.0, UInt32(truncatingIfNeeded: b),
                UInt32(truncatingIfNeeded: a >> 32) ^ c[3] ^ k.1, UInt32(truncatingIfNeeded: a))
      k = (k.0 &+ 0x9e37_79b9, k.1 &+ 0xbb67_ae85)
    }
    return c
  }
  private func counter(_ component: Int, _ i: Index3) -> SIMD4<UInt32> {
    SIMD4(UInt32(truncatingIfNeeded: i.x), UInt32(truncatingIfNeeded: i.y), UInt32(truncatingIfNeeded: i.z),
          UInt32(truncatingIfNeeded: component))
  }
  private static func uniform(_ high: UInt32, _ low: UInt32) -> Double {
    Double((UInt64(high) << 32 | UInt64(low)) >> 11) * 0x1p-53
  }

  /// In 0 ..< 1, 53 bits.
  public func uniform(component: Int = 0, at i: Index3) -> Double {
    let b = block(counter(component, i))
    return CounterRandom.uniform(b[0], b[1])
  }
  /// +1 or -1.
  public func sign(component: Int, at i: Index3) -> Double { block(counter(component, i))[0] & 1 == 0 ? 1 : -1 }
  /// Standard normal. Marsaglia's polar method; square roots and a rational logarithm only, so the same bits on every machine.
  public func gaussian(component: Int, at i: Index3) -> Double {
    var b = block(counter(component, i))
    while true {
      let u = 2 * CounterRandom.uniform(b[0], b[1]) - 1, v = 2 * CounterRandom.uniform(b[2], b[3]) - 1, s = u * u + v * v
      if s > 0 && s < 1 { return u * (-2 * CounterRandom.logarithm(s) / s).squareRoot() }
      b = block(b)
    }
  }
  /// ln x of a normal number from 2 atanh((m - 1)/(m + 1)), m in sqrt(1/2) ..< sqrt(2); within 3 ulp.
  static func logarithm(_ x: Double) -> Double {
    var m = x.significand, e = Double(x.exponent)
    if m > 1.4142135623730951 { m *= 0.5; e += 1 }
    let z = (m - 1) / (m + 1), q = z * z
    var s = 1.0 / 21
    for k in stride(from: 19.0, through: 1, by: -2) { s = s * q + 1 / k }
    return e * 0.6931471805599453 + 2 * z * s
  }
  /// Poisson of mean 1 by inversion; `index` as the global number of what is weighted.
  public func poisson(_ index: Int) -> Int {
    let u = uniform(component: 1, at: Index3(0, index >> 32, index & 0xffff_ffff))
    var term = 0.36787944117144233, sum = term, k = 0
    while u >= sum && k < 20 { k += 1; term /= Double(k); sum += term }
    return k
  }
}
