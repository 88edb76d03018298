import CKernels
import Fields
import Testing
@testable import Codecs

private struct Random {
  var state: UInt64
  init(_ seed: Int) { state = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15 | 1 }
  mutating func next() -> UInt64 {
    state ^= state << 13; state ^= state >> 7; state ^= state << 17
    return state &* 0x2545_F491_4F6C_DD1D
  }
  mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }
}

private func tile(_ s: Index3, _ type: ScalarType, _ f: (Int, Int, Int) -> Double) -> RawArray {
  let r = RawArray(box: Box(shape: s), type: type)
  var i = 0
  for z in 0..<s.z { for y in 0..<s.y { for x in 0..<s.x {
    if type == .float32 { r.bound(to: Float.self)[i] = Float(f(z, y, x)) } else { r.bound(to: Double.self)[i] = f(z, y, x) }
    i += 1
  } } }
  return r
}
private func value(_ r: RawArray, _ i: Int) -> Double {
  r.elementSize == 4 ? Double(r.bound(to: Float.self)[i]) : r.bound(to: Double.self)[i]
}
private func smooth(_ z: Int, _ y: Int, _ x: Int, _ g: inout Random) -> Double {
  let a = Double(z) * 0.21, b = Double(y) * 0.13, c = Double(x % 50) * 0.17
  return 3 * (a + b * b * 0.02).magnitude.squareRoot() - c * (c - 3) * 0.1 + 0.01 * g.unit() + (x > 20 ? 2 : 0)
}

private final class Tables {
  let pointer: UnsafeMutablePointer<ald_tables>
  init(_ frequencies: [UInt16]) { pointer = ald_tables_make(frequencies)! }
  deinit { ald_tables_free(pointer) }
}
/// Tables that can code everything, shaped by the counts.
private func tables(_ cls: [UInt8], _ val: [Int32]) -> Tables {
  var hist = [UInt32](repeating: 0, count: Int(ALD_CLASSES * ALD_SYMBOLS))
  ald_histogram(cls, val, cls.count, &hist)
  let n = Int(ALD_SYMBOLS)
  var freq = [UInt16](repeating: 1, count: hist.count)
  for c in 0..<Int(ALD_CLASSES) {
    let total = hist[c * n..<(c + 1) * n].reduce(0) { $0 + Int($1) }
    var left = Int(ALD_PROB_ONE) - n, best = 0
    for s in 0..<n {
      let f = total == 0 ? 0 : Int(hist[c * n + s]) * (left > 0 ? Int(ALD_PROB_ONE) - n : 0) / total
      freq[c * n + s] += UInt16(f); left -= f
      if freq[c * n + s] > freq[c * n + best] { best = s }
    }
    freq[c * n + best] += UInt16(left)
    // Buckets beyond 2^30 cannot be coded.
    for s in Int(ALD_LARGEST) + 1..<Int(ALD_ESCAPE) { freq[c * n + best] += freq[c * n + s]; freq[c * n + s] = 0 }
  }
  return Tables(freq)
}

private struct Coded {
  var cls: [UInt8], val: [Int32], reconstruction: RawArray
}
private func encode(_ c: InterpolationCodec, _ x: RawArray, _ mask: [UInt8]?) -> Coded {
  let cap = InterpolationCodec.capacity(x.count)
  var cls = [UInt8](repeating: 0, count: cap), val = [Int32](repeating: 0, count: cap)
  let r = RawArray(box: x.box, elementSize: x.elementSize)
  let n = c.encode(x, mask: mask, workspace: InterpolationWorkspace(), classes: &cls, values: &val, reconstruction: r)
  return Coded(cls: Array(cls[..<n]), val: Array(val[..<n]), reconstruction: r)
}
extension InterpolationCodec {
  fileprivate func encode(_ x: RawArray, mask: [UInt8]?, workspace: InterpolationWorkspace,
                          classes: UnsafeMutablePointer<UInt8>, values: UnsafeMutablePointer<Int32>,
                          reconstruction: RawArray) -> Int {
    guard let mask else {
      return encode(x, mask: nil as UnsafePointer<UInt8>?, workspace: workspace, classes: classes, values: values, reconstruction: reconstruction)
    }
    return mask.withUnsafeBufferPointer {
      encode(x, mask: $0.baseAddress!, workspace: workspace, classes: classes, values: values, reconstruction: reconstruction)
    }
  }
}
private func decode(_ c: InterpolationCodec, _ bytes: [UInt8], _ t: Tables, _ mask: [UInt8]?, _ like: RawArray)
  -> (RawArray, Int32)
{
  let out = RawArray(box: like.box, elementSize: like.elementSize)
  var d = ald_decoder(), close: Int32 = -1
  bytes.withUnsafeBufferPointer { b in
    if ald_decoder_open(&d, t.pointer, b.baseAddress, b.count) != 0 { return }
    let w = InterpolationWorkspace()
    if let mask { mask.withUnsafeBufferPointer { c.decode(&d, mask: $0.baseAddress!, workspace: w, into: out) } }
    else { c.decode(&d, mask: nil, workspace: w, into: out) }
    close = ald_decoder_close(&d)
  }
  return (out, close)
}
private func entropy(_ c: Coded, _ t: Tables) -> [UInt8] {
  var out = [UInt8](repeating: 0, count: ald_encode_bound(c.val.count))
  var scratch = [UInt8](repeating: 0, count: c.val.count)
  let n = ald_encode(t.pointer, c.cls, c.val, c.val.count, &scratch, &out, out.count)
  #expect(n > 0)
  return Array(out[..<n])
}

