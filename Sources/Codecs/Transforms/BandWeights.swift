import Fields

/// Factors on the bands of a lapped transform: coefficients are multiplied before they are quantised and divided afterwards, so a
/// band's step is the common one divided by its factor. The decoder needs the table only.
///
/// A factor is 2^(k / 8), k = 0 ... 127. Band `(fz M + fy) M + fx` of blocks of edge M;
/// frequency f of a block of width w != M counts as floor((2 f M + w) / 2 w), at most M - 1.
public struct BandWeights: Equatable, Sendable {
  public let edge: Int
  /// `[table][band]`: one table for all components, or one each.
  public let tables: [[UInt8]]
  public static let largest = 127

  /// - Precondition: every table has edge^3 entries of at most `largest`.
  public init(edge: Int, tables: [[UInt8]]) {
    precondition(tables.allSatisfy { t in t.count == edge * edge * edge && t.allSatisfy { $0 <= BandWeights.largest } })
    self.edge = edge
    self.tables = tables.allSatisfy { $0 == tables[0] } ? [tables[0]] : tables
  }

  /// Whether all factors are 1.
  public var isFlat: Bool { tables.allSatisfy { $0.allSatisfy { $0 == 0 } } }

  /// The k whose 2^(k / 8) is nearest to `factor` in ratio.
  public static func exponent(_ factor: Double) -> UInt8 {
    // Comparisons with the table only: the same everywhere.
    var k = 0
    while k < largest && factor > BandWeights.factor(k) * halfStep { k += 1 }
    return UInt8(k)
  }
  /// 2^(1/16): half a step of the table.
  private static let halfStep = 1.0442737824274138

  /// 2^(k / 8) for k = 0 ... 7, correctly rounded.
  private static let octave: [Double] = [
    1, 1.0905077326652577, 1.189207115002721, 1.2968395546510096, 1.4142135623730951, 1.5422108254079407, 1.681792830507429, 1.8340080864093424,
  ]
  /// 2^(k / 8) for k = -127 ... 127: a literal times a power of two.
  public static func factor(_ k: Int) -> Double {
    octave[k & 7] * Double(sign: .plus, exponent: k >> 3, significand: 1)
  }

  /// Frequency class of every cell of an axis.
  public static func bands(_ transform: LappedOrthogonalTransform, axis: Int) -> [Int] {
    let cuts = transform.blockStarts(axis: axis), m = transform.blockEdge
    return zip(cuts, cuts.dropFirst()).flatMap { start, end in
      (0..<end - start).map { f in min((2 * f * m + end - start) / (2 * (end - start)), m - 1) }
    }
  }

  // MARK: stream

  /// docs/format.md section 7.15: number of tables, then per table the differences to a prediction from the bands before.
  public var serialised: [UInt8] {
    var coder = AdaptiveBinaryEncoder(), model = AdaptiveInteger(contexts: BandWeights.contexts)
    for t in tables {
      for i in t.indices {
        let (p, c) = BandWeights.prediction(t, i, edge)
        model.encode(Int(t[i]) - p, context: c, &coder)
      }
    }
    return [UInt8(tables.count)] + coder.finish()
  }

  /// - Throws: `StreamError` for bytes that `serialised` cannot give.
  public init(serialised bytes: [UInt8], edge: Int) throws {
    guard let count = bytes.first, count > 0 else { throw StreamError(.truncated, offset: 0) }
    var coder = AdaptiveBinaryDecoder(bytes[1...]), model = AdaptiveInteger(contexts: BandWeights.contexts)
    var tables: [[UInt8]] = []
    for _ in 0..<count {
      var t = [UInt8](repeating: 0, count: edge * edge * edge)
      for i in t.indices {
        let (p, c) = BandWeights.prediction(t, i, edge), v = p + model.decode(context: c, &coder)
        guard v >= 0, v <= BandWeights.largest else { throw StreamError(.invalid, offset: i) }
        t[i] = UInt8(v)
      }
      tables.append(t)
    }
    self.edge = edge; self.tables = tables
  }

  private static let contexts = 4
  /// From the neighbours at lower frequencies: the one of smallest value among f - 1 along each axis, and how much they differ.
  private static func prediction(_ t: [UInt8], _ i: Int, _ m: Int) -> (Int, context: Int) {
    var low = Int.max, high = 0
    for stride in [m * m, m, 1] where i / stride % m > 0 {
      let v = Int(t[i - stride])
      low = min(low, v); high = max(high, v)
    }
    if low == .max { return (0, 3) }
    return (low, high == 0 ? 0 : high - low <= 1 ? 1 : 2)
  }
}

/// The weights of one tile's coefficients, ready for use.
public struct BandScaler: Sendable {
  private let bands: [[Int]]
  private let forward: [[Double]], backward: [[Double]]
  private let edge: Int

  public init(_ weights: BandWeights, _ transform: LappedOrthogonalTransform) {
    edge = weights.edge
    bands = (0..<3).map { BandWeights.bands(transform, axis: $0) }
    forward = weights.tables.map { $0.map { BandWeights.factor(Int($0)) } }
    backward = weights.tables.map { $0.map { BandWeights.factor(-Int($0)) } }
  }
  private func table(_ list: [[Double]], _ component: Int) -> [Double] { list[list.count == 1 ? 0 : component] }

  /// Calls `body` with the offset of each coefficient and its band.
  public func eachBand(of box: Box, _ body: (_ offset: Int, _ band: Int) -> Void) {
    var at = 0
    for z in box.lower.z..<box.upper.z { for y in box.lower.y..<box.upper.y {
      let row = (bands[0][z] * edge + bands[1][y]) * edge
      for x in box.lower.x..<box.upper.x { body(at, row + bands[2][x]); at += 1 }
    } }
  }

  /// Coefficients of a tile times their factors, in place: one IEEE multiplication each, in the array's type.
  public func multiply(_ a: RawArray, component: Int) { scale(a, table(forward, component)) }
  /// Times the factors' inverses 2^(-k / 8), likewise.
  public func divide(_ a: RawArray, component: Int) { scale(a, table(backward, component)) }

  private func scale(_ a: RawArray, _ factors: [Double]) {
    if a.elementSize == 4 {
      let v = a.bound(to: Float.self), f = factors.map { Float($0) }
      f.withUnsafeBufferPointer { f in eachBand(of: a.box) { v[$0] *= f[$1] } }
    } else {
      let v = a.bound(to: Double.self)
      factors.withUnsafeBufferPointer { f in eachBand(of: a.box) { v[$0] *= f[$1] } }
    }
  }

  /// Squares of the inverse factors by band: from errors of weighted coefficients to those of the field.
  public func inverseSquares(component: Int) -> [Double] { table(backward, component).map { $0 * $0 } }
}
