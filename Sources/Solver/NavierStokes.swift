import Glibc
import MPI

/// Incompressible flow in a periodic box: du/dt = P(u x curl u) - nu k^2 u in Fourier space.
///
/// Pseudo-spectral with the 2/3 rule; viscosity exactly by an integrating factor, the rest by the classical
/// fourth-order Runge-Kutta scheme.
/// - Source: Canuto, Hussaini, Quarteroni, Zang, Spectral Methods (2007), chapter 3.
final class NavierStokes {
  let grid: SpectralGrid
  let viscosity: Double
  /// Fourier coefficients of the velocity (normalised: the mode (0,0,0) is the mean).
  private(set) var velocity: VectorBlock
  private(set) var time = 0.0
  private var next: VectorBlock
  private let stage: VectorBlock, work: VectorBlock, vorticity: VectorBlock

  init(_ grid: SpectralGrid, viscosity: Double) {
    self.grid = grid; self.viscosity = viscosity
    velocity = VectorBlock(grid); next = VectorBlock(grid)
    stage = VectorBlock(grid); work = VectorBlock(grid); vorticity = VectorBlock(grid)
  }

  /// Sets the velocity from real space at time 0; removes what is aliased or compressible.
  ///
  /// - Collective: all ranks.
  func setVelocity(_ body: (_ z: Double, _ y: Double, _ x: Double) -> (Double, Double, Double)) {
    let h = 2 * Double.pi / Double(grid.n)
    let (u, v, w) = (velocity.x.values, velocity.y.values, velocity.z.values)
    grid.forEachCell { at, k, j, i in
      (u[at], v[at], w[at]) = body(Double(k) * h, Double(j) * h, Double(i) * h)
    }
    velocity.all.forEach(grid.forward)
    project(velocity, largest: (grid.n - 1) / 3)
    time = 0
  }

  /// Adds a divergence-free random field of wavenumbers up to 4, about `amplitude` in rms per component.
  ///
  /// Depends on seed and grid only: every cell draws from its own counter.
  /// - Collective: all ranks.
  func perturb(amplitude: Double, seed: UInt64) {
    let n = grid.n
    for (c, block) in work.all.enumerated() {
      let p = block.values
      grid.forEachCell { at, k, j, i in
        let cell = UInt64(((c * n + k) * n + j) * n + i)
        p[at] = 2 * uniform(seed, cell) - 1
      }
      grid.forward(block)
    }
    project(work, largest: 4)
    // White noise in [-1, 1) has variance 1/3, of which the 9^3 modes kept hold their share, and 2/3 of that is divergence-free.
    let share = Double(729) / Double(n * n * n)
    let scale = amplitude / (share / 3 * 2 / 3).squareRoot()
    for (block, noise) in zip(velocity.all, work.all) {
      for i in 0..<grid.blockCount { block.values[i] += scale * noise.values[i] }
    }
  }

  /// Advances by `dt`.
  ///
  /// - Collective: all ranks.
  func step(_ dt: Double) {
    // Integrating factor of half a step, as a product over the axes.
    let half = (0...grid.n / 2).map { exp(-viscosity * dt / 2 * Double($0 * $0)) }
    nonlinear(of: velocity)
    combine(half) { u, k, e in (e * e * (u + dt / 6 * k), e * (u + dt / 2 * k)) }
    nonlinear(of: stage)
    accumulate(half) { u, acc, k, e in (acc + dt / 3 * e * k, e * u + dt / 2 * k) }
    nonlinear(of: stage)
    accumulate(half) { u, acc, k, e in (acc + dt / 3 * e * k, e * e * u + dt * e * k) }
    nonlinear(of: stage)
    accumulate(half) { u, acc, k, e in (acc + dt / 6 * k, 0) }
    swap(&velocity, &next)
    time += dt
  }

  /// Mean kinetic energy 1/2 <|u|^2> and dissipation nu <|curl u|^2>; equal on all ranks, the last bits depend on
  /// how many there are.
  ///
  /// - Collective: all ranks.
  func energyAndDissipation(_ ranks: borrowing Communicator) throws -> (energy: Double, dissipation: Double) {
    var e = 0.0, d = 0.0
    let (u, v, w) = (velocity.x.values, velocity.y.values, velocity.z.values), n = grid.n
    grid.forEachMode { at, kx, ky, kz in
      // The half that is not stored mirrors every plane but kx = 0 and kx = n/2.
      let weight = kx == 0 || 2 * Int(kx) == n ? 0.5 : 1.0
      let s = u[at] * u[at] + u[at + 1] * u[at + 1] + v[at] * v[at] + v[at + 1] * v[at + 1]
        + w[at] * w[at] + w[at + 1] * w[at + 1]
      e += weight * s
      d += weight * (kx * kx + ky * ky + kz * kz) * s
    }
    let sums = try ranks.allReduce([e, d], .sum)
    return (sums[0], 2 * viscosity * sums[1])
  }