private let shapes = [
  Index3(1, 1, 1), Index3(1, 1, 2), Index3(2, 2, 2), Index3(3, 3, 3), Index3(1, 1, 17), Index3(17, 1, 1), Index3(1, 17, 1),
  Index3(17, 17, 17), Index3(32, 33, 31), Index3(5, 40, 9), Index3(1, 64, 65), Index3(1, 1, 1000), Index3(48, 2, 3), Index3(20, 24, 47),
]

@Suite struct InterpolationTests {
  @Test(arguments: shapes, [ScalarType.float32, .float64])
  func roundTrip(shape: Index3, type: ScalarType) {
    var g = Random(shape.product + Int(type.rawValue))
    let plain = tile(shape, type) { smooth($0, $1, $2, &g) }
    for masking in 0..<5 {
      var mask: [UInt8]?
      switch masking {
      case 1: mask = (0..<plain.count).map { _ in g.unit() < 0.7 ? 1 : 0 }
      case 2: mask = (0..<plain.count).map { $0 * 2 < plain.count ? 0 : 1 }
      case 3: mask = .init(repeating: 0, count: plain.count)
      case 4: mask = .init(repeating: 1, count: plain.count)
      default: break
      }
      let x = RawArray(box: plain.box, type: type)
      x.copy(x.box, from: plain)
      if let mask {
        for i in 0..<x.count where mask[i] == 0 {
          if type == .float32 { x.bound(to: Float.self)[i] = .nan } else { x.bound(to: Double.self)[i] = i % 2 == 0 ? .infinity : .nan }
        }
      }
      for (step, refinement) in [(0.5, 0), (0.02, 1), (1e-3, 2), (2e-6, 1)] {
        var s = InterpolationSettings(lower: -20, upper: 40, step: step, refinement: refinement)!
        var sums = InterpolationCodec.statistics(plain, mask: nil, settings: s, workspace: InterpolationWorkspace())
        if let mask {
          sums = mask.withUnsafeBufferPointer {
            InterpolationCodec.statistics(x, mask: $0.baseAddress!, settings: s, workspace: InterpolationWorkspace())
          }
        }
        s.prediction = InterpolationCodec.choose(from: sums)
        let again = try? InterpolationSettings(serialised: s.serialised)
        #expect(again == s)
        let codec = InterpolationCodec(settings: s), c = encode(codec, x, mask)
        #expect(c.val.count == mask.map { $0.reduce(0) { $0 + Int($1) } } ?? x.count)
        let rounding = type == .float32 ? 4e-6 : 1e-12
        for i in 0..<x.count where mask?[i] != 0 {
          let e = abs(value(x, i) - value(c.reconstruction, i))
          if !(e <= step / 2 * (1 + 1e-9) + rounding) { Issue.record("error \(e) at \(i), step \(step)"); break }
        }
        let t = tables(c.cls, c.val)
        let (y, close) = decode(codec, entropy(c, t), t, mask, x)
        #expect(close == 0)
        #expect(UnsafeRawBufferPointer(start: y.pointer, count: y.byteCount)
          .elementsEqual(UnsafeRawBufferPointer(start: c.reconstruction.pointer, count: y.byteCount)))
      }
    }
  }

  /// Masked cells neither reach the classes nor the values nor the decoded valid cells.
  @Test func maskedCellsDoNotMatter() {
    var g = Random(5)
    let s = Index3(20, 33, 29)
    let mask: [UInt8] = (0..<s.product).map { ($0 / 7) % 5 < 2 || g.unit() < 0.1 ? 0 : 1 }
    func coded(_ fill: Double) -> Coded {
      var h = Random(6), i = 0
      let x = tile(s, .float64) { z, y, x in
        let v = smooth(z, y, x, &h)
        defer { i += 1 }
        return mask[i] == 0 ? fill : v
      }
      return encode(InterpolationCodec(settings: InterpolationSettings(lower: -20, upper: 40, step: 0.01)!), x, mask)
    }
    let a = coded(.nan), b = coded(1e300)
    #expect(a.val == b.val && a.cls == b.cls)
    for i in 0..<s.product where mask[i] == 1 { #expect(value(a.reconstruction, i) == value(b.reconstruction, i)) }
  }

  /// A mask of ones is the unmasked codec: the same integers by the other path.
  @Test func maskedPathsAgree() {
    var g = Random(9)
    let s = Index3(19, 32, 35), x = tile(s, .float32) { smooth($0, $1, $2, &g) }
    for step in [0.3, 1e-3, 2e-6] {
      var settings = InterpolationSettings(lower: -20, upper: 40, step: step, refinement: 1)!
      settings.prediction.weight = [[0, 3, 9], [5, 0, 1], [2, 2, 0], [14, 0, 31]]
      settings.prediction.cubic[1][1] = false
      let codec = InterpolationCodec(settings: settings)
      let a = encode(codec, x, nil), b = encode(codec, x, .init(repeating: 1, count: x.count))
      #expect(a.val == b.val && a.cls == b.cls)
      // A masked far corner leaves the values elsewhere alone on the scalar path.
      var mask = [UInt8](repeating: 1, count: x.count)
      for i in 0..<x.count where i % 35 > 17 && i % 7 == 0 { mask[i] = 0 }
      #expect(encode(codec, x, mask).val.count == mask.reduce(0) { $0 + Int($1) })
    }
  }

  /// Polynomials of degree 1 (linear) and 2 (cubic, three-point ends) leave nothing beyond anchors and one-sided ends.
  @Test func polynomialsArePredicted() {
    for cubic in [false, true] {
      let s = Index3(33, 33, 33)  // odd: every odd point has both neighbours
      let x = tile(s, .float64) { z, y, x in
        let a = Double(z + 2 * y - x)
        return cubic ? 64 * Double(z * z - y * x + 3 * x * x) + a : 256 * a
      }
      let p = InterpolationPrediction(cubic: .init(repeating: .init(repeating: cubic, count: 3), count: 4))
      let settings = InterpolationSettings(lower: -1e6, upper: 1e6, step: 16, prediction: p)!
      let c = encode(InterpolationCodec(settings: settings), x, nil)
      #expect(c.val.dropFirst(27).filter { $0 != 0 }.isEmpty == !cubic || cubic)
      // Level 3 of a 33-point tile has three even points per axis: its cubic is the three-point form, exact for degree 2.
      #expect(c.val.dropFirst(27).allSatisfy { $0 == 0 })
    }
  }

  /// A background of exact zeros costs nothing and comes back exactly.
  @Test func quiescentBackground() {
    let x = tile(Index3(32, 32, 32), .float32) { z, y, x in (1..<8).contains(z) && (1..<8).contains(y) && x < 8 ? Double(z * y * (x + 1)) * 0.37 + 1 : 0 }
    let c = encode(InterpolationCodec(settings: InterpolationSettings(lower: -3, upper: 200, step: 0.77, refinement: 2)!), x, nil)
    #expect((0..<32 * 32 * 32).filter { value(x, $0) == 0 && value(c.reconstruction, $0) == 0 }.count > 28000)
  }

  @Test func latticeIsExact() {
    var g = Random(3)
    for (quantum, type) in [(0.001, ScalarType.float32), (0.001, .float64), (0.25, .float64), (0.1, .float64), (10.0, .float32)] {
      let x = tile(Index3(20, 31, 45), type) { z, y, x in
        let k = (smooth(z, y, x, &g) * 500).rounded() + 7000
        return quantum < 1 ? k / (1 / quantum).rounded() : k * quantum
      }
      var lower = Double.infinity, upper = -Double.infinity
      for i in 0..<x.count { lower = min(lower, value(x, i)); upper = max(upper, value(x, i)) }
      let settings = InterpolationSettings(lower: lower, upper: upper, quantum: quantum)!
      let c = encode(InterpolationCodec(settings: settings), x, nil)
      #expect((0..<x.count).allSatisfy { value(x, $0) == value(c.reconstruction, $0) })
      #expect((try? InterpolationSettings(serialised: settings.serialised)) == settings)
    }
  }

  /// Any bytes decode to something, within bounds, in time.
  @Test func garbageTerminates() {
    var g = Random(77)
    let s = Index3(6, 9, 21), like = RawArray(box: Box(shape: s), type: .float32)
    let mask: [UInt8] = (0..<s.product).map { _ in g.unit() < 0.6 ? 1 : 0 }
    var h = Random(1)
    let good = encode(InterpolationCodec(settings: InterpolationSettings(lower: -20, upper: 40, step: 1e-4)!),
                      tile(s, .float32) { smooth($0, $1, $2, &h) }, nil)
    let t = tables(good.cls, good.val), stream = entropy(good, t)
    for seed in 0..<2000 {
      var bytes = seed % 2 == 0 ? stream : (0..<Int(g.next() % 900)).map { _ in UInt8(truncatingIfNeeded: g.next() >> 20) }
      if seed % 2 == 0 { for _ in 0..<3 { bytes[Int(g.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: g.next() >> 9) } }
      var settings = InterpolationSettings(lower: -20, upper: 40, step: seed % 3 == 0 ? 1e-4 : 10, refinement: seed % 3)!
      // Settings from random bytes are refused or safe.
      if let wild = try? InterpolationSettings(serialised: settings.serialised.map { g.unit() < 0.05 ? UInt8(truncatingIfNeeded: g.next() >> 30) : $0 }) {
        settings = wild
      }
      _ = decode(InterpolationCodec(settings: settings), bytes, t, seed % 4 < 2 ? mask : nil, like)
    }
    for n in 0..<40 { _ = try? InterpolationSettings(serialised: (0..<n).map { _ in UInt8(truncatingIfNeeded: g.next()) }) }
    for n in 0..<80 { _ = try? InterpolationModel(serialised: (0..<n).map { _ in UInt8(truncatingIfNeeded: g.next()) }) }
  }

  @Test func statisticsAreOrderFree() {
    var g = Random(8)
    let tiles = (0..<5).map { t in tile(Index3(9 + t, 16, 20), .float32) { smooth($0 + 3 * t, $1, $2, &g) } }
    let settings = InterpolationSettings(lower: -20, upper: 40, step: 1e-3)!
    let sums = tiles.map { InterpolationCodec.statistics($0, mask: nil, settings: settings, workspace: InterpolationWorkspace()) }
    func total(_ s: [[Int64]]) -> [Int64] { s.reduce([Int64](repeating: 0, count: 36)) { zip($0, $1).map { $0 + $1 } } }
    #expect(total(sums) == total(sums.reversed()))
    #expect(InterpolationCodec.choose(from: total(sums)) == InterpolationCodec.choose(from: total(sums.reversed())))
    // The masked path counts the same points.
    let ones = [UInt8](repeating: 1, count: tiles[4].count)
    #expect(ones.withUnsafeBufferPointer {
      InterpolationCodec.statistics(tiles[4], mask: $0.baseAddress!, settings: settings, workspace: InterpolationWorkspace())
    } == sums[4])
  }

  /// The dump repeats what the encoder codes: classes follow from features and weights.
  @Test func featuresMatchClasses() {
    var g = Random(4)
    let s = Index3(18, 32, 40), x = tile(s, .float32) { smooth($0, $1, $2, &g) }
    let mask: [UInt8] = (0..<s.product).map { ($0 / 11) % 6 == 0 ? 0 : 1 }
    for masked in [false, true] {
      let model = InterpolationModel(weights: (0..<13).map { _ in (0..<7).map { _ in UInt8(truncatingIfNeeded: g.next() >> 13) } })
      #expect((try? InterpolationModel(serialised: model.serialised)) == model)
      let codec = InterpolationCodec(settings: InterpolationSettings(lower: -20, upper: 40, step: 1e-2)!, model: model)
      let c = encode(codec, x, masked ? mask : nil)
      let (f, some) = mask.withUnsafeBufferPointer { m in
        let m = masked ? m.baseAddress! : nil
        return (codec.features(x, mask: m, workspace: InterpolationWorkspace()),
                codec.features(x, mask: m, workspace: InterpolationWorkspace(), every: 7, phase: 3))
      }
      #expect(f.values == c.val)
      let classes = (0..<f.count).map { i -> UInt8 in
        var sum: UInt32 = 0
        for k in 0..<7 { sum += UInt32(model.weights[Int(f.groups[i])][k]) * UInt32(f.features[7 * i + k]) }
        return UInt8(ald_class(2 * sum))
      }
      #expect(classes == c.cls)
      #expect(some.values == stride(from: 3, to: f.count, by: 7).map { f.values[$0] })
    }
  }
}
