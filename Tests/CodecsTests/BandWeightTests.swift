import Codecs
import Fields
import Support
import Testing

/// Steps of the bands and further bits of some: docs/format.md 7.14.
@Suite struct BandWeightTests {
  /// Smooth, as closed forms are, and rough.
  static func tables(_ edge: Int, rough: Bool) -> [[UInt8]] {
    var g = SplitMix64(seed: 5)
    return (0..<3).map { c in
      (0..<edge * edge * edge).map { i in
        let f = [i / edge / edge, i / edge % edge, i % edge]
        return rough ? UInt8(g.below(128)) : BandWeights.exponent(Double(1 + f[0] * f[0] + (c + 1) * f[1] + f[2] * f[2]).squareRoot())
      }
    }
  }

  @Test(arguments: [8, 16], [false, true]) func tablesComeBack(edge: Int, rough: Bool) throws {
    let w = BandWeights(edge: edge, tables: Self.tables(edge, rough: rough))
    #expect(try BandWeights(serialised: w.serialised, edge: edge) == w)
    let simple = w.simplified(latents: 1000)
    #expect(try BandWeights(serialised: simple.serialised, edge: edge) == simple)
    #expect(simple.serialised.count <= w.serialised.count)
    // A smooth table costs little.
    if !rough { #expect(w.serialised.count * 8 < w.tables.count * edge * edge * edge * 3) }
    let one = BandWeights(edge: edge, tables: [[UInt8](repeating: 3, count: edge * edge * edge), [UInt8](repeating: 3, count: edge * edge * edge)])
    #expect(one.tables.count == 1 && one.serialised.count < 40)
  }

  @Test func exponentsAreTheNearest() {
    for k in 0...127 {
      #expect(BandWeights.exponent(BandWeights.factor(k)) == UInt8(k))
      #expect(BandWeights.factor(k) * BandWeights.factor(-k) - 1 < 1e-15)
    }
    #expect(BandWeights.exponent(0.1) == 0 && BandWeights.exponent(1e30) == 127)
  }

  /// Damage is an error or another table, never a trap.
  @Test func damagedTables() throws {
    let bytes = BandWeights(edge: 8, tables: Self.tables(8, rough: false)).serialised
    for n in 0..<3 { #expect(throws: StreamError.self) { try BandWeights(serialised: Array(bytes[..<n]), edge: 8) } }
    for i in bytes.indices { for bit in 0..<8 {
      var b = bytes
      b[i] ^= 1 << UInt8(bit)
      if let w = try? BandWeights(serialised: b, edge: 8) { #expect(w.tables.allSatisfy { $0.count == 512 }) }
      _ = try? BandRefinement(serialised: b, edge: 8)
    } }
  }

  @Test(arguments: [4, 8]) func refinedCoefficients(elementSize: Int) throws {
    let grid = Grid(shape: Index3(16, 20, 33)), transform = LappedOrthogonalTransform(blockEdge: 8, grid: grid)
    var bits = [UInt8](repeating: 0, count: 512)
    bits[0] = 13; bits[1] = 1; bits[64] = 32
    let refinement = BandRefinement(BandWeights(edge: 8, tables: [bits])), scaler = BandScaler(nil, transform)
    let a = RawArray(box: grid.box, elementSize: elementSize), q = RawArray(box: grid.box, elementSize: 4, zeroed: true)
    var g = SplitMix64(seed: 3)
    let step = 0.37
    for i in 0..<a.count {
      let v = 200 * (g.uniform() - 0.5)
      if elementSize == 4 { a.bound(to: Float.self)[i] = Float(v) } else { a.bound(to: Double.self)[i] = v }
    }
    func value(_ r: RawArray, _ i: Int) -> Double { elementSize == 4 ? Double(r.bound(to: Float.self)[i]) : r.bound(to: Double.self)[i] }
    var tile = RefinedTile(refinement, scaler, box: grid.box, component: 0)
    tile.quantise(a, step: step, into: q)
    // The common integer is the nearest one.
    scaler.eachBand(of: grid.box) { i, band in
      if bits[band] > 0 { #expect(abs(value(a, i) / step - Double(q.bound(to: Int32.self)[i])) <= 0.5 + 0x1p-1 / Double(1 << bits[band])) }
    }
    var again = RefinedTile(refinement, scaler, box: grid.box, component: 0)
    #expect(again.byteCount == tile.bytes.count && again.byteCount > 0)
    again.read(tile.bytes, q)
    let out = RawArray(box: grid.box, elementSize: elementSize, zeroed: true)
    again.dequantise(step: step, into: out)
    scaler.eachBand(of: grid.box) { i, band in
      if bits[band] == 0 { #expect(value(out, i) == 0) } else {
        let fine = step / Double(1 << Int(bits[band]))
        #expect(abs(value(out, i) - value(a, i)) <= 0.501 * fine + (elementSize == 4 ? 1e-5 : 1e-13))
      }
    }
  }

  /// Weights scale a band, there and back.
  @Test func scaling() {
    let grid = Grid(shape: Index3(16, 16, 24)), transform = LappedOrthogonalTransform(blockEdge: 8, grid: grid)
    var t = [UInt8](repeating: 0, count: 512)
    t[9] = 16
    let scaler = BandScaler(BandWeights(edge: 8, tables: [t]), transform), a = RawArray(box: grid.box, elementSize: 8)
    for i in 0..<a.count { a.bound(to: Double.self)[i] = 1 }
    scaler.multiply(a, component: 0)
    var count = 0
    scaler.eachBand(of: grid.box) { i, band in
      #expect(a.bound(to: Double.self)[i] == (band == 9 ? 4 : 1))
      if band == 9 { count += 1 }
    }
    #expect(count == 2 * 2 * 3)
    scaler.divide(a, component: 0)
    for i in 0..<a.count { #expect(a.bound(to: Double.self)[i] == 1) }
  }
}
