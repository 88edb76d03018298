import CKernels
import CxxHash
public import Fields

/// A small convolutional network that corrects decoded values: the learned half of a transform codec.
///
/// Of a field whose values w were decoded with the step s, cells are gathered into patches u = w / s of P^d cells, whose values are channels
/// (Q = components P^d), and
///
///     h_0 = r(K_0 * u + b_0)      K_0: 3^d taps, Q -> width
///     h_b = h_(b-1) + r(K_b * h_(b-1) + b_b)      b = 1 ... blocks, 3^d taps, width -> width
///     x^  = w + s (D * u + L * h_blocks)      D: 3^d taps, Q -> Q; L: 1 tap, width -> Q
///
/// with r(a) = a where a > 0, else a / 8. Width 0 leaves the linear D alone. Beyond walls cells repeat, periodic axes wrap.
/// Weights are 16-bit integers times a scale per layer; sums run in one order in binary32 (`network.c`), so that all machines decode the same bits.
public struct Network: Sendable, Equatable {
  /// What there is of it beside its weights.
  public struct Shape: Sendable, Equatable {
    public var components: Int, dimensions: Int, patch: Int, width: Int, blocks: Int

    /// - Precondition: `isValid`.
    public init(components: Int, dimensions: Int, patch: Int, width: Int, blocks: Int) {
      self.components = components; self.dimensions = dimensions; self.patch = patch; self.width = width; self.blocks = blocks
      precondition(isValid)
    }
    init(_ n: [Int]) throws {
      (components, dimensions, patch, width, blocks) = (n[0], n[1], n[2], n[3], n[4])
      guard isValid else { throw StreamError(.invalid, offset: 1) }
    }
    var isValid: Bool {
      (1...16).contains(components) && (2...3).contains(dimensions) && [1, 2, 4].contains(patch) && (0...256).contains(width)
        && (0...8).contains(blocks) && (width > 0 || blocks == 0)
    }
    var numbers: [Int] { [components, dimensions, patch, width, blocks] }

    /// Channels of a patch.
    public var channels: Int { components * (0..<dimensions).reduce(1) { n, _ in n * patch } }
    /// Patches on either side that a patch's correction depends on.
    public var radius: Int { 1 + blocks }
    /// Cells beyond a box, of whole patches from its lower faces on, that its corrected values depend on.
    public var reach: Int { radius * patch + patch - 1 }

    /// Whether fields of this kind have the axes and components that it takes.
    public func suits(_ grid: Grid, components: Int) -> Bool {
      let s = grid.shape
      return components == self.components && s.y > 1 && s.x > 1 && (s.z > 1) == (dimensions == 3)
    }

    /// The layers: D, K_0, K_1, ..., L.
    public var layers: [Layer] {
      var all = [Layer(taps: 3, inputs: channels, outputs: channels, biased: false)]
      if width > 0 {
        all.append(Layer(taps: 3, inputs: channels, outputs: width, biased: true))
        for _ in 0..<blocks { all.append(Layer(taps: 3, inputs: width, outputs: width, biased: true)) }
        all.append(Layer(taps: 1, inputs: width, outputs: channels, biased: false))
      }
      return all
    }
    public func weightCount(_ l: Layer) -> Int { l.inputs * l.outputs * (l.taps == 3 ? (dimensions == 3 ? 27 : 9) : 1) }
    /// Numbers that training moves: per layer the weights [output][input][z][y][x], then the biases.
    public var parameterCount: Int { layers.reduce(0) { $0 + weightCount($1) + ($1.biased ? $1.outputs : 0) } }
  }
  public struct Layer: Sendable, Equatable {
    public var taps: Int, inputs: Int, outputs: Int, biased: Bool
  }

  public let shape: Shape
  /// The canonical bytes; docs/format.md section 10.
  public let serialised: [UInt8]
  /// As `Shape.parameterCount` says, as they are after rounding.
  public let parameters: [Float]
  let convolutions: [Convolution]

