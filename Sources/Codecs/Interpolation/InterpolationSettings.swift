import CKernels

/// How each level and axis is predicted: chosen from `InterpolationCodec.statistics`.
public struct InterpolationPrediction: Hashable, Sendable {
  /// Cubic instead of linear, `[level][axis]`; level 0 is the finest, axes z, y, x.
  public var cubic: [[Bool]]
  /// Weight 2^(-code/2) in the mean over axes, code 0...31.
  public var weight: [[UInt8]]
  public init(cubic: [[Bool]] = .init(repeating: .init(repeating: true, count: 3), count: 4),
              weight: [[UInt8]] = .init(repeating: .init(repeating: 0, count: 3), count: 4)) {
    precondition(cubic.count == 4 && weight.count == 4 && cubic.allSatisfy { $0.count == 3 })
    precondition(weight.allSatisfy { $0.count == 3 && $0.allSatisfy { $0 < 32 } })
    self.cubic = cubic; self.weight = weight
  }
}

/// Everything the interpolation decoder knows of a field beside context weights and class tables.
public struct InterpolationSettings: Hashable, Sendable {
  /// How integers become values.
  public enum Scale: Hashable, Sendable {
    /// offset + y * unit
    case affine(offset: Double, unit: Double)
    /// (offset + y) / divisor, for decimal lattices
    case quotient(offset: Double, divisor: Double)
    /// T(T(n / divisor) + shift) or, as a product, T(T(n * T(1 / divisor)) + shift), n = offset + y, rounded to the type T
    /// after every operation: packed data
    case shifted(offset: Double, divisor: Double, shift: Double, product: Bool)
  }
  public let scale: Scale
  /// The finest step is `1 << shift` units.
  public let shift: Int
  /// Coarser levels: 0 equal steps, 1 divided by min(1.25^level, 2), 2 by min(1.5^level, 3).
  public var refinement: Int { didSet { precondition((0...2).contains(refinement)) } }
  /// Fixed point of the mean over axes, 2...8 bits.
  public let weightBits: Int
  public var prediction: InterpolationPrediction

  init(scale: Scale, shift: Int, refinement: Int, weightBits: Int, prediction: InterpolationPrediction) {
    self.scale = scale; self.shift = shift; self.refinement = refinement; self.weightBits = weightBits
    self.prediction = prediction
  }

  /// Settings for values in `lower...upper` and a finest step; errors stay below step/2 plus the rounding to the stored
  /// type. The background, if inside the range, comes back exactly wherever a neighbourhood is quiescent. `nil` when the
  /// range has more than 2^25 steps.
  public init?(lower: Double, upper: Double, step: Double, background: Double = 0, refinement: Int = 0,
               prediction: InterpolationPrediction = .init()) {
    guard (0...2).contains(refinement), step > 0, step.isFinite, lower <= upper else { return nil }
    let offset = background >= lower && background <= upper ? background : lower + (upper - lower) / 2
    let steps = 2 * max(upper - offset, offset - lower) / step
    guard steps < 0x1p26, offset.isFinite else { return nil }
    var s = 8
    while s > 0 && steps * Double(1 << s) >= 0x1p22 { s -= 1 }
    let unit = step / Double(1 << s)
    guard unit >= .leastNormalMagnitude else { return nil }
    self.init(scale: .affine(offset: offset, unit: unit), shift: s, refinement: refinement,
              weightBits: InterpolationSettings.weightBits(units: steps * Double(1 << s)), prediction: prediction)
  }

  /// Lossless coding of multiples of a quantum, given itself or as the reciprocal of an integer (`perUnit`), the exact
  /// form for decimal data. `nil` when the range has too many quanta.
  public init?(lower: Double, upper: Double, quantum: Double, prediction: InterpolationPrediction = .init()) {
    guard quantum > 0, quantum.isFinite, lower <= upper, (upper - lower) / quantum < 0x1p25 else { return nil }
    let per = (1 / quantum).rounded(), middle = ((lower + (upper - lower) / 2) / quantum).rounded()
    guard middle.isFinite, abs(middle) < 0x1p52 else { return nil }
    let bits = InterpolationSettings.weightBits(units: (upper - lower) / quantum)
    let decimal = per >= 1 && abs(per * quantum - 1) < 1e-12
    self.init(scale: decimal ? .quotient(offset: middle, divisor: per) : .affine(offset: middle * quantum, unit: quantum),
              shift: 0, refinement: 0, weightBits: bits, prediction: prediction)
  }

  /// Lossless coding of data on this lattice. `nil` when it has too many levels.
  public init?(_ quantum: DecimalLattice.Quantum, prediction: InterpolationPrediction = .init()) {
    let q = quantum, d = Double(q.divisor)
    if q.isPlain {
      self.init(lower: Double(q.lower) / d, upper: Double(q.upper) / d, quantum: q.step, prediction: prediction)
      return
    }
    let scale = Scale.shifted(offset: Double(q.lower + (q.upper - q.lower) / 2), divisor: d, shift: q.shift, product: q.form == .product)
    guard q.multiple == 1, q.lower <= q.upper, InterpolationSettings.isSafe(scale) else { return nil }
    self.init(scale: scale, shift: 0, refinement: 0, weightBits: InterpolationSettings.weightBits(units: Double(q.upper - q.lower)),
              prediction: prediction)
  }

  /// What a stream may hold: n and divisor exact in either type.
  private static func isSafe(_ scale: Scale) -> Bool {
    guard case .shifted(let o, let d, let s, _) = scale else { return true }
    return abs(o) <= 0x1p22 && d >= 1 && d <= 1e6 && abs(s) <= 1e6
  }

