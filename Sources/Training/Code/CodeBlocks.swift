import Compressor
import Fields

/// Blocks side by side as libtorch takes them, and noise for their latents.
struct CodeBlocks {
  let extents: Index3
  private(set) var count = 0
  private(set) var values: [Float] = []
  /// [block][patch][latent]; empty: latents are rounded.
  private(set) var noise: [Float] = []

  init(extents: Index3) { self.extents = extents }
  mutating func add(_ block: ArraySlice<Float>) {
    count += 1
    values += block
  }
  /// Adds noise for the block that was added last: uniform over a step, or normal of variance 1.
  mutating func addNoise(_ shape: CodeShape, _ random: inout Shuffle) {
    let n = patches(shape) / count * shape.latents
    noise.reserveCapacity(noise.count + n)
    if shape.kind == .variational { for _ in 0..<n { noise.append(Float(random.normal())) } } else { for _ in 0..<n { noise.append(Float(random.uniform())) } }
  }
  func patches(_ s: CodeShape) -> Int {
    count * (0..<s.dimensions).reduce(1) { n, a in n * extents[2 - a] / s.patch }
  }
}
