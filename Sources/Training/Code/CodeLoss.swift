import CTorch
import Compressor

/// R, D and the observables' P of a code on blocks, and their gradient. docs/learned.md.
struct CodeLoss {
  /// R, D, then P in the order of `TrainOptions.observables`.
  static let terms = 1 + Loss.terms
  let shape: CodeShape
  /// What coordinates are of a patch, and a patch of its coordinates; rows of `shape.channels` numbers. Empty basis: coordinates are the values; empty dual: the basis.
  let basis: [Float], dual: [Float]
  /// Factors of the penalty; empty: all 1.
  var costs: [Float] = []
  /// lambda / 2 of the penalty in steps; smoothing; whether shrinkage is left out.
  var threshold = 0.0, smooth = 0.0, debias = false
  private let device: Int32
  private var objective: ctorch_objective

  /// - Parameter axes: component that belongs to axis z, y, x.
  init(_ o: TrainOptions, _ shape: CodeShape, basis: [Float], dual: [Float] = [], axes: [Int]) {
    precondition(basis.count == shape.inputs * shape.channels || (basis.isEmpty && shape.inputs == shape.channels))
    precondition(dual.isEmpty || dual.count == basis.count)
    self.shape = shape; self.basis = basis; self.dual = dual
    device = Int32(o.device)
    objective = ctorch_objective(o, axes: axes)
    objective.weigh(o.weights(at: 1))
  }
  mutating func weigh(_ weights: [Double]) { objective.weigh(weights) }
  mutating func normalise(by scale: [Double]) { objective.normalise(by: scale) }

  /// Numerators over the blocks; adds the gradient of rate R + lambda D + ... where one is wanted, and sets the rounded latents, [patch][latent], where they are.
  ///
  /// - Throws: `Failure`: libtorch's.
  func evaluate(_ b: CodeBlocks, _ parameters: [Float], rate: Double = 0, gradient: UnsafeMutablePointer<Float>? = nil, symbols: UnsafeMutablePointer<Int32>? = nil) throws -> [Double] {
    var out = [Double](repeating: 0, count: CodeLoss.terms), o = objective
    if b.count == 0 { return out }
    try with(b) { k, blocks in try Torch.check(ctorch_code_loss(k, parameters, blocks, rate, &o, device, &out, gradient, symbols), "loss") }
    return out
  }
  /// z of the blocks, [patch][latent].
  func latents(_ b: CodeBlocks, _ parameters: [Float]) throws -> [Float] {
    var out = [Float](repeating: 0, count: b.patches(shape) * shape.latents)
    if b.count > 0 { try with(b) { k, blocks in try Torch.check(ctorch_code_analysis(k, parameters, blocks, device, &out), "analysis") } }
    return out
  }
  /// Values of latents z^, as many as the blocks have.
  func values(_ b: CodeBlocks, _ latents: [Float], _ parameters: [Float]) throws -> [Float] {
    var out = [Float](repeating: 0, count: b.values.count)
    try with(b) { k, blocks in try Torch.check(ctorch_code_synthesis(k, parameters, blocks, latents, device, &out), "synthesis") }
    return out
  }
  /// Adds sums of u u^T and of u over the patches.
  func addMoments(_ b: CodeBlocks, to sums: inout [Double]) throws {
    if b.count > 0 { try with(b) { k, blocks in try Torch.check(ctorch_code_moments(k, blocks, &sums), "moments") } }
  }

  /// Adds a sample of sum lambda_k / scale_k J_k^T J_k over the patches, J_k the derivative of observable k by a patch's coordinates.
  func addSensitivity(_ b: CodeBlocks, seed: UInt64, to sums: inout [Double]) throws {
    var o = objective
    if b.count > 0 { try with(b) { k, blocks in try Torch.check(ctorch_code_sensitivity(k, blocks, &o, seed, device, &sums), "sensitivity") } }
  }

  /// Adds what the energy of a code's noise adds to that, by differences of `size`. - Parameter b: with noise.
  func addCurvature(_ b: CodeBlocks, _ parameters: [Float], size: Double, seed: UInt64, to sums: inout [Double]) throws {
    var o = objective
    if b.count > 0 { try with(b) { k, blocks in try Torch.check(ctorch_code_curvature(k, parameters, blocks, &o, size, seed, device, &sums), "curvature") } }
  }

  private func with(_ b: CodeBlocks, _ body: (UnsafePointer<ctorch_code>, UnsafePointer<ctorch_blocks>) throws -> Void) throws {
    let kind = shape.kind == .sparse ? CTORCH_SPARSE : shape.kind == .variational ? CTORCH_VARIATIONAL : CTORCH_FACTORIZED
    try basis.withUnsafeBufferPointer { basis in try dual.withUnsafeBufferPointer { dual in try costs.withUnsafeBufferPointer { costs in
      try b.values.withUnsafeBufferPointer { values in try b.noise.withUnsafeBufferPointer { noise in
        var k = ctorch_code(
          kind: Int32(kind), components: Int32(shape.components), dimensions: Int32(shape.dimensions), patch: Int32(shape.patch), inputs: Int32(shape.inputs),
          latents: Int32(shape.latents), before: Int32(shape.before), behind: Int32(shape.behind), mixtures: Int32(shape.mixtures), basis: basis.isEmpty ? nil : basis.baseAddress,
          dual: dual.isEmpty ? nil : dual.baseAddress, costs: costs.isEmpty ? nil : costs.baseAddress, threshold: threshold, smooth: smooth, group: Int32(shape.group), solve: Int32(shape.solve), debias: debias ? 1 : 0)
        var blocks = ctorch_blocks(
          count: Int32(b.count), extents: (Int32(b.extents.z), Int32(b.extents.y), Int32(b.extents.x)), values: values.baseAddress,
          noise: noise.isEmpty ? nil : noise.baseAddress)
        try body(&k, &blocks)
      } }
    } } }
  }
}
