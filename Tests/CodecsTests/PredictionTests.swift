@testable import Codecs
import Fields
import Support
import Testing

/// Prediction from earlier steps: docs/format.md 7.16.
@Suite struct PredictionTests {
  static let grid = Grid(shape: Index3(48, 20, 40), periodic: .init(true, false, false))
  static let members: [FieldCoding.Member] = [.lapped16, .lapped8, .wavelet97]

  static func gains(_ bins: PredictionBins, level: Int, precision: Int, references: Int) -> PredictionGains {
    var g = SplitMix64(seed: 3)
    func table(_ one: Int, _ p: Int) -> [[Int]] { (0..<2).map { _ in (0..<bins.groups).map { i in one * 20 / (20 + i) + Int(g.below(5)) - 2 } } }
    return PredictionGains(
      level: level, precision: precision, gain: table(1 << precision, precision),
      trend: references > 1 ? table(1 << PredictionGains.trendPrecision(precision), PredictionGains.trendPrecision(precision)) : [])
  }
  static func header(_ member: FieldCoding.Member, references: Int) -> FieldCoding {
    let bins = PredictionBins(member, grid: grid, level: 0)
    var c = FieldCoding(member: member, workType: .float32)
    c.request = .psnr(60); c.absolute = 1e-3; c.step = 0.25; c.restoration = [0]; c.model = [1, 2]; c.tables = [0]
    c.prediction = Prediction(
      references: Array([Prediction.Reference(file: "b.ald", root: 0x1234_5678_9abc_def0, step: 300), .init(file: "", root: 0, step: 12)][..<references]),
      position: 2, key: 12, gains: gains(bins, level: 0, precision: 8, references: references), bins)
    return c
  }

  @Test(arguments: members, [0, 1, 2]) func gainsComeBack(member: FieldCoding.Member, level: Int) throws {
    let bins = PredictionBins(member, grid: Self.grid, level: level)
    for references in [1, 2] {
      for precision in PredictionGains.precisions {
        let g = Self.gains(bins, level: level, precision: precision, references: references)
        let bytes = g.serialised(bins)
        #expect(try PredictionGains(serialised: bytes, references: references, components: 2, bins: bins) == g)
      }
    }
  }

  @Test(arguments: members, [1, 2]) func headersComeBack(member: FieldCoding.Member, references: Int) throws {
    let c = Self.header(member, references: references)
    #expect(try FieldCoding(serialised: c.serialised) == c)
    _ = try c.prediction!.predictor(member, grid: Self.grid, components: 2)
    var plain = c
    plain.prediction = nil
    #expect(plain.serialised[0] == 1 && c.serialised[0] == 2, "headers without prediction are as ever")
  }

  /// Damage is an error or another prediction, never a trap.
  @Test func damagedHeaders() {
    for member in Self.members {
      let good = Self.header(member, references: 2).serialised
      var g = SplitMix64(seed: 9)
      for trial in 0..<4 * good.count {
        var bad = good
        bad[trial % good.count] = UInt8(g.below(256))
        if trial % 3 == 0 { bad.removeLast(g.below(bad.count)) }
        guard let c = try? FieldCoding(serialised: bad), let p = c.prediction else { continue }
        _ = try? p.predictor(c.member, grid: Self.grid, components: 2)
      }
    }
    for name in ["../a.ald", "/a.ald", "..", "a/b"] {
      var c = Self.header(.lapped16, references: 1)
      c.prediction!.references[0].file = name
      #expect(throws: StreamError.self) { try FieldCoding(serialised: c.serialised) }
    }
  }

  /// p = g a + t (a - b) in the order written, and sums whatever the order of the tiles; a step that is a prediction leaves nothing.
  @Test(arguments: members, [ScalarType.float32, .float64]) func predictionsAreExact(member: FieldCoding.Member, type: ScalarType) throws {
    let grid = Self.grid, level = PredictionBins.finestLevel(member, grid), bins = PredictionBins(member, grid: grid, level: level)
    let tiles = TileGrid(shape: grid.shape, edge: Index3(16, 16, 16))
    func arrays(_ seed: UInt64) -> [RawArray] { (0..<tiles.count).map { SyntheticField.noise(seed: seed).array(tiles.box($0), of: grid, type: type) } }
    let a = arrays(1), b = arrays(2), c = a.map(\.duplicate)
    func value(_ r: RawArray, _ i: Int) -> Double { type == .float32 ? Double(r.bound(to: Float.self)[i]) : r.bound(to: Double.self)[i] }
    let g = PredictionGains(
      level: level, precision: 8, gain: [(0..<bins.groups).map { 200 + $0 % 50 }], trend: [(0..<bins.groups).map { 16 + $0 % 9 }])
    let predictor = Predictor(g, bins)
    for t in a.indices { predictor.add(to: c[t], component: 0, [a[t], b[t]]) }
    // By hand at one cell.
    let box = tiles.box(1), cell = 77
    let i = Index3(box.lower.z + cell / (box.shape.y * box.shape.x), box.lower.y + cell / box.shape.x % box.shape.y, box.lower.x + cell % box.shape.x)
    let triple = (Int(bins.bins[0][i.z]) * bins.counts.y + Int(bins.bins[1][i.y])) * bins.counts.x + Int(bins.bins[2][i.x]), group = bins.group[triple]
    let gain = Double(g.gain[0][group]) / 256, trend = Double(g.trend[0][group]) / 32
    if type == .float32 {
      let x = a[1].bound(to: Float.self)[cell], y = b[1].bound(to: Float.self)[cell]
      let u = Float(gain) * x, d = x - y, v = Float(trend) * d, p = u + v
      #expect(c[1].bound(to: Float.self)[cell] == x + p)
    } else {
      let x = value(a[1], cell), y = value(b[1], cell), u = gain * x, d = x - y, v = trend * d, p = u + v
      #expect(value(c[1], cell) == x + p)
    }
    // c = (1 + g) a + t (a - b): found again from sums in any order.
    func sums(_ order: [Int]) -> PredictionSums {
      var s = PredictionSums(bins, components: 1, magnitude: 4, cells: 4 * tiles.edge.product)
      for t in order { s.add(bins.sums(c[t], [a[t], b[t]]), component: 0) }
      return s
    }
    let forward = sums(Array(a.indices)), backward = sums(a.indices.reversed())
    #expect(forward.integers == backward.integers)
    let (found, foundBins) = PredictionGains.fitted(forward, member, grid: grid, references: 2, step: 1e-5)
    let again = Predictor(found, foundBins)
    var left = 0.0, all = 0.0
    for t in a.indices {
      for k in 0..<c[t].count { all += value(c[t], k) * value(c[t], k) }
      again.subtract(from: c[t], component: 0, [a[t], b[t]])
      for k in 0..<c[t].count { left += value(c[t], k) * value(c[t], k) }
    }
    #expect(left < 1e-6 * all, "\(left / all)")
  }
}
