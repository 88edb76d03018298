import CKernels
import Codecs
import Fields
import Foundation
import Testing

enum Member: String, CaseIterable, Sendable {
  case lot16, lot8, wavelet
  func on(_ g: Grid) -> any HaloTransform {
    switch self {
    case .lot16: LappedOrthogonalTransform(blockEdge: 16, grid: g)
    case .lot8: LappedOrthogonalTransform(blockEdge: 8, grid: g)
    case .wavelet: Wavelet97(grid: g)
    }
  }
}

@Suite(.serialized) struct TransformTests {
  // The matrices straight from the formulas.
  func cosines(_ n: Int, shift: Int, over: Int) -> [[Double]] {
    let scale = (2 / Double(n)).squareRoot()
    return (0..<n).map { (k: Int) -> [Double] in
      (0..<n).map { (i: Int) -> Double in
        let j = (2 * i + 1) * (shift == 0 ? k : 2 * k + 1)
        return scale * cos(Double.pi * Double(j) / Double(over * n))
      }
    }
  }
  func dct2(_ n: Int) -> [[Double]] {
    var c = cosines(n, shift: 0, over: 2)
    c[0] = [Double](repeating: (1 / Double(n)).squareRoot(), count: n)
    return c
  }
  func dct4(_ n: Int) -> [[Double]] { cosines(n, shift: 1, over: 4) }
  func product(_ a: [[Double]], _ b: [[Double]]) -> [[Double]] {
    var c = [[Double]](repeating: [Double](repeating: 0, count: b[0].count), count: a.count)
    for i in a.indices { for k in b.indices { for j in b[0].indices { c[i][j] += a[i][k] * b[k][j] } } }
    return c
  }
  func prefilter(_ w: Int) -> [[Double]] {
    let h = w / 2, t = product(transpose(dct2(h)), dct4(h)), r = 0.5.squareRoot()
    var W = [[Double]](repeating: [Double](repeating: 0, count: w), count: w), D = W
    for i in 0..<h {
      W[i][i] += r; W[i][w - 1 - i] += r; W[h + i][h - 1 - i] += r; W[h + i][h + i] -= r
      D[i][i] = 1
      for j in 0..<h { D[h + i][h + j] = t[h - 1 - i][h - 1 - j] }
    }
    return product(W, product(D, W))
  }
  func transpose(_ a: [[Double]]) -> [[Double]] { (0..<a[0].count).map { j in a.map { $0[j] } } }

  func axisMatrix(_ n: Int, _ m: Int, _ periodic: Bool) -> [[Double]] {
    var cuts: [Int]
    if n < m { cuts = [n] } else {
      cuts = [Int](repeating: m, count: n / m)
      let r = n % m
      if r * 2 >= m { cuts.append(r) } else { cuts[cuts.count - 1] += r }
    }
    let zero = [[Double]](repeating: [Double](repeating: 0, count: n), count: n)
    var T = zero, P = zero
    for i in 0..<n { P[i][i] = 1 }
    var e = [0]
    for c in cuts { e.append(e.last! + c) }
    for (b, c) in cuts.enumerated() {
      let d = dct2(c)
      for i in 0..<c { for j in 0..<c { T[e[b] + i][e[b] + j] = d[i][j] } }
    }
    var edges = (1..<max(1, cuts.count)).map { (e[$0], min(cuts[$0 - 1], cuts[$0]) / 2) }
    if periodic && cuts.count > 1 { edges.append((0, min(cuts[0], cuts.last!) / 2)) }
    for (x, h) in edges {
      let f = prefilter(2 * h), idx = (0..<2 * h).map { (x - h + $0 + n) % n }
      for i in 0..<2 * h { for j in 0..<2 * h { P[idx[i]][idx[j]] = f[i][j] } }
    }
    return product(T, P)
  }

  /// Every extent that gives a different end block, all axes, against the dense matrix.
  @Test(arguments: [8, 16])
  func lappedEqualsMatrix(m: Int) {
    var noise = NoiseSource(seed: 11)
    var worst = 0.0
    for n in Array(1...(4 * m)) + [91] { for periodic in [false, true] {
      let M = axisMatrix(n, m, periodic)
      for axis in 0..<3 {
        var shape = Index3(1, 1, 1); shape[axis] = n; shape[(axis + 1) % 3] = 3
        var p = Grid.Periodicity.none; p[axis] = periodic
        let g = Grid(shape: shape, periodic: p), t = LappedOrthogonalTransform(blockEdge: m, grid: g)
        let x = RawArray(box: g.box, elementSize: 8)
        x.fill(&noise)
        let y = t.analyseWhole(x, grid: g)
        // Undo the other axis by its own matrix: compare M x M3^T.
        let M3 = axisMatrix(3, m, false)
        for a in 0..<n { for b in 0..<3 {
          var sum = 0.0
          for i in 0..<n { for j in 0..<3 {
            var at = Index3(0, 0, 0); at[axis] = i; at[(axis + 1) % 3] = j
            sum += M[a][i] * M3[b][j] * x.value(g.box.offset(of: at))
          } }
          var at = Index3(0, 0, 0); at[axis] = a; at[(axis + 1) % 3] = b
          worst = max(worst, abs(sum - y.value(g.box.offset(of: at))))
        } }
      }
    } }
    #expect(worst < 2e-14)
  }