  /// XXH3-64 of the canonical bytes: what the network is.
  public var hash: UInt64 { serialised.withUnsafeBytes { XXH3_64bits($0.baseAddress, $0.count) } }
  public var hashText: String { Network.text(of: hash) }
  public static func text(of hash: UInt64) -> String {
    let digits = String(hash, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  /// Rounds parameters to what is stored.
  ///
  /// - Precondition: as many finite numbers as `shape.parameterCount`.
  public init(_ shape: Shape, rounding parameters: [Float]) {
    precondition(parameters.count == shape.parameterCount && parameters.allSatisfy(\.isFinite))
    var w = ByteWriter(), at = 0
    w.put(Network.version)
    for n in shape.numbers { w.put(varint: n) }
    for l in shape.layers {
      let first = at, biases = l.biased ? l.outputs : 0
      at += shape.weightCount(l)
      w.put(weights: parameters[first..<at], bits: 16)
      for b in parameters[at..<at + biases] { w.put(b) }
      at += biases
    }
    try! self.init(serialised: w.bytes)
  }

  static let version: UInt8 = 1

  /// - Throws: `StreamError` for bytes that are no network of this version.
  public init(serialised bytes: [UInt8]) throws {
    var r = ByteReader(bytes)
    guard try r.byte() == Network.version else { throw StreamError(.unknownVersion, offset: 0) }
    var numbers: [Int] = []
    for _ in 0..<5 { numbers.append(try r.varint(limit: 256)) }
    let shape = try Shape(numbers)
    var parameters: [Float] = [], convolutions: [Convolution] = []
    for l in shape.layers {
      let weights = try r.weights(shape.weightCount(l), bits: 16), bias = try r.biases(l.biased ? l.outputs : 0)
      convolutions.append(Convolution(l, dimensions: shape.dimensions, weights: weights, bias: bias))
      parameters += weights + bias
    }
    guard r.remaining == 0 else { throw StreamError(.invalid, offset: r.offset) }
    self.shape = shape; serialised = bytes; self.parameters = parameters; self.convolutions = convolutions
  }

  public static func == (a: Network, b: Network) -> Bool { a.serialised == b.serialised }

  /// The corrected values of `core`.
  ///
  /// - Parameter values: one array per component, of one floating type, that holds `core.dilated(by: shape.reach, in: grid)`.
  /// - Parameter core: begins at a multiple of the patch on every axis.
  /// - Parameter unit: the step the values were decoded with.
  public func corrected(_ values: [RawArray], core: Box, unit: Double) -> [RawArray] {
    let one = Index3(shape.dimensions == 3 ? 1 : 0, 1, 1), margin = one * shape.radius
    let u = shape.patches(of: values, core: core, margin: margin, unit: unit), m = u.extents, n = m - margin * 2
    let change = Patches(n, channels: shape.channels)
    var inner = 0
    for a in 0..<3 { inner = inner * m[a] + margin[a] - one[a] }
    convolutions[0].apply(u.pointer + inner * u.stride, m, change.pointer, n)
    if shape.width > 0 {
      var h = u
      for b in 0...shape.blocks {
        let next = Patches(h.extents - one * 2, channels: shape.width)
        convolutions[1 + b].apply(h.pointer, h.extents, next.pointer, next.extents)
        next.rectify(adding: b == 0 ? nil : h, margin: one)
        h = next
      }
      convolutions[convolutions.count - 1].apply(h.pointer, n, change.pointer, n, adding: true)
    }
    let out = values.map { v in
      let a = RawArray(box: core, elementSize: values[0].elementSize)
      a.copy(core, from: v)
      return a
    }
    let wanted = (0..<3).map { a in (0..<n[a] * shape.patches[a]).map { i in i < core.shape[a] ? Int32(i) : -1 } }
    change.with(shape, wanted, core.shape) { p in
      if values[0].elementSize == 4 {
        let t = out.map { Optional($0.bound(to: Float.self)) }
        ald_patches_add_f32(p, change.pointer, Float(unit), t)
      } else {
        let t = out.map { Optional($0.bound(to: Double.self)) }
        ald_patches_add_f64(p, change.pointer, unit, t)
      }
    }
    return out
  }
}

extension Network.Shape {
  /// Cells of a patch along z, y, x.
  var patches: Index3 { Index3(dimensions == 3 ? patch : 1, patch, patch) }

  /// Values over `unit` in patches from the lower faces of `core` on, `margin` more on either side.
  ///
  /// - Parameter values: hold the cells; beyond their box its outermost cells repeat.
  func patches(of values: [RawArray], core: Box, margin: Index3, unit: Double) -> Patches {
    var extents = margin * 2
    for a in 0..<3 { extents[a] += (core.shape[a] + patches[a] - 1) / patches[a] }
    let from = values[0].box, out = Patches(extents, channels: channels), at = cells(core: core, patches: extents, margin: margin, in: from)
    out.with(self, at, from.shape) { p in
      if values[0].elementSize == 4 {
        let s = values.map { Optional(UnsafePointer($0.bound(to: Float.self))) }
        ald_patches_gather_f32(p, s, Float(1 / unit), out.pointer)
      } else {
        let s = values.map { Optional(UnsafePointer($0.bound(to: Double.self))) }
        ald_patches_gather_f64(p, s, 1 / unit, out.pointer)
      }
    }
    return out
  }
}

extension Network.Shape {
  /// Where the cells of patches lie in an array on `box`, along each axis; beyond it the outermost.
  func cells(core: Box, patches n: Index3, margin: Index3, in box: Box) -> [[Int32]] {
    (0..<3).map { a in
      precondition(core.lower[a] % patches[a] == 0)
      return (0..<n[a] * patches[a]).map { i in Int32(min(max(core.lower[a] + i - margin[a] * patches[a], box.lower[a]), box.upper[a] - 1) - box.lower[a]) }
    }
  }
}

/// Channels of a box of patches, or of what a layer makes of them: [z][y][x][channel], channels padded.
final class Patches {
  let extents: Index3, stride: Int
  let pointer: UnsafeMutablePointer<Float>
  convenience init(_ extents: Index3, channels: Int) { self.init(extents, width: Convolution.padded(channels)) }
  /// - Parameter width: floats per patch.
  init(_ extents: Index3, width: Int) {
    self.extents = extents
    stride = width
    pointer = .allocate(capacity: max(1, extents.product * stride))
  }
  deinit { pointer.deallocate() }

  /// a -> r(a), then plus `skip`, which has `margin` more on each side.
  func rectify(adding skip: Patches?, margin: Index3 = Index3(0, 0, 0)) {
    withInt32(extents) { n in withInt32(margin) { m in ald_rectify(pointer, n, Int32(stride), skip.map { UnsafePointer($0.pointer) }, m) } }
  }

  func with(_ s: Network.Shape, _ at: [[Int32]], _ shape: Index3, _ body: (UnsafePointer<ald_patches>) -> Void) { with(s.patches, s.components, at, shape, body) }
  /// - Parameter patch: cells of a patch.
  /// - Parameter at: where the cells along each axis lie in an array of the extents `shape`.
  func with(_ patch: Index3, _ components: Int, _ at: [[Int32]], _ shape: Index3, _ body: (UnsafePointer<ald_patches>) -> Void) {
    at[0].withUnsafeBufferPointer { z in at[1].withUnsafeBufferPointer { y in at[2].withUnsafeBufferPointer { x in
      var p = ald_patches(
        patch: int32(patch), n: int32(extents), components: Int32(components), stride: Int32(stride), at: (z.baseAddress, y.baseAddress, x.baseAddress),
        shape: int32(shape))
      body(&p)
    } } }
  }
}

extension Index3 {
  static func * (i: Index3, n: Int) -> Index3 { Index3(i.z * n, i.y * n, i.x * n) }
}
private func int32(_ i: Index3) -> (Int32, Int32, Int32) { (Int32(i.z), Int32(i.y), Int32(i.x)) }
private func withInt32(_ i: Index3, _ body: (UnsafePointer<Int32>) -> Void) { [Int32(i.z), Int32(i.y), Int32(i.x)].withUnsafeBufferPointer { body($0.baseAddress!) } }

/// One layer as the kernel reads it: [z][y][x][input][output], outputs padded with zeros.
final class Convolution: Sendable {
  private let layer: Network.Layer, taps: Index3
  private let weights: [Float], bias: [Float]

  static func padded(_ channels: Int) -> Int { (channels + Int(ALD_NETWORK_LANES) - 1) / Int(ALD_NETWORK_LANES) * Int(ALD_NETWORK_LANES) }

  /// - Parameter given: weights [output][input][z][y][x].
  init(_ l: Network.Layer, dimensions: Int, weights given: [Float], bias: [Float]) {
    layer = l
    taps = Index3(dimensions == 3 ? l.taps : 1, l.taps, l.taps)
    let cells = taps.product, out = Self.padded(l.outputs)
    var w = [Float](repeating: 0, count: cells * l.inputs * out)
    for o in 0..<l.outputs { for i in 0..<l.inputs { for t in 0..<cells { w[(t * l.inputs + i) * out + o] = given[(o * l.inputs + i) * cells + t] } } }
    weights = w
    self.bias = (0..<out).map { $0 < bias.count ? bias[$0] : 0 }
  }

  /// `out` of the extents n, from a part of an array of the extents m.
  func apply(_ input: UnsafePointer<Float>, _ m: Index3, _ output: UnsafeMutablePointer<Float>, _ n: Index3, adding: Bool = false) {
    weights.withUnsafeBufferPointer { w in bias.withUnsafeBufferPointer { b in
      var k = ald_convolution(
        taps: int32(taps), inputs: Int32(layer.inputs), input_stride: Int32(Self.padded(layer.inputs)), outputs: Int32(Self.padded(layer.outputs)),
        weights: w.baseAddress, bias: adding ? nil : b.baseAddress)
      withInt32(m) { m in withInt32(n) { n in ald_convolve(&k, input, m, n, output) } }
    } }
  }
}
