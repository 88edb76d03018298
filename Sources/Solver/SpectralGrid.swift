import CFFTW
import MPI

/// Doubles aligned for FFTW: one scalar field of this rank's slab, in real or in Fourier space.
final class Block {
  let values: UnsafeMutablePointer<Double>
  let count: Int
  init(count: Int) {
    self.count = count
    values = fftw_alloc_real(max(1, count))!
    values.initialize(repeating: 0, count: max(1, count))
  }
  deinit { fftw_free(values) }
}

/// Three components, x y z.
struct VectorBlock {
  let x: Block, y: Block, z: Block
  init(_ grid: SpectralGrid) {
    x = Block(count: grid.blockCount); y = Block(count: grid.blockCount); z = Block(count: grid.blockCount)
  }
  var all: [Block] { [x, y, z] }
}

/// A periodic n^3 grid on [0, 2 pi)^3, cut into slabs: along z in real space, along ky in Fourier space.
///
/// Real space: `[nz, n, 2 (n/2 + 1)]`, the last two of each row unused. Fourier space: `[ny, n, n/2 + 1]` complex
/// numbers in the order ky, kz, kx. Ranks beyond n hold nothing and still take part.
final class SpectralGrid {
  let n: Int
  /// Planes z of this rank.
  let z: Range<Int>
  /// Planes ky of this rank, as array positions.
  let y: Range<Int>
  /// Doubles of a block.
  let blockCount: Int
  private let forwardPlan: fftw_plan, backwardPlan: fftw_plan

  /// Signed wavenumber of array position `i`.
  @inline(__always) func wavenumber(_ i: Int) -> Double { Double(i <= n / 2 ? i : i - n) }
  /// Complex numbers of a row along kx.
  var row: Int { n / 2 + 1 }

  /// - Collective: all ranks.
  init(_ n: Int, _ ranks: borrowing Communicator) {
    self.n = n
    cfftw_start()
    var n0 = 0, z0 = 0, n1 = 0, y0 = 0
    blockCount = 2 * cfftw_local_size(n, ranks.handle, &n0, &z0, &n1, &y0)
    z = z0..<z0 + n0
    y = y0..<y0 + n1
    let scratch = Block(count: blockCount)
    forwardPlan = cfftw_plan_forward(n, scratch.values, ranks.handle)
    backwardPlan = cfftw_plan_backward(n, scratch.values, ranks.handle)
  }
  deinit { fftw_destroy_plan(forwardPlan); fftw_destroy_plan(backwardPlan) }

  /// Real to Fourier space, in place, without the factor 1/n^3.
  ///
  /// - Collective: all ranks.
  func forward(_ b: Block) { cfftw_forward(forwardPlan, b.values) }
  /// Fourier to real space, in place.
  ///
  /// - Collective: all ranks.
  func backward(_ b: Block) { cfftw_backward(backwardPlan, b.values) }

  /// Calls `body(offset, kx, ky, kz)` for every mode of this rank; `offset` of the real part, the imaginary one follows.
  @inline(__always) func forEachMode(_ body: (Int, Double, Double, Double) -> Void) {
    var at = 0
    for j in y {
      let ky = wavenumber(j)
      for k in 0..<n {
        let kz = wavenumber(k)
        for i in 0..<row { body(at, Double(i), ky, kz); at += 2 }
      }
    }
  }

  /// Calls `body(offset, z, y, x)` with array positions for every cell of this rank.
  @inline(__always) func forEachCell(_ body: (Int, Int, Int, Int) -> Void) {
    for k in z { for j in 0..<n {
      let at = ((k - z.lowerBound) * n + j) * 2 * row
      for i in 0..<n { body(at + i, k, j, i) }
    } }
  }
}
