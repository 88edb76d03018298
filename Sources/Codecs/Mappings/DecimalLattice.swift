import CKernels
public import Fields

/// Whether all valid values are k / d, correctly rounded to the type, for d = 1, 10 ... 10^6 or 1, 2 ... 2^10 and
/// |k| <= 2^22; then k is coded instead. Or, without a tolerance, packed data: T(T(n / d) + s) or T(T(n * T(1/d)) + s),
/// every operation rounded to the type, for d = 1 ... 10^4 (1, 2, 5 times powers of ten) and s of a fixed list.
///
/// With a tolerance, values need only lie that close to the lattice (whose spacing is at least 8 tolerances): k then
/// stands for them within an error bound. Fields that passed through float arithmetic are often near-lattices only.
///
/// Each rank scans its values; the states are merged in any order and give the same answer. -0.0 complies with nothing.
public struct DecimalLattice: Hashable, Sendable {
  /// What a field's values are: x = T(T(n / divisor) + shift) or T(T(n * T(1 / divisor)) + shift), n = multiple * j,
  /// lower <= n <= upper.
  public struct Quantum: Hashable, Sendable, Codable, CustomStringConvertible {
    public enum Form: String, Hashable, Sendable, Codable { case quotient, product }
    public let divisor: Int, multiple: Int, lower: Int, upper: Int
    public let shift: Double, form: Form
    public init(divisor: Int, multiple: Int, lower: Int, upper: Int, shift: Double = 0, form: Form = .quotient) {
      self.divisor = divisor; self.multiple = multiple; self.lower = lower; self.upper = upper
      self.shift = shift; self.form = form
    }
    /// x = (T)(Double(n) / Double(divisor)).
    public var isPlain: Bool { shift == 0 && form == .quotient }
    /// Distance of neighbouring lattice points.
    public var step: Double { Double(multiple) / Double(divisor) }
    /// Distinct values there may be.
    public var levels: Int { (upper - lower) / multiple + 1 }
    public var description: String {
      "\(multiple)/\(divisor), \(lower)...\(upper)" + (isPlain ? "" : ", \(form), shift \(shift)")
    }
  }

  // Decimal and binary family: coarsest divisor with which all values so far comply.
  private var families: [Family]
  private struct Family: Hashable, Sendable {
    var base: Int64, level: Int64 = 0, limit: Int64, low: Int64 = .max, high: Int64 = .min, gcd: Int64 = 0, tolerance: Double
    var c: ald_lattice { ald_lattice(base: base, level: level, limit: limit, low: low, high: high, gcd: gcd, tolerance: tolerance) }
    init(base: Int64, limit: Int64, tolerance: Double) { self.base = base; self.limit = limit; self.tolerance = tolerance }
    init(_ c: ald_lattice) {
      base = c.base; level = c.level; limit = c.limit; low = c.low; high = c.high; gcd = c.gcd; tolerance = c.tolerance
      if level > limit { level = limit + 1; low = .max; high = .min; gcd = 0 }
    }
  }

  private var shifted = ald_shifted(), confirmed = false
  private let tolerance: Double
  private static let divisors = Int(ALD_SHIFTED_DIVISORS)

  /// - Parameter tolerance: 0: every bit must come back; else an absolute distance, the same on all ranks.
  public init(tolerance: Double = 0) {
    self.tolerance = tolerance
    families = [Family(base: 10, limit: 6, tolerance: tolerance), Family(base: 2, limit: 10, tolerance: tolerance)]
    if tolerance == 0 { ald_shifted_open(&shifted) }
  }
  public static func == (a: DecimalLattice, b: DecimalLattice) -> Bool { a.words == b.words && a.tolerance == b.tolerance }
  public func hash(into h: inout Hasher) { h.combine(words) }

  private var hasPlain: Bool { families.contains { $0.level <= $0.limit } }
  private var hasShifted: Bool { withUnsafePointer(to: shifted) { ald_shifted_alive($0) != 0 } }
  /// No value seen so far excludes all lattices.
  public var isAlive: Bool { hasPlain || hasShifted }
  /// Only shifted lattices are left. In `scan`, values that lie on some plain lattice by themselves do not count against
  /// those; `confirm` of all values by their ranks, and another merge, make sure. Until then `quantum` is `nil`.
  public var needsConfirmation: Bool { !hasPlain && hasShifted && !confirmed }

  /// Takes in the cells with mask != 0. Returns soon after the first value after which no lattice is left.
  public mutating func scan(_ array: RawArray, mask: UnsafePointer<UInt8>?) {
    var c = families.map(\.c)
    if hasShifted {
      ald_shifted_scan(array.pointer, Int32(array.elementSize), mask, array.count, &c, Int32(c.count), &shifted)
    } else {
      ald_lattice_scan(array.pointer, Int32(array.elementSize), mask, array.count, &c, Int32(c.count))
    }
    families = c.map(Family.init)
  }

  /// Tests the shifted lattices left on every cell with mask != 0.
  public mutating func confirm(_ array: RawArray, mask: UnsafePointer<UInt8>?) {
    confirmed = true
    ald_shifted_scan(array.pointer, Int32(array.elementSize), mask, array.count, nil, 0, &shifted)
  }

