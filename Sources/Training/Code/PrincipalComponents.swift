import Compressor
import Fields
import Glibc
import LatentGeometry
import MPI

/// Directions of largest variance of the patches: where codes for the squared error begin, and what others are measured against.
struct PrincipalComponents {
  /// Variances, largest first, and the orthonormal directions [row][channel]; of all channels.
  let variances: [Double], rows: [Double]
  /// Those worth coding.
  let coordinates: CodeCoordinates
  /// dB at their step.
  let psnr: Double
  private let target: Double

  /// - Parameter sample: blocks of this rank. - Parameter range: largest less smallest value over the blocks' scale, root mean square over the sets.
  /// - Throws: `Failure`, on all ranks.
  /// - Collective: all ranks.
  init(_ o: TrainOptions, _ shape: CodeShape, _ sample: [CodeBlocks], range: Double, axes: [Int], ranks: borrowing Communicator) throws {
    let n = shape.channels, plain = CodeLoss(o, shape.linear(n), basis: [], axes: axes)
    let own = try ranks.agree { () -> [Double] in
      var s = [Double](repeating: 0, count: n * n + n)
      for b in sample { try plain.addMoments(b, to: &s) }
      return s + [Double(sample.reduce(0) { $0 + $1.patches(shape) })]
    }
    let sums = try ranks.allReduce(own, .sum), patches = sums[n * n + n]
    let (variances, rows) = try DenseMatrix(rows: n, columns: n, sums[..<(n * n)].map { $0 / patches }).eigen(ranks: ranks)
    (self.variances, self.rows) = (variances, rows)
    // Squared error per patch to aim at, by water-filling where a rate is given.
    target = try ranks.agree {
      if let rate = o.rate {
        let filling = WaterFilling(variances)
        return filling.noise(level: filling.level(rate: rate * Double(n) * Glibc.log(2))).reduce(0, +)
      }
      return range * range * pow(10, -o.psnr[0] / 10) * Double(n)
    }
    let kept = PrincipalComponents.needed(variances, tail: 0.01 * target), rest = variances[kept...].reduce(0, +)
    coordinates = try CodeCoordinates(
      o, shape, variances: Array(variances[..<kept]), basis: rows[..<(kept * n)].map(Float.init), dual: [], rest: rest, aim: o.rate.map { .rate($0) } ?? .error(target), sample: sample, axes: axes, ranks: ranks)
    psnr = -10 * log10(coordinates.error / Double(n) / (range * range))
  }

  /// Coordinates without which so little of the squared error that is aimed at is lost, as a share.
  func needed(share: Double) -> Int { PrincipalComponents.needed(variances, tail: share * target) }
  /// How many of the largest there must be for the others not to sum up to more than `tail`.
  static func needed(_ variances: [Double], tail: Double) -> Int {
    var kept = variances.count, rest = 0.0
    while kept > 1, rest + variances[kept - 1] < tail {
      kept -= 1
      rest += variances[kept]
    }
    return kept
  }
}

extension DenseMatrix {
  /// Eigenvalues, largest first and not negative, and the eigenvectors one after the other: one rank's, so that all have the same.
  ///
  /// - Collective: all ranks.
  func eigen(ranks: borrowing Communicator) throws -> (values: [Double], vectors: [Double]) {
    let n = rows, isFirst = ranks.rank == 0
    let found = try ranks.allReduce(ranks.agree { () -> [Double] in
      if !isFirst { return [Double](repeating: 0, count: n + n * n) }
      let (w, z) = try eigen()
      return w.map { max($0, 0) } + z.values
    }, .sum)
    return (Array(found[..<n]), Array(found[n...]))
  }
}
