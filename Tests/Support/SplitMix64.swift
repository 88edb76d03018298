/// A small seeded generator: the same numbers everywhere.
///
/// - Source: Steele, Lea, Flood, Fast splittable pseudorandom number generators (2014).
public struct SplitMix64: RandomNumberGenerator, Sendable {
  private var state: UInt64
  public init(seed: UInt64) { state = seed }
  public mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
  /// In 0 ..< 1, 53 bits.
  public mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }
  /// In 0 ..< n.
  public mutating func below(_ n: Int) -> Int { Int(next() % UInt64(n)) }

  /// A number that depends on `seed` and `key` only.
  public static func hash(_ seed: UInt64, _ key: Int) -> UInt64 {
    var g = SplitMix64(seed: seed &+ UInt64(truncatingIfNeeded: key) &* 0xd134_2543_de82_ef95)
    return g.next()
  }
}
