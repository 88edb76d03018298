import CTorch
import Codecs
import Compressor
import Fields
import Glibc
import MPI

/// What libtorch's forward passes of a model cost on the blocks of a field.
enum Timing {
  /// - Throws: `Failure`, on all ranks.
  /// - Collective: all ranks.
  static func run(_ o: TrainOptions, ranks: borrowing Communicator, say: (String) -> Void) throws {
    guard ranks.size == 1 else { throw Failure(.usage, "--time is for one rank") }
    let model = try ModelFile.read(o.timed!, ranks: ranks), input = try TrainingInput(o, ranks: ranks)
    switch model {
    case .network(let n):
      guard o.psnr.count == 1 else { throw Failure(.usage, "--time with a network takes one --psnr") }
      let tiles = try input.tiles(step: input.validation.lowerBound, psnr: o.psnr[0], shape: n.shape, every: 1, ranks: ranks)
      let loss = Loss(o, shape: n.shape, axes: input.axes), parts = n.shape.components, cells = tiles.extents.product * parts
      let batches = stride(from: 0, to: tiles.decoded.count, by: o.batch).map { at -> Examples in
        var e = Examples(tiles)
        for i in at..<min(at + o.batch, tiles.decoded.count) { e.add(tiles, i) }
        return e
      }
      let s = try best { for e in batches { _ = try loss.forward(e, n.parameters) } }
      say("correction by libtorch \(String(cString: ctorch_version())), one thread: \(rounded(4e-6 * Double(tiles.decoded.count * cells) / s)) MB/s of binary32 values")
    case .autoencoder(let a):
      let s = a.shape
      guard s.components == input.components, s.patch.y == s.patch.x, s.patch.z == (input.dimensions == 3 ? s.patch.x : 1) else { throw Failure(.usage, "the model is made for other fields") }
      guard s.analysis?.blocks ?? 0 == 0, s.synthesis.blocks == 0 else { throw Failure(.usage, "--time takes models of one hidden layer at most") }
      let blocks = try input.blocks(step: input.validation.lowerBound, patch: s.patch, ranks: ranks)
      let shape = CodeShape(a, dimensions: input.dimensions)
      let loss = CodeLoss(o, shape, basis: [], axes: input.axes), p = shape.parameters(of: a)
      let batches = stride(from: 0, to: blocks.values.count, by: o.batch).map { at -> CodeBlocks in
        var e = CodeBlocks(extents: blocks.extents)
        for i in at..<min(at + o.batch, blocks.values.count) { e.add(blocks.block(i)) }
        return e
      }
      let latents = try batches.map { try loss.latents($0, p) }, bytes = 4e-6 * Double(blocks.values.count * blocks.extents.product * s.components)
      let analysis = try best { for b in batches { _ = try loss.latents(b, p) } }
      let synthesis = try best { for (b, z) in zip(batches, latents) { _ = try loss.values(b, z, p) } }
      say("libtorch \(String(cString: ctorch_version())), one thread: analysis \(rounded(bytes / analysis)), synthesis \(rounded(bytes / synthesis)) MB/s of binary32 values")
      let own = kernels(a, blocks)
      say("the container's kernels, one thread: analysis \(own.analysis.map { rounded(bytes / $0) } ?? "solved for"), synthesis \(rounded(bytes / own.synthesis)) MB/s of binary32 values")
    }
  }

  /// Seconds that our kernels take for the same: cells to latents over their steps, and integers (at factor 1) to cells.
  private static func kernels(_ a: Autoencoder, _ blocks: TrainingBlocks) -> (analysis: Double?, synthesis: Double) {
    let box = Box(shape: blocks.extents), parts = a.shape.components, zeros = [Double](repeating: 0, count: parts)
    let codec = AutoencoderCodec(a, PatchNormalisation(scale: 1, offsets: zeros), encodes: true)
    let values = blocks.values.indices.map { i -> [RawArray] in
      let v = Array(blocks.block(i))
      return (0..<parts).map { c in
        let r = RawArray(box: box, type: .float32)
        r.bound(to: Float.self).update(from: Array(v[c * box.count..<(c + 1) * box.count]), count: box.count)
        return r
      }
    }
    let integers = values.map { codec.rounded(codec.input($0, box), factor: 1, deadZone: 0).q }
    let analysis = a.solvesCodes ? nil : best { for v in values { _ = codec.input(v, box) } }
    return (analysis, best { for q in integers { _ = codec.values(q, box, type: .float32, factor: 1, shifts: [0, 0, 0]) } })
  }

  /// Seconds of this process's processor time, the best of three runs after one.
  private static func best(_ body: () throws -> Void) rethrows -> Double {
    func time() -> Double {
      var t = timespec()
      clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t)
      return Double(t.tv_sec) + Double(t.tv_nsec) * 1e-9
    }
    try body()
    var best = Double.infinity
    for _ in 0..<3 {
      let start = time()
      try body()
      best = min(best, time() - start)
    }
    return best
  }
}
