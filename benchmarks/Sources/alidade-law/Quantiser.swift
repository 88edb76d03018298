import CKernels
import Codecs
import Fields
import Foundation
import LatentGeometry
import Observables

/// Uniform numbers in -1/2 ..< 1/2.
struct SplitMix {
  var state: UInt64
  mutating func next() -> Double {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return Double((z ^ (z >> 31)) >> 11) * 0x1p-53 - 0.5
  }
}

/// Quantises a field's coefficients with a step per band, codes them with the codec's context models, tables and entropy coder, decodes.
final class Quantiser {
  let codec: TransformCodec
  let original: FieldParts
  /// Coefficients of all components, and the band of each.
  let coefficients: [Double]
  let members: [Int32]
  private let counts: [Double]
  private let layout: BandLayout

  init(_ codec: TransformCodec, _ field: FieldParts) throws {
    self.codec = codec; original = field
    coefficients = codec.analysed(field).flatMap(\.values)
    members = codec.members()
    var counts = [Double](repeating: 0, count: codec.bandCount)
    for b in members { counts[Int(b)] += 1 }
    self.counts = counts
    let s = codec.grid.shape
    if codec.kind == .wavelet97 { layout = try BandLayout(wavelet: s) } else {
      let t = LappedOrthogonalTransform(blockEdge: codec.kind == .lot8 ? 8 : 16, grid: codec.grid)
      layout = try BandLayout(lapped: s, edge: t.blockEdge, starts: (0..<3).map { t.blockStarts(axis: $0).dropLast().map { Int32($0) } })
    }
  }

  /// Mean square of each band's coefficients.
  func variances(_ v: [Double]? = nil) -> [Double] {
    var s = [Double](repeating: 0, count: codec.bandCount), n = s
    let c = v ?? coefficients
    for i in c.indices { let b = Int(members[i]); s[b] += c[i] * c[i]; n[b] += 1 }
    return zip(s, n).map { $1 > 0 ? $0 / $1 : 0 }
  }

  /// What one choice of factors and step came to.
  struct Coded {
    let integers: [Int32]
    /// Decoded coefficients, in units of the coefficients.
    let decoded: [Double]
  }

  /// - Parameter factors: per band; coefficients are multiplied before a common step and divided afterwards.
  /// - Parameter draw: 0: plain rounding. Others are further draws of the same noise: what exceeds eight steps is rounded with a random
  ///   offset that the decoder takes off again; its errors are as uniform as before, but new.
  /// - Parameter dithered: every coefficient has an offset and decoded values are not shifted towards zero: noise of step^2/12 everywhere,
  ///   independent of the field.
  func coded(factors: [Double], step: Double, draw: Int = 0, dithered: Bool = false) -> Coded {
    let by = members.map { factors[Int($0)] }
    var scaled = zip(coefficients, by).map { $0 * $1 }, offsets: [Double] = []
    if draw > 0 || dithered {
      var random = SplitMix(state: UInt64(draw))
      offsets = scaled.map { dithered || abs($0) > 8 * step ? step * random.next() : 0 }
      for i in scaled.indices { scaled[i] += offsets[i] }
    }
    // Reconstruction shifts as the codec finds them: |c|/step - |q| averages to -shift.
    var k = ald_quantiser(step: step, inverse: 1 / step, dead_zone: 0, shift: (0, 0, 0)), sums = [Double](repeating: 0, count: Int(ALD_QUANTISE_SUMS))
    ald_quantise_error_f64(scaled, scaled.count, &k, &sums)
    func shift(_ j: Int) -> Double {
      let n = sums[1 + 2 * j]
      return n > 0 ? min(max((-sums[2 + 2 * j] / n * 256).rounded(), 0), 120) / 256 : 0
    }
    if !dithered { k.shift = (shift(0), shift(1), shift(2)) }
    var q = [Int32](repeating: 0, count: scaled.count)
    ald_quantise_f64(scaled, scaled.count, &k, &q)
    ald_dequantise_f64(q, q.count, &k, &scaled)
    for i in offsets.indices { scaled[i] -= offsets[i] }
    for i in scaled.indices { scaled[i] /= by[i] }
    return Coded(integers: q, decoded: scaled)
  }
  /// Streams, tables and context models, bits per value.
  func rate(_ c: Coded, factors: [Double], contexts: Contexts = .magnitudes) -> Double {
    8 * Double(entropyCoded(c.integers, factors: factors, contexts: contexts)) / Double(c.integers.count)
  }
  func field(_ coefficients: [Double]) -> FieldParts {
    let n = codec.grid.count
    return codec.tangent((0..<codec.components).map { FieldPart(codec.grid.box, Array(coefficients[$0 * n..<($0 + 1) * n])) })
  }

