import CKernels
import Glibc

/// The static frequency tables of a field: one per scale class, either the shipped shape or that shape times a coded correction.
///
/// Each class that occurs is coded in the way that costs fewest bytes: the shipped shape as it is, or -8 log2 p of every symbol as a
/// difference to the shipped one, in steps of 1/8, 1/4 or 1/2 octave. Integers only, so every machine builds the same tables. Classes
/// that are known not to occur have no table.
public final class ClassTables: @unchecked Sendable {
  public static let classes = Int(ALD_CLASSES), symbols = Int(ALD_SYMBOLS)
  static let escape = Int(ALD_ESCAPE), largest = Int(ALD_LARGEST), one = Int(ALD_PROB_ONE)

  /// What the kernels read.
  public let pointer: UnsafeMutablePointer<ald_tables>
  /// Compact description; `init(serialised:)` reads it back.
  public let serialised: [UInt8]
  /// Owner of what `pointer` points to, if it is not this.
  private let lender: ClassTables?

  deinit { if lender == nil { ald_tables_free(pointer) } }

  /// The shipped tables alone: one byte of side information.
  public static let shipped = ClassTables((0..<classes).flatMap { Row.shipped($0).frequencies($0) }, serialised: [0])!

  /// Tables for counted symbols.
  ///
  /// - Parameter histogram: `[class][symbol]` counts, summed over all ranks.
  /// - Parameter sampled: counts come from a sample, so symbols above the largest one seen keep some room, and classes not seen at
  ///   all their shipped shape.
  public convenience init(histogram: [UInt64], sampled: Bool) {
    precondition(histogram.count == Self.classes * Self.symbols)
    var encoder = RowCoder()
    var frequencies: [UInt16] = [], corrected = false
    frequencies.reserveCapacity(histogram.count)
    for c in 0..<Self.classes {
      let best = encoder.encodeBest(Array(histogram[c * Self.symbols..<(c + 1) * Self.symbols]), class: c, sampled: sampled)
      if case .corrected = best.row { corrected = true }
      frequencies += best.frequencies
    }
    if corrected { self.init(frequencies, serialised: [1] + encoder.coder.finish())! } else { self.init(lender: .shipped) }
  }

  /// - Throws: `StreamError` when the bytes are not tables.
  public convenience init(serialised bytes: [UInt8]) throws {
    guard let kind = bytes.first, kind <= 1 else { throw StreamError(.invalid, offset: 0) }
    if kind == 0 {
      self.init(lender: .shipped)
      return
    }
    var d = RowDecoder(coder: AdaptiveBinaryDecoder(bytes[1...]))
    var frequencies: [UInt16] = []
    for c in 0..<Self.classes { frequencies += d.decode(class: c).frequencies(c) }
    guard let pointer = ald_tables_make(frequencies) else { throw StreamError(.invalid, offset: 0) }
    self.init(pointer: pointer, serialised: bytes)
  }

  private init(pointer: UnsafeMutablePointer<ald_tables>, serialised: [UInt8]) {
    self.pointer = pointer; self.serialised = serialised; lender = nil
  }
  private init(lender: ClassTables) { pointer = lender.pointer; serialised = lender.serialised; self.lender = lender }
  private convenience init?(_ frequencies: [UInt16], serialised: [UInt8]) {
    guard let pointer = ald_tables_make(frequencies) else { return nil }
    self.init(pointer: pointer, serialised: serialised)
  }
}

/// How the table of one class is described.
enum Row {
  /// The class does not occur.
  case absent
  case shipped(Int)
  /// -8 log2 p relative to the shipped value for symbols 0...last, in units of `step` eighths of an octave.
  case corrected(step: Int, deltas: [Int])

  static let powers: [UInt64] = (0..<8).map { k in
    // 2^(30 - k/8), rounded; literals so that no libm is involved.
    [1_073_741_824, 984_625_563, 902_905_651, 827_968_132, 759_250_125, 696_235_434, 638_450_708, 585_461_894][k]
  }
  static func weight(_ level: Int) -> UInt64 {
    let l = min(max(level, 0), 255)
    return max(1, powers[l & 7] >> UInt64(l >> 3))
  }

  /// 2^(-level / 8)
  static func shippedProbability(_ level: Int) -> Double { Double(weight(level)) * 0x1p-30 }

  func frequencies(_ c: Int) -> [UInt16] {
    let base = ald_base_row(Int32(c))!
    let symbols = ClassTables.symbols, escape = ClassTables.escape
    var w = [UInt64](repeating: 0, count: symbols)
    var floorOne = 0, top = ClassTables.largest
    switch self {
    case .absent: return [UInt16](repeating: 0, count: symbols)
    case .shipped:
      for s in 0...top { w[s] = Row.weight(Int(base[s])) }
    case .corrected(let step, let deltas):
      floorOne = deltas.count
      top = deltas.count - 1
      for (s, d) in deltas.enumerated() { w[s] = Row.weight(Int(base[s]) + 40 + d * step) }
    }
    let sum = w.reduce(0, +)
    var f = [UInt16](repeating: 0, count: symbols)
    let room = ClassTables.one - 1
    var used = 0
    for s in 0...top {
      var v = Int((w[s] * UInt64(room) + sum / 2) / sum)
      if s < floorOne { v = max(v, 1) }
      f[s] = UInt16(v)
      used += v
    }
    f[escape] = 1
    // Give what is missing to the largest, take what is too much from the larger ones in turn.
    while used != room {
      var k = 0
      for s in 0...top where f[s] > f[k] { k = s }
      if used < room { f[k] += UInt16(room - used); used = room } else {
        let take = min(used - room, Int(f[k]) / 2)
        f[k] -= UInt16(take); used -= take
      }
    }
    return f
  }
}