  /// Plain lifting on one line, mirrored or wrapped.
  func lift(_ a: inout [Double], _ wrap: Bool) {
    let n = a.count
    if n < 2 { return }
    for (s, w) in [-1.586134342059924, -0.052980118572961, 0.882911075530934, 0.443506852043971].enumerated() {
      for i in stride(from: s % 2 == 0 ? 1 : 0, to: n, by: 2) {
        let l = i > 0 ? a[i - 1] : wrap ? a[n - 1] : a[1], r = i + 1 < n ? a[i + 1] : wrap ? a[0] : a[n - 2]
        a[i] += w * (l + r)
      }
    }
    for i in 0..<n { if i % 2 == 0 { a[i] *= 1.149604398860241 } else { a[i] /= 1.149604398860241 } }
  }
  @Test(arguments: transformGrids)
  func waveletEqualsPlainLifting(grid g: Grid) {
    var noise = NoiseSource(seed: 12)
    let t = Wavelet97(grid: g), x = RawArray(box: g.box, elementSize: 8), y = RawArray(box: g.box, elementSize: 8)
    x.fill(&noise)
    y.copy(g.box, from: x)
    for l in 0..<3 { for axis in 0..<3 {
      let s = 1 << l, b = (axis + 1) % 3, c = (axis + 2) % 3
      for i in stride(from: 0, to: g.shape[b], by: s) { for j in stride(from: 0, to: g.shape[c], by: s) {
        let at = stride(from: 0, to: g.shape[axis], by: s).map { k -> Int in
          var o = Index3(0, 0, 0); o[axis] = k; o[b] = i; o[c] = j
          return g.box.offset(of: o)
        }
        var line = at.map(y.value)
        lift(&line, t.periodicAxes[axis])
        for (k, o) in at.enumerated() { y.set(o, line[k]) }
      } }
    } }
    #expect(t.analyseWhole(x, grid: g).maxDifference(y) < 1e-13)
  }

  @Test(arguments: Member.allCases, transformGrids)
  func reconstructs(member: Member, grid g: Grid) {
    var noise = NoiseSource(seed: 13)
    for size in [4, 8] {
      let t = member.on(g), x = RawArray(box: g.box, elementSize: size)
      x.fill(&noise)
      let y = t.synthesiseWhole(t.analyseWhole(x, grid: g), grid: g)
      #expect(y.maxDifference(x) < (size == 4 ? 4e-6 : 1e-14))
    }
  }

  @Test(arguments: [8, 16], transformGrids + [shaped(91, 45, 77, .init(true, false, true))])
  func lappedIsOrthonormal(m: Int, grid g: Grid) {
    var noise = NoiseSource(seed: 14)
    let t = LappedOrthogonalTransform(blockEdge: m, grid: g)
    let x = RawArray(box: g.box, elementSize: 8), y = RawArray(box: g.box, elementSize: 8)
    x.fill(&noise); y.fill(&noise)
    let tx = t.analyseWhole(x, grid: g).values, ty = t.synthesiseWhole(y, grid: g).values
    let ex = x.values.reduce(0) { $0 + $1 * $1 }, et = tx.reduce(0) { $0 + $1 * $1 }
    #expect(abs(et / ex - 1) < 1e-12)
    let left = zip(tx, y.values).reduce(0) { $0 + $1.0 * $1.1 }, right = zip(x.values, ty).reduce(0) { $0 + $1.0 * $1.1 }
    #expect(abs(left - right) < 1e-12 * ex)
  }

  /// A kernel that cannot get its scratch returns, and says so once.
  @Test func missingMemoryIsTold() throws {
    var nothing = 0.0
    withUnsafeMutablePointer(to: &nothing) { p in
      var view = ald_view(base: UnsafeMutableRawPointer(p), lower: (0, 0, 0), shape: (1 << 19, 1 << 19, 1 << 19))
      withUnsafePointer(to: &view) { v in
        var extent: [Int64] = [1 << 19, 1 << 19, 1 << 19], lower: [Int64] = [0, 0, 0], flat: [Int32] = [0, 0, 0]
        ald_wavelet_analyse(8, v, v, &extent, &flat, &lower, &extent)
        #expect(ald_memory_missing() > 0)
        ald_wavelet_synthesise(8, v, v, &extent, &flat, &lower, &extent)
        #expect(ald_memory_missing() > 0)
        #expect(ald_memory_missing() == 0)
      }
    }
    #expect(nothing == 0)
  }