  /// Bytes of integers, one tile per component, with weights and tables of their own.
  ///
  /// The codec's contexts compare integers of neighbouring bands. With `magnitudes` they compare decoded values: contexts are made from `q` in
  /// units of one step for all bands, and a class moves by the ratio of that step to its band's.
  private func entropyCoded(_ q: [Int32], factors: [Double], contexts: Contexts) -> Int {
    let n = layout.count, reference = exp(zip(factors, counts).reduce(0) { $0 + ($1.1 > 0 ? $1.1 * log($1.0) : 0) } / Double(members.count))
    let shifts = factors.map { contexts == .integers || $0 <= 0 ? 0 : Int((4 * log2(reference / $0)).rounded()) }
    let seen = contexts == .integers ? q : q.indices.map { Int32(max(-0x1p29, min(0x1p29, (Double(q[$0]) * reference / factors[Int(members[$0])]).rounded()))) }
    var model = BandModel(layout.transform)
    // What is zero everywhere and not coded: of the integers themselves.
    let sides = q.withUnsafeBufferPointer { p in
      (0..<codec.components).map { c in
        var s = layout.survey(p.baseAddress! + c * n)
        s.difference = false
        return s
      }
    }
    return seen.withUnsafeBufferPointer { p in
      let tiles = (0..<codec.components).map { p.baseAddress! + $0 * n }
      if model.transform != .wavelet {
        var sums = BandScaleSums()
        for (t, s) in zip(tiles, sides) { layout.addScaleSums(t, side: s, to: &sums) }
        model.setScales(sums)
      }
      let rows = zip(tiles, sides).map { layout.rows($0, side: $1, model: model, every: max(1, q.count / 16_000)) }
      var weights: [Double]?
      for _ in 0..<2 {
        var e = NormalEquations.bands()
        for r in rows { e.add(r, weights: weights) }
        model.setWeights(e)
        weights = model.realWeights
      }
      var histogram = [UInt32](repeating: 0, count: ClassTables.classes * ClassTables.symbols)
      var classes = [UInt8](repeating: 0, count: q.count), values = [Int32](repeating: 0, count: q.count), ends = [0]
      let places = (0..<n).map { Int32($0) }
      for (c, (t, s)) in zip(tiles, sides).enumerated() {
        let at = ends.last!
        classes.withUnsafeMutableBufferPointer { k in
          values.withUnsafeMutableBufferPointer { v in
            ends.append(at + layout.symbols(t, side: s, model: model, classes: k.baseAddress! + at, values: v.baseAddress! + at))
            // The coding order, from a tile that holds its own places.
            var unused = [UInt8](repeating: 0, count: n)
            _ = layout.symbols(places, side: s, model: model, classes: &unused, values: v.baseAddress! + at)
          }
        }
        for i in at..<ends.last! {
          let place = c * n + Int(values[i])
          values[i] = q[place]
          classes[i] = UInt8(max(0, min(ClassTables.classes - 1, Int(classes[i]) - shifts[Int(members[place])])))
        }
      }
      precondition(values[..<ends.last!].reduce(0) { $0 + ($1 != 0 ? 1 : 0) } == q.reduce(0) { $0 + ($1 != 0 ? 1 : 0) }, "values left out")
      ald_histogram(classes, values, ends.last!, &histogram)
      let tables = ClassTables(histogram: histogram.map { UInt64($0) }, sampled: false)
      var bytes = tables.serialised.count + model.serialised.count + sides.reduce(0) { $0 + $1.serialised(for: layout).count }
      var scratch = [UInt8](repeating: 0, count: n), out = [UInt8](repeating: 0, count: ald_encode_bound(n))
      for (a, b) in zip(ends, ends.dropFirst()) where b > a {
        bytes += classes.withUnsafeBufferPointer { c in
          values.withUnsafeBufferPointer { v in
            ald_encode(tables.pointer, c.baseAddress! + a, v.baseAddress! + a, b - a, &scratch, &out, out.count)
          }
        }
      }
      return bytes
    }
  }
  enum Contexts { case integers, magnitudes }

