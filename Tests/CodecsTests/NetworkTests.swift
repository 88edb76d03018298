import CKernels
@testable import Codecs
import Fields
import Support
import Testing

@Suite(.serialized) struct NetworkTests {
  static func random(_ n: Int, _ seed: UInt64, _ size: Float = 1) -> [Float] {
    (0..<n).map { size * (Float(SplitMix64.hash(seed, $0) >> 40) * 0x1p-23 - 1) }
  }
  /// An array of random values on a box.
  static func array(_ box: Box, _ type: ScalarType, _ seed: UInt64) -> RawArray {
    let a = RawArray(box: box, type: type)
    for (i, v) in random(a.count, seed).enumerated() {
      if type == .float32 { a.bound(to: Float.self)[i] = v } else { a.bound(to: Double.self)[i] = Double(v) }
    }
    return a
  }
  static func value(_ a: RawArray, _ i: Index3) -> Double {
    let o = a.box.offset(of: i)
    return a.elementSize == 4 ? Double(a.bound(to: Float.self)[o]) : a.bound(to: Double.self)[o]
  }
  /// The cells of a box taken from an array over the whole grid, wrapped.
  static func cells(_ whole: RawArray, _ b: Box, _ grid: Grid) -> RawArray {
    let out = RawArray(box: b, elementSize: whole.elementSize), n = grid.shape
    func wrap(_ i: Int, _ a: Int) -> Int { ((i % n[a]) + n[a]) % n[a] }
    for z in b.lower.z..<b.upper.z { for y in b.lower.y..<b.upper.y { for x in b.lower.x..<b.upper.x {
      let v = value(whole, Index3(wrap(z, 0), wrap(y, 1), wrap(x, 2))), o = b.offset(of: Index3(z, y, x))
      if out.elementSize == 4 { out.bound(to: Float.self)[o] = Float(v) } else { out.bound(to: Double.self)[o] = v }
    } } }
    return out
  }

  /// The formula of the documentation, cell by cell in double precision.
  static func reference(_ network: Network, _ whole: [RawArray], _ grid: Grid, unit: Double) -> [[Double]] {
    let s = network.shape, n = grid.shape, p = s.patches, q = s.channels, solid = s.dimensions == 3
    let counts = Index3((n.z + p.z - 1) / p.z, (n.y + p.y - 1) / p.y, (n.x + p.x - 1) / p.x)
    func cell(_ c: Int, _ at: Index3) -> Double {
      var i = at
      for a in 0..<3 { i[a] = grid.periodic[a] ? ((i[a] % n[a]) + n[a]) % n[a] : min(max(i[a], 0), n[a] - 1) }
      return value(whole[c], i) / unit
    }
    func patch(_ at: Index3) -> [Double] {
      var out: [Double] = []
      for c in 0..<s.components { for z in 0..<p.z { for y in 0..<p.y { for x in 0..<p.x { out.append(cell(c, Index3(at.z * p.z + z, at.y * p.y + y, at.x * p.x + x))) } } } }
      return out
    }
    // Values around one patch, layer by layer, by recursion.
    var offset = 0, layers: [(Network.Layer, [Float], [Float])] = []
    for l in s.layers {
      let w = s.weightCount(l)
      layers.append((l, Array(network.parameters[offset..<offset + w]), l.biased ? Array(network.parameters[(offset + w)..<(offset + w + l.outputs)]) : []))
      offset += w + (l.biased ? l.outputs : 0)
    }
    func apply(_ k: Int, _ at: Index3, _ input: (Index3) -> [Double]) -> [Double] {
      let (l, w, b) = layers[k], t = l.taps == 3 ? 1 : 0, cells = l.taps == 3 ? (solid ? 27 : 9) : 1
      var out = (0..<l.outputs).map { l.biased ? Double(b[$0]) : 0 }, tap = 0
      for z in (solid ? -t : 0)...(solid ? t : 0) { for y in -t...t { for x in -t...t {
        let v = input(Index3(at.z + z, at.y + y, at.x + x))
        for o in 0..<l.outputs { for i in 0..<l.inputs { out[o] += Double(w[(o * l.inputs + i) * cells + tap]) * v[i] } }
        tap += 1
      } } }
      return out
    }
    func hidden(_ b: Int, _ at: Index3) -> [Double] {
      let r = apply(1 + b, at) { b == 0 ? patch($0) : hidden(b - 1, $0) }.map { $0 > 0 ? $0 : $0 / 8 }
      return b == 0 ? r : zip(r, hidden(b - 1, at)).map(+)
    }
    var out = whole.map { w in (0..<w.count).map { value(w, Index3($0 / (n.y * n.x), $0 / n.x % n.y, $0 % n.x)) } }
    for z in 0..<counts.z { for y in 0..<counts.y { for x in 0..<counts.x {
      let at = Index3(z, y, x)
      var change = apply(0, at, patch)
      if s.width > 0 { change = zip(change, apply(layers.count - 1, at) { hidden(s.blocks, $0) }).map(+) }
      for c in 0..<q {
        let k = c % p.product, i = Index3(z * p.z + k / (p.y * p.x), y * p.y + k / p.x % p.y, x * p.x + k % p.x)
        if i.z < n.z, i.y < n.y, i.x < n.x { out[c / p.product][(i.z * n.y + i.y) * n.x + i.x] += unit * change[c] }
      }
    } } }
    return out
  }
  static func made(_ s: Network.Shape, _ seed: UInt64) -> Network { Network(s, rounding: random(s.parameterCount, seed, 0.2)) }

