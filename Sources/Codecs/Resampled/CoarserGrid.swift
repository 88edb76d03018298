import CKernels
public import Fields

/// The grid with fewer cells that a field of few waves is coded on, and how its values are interpolated from there; docs/format.md 7.20.
public struct CoarserGrid: Sendable, Equatable {
  /// An axis with fewer cells.
  public struct Axis: Sendable, Equatable {
    /// Cells on either side that a value is interpolated from.
    public var half: Int
    /// Mean square of the error on the coarser grid over that of the values, as `2^(-noise / 2)`.
    public var noise: UInt8
    /// Of the waves of index k and -k, k = 0, 1, ...: mean square over the largest, as `2^(-code / 2)`; 255: none.
    public var power: [UInt8]
    public init(half: Int, noise: UInt8, power: [UInt8]) { self.half = half; self.noise = noise; self.power = power }
  }
  public var shape: Index3
  /// `nil`: the axis is as it was.
  public var axes: [Axis?]
  /// Of each component; taken off before.
  public var means: [Double]

  public init(shape: Index3, axes: [Axis?], means: [Double]) { self.shape = shape; self.axes = axes; self.means = means }

  public static let halves = [4, 8, 12, 16]
  /// Different distances of cells of both grids along an axis.
  public static let mostDistances = 1 << 15
  /// Whether a line of `fine` cells can be interpolated from one of `coarse`.
  public static func accepts(_ fine: Int, _ coarse: Int) -> Bool {
    var a = fine, b = coarse
    while b > 0 { (a, b) = (b, a % b) }
    return coarse > 1 && coarse < fine && fine / a * coarse <= mostDistances
  }

  public var serialised: [UInt8] {
    var w = ByteWriter()
    for m in means { w.put(m) }
    for a in 0..<3 {
      w.put(varint: axes[a] == nil ? 0 : shape[a])
      if let x = axes[a] { w.put(UInt8(x.half)); w.put(x.noise); w.put(varint: x.power.count) }
    }
    var coder = AdaptiveBinaryEncoder(), model = AdaptiveInteger(contexts: 1)
    for x in axes {
      var previous = 0
      for p in x?.power ?? [] { model.encode(Int(p) - previous, context: 0, &coder); previous = Int(p) }
    }
    w.put(coder.finish())
    return w.bytes
  }

  /// - Throws: `StreamError` for what no encoder wrote.
  public init(serialised bytes: [UInt8], grid: Grid, components: Int) throws {
    var r = ByteReader(bytes)
    func check(_ holds: Bool) throws { if !holds { throw StreamError(.invalid, offset: r.offset) } }
    means = try (0..<components).map { _ in try r.double() }
    try check(means.allSatisfy(\.isFinite))
    shape = grid.shape
    axes = [nil, nil, nil]
    for a in 0..<3 {
      let n = try r.varint(limit: grid.shape[a])
      if n == 0 { continue }
      try check(grid.periodic[a] && CoarserGrid.accepts(grid.shape[a], n))
      shape[a] = n
      let half = Int(try r.byte()), noise = try r.byte(), count = try r.varint(limit: (n + 1) / 2)
      try check(CoarserGrid.halves.contains(half) && count > 0)
      axes[a] = Axis(half: half, noise: noise, power: [UInt8](repeating: 0, count: count))
    }
    try check(axes.contains { $0 != nil })
    var coder = AdaptiveBinaryDecoder(try r.take(r.remaining)[...]), model = AdaptiveInteger(contexts: 1)
    for a in 0..<3 where axes[a] != nil {
      var previous = 0
      for k in axes[a]!.power.indices {
        previous += model.decode(context: 0, &coder)
        try check(0...255 ~= previous)
        axes[a]!.power[k] = UInt8(previous)
      }
    }
  }
}

extension CoarserGrid.Axis {
  /// 2^(-code / 2)
  static func size(_ code: UInt8) -> Double {
    // Both factors are powers of two or correctly rounded.
    Double(sign: .plus, exponent: -Int(code >> 1), significand: code & 1 == 0 ? 1 : 0.7071067811865476)
  }
  /// The code of the nearest power that is not smaller, up to the limit.
  public static func code(_ ratio: Double) -> UInt8 {
    var c: UInt8 = 0
    while c < 254, size(c + 1) >= ratio { c += 1 }
    return c
  }
  /// Mean squares over the largest.
  public var powers: [Double] { power.map { $0 == 255 ? 0 : CoarserGrid.Axis.size($0) } }

  /// Weights `[phase][2 half]`; over all phases the mean square error of values without noise over their mean square, and the mean sum of squared weights.
  ///
  /// - Throws: `StreamError` where there are none.
  public func weights(fine: Int, coarse: Int) throws -> (weights: [Double], error: Double, gain: Double) {
    let powers = powers, total = powers.reduce(0, +)
    var a = fine, b = coarse
    while b > 0 { (a, b) = (b, a % b) }
    var out = [Double](repeating: 0, count: fine / a * 2 * half), error = 0.0, gain = 0.0
    let status = ald_resample_weights(
      Int64(fine), Int64(coarse), Int32(half), powers, Int32(powers.count), total * CoarserGrid.Axis.size(noise), &out, &error, &gain)
    precondition(status >= 0, "out of memory")
    guard status == 0, total > 0 else { throw StreamError(.invalid, offset: 0) }
    return (out, error / total, gain)
  }
}
