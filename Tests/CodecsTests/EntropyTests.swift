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
  var scratch = [UInt8](repeating: 0, count: val.count)
  var out = [UInt8](repeating: 0, count: ald_encode_bound(val.count))
  let n = ald_encode(t.pointer, cls, val, val.count, &scratch, &out, out.count)
  return Array(out[0..<n])
}
/// Value by value.
func decode(_ t: ClassTables, _ cls: [UInt8], _ bytes: [UInt8]) -> ([Int32], Int32) {
  bytes.withUnsafeBufferPointer { b in
    var d = ald_decoder()
    if ald_decoder_open(&d, t.pointer, b.baseAddress, b.count) != 0 { return ([], -1) }
    let v = cls.map { ald_decode(&d, Int32($0)) }
    return (v, ald_decoder_close(&d))
  }
}

/// In runs of irregular lengths with single values between them.
func decodeRuns(_ t: ClassTables, _ cls: [UInt8], _ bytes: [UInt8], longest: Int) -> ([Int32], Int32) {
  bytes.withUnsafeBufferPointer { b in
    var d = ald_decoder()
    if ald_decoder_open(&d, t.pointer, b.baseAddress, b.count) != 0 { return ([], -1) }
    var g = SplitMix64(seed: UInt64(longest)), v = [Int32](repeating: 7, count: cls.count), i = 0
    while i < cls.count {
      let n = min(Int(g.next() % UInt64(longest + 1)), cls.count - i)
      cls.withUnsafeBufferPointer { c in v.withUnsafeMutableBufferPointer { ald_decode_run(&d, c.baseAddress! + i, n, $0.baseAddress! + i) } }
      i += n
      if i < cls.count && g.next() & 1 == 0 { v[i] = ald_decode(&d, Int32(cls[i])); i += 1 }
    }
    return (v, ald_decoder_close(&d))
  }
}

@Test(arguments: [(0, 0..<96), (1, 0..<96), (7, 30..<60), (100, 30..<40), (300, 32..<44), (700, 32..<44), (5000, 0..<30), (5000, 30..<40), (40000, 20..<96)] as [(Int, Range<Int>)])
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
    for longest in [1, 12, 190, 100_000] {
      let (back, status) = decodeRuns(t, cls, bytes, longest: longest)
      #expect(back == val && status == 0, "runs up to \(longest)")
    }
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
    var bytes = (0..<Int(g.next() % 80)).map { _ in UInt8(truncatingIfNeeded: g.next()) }
    let cls = (0..<200).map { _ in UInt8(g.next() % 96) }
    if bytes.count > 40 { bytes[0] = UInt8(seed & 31) }   // opens, with some number of states
    let (one, status) = decode(.shipped, cls, bytes)
    for longest in [9, 1000] {
      let (run, runStatus) = decodeRuns(.shipped, cls, bytes, longest: longest)
      #expect(run == one && runStatus == status)
    }
    _ = try? ClassTables(serialised: [1] + bytes)
  }
}

@Test func truncatedStreamsAreRefusedAndDecodeAlike() {
  let (cls, val) = sample(3000, seed: 5, classes: 28..<44)
  let bytes = code(.shipped, cls, val)
  for n in stride(from: 0, to: bytes.count, by: 13) {
    let cut = Array(bytes[..<n])
    let (one, status) = decode(.shipped, cls, cut)
    let (run, runStatus) = decodeRuns(.shipped, cls, cut, longest: 100)
    #expect(status != 0 && runStatus != 0 && one == run)
  }
}

@Test func everySimdLevelGivesTheSame() {
  let (cls, val) = sample(4000, seed: 9, classes: 20..<60)
  let reference = code(.shipped, cls, val)
  for level in [ALD_SIMD_BASELINE, ALD_SIMD_AVX2, ALD_SIMD_AVX512] {
    _ = ald_simd_force(level)
    defer { _ = ald_simd_force(-1) }
    #expect(code(.shipped, cls, val) == reference)
    #expect(decodeRuns(.shipped, cls, reference, longest: 150).0 == val)
  }
}

@Test func classesThatDoNotOccurHaveNoTable() throws {
  let (cls, val) = sample(4000, seed: 3, classes: 30..<40)
  var hist = [UInt32](repeating: 0, count: ClassTables.classes * ClassTables.symbols)
  ald_histogram(cls, val, val.count, &hist)
  let t = ClassTables(histogram: hist.map(UInt64.init), sampled: false)
  #expect(code(t, cls, val) != [])
  #expect(code(t, [0], [0]) == [])
  let (zeros, status) = decode(t, [UInt8](repeating: 0, count: 100), code(t, cls, val))
  #expect(zeros == [Int32](repeating: 0, count: 100) && status != 0)
  let sampled = ClassTables(histogram: hist.map(UInt64.init), sampled: true)
  #expect(code(sampled, [0], [0]) != [])
}
