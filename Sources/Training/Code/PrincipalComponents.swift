import Compressor
import Fields
import Glibc
import LatentGeometry
import MPI

/// Where codes begin: directions of largest variance of the patches, and one step for all of them.
struct PrincipalComponents {
  /// Variances, largest first, and the directions [row][channel]; of all channels.
  let variances: [Double], rows: [Double]
  /// Coordinates worth coding.
  let inputs: Int
  let step: Double
  /// At this step, of the blocks learned from: bits per value by entropies, and dB.
  let rate: Double, psnr: Double
  /// Bits per value that the error's doubling saves, as the slope at this step: what a unit of D is worth.
  let slope: Double

  var basis: [Float] { rows[..<(inputs * channels)].map(Float.init) }
  private var channels: Int { variances.count }

  /// - Parameter sample: blocks of this rank. - Parameter range: largest less smallest value over the blocks' scale, root mean square over the sets.
  /// - Throws: `Failure`, on all ranks.
  /// - Collective: all ranks.
  init(_ o: TrainOptions, _ shape: CodeShape, _ sample: [CodeBlocks], range: Double, axes: [Int], ranks: borrowing Communicator) throws {
    let n = shape.channels
    var whole = shape
    (whole.kind, whole.inputs, whole.latents, whole.before, whole.behind, whole.solve) = (.variational, n, n, 0, 0, 0)
    let plain = CodeLoss(o, whole, basis: [], axes: axes)
    let own = try ranks.agree { () -> [Double] in
      var s = [Double](repeating: 0, count: n * n + n)
      for b in sample { try plain.addMoments(b, to: &s) }
      return s + [Double(sample.reduce(0) { $0 + $1.patches(shape) })]
    }
    let sums = try ranks.allReduce(own, .sum), patches = sums[n * n + n]
    // One rank's, so that all have the same.
    let isFirst = ranks.rank == 0
    let found = try ranks.allReduce(ranks.agree { () -> [Double] in
      if !isFirst { return [Double](repeating: 0, count: n + n * n) }
      let (w, z) = try DenseMatrix(rows: n, columns: n, sums[..<(n * n)].map { $0 / patches }).eigen()
      return w.map { max($0, 0) } + z.values
    }, .sum)
    let variances = Array(found[..<n]), rows = Array(found[n...])
    (self.variances, self.rows) = (variances, rows)
    // Squared error per value to aim at, by water-filling where a rate is given.
    let target: Double
    if let rate = o.rate {
      func bits(_ level: Double) -> Double { variances.reduce(0) { $0 + max(0, 0.5 * log2(max($1, 1e-300) / level)) } / Double(n) }
      var (low, high) = (variances[0] * 1e-12, variances[0])
      for _ in 0..<100 {
        let m = (low * high).squareRoot()
        if bits(m) > rate { low = m } else { high = m }
      }
      target = variances.reduce(0) { $0 + min($1, high) } / Double(n)
    } else { target = range * range * pow(10, -o.psnr[0] / 10) }
    var kept = n, rest = 0.0
    while kept > 1, rest + variances[kept - 1] < 0.01 * target * Double(n) {
      kept -= 1
      rest += variances[kept]
    }
    inputs = kept
    // Coordinates of the sample, and the step that gives them the bound or the rate.
    var start = whole
    (start.inputs, start.latents) = (kept, kept)
    let coder = CodeLoss(o, start, basis: rows[..<(kept * n)].map(Float.init), axes: axes)
    var p = [Float](repeating: 0, count: start.parameterCount)
    for i in 0..<kept { p[start.range(.analysis).lowerBound + i * (kept + 1)] = 1 }
    let parameters = p
    let y = try ranks.agree { try sample.flatMap { try coder.latents($0, parameters) } }
    func error(_ step: Double) throws -> Double {
      var s = 0.0
      for v in y {
        let t = Double(v) / step, d = (t - t.rounded()) * step
        s += d * d
      }
      return try (ranks.allReduce(s, .sum) / patches + rest) / Double(n)
    }
    func rate(_ step: Double) throws -> Double {
      var c = CodeCounts(latents: kept)
      c.add(y.map { Int32(max(-1e9, min(1e9, (Double($0) / step).rounded()))) })
      try c.gather(ranks: ranks)
      return c.bits(of: c) / patches / Double(n)
    }
    var (low, high) = (variances[0].squareRoot() * 1e-7, variances[0].squareRoot() * 4)
    for _ in 0..<40 {
      let m = (low * high).squareRoot()
      if try o.rate.map({ try rate(m) < $0 }) ?? (error(m) > target) { high = m } else { low = m }
    }
    step = low
    self.rate = try rate(low)
    let here = try error(low)
    psnr = -10 * log10(here / (range * range))
    slope = try max(1e-6, (self.rate - rate(1.1 * low)) / max(error(1.1 * low) / here - 1, 1e-9))
  }
}
