import CKernels
public import Fields

/// Values that are kept bit for bit and never enter a transform: NaN, infinities, listed fill values.
///
/// Two steps. Each rank collects the distinct special bit patterns it sees (`collect`), the sorted sets are merged over
/// ranks (`merge`, in any order), and every cell is classified against the agreed table (`classify`): 0 is ordinary,
/// c > 0 has the bits `patterns[c - 1]`. Different NaN patterns are different categories.
public struct SpecialValues: Hashable, Sendable, Codable {
  /// More distinct patterns than this are an error.
  public static let limit = 200

  /// The distinct special bit patterns are more than `limit`.
  public struct TooMany: Error, Equatable, Sendable, Codable { public init() {} }

  public let type: ScalarType
  /// Fill values by bit pattern (the lower 32 bits for float32).
  public let fills: [UInt64]
  /// Sorted, distinct.
  public private(set) var patterns: [UInt64] = []

  public init(type: ScalarType, fillBitPatterns: [UInt64] = []) {
    self.type = type
    fills = type == .float32 ? fillBitPatterns.map { $0 & 0xffff_ffff } : fillBitPatterns
  }

  /// The table as stored: what a decoder needs.
  public init(type: ScalarType, patterns: [UInt64]) throws {
    guard patterns.count <= SpecialValues.limit, zip(patterns, patterns.dropFirst()).allSatisfy({ $0 < $1 }) else {
      throw StreamError(.invalid)
    }
    self.init(type: type)
    self.patterns = patterns
  }

  /// Adds the special patterns of `array`.
  /// - Throws: `TooMany`.
  public mutating func collect(_ array: RawArray) throws {
    precondition(array.elementSize == type.size)
    var table = patterns + [UInt64](repeating: 0, count: SpecialValues.limit - patterns.count)
    var count = Int32(patterns.count)
    let status = ald_special_collect(array.pointer, Int32(type.size), array.count, fills, Int32(fills.count),
                                     &table, &count, Int32(SpecialValues.limit))
    patterns = Array(table.prefix(Int(count)))
    if status != 0 { throw TooMany() }
  }

  /// Union of two sorted sets; associative and commutative.
  /// - Throws: `TooMany`.
  public mutating func merge(_ other: [UInt64]) throws {
    let all = Set(patterns).union(other).sorted()
    if all.count > SpecialValues.limit { throw TooMany() }
    patterns = all
  }

  /// Category of every cell.
  /// - Returns: Cells per category, `patterns.count + 1` entries.
  /// - Precondition: every non-finite pattern of `array` is in the table.
  @discardableResult
  public func classify(_ array: RawArray, into categories: UnsafeMutablePointer<UInt8>) -> [Int] {
    precondition(array.elementSize == type.size)
    var counts = [UInt64](repeating: 0, count: patterns.count + 1)
    let status = ald_special_classify(array.pointer, Int32(type.size), array.count, patterns, Int32(patterns.count),
                                      categories, &counts)
    precondition(status == 0, "collect and merge come before classify")
    return counts.map(Int.init)
  }

  /// Writes the special values back.
  /// - Throws: `StreamError.invalid` for a category beyond the table.
  public func fill(_ array: RawArray, categories: UnsafePointer<UInt8>) throws {
    precondition(array.elementSize == type.size)
    try StreamError.check(ald_special_fill(array.pointer, Int32(type.size), array.count, patterns, Int32(patterns.count),
                                           categories) == 0 ? 0 : -4, size: 0)
  }
}
