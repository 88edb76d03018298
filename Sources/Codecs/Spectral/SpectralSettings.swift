import CKernels
public import Fields

/// What vectors are taken apart with before they are quantised: k~ along the axes, unit spacing of the grid's indices aside.
public enum SpectralBasis: UInt8, Sendable, CaseIterable {
  /// Components as they are.
  case plain = 0
  /// k
  case exact = 1
  /// sin(k h) / h: centred differences.
  case centred = 2
  /// 2 sin(k h / 2) / h of components that stand half a cell before the cells' centres along their axes.
  case staggeredBefore = 3
  /// The same half a cell behind them.
  case staggeredBehind = 4
}

/// What a decoder needs to know of a spectral field beside its scales and tables; docs/format.md 7.16.
public struct SpectralSettings: Sendable, Equatable {
  public var basis = SpectralBasis.plain
  /// Storage axis (0 z, 1 y, 2 x) of each component; empty where the basis is plain.
  public var axes: [Int] = []
  /// Of the cells along z, y, x.
  public var spacing = [1.0, 1.0, 1.0]
  /// Of each component.
  public var means: [Double] = []
  public var extent = Index3(0, 0, 0)
  public var radius = 0
  /// Of each component, as of `ald_spectral.h`: what is told by mirrored modes, and parts that vanish. Empty: none.
  public var symmetries: [UInt8] = []
  /// Axes (1 z, 2 y, 4 x) whose mirror planes go between cells: phases count from half a cell before the first one.
  public var faces: UInt8 = 0

  public init() {}

  public func frame(_ shape: Index3) -> SpectralFrame { SpectralFrame(shape, basis, axes: axes, spacing: spacing, faces: faces) }
  public func modes(_ shape: Index3) -> SpectralModes {
    let axes: [UInt8] = symmetries.map { ($0 & 3 != 0 ? 1 : 0) | ($0 >> 2 & 3 != 0 ? 2 : 0) }
    return SpectralModes(shape: shape, metric: SpectralModes.metric(shape, spacing: spacing), extent: extent, radius: radius, mirrors: axes.reduce(0, |))
  }

  /// More shells than this are not coded: the scales would cost more than they tell.
  public static let largestRadius = 1 << 16
  /// Whether spacings tell wavenumbers apart by little enough.
  public static func accepts(_ spacing: [Double], _ shape: Index3) -> Bool {
    spacing.allSatisfy { $0 > 0 && $0.isFinite } && SpectralModes.metric(shape, spacing: spacing).allSatisfy { $0 >= 1 && $0 < 64 }
  }

  public var serialised: [UInt8] {
    let unit = spacing == [1, 1, 1], told = faces != 0 || !symmetries.isEmpty
    var w = ByteWriter()
    w.put(basis.rawValue | (unit ? 0 : 8) | (told ? 16 : 0))
    for a in axes { w.put(UInt8(a)) }
    if !unit { for h in spacing { w.put(h) } }
    for m in means { w.put(m) }
    for a in 0..<3 { w.put(varint: extent[a]) }
    w.put(varint: radius)
    if told {
      w.put(faces)
      for c in means.indices { w.put(symmetries.isEmpty ? 0 : symmetries[c]) }
    }
    return w.bytes
  }

  /// - Throws: `StreamError` for what no encoder wrote.
  public init(serialised bytes: [UInt8], shape: Index3, components: Int) throws {
    var r = ByteReader(bytes)
    func refuse() -> StreamError { StreamError(.invalid, offset: r.offset) }
    let head = try r.byte()
    guard head < 32, let b = SpectralBasis(rawValue: head & 7) else { throw refuse() }
    basis = b
    if b != .plain {
      guard components == 2 || components == 3 else { throw refuse() }
      for _ in 0..<components { axes.append(Int(try r.byte())) }
      guard Set(axes).count == components, axes.allSatisfy({ $0 < 3 }) else { throw refuse() }
    }
    if head & 8 != 0 { spacing = try (0..<3).map { _ in try r.double() } }
    guard SpectralSettings.accepts(spacing, shape) else { throw refuse() }
    means = try (0..<components).map { _ in try r.double() }
    guard means.allSatisfy(\.isFinite) else { throw refuse() }
    for a in 0..<3 { extent[a] = try r.varint(limit: shape[a] / 2) }
    radius = try r.varint(limit: SpectralSettings.largestRadius)
    if head & 16 != 0 {
      faces = try r.byte()
      symmetries = try (0..<components).map { _ in try r.byte() }
      let none = symmetries.allSatisfy { $0 == 0 }
      guard faces < 8, symmetries.allSatisfy({ s in s < 64 && (0..<3).allSatisfy { s >> (2 * $0) & 3 != 3 } }), !none || faces != 0 else { throw refuse() }
      if none { symmetries = [] }
    }
    guard r.remaining == 0 else { throw refuse() }
  }
}

/// Mean magnitudes of shells, by component, in quarter octaves.
public struct SpectralScales: Sendable, Equatable {
  /// `[component][radius + 1]`
  public let codes: [UInt8]
  static let largest = Int(ALD_SPECTRAL_SCALES) - 1, one = Int(ALD_SPECTRAL_SCALE_ONE)

  /// From sums of magnitudes and numbers, `[component][shell]`.
  public init(sums: [UInt64], counts: [UInt64]) {
    codes = zip(sums, counts).map { s, n in
      if s == 0 || n == 0 { return 0 }
      // The nearest quarter octave, by comparison with the codes' bounds.
      let mean = Double(s) / Double(n)
      var c = 0, bound = 0x1p-9 * 1.0905077326652577
      while c < SpectralScales.largest, mean >= bound { bound *= 1.189207115002721; c += 1 }
      return UInt8(c)
    }
  }

  public func serialised(components: Int) -> [UInt8] {
    var coder = AdaptiveBinaryEncoder(), model = AdaptiveInteger(contexts: 2)
    let shells = codes.count / max(1, components)
    for c in 0..<components {
      var previous = SpectralScales.one
      for s in stride(from: 1, to: shells, by: 1) {
        let code = Int(codes[c * shells + s])
        model.encode(code - previous, context: min(c, 1), &coder)
        previous = code
      }
    }
    return coder.finish()
  }
  /// - Throws: `StreamError` for codes out of range.
  public init(serialised bytes: [UInt8], components: Int, radius: Int) throws {
    var coder = AdaptiveBinaryDecoder(bytes[...]), model = AdaptiveInteger(contexts: 2)
    var codes: [UInt8] = []
    for c in 0..<components {
      var previous = SpectralScales.one
      codes.append(0)
      for _ in stride(from: 1, to: radius + 1, by: 1) {
        previous += model.decode(context: min(c, 1), &coder)
        guard 0...SpectralScales.largest ~= previous else { throw StreamError(.invalid, offset: 0) }
        codes.append(UInt8(previous))
      }
    }
    self.codes = codes
  }
}
