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
        if let mask { add(v, n, UnsafePointer(mask.bound(to: UInt8.self) + mask.box.offset(of: i))) } else { add(v, n) }
      }
    }
  }

  @inline(__always)
  private mutating func add<T: Sample>(_ v: UnsafePointer<T>, _ n: Int) {
    if fill == nil {
      // Minima and maxima per lane. A NaN or an infinity shows in v - v, which is 0 for all other values.
      var lo = T.Lanes(repeating: .infinity), hi = T.Lanes(repeating: -.infinity), odd = T.Lanes(repeating: 0)
      var i = 0
      while i + 8 <= n {
        let x = UnsafeRawPointer(v + i).loadUnaligned(as: T.Lanes.self)
        lo.replace(with: x, where: x .< lo)
        hi.replace(with: x, where: x .> hi)
        odd += x - x
        i += 8
      }
      if odd == T.Lanes(repeating: 0) {
        var a = Double.infinity, b = -Double.infinity
        for k in 0..<8 { a = Swift.min(a, Double(lo[k])); b = Swift.max(b, Double(hi[k])) }
        take(a, b, i)
      } else { i = 0 }
      while i < n { one(v[i], nil); i += 1 }
    } else {
      let f = T(fill!)
      for i in 0..<n { one(v[i], f) }
    }
  }

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

/// Floating types of fields, with eight lanes for loops.
protocol Sample: BinaryFloatingPoint, SIMDScalar, Codable {
  associatedtype Lanes: SIMD where Lanes.Scalar == Self
}
extension Float: Sample { typealias Lanes = SIMD8<Float> }
extension Double: Sample { typealias Lanes = SIMD8<Double> }
