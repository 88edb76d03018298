import Fields
import Glibc

/// A random field of the spectrum of isotropic turbulence on a periodic cube; the same for the same seed.
///
/// E(k) ~ k^4 / (1 + k^2/k0^2)^(17/6) exp(-2 (k / kd)^(4/3)): energy at k0, -5/3 law, dissipation at kd. Phases and
/// amplitudes are independent Gaussians; the real part of one inverse transform.
struct Turbulence {
  /// Cells per side, a power of two of at least 16.
  let edge: Int
  var seed: UInt64 = 1

  func values() -> [Float] {
    let n = edge, count = n * n * n
    var re = [Float](repeating: 0, count: count), im = re
    let k0 = 2.5, kd = 0.2 * Double(n)
    let amplitude = (0...3 * n * n / 4).map { kk -> Double in
      let k2 = Double(kk)
      if kk == 0 || kk > n * n / 4 { return 0 }
      let e = k2 * k2 / pow(1 + k2 / (k0 * k0), 17.0 / 6) * exp(-2 * pow(k2.squareRoot() / kd, 4.0 / 3))
      return (e / k2).squareRoot()
    }
    for z in 0..<n {
      for y in 0..<n {
        for x in 0..<n {
          func wave(_ i: Int) -> Int { i > n / 2 ? i - n : i }
          let a = amplitude[wave(z) * wave(z) + wave(y) * wave(y) + wave(x) * wave(x)]
          if a == 0 { continue }
          let i = (z * n + y) * n + x
          let (u, v) = uniform(UInt64(i))
          let r = a * (-2 * log(u)).squareRoot()
          re[i] = Float(r * cos(2 * .pi * v)); im[i] = Float(r * sin(2 * .pi * v))
        }
      }
    }
    re.withUnsafeMutableBufferPointer { re in
      im.withUnsafeMutableBufferPointer { im in
        for axis in 0..<3 { transform(re.baseAddress!, im.baseAddress!, axis) }
      }
    }
    return re
  }

  /// Two numbers in (0, 1) that depend on seed and counter only.
  private func uniform(_ counter: UInt64) -> (Double, Double) {
    func mix(_ v: UInt64) -> Double {
      var z = v &* 0x9e37_79b9_7f4a_7c15 &+ seed &* 0xd134_2543_de82_ef95
      z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
      z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
      return (Double((z ^ (z >> 31)) >> 11) + 0.5) * 0x1p-53
    }
    return (mix(2 * counter), mix(2 * counter + 1))
  }

  private typealias Lane = SIMD16<Float>

  /// Inverse transform along one axis, sixteen lines at a time.
  private func transform(_ re: UnsafeMutablePointer<Float>, _ im: UnsafeMutablePointer<Float>, _ axis: Int) {
    let n = edge, bits = n.trailingZeroBitCount
    let stride = [n * n, n, 1][axis]
    // Neighbouring lines: along x for the slower axes, along y for x itself.
    let lane = axis == 2 ? n : 1, outer = axis == 0 ? n : n * n
    let a = UnsafeMutablePointer<Lane>.allocate(capacity: n), b = UnsafeMutablePointer<Lane>.allocate(capacity: n)
    defer { a.deallocate(); b.deallocate() }
    let roots = (0..<n / 2).map { (Float(cos(2 * Double.pi * Double($0) / Double(n))), Float(sin(2 * Double.pi * Double($0) / Double(n)))) }
    let reversed = (0..<n).map { i in (0..<bits).reduce(0) { $0 | (i >> $1 & 1) << (bits - 1 - $1) } }
    for o in 0..<n {
      for block in 0..<n / 16 {
        let base = o * outer + 16 * block * lane
        for i in 0..<n {
          var p = Lane(), q = Lane()
          for l in 0..<16 { p[l] = re[base + i * stride + l * lane]; q[l] = im[base + i * stride + l * lane] }
          a[reversed[i]] = p; b[reversed[i]] = q
        }
        var half = 1
        while half < n {
          for start in Swift.stride(from: 0, to: n, by: 2 * half) {
            for j in 0..<half {
              let (c, s) = roots[j * (n / (2 * half))]
              let i = start + j, k = i + half
              let p = a[k] * c - b[k] * s, q = a[k] * s + b[k] * c
              a[k] = a[i] - p; b[k] = b[i] - q
              a[i] += p; b[i] += q
            }
          }
          half *= 2
        }
        for i in 0..<n { for l in 0..<16 { re[base + i * stride + l * lane] = a[i][l]; im[base + i * stride + l * lane] = b[i][l] } }
      }
    }
  }
}
