import Fields

/// Range of the valid values and number of the others.
///
/// Special values are NaN, infinities, and those equal to `fill`; masked points are neither valid nor special.
public struct RangeStatistics: Mergeable, Equatable {
  /// +infinity and -infinity while there is no valid value. Zeros are positive.
  public private(set) var minimum = Double.infinity, maximum = -Double.infinity
  public private(set) var validCount = 0
  public private(set) var nanCount = 0, infinityCount = 0, fillCount = 0, maskedCount = 0
  public let fill: Double?

  /// - Parameter fill: a finite value that means "no data", compared after rounding to the type of the values.
  public init(fill: Double? = nil) { self.fill = fill.flatMap { $0.isFinite ? $0 : nil } }

  public var specialCount: Int { nanCount + infinityCount + fillCount }
  public var hasValues: Bool { validCount > 0 }
  /// maximum - minimum; 0 while there is no valid value.
  public var range: Double { hasValues ? maximum - minimum : 0 }

  /// - Parameter part: cells inside the boxes of `array` and `mask`.
  /// - Parameter mask: bytes, 1 valid.
  public mutating func add(_ part: Box, of array: RawArray, type: ScalarType, mask: RawArray? = nil) {
    switch type {
    case .float32: rows(part, array, mask, Float.self)
    case .float64: rows(part, array, mask, Double.self)
    }
  }

  @inline(__always)
  private mutating func rows<T: Sample>(_ part: Box, _ array: RawArray, _ mask: RawArray?, _: T.Type) {
    let n = part.shape.x
    if part.isEmpty { return }
    for z in part.lower.z..<part.upper.z {
      for y in part.lower.y..<part.upper.y {
        let i = Index3(z, y, part.lower.x)
        let v = UnsafePointer(array.bound(to: T.self) + array.box.offset(of: i))
        if let mask {
          let m = UnsafePointer(mask.bound(to: UInt8.self) + mask.box.offset(of: i))
          if !allValid(m, n) { add(v, n, m); continue }
        }
        add(v, n)
      }
    }
  }

  @inline(__always)
  private mutating func add<T: Sample>(_ v: UnsafePointer<T>, _ n: Int) {
    let f = fill.map { T($0) }
    if let (lo, hi) = T.extremes(v, n, fill: f ?? .nan) {
      if n > 0 { take(Double(lo), Double(hi), n) }
    } else {
      for i in 0..<n { one(v[i], f) }
    }
  }

  @inline(__always)
  private mutating func add<T: Sample>(_ v: UnsafePointer<T>, _ n: Int, _ mask: UnsafePointer<UInt8>) {
    let f = fill.map { T($0) }
    for i in 0..<n { if mask[i] == 0 { maskedCount += 1 } else { one(v[i], f) } }
  }

  @inline(__always)
  private mutating func one<T: Sample>(_ x: T, _ f: T?) {
    if x.isNaN { nanCount += 1 } else if x.isInfinite { infinityCount += 1 } else if let f, x == f { fillCount += 1 } else {
      take(Double(x), Double(x), 1)
    }
  }

  @inline(__always)
  private mutating func take(_ a: Double, _ b: Double, _ count: Int) {
    if a < minimum { minimum = a == 0 ? 0 : a }
    if b > maximum { maximum = b == 0 ? 0 : b }
    validCount += count
  }

  public func pack(into message: inout PackedAccumulators) {
    message.appendMinimum(minimum)
    message.appendMaximum(maximum)
    for c in [validCount, nanCount, infinityCount, fillCount, maskedCount] { message.sums.append(Int64(c)) }
  }
  public mutating func unpack(from reader: inout PackedAccumulators.Reader) {
    minimum = reader.minimum(); maximum = reader.maximum()
    validCount = Int(reader.sum()); nanCount = Int(reader.sum()); infinityCount = Int(reader.sum())
    fillCount = Int(reader.sum()); maskedCount = Int(reader.sum())
  }
}

/// Whether all `n` mask bytes are set.
@inline(__always)
func allValid(_ mask: UnsafePointer<UInt8>, _ n: Int) -> Bool {
  var lowest: UInt8 = 1
  for i in 0..<n { lowest = Swift.min(lowest, mask[i]) }
  return lowest != 0
}

/// Floating types of fields.
protocol Sample: BinaryFloatingPoint {
  /// Smallest and largest of `n` values; nil if one of them is NaN, infinite, or equal to `fill`.
  static func extremes(_ v: UnsafePointer<Self>, _ n: Int, fill: Self) -> (Self, Self)?
}

extension Float: Sample {
  static func extremes(_ v: UnsafePointer<Float>, _ n: Int, fill: Float) -> (Float, Float)? {
    // Per lane. v - v is 0 for finite values only; its sum stays 0.
    var lo = SIMD8<Float>(repeating: .infinity), hi = -lo, odd = SIMD8<Float>(repeating: 0)
    var found = SIMD8<Float>(repeating: 0) .!= 0
    let f = SIMD8<Float>(repeating: fill)
    func take(_ x: SIMD8<Float>) {
      lo.replace(with: x, where: x .< lo)
      hi.replace(with: x, where: x .> hi)
      odd += x - x
      found .|= x .== f
    }
    var i = 0
    while i + 8 <= n { take(UnsafeRawPointer(v + i).loadUnaligned(as: SIMD8<Float>.self)); i += 8 }
    while i < n { take(SIMD8(repeating: v[i])); i += 1 }
    if odd != SIMD8(repeating: 0) || any(found) { return nil }
    return (lo.min(), hi.max())
  }
}

extension Double: Sample {
  static func extremes(_ v: UnsafePointer<Double>, _ n: Int, fill: Double) -> (Double, Double)? {
    var lo = SIMD8<Double>(repeating: .infinity), hi = -lo, odd = SIMD8<Double>(repeating: 0)
    var found = SIMD8<Double>(repeating: 0) .!= 0
    let f = SIMD8<Double>(repeating: fill)
    func take(_ x: SIMD8<Double>) {
      lo.replace(with: x, where: x .< lo)
      hi.replace(with: x, where: x .> hi)
      odd += x - x
      found .|= x .== f
    }
    var i = 0
    while i + 8 <= n { take(UnsafeRawPointer(v + i).loadUnaligned(as: SIMD8<Double>.self)); i += 8 }
    while i < n { take(SIMD8(repeating: v[i])); i += 1 }
    if odd != SIMD8(repeating: 0) || any(found) { return nil }
    return (lo.min(), hi.max())
  }
}
