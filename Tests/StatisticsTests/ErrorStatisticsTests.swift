import Fields
import Statistics
import Support
import Testing

@Suite struct ErrorStatisticsTests {
  static let shapes = [Index3(9, 17, 21), Index3(1, 33, 40), Index3(1, 1, 100), Index3(16, 1, 7), Index3(3, 2, 1), Index3(20, 24, 8)]

  struct Sample {
    let box: Box, a: RawArray, b: RawArray, mask: RawArray
    let valid: [Bool], x: [Double], y: [Double]

    /// A tile inside a larger array, as in a region with halo.
    init(_ shape: Index3, _ type: ScalarType, masked: Bool, noise: Double = 1e-2) {
      let grid = Grid(shape: shape + Index3(3, 2, 1))
      let box = Box(lower: Index3(2, 1, 1), upper: Index3(2, 1, 1) + shape)
      let a = SyntheticField.waves(seed: 1).array(grid.box, of: grid, type: type)
      let n = SyntheticField.noise(seed: 2).array(grid.box, of: grid, type: .float64)
      let b = RawArray(box: grid.box, type: type)
      let mask = RawArray(box: grid.box, elementSize: 1)
      var valid: [Bool] = [], x: [Double] = [], y: [Double] = []
      withExtendedLifetime(n) {
        let d = n.bound(to: Double.self)
        for i in 0..<grid.count {
          let ok = !masked || d[i] > -0.98
          mask.bound(to: UInt8.self)[i] = ok ? 1 : 0
          if type == .float32 {
            let p = a.bound(to: Float.self), q = b.bound(to: Float.self)
            q[i] = p[i] + Float(noise * d[i])
            if !ok { p[i] = .nan }
          } else {
            let p = a.bound(to: Double.self), q = b.bound(to: Double.self)
            q[i] = p[i] + noise * d[i]
            if !ok { p[i] = .nan }
          }
        }
      }
      for z in box.lower.z..<box.upper.z { for y0 in box.lower.y..<box.upper.y { for x0 in box.lower.x..<box.upper.x {
        let i = a.box.offset(of: Index3(z, y0, x0))
        valid.append(mask.bound(to: UInt8.self)[i] == 1)
        x.append(type == .float32 ? Double(a.bound(to: Float.self)[i]) : a.bound(to: Double.self)[i])
        y.append(type == .float32 ? Double(b.bound(to: Float.self)[i]) : b.bound(to: Double.self)[i])
      } } }
      self.box = box; self.a = a; self.b = b; self.mask = mask
      self.valid = valid; self.x = x; self.y = y
    }
  }

  func close(_ a: Double?, _ b: Double, _ tolerance: Double) -> Bool { a.map { abs($0 - b) <= tolerance } ?? false }

  /// Against the definitions, written plainly.
  @Test(arguments: shapes, [false, true])
  func definitions(shape: Index3, masked: Bool) {
    for type in ScalarType.allCases {
      let s = Sample(shape, type, masked: masked)
      let v = zip(s.x, s.valid).compactMap { $1 ? $0 : nil }
      let lo = v.min()!, hi = v.max()!, scale = 0.008
      var got = ErrorStatistics(scale: scale, minimum: lo, maximum: hi)
      got.add(tile: s.box, original: s.a, decoded: s.b, type: type, mask: masked ? s.mask : nil)
      let e = s.x.indices.map { s.valid[$0] ? s.y[$0] - s.x[$0] : 0 }
      let n = v.count
      #expect(got.count == n && got.maskedCount == s.x.count - n)
      #expect(got.maximumError == e.map(abs).max()!)
      #expect(close(got.bias, e.reduce(0, +) / Double(n), 1e-15))
      let mse = e.reduce(0) { $0 + $1 * $1 } / Double(n)
      #expect(close(got.meanSquaredError, mse, 1e-15))
      let y = zip(s.y, s.valid).compactMap { $1 ? $0 : nil }
      #expect(close(got.originalSum.value, v.reduce(0, +), 1e-10) && close(got.decodedSum.value, y.reduce(0, +), 1e-10))
      #expect(close(got.originalSquares.value, v.reduce(0) { $0 + $1 * $1 }, 1e-10))
      #expect(close(got.decodedSquares.value, y.reduce(0) { $0 + $1 * $1 }, 1e-10))
      // Histogram, away from the edges of bins where rounding decides.
      #expect(got.histogram.reduce(0, +) + got.below + got.above == n)
      #expect(got.below == s.x.indices.filter { s.valid[$0] && e[$0] < -scale }.count)
      #expect(got.above == s.x.indices.filter { s.valid[$0] && e[$0] > scale }.count)
      var bins = [Int](repeating: 0, count: 64)
      for i in e.indices where s.valid[i] && abs(e[i]) <= scale { bins[min(63, Int((e[i] / scale + 1) * 32))] += 1 }
      #expect(zip(bins, got.histogram).reduce(0) { $0 + abs($1.0 - $1.1) } <= 2)
      // Neighbours.
      let step = [shape.y * shape.x, shape.x, 1]
      for a in 0..<3 {
        var sum = 0.0, pairs = 0
        for z in 0..<shape.z { for y in 0..<shape.y { for x in 0..<shape.x {
          let i = (z * shape.y + y) * shape.x + x
          if Index3(z, y, x)[a] + 1 < shape[a], s.valid[i], s.valid[i + step[a]] { sum += e[i] * e[i + step[a]]; pairs += 1 }
        } } }
        #expect(got.lagCounts[a] == pairs && close(got.lagSums[a].value, sum, 1e-14))
      }
      // Windows.
      var ssim = 0.0, windows = 0
      let c1 = (0.01 * (hi - lo)) * (0.01 * (hi - lo)), c2 = 9 * c1
      for z0 in stride(from: 0, to: shape.z, by: 8) { for y0 in stride(from: 0, to: shape.y, by: 8) { for x0 in stride(from: 0, to: shape.x, by: 8) {
        var p: [Double] = [], q: [Double] = [], whole = true
        for z in z0..<min(z0 + 8, shape.z) { for y in y0..<min(y0 + 8, shape.y) { for x in x0..<min(x0 + 8, shape.x) {
          let i = (z * shape.y + y) * shape.x + x
          whole = whole && s.valid[i]
          p.append(s.x[i] - lo); q.append(s.y[i] - lo)
        } } }
        if !whole { continue }
        let m = Double(p.count), mp = p.reduce(0, +) / m, mq = q.reduce(0, +) / m
        let vp = p.reduce(0) { $0 + ($1 - mp) * ($1 - mp) } / m, vq = q.reduce(0) { $0 + ($1 - mq) * ($1 - mq) } / m
        let c = zip(p, q).reduce(0) { $0 + ($1.0 - mp) * ($1.1 - mq) } / m
        ssim += (2 * mp * mq + c1) * (2 * c + c2) / ((mp * mp + mq * mq + c1) * (vp + vq + c2))
        windows += 1
      } } }
      #expect(got.ssimCount == windows && (windows == 0 || close(got.ssim, ssim / Double(windows), 1e-11)))
    }
  }

