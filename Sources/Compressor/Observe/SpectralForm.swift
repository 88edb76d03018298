import CKernels
import Codecs
import Fields
import Glibc
import Observables
import Reduction

/// Powers of the basis functions of a lapped transform in Fourier space, axis by axis: |phi_f^|^2 is the product of the axes', those of a block
/// inside a long line; sums run over one octant with multiplicities, of large grids over the rows of `ModeRows`.
struct TonePowers {
  /// `[axis][frequency][j]`, j = 0 ... n/2, times how often j counts.
  let powers: [[[Double]]]
  let squares: [[Double]]
  private let edge: Int
  private let grid: Grid
  private let chosen: ModeRows

  init(_ transform: LappedOrthogonalTransform, coordinates: Coordinates) {
    grid = transform.grid
    chosen = ModeRows(transform.grid.shape)
    edge = transform.blockEdge
    squares = wavenumberSquares(grid, coordinates)
    var known: [Int: [[Double]]] = [1: [[1]]]
    powers = (0..<3).map { a in
      let n = transform.grid.shape[a], p = known[n] ?? tonePowers(blockEdge: transform.blockEdge, count: n)
      known[n] = p
      return p
    }
  }

  /// Sensitivities of bands from a symbol: g_f = (1/N) sum over k of a(kappa^2) |phi_f^(k)|^2, the mean over the places of band f.
  ///
  /// - Complexity: N/8 M multiplications over all ranks, a sixteenth of them on large grids.
  /// - Collective: all ranks.
  func sensitivities(_ symbol: SpectralSymbol, on domain: RankDomain) throws -> [Double] {
    let m = edge, nx = squares[2].count, fy = powers[1].count
    // Each plane of kz gives M x M numbers, added in the order of the planes.
    var mine: [Double] = [], row = [Double](repeating: 0, count: nx), shell = [Int32](repeating: 0, count: nx)
    for kz in squares[0].indices where kz % domain.boxes.count == domain.rank {
      var rows = [Double](repeating: 0, count: fy * nx), plane = [Double](repeating: 0, count: m * m)
      for ky in squares[1].indices {
        let w = chosen.weight(kz, ky)
        if w == 0 { continue }
        let s = squares[0][kz] + squares[1][ky]
        switch symbol {
        case .function(let a): for kx in 0..<nx { row[kx] = a(s + squares[2][kx]) }
        case .shells(let a):
          ald_shell_row(s, squares[2], nx, &shell)
          for kx in 0..<nx { row[kx] = a[min(Int(shell[kx]), a.count - 1)] }
        }
        rows.withUnsafeMutableBufferPointer { r in for f in 0..<fy { ald_row_add(r.baseAddress! + f * nx, row, w * powers[1][f][ky], nx) } }
      }
      for f in 0..<fy {
        for fx in powers[2].indices {
          var sum = 0.0
          for kx in 0..<nx { sum += rows[f * nx + kx] * powers[2][fx][kx] }
          plane[f * m + fx] = sum
        }
      }
      mine += [Double(kz)] + plane
    }
    var g = [Double](repeating: 0, count: m * m * m)
    for (kz, plane) in try gathered(mine, of: m * m, on: domain).enumerated() {
      for fz in powers[0].indices { for i in 0..<m * m { g[fz * m * m + i] += powers[0][fz][kz] * plane[i] } }
    }
    return g.map { $0 / Double(grid.count) }
  }

  /// Half the mean square that latents of band f with `energy[f]` in all bring into the shells 0 ... highest and the rest.
  ///
  /// - Complexity: N/8 M multiplications over all ranks.
  /// - Collective: all ranks.
  func shellEnergies(_ energy: [Double], count: Int, on domain: RankDomain) throws -> [Double] {
    let m = edge, nx = squares[2].count, ny = squares[1].count
    // Along x, then y.
    var sheets = [[Double]](repeating: [Double](repeating: 0, count: ny * nx), count: powers[0].count)
    for fz in sheets.indices {
      for fy in powers[1].indices {
        var line = [Double](repeating: 0, count: nx)
        for fx in powers[2].indices { ald_row_add(&line, powers[2][fx], energy[(fz * m + fy) * m + fx], nx) }
        sheets[fz].withUnsafeMutableBufferPointer { s in
          for ky in 0..<ny { ald_row_add(s.baseAddress! + ky * nx, line, powers[1][fy][ky], nx) }
        }
      }
    }
    var mine: [Double] = [], shell = [Int32](repeating: 0, count: nx), line = [Double](repeating: 0, count: nx)
    let planes = squares[0].indices.filter { $0 % domain.boxes.count == domain.rank }
    var sums = planes.map { _ in [Double](repeating: 0, count: count) }
    for ky in 0..<ny {
      for (p, kz) in planes.enumerated() {
        let w = chosen.weight(kz, ky)
        if w == 0 { continue }
        for k in 0..<nx { line[k] = 0 }
        for fz in sheets.indices { sheets[fz].withUnsafeBufferPointer { ald_row_add(&line, $0.baseAddress! + ky * nx, w * powers[0][fz][kz], nx) } }
        ald_shell_row(squares[0][kz] + squares[1][ky], squares[2], nx, &shell)
        sums[p].withUnsafeMutableBufferPointer { s in for k in 0..<nx { s[min(Int(shell[k]), count - 1)] += line[k] } }
      }
    }
    for (p, kz) in planes.enumerated() { mine += [Double(kz)] + sums[p] }
    var out = [Double](repeating: 0, count: count)
    for p in try gathered(mine, of: count, on: domain) { for b in out.indices { out[b] += p[b] } }
    let n = Double(grid.count)
    return out.map { 0.5 * $0 / (n * n) }
  }

  /// What the ranks have for their planes of kz, each its number and `count` more, by plane.
  ///
  /// - Collective: all ranks.
  private func gathered(_ mine: [Double], of count: Int, on domain: RankDomain) throws -> [[Double]] {
    var planes = [[Double]](repeating: [], count: squares[0].count)
    for list in try domain.gathered(mine) {
      for at in stride(from: 0, to: list.count, by: count + 1) { planes[Int(list[at])] = Array(list[(at + 1)..<(at + 1 + count)]) }
    }
    return planes
  }
}

/// |phi_f^(2 pi j/n)|^2 for j = 0 ... n/2 times how often it counts, for each frequency f of a block of M inside a line.
private func tonePowers(blockEdge m: Int, count n: Int) -> [[Double]] {
  let line = Grid(shape: Index3(1, 1, 4 * m), dimensions: 1), t = LappedOrthogonalTransform(blockEdge: m, grid: line)
  let roots = (0..<n).map { k in
    let angle = 2 * Double.pi * Double(k) / Double(n)
    return (cos(angle), sin(angle))
  }
  return (0..<m).map { f in
    let latent = RawArray(box: line.box, elementSize: 8, zeroed: true), out = RawArray(box: line.box, elementSize: 8)
    latent.bound(to: Double.self)[m + f] = 1
    t.synthesiseInside(latent, core: line.box)
    t.synthesise(latent, core: line.box, into: out)
    let phi = (0..<4 * m).map { out.bound(to: Double.self)[$0] }
    return (0...n / 2).map { j in
      var re = 0.0, im = 0.0
      for (i, v) in phi.enumerated() where v != 0 {
        let (c, s) = roots[i * j % n]
        re += v * c; im -= v * s
      }
      return (re * re + im * im) * (j == 0 || 2 * j == n ? 1 : 2)
    }
  }
}
