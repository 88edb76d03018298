import CTorch
import Codecs
import Compressor

/// Failures of libtorch as errors.
enum Torch {
  static func check(_ status: Int32, _ call: String) throws {
    if status != 0 { throw Failure(.inputOutput, "libtorch, \(call): \(String(cString: ctorch_error()))") }
  }
}

/// D and the observables' P of a network on examples, and their gradient. docs/learned.md.
struct Loss {
  /// Numerators: D, then P in the order of `TrainOptions.observables`.
  static let terms = 1 + TrainOptions.observables.count
  let shape: Network.Shape
  let device: Int32
  private var objective = ctorch_objective()
  /// lambda_D, then lambda_P.
  var weights: [Double] { didSet { objective.weigh(weights) } }

  /// - Parameter axes: component that belongs to axis z, y, x.
  init(_ o: TrainOptions, shape: Network.Shape, axes: [Int]) {
    self.shape = shape
    device = Int32(o.device)
    weights = o.weights(at: 1)
    objective = ctorch_objective(o, axes: axes)
    objective.weigh(weights)
  }
  /// Denominators; 0: the term does not count.
  mutating func normalise(by scale: [Double]) { objective.normalise(by: scale) }

  /// Numerators over the examples; adds the gradient where one is wanted.
  ///
  /// - Parameter parameters: `nil`: decoded values as they are.
  func evaluate(_ e: Examples, _ parameters: [Float]?, gradient: UnsafeMutablePointer<Float>? = nil) throws -> [Double] {
    var out = [Double](repeating: 0, count: Loss.terms)
    if e.count == 0 { return out }
    try withNetwork { n in
      try e.with { examples in
        var o = objective
        let status = parameters.map { p in p.withUnsafeBufferPointer { ctorch_loss(n, $0.baseAddress, examples, &o, device, &out, gradient) } }
          ?? ctorch_loss(n, nil, examples, &o, device, &out, nil)
        try Torch.check(status, "loss")
      }
    }
    return out
  }

  /// Corrected values by libtorch.
  func forward(_ e: Examples, _ parameters: [Float]) throws -> [Float] {
    var out = [Float](repeating: 0, count: e.original.count)
    try withNetwork { n in
      try e.with { examples in try Torch.check(ctorch_forward(n, parameters, examples, device, &out), "forward") }
    }
    return out
  }

  private func withNetwork<R>(_ body: (UnsafePointer<ctorch_network>) throws -> R) rethrows -> R {
    var n = ctorch_network(
      components: Int32(shape.components), dimensions: Int32(shape.dimensions), patch: Int32(shape.patch), width: Int32(shape.width), blocks: Int32(shape.blocks))
    return try body(&n)
  }
}

extension ctorch_objective {
  /// - Parameter axes: component that belongs to axis z, y, x.
  init(_ o: TrainOptions, axes: [Int]) {
    self.init()
    box = Int32(o.box)
    self.axes = (Int32(axes[0]), Int32(axes[1]), Int32(axes[2]))
  }
  /// lambda_D, then lambda_P.
  mutating func weigh(_ weights: [Double]) {
    distortion = weights[0]
    withUnsafeMutableBytes(of: &physics) { p in for k in 1..<Loss.terms { p.bindMemory(to: Double.self)[k - 1] = weights[k] } }
  }
  /// Denominators; 0: the term does not count.
  mutating func normalise(by scale: [Double]) {
    withUnsafeMutableBytes(of: &self.scale) { p in for k in 0..<Loss.terms { p.bindMemory(to: Double.self)[k] = scale[k] } }
  }
}

/// Blocks side by side as libtorch takes them.
struct Examples {
  private(set) var count = 0
  private(set) var decoded: [Float] = [], original: [Float] = []
  private let extents: (Int32, Int32, Int32)

  init(_ tiles: TrainingTiles) { extents = (Int32(tiles.extents.z), Int32(tiles.extents.y), Int32(tiles.extents.x)) }
  mutating func add(_ tiles: TrainingTiles, _ i: Int) {
    count += 1
    decoded += tiles.decoded[i]
    original += tiles.original[i]
  }
  func with<R>(_ body: (UnsafePointer<ctorch_examples>) throws -> R) rethrows -> R {
    try decoded.withUnsafeBufferPointer { d in try original.withUnsafeBufferPointer { o in
      var e = ctorch_examples(count: Int32(count), extents: extents, decoded: d.baseAddress, original: o.baseAddress)
      return try body(&e)
    } }
  }
}
