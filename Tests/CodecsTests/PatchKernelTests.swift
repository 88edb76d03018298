import CKernels
@testable import Codecs
import Fields
import Support
import Testing

/// The kernels of autoencoders against their formulas, to the bit, on every level.
@Suite(.serialized) struct PatchKernelTests {
  static let levels = [ALD_SIMD_BASELINE, ALD_SIMD_AVX2, ALD_SIMD_AVX512]
  static func onEveryLevel(_ body: () throws -> Void) rethrows {
    defer { _ = ald_simd_force(-1) }
    for level in levels {
      _ = ald_simd_force(Int32(level))
      try body()
    }
  }
  static func onEveryLevel<T: Equatable>(equals first: T, _ body: () -> T) { onEveryLevel { #expect(body() == first) } }

  /// Sums in binary32, in order, of all inputs; with few, some and many of them zero.
  @Test(arguments: [(1, 1, 1), (55, 192, 7), (192, 55, 50), (13, 97, 101), (221, 208, 12)]) func layersSumInOrder(_ inputs: Int, _ outputs: Int, _ rows: Int) {
    let w = AutoencoderTests.random(inputs * outputs, 1), bias = AutoencoderTests.random(outputs, 2)
    let layer = Dense(.init(taps: 1, inputs: inputs, outputs: outputs, biased: true), weights: w, bias: bias)
    for kept in [0.05, 0.5, 1.0] {
      let x = Patches(Index3(1, 1, rows), channels: inputs), values = AutoencoderTests.random(rows * inputs, 3)
      for p in 0..<rows { for i in 0..<inputs {
        x.pointer[p * x.stride + i] = Double(SplitMix64.hash(4, p * inputs + i) >> 11) * 0x1p-53 < kept ? values[p * inputs + i] : i % 2 == 0 ? 0 : -0.0
      } }
      let expected = (0..<rows).flatMap { p in (0..<outputs).map { o in
        (0..<inputs).reduce(bias[o]) { s, i in
          let term = w[o * inputs + i] * x.pointer[p * x.stride + i]
          return s + term
        }.bitPattern
      } }
      for sparse in [false, true] {
        PatchKernelTests.onEveryLevel(equals: expected) {
          let y = Patches(x.extents, channels: outputs)
          layer.apply(x, y, sparse: sparse)
          return (0..<rows).flatMap { p in (0..<outputs).map { y.pointer[p * y.stride + $0].bitPattern } }
        }
      }
    }
  }

  /// <z, A u> = <A^T z, u> of a tied code.
  @Test func tiedAnalysisIsTheAdjoint() {
    let s = Autoencoder.Shape(components: 2, patch: Index3(2, 4, 4), latents: 40), n = s.values
    var p = AutoencoderTests.random(s.parameterCount, 5)
    for i in n * s.latents..<p.count { p[i] = 0 }
    let a = Autoencoder(s, rounding: .init(parameters: p, steps: [Float](repeating: 1, count: s.latents), magnitudes: [Float](repeating: 1, count: s.latents)))
    let u = Patches(Index3(1, 1, 9), channels: n), z = Patches(Index3(1, 1, 9), channels: s.latents)
    for r in 0..<9 {
      for i in 0..<n { u.pointer[r * u.stride + i] = AutoencoderTests.random(n, UInt64(10 + r))[i] }
      for i in 0..<s.latents { z.pointer[r * z.stride + i] = AutoencoderTests.random(s.latents, UInt64(30 + r))[i] }
    }
    PatchKernelTests.onEveryLevel {
      let au = a.latents(u), sz = a.values(z)
      for r in 0..<9 {
        let left = (0..<s.latents).reduce(0.0) { $0 + Double(z.pointer[r * z.stride + $1]) * Double(au.pointer[r * au.stride + $1]) }
        let right = (0..<n).reduce(0.0) { $0 + Double(sz.pointer[r * sz.stride + $1]) * Double(u.pointer[r * u.stride + $1]) }
        #expect(abs(left - right) < 1e-4)
      }
    }
  }

  @Test func latentsAreRoundedAsDocumented() {
    let y = AutoencoderTests.random(5003, 6, 4) + [0.5, -0.5, 1.5, 2.5, -2.5, 0, -0.0, 3e9, -1e20], factor = 0.37
    for dead in [0, 0.11] {
      var sums = [Int64](repeating: 0, count: 6)
      let q = y.map { x -> Int32 in
        let v = Double(x) / factor, m = Int32(min((abs(v) + 0.5).rounded(.down), 0x1p28))
        if abs(v) < 0.5 + dead { return 0 }
        let k = min(Int(m), 3) - 1
        sums[k] += 1
        sums[3 + k] += Int64(max(-1, min(1, Double(m) - abs(v))) * 0x1p20)
        return v < 0 ? -m : m
      }
      for wide in [false, true] {
        var again = [Int32](repeating: 7, count: y.count), found = [Int64](repeating: 0, count: 6)
        if wide { ald_latents_round_f64(y.map(Double.init), y.count, factor, dead, &again, &found) } else { ald_latents_round_f32(y, y.count, factor, dead, &again, &found) }
        #expect(again == q && found == sums)
      }
    }
  }

  @Test func integersBecomeLatentsAsDocumented() {
    let latents = 21, less: [Int32] = [0, 40, 25, 7], steps = AutoencoderTests.random(latents, 7).map(abs), q: [Int32] = (0..<latents * 3).map {
      $0 % 5 == 0 ? 0 : Int32(truncatingIfNeeded: SplitMix64.hash(8, $0)) >> Int32($0 % 31)
    }
    var rows = [Float](repeating: .nan, count: 3 * 32)
    ald_latents_values(q, 3, latents, less, steps, 32, &rows)
    for p in 0..<3 { for i in 0..<32 {
      guard i < latents else { #expect(rows[p * 32 + i] == 0); continue }
      let v = q[p * latents + i], m = Float(256 * Int64(v.magnitude) - Int64(less[min(Int(v.magnitude), 3)])) * 0x1p-8
      #expect(rows[p * 32 + i] == (v == 0 ? 0 : (v < 0 ? -m : m) * steps[i]))
    } }
  }

  /// Classes by context against docs/format.md section 7.21, latent by latent.
  @Test func classesFollowTheFormat() {
    let patches = Index3(2, 3, 4), n = 90, magnitudes = AutoencoderTests.random(n, 9, 6).map(abs), factor = 0.8
    let q = (0..<24 * n).map { i -> Int32 in
      let r = SplitMix64.hash(10, i)
      return r % 3 == 0 ? 0 : Int32(truncatingIfNeeded: r >> 20) >> Int32(r % 97 == 0 ? 4 : 28)
    }
    let M = magnitudes.map { min(max(Int((4096 * Double($0) / factor).rounded()), 1), 1 << 30) }
    func t(_ p: Int, _ i: Int) -> Int { min(Int(q[p * n + i].magnitude) * (1 << 24 / max(M[i], 4096)), 1 << 18) }
    var expected: [UInt8] = []
    for p in 0..<24 {
      var beside: [Int] = []
      if p % 4 > 0 { beside.append(p - 1) }
      if p / 4 % 3 > 0 { beside.append(p - 4) }
      if p / 12 > 0 { beside.append(p - 12) }
      for i in 0..<n {
        var s = 0, e = 0
        for j in max(0, i - 64)..<i { s += t(p, j); e += min(M[j], 4096) }
        for b in beside { for j in max(0, i - 4)...min(n - 1, i + 4) { s += t(b, j); e += min(M[j], 4096) } }
        let quotient = min(max(256 * (2048 + s) / (2048 + e), 1), 1 << 20)
        expected.append(UInt8(ald_class(UInt32(min(max((M[i] * quotient) >> 8, 1), 1 << 31)))))
      }
    }
    let coding = LatentCoding(.contextual, magnitudes, factor: factor)
    PatchKernelTests.onEveryLevel(equals: expected) {
      var classes = [UInt8](repeating: 0, count: q.count), values = [Int32](repeating: 0, count: q.count)
      #expect(coding.symbols(q, patches, classes: &classes, values: &values) == q.count && values == q)
      return classes
    }
  }

  /// Cells of patches, those that stick out included, and back; long rows and both types.
  @Test(arguments: [ScalarType.float32, .float64]) func cellsBecomeRowsAndBack(_ type: ScalarType) {
    for (patch, extents) in [(Index3(4, 4, 4), Index3(6, 9, 14)), (Index3(1, 1, 8), Index3(1, 3, 700)), (Index3(2, 3, 5), Index3(5, 6, 11)), (Index3(1, 8, 64), Index3(3, 16, 300))] {
      let whole = Box(lower: Index3(2, 1, 5), upper: Index3(4, 3, 9) + extents), box = Box(lower: Index3(3, 2, 7), upper: Index3(3, 2, 7) + extents)
      let values = (0..<2).map { NetworkTests.array(whole, type, UInt64(20 + $0)) }, offsets = [0.25, -1.5], scale = 0.7
      var s = Autoencoder.Shape(components: 2, patch: patch, latents: 1)
      s.coding = .sparse   // its input are the values
      let a = Autoencoder(s, rounding: .init(parameters: [Float](repeating: 0.1, count: s.parameterCount), steps: [1], magnitudes: [1]))
      let codec = AutoencoderCodec(a, PatchNormalisation(scale: 1 / scale, offsets: offsets), encodes: true), count = codec.patches(of: box)
      var expected: [Float] = []
      for z in 0..<count.z { for y in 0..<count.y { for x in 0..<count.x { for c in 0..<2 {
        for i in 0..<patch.z { for j in 0..<patch.y { for k in 0..<patch.x {
          let cell = Index3(min(z * patch.z + i, extents.z - 1), min(y * patch.y + j, extents.y - 1), min(x * patch.x + k, extents.x - 1)) + box.lower
          expected.append(Float((NetworkTests.value(values[c], cell) - offsets[c]) * (1 / (1 / scale))))
        } } }
      } } } }
      #expect(codec.input(values, box) == expected)
    }
  }
}
