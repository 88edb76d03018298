import CKernels
@testable import Codecs
import Fields
import Glibc
import Support
import Testing

@Suite(.serialized) struct AutoencoderTests {
  typealias Shape = Autoencoder.Shape

  static func random(_ n: Int, _ seed: UInt64, _ size: Float = 1) -> [Float] { (0..<n).map { size * (Float(SplitMix64.hash(seed, $0) >> 40) * 0x1p-23 - 1) } }
  /// Orthonormal columns of n numbers: cosines, [row][column].
  static func cosines(_ n: Int) -> [Double] {
    (0..<n * n).map { i in
      let r = i / n, k = i % n
      return (k == 0 ? 1 : 2.0.squareRoot()) * cos(Double.pi * Double(k) * (Double(r) + 0.5) / Double(n)) / Double(n).squareRoot()
    }
  }
  static func made(_ s: Shape, seed: UInt64 = 3) -> Autoencoder {
    var n = Autoencoder.Numbers(parameters: random(s.parameterCount, seed, 0.3), steps: random(s.latents, seed + 1, 0.1).map { 0.2 + abs($0) }, magnitudes: random(s.latents, seed + 2, 3).map(abs))
    if s.structure == .diagonal { n.penalties = random(s.latents, seed + 3).map(abs) }
    return Autoencoder(s, rounding: n)
  }
  static let shapes: [Shape] = {
    var a = Shape(components: 1, patch: Index3(2, 3, 4), latents: 30)
    a.coding = .sparse
    a.structure = .diagonal
    var b = Shape(components: 3, patch: Index3(1, 4, 4), latents: 17, analysis: .init(width: 21, blocks: 2))
    b.synthesis = .init(width: 9, blocks: 1)
    b.coding = .factorized
    b.normalisation = .range
    b.bits = 8
    var c = Shape(components: 2, patch: Index3(4, 4, 4), latents: 64, analysis: .init())
    c.structure = .groups(4)
    c.normalisation = .none
    c.bits = 6
    return [a, b, c]
  }()