  /// Products of weights and differences of predictions stay below 2^31.
  private static func weightBits(units: Double) -> Int {
    var bits = 0
    while bits < 30 && Double(1 << bits) < units { bits += 1 }
    return max(2, min(8, 30 - bits))
  }

  /// 27 bytes.
  public var serialised: [UInt8] {
    var w = ByteWriter()
    w.put(UInt8(shift | refinement << 4))
    var bits = BitPacker()
    bits.put(weightBits - 2, 3)
    // The last four bits: 1 shifted quotient, 2 shifted product, else 0.
    var numbers = ByteWriter(), code = 0
    switch scale {
    case .affine(let o, let u): bits.put(0, 1); numbers.put(o); numbers.put(u)
    case .quotient(let o, let d): bits.put(1, 1); numbers.put(o); numbers.put(d)
    case .shifted(let o, let d, let s, let product):
      bits.put(1, 1); code = product ? 2 : 1
      numbers.put(UInt64(UInt32(bitPattern: Int32(o))) | UInt64(d) << 32); numbers.put(s)
    }
    for l in 0..<4 { for x in 0..<3 {
      bits.put(prediction.cubic[l][x] ? 1 : 0, 1)
      bits.put(Int(prediction.weight[l][x]), 5)
    } }
    bits.put(code, 4)
    w.put(bits.bytes)
    w.put(numbers.bytes)
    return w.bytes
  }

  /// - Throws: `StreamError` when the bytes are not settings.
  public init(serialised bytes: [UInt8]) throws {
    var r = ByteReader(bytes)
    let first = Int(try r.byte())
    let shift = first & 15, refinement = first >> 4
    guard shift <= 8, refinement <= 2 else { throw StreamError(.invalid, offset: 0) }
    var bits = BitUnpacker(try r.take(10))
    let weightBits = bits.take(3) + 2
    let quotient = bits.take(1) == 1
    var p = InterpolationPrediction()
    for l in 0..<4 { for x in 0..<3 { p.cubic[l][x] = bits.take(1) == 1; p.weight[l][x] = UInt8(bits.take(5)) } }
    let code = bits.take(4), scale: Scale
    switch (quotient, code) {
    case (true, 1), (true, 2):
      let word = try r.word(), s = try r.double()
      let o = Int32(truncatingIfNeeded: word), d = word >> 32
      scale = .shifted(offset: Double(o), divisor: Double(d), shift: s, product: code == 2)
      guard shift == 0, InterpolationSettings.isSafe(scale) else { throw StreamError(.invalid, offset: r.offset) }
    case (_, 0):
      let a = try r.double(), b = try r.double()
      guard a.isFinite, b.isFinite, b > 0 else { throw StreamError(.invalid, offset: r.offset) }
      scale = quotient ? .quotient(offset: a, divisor: b) : .affine(offset: a, unit: b)
    default: throw StreamError(.invalid, offset: r.offset)
    }
    guard r.remaining == 0, weightBits <= 8 else { throw StreamError(.invalid, offset: r.offset) }
    self.init(scale: scale, shift: shift, refinement: refinement, weightBits: weightBits, prediction: p)
  }

  /// Level steps in units; the last is that of the anchors.
  var steps: [Int32] {
    let sixteenths = [[16, 16, 16, 16, 16], [16, 13, 10, 8, 8], [16, 11, 7, 5, 5]][refinement]
    return sixteenths.map { Int32(max(1, (($0 << shift) + 8) >> 4)) }
  }
}

/// Context weights of the interpolation mode, in 1/128: `[group][feature]`.
///
/// Groups: level * 3 + pass - 1, then the anchors. Features: |q| at z-1, y-1, x-1, causal diagonals, prediction points,
/// activity, constant. Weights are rounded to 32 codes, so that a model of its own costs 58 bytes.
public struct InterpolationModel: Hashable, Sendable {
  public static let groups = Int(ALD_INTERP_GROUPS), features = Int(ALD_INTERP_FEATURES)
  /// The weights a code stands for.
  public static let codes: [UInt8] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 15, 17, 20, 23, 27, 31, 36, 42, 49, 57, 66, 77, 90, 105, 122, 142, 166, 193, 225, 255,
  ]
  public let weights: [[UInt8]]

  /// Rounds each weight to the nearest code.
  public init(weights: [[UInt8]]) {
    precondition(weights.count == Self.groups && weights.allSatisfy { $0.count == Self.features })
    self.weights = weights.map { $0.map { Self.codes[Self.code($0)] } }
  }
  static func code(_ w: UInt8) -> Int {
    codes.indices.min { abs(Int(codes[$0]) - Int(w)) < abs(Int(codes[$1]) - Int(w)) }!
  }

  /// One byte for the default weights, else 58.
  public var serialised: [UInt8] {
    if self == .default { return [0] }
    var bits = BitPacker()
    for g in weights { for w in g { bits.put(Self.code(w), 5) } }
    return [1] + bits.bytes
  }
  /// - Throws: `StreamError` when the bytes are not a model.
  public init(serialised bytes: [UInt8]) throws {
    if bytes == [0] { self = .default; return }
    let count = (Self.groups * Self.features * 5 + 7) / 8
    guard bytes.count == 1 + count else { throw StreamError(.truncated, offset: bytes.count) }
    guard bytes[0] == 1 else { throw StreamError(.invalid, offset: 0) }
    var bits = BitUnpacker(Array(bytes[1...]))
    weights = (0..<Self.groups).map { _ in (0..<Self.features).map { _ in Self.codes[bits.take(5)] } }
  }
}
