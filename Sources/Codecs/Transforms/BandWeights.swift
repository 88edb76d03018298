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

  /// What the contexts of a component's values are told of the factors: quarter octaves (k + 1) / 2 by band.
  public func contextFactors(component: Int) -> [UInt8] { tables[tables.count == 1 ? 0 : component].map { ($0 + 1) / 2 } }

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

  /// The same with coarser exponents where those cost less: bytes against what uneven noise costs, 1/2 log2(sinh d / d) bits for each
  /// of `latents`, d = u ln 2 / 8 with exponents in multiples of u.
  public func simplified(latents: Int) -> BandWeights {
    var best = (weights: self, bits: Double(8 * serialised.count))
    for (u, loss) in [(2, 0.00361), (4, 0.01435), (8, 0.05718)] {
      let w = BandWeights(edge: edge, tables: tables.map { $0.map { UInt8(min((Int($0) + u / 2) / u * u, BandWeights.largest / u * u)) } })
      let bits = Double(8 * w.serialised.count) + loss * Double(latents)
      if bits < best.bits { best = (w, bits) }
    }
    return best.weights
  }

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

  /// docs/format.md section 7.14: number of tables, the largest of 1, 2, 4, 8 that divides all entries, then the entries over that
  /// number, as differences to a prediction from the bands before.
  public var serialised: [UInt8] {
    var coder = AdaptiveBinaryEncoder(), model = AdaptiveInteger(contexts: BandWeights.contexts)
    let unit = [8, 4, 2].first { u in tables.allSatisfy { $0.allSatisfy { Int($0) % u == 0 } } } ?? 1
    for t in tables {
      let v = t.map { Int($0) / unit }
      for i in v.indices {
        let (p, c) = BandWeights.prediction(v, i, edge)
        model.encode(v[i] - p, context: c, &coder)
      }
    }
    return [UInt8(tables.count), UInt8(unit)] + coder.finish()
  }

  /// - Throws: `StreamError` for bytes that `serialised` cannot give.
  public init(serialised bytes: [UInt8], edge: Int) throws {
    guard bytes.count > 2, bytes[0] > 0, [1, 2, 4, 8].contains(bytes[1]) else { throw StreamError(.truncated, offset: 0) }
    let unit = Int(bytes[1])
    var coder = AdaptiveBinaryDecoder(bytes[2...]), model = AdaptiveInteger(contexts: BandWeights.contexts)
    var tables: [[UInt8]] = []
    for _ in 0..<bytes[0] {
      var v = [Int](repeating: 0, count: edge * edge * edge)
      for i in v.indices {
        let (p, c) = BandWeights.prediction(v, i, edge)
        v[i] = p + model.decode(context: c, &coder)
        guard v[i] >= 0, v[i] * unit <= BandWeights.largest else { throw StreamError(.invalid, offset: i) }
      }
      tables.append(v.map { UInt8($0 * unit) })
    }
    self.edge = edge; self.tables = tables
  }

  private static let contexts = 4
  /// The plane through the neighbours at lower frequencies (the trilinear form through all seven where there are three), and how much
  /// those differ.
  private static func prediction(_ t: [Int], _ i: Int, _ m: Int) -> (Int, context: Int) {
    let steps = [m * m, m, 1].filter { i / $0 % m > 0 }
    if steps.isEmpty { return (0, 3) }
    var p = 0
    for s in 1..<1 << steps.count {
      let back = steps.indices.reduce(0) { $0 + (s >> $1 & 1 != 0 ? steps[$1] : 0) }
      p += s.nonzeroBitCount % 2 == 1 ? t[i - back] : -t[i - back]
    }
    let low = steps.map { t[i - $0] }.min()!, high = steps.map { t[i - $0] }.max()!
    return (min(max(p, low), high + (high - low)), high == low ? 0 : high - low <= 1 ? 1 : 2)
  }
}

/// The bands of a transform's coefficients, and their weights ready for use.
public struct BandScaler: Sendable {
  private let bands: [[Int]]
  private let forward: [[Double]], backward: [[Double]]
  private let edge: Int

  /// - Parameter weights: `nil`: all 1; then nothing is scaled.
  public init(_ weights: BandWeights?, _ transform: LappedOrthogonalTransform) {
    edge = transform.blockEdge
    bands = (0..<3).map { BandWeights.bands(transform, axis: $0) }
    forward = weights?.tables.map { $0.map { BandWeights.factor(Int($0)) } } ?? []
    backward = weights?.tables.map { $0.map { BandWeights.factor(-Int($0)) } } ?? []
  }
  private func table(_ list: [[Double]], _ component: Int) -> [Double] { list.isEmpty ? [] : list[list.count == 1 ? 0 : component] }

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
    if factors.isEmpty { return }
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
