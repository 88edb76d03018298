import CKernels
public import Fields

/// A learned codec of patches: its values u become latents z = e(u), which are rounded and coded, and u^ = d(z^).
///
/// A patch holds P_z x P_y x P_x cells of all components, n = C P_z P_y P_x values less an offset and over a scale of the field (`Normalisation`). Both maps are
///
///     y = D x + b + V h_B      h_0 = r(K_0 x + b_0),  h_k = h_(k-1) + r(K_k h_(k-1) + b_k),  k = 1 ... B
///
/// with r(a) = a where a > 0, else a / 8; width 0 leaves D x + b. Latents are integers times a step of their own times the field's factor. `tied`: e(u) = D^T (u - b)
/// of the linear synthesis, and nothing is stored for it; sparse codes with a linear synthesis are found by `SparseCode` instead.
/// Weights are integers of `bits` bits times a scale per layer; sums run in one order in binary32 (`dense.c`), so that all machines decode the same bits.
public struct Autoencoder: Sendable, Equatable {
  /// What the values of a patch are less, and over. Raw values are part of the format.
  public enum Normalisation: UInt8, Sendable, CaseIterable {
    /// Taken as they are.
    case none = 0
    /// Less the component's mean, over largest less smallest value of the field.
    case range = 1
    /// Less the component's mean, over the root mean square of what is left over all components.
    case rms = 2
  }
  /// How latents become bytes. Raw values are part of the format.
  public enum Coding: UInt8, Sendable, CaseIterable {
    /// The table of a latent follows from its mean magnitude alone.
    case factorized = 0
    /// And from how large the latents before it came out, in its patch and in those beside it.
    case contextual = 1
    /// Number of latents that are not zero, gaps between them, signs and magnitudes.
    case sparse = 2
  }
  /// The structured map f of an L1 penalty |f z|_1: what training and encoders know. Raw values are part of the format.
  public enum Structure: Sendable, Equatable {
    case identity
    /// `penalties` weigh each latent.
    case diagonal
    /// Norms of so many latents that follow each other.
    case groups(Int)
  }
  /// Hidden layers of a map: width, 0: none, and blocks after the first.
  public struct Hidden: Sendable, Equatable {
    public var width: Int, blocks: Int
    public init(width: Int = 0, blocks: Int = 0) { self.width = width; self.blocks = blocks }
    var isValid: Bool { (0...1024).contains(width) && (0...8).contains(blocks) && (width > 0 || blocks == 0) }
  }

  /// What there is of it beside its numbers.
  public struct Shape: Sendable, Equatable {
    public var components: Int
    /// Cells along z, y, x.
    public var patch: Index3
    public var latents: Int
    /// `nil`: tied.
    public var analysis: Hidden?
    public var synthesis = Hidden()
    public var coding = Coding.contextual
    public var normalisation = Normalisation.rms
    public var structure = Structure.identity
    /// Of a weight: 2 to 16.
    public var bits = 16

    public init(components: Int, patch: Index3, latents: Int, analysis: Hidden? = nil) {
      self.components = components; self.patch = patch; self.latents = latents; self.analysis = analysis
    }
    /// Values of a patch.
    public var values: Int { components * patch.product }
    public var isValid: Bool {
      let group: Int = if case .groups(let n) = structure { n } else { 1 }
      return (1...16).contains(components) && (0..<3).allSatisfy { (1...64).contains(patch[$0]) } && values <= 4096 && (1...min(8192, 8 * values)).contains(latents)
        && (analysis?.isValid ?? (synthesis.width == 0)) && synthesis.isValid && (2...16).contains(bits) && (1...Int(ALD_SPARSE_GROUP)).contains(group) && latents % group == 0
    }
    /// Whether fields of this kind have the components that it takes; of an axis with one cell, patches have one too.
    public func suits(_ grid: Grid, components: Int) -> Bool {
      components == self.components && (0..<3).allSatisfy { patch[$0] == 1 || grid.shape[$0] > 1 }
    }