  @Test func constantHasOnlyMeans() {
    for m in [8, 16] {
      let g = shaped(32, 48, 64, wrapped), t = LappedOrthogonalTransform(blockEdge: m, grid: g)
      let x = RawArray(box: g.box, elementSize: 4)
      for i in 0..<x.count { x.set(i, 3) }
      let y = t.analyseWhole(x, grid: g)
      for z in 0..<32 { for r in 0..<48 { for c in 0..<64 {
        let v = y.value(g.box.offset(of: Index3(z, r, c))), dc = z % m == 0 && r % m == 0 && c % m == 0
        #expect(dc ? abs(v - 3 * pow(Double(m), 1.5)) < 1e-4 : v == 0)
      } } }
    }
  }

  /// The core of the matter: tiles, odd boxes and the whole domain give the same bits.
  @Test(arguments: Member.allCases, [
    shaped(64, 48, 80, wrapped), shaped(57, 71, 45), shaped(48, 56, 72, .init(false, true, false)), shaped(1, 100, 93, wrapped),
    shaped(1, 1, 999, wrapped), shaped(55, 1, 70),
  ])
  func regionsAgree(member: Member, grid g: Grid) {
    var noise = NoiseSource(seed: 15)
    var edge = Index3(16, 16, 16)
    for a in 0..<3 where g.shape[a] < 24 { edge[a] = g.shape[a] }
    let tiles = TileGrid(shape: g.shape, edge: edge), t = member.on(g)
    #expect(tiles.count >= 12)
    for size in [4, 8] {
      let x = RawArray(box: g.box, elementSize: size)
      x.fill(&noise)
      let whole = t.analyseWhole(x, grid: g), pieces = RawArray(box: g.box, elementSize: size, zeroed: true)
      let inside = RawArray(box: g.box, elementSize: size, zeroed: true)
      for k in 0..<tiles.count {
        let b = tiles.box(k), out = RawArray(box: b, elementSize: size)
        t.analyse(x.surroundings(of: b, halo: t.analysisHalo, grid: g), core: b, into: out)
        pieces.copy(b, from: out)
        t.synthesiseInside(out, core: b)
        inside.copy(b, from: out)
      }
      #expect(pieces.sameBits(whole))
      let back = t.synthesiseWhole(whole, grid: g), again = RawArray(box: g.box, elementSize: size, zeroed: true)
      for k in 0..<tiles.count {
        let b = tiles.box(k), out = RawArray(box: b, elementSize: size)
        t.synthesise(inside.surroundings(of: b, halo: t.synthesisHalo, grid: g), core: b, into: out)
        again.copy(b, from: out)
      }
      #expect(again.sameBits(back))
      // Any box: odd faces, single cells.
      for _ in 0..<40 {
        var b = Box(shape: g.shape)
        for a in 0..<3 {
          let n = g.shape[a], i = min(n - 1, Int(abs(noise.next()) * Double(n)))
          b.lower[a] = i; b.upper[a] = min(n, i + 1 + Int(abs(noise.next()) * 21))
        }
        let out = RawArray(box: b, elementSize: size), expected = RawArray(box: b, elementSize: size)
        t.synthesise(inside.cells(t.synthesisInput(for: b), grid: g), core: b, into: out)
        expected.copy(b, from: back)
        #expect(out.sameBits(expected))
        if member == .wavelet {
          t.analyse(x.surroundings(of: b, halo: t.analysisHalo, grid: g), core: b, into: out)
          expected.copy(b, from: whole)
          #expect(out.sameBits(expected))
        }
      }
    }
  }

  @Test(arguments: Member.allCases, transformGrids)
  func instructionSetsAgree(member: Member, grid g: Grid) {
    defer { _ = ald_simd_force(-1) }
    var noise = NoiseSource(seed: 16)
    for size in [4, 8] {
      let t = member.on(g), x = RawArray(box: g.box, elementSize: size)
      x.fill(&noise)
      #expect(ald_simd_force(ALD_SIMD_BASELINE) == ALD_SIMD_BASELINE)
      let forward = t.analyseWhole(x, grid: g), back = t.synthesiseWhole(x, grid: g)
      for level in 0...ald_simd_supported() {
        #expect(ald_simd_force(level) == level)
        #expect(t.analyseWhole(x, grid: g).sameBits(forward))
        #expect(t.synthesiseWhole(x, grid: g).sameBits(back))
      }
    }
  }

  /// Coefficients must not depend on the machine: bits of a small case, fixed once.
  @Test(arguments: zip(Member.allCases, [UInt64(2_022_992_399_456_514_412), 15_143_302_712_739_708_676, 13_777_792_948_583_991_160]))
  func goldenBits(member: Member, expected: UInt64) {
    let g = shaped(19, 27, 40, .init(false, false, true)), t = member.on(g)
    var noise = NoiseSource(seed: 17), hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for size in [4, 8] {
      let x = RawArray(box: g.box, elementSize: size)
      x.fill(&noise)
      for y in [t.analyseWhole(x, grid: g), t.synthesiseWhole(x, grid: g)] {
        for i in 0..<y.byteCount { hash = (hash ^ UInt64(y.bound(to: UInt8.self)[i])) &* 0x100_0000_01B3 }
      }
    }
    #expect(hash == expected)
  }
}
