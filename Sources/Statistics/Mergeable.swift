/// Something that is accumulated in parts and merged by integer sums, minima and maxima only, so that neither the
/// grouping nor the order of the parts changes a bit.
public protocol Mergeable: Sendable {
  /// Appends this accumulator's numbers. How many there are depends on the type and its settings only.
  func pack(into message: inout PackedAccumulators)
  /// Takes the numbers back, in the order packed.
  mutating func unpack(from reader: inout PackedAccumulators.Reader)
}

extension Mergeable {
  /// Adds what `other` has seen.
  public mutating func merge(_ other: Self) {
    var a = PackedAccumulators(), b = PackedAccumulators()
    pack(into: &a)
    other.pack(into: &b)
    a.merge(b)
    var reader = PackedAccumulators.Reader(a)
    unpack(from: &reader)
  }
}

/// Any number of accumulators as three lists: to be added (modulo 2^64), minimised and maximised.
public struct PackedAccumulators: Equatable, Sendable {
  public var sums: [Int64] = []
  public var minima: [Double] = []
  public var maxima: [Double] = []
  public init() {}

  /// Appends to `minima`; negative zero becomes zero, so that equal minima are the same bits.
  public mutating func appendMinimum(_ v: Double) { minima.append(v == 0 ? 0 : v) }
  public mutating func appendMaximum(_ v: Double) { maxima.append(v == 0 ? 0 : v) }

  public mutating func merge(_ o: PackedAccumulators) {
    precondition(sums.count == o.sums.count && minima.count == o.minima.count && maxima.count == o.maxima.count)
    for i in sums.indices { sums[i] &+= o.sums[i] }
    for i in minima.indices where o.minima[i] < minima[i] { minima[i] = o.minima[i] }
    for i in maxima.indices where o.maxima[i] > maxima[i] { maxima[i] = o.maxima[i] }
  }

  /// Hands the numbers back in order.
  public struct Reader {
    private let packed: PackedAccumulators
    private var s = 0, lo = 0, hi = 0
    public init(_ packed: PackedAccumulators) { self.packed = packed }
    public mutating func sum() -> Int64 { defer { s += 1 }; return packed.sums[s] }
    public mutating func minimum() -> Double { defer { lo += 1 }; return packed.minima[lo] }
    public mutating func maximum() -> Double { defer { hi += 1 }; return packed.maxima[hi] }
  }
}

/// Integers that are added over all parts.
public struct IntegerSums: Mergeable, Equatable {
  public var values: [Int]
  public init(_ values: [Int]) { self.values = values }
  public func pack(into message: inout PackedAccumulators) { for v in values { message.sums.append(Int64(v)) } }
  public mutating func unpack(from reader: inout PackedAccumulators.Reader) {
    for i in values.indices { values[i] = Int(reader.sum()) }
  }
}

/// The smallest and the largest of some numbers (not NaN), each over all parts.
public struct Extremes: Mergeable, Equatable {
  public var minima: [Double], maxima: [Double]
  public init(minima: [Double] = [], maxima: [Double] = []) { self.minima = minima; self.maxima = maxima }
  public func pack(into message: inout PackedAccumulators) {
    for v in minima { message.appendMinimum(v) }
    for v in maxima { message.appendMaximum(v) }
  }
  public mutating func unpack(from reader: inout PackedAccumulators.Reader) {
    for i in minima.indices { minima[i] = reader.minimum() }
    for i in maxima.indices { maxima[i] = reader.maximum() }
  }
}

extension Array: Mergeable where Element: Mergeable {
  public func pack(into message: inout PackedAccumulators) { for m in self { m.pack(into: &message) } }
  public mutating func unpack(from reader: inout PackedAccumulators.Reader) {
    for i in indices { self[i].unpack(from: &reader) }
  }
}