  /// An infinitely exact codec: no PSNR, SSIM 1, no error.
  @Test func nothingChanged() {
    let s = Sample(Index3(16, 16, 16), .float32, masked: false, noise: 0)
    var got = ErrorStatistics(scale: 0, minimum: -2, maximum: 2)
    got.add(tile: s.box, original: s.a, decoded: s.a, type: .float32)
    #expect(got.psnr == nil && got.rmse == 0 && got.nrmse == 0 && got.bias == 0 && got.ssim == 1 && got.maximumError == 0)
    #expect(got.autocorrelation(axis: 0) == nil && got.histogram[32] == 4096)
    #expect(got.originalSum == got.decodedSum && got.originalSquares == got.decodedSquares)
  }

  @Test func nothingDefinedWithoutPoints() {
    let s = Sample(Index3(4, 4, 4), .float64, masked: false)
    for i in 0..<s.mask.count { s.mask.bound(to: UInt8.self)[i] = 0 }
    var got = ErrorStatistics(scale: 1, minimum: .infinity, maximum: -.infinity)
    got.add(tile: s.box, original: s.a, decoded: s.b, type: .float64, mask: s.mask)
    #expect(got.count == 0 && got.maskedCount == 64 && got.rmse == nil && got.psnr == nil && got.bias == nil && got.ssim == nil)
    #expect(got.maximumError == 0)
  }

  /// A NaN that is not masked cannot pass for a bound kept.
  @Test func unmaskedNaNShows() {
    let s = Sample(Index3(8, 8, 8), .float32, masked: false)
    s.b.bound(to: Float.self)[s.b.box.offset(of: Index3(5, 5, 5))] = .nan
    var got = ErrorStatistics(scale: 1, minimum: -2, maximum: 2)
    got.add(tile: s.box, original: s.a, decoded: s.b, type: .float32)
    #expect(got.maximumError == .infinity && got.rmse == nil && got.above == 1)
  }

  /// Errors on the bound are inside the histogram.
  @Test func edgesOfTheHistogram() {
    let box = Box(shape: Index3(1, 1, 8)), a = RawArray(box: box, type: .float64, zeroed: true), b = RawArray(box: box, type: .float64)
    for (i, v) in [-0.3, 0.3, 0, 0.3.nextUp, (-0.3).nextDown, 0.29, -0.29, 0.005].enumerated() { b.bound(to: Double.self)[i] = v }
    var got = ErrorStatistics(scale: 0.3, minimum: 0, maximum: 0)
    got.add(tile: box, original: a, decoded: b, type: .float64)
    #expect(got.below == 1 && got.above == 1 && got.histogram[0] == 1 && got.histogram[63] == 1)
    #expect(got.histogram[62] == 1 && got.histogram[1] == 1 && got.histogram[32] == 2)
    #expect(got.psnr == nil && got.nrmse == nil && got.ssim == nil)   // constant field
  }

  /// Tiles in any order, in any groups.
  @Test func orderOfTilesDoesNotMatter() {
    let grid = Grid(shape: Index3(40, 40, 40)), tiles = TileGrid(shape: grid.shape, edge: Index3(16, 16, 16))
    let a = SyntheticField.waves(seed: 1).array(grid.box, of: grid, type: .float32)
    let b = SyntheticField.waves(seed: 2).array(grid.box, of: grid, type: .float32)
    func empty() -> ErrorStatistics { ErrorStatistics(scale: 1e-3, minimum: -1.3, maximum: 1.3) }
    var whole = empty(), g = SplitMix64(seed: 4)
    for t in 0..<tiles.count { whole.add(tile: tiles.box(t), original: a, decoded: b, type: .float32) }
    var groups = [ErrorStatistics](repeating: empty(), count: 5)
    for t in (0..<tiles.count).shuffled(using: &g) { groups[t % 5].add(tile: tiles.box(t), original: a, decoded: b, type: .float32) }
    var merged = empty()
    for s in groups { merged.merge(s) }
    #expect(merged == whole)
  }
}