    private static func layers(_ inputs: Int, _ outputs: Int, _ hidden: Hidden) -> [Network.Layer] {
      var all = [Network.Layer(taps: 1, inputs: inputs, outputs: outputs, biased: true)]
      if hidden.width > 0 {
        for b in 0...hidden.blocks { all.append(.init(taps: 1, inputs: b == 0 ? inputs : hidden.width, outputs: hidden.width, biased: true)) }
        all.append(.init(taps: 1, inputs: hidden.width, outputs: outputs, biased: false))
      }
      return all
    }
    /// D, K_0, K_1, ..., V of the analysis; none where it is tied.
    public var analysisLayers: [Network.Layer] { analysis.map { Shape.layers(values, latents, $0) } ?? [] }
    public var synthesisLayers: [Network.Layer] { Shape.layers(latents, values, synthesis) }
    /// Those of the analysis, then those of the synthesis.
    public var layers: [Network.Layer] { analysisLayers + synthesisLayers }
    /// Numbers that training moves: per layer the weights [output][input], then the biases.
    public var parameterCount: Int { layers.reduce(0) { $0 + $1.inputs * $1.outputs + ($1.biased ? $1.outputs : 0) } }
  }

  /// Numbers per latent, and those of the layers.
  public struct Numbers: Sendable, Equatable {
    /// As `Shape.parameterCount` says.
    public var parameters: [Float]
    /// Steps of the latents at factor 1; positive.
    public var steps: [Float]
    /// Mean |z| over the step, as training saw it; not negative.
    public var magnitudes: [Float]
    /// Factors on the penalties of the latents; empty unless the structure is diagonal.
    public var penalties: [Float] = []
    /// Sparse codes: penalty lambda / 2 over the step of a latent of a column of norm 1. The encoder's alone.
    public var threshold: Float = 0.6

    public init(parameters: [Float], steps: [Float], magnitudes: [Float]) { self.parameters = parameters; self.steps = steps; self.magnitudes = magnitudes }
  }

  public let shape: Shape
  /// As they are after rounding.
  public let numbers: Numbers
  /// The canonical bytes; docs/format.md section 10.
  public let serialised: [UInt8]
  private let analysis: [Dense], synthesis: [Dense]

  /// Rounds numbers to what is stored.
  ///
  /// - Precondition: `shape.isValid`; as many finite numbers as it says.
  public init(_ shape: Shape, rounding n: Numbers) {
    precondition(shape.isValid && n.parameters.count == shape.parameterCount && n.steps.count == shape.latents && n.magnitudes.count == shape.latents)
    precondition(n.penalties.count == (shape.structure == .diagonal ? shape.latents : 0) && n.parameters.allSatisfy(\.isFinite))
    var w = ByteWriter(), at = 0
    w.put(Autoencoder.version)
    for v in [shape.components, shape.patch.z, shape.patch.y, shape.patch.x, shape.latents] { w.put(varint: v) }
    w.put(UInt8(shape.analysis == nil ? 1 : 0))
    for h in [shape.analysis ?? Hidden(), shape.synthesis] { w.put(varint: h.width); w.put(varint: h.blocks) }
    w.put(shape.coding.rawValue); w.put(shape.normalisation.rawValue)
    switch shape.structure {
    case .identity: w.put(varint: 0)
    case .diagonal: w.put(varint: 1)
    case .groups(let n): w.put(varint: 1 + n)
    }
    w.put(varint: shape.bits)
    w.put(n.threshold)
    for v in n.steps + n.magnitudes + n.penalties { w.put(v) }
    for l in shape.layers {
      let first = at, biases = l.biased ? l.outputs : 0
      at += l.inputs * l.outputs
      w.put(weights: n.parameters[first..<at], bits: shape.bits)
      for b in n.parameters[at..<at + biases] { w.put(b) }
      at += biases
    }
    try! self.init(serialised: w.bytes)
  }

  /// The first byte; that of a `Network` is 1.
  static let version: UInt8 = 2