/// Adaptive models of the row descriptions.
struct RowModels {
  var present = [AdaptiveBit](repeating: .init(), count: 2)
  var absent = AdaptiveBit()
  var step = [AdaptiveBit](repeating: .init(), count: 3)
  var last = AdaptiveInteger(contexts: 1)
  var first = AdaptiveInteger(contexts: 1)
  var delta = AdaptiveInteger(contexts: 9)
  var previousLast = 0, previousCorrected = 0
}

struct RowCoder {
  var coder = AdaptiveBinaryEncoder()
  var models = RowModels()

  mutating func encodeBest(_ counts: [UInt64], class c: Int, sampled: Bool) -> (row: Row, frequencies: [UInt16]) {
    let total = counts.reduce(0, +)
    let base = Row.shipped(c)
    if total == 0 {
      let row = sampled ? base : .absent
      encode(row)
      return (row, row.frequencies(c))
    }
    var chosen = (row: base, frequencies: base.frequencies(c))
    var best = Self.bits(counts, chosen.frequencies) + 1
    let level = ald_base_row(Int32(c))!
    var last = min(counts.lastIndex { $0 > 0 }!, ClassTables.largest)
    if sampled { last = min(last + 4 + last / 8, ClassTables.largest) }
    let prior = 6.0
    // -8 log2 p wanted for each symbol; the counts are smoothed by the shipped shape.
    let wanted = (0...last).map { s in
      let p = (Double(counts[s]) + prior * Row.shippedProbability(Int(level[s]))) / (Double(total) + prior)
      return -8 * log2(max(p, 0x1p-18)) - Double(level[s])
    }
    for step in [1, 2, 4] where total >= 24 {
      var deltas = wanted.map { Int(($0 / Double(step)).rounded()) }
      // The common level is free: rows are normalised, and 40 eighths are added so that weights keep their precision.
      // Levels below zero would be clipped; shift the row so that its smallest level is zero.
      let lowest = (0...last).map { Int(level[$0]) + 40 + deltas[$0] * step }.min()!
      if lowest < 0 { deltas = deltas.map { $0 + (-lowest + step - 1) / step } }
      let row = Row.corrected(step: step, deltas: deltas)
      let frequencies = row.frequencies(c), cost = Self.description(deltas) + Self.bits(counts, frequencies)
      if cost < best { best = cost; chosen = (row, frequencies) }
    }
    encode(chosen.row)
    return chosen
  }

  /// About how many bits a correction takes.
  static func description(_ deltas: [Int]) -> Double {
    var bits = 8.0, previous = deltas[0]
    for d in deltas.dropFirst() {
      let size = abs(d - previous)
      bits += size == 0 ? 1.2 : 2.2 + 0.9 * Double(min(size, 14))
      previous = d
    }
    return bits
  }

  /// Bits of a symbol of frequency f; 0 is escaped.
  private static let cost = (0...ClassTables.one).map { Double(ALD_PROB_BITS) + ($0 > 0 ? -log2(Double($0)) : 20) }
  static func bits(_ counts: [UInt64], _ f: [UInt16]) -> Double {
    var b = 0.0
    for s in 0..<counts.count where counts[s] > 0 { b += Double(counts[s]) * cost[Int(f[s])] }
    return b
  }

  mutating func encode(_ row: Row) {
    switch row {
    case .absent, .shipped:
      coder.encode(0, &models.present[models.previousCorrected])
      models.previousCorrected = 0
      if case .absent = row { coder.encode(1, &models.absent) } else { coder.encode(0, &models.absent) }
    case .corrected(let step, let deltas):
      coder.encode(1, &models.present[models.previousCorrected])
      models.previousCorrected = 1
      coder.encode(step == 1 ? 0 : 1, &models.step[0])
      if step > 1 { coder.encode(step == 2 ? 0 : 1, &models.step[1]) }
      models.last.encode(deltas.count - 1 - models.previousLast, context: 0, &coder)
      models.previousLast = deltas.count - 1
      var previous = deltas[0], size = 0
      models.first.encode(deltas[0], context: 0, &coder)
      for d in deltas.dropFirst() {
        models.delta.encode(d - previous, context: RowCoder.context(step, size), &coder)
        size = abs(d - previous)
        previous = d
      }
    }
  }
  static func context(_ step: Int, _ size: Int) -> Int {
    (step == 1 ? 0 : step == 2 ? 3 : 6) + min(size, 2)
  }
}

struct RowDecoder {
  var coder: AdaptiveBinaryDecoder
  var models = RowModels()

  mutating func decode(class c: Int) -> Row {
    if coder.decode(&models.present[models.previousCorrected]) == 0 {
      models.previousCorrected = 0
      return coder.decode(&models.absent) == 0 ? .shipped(c) : .absent
    }
    models.previousCorrected = 1
    var step = 1
    if coder.decode(&models.step[0]) == 1 { step = coder.decode(&models.step[1]) == 0 ? 2 : 4 }
    let last = min(max(models.previousLast + models.last.decode(context: 0, &coder), 0), ClassTables.largest)
    models.previousLast = last
    var deltas = [clamp(models.first.decode(context: 0, &coder))]
    var size = 0
    for _ in 0..<last {
      let d = models.delta.decode(context: RowCoder.context(step, size), &coder)
      size = abs(clamp(d))
      deltas.append(clamp(deltas.last! + clamp(d)))
    }
    return .corrected(step: step, deltas: deltas)
  }
  private func clamp(_ v: Int) -> Int { min(max(v, -1024), 1024) }
}
