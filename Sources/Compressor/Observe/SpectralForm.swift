import Codecs
import Fields
import Glibc
import MPI
import Observables
import Reduction

/// Sensitivities of bands from a symbol: g_f = (1/N) sum over k of a(kappa^2) |phi_f^(k)|^2, the mean over the places of band f.
///
/// |phi^|^2 is the product of the axes', those of a block inside a long line; the sum runs over one octant with multiplicities.
/// - Complexity: N/8 M multiplications over all ranks.
/// - Collective: all ranks.
func spectralSensitivity(
  _ symbol: (Double) -> Double, _ transform: LappedOrthogonalTransform, coordinates: Coordinates, on domain: RankDomain,
  ranks: borrowing Communicator
) throws -> [Double] {
  let grid = transform.grid, m = transform.blockEdge, squares = wavenumberSquares(grid, coordinates)
  let powers = (0..<3).map { a in grid.shape[a] == 1 ? [[1.0]] : tonePowers(blockEdge: m, count: grid.shape[a]) }
  // Each plane of kz gives M x M numbers, added in the order of the planes.
  var mine: [Double] = []
  for kz in squares[0].indices where kz % ranks.size == ranks.rank {
    var plane = [Double](repeating: 0, count: m * m), row = [Double](repeating: 0, count: squares[2].count)
    for ky in squares[1].indices {
      let s = squares[0][kz] + squares[1][ky]
      for kx in row.indices { row[kx] = symbol(s + squares[2][kx]) }
      for fx in powers[2].indices {
        var sum = 0.0
        powers[2][fx].withUnsafeBufferPointer { p in for kx in row.indices { sum += row[kx] * p[kx] } }
        if sum == 0 { continue }
        for fy in powers[1].indices { plane[fy * m + fx] += powers[1][fy][ky] * sum }
      }
    }
    mine += [Double(kz)] + plane
  }
  var planes = [[Double]](repeating: [], count: squares[0].count)
  for list in try domain.gathered(mine) {
    for at in stride(from: 0, to: list.count, by: m * m + 1) { planes[Int(list[at])] = Array(list[(at + 1)..<(at + 1 + m * m)]) }
  }
  var g = [Double](repeating: 0, count: m * m * m)
  for (kz, plane) in planes.enumerated() {
    for fz in powers[0].indices { for i in 0..<m * m { g[fz * m * m + i] += powers[0][fz][kz] * plane[i] } }
  }
  return g.map { $0 / Double(grid.count) }
}

/// |phi_f^(2 pi j/n)|^2 for j = 0 ... n/2 times how often it counts, for each frequency f of a block of M inside a line.
private func tonePowers(blockEdge m: Int, count n: Int) -> [[Double]] {
  let line = Grid(shape: Index3(1, 1, 4 * m), dimensions: 1), t = LappedOrthogonalTransform(blockEdge: m, grid: line)
  return (0..<m).map { f in
    let latent = RawArray(box: line.box, elementSize: 8, zeroed: true), out = RawArray(box: line.box, elementSize: 8)
    latent.bound(to: Double.self)[m + f] = 1
    t.synthesiseInside(latent, core: line.box)
    t.synthesise(latent, core: line.box, into: out)
    let phi = (0..<4 * m).map { out.bound(to: Double.self)[$0] }
    return (0...n / 2).map { j in
      var re = 0.0, im = 0.0
      for (i, v) in phi.enumerated() where v != 0 {
        let angle = 2 * Double.pi * Double(i * j % n) / Double(n)
        re += v * cos(angle); im -= v * sin(angle)
      }
      return (re * re + im * im) * (j == 0 || 2 * j == n ? 1 : 2)
    }
  }
}