  struct Case: Sendable, CustomStringConvertible {
    var components: Int, dimensions: Int, patch: Int, width: Int, blocks: Int, shape: Index3, periodic: Bool, type: ScalarType
    var description: String { "\(components) components, patch \(patch), width \(width), blocks \(blocks), \(shape), \(periodic ? "wraps" : "walls"), \(type.name)" }
    var network: Network { made(.init(components: components, dimensions: dimensions, patch: patch, width: width, blocks: blocks), 7) }
    var grid: Grid { Grid(shape: shape, periodic: .init(periodic, periodic, periodic)) }
  }
  static let cases = [
    Case(components: 3, dimensions: 3, patch: 1, width: 0, blocks: 0, shape: Index3(5, 7, 9), periodic: false, type: .float32),
    Case(components: 1, dimensions: 3, patch: 2, width: 5, blocks: 1, shape: Index3(6, 8, 7), periodic: false, type: .float64),
    Case(components: 2, dimensions: 2, patch: 2, width: 17, blocks: 2, shape: Index3(1, 12, 10), periodic: true, type: .float32),
    Case(components: 1, dimensions: 2, patch: 4, width: 3, blocks: 0, shape: Index3(1, 16, 9), periodic: false, type: .float64),
  ]

  @Test(arguments: cases) func followsItsFormulaOnEveryLevel(_ c: Case) {
    let n = c.network, grid = c.grid, box = grid.box, unit = 0.3
    let whole = (0..<c.components).map { NetworkTests.array(box, c.type, UInt64(20 + $0)) }
    let wide = whole.map { NetworkTests.cells($0, box.dilated(by: n.shape.reach, in: grid), grid) }
    defer { _ = ald_simd_force(-1) }
    var first: [RawArray]?
    for level in [ALD_SIMD_BASELINE, ALD_SIMD_AVX2, ALD_SIMD_AVX512] {
      _ = ald_simd_force(Int32(level))
      let out = n.corrected(wide, core: box, unit: unit)
      if let first {
        for (a, b) in zip(first, out) { #expect(sameBytes(a, b), "level \(level)") }
      } else { first = out }
    }
    let expected = NetworkTests.reference(n, whole, grid, unit: unit)
    for k in 0..<c.components { for i in 0..<box.count {
      let got = NetworkTests.value(first![k], Index3(i / (c.shape.y * c.shape.x), i / c.shape.x % c.shape.y, i % c.shape.x))
      #expect(abs(got - expected[k][i]) <= 1e-5 * max(1, abs(expected[k][i])), "component \(k), cell \(i): \(got), not \(expected[k][i])")
    } }
  }
  private func sameBytes(_ a: RawArray, _ b: RawArray) -> Bool { a.box == b.box && (0..<a.byteCount).allSatisfy { a.pointer.load(fromByteOffset: $0, as: UInt8.self) == b.pointer.load(fromByteOffset: $0, as: UInt8.self) } }

  /// A cell's value does not depend on the box that it is computed with.
  @Test func partsMakeTheWhole() {
    let n = NetworkTests.made(.init(components: 2, dimensions: 3, patch: 2, width: 16, blocks: 1), 3)
    let grid = Grid(shape: Index3(12, 10, 16), periodic: .init(true, false, true)), unit = 1.7
    let whole = (0..<2).map { NetworkTests.array(grid.box, .float32, UInt64(50 + $0)) }
    func corrected(_ b: Box) -> [RawArray] { n.corrected(whole.map { NetworkTests.cells($0, b.dilated(by: n.shape.reach, in: grid), grid) }, core: b, unit: unit) }
    let all = corrected(grid.box)
    for b in [Box(lower: Index3(0, 0, 0), upper: Index3(4, 10, 6)), Box(lower: Index3(4, 2, 6), upper: Index3(12, 10, 16)), Box(lower: Index3(10, 4, 0), upper: Index3(12, 5, 3))] {
      for (p, a) in zip(corrected(b), all) { #expect(sameBytes(p, NetworkTests.cells(a, b, grid)), "\(b)") }
    }
  }

  @Test func exactCases() {
    let grid = Grid(shape: Index3(4, 6, 5)), a = NetworkTests.array(grid.box, .float32, 1)
    let shape = Network.Shape(components: 1, dimensions: 3, patch: 1, width: 0, blocks: 0)
    let nothing = Network(shape, rounding: [Float](repeating: 0, count: 27))
    #expect(sameBytes(nothing.corrected([a], core: grid.box, unit: 0.1)[0], a))
    // Values that grow along x: each becomes its neighbour's, but for the last, beyond which the wall repeats it.
    var shift = [Float](repeating: 0, count: 27)
    (shift[13], shift[14]) = (-1, 1)
    let ramp = RawArray(box: grid.box, type: .float32)
    for i in 0..<ramp.count { ramp.bound(to: Float.self)[i] = Float(i % 5) }
    let moved = Network(shape, rounding: shift).corrected([ramp], core: grid.box, unit: 1)[0]
    for i in 0..<ramp.count { #expect(abs(moved.bound(to: Float.self)[i] - Float(min(i % 5 + 1, 4))) < 1e-5) }
  }

  /// <K u, v> = <u, K^T v>, K^T the convolution by the turned kernel of v with a margin of zeros.
  @Test func adjoint() {
    let n = (z: 3, y: 4, x: 7), inputs = 5, outputs = 20, si = 16, so = 32
    func product(_ a: [Float], _ b: [Float]) -> Double { zip(a, b).reduce(0) { $0 + Double($1.0) * Double($1.1) } }
    let k = NetworkTests.random(27 * inputs * outputs, 5)
    func run(_ u: [Float], _ channels: (Int, Int), _ strides: (Int, Int), _ extents: (z: Int, y: Int, x: Int), _ w: [Float]) -> [Float] {
      var out = [Float](repeating: 0, count: extents.z * extents.y * extents.x * strides.1)
      let bias = [Float](repeating: 0, count: strides.1)
      w.withUnsafeBufferPointer { w in bias.withUnsafeBufferPointer { b in
        var c = ald_convolution(taps: (3, 3, 3), inputs: Int32(channels.0), input_stride: Int32(strides.0), outputs: Int32(strides.1), weights: w.baseAddress, bias: b.baseAddress)
        let m = [Int32(extents.z + 2), Int32(extents.y + 2), Int32(extents.x + 2)], e = [Int32(extents.z), Int32(extents.y), Int32(extents.x)]
        ald_convolve(&c, u, m, e, &out)
      } }
      return out
    }
    /// [tap][input][output padded] of weights w(o, i, t).
    func layout(_ i: Int, _ o: Int, _ stride: Int, _ w: (Int, Int, Int) -> Float) -> [Float] {
      var out = [Float](repeating: 0, count: 27 * i * stride)
      for t in 0..<27 { for a in 0..<i { for b in 0..<o { out[(t * i + a) * stride + b] = w(b, a, t) } } }
      return out
    }
    func channels(_ count: Int, _ c: Int, _ stride: Int, _ seed: UInt64) -> [Float] {
      let r = NetworkTests.random(count * c, seed)
      return (0..<count * stride).map { $0 % stride < c ? r[$0 / stride * c + $0 % stride] : 0 }
    }
    let big = (z: n.z + 2, y: n.y + 2, x: n.x + 2)
    let u = channels(big.z * big.y * big.x, inputs, si, 1), v = channels(n.z * n.y * n.x, outputs, so, 2)
    let ku = run(u, (inputs, outputs), (si, so), n, layout(inputs, outputs, so) { k[($0 * inputs + $1) * 27 + $2] })
    let wide = (z: n.z + 4, y: n.y + 4, x: n.x + 4)
    var padded = [Float](repeating: 0, count: wide.z * wide.y * wide.x * so)
    for z in 0..<n.z { for y in 0..<n.y { for x in 0..<n.x { for c in 0..<so {
      padded[(((z + 2) * wide.y + y + 2) * wide.x + x + 2) * so + c] = v[((z * n.y + y) * n.x + x) * so + c]
    } } } }
    let kv = run(padded, (outputs, inputs), (so, si), big, layout(outputs, inputs, si) { k[($1 * inputs + $0) * 27 + 26 - $2] })
    let a = product(ku, v), b = product(u, kv)
    let size = zip(ku, v).reduce(0) { $0 + abs(Double($1.0) * Double($1.1)) }
    #expect(abs(a - b) <= 1e-6 * size, "\(a) and \(b)")
  }

  @Test func bytesAndBack() throws {
    for c in NetworkTests.cases {
      let n = c.network, again = try Network(serialised: n.serialised)
      #expect(again == n && again.parameters == n.parameters && again.hash == n.hash)
      // What was rounded once is not rounded again.
      #expect(Network(n.shape, rounding: n.parameters).shape == n.shape)
      for k in stride(from: 0, to: n.serialised.count, by: max(1, n.serialised.count / 60)) {
        #expect(throws: StreamError.self) { try Network(serialised: Array(n.serialised[..<k])) }
      }
      #expect(throws: StreamError.self) { try Network(serialised: n.serialised + [0]) }
    }
    for reference in [NetworkReference.stored(hash: 0x0123_4567_89ab_cdef), .inline(NetworkTests.cases[0].network)] {
      #expect(try NetworkReference(serialised: reference.serialised) == reference)
    }
    #expect(Network.text(of: 0xabc) == "0000000000000abc")
  }

  /// An error that a filter of the decoded values makes is found, and taken away.
  @Test(arguments: [1, 2]) func fitFindsTheFilter(patch: Int) throws {
    let shape = Network.Shape(components: 2, dimensions: 2, patch: patch, width: 0, blocks: 0), truth = NetworkTests.made(shape, 9)
    let grid = Grid(shape: Index3(1, 64, 64), periodic: .init(true, true, true)), unit = 0.5
    let decoded = (0..<2).map { NetworkTests.array(grid.box, .float64, UInt64($0)) }
    let wide = decoded.map { NetworkTests.cells($0, grid.box.dilated(by: shape.reach, in: grid), grid) }
    let error = zip(truth.corrected(wide, core: grid.box, unit: unit), decoded).map { x, w in
      let e = RawArray(box: grid.box, type: .float64)
      for i in 0..<e.count { e.bound(to: Double.self)[i] = x.bound(to: Double.self)[i] - w.bound(to: Double.self)[i] }
      return e
    }
    var fit = LinearFit(shape)
    fit.add(decoded: wide, error: error, core: grid.box, unit: unit, stride: 1)
    let s = try #require(fit.solution())
    #expect(s.gain > 0.99999 && s.gain < 1.00001)
    for (a, b) in zip(s.weights, truth.parameters) { #expect(abs(a - b) < 1e-4) }
    // White coordinates: there and back, and gradients by the chain rule.
    let white = try #require(fit.whitening()), w = truth.parameters.map(Double.init), v = white.coordinates(of: w[...])
    for (a, b) in zip(white.weights(at: v[...]), w) { #expect(abs(a - b) < 1e-9) }
    let g = NetworkTests.random(w.count, 4).map(Double.init), h = white.gradient(g[...])
    #expect(abs(zip(g, w).reduce(0) { $0 + $1.0 * $1.1 } - zip(h, v).reduce(0) { $0 + $1.0 * $1.1 }) < 1e-9)
  }
}
