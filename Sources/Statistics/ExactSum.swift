/// The exact sum of doubles, rounded once at the end: the same bits for any order and grouping.
///
/// A fixed-point number in units of 2^-1074, in limbs of 32 bits held in `Int64`. A limb takes 2^30 additions before
/// its carry has to move up; packed limbs are normalised and may be added 2^30 times more. Up to 2^60 terms.
/// NaN and infinities are counted apart.
/// - Source: Neal, Fast exact summation using small and large superaccumulators (2015), arXiv:1505.05571.
public struct ExactSum: Mergeable, Equatable {
  /// 2098 bits of doubles, 60 bits for the number of terms, sign.
  static let limbCount = 68
  private var limbs = [Int64](repeating: 0, count: limbCount)
  private var pending = 0
  /// How many terms were NaN, +infinity, -infinity.
  public private(set) var nonFinite = (nan: 0, positive: 0, negative: 0)
  public init() {}

  public static func == (a: ExactSum, b: ExactSum) -> Bool {
    var x = PackedAccumulators(), y = PackedAccumulators()
    a.pack(into: &x); b.pack(into: &y)
    return x == y
  }

  /// - Complexity: three integer additions.
  public mutating func add(_ v: Double) {
    let bits = v.bitPattern
    let exponent = Int(bits >> 52 & 0x7ff)
    var m = bits & 0xf_ffff_ffff_ffff
    if exponent == 0x7ff {
      if m != 0 { nonFinite.nan += 1 } else if v > 0 { nonFinite.positive += 1 } else { nonFinite.negative += 1 }
      return
    }
    if exponent > 0 { m |= 1 << 52 }
    if m == 0 { return }
    // v = +-m 2^(p - 1074)
    let p = max(exponent, 1) - 1, i = p >> 5, s = UInt64(p & 31)
    let low = m << s & 0xffff_ffff
    let rest = s == 0 ? m >> 32 : m >> (32 - s)
    let parts = (Int64(low), Int64(rest & 0xffff_ffff), Int64(rest >> 32))
    if v < 0 {
      limbs[i] -= parts.0; limbs[i + 1] -= parts.1; limbs[i + 2] -= parts.2
    } else {
      limbs[i] += parts.0; limbs[i + 1] += parts.1; limbs[i + 2] += parts.2
    }
    pending += 1
    if pending == 1 << 30 { normalise() }
  }

  /// Moves carries up: all limbs but the last into 0 ..< 2^32.
  private mutating func normalise() {
    pending = 0
    for i in 0..<ExactSum.limbCount - 1 {
      limbs[i + 1] += limbs[i] >> 32
      limbs[i] &= 0xffff_ffff
    }
  }

  public func pack(into message: inout PackedAccumulators) {
    var n = self
    n.normalise()
    message.sums += n.limbs
    message.sums += [Int64(nonFinite.nan), Int64(nonFinite.positive), Int64(nonFinite.negative)]
  }
  public mutating func unpack(from reader: inout PackedAccumulators.Reader) {
    for i in limbs.indices { limbs[i] = reader.sum() }
    normalise()
    nonFinite = (Int(reader.sum()), Int(reader.sum()), Int(reader.sum()))
  }

  /// Whether all terms were finite.
  public var isFinite: Bool { nonFinite.nan == 0 && nonFinite.positive == 0 && nonFinite.negative == 0 }

  /// The sum, rounded to nearest, ties to even; +0 for an empty sum. NaN and infinities as IEEE addition has them.
  public var value: Double {
    if nonFinite.nan > 0 || (nonFinite.positive > 0 && nonFinite.negative > 0) { return .nan }
    if nonFinite.positive > 0 { return .infinity }
    if nonFinite.negative > 0 { return -.infinity }
    var n = self
    n.normalise()
    let negative = n.limbs[ExactSum.limbCount - 1] < 0
    if negative {
      for i in n.limbs.indices { n.limbs[i] = -n.limbs[i] }
      n.normalise()
    }
    guard let top = n.limbs.lastIndex(where: { $0 != 0 }) else { return 0 }
    func limb(_ i: Int) -> UInt64 { i >= 0 ? UInt64(n.limbs[i]) : 0 }
    // The last limb may hold more than 32 bits, but then the sum is beyond the range of doubles.
    if limb(top) >> 32 != 0 { return negative ? -.infinity : .infinity }
    let high = 32 * top + 63 - limb(top).leadingZeroBitCount   // position of the leading bit
    var m: UInt64, shift = 0
    if high < 64 {
      m = limb(0) | limb(1) << 32
    } else {
      // The leading 64 bits end at bit `shift`; what is below only matters as "not zero".
      shift = high - 63
      let i = shift >> 5, s = UInt64(shift & 31)
      m = limb(i) >> s | limb(i + 1) << (32 - s)
      m |= s == 0 ? 0 : limb(i + 2) << (64 - s)
      let below = limb(i) & (1 << s - 1) != 0 || (0..<i).contains { n.limbs[$0] != 0 }
      if below { m |= 1 }
    }
    var drop = 64 - m.leadingZeroBitCount - 53
    if drop > 0 {
      let half: UInt64 = 1 << UInt64(drop - 1), rest = m & (half << 1 - 1)
      m >>= UInt64(drop)
      if rest > half || (rest == half && m & 1 == 1) { m += 1 }
    } else { drop = 0 }
    // m <= 2^53 and no bits are lost: subnormals have drop 0. Two exact scalings or an overflow to infinity.
    let exponent = shift + drop - 1074
    let v = exponent < -1000 ? Double(m) * 0x1p-1000 * Double(sign: .plus, exponent: exponent + 1000, significand: 1)
      : Double(sign: .plus, exponent: min(exponent, 971), significand: Double(m)) * (exponent > 971 ? 0x1p1000 : 1)
    return negative ? -v : v
  }
}
