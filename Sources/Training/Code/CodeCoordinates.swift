import Compressor
import Glibc
import MPI

/// Uncorrelated coordinates of patches, one step for all of them, and what rounding to it costs: a linear code.
struct CodeCoordinates {
  /// Of the coordinates, largest first.
  let variances: [Double]
  /// z = basis u, and dual^T z the part of u that they hold: [row][channel].
  let basis: [Float], dual: [Float]
  let step: Double
  /// At this step, of the blocks learned from: bits per value by entropies, and |z^ - z|^2 per patch with what no coordinate holds.
  let rate: Double, error: Double
  /// -dR / d ln error at this step, bits per value: what a unit of the error, as a share of it, is worth.
  let slope: Double

  /// What to aim at: bits per value, or an error per patch.
  enum Aim { case rate(Double), error(Double) }
  var count: Int { variances.count }

  /// - Parameter rest: |u|^2 per patch that no coordinate holds, in the units of |z|^2.
  /// - Parameter sample: blocks of this rank.
  /// - Throws: `Failure`, on all ranks.
  /// - Collective: all ranks.
  init(_ o: TrainOptions, _ shape: CodeShape, variances: [Double], basis: [Float], dual: [Float], rest: Double, aim: Aim, sample: [CodeBlocks], axes: [Int], ranks: borrowing Communicator) throws {
    self.variances = variances; self.basis = basis; self.dual = dual
    let q = variances.count, n = Double(shape.channels), linear = shape.linear(q)
    let coder = CodeLoss(o, linear, basis: basis, dual: dual, axes: axes), parameters = linear.identity(step: 1)
    let y = try ranks.agree { try sample.flatMap { try coder.latents($0, parameters) } }
    let patches = try ranks.allReduce(Double(y.count / q), .sum)
    func error(_ step: Double) throws -> Double {
      var s = 0.0
      for v in y {
        let t = Double(v) / step, d = (t - t.rounded()) * step
        s += d * d
      }
      return try ranks.allReduce(s, .sum) / patches + rest
    }
    func rate(_ step: Double) throws -> Double {
      var c = CodeCounts(latents: q)
      c.add(y.map { Int32(max(-1e9, min(1e9, (Double($0) / step).rounded()))) })
      try c.gather(ranks: ranks)
      return c.bits(of: c) / patches / n
    }
    func isTooWide(_ step: Double) throws -> Bool {
      switch aim {
      case .rate(let r): try rate(step) < r
      case .error(let e): try error(step) > e
      }
    }
    var (low, high) = (variances[0].squareRoot() * 1e-7, variances[0].squareRoot() * 4)
    for _ in 0..<40 {
      let m = (low * high).squareRoot()
      if try isTooWide(m) { high = m } else { low = m }
    }
    step = low
    self.rate = try rate(low)
    self.error = try error(low)
    slope = try max(1e-6, (self.rate - rate(1.1 * low)) / max(error(1.1 * low) / self.error - 1, 1e-9))
  }
}

extension CodeShape {
  /// As many latents as coordinates, no hidden layers: for linear codes that are not trained.
  func linear(_ coordinates: Int) -> CodeShape {
    CodeShape(kind: .variational, components: components, dimensions: dimensions, patch: patch, inputs: coordinates, latents: coordinates, before: 0, behind: 0)
  }
  /// Parameters with which latents are the coordinates and these the values. - Precondition: `linear`.
  func identity(step: Double) -> [Float] {
    var p = [Float](repeating: 0, count: parameterCount)
    for part in [Part.analysis, .synthesis] { for i in 0..<inputs { p[range(part).lowerBound + i * (inputs + 1)] = 1 } }
    for i in range(.step) { p[i] = Float(log(step)) }
    return p
  }
}
