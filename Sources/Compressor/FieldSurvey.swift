import CKernels
import Codecs
import Decomposition
import Fields
import MPI
import Reduction
import Statistics

/// What one pass over the input tells, over all ranks, components and valid points.
struct FieldSurvey: Sendable {
  /// Range of the valid values; +infinity and -infinity when there is none.
  var minimum = Double.infinity, maximum = -Double.infinity
  /// Per component: whether all valid points hold one and the same bit pattern, and that pattern.
  var constants: [UInt64?] = []
  var valid = 0, masked = 0
  /// Masked bit patterns, ascending.
  var specials: [UInt64] = []
  /// There are too many patterns to list; only exact coding, which needs no mask, can keep them.
  var unlisted = false

  var range: Double { valid > 0 ? maximum - minimum : 0 }
  /// Largest magnitude.
  var magnitude: Double { valid > 0 ? max(abs(minimum), abs(maximum)) : 0 }

  /// - Parameter zerosAreSpecial: pointwise relative bounds mask both zeros.
  /// - Parameter exact: Every bit will be kept.
  /// - Collective: all ranks.
  init(_ source: FieldSource, zerosAreSpecial: Bool, exact: Bool, ranks: borrowing Communicator) throws {
    var patterns = source.fillPatterns
    if zerosAreSpecial { patterns += LogMapping.zeroPatterns(source.type) }
    let fills = Set(patterns)
    var lo = Double.infinity, hi = -Double.infinity, notFinite = 0
    var found = Set<UInt64>()
    var masked = 0, total = 0
    var firsts: [UInt64?] = [], same: [Bool] = []
    for c in 0..<source.components {
      var first: UInt64?, all = true
      for array in source.arrays[c] where array.count > 0 {
        total += array.count
        var s = ald_survey()
        if source.type == .float32 { ald_survey_f32(array.bound(to: Float.self), array.count, &s) } else {
          ald_survey_f64(array.bound(to: Double.self), array.count, &s)
        }
        if s.not_finite == 0 && fills.isEmpty {
          lo = min(lo, s.minimum); hi = max(hi, s.maximum)
          if all { (first, all) = FieldSurvey.uniform(array, source.type, first) }
        } else {
          notFinite += Int(s.not_finite)
          FieldSurvey.scan(array, source.type, fills, &lo, &hi, &found, &masked, &first, &all)
        }
      }
      firsts.append(first); same.append(all)
    }
    // One merge of what was found, one reduction of the numbers.
    let all = try ranks.merged(FieldSurvey.bytes(found)) { try FieldSurvey.bytes(FieldSurvey.patterns($0).union(FieldSurvey.patterns($1))) }
    let merged = try FieldSurvey.patterns(all)
    unlisted = merged.count > SpecialValues.limit
    guard exact || !unlisted else {
      throw AgreedError(rank: 0, exitCode: 2, message: "\(source.name): more than \(SpecialValues.limit) different NaN, infinite or fill bit patterns; use --lossless")
    }
    specials = unlisted ? [] : merged.sorted()
    // Constant detection: equal patterns everywhere means the smallest equals the largest.
    var patternsLow: [UInt64] = [], patternsHigh: [UInt64] = []
    for c in 0..<source.components {
      patternsLow.append(firsts[c] ?? .max)
      patternsHigh.append(same[c] ? (firsts[c] ?? 0) : .max)
    }
    let (numbers, extremes) = try reduce(IntegerSums([total, masked]), Extremes(minima: [lo], maxima: [hi]), ranks: ranks)
    let low = try ranks.allReduce(patternsLow, .min), high = try ranks.allReduce(patternsHigh, .max)
    constants = (0..<source.components).map { low[$0] == high[$0] ? low[$0] : nil }
    self.masked = numbers.values[1]
    valid = numbers.values[0] - self.masked
    minimum = extremes.minima[0]; maximum = extremes.maxima[0]
  }

  /// Patterns for a message, more than can be listed only as far as to tell that; and back.
  private static func bytes(_ found: Set<UInt64>) -> [UInt8] {
    var packed = ByteWriter()
    for s in found.sorted().prefix(SpecialValues.limit + 1) { packed.put(s) }
    return packed.bytes
  }
  private static func patterns(_ bytes: [UInt8]) throws -> Set<UInt64> {
    var r = ByteReader(bytes), found = Set<UInt64>()
    while r.remaining >= 8 { found.insert(try r.word()) }
    return found
  }

  private static func pattern(_ a: RawArray, _ t: ScalarType, _ i: Int) -> UInt64 {
    t == .float32 ? UInt64(a.bound(to: UInt32.self)[i]) : a.bound(to: UInt64.self)[i]
  }

  private static func uniform(_ a: RawArray, _ t: ScalarType, _ known: UInt64?) -> (UInt64?, Bool) {
    let first = known ?? pattern(a, t, 0)
    if t == .float32 {
      let p = a.bound(to: UInt32.self), f = UInt32(truncatingIfNeeded: first)
      for i in 0..<a.count where p[i] != f { return (first, false) }
    } else {
      let p = a.bound(to: UInt64.self)
      for i in 0..<a.count where p[i] != first { return (first, false) }
    }
    return (first, true)
  }

  private static func scan(
    _ a: RawArray, _ t: ScalarType, _ fills: Set<UInt64>, _ lo: inout Double, _ hi: inout Double, _ found: inout Set<UInt64>,
    _ masked: inout Int, _ first: inout UInt64?, _ all: inout Bool
  ) {
    let anyFill = !fills.isEmpty
    var last: UInt64 = 0, lastKnown = false
    for i in 0..<a.count {
      let v: Double, p: UInt64
      if t == .float32 {
        v = Double(a.bound(to: Float.self)[i]); p = UInt64(a.bound(to: UInt32.self)[i])
      } else {
        v = a.bound(to: Double.self)[i]; p = v.bitPattern
      }
      if lastKnown && p == last { masked += 1; continue }
      if !v.isFinite || (anyFill && fills.contains(p)) {
        masked += 1
        if found.count <= 300 { found.insert(p) }
        last = p; lastKnown = true
        continue
      }
      lo = min(lo, v); hi = max(hi, v)
      if let f = first { if f != p { all = false } } else { first = p }
    }
  }
}