  @Test(arguments: shapes) func bytesAndBack(_ s: Shape) throws {
    let a = AutoencoderTests.made(s), again = try Autoencoder(serialised: a.serialised)
    #expect(again.shape == s && again.numbers == a.numbers)
    #expect(try LearnedModel(serialised: a.serialised) == .autoencoder(a))
    // Within half a step of the largest weight of its layer.
    for (x, y) in zip(AutoencoderTests.random(s.parameterCount, 3, 0.3), a.numbers.parameters) { #expect(abs(x - y) <= 0.151 / Float(1 << (s.bits - 1) - 1)) }
    for k in stride(from: 0, to: a.serialised.count, by: max(1, a.serialised.count / 80)) {
      #expect(throws: StreamError.self) { try Autoencoder(serialised: Array(a.serialised[..<k])) }
    }
    #expect(throws: StreamError.self) { try Autoencoder(serialised: a.serialised + [0]) }
    var g = SplitMix64(seed: 5)
    for _ in 0..<300 {
      var bad = a.serialised
      bad[g.below(40)] ^= UInt8(1 + g.below(255))
      _ = try? Autoencoder(serialised: bad)
    }
  }

  /// The tangent is that of differences, the adjoint the tangent's: in double precision, away from kinks.
  @Test(arguments: shapes) func derivativeOfTheSynthesis(_ s: Shape) {
    let a = AutoencoderTests.made(s), d = SynthesisDerivative(a), split = s.analysisLayers.reduce(0) { $0 + $1.inputs * $1.outputs + ($1.biased ? $1.outputs : 0) }
    func doubles(_ n: Int, _ seed: UInt64) -> [Double] { AutoencoderTests.random(n, seed).map(Double.init) }
    func decoded(_ z: [Double]) -> [Double] { AutoencoderTests.map(s.synthesisLayers, a.numbers.parameters[split...], s.synthesis, z) }
    let z = doubles(s.latents, 21), v = doubles(s.latents, 22), r = doubles(s.values, 23), h = 1e-6
    let t = d.tangent(v, at: z), slopes = zip(decoded(zip(z, v).map { $0 + h * $1 }), decoded(zip(z, v).map { $0 - h * $1 })).map { ($0 - $1) / (2 * h) }
    func dot(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }
    let size = (dot(t, t) * dot(r, r)).squareRoot()
    #expect(zip(t, slopes).allSatisfy { abs($0 - $1) < 1e-6 * (1 + abs($0)) })
    #expect(abs(dot(t, r) - dot(v, d.adjoint(r, at: z))) < 1e-12 * size)
  }

  /// The maps of the documentation in binary64, patch by patch.
  static func map(_ layers: [Network.Layer], _ p: ArraySlice<Float>, _ hidden: Autoencoder.Hidden, _ x: [Double]) -> [Double] {
    var at = p.startIndex
    func apply(_ l: Network.Layer, _ v: [Double]) -> [Double] {
      let w = at
      at += l.inputs * l.outputs
      let b = at
      if l.biased { at += l.outputs }
      return (0..<l.outputs).map { o in v.indices.reduce(l.biased ? Double(p[b + o]) : 0) { $0 + Double(p[w + o * l.inputs + $1]) * v[$1] } }
    }
    var out = apply(layers[0], x)
    if hidden.width > 0 {
      var h: [Double] = []
      for b in 0...hidden.blocks {
        let next = apply(layers[1 + b], b == 0 ? x : h).map { $0 > 0 ? $0 : $0 / 8 }
        h = b == 0 ? next : zip(h, next).map(+)
      }
      out = zip(out, apply(layers[layers.count - 1], h)).map(+)
    }
    return out
  }

  @Test(arguments: [1, 2]) func mapsFollowTheirFormulaOnEveryLevel(_ which: Int) {
    let s = AutoencoderTests.shapes[which], a = AutoencoderTests.made(s), box = Box(lower: Index3(0, 8, 4), upper: Index3(s.patch.z == 1 ? 1 : 7, 19, 17))
    let values = (0..<s.components).map { NetworkTests.array(box, .float32, UInt64(9 + $0)) }
    let codec = AutoencoderCodec(a, PatchNormalisation(scale: 2, offsets: (0..<s.components).map { 0.5 * Double($0) }), encodes: true), count = codec.patches(of: box)
    defer { _ = ald_simd_force(-1) }
    var first: (input: [Float], again: [RawArray])?
    let q = (0..<count.product * s.latents).map { Int32(SplitMix64.hash(1, $0) % 9) - 4 }
    for level in [ALD_SIMD_BASELINE, ALD_SIMD_AVX2, ALD_SIMD_AVX512] {
      _ = ald_simd_force(Int32(level))
      let input = codec.input(values, box), again = codec.values(q, box, type: .float32, factor: 0.7, shifts: [20, 10, 5])
      if let first {
        #expect(input == first.input)
        for (x, y) in zip(again, first.again) { #expect((0..<x.count).allSatisfy { x.bound(to: UInt32.self)[$0] == y.bound(to: UInt32.self)[$0] }, "level \(level)") }
      } else { first = (input, again) }
    }
    let p = a.numbers.parameters, half = s.analysisLayers.reduce(0) { $0 + $1.inputs * $1.outputs + ($1.biased ? $1.outputs : 0) }
    for patch in 0..<count.product {
      let o = Index3(patch / (count.y * count.x) * s.patch.z, patch / count.x % count.y * s.patch.y, patch % count.x * s.patch.x) + box.lower
      func cell(_ channel: Int) -> (c: Int, i: Index3) {
        let k = channel % s.patch.product
        return (channel / s.patch.product, o + Index3(k / (s.patch.y * s.patch.x), k / s.patch.x % s.patch.y, k % s.patch.x))
      }
      let u = (0..<s.values).map { channel -> Double in
        let (c, i) = cell(channel), inside = Index3(min(i.z, box.upper.z - 1), min(i.y, box.upper.y - 1), min(i.x, box.upper.x - 1))
        return (NetworkTests.value(values[c], inside) - 0.5 * Double(c)) / 2
      }
      let z = AutoencoderTests.map(s.analysisLayers, p[..<half], s.analysis!, u)
      for i in 0..<s.latents { #expect(abs(z[i] / Double(a.numbers.steps[i]) - Double(first!.input[patch * s.latents + i])) < 1e-4) }
      let latents = (0..<s.latents).map { i -> Double in
        let n = Double(q[patch * s.latents + i]), m = abs(n) - (n == 0 ? 0 : [20, 10, 5][min(Int(abs(n)), 3) - 1] / 256)
        return (n < 0 ? -m : m) * 0.7 * Double(a.numbers.steps[i])
      }
      let x = AutoencoderTests.map(s.synthesisLayers, p[half...], s.synthesis, latents)
      for channel in 0..<s.values {
        let (c, i) = cell(channel)
        if box.contains(i) { #expect(abs(NetworkTests.value(first!.again[c], i) - 0.5 * Double(c) - 2 * x[channel]) < 1e-4) }
      }
    }
  }

  /// Patches that stick out, and what tied orthonormal maps bring back at small steps.
  @Test func smallStepsGiveEverythingBack() {
    var s = Shape(components: 1, patch: Index3(4, 4, 4), latents: 64)
    let line = AutoencoderTests.cosines(4)
    let synthesis = (0..<64 * 64).map { i -> Float in
      let r = i / 64, k = i % 64
      return Float(line[r / 16 * 4 + k / 16] * line[r / 4 % 4 * 4 + k / 4 % 4] * line[r % 4 * 4 + k % 4])
    }
    for coding in Autoencoder.Coding.allCases {
      s.coding = coding
      let a = Autoencoder(s, rounding: .init(parameters: synthesis + [Float](repeating: 0.25, count: 64), steps: [Float](repeating: 1, count: 64), magnitudes: [Float](repeating: 1, count: 64)))
      let box = Box(lower: Index3(3, 0, 16), upper: Index3(9, 5, 23)), v = NetworkTests.array(box, .float64, 4), factor = 1e-4
      let codec = AutoencoderCodec(a, PatchNormalisation(scale: 1.5, offsets: [0.1]), encodes: true)
      let q = codec.rounded(codec.input([v], box), factor: factor, deadZone: 0).q
      let again = codec.values(q, box, type: .float64, factor: factor, shifts: [0, 0, 0])[0]
      for i in 0..<v.count { #expect(abs(again.bound(to: Double.self)[i] - v.bound(to: Double.self)[i]) < (coding == .sparse ? 6e-4 : 3e-4), "\(coding)") }
    }
  }

  // MARK: coding

  /// Bytes of latents under tables counted from them; decoded again.
  static func coded(_ l: LatentCoding, _ q: [Int32], _ patches: Index3) throws -> Int {
    var classes = [UInt8](repeating: 0, count: l.capacity(patches)), values = [Int32](repeating: 0, count: l.capacity(patches))
    let n = l.symbols(q, patches, classes: &classes, values: &values)
    let cls = Array(classes[..<n]), val = Array(values[..<n])
    var histogram = [UInt32](repeating: 0, count: ClassTables.classes * ClassTables.symbols)
    ald_histogram(cls, val, n, &histogram)
    let tables = ClassTables(histogram: histogram.map(UInt64.init), sampled: false), bytes = code(tables, cls, val)
    var again = [Int32](repeating: 7, count: q.count)
    try bytes.withUnsafeBufferPointer { b in
      var d = ald_decoder()
      #expect(ald_decoder_open(&d, tables.pointer, b.baseAddress, b.count) == 0)
      try l.decode(&d, patches, into: &again)
      #expect(ald_decoder_close(&d) == 0)
    }
    #expect(again == q)
    return bytes.count + tables.serialised.count
  }

  @Test func everythingRoundTrips() throws {
    let patches = Index3(2, 3, 4), n = 50
    var cases: [[Int32]] = [[Int32](repeating: 0, count: 24 * n), [Int32](repeating: -1, count: 24 * n), (0..<24 * n).map { $0 % n == n - 1 ? 3 : 0 }]
    cases.append((0..<24 * n).map { i in
      let r = SplitMix64.hash(2, i)
      return r % 7 == 0 ? Int32(truncatingIfNeeded: r >> 20) >> Int32(3 + r % 28) : 0
    })
    for coding in Autoencoder.Coding.allCases { for factor in [1e-3, 1, 40] {
      let l = LatentCoding(coding, AutoencoderTests.random(n, 8, 5).map(abs), factor: factor)
      for q in cases { _ = try AutoencoderTests.coded(l, q, patches) }
    } }
  }

  /// Gaps of a support that each position belongs to with 3 %: H_2 / rho = 6.4797 bits each, and a sign.
  @Test func gapsCostTheirEntropy() throws {
    let n = 2_000_000
    var g = SplitMix64(seed: 11), q = [Int32](repeating: 0, count: n), count = 0
    for i in 0..<n where g.uniform() < 0.03 { q[i] = g.next() & 1 == 0 ? 1 : -1; count += 1 }
    let bytes = try AutoencoderTests.coded(LatentCoding(.sparse, [Float](repeating: 1, count: n), factor: 1), q, Index3(1, 1, 1))
    let share = Double(count) / Double(n), ideal = -(share * log2(share) + (1 - share) * log2(1 - share)) / share
    let bits = 8 * Double(bytes) / Double(count) - 1
    #expect(abs(bits / ideal - 1) < 0.01, "\(bits) bits, \(ideal) at least")
    #expect(abs(bits / 6.4797 - 1) < 0.01, "\(bits)")
  }

  /// Latents of known densities: within 2 % of their entropy.
  @Test(arguments: [Autoencoder.Coding.factorized, .contextual]) func latentsCostTheirEntropy(_ coding: Autoencoder.Coding) throws {
    let n = 64, patches = Index3(8, 16, 16)
    var g = SplitMix64(seed: 12), q = [Int32](repeating: 0, count: n * patches.product), ideal = 0.0
    let means = (0..<n).map { 20 * exp(-0.12 * Double($0)) }
    for i in q.indices {
      let b = means[i % n], x = -b * log(1 - g.uniform())
      let m = Int32(x.rounded())
      q[i] = g.next() & 1 == 0 ? m : -m
      let p = m == 0 ? 1 - exp(-0.5 / b) : (exp(-(Double(m) - 0.5) / b) - exp(-(Double(m) + 0.5) / b)) / 2
      ideal -= log2(p)
    }
    let bits = 8 * Double(try AutoencoderTests.coded(LatentCoding(coding, means.map { Float($0) }, factor: 1), q, patches))
    // Contexts have nothing to tell here, and cost little.
    #expect(bits < ideal * (coding == .factorized ? 1.01 : 1.02), "\(bits / ideal)")
  }

  /// Streams that no encoder wrote end with an error or other latents, never beyond them.
  @Test(arguments: Autoencoder.Coding.allCases) func damagedStreams(_ coding: Autoencoder.Coding) throws {
    let n = 30, patches = Index3(2, 2, 2), l = LatentCoding(coding, [Float](repeating: 2, count: n), factor: 1), q = (0..<8 * n).map { Int32(SplitMix64.hash(3, $0) % 7) - 3 }
    var classes = [UInt8](repeating: 0, count: l.capacity(patches)), values = [Int32](repeating: 0, count: l.capacity(patches))
    let count = l.symbols(q, patches, classes: &classes, values: &values), tables = ClassTables.shipped
    let good = code(tables, Array(classes[..<count]), Array(values[..<count]))
    var g = SplitMix64(seed: 1)
    for _ in 0..<3000 {
      var bad = good, again = [Int32](repeating: 0, count: q.count)
      bad[g.below(bad.count)] ^= UInt8(1 + g.below(255))
      if g.below(4) == 0 { bad.removeLast(g.below(bad.count)) }
      bad.withUnsafeBufferPointer { b in
        var d = ald_decoder()
        if ald_decoder_open(&d, tables.pointer, b.baseAddress, b.count) == 0 { try? l.decode(&d, patches, into: &again) }
      }
    }
  }

  // MARK: sparse codes, THEORY 4.2

  @Test func orthonormalColumnsThreshold() {
    let n = 48, d = AutoencoderTests.cosines(n), u = AutoencoderTests.random(n, 6).map(Double.init)
    let c = (0..<n).map { k in (0..<n).reduce(0) { $0 + d[$1 * n + k] * u[$1] } }
    func code(_ t: Double, debiased: Bool = false) -> [Double] {
      SparseCode(columns: d, rows: n, thresholds: [Double](repeating: t, count: n)).code(u, debiased: debiased, tolerance: 1e-14)
    }
    for (z, x) in zip(code(0.2), c) { #expect(abs(z - (x > 0 ? max(x - 0.2, 0) : min(x + 0.2, 0))) < 1e-10) }
    // No penalty, no error; more than the largest correlation, nothing.
    let all = code(0)
    for r in 0..<n { #expect(abs((0..<n).reduce(0) { $0 + d[r * n + $1] * all[$1] } - u[r]) < 1e-10) }
    #expect(code(c.map(abs).max()! * 1.0001).allSatisfy { $0 == 0 })
    // The shrinkage is gone where the support is right.
    for (z, x) in zip(code(0.2, debiased: true), c) { #expect(abs(z - (abs(x) > 0.2 ? x : 0)) < 1e-10) }
  }

  /// Over more columns than rows the conditions of a minimum hold: of each group, c = S^T (u - S z) is t z / |z| or no longer than t.
  @Test(arguments: [1, 4]) func conditionsOfTheMinimum(group: Int) {
    let rows = 20, n = 48, s = AutoencoderTests.random(rows * n, 4).map { Double($0) / 3 }, u = AutoencoderTests.random(rows, 5).map(Double.init), t = 0.3
    let z = SparseCode(columns: s, rows: rows, group: group, thresholds: [Double](repeating: t, count: n)).code(u, debiased: false, tolerance: 1e-12)
    let r = (0..<rows).map { i in u[i] - (0..<n).reduce(0) { $0 + s[i * n + $1] * z[$1] } }
    #expect(z.contains { $0 != 0 } && z.contains(0))
    for g in stride(from: 0, to: n, by: group) {
      let c = (g..<g + group).map { k in (0..<rows).reduce(0) { $0 + s[$1 * n + k] * r[$1] } }, own = z[g..<g + group], length = own.reduce(0) { $0 + $1 * $1 }.squareRoot()
      if length == 0 { #expect(c.reduce(0) { $0 + $1 * $1 }.squareRoot() <= t * (1 + 1e-6)) } else {
        for (a, b) in zip(c, own) { #expect(abs(a - t * b / length) < 1e-6) }
      }
    }
  }
}
