import CKernels
import Glibc
import Support
import Testing
@testable import Codecs

/// Values whose scale follows their class, as the coder expects.
func sample(_ n: Int, seed: UInt64, classes: Range<Int>) -> ([UInt8], [Int32]) {
  var g = SplitMix64(seed: seed)
  var cls = [UInt8](), val = [Int32]()
  for _ in 0..<n {
    let c = classes.lowerBound + Int(g.next() % UInt64(classes.count))
    let mean = exp2((Double(c) + 11.5) / 4 - 12)
    let m = -mean * log(1 - g.uniform())
    cls.append(UInt8(c)); val.append(Int32(min(m.rounded(), 1e9)) * (g.next() & 1 == 0 ? 1 : -1))
  }
  return (cls, val)
}

func code(_ t: ClassTables, _ cls: [UInt8], _ val: [Int32]) -> [UInt8] {
  var scratch = [UInt8](repeating: 0, count: val.count * 3 + 64)
  var out = [UInt8](repeating: 0, count: ald_encode_bound(val.count))
  let n = ald_encode(t.pointer, cls, val, val.count, &scratch, &out, out.count)
  return Array(out[0..<n])
}
func decode(_ t: ClassTables, _ cls: [UInt8], _ bytes: [UInt8]) -> ([Int32], Int32) {
  bytes.withUnsafeBufferPointer { b in
    var d = ald_decoder()
    if ald_decoder_open(&d, t.pointer, b.baseAddress, b.count) != 0 { return ([], -1) }
    let v = cls.map { ald_decode(&d, Int32($0)) }
    return (v, ald_decoder_close(&d))
  }
}

@Test(arguments: [(0, 0..<96), (1, 0..<96), (7, 30..<60), (5000, 0..<30), (40000, 20..<96)] as [(Int, Range<Int>)])
func roundTripUnderShippedAndCountedTables(n: Int, classes: Range<Int>) throws {
  let (cls, val) = sample(n, seed: UInt64(n + 1), classes: classes)
  var hist = [UInt32](repeating: 0, count: ClassTables.classes * ClassTables.symbols)
  ald_histogram(cls, val, n, &hist)
  let own = ClassTables(histogram: hist.map(UInt64.init), sampled: false)
  let again = try ClassTables(serialised: own.serialised)
  for t in [ClassTables.shipped, own, again] {
    let bytes = code(t, cls, val)
    let (back, status) = decode(t, cls, bytes)
    #expect(back == val && status == 0)
    let ideal = ald_cost(t.pointer, cls, val, n)
    #expect(Double(bytes.count) * 8 <= ideal * 1.002 + 8 * 20, "\(bytes.count * 8) against \(ideal)")
  }
  #expect(ald_cost(own.pointer, cls, val, n) + Double(own.serialised.count * 8) <= ald_cost(ClassTables.shipped.pointer, cls, val, n) + 64)
}

@Test func symbolsNeverCountedAreEscaped() throws {
  let hist = [UInt64](repeating: 0, count: ClassTables.classes * ClassTables.symbols)
  let t = ClassTables(histogram: hist, sampled: false)
  let val: [Int32] = [1 << 29, -(1 << 29), (1 << 30) - 1, 0, -1, 100000]
  let cls: [UInt8] = [0, 0, 3, 95, 95, 0]
  let (back, status) = decode(t, cls, code(t, cls, val))
  #expect(back == val && status == 0)
}

@Test func garbageStreamsAndTablesNeverTrap() {
  for seed in 0..<2000 {
    var g = SplitMix64(seed: UInt64(seed))
    let bytes = (0..<Int(g.next() % 80)).map { _ in UInt8(truncatingIfNeeded: g.next()) }
    let cls = (0..<200).map { _ in UInt8(g.next() % 96) }
    _ = decode(.shipped, cls, bytes)
    _ = try? ClassTables(serialised: [1] + bytes)
  }
}
