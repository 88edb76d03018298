import CKernels
@testable import Codecs
import Fields
import Support
import Testing

@Suite struct SpectralTests {
  static let shapes = [Index3(8, 8, 8), Index3(64, 64, 64), Index3(91, 45, 77), Index3(1, 16, 11), Index3(1, 1, 30), Index3(9, 1, 2), Index3(2, 1, 1)]

  static func eachMode(_ b: Box, _ body: (Int, Int, Int) -> Void) {
    for z in b.lower.z..<b.upper.z { for y in b.lower.y..<b.upper.y { for x in b.lower.x..<b.upper.x { body(z, y, x) } } }
  }

  /// Of k and -k one is coded, of the whole set every mode in one chunk, inner levels first.
  @Test(arguments: shapes) func chunksHoldEveryModeOnce(_ n: Index3) {
    for (divisor, mirrors) in [(1, 0), (2, 0), (3, 0), (1, 3), (2, 1), (3, 2)] as [(Int, UInt8)] {
      let extent = Index3(n.z / 2 / divisor, n.y / 2 / divisor, n.x / 2 / divisor)
      let modes = SpectralModes(shape: n, metric: [1, 1, 1], extent: extent, radius: n.z + n.y + n.x, mirrors: mirrors)
      var seen = [Int](repeating: 0, count: modes.box.count), level = 0
      for c in modes.chunks(components: 3) {
        #expect(c.level >= level)
        level = c.level
        let m = SpectralModes.coarse(n, level: level)
        for b in c.boxes {
          SpectralTests.eachMode(b) { z, y, x in
            seen[modes.box.offset(of: Index3(z, y, x))] += 1
            if level < 2 { #expect(2 * abs(z) < m.z && 2 * abs(y) < m.y && 2 * x < m.x) }
          }
        }
      }
      #expect(seen.allSatisfy { $0 == 1 })
      // The coded half of the set.
      func wrapped(_ j: Int, _ n: Int) -> Int { 2 * -j == n ? -j : j }
      var kept = Set<Index3>()
      for z in modes.box.lower.z..<modes.box.upper.z { for y in modes.box.lower.y..<modes.box.upper.y {
        for x in modes.range(modes.box, z, y) { kept.insert(Index3(z, y, x)) }
      } }
      var pairs = 0
      SpectralTests.eachMode(modes.box) { z, y, x in
        let i = Index3(z, y, x), o = Index3(wrapped(-z, n.z), wrapped(-y, n.y), 2 * x == n.x ? x : -x)
        if o == i { #expect(kept.contains(i) != (i == Index3(0, 0, 0))) } else if o.x >= 0 { #expect(kept.contains(i) != kept.contains(o)) } else { #expect(kept.contains(i)) }
        pairs += 1
      }
      #expect(pairs == modes.box.count)
    }
  }

  @Test(arguments: [Index3(24, 20, 28), Index3(1, 16, 30), Index3(40, 6, 5)]) func codedNumbersComeBack(_ n: Index3) throws {
    var g = SplitMix64(seed: 5)
    let metric = SpectralModes.metric(n, spacing: [1, 2, 0.5]), components = 3
    let modes = SpectralModes(shape: n, metric: metric, extent: Index3(n.z / 3, n.y / 2, n.x / 3), radius: 14)
    var sums = [UInt64](repeating: 0, count: components * 15), counts = sums
    let chunks = modes.chunks(components: components)
    let numbers = chunks.map { c in
      c.boxes.map { b in
        (0..<components).map { k in
          let q = RawArray(box: Box(shape: Index3(b.shape.z, b.shape.y, 2 * b.shape.x)), elementSize: 4, zeroed: true), p = q.bound(to: Int32.self)
          var row = 0
          for z in b.lower.z..<b.upper.z { for y in b.lower.y..<b.upper.y {
            for x in modes.range(b, z, y) {
              let top = 1 << (20 / (1 + modes.shell(z, y, x)))
              p[(row * b.shape.x + x) * 2] = Int32(g.below(2 * top + 1) - top)
              p[(row * b.shape.x + x) * 2 + 1] = Int32(g.below(2 * top + 1) - top)
            }
            row += 1
          } }
          var s = Array(sums[15 * k..<15 * (k + 1)]), m = Array(counts[15 * k..<15 * (k + 1)])
          modes.addScaleSums(p, b, &s, &m)
          sums.replaceSubrange(15 * k..<15 * (k + 1), with: s); counts.replaceSubrange(15 * k..<15 * (k + 1), with: m)
          return q
        }
      }
    }
    let scales = SpectralScales(sums: sums, counts: counts)
    #expect(try SpectralScales(serialised: scales.serialised(components: components), components: components, radius: 14) == scales)
    let coder = SpectralCoder(modes, components: components, scales: scales)
    for (c, q) in zip(chunks, numbers) {
      let count = coder.count(c)
      var classes = [UInt8](repeating: 0, count: count), values = [Int32](repeating: 0, count: count)
      #expect(coder.symbols(c, q, classes: &classes, values: &values).count == count)
      var out = [UInt8](repeating: 0, count: count * 6 + 64), scratch = [UInt8](repeating: 0, count: count)
      let size = count == 0 ? 0 : ald_encode(ClassTables.shipped.pointer, classes, values, count, &scratch, &out, out.count)
      let again = q.map { $0.map { RawArray(box: $0.box, elementSize: 4) } }
      try coder.decode(c, Array(out[..<size]), .shipped, into: again)
      for (a, b) in zip(again.joined(), q.joined()) { for i in 0..<a.count where a.bound(to: Int32.self)[i] != b.bound(to: Int32.self)[i] { Issue.record("\(n): \(i)"); return } }
      if size > 8 { #expect(throws: StreamError.self) { try coder.decode(c, Array(out[..<(size - 3)]), .shipped, into: again) } }
    }
  }

  /// Mirror images come back, exact or not, and cost next to nothing where they are exact; so do parts that vanish.
  @Test(arguments: [Index3(24, 20, 28), Index3(1, 16, 30), Index3(9, 10, 5)]) func mirrorImagesComeBack(_ n: Index3) throws {
    // Even and odd along z, y; the last component has no symmetry.
    let symmetries: [UInt8] = [1 | 2 << 2 | 1 << 4, 2 | 2 << 2 | 2 << 4, 0], radius = 12
    for exceptions in [0, 40] {
      var g = SplitMix64(seed: 11)
      let modes = SpectralModes(shape: n, metric: [1, 1, 1], extent: Index3(n.z / 2, n.y / 2, n.x / 2), radius: radius, mirrors: 3)
      let scales = SpectralScales(sums: [UInt64](repeating: 3, count: 3 * (radius + 1)), counts: [UInt64](repeating: 1, count: 3 * (radius + 1)))
      func value(_ c: Int, _ z: Int, _ y: Int, _ x: Int, _ part: Int) -> Int {
        func own(_ z: Int, _ y: Int) -> Int { Int(SplitMix64.hash(UInt64(7 + c), ((z + 50) * 100 + y + 50) * 100 + 2 * x + part) % 13) - 6 }
        let s = symmetries[c]
        if s == 0 { return own(z, y) }
        if part == Int(s >> 4) - 1 { return 0 }
        func sign(_ j: Int, _ code: UInt8) -> Int { j < 0 && code == 2 ? -1 : 1 }
        return own(abs(z), abs(y)) * sign(z, s & 3) * sign(y, s >> 2 & 3)
      }
      let chunks = modes.chunks(components: 3), coder = SpectralCoder(modes, components: 3, scales: scales, symmetries: symmetries)
      var told = 0, missed = 0
      for c in chunks {
        let q = c.boxes.map { b in
          (0..<3).map { k in
            let a = RawArray(box: Box(shape: Index3(b.shape.z, b.shape.y, 2 * b.shape.x)), elementSize: 4, zeroed: true), p = a.bound(to: Int32.self)
            for z in b.lower.z..<b.upper.z { for y in b.lower.y..<b.upper.y { for x in modes.range(b, z, y) { for part in 0..<2 {
              let odd = exceptions > 0 && g.below(exceptions) == 0 ? 1 : 0
              p[(((z - b.lower.z) * b.shape.y + y - b.lower.y) * b.shape.x + x) * 2 + part] = Int32(value(k, z, y, b.lower.x + x, part) + odd)
            } } } }
            return a
          }
        }
        let count = coder.count(c)
        var classes = [UInt8](repeating: 0, count: count), values = [Int32](repeating: 0, count: count)
        let s = coder.symbols(c, q, classes: &classes, values: &values)
        #expect(s.count == count)
        told += s.told; missed += s.missed
        var out = [UInt8](repeating: 0, count: count * 6 + 64), scratch = [UInt8](repeating: 0, count: count)
        let size = count == 0 ? 0 : ald_encode(ClassTables.shipped.pointer, classes, values, count, &scratch, &out, out.count)
        let again = q.map { $0.map { RawArray(box: $0.box, elementSize: 4) } }
        try coder.decode(c, Array(out[..<size]), .shipped, into: again)
        for (a, b) in zip(again.joined(), q.joined()) { for i in 0..<a.count where a.bound(to: Int32.self)[i] != b.bound(to: Int32.self)[i] { Issue.record("\(n): \(i)"); return } }
      }
      if exceptions == 0 { #expect(missed == 0) } else { #expect(missed > told / 60 && missed < told / 10, "\(missed) of \(told)") }
      let mirrored = chunks.reduce(0) { t, c in t + zip(c.boxes, c.mirrors).reduce(0) { $0 + ($1.1 == 0 ? 0 : $1.0.count) } }
      #expect(told > 0 && told <= 4 * mirrored && told > 2 * mirrored)
    }
  }

  /// Turning keeps lengths and comes back; what has no divergence has no third component.
  @Test(arguments: SpectralBasis.allCases, [Index3(8, 6, 10), Index3(5, 9, 7), Index3(1, 6, 8)]) func framesAreUnitary(_ basis: SpectralBasis, _ n: Index3) {
    var g = SplitMix64(seed: 3)
    let axes = n.z == 1 ? [2, 1] : [2, 0, 1], spacing = [0.5, 1, 2.0]
    let frame = SpectralFrame(n, basis, axes: axes, spacing: spacing, faces: UInt8(g.below(8))), box = SpectralModes.all(n), width = 2 * box.shape.x
    for z in box.lower.z..<box.upper.z { for y in box.lower.y..<box.upper.y {
      let rows = axes.map { _ in (0..<width).map { _ in g.uniform() - 0.5 } }
      var turned = rows
      func lend(_ body: ([UnsafeMutablePointer<Double>]) -> Void) {
        let memory = UnsafeMutablePointer<Double>.allocate(capacity: width * axes.count)
        defer { memory.deallocate() }
        for c in axes.indices { for i in 0..<width { memory[c * width + i] = turned[c][i] } }
        body(axes.indices.map { memory + $0 * width })
        for c in axes.indices { for i in 0..<width { turned[c][i] = memory[c * width + i] } }
      }
      lend { frame.forward(z, y, box, $0) }
      let middle = turned
      lend { frame.backward(z, y, box, $0) }
      for x in 1..<box.shape.x - 1 {
        let length = rows.reduce(0) { $0 + $1[2 * x] * $1[2 * x] + $1[2 * x + 1] * $1[2 * x + 1] }
        let other = middle.reduce(0) { $0 + $1[2 * x] * $1[2 * x] + $1[2 * x + 1] * $1[2 * x + 1] }
        #expect(abs(2 * length / Double(n.product) - other) < 1e-12)
        for c in axes.indices { #expect(abs(turned[c][2 * x] * Double(n.product) - rows[c][2 * x]) < 1e-12) }
      }
    } }
  }

  @Test func settingsComeBackOrAreRefused() throws {
    var s = SpectralSettings()
    s.basis = .centred; s.axes = [2, 0, 1]; s.spacing = [1, 0.5, 2]; s.means = [1, -2, 0.25]; s.extent = Index3(3, 4, 5); s.radius = 9
    let n = Index3(12, 14, 16)
    #expect(try SpectralSettings(serialised: s.serialised, shape: n, components: 3) == s)
    for k in 0..<s.serialised.count { #expect(throws: StreamError.self) { try SpectralSettings(serialised: Array(s.serialised[..<k]), shape: n, components: 3) } }
    s.faces = 5
    #expect(try SpectralSettings(serialised: s.serialised, shape: n, components: 3) == s)
    s.symmetries = [0, 1 | 2 << 2, 2 << 4]
    #expect(try SpectralSettings(serialised: s.serialised, shape: n, components: 3) == s)
    for k in 0..<s.serialised.count { #expect(throws: StreamError.self) { try SpectralSettings(serialised: Array(s.serialised[..<k]), shape: n, components: 3) } }
    for wrong in [[0, 0, 64], [3, 0, 0], [0, 12, 0], [48, 0, 0]] as [[UInt8]] {
      s.symmetries = wrong
      #expect(throws: StreamError.self) { try SpectralSettings(serialised: s.serialised, shape: n, components: 3) }
    }
    s.symmetries = []; s.faces = 8
    #expect(throws: StreamError.self) { try SpectralSettings(serialised: s.serialised, shape: n, components: 3) }
    s.faces = 0
    s.extent.x = 9
    #expect(throws: StreamError.self) { try SpectralSettings(serialised: s.serialised, shape: n, components: 3) }
    s.extent.x = 5; s.axes = [2, 2, 1]
    #expect(throws: StreamError.self) { try SpectralSettings(serialised: s.serialised, shape: n, components: 3) }
    s.axes = [2, 0, 1]; s.spacing = [1, 0, 2]
    #expect(throws: StreamError.self) { try SpectralSettings(serialised: s.serialised, shape: n, components: 3) }
  }
}
