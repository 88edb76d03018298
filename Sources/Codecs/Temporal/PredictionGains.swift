import Fields
import Glibc

/// How a step is predicted from one or two before it, per component and group of coefficients: p = g a + t (a - b).
public struct PredictionGains: Equatable, Sendable {
  /// Of the bins.
  public let level: Int
  /// Gains are multiples of 2^-precision.
  public let precision: Int
  /// `[component][group]`, in units.
  public let gain: [[Int]]
  /// The same of the trend; empty with one reference.
  public let trend: [[Int]]

  public static let precisions = [4, 6, 8, 10, 12, 14]
  /// Gains stay within 8, so that they are exact in binary32.
  public static let largest = 8

  public init(level: Int, precision: Int, gain: [[Int]], trend: [[Int]]) {
    self.level = level; self.precision = precision; self.gain = gain; self.trend = trend
  }

  public var gainUnit: Double { PredictionGains.unit(precision) }
  /// What changed between two steps is less than they hold: its share may be coarser.
  public var trendUnit: Double { PredictionGains.unit(PredictionGains.trendPrecision(precision)) }
  public static func trendPrecision(_ precision: Int) -> Int { max(precision - 3, 3) }
  public static func unit(_ precision: Int) -> Double { Double(sign: .plus, exponent: -precision, significand: 1) }

  // MARK: stream, docs/format.md section 7.17

  /// `level | precision << 4`, then coder B.
  func serialised(_ bins: PredictionBins) -> [UInt8] {
    var coder = AdaptiveBinaryEncoder()
    for (tables, one) in [(gain, 1 << precision), (trend, 0)] {
      var model = AdaptiveInteger(contexts: PredictionGains.contexts)
      for t in tables {
        PredictionGains.visit(bins, one) { i, guess in
          let (p, c) = guess(t)
          model.encode(t[i] - p, context: c, &coder)
        }
      }
    }
    return [UInt8(level | precision << 4)] + coder.finish()
  }

  /// About how many bits `serialised` takes: those of Laplace's distribution with the mean magnitude of what is coded.
  func estimatedBits(_ bins: PredictionBins) -> Double {
    var bits = 0.0
    for (tables, one) in [(gain, 1 << precision), (trend, 0)] {
      var sum = 0
      for t in tables { PredictionGains.visit(bins, one) { i, guess in sum += abs(t[i] - guess(t).value) } }
      let n = Double(tables.count * bins.groups)
      if n > 0 { bits += n * log2(1 + 5.44 * Double(sum) / n) }
    }
    return bits
  }

  /// - Throws: `StreamError` for bytes that `serialised` cannot give.
  init(serialised bytes: [UInt8], references: Int, components: Int, bins: PredictionBins) throws {
    guard let head = bytes.first else { throw StreamError(.truncated, offset: 0) }
    level = Int(head & 15); precision = Int(head >> 4)
    var coder = AdaptiveBinaryDecoder(bytes[1...])
    func tables(_ one: Int, _ limit: Int) throws -> [[Int]] {
      var model = AdaptiveInteger(contexts: PredictionGains.contexts)
      return try (0..<components).map { _ in
        var t = [Int](repeating: 0, count: bins.groups), good = true
        PredictionGains.visit(bins, one) { i, guess in
          let (p, c) = guess(t)
          // Kept in range, so that nothing that follows overflows.
          let v = p + model.decode(context: c, &coder)
          good = good && abs(v) <= limit
          t[i] = min(max(v, -limit), limit)
        }
        guard good else { throw StreamError(.invalid, offset: bytes.count) }
        return t
      }
    }
    gain = try tables(1 << precision, PredictionGains.largest << precision)
    trend = references > 1 ? try tables(0, PredictionGains.largest << PredictionGains.trendPrecision(precision)) : []
  }

  /// The bins level in serialised gains; `nil` where there can be none.
  static func level(of bytes: [UInt8]) -> Int? {
    guard let head = bytes.first, Int(head & 15) < PredictionBins.levels, precisions.contains(Int(head >> 4)) else { return nil }
    return Int(head & 15)
  }

  private static let contexts = 4
  /// Calls `body` with every group in order and what its gain is expected to be, of a table known up to there, with its context.
  ///
  /// Triples of bins: the plane through the neighbours one lower on each axis, kept near them; sub-bands: the group before. The first: `one`.
  @inline(__always)
  private static func visit(_ bins: PredictionBins, _ one: Int, _ body: (_ group: Int, _ guess: ([Int]) -> (value: Int, context: Int)) -> Void) {
    let n = bins.counts
    guard bins.groups == n.product else {
      for i in 0..<bins.groups { body(i) { t in i == 0 ? (one, 3) : (t[i - 1], 2) } }
      return
    }
    let dz = n.y * n.x, dy = n.x
    var i = 0
    for z in 0..<n.z { for y in 0..<n.y { for x in 0..<n.x {
      body(i) { t in
        if i == 0 { return (one, 3) }
        var low = Int.max, high = Int.min
        func take(_ v: Int) { low = min(low, v); high = max(high, v) }
        if z > 0 { take(t[i - dz]) }
        if y > 0 { take(t[i - dy]) }
        if x > 0 { take(t[i - 1]) }
        var p = (z > 0 ? t[i - dz] : 0) + (y > 0 ? t[i - dy] : 0) + (x > 0 ? t[i - 1] : 0)
        p -= (z > 0 && y > 0 ? t[i - dz - dy] : 0) + (z > 0 && x > 0 ? t[i - dz - 1] : 0) + (y > 0 && x > 0 ? t[i - dy - 1] : 0)
        if z > 0 && y > 0 && x > 0 { p += t[i - dz - dy - 1] }
        let spread = high - low
        return (min(max(p, low - spread / 2), high + spread / 2), spread == 0 ? 0 : spread <= 2 ? 1 : 2)
      }
      i += 1
    } } }
  }
}
