import CKernels
import Fields
import Testing
@testable import Codecs

/// A small generator of reproducible tiles.
private struct Noise {
  var state: UInt64
  mutating func next() -> UInt64 {
    state = state &* 6364136223846793005 &+ 1442695040888963407
    var x = state
    x ^= x >> 33; x &*= 0xff51afd7ed558ccd; x ^= x >> 33
    return x
  }
  mutating func value(_ bits: Int) -> Int32 {
    let m = Int32(truncatingIfNeeded: Int64(next() & ((1 << UInt64(bits)) - 1)))
    return next() & 1 == 0 ? m : -m
  }
}

private func starts(_ n: Int, _ edge: Int) -> [Int32] {
  var k = max(1, n / edge)
  if n >= edge, n % edge >= edge / 2, n % edge > 0 { k += 1 }
  return (0..<k).map { Int32($0 * edge) }
}
private func layouts() throws -> [BandLayout] {
  let shapes = [Index3(1, 1, 1), Index3(1, 1, 7), Index3(1, 1, 100), Index3(1, 9, 31), Index3(1, 48, 40), Index3(16, 16, 16), Index3(20, 24, 37),
                Index3(3, 1, 17), Index3(32, 23, 8), Index3(9, 1, 1), Index3(16, 31, 1), Index3(2, 2, 2), Index3(33, 40, 19)]
  var out: [BandLayout] = []
  for s in shapes {
    for edge in [8, 16] {
      let at = [starts(s.z, edge), starts(s.y, edge), starts(s.x, edge)]
      out.append(try BandLayout(lapped: s, edge: edge, starts: at))
      out.append(try BandLayout(lapped: s, edge: edge, starts: at, factors: (0..<edge * edge * edge).map { UInt8($0 * 7919 % 65) }))
    }
    out.append(try BandLayout(wavelet: s))
  }
  return out
}
/// Kind 0 zero, 1 sparse, 2 decaying with frequency, 3 huge, 4 constant and large, 5 only low frequencies.
private func tile(_ l: BandLayout, kind: Int, seed: UInt64) -> [Int32] {
  var r = Noise(state: seed)
  var q = [Int32](repeating: 0, count: l.count)
  for z in 0..<l.shape.z { for y in 0..<l.shape.y { for x in 0..<l.shape.x {
    let i = (z * l.shape.y + y) * l.shape.x + x
    switch kind {
    case 1: q[i] = r.next() % 23 == 0 ? r.value(3) : 0
    case 2: q[i] = r.value(max(0, 12 - (z % 8 + y % 8 + x % 8)))
    case 3: q[i] = r.value(30)
    case 4: q[i] = 1 << 29 + r.value(4)
    case 5: q[i] = z % 16 < 2 && y % 16 < 3 && x % 16 < 2 ? r.value(6) : 0
    default: break
    }
  } } }
  return q
}
private func encode(_ l: BandLayout, _ q: [Int32], _ side: BandSide, _ model: BandModel) -> (bytes: [UInt8], classes: [UInt8], values: [Int32]) {
  let n = l.codedCount(side)
  var c = [UInt8](repeating: 0, count: n + 1), v = [Int32](repeating: 0, count: n + 1)
  #expect(l.symbols(q, side: side, model: model, classes: &c, values: &v) == n)
  var out = [UInt8](repeating: 0, count: ald_encode_bound(n)), scratch = [UInt8](repeating: 0, count: 3 * n + 64)
  let size = ald_encode(ClassTables.shipped.pointer, c, v, n, &scratch, &out, out.count)
  #expect(size > 0)
  return (Array(out[..<size]), Array(c[..<n]), Array(v[..<n]))
}
private func model(_ l: BandLayout, seed: UInt64) -> BandModel {
  var m = BandModel(l.transform), r = Noise(state: seed)
  if seed == 0 { return m }
  for g in 0..<BandModel.groups { for f in l.transform == .wavelet ? [0, 1, 2, 3, 4, 6, 7, 9] : [0, 1, 2, 3, 4, 5, 6, 7, 9] { m.weights[g * BandModel.features + f] = UInt8(r.next() & 63) } }
  for k in m.scales.indices { m.scales[k] = UInt8(r.next() & 63) }
  return m
}

