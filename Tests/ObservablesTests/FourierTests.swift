import CKernels
import Foundation
import Support
import Testing

@Suite(.serialized) struct FourierTests {
  static let lengths = Array(1...40) + [45, 48, 60, 62, 64, 77, 80, 96, 97, 101, 128, 202, 210, 243, 256]
  static let lines = 11   // whole vectors and a rest at every level

  /// Sums in extended precision, by the definition; angles reduced exactly.
  func direct(_ re: [Double], _ im: [Double]) -> [(re: Float80, im: Float80)] {
    let n = re.count
    let roots = (0..<n).map { j -> (Float80, Float80) in
      let a = 2 * Float80.pi * Float80(j) / Float80(n)
      return (Foundation.cos(a), -Foundation.sin(a))
    }
    return (0..<n).map { k in
      var s: Float80 = 0, t: Float80 = 0
      for j in 0..<n {
        let (c, d) = roots[j * k % n], a = Float80(re[j]), b = Float80(im[j])
        s += a * c - b * d; t += a * d + b * c
      }
      return (s, t)
    }
  }
  func numbers(_ count: Int, seed: UInt64) -> [Double] {
    var g = SplitMix64(seed: seed)
    return (0..<count).map { _ in Double(Float(g.uniform() - 0.5)) }
  }
  func error(_ got: [Double], _ line: Int, _ lines: Int, _ want: [(re: Float80, im: Float80)]) -> Double {
    var e: Float80 = 0, s: Float80 = 0
    for (k, w) in want.enumerated() {
      let a = Float80(got[2 * (k * lines + line)]) - w.re, b = Float80(got[2 * (k * lines + line) + 1]) - w.im
      e += a * a + b * b; s += w.re * w.re + w.im * w.im
    }
    return Double((e / s).squareRoot())
  }

  /// Root-mean-square error below one unit of roundoff times log2 n; back again.
  @Test(arguments: lengths) func agreesWithTheDefinition(n: Int) throws {
    let lines = FourierTests.lines, plan = try #require(ald_fft_create(Int64(n), 8)), single = try #require(ald_fft_create(Int64(n), 4))
    defer { ald_fft_free(plan); ald_fft_free(single) }
    let x = numbers(2 * n * lines, seed: UInt64(n)), tolerance = max(1, log2(Double(n)))
    var y = x, f = x.map { Float($0) }
    ald_fft_lines(plan, 0, x, Int64(lines), &y, Int64(lines), Int64(lines))
    f.withUnsafeMutableBufferPointer { ald_fft_lines(single, 0, $0.baseAddress!, Int64(lines), $0.baseAddress!, Int64(lines), Int64(lines)) }
    for l in [0, 4, lines - 1] {
      let want = direct((0..<n).map { x[2 * ($0 * lines + l)] }, (0..<n).map { x[2 * ($0 * lines + l) + 1] })
      #expect(error(y, l, lines, want) <= tolerance * 0x1p-53)
      #expect(error(f.map { Double($0) }, l, lines, want) <= tolerance * 0x1p-24)
    }
    var z = y
    ald_fft_lines(plan, 1, y, Int64(lines), &z, Int64(lines), Int64(lines))
    for (a, b) in zip(z, x) { #expect(abs(a / Double(n) - b) <= 4 * tolerance * 0x1p-53) }

    // Real rows: the first half of the complex transform, and back.
    let h = n / 2 + 1, r = numbers(n * lines, seed: 7)
    var half = [Double](repeating: 0, count: 2 * h * lines), back = [Double](repeating: 0, count: n * lines)
    ald_fft_real(plan, r, Int64(n), &half, Int64(h), Int64(lines))
    for l in [0, lines - 1] {
      let row = Array(r[l * n..<(l + 1) * n]), want = direct(row, [Double](repeating: 0, count: n))
      #expect(error(Array(half[2 * l * h..<2 * (l + 1) * h]), 0, 1, Array(want[..<h])) <= tolerance * 0x1p-53)
    }
    ald_fft_half(plan, half, Int64(h), &back, Int64(n), Int64(lines))
    for (a, b) in zip(back, r) { #expect(abs(a / Double(n) - b) <= 4 * tolerance * 0x1p-53) }
  }

  /// The same bits at every level, and for a line alone or among others.
  @Test(arguments: [1, 2, 7, 12, 31, 37, 64, 90, 105]) func bitsDependOnTheLineOnly(n: Int) throws {
    defer { _ = ald_simd_force(-1) }
    let lines = 37, h = n / 2 + 1
    for size in [8, 4] {
      let plan = try #require(ald_fft_create(Int64(n), Int32(size)))
      defer { ald_fft_free(plan) }
      func bytes(_ count: Int, _ body: (UnsafeMutableRawPointer) -> Void) -> [UInt8] {
        var b = [UInt8](repeating: 0, count: count * size)
        b.withUnsafeMutableBytes { body($0.baseAddress!) }
        return b
      }
      let values = numbers(2 * n * lines, seed: 3)
      let x = size == 8 ? values.withUnsafeBytes { [UInt8]($0) } : values.map { Float($0) }.withUnsafeBytes { [UInt8]($0) }
      func all() -> [[UInt8]] {
        let real = bytes(2 * h * lines) { ald_fft_real(plan, x, Int64(n), $0, Int64(h), Int64(lines)) }
        return [bytes(2 * n * lines) { ald_fft_lines(plan, 0, x, Int64(lines), $0, Int64(lines), Int64(lines)) },
                bytes(2 * n * lines) { ald_fft_lines(plan, 1, x, Int64(lines), $0, Int64(lines), Int64(lines)) },
                real, bytes(n * lines) { ald_fft_half(plan, real, Int64(h), $0, Int64(n), Int64(lines)) }]
      }
      let expected = all()
      for level in 0...ald_simd_supported() { ald_simd_force(level); #expect(all() == expected) }
      ald_simd_force(-1)
      // Line l by itself, as a row and as a column.
      let row = size * n, halfRow = 2 * size * h, pair = 2 * size
      for l in [0, 5, lines - 1] {
        let values = Array(x[(l * row)...])
        let one = bytes(2 * h) { ald_fft_real(plan, values, Int64(n), $0, Int64(h), 1) }
        let wantedRow = Array(expected[2][(l * halfRow)..<((l + 1) * halfRow)])
        #expect(one == wantedRow)
        var line: [UInt8] = [], wantedLine: [UInt8] = []
        for j in 0..<n {
          let at = pair * (j * lines + l)
          line += x[at..<at + pair]
          wantedLine += expected[0][at..<at + pair]
        }
        let other = bytes(2 * n) { ald_fft_lines(plan, 0, line, 1, $0, 1, 1) }
        #expect(other == wantedLine)
      }
    }
  }

  /// Roots of unity are correctly rounded where extended precision can tell.
  @Test func rootsAreRoundedOnce() {
    for n in [1, 2, 3, 8, 12, 97, 1000, 65536, 1_000_003] {
      for k in Set((0..<200).map { $0 * n / 200 } + [0, n / 8, n / 4, n / 2, n - 1]) where k < n {
        var c = 0.0, s = 0.0
        ald_fft_root(Int64(k), Int64(n), &c, &s)
        let a = 2 * Float80.pi * Float80(k) / Float80(n)
        // Half a unit, and the rounding of the angle.
        #expect(abs(Float80(c) - Foundation.cos(a)) <= Float80(c.ulp) / 2 + 0x1p-61)
        #expect(abs(Float80(s) - Foundation.sin(a)) <= Float80(s.ulp) / 2 + 0x1p-61)
      }
    }
  }
}
