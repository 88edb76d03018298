import Codecs
import Fields
import Support
import Testing

@Suite struct ShellWeightsTests {
  @Test(arguments: [1, 2, 3], [1, 7, 56]) func comeBack(components: Int, radius: Int) throws {
    var g = SplitMix64(seed: UInt64(radius))
    let all = ShellWeights((0..<components * (radius + 4)).map { _ in UInt8(g.below(BandWeights.largest + 1)) }, components: components)
    let read = try ShellWeights(serialised: all.serialised(radius: radius), components: components, radius: radius)
    for c in 0..<components {
      for s in 1...radius { #expect(read.exponents[c * (radius + 1) + s] == all.exponents[c * (radius + 4) + s]) }
    }
  }

  @Test func outOfRangeIsRefused() {
    var refused = 0
    for k in 0..<256 {
      do { _ = try ShellWeights(serialised: [0xff, UInt8(k), 0xff, 0xff, 0xff, 0xff, 0xff], components: 3, radius: 200) } catch is StreamError { refused += 1 } catch {}
    }
    #expect(refused > 0)
  }

  /// Dividing undoes multiplying where factors are powers of two; every mode has the factor of its shell, those beyond the last that of the last.
  @Test func scalesByShell() {
    let shape = Index3(6, 5, 8), modes = SpectralModes(shape: shape, metric: [1, 1, 1], extent: shape, radius: 9), box = SpectralModes.all(shape)
    let weights = ShellWeights([0, 8, 16, 0, 24, 8], components: 2)
    let size = 2 * box.shape.x, numbers = UnsafeMutablePointer<Double>.allocate(capacity: 2 * size)
    defer { numbers.deallocate() }
    for z in box.lower.z..<box.upper.z { for y in box.lower.y..<box.upper.y {
      for i in 0..<2 * size { numbers[i] = Double(i + 1) }
      let rows = [numbers, numbers + size]
      weights.multiply(modes, z, y, box, rows)
      for c in 0..<2 { for x in 0..<box.shape.x {
        let shell = min(modes.shell(z, y, box.lower.x + x), 2), k = [[0, 1, 2], [0, 3, 1]][c][shell]
        #expect(rows[c][2 * x] == Double((c * size + 2 * x + 1) << k))
        #expect(weights.inverseSquare(component: c, shell: shell) == 1 / Double(1 << (2 * k)))
      } }
      weights.divide(modes, z, y, box, rows)
      for i in 0..<2 * size { #expect(numbers[i] == Double(i + 1)) }
    } }
  }
}