@Suite struct BandTests {
  @Test func roundTrip() throws {
    var seed: UInt64 = 1
    for l in try layouts() {
      for kind in 0...5 {
        for m in 0...1 {
          seed += 1
          let q = tile(l, kind: kind, seed: seed), model = try BandModel(serialised: model(l, seed: m == 0 ? 0 : seed).serialised, transform: l.transform)
          let side = l.survey(q)
          #expect(try BandSide(serialised: side.serialised(for: l), for: l) == side || l.codedCount(side) == 0)
          let coded = encode(l, q, side, model)
          var back = [Int32](repeating: 77, count: l.count)
          var d = ald_decoder()
          #expect(ald_decoder_open(&d, ClassTables.shipped.pointer, coded.bytes, coded.bytes.count) == 0)
          coded.bytes.withUnsafeBufferPointer { b in
            var d = ald_decoder()
            _ = ald_decoder_open(&d, ClassTables.shipped.pointer, b.baseAddress, b.count)
            l.decode(&d, side: side, model: model, into: &back)
            #expect(ald_decoder_close(&d) == 0)
          }
          #expect(back == q, "\(l.transform) \(l.shape) kind \(kind) model \(m)")
        }
      }
    }
  }

  @Test func zeroTileCodesNothing() throws {
    for l in try layouts() {
      let side = l.survey([Int32](repeating: 0, count: l.count))
      #expect(l.codedCount(side) == 0 && side.serialised(for: l) == [0])
    }
  }

  @Test func activeBoxSkipsHighFrequencies() throws {
    let l = try BandLayout(lapped: Index3(32, 32, 32), edge: 16, starts: [starts(32, 16), starts(32, 16), starts(32, 16)])
    let q = tile(l, kind: 5, seed: 3), side = l.survey(q)
    #expect(side.active.z <= 2 && side.active.y <= 3 && side.active.x <= 2)
    #expect(l.codedCount(side) == side.active.product * 8)
  }

  /// Contexts see magnitudes without the factors of the bands: a band doubled, and said to be, has classes one octave higher, the others the same.
  @Test func factorsOfBandsChangeNoContext() throws {
    for (shape, edge) in [(Index3(32, 32, 32), 16), (Index3(16, 24, 40), 8)] {
      let at = [starts(shape.z, edge), starts(shape.y, edge), starts(shape.x, edge)]
      let factors = (0..<edge * edge * edge).map { UInt8(4 * ($0 * 7919 % 5)) }
      let plain = try BandLayout(lapped: shape, edge: edge, starts: at), weighted = try BandLayout(lapped: shape, edge: edge, starts: at, factors: factors)
      var q = tile(plain, kind: 2, seed: 9), places = [Int32](repeating: 0, count: q.count)
      var model = BandModel(plain.transform)
      for k in model.scales.indices { model.scales[k] += UInt8(k % 5) }
      // Factors by place, in the order of coding.
      for z in 0..<shape.z { for y in 0..<shape.y { for x in 0..<shape.x {
        places[(z * shape.y + y) * shape.x + x] = Int32(factors[(z % edge * edge + y % edge) * edge + x % edge])
      } } }
      var side = plain.survey(q)
      side.active = Index3(repeating: edge)
      side.difference = false
      let before = encode(plain, q, side, model), order = encode(plain, places, side, model).values
      for i in q.indices { q[i] <<= places[i] / 4 }
      let after = encode(weighted, q, side, model)
      #expect(zip(zip(before.classes, after.classes), order).allSatisfy { c, f in c.1 == min(UInt8(ALD_CLASSES - 1), c.0 + UInt8(f)) || c.0 == 0 })
      #expect(before.classes != after.classes)
      // The scales are those of the values without factors, up to what is rounded.
      var sums = BandScaleSums(), weightedSums = BandScaleSums()
      plain.addScaleSums(tile(plain, kind: 2, seed: 9), side: side, to: &sums)
      weighted.addScaleSums(q, side: side, to: &weightedSums)
      #expect(zip(sums.sums, weightedSums.sums).allSatisfy { 256 * $0 == $1 } && zip(sums.counts, weightedSums.counts).allSatisfy { 256 * $0 == $1 })
    }
    #expect(throws: StreamError.self) { try BandLayout(lapped: Index3(8, 8, 8), edge: 8, starts: [[0], [0], [0]], factors: [1, 2]) }
    #expect(throws: StreamError.self) { try BandLayout(lapped: Index3(8, 8, 8), edge: 8, starts: [[0], [0], [0]], factors: [UInt8](repeating: 65, count: 512)) }
  }