  /// The step at which a decreasing function of it meets `target` within `tolerance`, or comes nearest: secants in log2 step.
  static func solved(from start: Double, slope: Double, target: Double, tolerance: Double, _ f: (Double) -> Double) -> Double {
    var x = log2(start), y = f(start) - target, slope = slope, best = (x, abs(y))
    for _ in 0..<10 where best.1 > tolerance {
      let move = max(-2, min(2, -y / slope)), value = f(exp2(x + move)) - target
      // Rates jump by some bytes from step to step: small moves say nothing of the slope.
      if abs(move) > 0.003, (value - y) / move < -1e-3 { slope = (value - y) / move }
      (x, y) = (x + move, value)
      if abs(y) < best.1 { best = (x, abs(y)) }
    }
    return exp2(best.0)
  }
}

extension Quantiser {
  /// Mean squared error of each band's coefficients.
  func noise(_ c: Coded) -> [Double] { variances(zip(c.decoded, coefficients).map { $0 - $1 }) }

  /// Of each latent how active its surroundings are, 0 ..< classes, equally many in each: energy of cubes of 16 cells, bands in units of their
  /// mean squares.
  func activity(classes: Int) -> [Int] {
    let s = codec.grid.shape, v = variances(), cubes = Index3((s.z + 15) / 16, (s.y + 15) / 16, (s.x + 15) / 16)
    var energy = [Double](repeating: 0, count: codec.components * cubes.product)
    let cube = (0..<codec.components).flatMap { c in
      codec.grid.box.indices.map { ((c * cubes.z + $0.z / 16) * cubes.y + $0.y / 16) * cubes.x + $0.x / 16 }
    }
    for i in cube.indices where v[Int(members[i])] > 0 { energy[cube[i]] += coefficients[i] * coefficients[i] / v[Int(members[i])] }
    var rank = [Int](repeating: 0, count: energy.count)
    for (k, j) in energy.indices.sorted(by: { energy[$0] < energy[$1] }).enumerated() { rank[j] = k * classes / energy.count }
    return cube.map { rank[$0] }
  }

  /// Sums of squares of each band's coefficients and their counts inside blocks that halve the grid's axes four times in all.
  func blockSums() -> [Int: [Double]] {
    let s = codec.grid.shape, parts = s.z > 1 ? Index3(2, 2, 4) : Index3(1, 4, 4), bands = codec.bandCount
    var out: [Int: [Double]] = [:], i = 0
    for k in 0..<parts.product { out[k] = [Double](repeating: 0, count: 2 * bands) }
    for _ in 0..<codec.components { for z in 0..<s.z { for y in 0..<s.y { for x in 0..<s.x {
      let k = (z * parts.z / s.z * parts.y + y * parts.y / s.y) * parts.x + x * parts.x / s.x, b = Int(members[i])
      out[k]![b] += coefficients[i] * coefficients[i]
      out[k]![bands + b] += 1
      i += 1
    } } } }
    return out
  }
}
