import Foundation
import Fields
import LatentGeometry
import MPI
import Reduction
import Statistics

/// Rows that need no field: the best noise searched for numerically, and planted overlaps.
enum Limits {
  /// Random orthonormal columns.
  private static func orthogonal(_ n: Int, seed: UInt64) throws -> DenseMatrix {
    let r = CounterRandom(seed: seed)
    var q = DenseMatrix(rows: n, columns: n) { r.gaussian(component: $0, at: Index3(0, 0, $1)) }
    for _ in 0..<3 { q = try q * (q.transposed * q).cholesky().upperInverse() }
    return q
  }

  /// GL-5: the smallest D + lambda P that gradient descent over noise covariances of determinant 1 finds from random starts, over the bound
  /// n det(G_lambda)^(1/n), minus 1: (smallest, largest over the starts).
  ///
  /// S^1/2 exp(-t (K - tr K/n)) S^1/2 with K = S^1/2 G S^1/2 keeps the determinant.
  static func search(cosines: [Double], weight: Double, starts: Int, seed: UInt64) throws -> (least: Double, most: Double) {
    let n = 10, q = try orthogonal(n, seed: seed)
    let spiked = SpikedMetrics(count: n, distortion: (1, 5), observable: (0.2, 3), cosines: cosines).dense()
    let law = LocalLaw(distortion: q * spiked.distortion * q.transposed, observable: q * spiked.observable * q.transposed)
    let g = law.combined(weight), bound = try law.leastCost(weight: weight)
    let excess = try (0..<starts).map { s -> Double in
      let r = CounterRandom(seed: seed, stream: UInt64(s + 1))
      let a = DenseMatrix(rows: n, columns: n) { r.gaussian(component: $0, at: Index3(0, 1, $1)) }
      var noise = a * a.transposed + 0.1 * .identity(n)
      noise = try exp(-noise.logDeterminant() / Double(n)) * noise
      for _ in 0..<600 {
        let root = try noise.squareRoot(), k = root * g * root, values = try k.eigen().values, m = k.trace / Double(n)
        noise = try root * k.function { exp(-($0 - m) / values[0]) } * root
      }
      return DenseMatrix.inner(g, noise) / bound - 1
    }
    return (excess.min()!, excess.max()!)
  }

  /// GL-8: overlaps of dominant spaces that were planted with known principal angles in 32^3 latents, found without matrices.
  /// - Collective: all ranks.
  static func planted(ranks: borrowing Communicator) throws -> [(planted: Double, found: Double)] {
    let grid = Grid(shape: Index3(repeating: 32), periodic: .init(true, true, true))
    return try withRankDomain(grid, ranks: ranks) { domain in
      let space = LatentSpace(boxes: [domain.box], count: grid.count, reducer: domain)
      return try [[1.0, 1, 1, 1], [0.9, 0.7, 0.5, 0.3], [0.4, 0.2, 0.1, 0], [0, 0, 0, 0]].enumerated().map { j, cosines in
        let basis = try space.orthonormalised((0..<8).map { space.gaussians(seed: 7, stream: UInt64(8 * j + $0)) }).columns
        let turned = (0..<4).map { k in
          let c = cosines[k], s = max(0, 1 - c * c).squareRoot()
          return zip(basis[k], basis[4 + k]).map { c * $0 + s * $1 }
        }
        /// I + strength (8, 7, 6, 5) on the span.
        func metric(_ u: [Flat]) -> (Flat) throws -> Flat {
          { z in
            let c = try InnerProducts.gram(u, [z], reducer: domain)
            var y = z
            for k in u.indices { let w = Double(8 - k) * c[k, 0]; for i in y.indices { y[i] += w * u[k][i] } }
            return y
          }
        }
        let c = try Comparison(space: space, rank: 4, probes: 1, seed: 3, first: metric(Array(basis[..<4])), second: metric(turned))
        let found = c.overlap.curve.first { $0.rank == 4 }!.value
        return (cosines.reduce(0) { $0 + $1 * $1 } / 4, found)
      }
    }
  }
}