  @Test func garbageStreamsStayInBounds() throws {
    var r = Noise(state: 99)
    let all = try layouts().filter { $0.count < 3000 }
    for seed in 0..<2000 {
      let l = all[seed % all.count]
      let bytes = (0..<Int(r.next() % 200) + 8).map { _ in UInt8(truncatingIfNeeded: r.next()) }
      let head = (0..<(r.next() & 1 == 0 ? 1 : 4)).map { k in k == 0 ? UInt8(r.next() & 7) : UInt8(r.next() & 31) }
      guard let side = try? BandSide(serialised: head, for: l) else { continue }
      let m = model(l, seed: r.next())
      let guardWord: Int32 = 0x5eed
      var q = [Int32](repeating: guardWord, count: l.count + 16)
      bytes.withUnsafeBufferPointer { b in
        var d = ald_decoder()
        guard ald_decoder_open(&d, ClassTables.shipped.pointer, b.baseAddress, b.count) == 0 else { return }
        l.decode(&d, side: side, model: m, into: &q)
      }
      #expect(q[l.count...].allSatisfy { $0 == guardWord })
    }
  }

  @Test func corruptSideInformationIsRefused() throws {
    let l = try BandLayout(lapped: Index3(16, 16, 24), edge: 8, starts: [starts(16, 8), starts(16, 8), starts(24, 8)])
    for bad: [UInt8] in [[], [3], [4], [8], [2], [2, 9, 1, 1], [2, 0, 1, 1], [2, 1, 1, 255], [1, 0, 0, 0], [2, 1, 1, 1, 1]] {
      #expect(throws: StreamError.self) { try BandSide(serialised: bad, for: l) }
    }
    let w = try BandLayout(wavelet: Index3(16, 16, 16))
    #expect(throws: StreamError.self) { try BandSide(serialised: [2, 0, 0, 64], for: w) }
    for bad: [UInt8] in [[], [2], [0, 1], [1, 63]] { #expect(throws: StreamError.self) { try BandModel(serialised: bad, transform: .wavelet) } }
    #expect(throws: StreamError.self) { try BandLayout(lapped: Index3(16, 16, 40), edge: 8, starts: [starts(16, 8), starts(16, 8), [0, 8, 24]]) }
  }

  @Test func modelBytes() throws {
    for t in [BandLayout.Transform.lapped(edge: 8), .lapped(edge: 16), .wavelet] {
      #expect(BandModel(t).serialised.count == (t == .wavelet ? 1 : 37))
      let m = model(t == .wavelet ? try BandLayout(wavelet: Index3(8, 8, 8)) : try BandLayout(lapped: Index3(8, 8, 8), edge: 8, starts: [[0], [0], [0]]), seed: 5)
      #expect(try BandModel(serialised: m.serialised, transform: m.transform) == m)
    }
  }

  /// Fitted weights cost no more than the built-in ones, features repeat, and the fit does not depend on the split into tiles.
  @Test func fitting() throws {
    for l in [try BandLayout(lapped: Index3(32, 32, 32), edge: 8, starts: [starts(32, 8), starts(32, 8), starts(32, 8)]), try BandLayout(wavelet: Index3(32, 32, 32))] {
      let tiles = (0..<3).map { k in tile(l, kind: 2, seed: UInt64(k) + 10) }
      var m = BandModel(l.transform), sums = BandScaleSums()
      for q in tiles { l.addScaleSums(q, side: l.survey(q), to: &sums) }
      m.setScales(sums)
      let plain = m
      let rows = tiles.map { l.rows($0, side: l.survey($0), model: m, every: 3) }
      let again = l.rows(tiles[0], side: l.survey(tiles[0]), model: m, every: 3)
      #expect(again.features == rows[0].features && again.values == rows[0].values)
      #expect(abs(rows[0].count - l.count / 3) < l.count / 20)
      for _ in 0..<2 {
        var total = NormalEquations.bands()
        for r in rows {
          var e = NormalEquations.bands()
          e.add(r, weights: m.realWeights)
          total.add(packed: e.packed)
        }
        m.setWeights(total)
      }
      func cost(_ m: BandModel) -> Double {
        tiles.reduce(0) { s, q in
          let c = encode(l, q, l.survey(q), m)
          return s + ald_cost(ClassTables.shipped.pointer, c.classes, c.values, c.classes.count)
        }
      }
      #expect(cost(m) <= cost(plain) * 1.005)
    }
  }
}
