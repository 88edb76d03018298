import CKernels
public import Fields

/// Whether all valid values are k / d, correctly rounded to the type, for d = 1, 10 ... 10^6 or 1, 2 ... 2^10 and
/// |k| <= 2^22; then k is coded instead.
///
/// With a tolerance, values need only lie that close to the lattice (whose spacing is at least 8 tolerances): k then
/// stands for them within an error bound. Fields that passed through float arithmetic are often near-lattices only.
///
/// Each rank scans its values; the states are merged in any order and give the same answer. -0.0 complies with nothing.
public struct DecimalLattice: Hashable, Sendable {
  /// What a field's values are: x = (T)(Double(multiple * j) / Double(divisor)), lower <= multiple * j <= upper.
  public struct Quantum: Hashable, Sendable, Codable, CustomStringConvertible {
    public let divisor: Int, multiple: Int, lower: Int, upper: Int
    public init(divisor: Int, multiple: Int, lower: Int, upper: Int) {
      self.divisor = divisor; self.multiple = multiple; self.lower = lower; self.upper = upper
    }
    /// Distance of neighbouring lattice points.
    public var step: Double { Double(multiple) / Double(divisor) }
    /// Distinct values there may be.
    public var levels: Int { (upper - lower) / multiple + 1 }
    public var description: String { "\(multiple)/\(divisor), \(lower)...\(upper)" }
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

  /// - Parameter tolerance: 0: every bit must come back; else an absolute distance, the same on all ranks.
  public init(tolerance: Double = 0) {
    families = [Family(base: 10, limit: 6, tolerance: tolerance), Family(base: 2, limit: 10, tolerance: tolerance)]
  }

  /// No value seen so far excludes all lattices.
  public var isAlive: Bool { families.contains { $0.level <= $0.limit } }

  /// Takes in the cells with mask != 0. Returns at the first value after which no lattice is left.
  public mutating func scan(_ array: RawArray, mask: UnsafePointer<UInt8>?) {
    var c = families.map(\.c)
    ald_lattice_scan(array.pointer, Int32(array.elementSize), mask, array.count, &c, Int32(c.count))
    families = c.map(Family.init)
  }

  /// Associative and commutative.
  public mutating func merge(_ other: DecimalLattice) {
    for i in families.indices {
      var a = families[i].c, b = other.families[i].c
      ald_lattice_merge(&a, &b)
      families[i] = Family(a)
    }
  }

  /// The state as eight integers, for a gather.
  public var words: [Int64] { families.flatMap { [$0.level, $0.low, $0.high, $0.gcd] } }
  /// - Precondition: `words` of another state with this tolerance.
  public init(words: [Int64], tolerance: Double = 0) {
    self.init(tolerance: tolerance)
    precondition(words.count == 4 * families.count)
    for i in families.indices {
      families[i].level = words[4 * i]; families[i].low = words[4 * i + 1]
      families[i].high = words[4 * i + 2]; families[i].gcd = words[4 * i + 3]
    }
  }

  /// The lattice with the fewest levels, then with the smaller divisor; `nil` when there is none or no value was seen.
  public var quantum: Quantum? {
    var best: Quantum?
    for f in families where f.level <= f.limit && f.low <= f.high {
      var d = 1
      for _ in 0..<f.level { d *= Int(f.base) }
      let q = Quantum(divisor: d, multiple: max(1, Int(f.gcd)), lower: Int(f.low), upper: Int(f.high))
      if best == nil || (q.levels, q.divisor) < (best!.levels, best!.divisor) { best = q }
    }
    return best
  }
}

extension DecimalLattice.Quantum {
  /// k of every cell with mask != 0 (a multiple of `multiple`); others are left alone.
  public func indices(_ array: RawArray, mask: UnsafePointer<UInt8>?, into k: UnsafeMutablePointer<Int32>) {
    ald_lattice_indices(array.pointer, Int32(array.elementSize), mask, array.count, Int64(divisor), k)
  }
  /// The values back: (T)(Double(k) / Double(divisor)), every bit where the tolerance was 0.
  public func values(_ k: UnsafePointer<Int32>, mask: UnsafePointer<UInt8>?, into array: RawArray) {
    ald_lattice_values(k, mask, array.count, Int64(divisor), array.pointer, Int32(array.elementSize))
  }
}