  /// Associative and commutative.
  public mutating func merge(_ other: DecimalLattice) {
    for i in families.indices {
      var a = families[i].c, b = other.families[i].c
      ald_lattice_merge(&a, &b)
      families[i] = Family(a)
    }
    withUnsafePointer(to: other.shifted) { ald_shifted_merge(&shifted, $0) }
    confirmed = confirmed || other.confirmed   // ranks without values have nothing to confirm
  }

  /// The state as integers, always the same number of them, for a gather.
  public var words: [Int64] {
    let masks = withUnsafeBytes(of: shifted.alive) { Array($0.bindMemory(to: UInt32.self)) }
    return families.flatMap { [$0.level, $0.low, $0.high, $0.gcd] }
      + (0..<Self.divisors).map { Int64(masks[$0]) | Int64(masks[Self.divisors + $0]) << 32 }
      + [Int64(bitPattern: shifted.low.bitPattern), Int64(bitPattern: shifted.high.bitPattern), shifted.size, confirmed ? 1 : 0]
  }
  /// The words in memory order, for a message.
  public var bytes: [UInt8] { words.withUnsafeBytes { Array($0) } }
  /// - Precondition: `bytes` of another state without a tolerance.
  public init(bytes: [UInt8]) { self.init(words: bytes.withUnsafeBytes { Array($0.bindMemory(to: Int64.self)) }) }
  /// - Precondition: `words` of another state with this tolerance.
  public init(words: [Int64], tolerance: Double = 0) {
    self.init(tolerance: tolerance)
    let f = 4 * families.count, d = Self.divisors
    precondition(words.count == f + d + 4)
    for i in families.indices {
      families[i].level = words[4 * i]; families[i].low = words[4 * i + 1]
      families[i].high = words[4 * i + 2]; families[i].gcd = words[4 * i + 3]
    }
    let masks = (0..<2).flatMap { form in (0..<d).map { UInt32(truncatingIfNeeded: words[f + $0] >> (32 * form)) } }
    withUnsafeMutableBytes(of: &shifted.alive) { t in masks.withUnsafeBytes { t.copyMemory(from: $0) } }
    shifted.low = Double(bitPattern: UInt64(bitPattern: words[f + d]))
    shifted.high = Double(bitPattern: UInt64(bitPattern: words[f + d + 1]))
    shifted.size = words[f + d + 2]
    confirmed = words[f + d + 3] != 0
  }

  /// The plain lattice with the fewest levels, then with the smaller divisor; else the shifted one with the smallest
  /// divisor, then as a quotient, then with the smallest shift; `nil` when there is none or no value was seen.
  public var quantum: Quantum? {
    var best: Quantum?
    for f in families where f.level <= f.limit && f.low <= f.high {
      var d = 1
      for _ in 0..<f.level { d *= Int(f.base) }
      let q = Quantum(divisor: d, multiple: max(1, Int(f.gcd)), lower: Int(f.low), upper: Int(f.high))
      if best == nil || (q.levels, q.divisor) < (best!.levels, best!.divisor) { best = q }
    }
    return best ?? (!hasPlain && confirmed ? shiftedQuantum : nil)
  }

  private var shiftedQuantum: Quantum? {
    guard shifted.low <= shifted.high else { return nil }
    let masks = withUnsafeBytes(of: shifted.alive) { Array($0.bindMemory(to: UInt32.self)) }
    let divisors = withUnsafeBytes(of: ald_shifted_divisor) { Array($0.bindMemory(to: Double.self)) }
    let shifts = withUnsafeBytes(of: ald_shifted_shift) { Array($0.bindMemory(to: Double.self)) }
    for d in divisors.indices { for form in 0..<2 {
      let m = masks[form * Self.divisors + d]
      if m == 0 { continue }
      let s = shifts[m.trailingZeroBitCount]
      func index(_ v: Double) -> Int { Int(ald_shifted_index(v, Int32(shifted.size), divisors[d], s)) }
      return Quantum(divisor: Int(divisors[d]), multiple: 1, lower: index(shifted.low), upper: index(shifted.high), shift: s,
                     form: form == 1 ? .product : .quotient)
    } }
    return nil
  }
}

extension DecimalLattice.Quantum {
  /// n of every cell with mask != 0 (a multiple of `multiple`); others are left alone.
  public func indices(_ array: RawArray, mask: UnsafePointer<UInt8>?, into k: UnsafeMutablePointer<Int32>) {
    let size = Int32(array.elementSize)
    if isPlain { ald_lattice_indices(array.pointer, size, mask, array.count, Int64(divisor), k) }
    else { ald_shifted_indices(array.pointer, size, mask, array.count, Double(divisor), shift, k) }
  }
  /// The values back, every bit where the tolerance was 0.
  public func values(_ k: UnsafePointer<Int32>, mask: UnsafePointer<UInt8>?, into array: RawArray) {
    let size = Int32(array.elementSize)
    if isPlain { ald_lattice_values(k, mask, array.count, Int64(divisor), array.pointer, size) }
    else { ald_shifted_values(k, mask, array.count, Double(divisor), shift, form == .product ? 1 : 0, array.pointer, size) }
  }
}
