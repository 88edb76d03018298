import Codecs
import Fields
import Foundation
import Testing

@Suite struct ResampledTests {
  /// Waves of index up to `most` along each axis at a cell of a grid of extents `n`.
  private func value(_ i: Index3, _ n: Index3, most: Int) -> Double {
    var v = 0.0
    for k in 0...most {
      let size = exp(-0.3 * Double(k))
      for a in 0..<3 where n[a] > 1 { v += size * cos(2 * .pi * Double(k * i[a]) / Double(n[a]) + Double(k + a)) }
      v += size * sin(2 * .pi * Double(k) * (Double(i.x) / Double(n.x) - Double(i.y) / Double(n.y)))
    }
    return v
  }
  private func each(_ b: Box, _ body: (Index3) -> Void) {
    for z in b.lower.z..<b.upper.z { for y in b.lower.y..<b.upper.y { for x in b.lower.x..<b.upper.x { body(Index3(z, y, x)) } } }
  }
  private func grid(_ fine: Index3, _ coarse: Index3, most: Int, half: Int) -> CoarserGrid {
    let power = (0...most).map { CoarserGrid.Axis.code(exp(-0.6 * Double($0))) }
    return CoarserGrid(shape: coarse, axes: (0..<3).map { coarse[$0] == fine[$0] ? nil : .init(half: half, noise: 80, power: power) }, means: [0.5])
  }

  /// Values between the cells are those of the waves, to what the weights tell of themselves, on any box that wraps.
  @Test func fewWavesAreInterpolated() throws {
    for (fine, coarse) in [(Index3(24, 32, 48), Index3(16, 20, 36)), (Index3(1, 91, 64), Index3(1, 28, 64)), (Index3(1, 1, 120), Index3(1, 1, 40))] {
      let g = grid(fine, coarse, most: 5, half: 8), whole = Box(shape: coarse)
      for type in ScalarType.allCases {
        let i = try GridInterpolation(g, fine: fine, type: type)
        for box in [Box(shape: fine), Box(lower: Index3(0, fine.y - 1, 3), upper: Index3(1, fine.y, 20)), Box(lower: Index3(fine.z - 1, 0, fine.x - 2), upper: fine)] {
          let source = RawArray(box: i.source(of: box), type: type)
          each(source.box) { c in
            let v = value(Index3((c.z + coarse.z * 4) % coarse.z, (c.y + coarse.y * 4) % coarse.y, (c.x + coarse.x * 4) % coarse.x), coarse, most: 5), at = source.box.offset(of: c)
            if type == .float32 { source.bound(to: Float.self)[at] = Float(v) } else { source.bound(to: Double.self)[at] = v }
          }
          let out = i.interpolate(source, to: box)
          #expect(out.box == box && whole.count > 0)
          var worst = 0.0
          each(box) { c in
            let at = box.offset(of: c), v = type == .float32 ? Double(out.bound(to: Float.self)[at]) : out.bound(to: Double.self)[at]
            worst = max(worst, abs(v - value(c, fine, most: 5)))
          }
          #expect(worst < (type == .float32 ? 1e-4 : 5e-5), "\(fine) \(type): \(worst)")
        }
      }
    }
  }

  /// What the weights say of their error and of noise holds; more cells around make it smaller.
  @Test func weightsKnowTheirError() throws {
    let power = (0...20).map { CoarserGrid.Axis.code(exp(-0.5 * Double($0))) }
    var last = Double.infinity
    for half in CoarserGrid.halves {
      let w = try CoarserGrid.Axis(half: half, noise: 100, power: power).weights(fine: 64, coarse: 48)
      #expect(w.weights.count == 4 * 2 * half && w.error < last && w.gain > 0.5 && w.gain < 1.01)
      last = w.error
    }
    #expect(last < 1e-11)
  }

  @Test func settingsComeBack() throws {
    let fine = Grid(shape: Index3(64, 1, 91), periodic: .init(true, true, true)), g = grid(fine.shape, Index3(48, 1, 72), most: 20, half: 12)
    let bytes = g.serialised
    #expect(try CoarserGrid(serialised: bytes, grid: fine, components: 1) == g)
    for n in 0..<17 { #expect(throws: StreamError.self) { try CoarserGrid(serialised: Array(bytes[..<n]), grid: fine, components: 1) } }
    #expect(throws: StreamError.self) { try CoarserGrid(serialised: bytes, grid: Grid(shape: fine.shape), components: 1) }
    for i in bytes.indices {
      var bad = bytes
      bad[i] ^= 0x55
      // Anything but a crash: other numbers, or an error.
      if let other = try? CoarserGrid(serialised: bad, grid: fine, components: 1) { _ = try? GridInterpolation(other, fine: fine.shape, type: .float32) }
    }
  }
}