  /// The velocity in real space, in blocks that are overwritten by the next step.
  ///
  /// - Collective: all ranks.
  func realVelocity() -> VectorBlock {
    for (from, to) in zip(velocity.all, work.all) {
      to.values.update(from: from.values, count: grid.blockCount)
      grid.backward(to)
    }
    return work
  }

  // Leaves P(u x curl u), dealiased, in `work`.
  private func nonlinear(of velocity: VectorBlock) {
    let (u, v, w) = (velocity.x.values, velocity.y.values, velocity.z.values)
    let (a, b, c) = (work.x.values, work.y.values, work.z.values)
    let (p, q, r) = (vorticity.x.values, vorticity.y.values, vorticity.z.values)
    grid.forEachMode { re, kx, ky, kz in
      let im = re + 1
      a[re] = u[re]; a[im] = u[im]
      b[re] = v[re]; b[im] = v[im]
      c[re] = w[re]; c[im] = w[im]
      // i k x u
      p[re] = -(ky * w[im] - kz * v[im]); p[im] = ky * w[re] - kz * v[re]
      q[re] = -(kz * u[im] - kx * w[im]); q[im] = kz * u[re] - kx * w[re]
      r[re] = -(kx * v[im] - ky * u[im]); r[im] = kx * v[re] - ky * u[re]
    }
    work.all.forEach(grid.backward)
    vorticity.all.forEach(grid.backward)
    grid.forEachCell { at, _, _, _ in
      let (u, v, w) = (a[at], b[at], c[at])
      a[at] = v * r[at] - w * q[at]
      b[at] = w * p[at] - u * r[at]
      c[at] = u * q[at] - v * p[at]
    }
    work.all.forEach(grid.forward)
    project(work, largest: (grid.n - 1) / 3)
  }

  /// Scales by 1/n^3, drops modes beyond `largest` in any direction and the part along k.
  private func project(_ f: VectorBlock, largest: Int) {
    let (a, b, c) = (f.x.values, f.y.values, f.z.values)
    let scale = 1 / Double(grid.n * grid.n * grid.n), top = Double(largest)
    grid.forEachMode { re, kx, ky, kz in
      let im = re + 1
      if kx > top || abs(ky) > top || abs(kz) > top {
        a[re] = 0; a[im] = 0; b[re] = 0; b[im] = 0; c[re] = 0; c[im] = 0
        return
      }
      let k2 = kx * kx + ky * ky + kz * kz
      let over = k2 == 0 ? 0 : 1 / k2
      let dre = (kx * a[re] + ky * b[re] + kz * c[re]) * over
      let dim = (kx * a[im] + ky * b[im] + kz * c[im]) * over
      a[re] = scale * (a[re] - kx * dre); a[im] = scale * (a[im] - kx * dim)
      b[re] = scale * (b[re] - ky * dre); b[im] = scale * (b[im] - ky * dim)
      c[re] = scale * (c[re] - kz * dre); c[im] = scale * (c[im] - kz * dim)
    }
  }

  // next, stage = f(velocity, work, factor)
  @inline(__always) private func combine(_ half: [Double], _ f: (Double, Double, Double) -> (Double, Double)) {
    accumulate(half) { u, _, k, e in f(u, k, e) }
  }

  // next, stage = f(velocity, next, work, factor)
  @inline(__always) private func accumulate(_ half: [Double], _ f: (Double, Double, Double, Double) -> (Double, Double)) {
    let blocks = [(velocity.x, next.x, stage.x, work.x), (velocity.y, next.y, stage.y, work.y), (velocity.z, next.z, stage.z, work.z)]
    half.withUnsafeBufferPointer { half in
      for block in blocks {
        let (u, acc, st, k) = (block.0.values, block.1.values, block.2.values, block.3.values)
        grid.forEachMode { re, kx, ky, kz in
          let e = half[Int(abs(ky))] * half[Int(abs(kz))] * half[Int(kx)]
          for i in re...re + 1 { (acc[i], st[i]) = f(u[i], acc[i], k[i], e) }
        }
      }
    }
  }
}

/// A number in [0, 1) of a counter (splitmix64).
func uniform(_ seed: UInt64, _ counter: UInt64) -> Double {
  var z = seed &+ (counter &+ 1) &* 0x9e37_79b9_7f4a_7c15
  z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
  z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
  z ^= z >> 31
  return Double(z >> 11) * 0x1p-53
}