  /// - Throws: `StreamError` for bytes that are no autoencoder of this version.
  public init(serialised bytes: [UInt8]) throws {
    var r = ByteReader(bytes)
    guard try r.byte() == Autoencoder.version else { throw StreamError(.unknownVersion, offset: 0) }
    func number() throws -> Int { try r.varint(limit: 1 << 14) }
    func require(_ c: Bool) throws { if !c { throw StreamError(.invalid, offset: r.offset) } }
    var shape = Shape(components: try number(), patch: Index3(try number(), try number(), try number()), latents: try number())
    let tied = try r.byte()
    try require(tied <= 1)
    shape.analysis = Hidden(width: try number(), blocks: try number())
    if tied == 1 {
      try require(shape.analysis == Hidden())
      shape.analysis = nil
    }
    shape.synthesis = Hidden(width: try number(), blocks: try number())
    guard let coding = Coding(rawValue: try r.byte()), let normalisation = Normalisation(rawValue: try r.byte()) else { throw StreamError(.unknownVersion, offset: r.offset) }
    (shape.coding, shape.normalisation) = (coding, normalisation)
    let structure = try number()
    shape.structure = structure == 0 ? .identity : structure == 1 ? .diagonal : .groups(structure - 1)
    shape.bits = try number()
    try require(shape.isValid)
    let threshold = try r.float(in: 0...layerLimit)
    func floats(_ least: Float) throws -> [Float] { try (0..<shape.latents).map { _ in try r.float(in: least...layerLimit) } }
    var numbers = Numbers(parameters: [], steps: try floats(0x1p-40), magnitudes: try floats(0))
    if structure == 1 { numbers.penalties = try floats(0) }
    numbers.threshold = threshold
    var analysis: [Dense] = [], synthesis: [Dense] = []
    for (k, l) in shape.layers.enumerated() {
      let count = l.inputs * l.outputs, weights = try r.weights(count, bits: shape.bits), bias = try r.biases(l.biased ? l.outputs : 0)
      let layer = Dense(l, weights: weights, bias: bias)
      if k < shape.analysisLayers.count { analysis.append(layer) } else { synthesis.append(layer) }
      numbers.parameters += weights + bias
      if tied == 1, shape.coding != .sparse {
        var turned = [Float](repeating: 0, count: count), less = [Float](repeating: 0, count: l.inputs)
        for o in 0..<l.outputs { for i in 0..<l.inputs {
          turned[i * l.outputs + o] = weights[o * l.inputs + i]
          less[i] -= weights[o * l.inputs + i] * bias[o]
        } }
        analysis.append(Dense(.init(taps: 1, inputs: l.outputs, outputs: l.inputs, biased: true), weights: turned, bias: less))
      }
    }
    guard r.remaining == 0 else { throw StreamError(.invalid, offset: r.offset) }
    self.shape = shape; self.numbers = numbers; serialised = bytes; self.analysis = analysis; self.synthesis = synthesis
  }
  /// XXH3-64 of the canonical bytes.
  public var hash: UInt64 { LearnedModel.autoencoder(self).hash }
  public static func == (a: Autoencoder, b: Autoencoder) -> Bool { a.serialised == b.serialised }

  /// Whether `SparseCode` finds the codes.
  public var solvesCodes: Bool { shape.coding == .sparse && shape.synthesis.width == 0 }

  /// z = e(u) of patches; not for codes that are solved for.
  func latents(_ u: Patches) -> Patches { Autoencoder.run(analysis, u, shape.analysis ?? Hidden(), outputs: shape.latents) }
  /// u^ = d(z).
  func values(_ z: Patches) -> Patches { Autoencoder.run(synthesis, z, shape.synthesis, outputs: shape.values, sparse: true) }

  private static func run(_ layers: [Dense], _ x: Patches, _ hidden: Hidden, outputs: Int, sparse: Bool = false) -> Patches {
    let n = x.extents, out = Patches(n, channels: outputs)
    layers[0].apply(x, out, sparse: sparse)
    if hidden.width == 0 { return out }
    var h = x
    for b in 0...hidden.blocks {
      let next = Patches(n, channels: hidden.width)
      layers[1 + b].apply(h, next, sparse: sparse && b == 0)
      next.rectify(adding: b == 0 ? nil : h)
      h = next
    }
    layers[layers.count - 1].apply(h, out, adding: true)
    return out
  }
}
