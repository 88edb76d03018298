import CTorch
import Codecs
@testable import Compressor
import Fields
import MPI
import Support
import Testing
@testable import Training

/// What libtorch computes; the target exists only where there is one.
@Suite(.serialized) struct TrainingTests {
  static func field(_ grid: Grid, components: Int) -> FieldSource {
    let arrays = (0..<components).map { c -> [RawArray] in
      let a = RawArray(box: grid.box, type: .float32)
      for z in 0..<grid.shape.z { for y in 0..<grid.shape.y { for x in 0..<grid.shape.x {
        let i = (z * grid.shape.y + y) * grid.shape.x + x, noise = Float(SplitMix64.hash(UInt64(c), i) >> 40) * 0x1p-24
        a.bound(to: Float.self)[i] = Float(((x * 3 + y * (c + 2) + z * 5) % 17)) / 17 + Float((x + 2 * y) % 5) / 9 + 0.3 * noise
      } } }
      return [a]
    }
    return FieldSource(name: "u", grid: grid, type: .float32, components: components, boxes: [grid.box], arrays: arrays)
  }
  static func tiles(_ shape: Network.Shape, _ grid: Grid) throws -> TrainingTiles {
    try TrainingTiles(field(grid, components: shape.components), bound: .psnr(30), shape: shape, every: 1, threads: 1, ranks: Communicator.alone())
  }
  static func parameters(_ s: Network.Shape) -> [Float] { (0..<s.parameterCount).map { 0.1 * (Float(SplitMix64.hash(11, $0) >> 40) * 0x1p-23 - 1) } }

  @Test(arguments: [2, 3]) func gradientIsThatOfFiniteDifferences(dimensions: Int) throws {
    let shape = Network.Shape(components: dimensions, dimensions: dimensions, patch: 2, width: 6, blocks: 1)
    let grid = Grid(shape: dimensions == 3 ? Index3(16, 16, 16) : Index3(1, 48, 48), periodic: .init(true, true, true))
    let tiles = try TrainingTests.tiles(shape, grid)
    var o = TrainOptions(input: "", output: "", field: "")
    for (k, name) in TrainOptions.observables.enumerated() { o.physics[name] = TrainingSchedule(0.3 + 0.2 * Double(k)) }
    o.box = 4
    var loss = Loss(o, shape: shape, axes: dimensions == 3 ? [2, 1, 0] : [-1, 1, 0])
    var e = Examples(tiles)
    e.add(tiles, 0)
    let scale = try loss.evaluate(e, nil)
    #expect(scale.allSatisfy { $0 > 0 })
    loss.normalise(by: scale)
    let p = TrainingTests.parameters(shape)
    func value(_ p: [Float]) throws -> Double {
      let n = try loss.evaluate(e, p)
      return zip(zip(n, scale), loss.weights).reduce(0) { $0 + $1.0.0 / $1.0.1 * $1.1 }
    }
    var gradient = [Float](repeating: 0, count: p.count)
    _ = try gradient.withUnsafeMutableBufferPointer { try loss.evaluate(e, p, gradient: $0.baseAddress) }
    // Along directions, so that binary32 sums do not hide the difference.
    for seed in 0..<4 {
      let d = (0..<p.count).map { Float(SplitMix64.hash(UInt64(100 + seed), $0) >> 40) * 0x1p-23 - 1 }
      // Towards the gradient in part: a slope that is seen.
      let length = gradient.reduce(0) { max($0, abs($1)) }, direction = zip(d, gradient).map { $0 + 2 * $1 / length }
      let h: Float = 1e-4
      let slope = try (value(zip(p, direction).map { $0 + h * $1 }) - value(zip(p, direction).map { $0 - h * $1 })) / Double(2 * h)
      let expected = zip(gradient, direction).reduce(0) { $0 + Double($1.0) * Double($1.1) }
      #expect(abs(slope - expected) < 0.01 * abs(expected), "\(slope), gradient says \(expected)")
    }
  }

  @Test(arguments: [(3, 2), (2, 2), (2, 4), (3, 1)]) func forwardIsThatOfOurKernels(dimensions: Int, patch: Int) throws {
    let shape = Network.Shape(components: 2, dimensions: dimensions, patch: patch, width: 16, blocks: 1)
    let grid = Grid(shape: dimensions == 3 ? Index3(16, 32, 16) : Index3(1, 64, 48), periodic: .init(true, true, true))
    let tiles = try TrainingTests.tiles(shape, grid), network = Network(shape, rounding: TrainingTests.parameters(shape))
    var e = Examples(tiles)
    for i in tiles.decoded.indices { e.add(tiles, i) }
    let loss = Loss(TrainOptions(input: "", output: "", field: ""), shape: shape, axes: [-1, -1, -1])
    let theirs = try loss.forward(e, network.parameters), cells = tiles.extents.product, largest = theirs.reduce(0) { max($0, abs($1)) }
    let margin = shape.radius * patch, outer = dimensions == 3 ? Index3(margin, margin, margin) : Index3(0, margin, margin)
    for (i, block) in tiles.decoded.enumerated() {
      let core = Box(shape: tiles.extents), wide = Box(lower: core.lower - outer, upper: core.upper + outer)
      let values = (0..<2).map { c -> RawArray in
        let a = RawArray(box: wide, type: .float32)
        for k in 0..<a.count { a.bound(to: Float.self)[k] = block[c * a.count + k] }
        return a
      }
      for (c, ours) in network.corrected(values, core: core, unit: 1).enumerated() {
        for k in 0..<cells {
          let a = ours.bound(to: Float.self)[k], b = theirs[(i * 2 + c) * cells + k]
          #expect(abs(a - b) <= 1e-5 * largest, "block \(i), component \(c), cell \(k): \(a) and \(b)")
        }
      }
    }
  }

  @Test func errorsOfTorchAreOurs() throws {
    let shape = Network.Shape(components: 1, dimensions: 2, patch: 2, width: 4, blocks: 0), grid = Grid(shape: Index3(1, 48, 48))
    let tiles = try TrainingTests.tiles(shape, grid)
    var o = TrainOptions(input: "", output: "", field: "")
    o.physics["vorticity"] = TrainingSchedule(1)
    var loss = Loss(o, shape: shape, axes: [-1, -1, -1]), e = Examples(tiles)
    e.add(tiles, 0)
    loss.normalise(by: [1, 1, 1, 1, 1, 1])
    #expect { try loss.evaluate(e, nil) } throws: { ($0 as? Failure)?.message.contains("vorticity") == true }
    #expect(ctorch_has_device(-1) == 1 && ctorch_has_device(1000) == 0)
  }
}
