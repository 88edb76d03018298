import CKernels
import Codecs
import Decomposition
import Fields
import Glibc
import MPI
import Reduction
import Statistics

/// The choice of a bank member and its step, by trial coding of sampled tiles.
///
/// All members are judged at the same target: the fewest bits at the wanted error, or the smallest error at the wanted rate.
final class BankTrial {
  private(set) var member: FieldCoding.Member = .interpolation
  /// Quantiser step (transforms) or finest step (interpolation), in working units.
  private(set) var step = 0.0
  /// Level-step rule of the interpolation.
  private(set) var levelRule = 0
  /// d log rmse / d log step near the step.
  private(set) var slope = 1.0
  /// This rank's sampled tiles, without halo.
  let units: [Unit]
  /// Prediction statistics of the sample at `statisticsStep`, summed over ranks.
  private(set) var statistics: [Int64] = []
  /// Valid values in the sample, over all ranks.
  let count: Int
  let share: Double
  /// Streams of the sample that judge fitted weights: every third, at least two; the same on all ranks.
  let probes: Set<Int>

  private unowned let encoder: FieldEncoder
  private var wide: [RawArray]   // working values with trial halo, one per unit; empty for masked fields

  static let halo = 8

  /// - Collective: all ranks.
  init(_ encoder: FieldEncoder, ranks: borrowing Communicator) throws {
    self.encoder = encoder
    let layout = encoder.layout
    let total = layout.streamCount
    let cells = max(1, layout.grid.count / layout.tiles.count)
    let wanted = min(total, max(4, (FieldEncoder.trialValues + cells - 1) / cells))
    let all = (0..<wanted).map { (2 * $0 + 1) * total / (2 * wanted) }
    let every = wanted >= 6 ? 3 : max(1, wanted / 2)
    probes = Set(all.indices.filter { $0 % every == 0 }.map { all[$0] })
    let chosen = all.filter { layout.units.contains($0) }
    // Coefficients must stay within 32-bit integers: none beyond 2^22 steps of range.
    let fits = (encoder.target.rmse ?? .infinity) * 0x1p22 > encoder.survey.range
    let transforms = encoder.special == nil && encoder.forced != .interpolation && fits
    let halo = transforms ? BankTrial.halo : 0
    var units: [Unit] = [], wide: [RawArray] = []
    for c in 0..<layout.components {
      let mine = chosen.filter { layout.component(of: $0) == c }
      let want = mine.map { layout.box(of: $0).dilated(by: halo, in: layout.grid) }
      let plan = try Redistribution(have: encoder.source.boxes, want: want, grid: layout.grid, ranks: ranks)
      let arrays = want.map { RawArray(box: $0, type: encoder.source.type) }
      try plan.move(encoder.source.arrays[c], into: arrays, ranks: ranks)
      try ranks.agree {
        for (u, a) in zip(mine, arrays) {
          units.append(try encoder.makeUnit(u, from: a))
          if transforms { wide.append(encoder.workRegion(a)) }
        }
      }
    }
    let order = units.indices.sorted { units[$0].index < units[$1].index }
    self.units = order.map { units[$0] }
    self.wide = transforms ? order.map { wide[$0] } : []
    var valid = 0
    for u in units { valid += u.mask.map { m in (0..<m.count).reduce(0) { $0 + Int(m.bound(to: UInt8.self)[$1]) } } ?? u.box.count }
    count = try ranks.allReduce(valid, .sum)
    share = encoder.survey.valid > 0 ? min(1, Double(count) / Double(encoder.survey.valid)) : 1
    try choose(transforms: transforms, ranks: ranks)
    self.wide = []
  }

  private func choose(transforms: Bool, ranks: borrowing Communicator) throws {
    var best: Candidate?
    var members: [FieldCoding.Member] = transforms ? [.lapped16, .lapped8, .wavelet97, .interpolation] : [.interpolation]
    if let f = encoder.forced, members.contains(f) { members = [f] }
    for m in members {
      // The first rule of the interpolation decides whether the others are worth a look.
      let rules = m == .interpolation ? [1, 0, 2] : [0]
      var local: Candidate?
      for rule in rules {
        if let l = local, let b = best, l.score(encoder.target) > b.score(encoder.target) + BankTrial.hopeless { break }
        let trial: any MemberTrial = m == .interpolation
          ? try InterpolationTrial(self, encoder, rule: rule, statistics: local?.statistics, ranks: ranks)
          : TransformTrial(m, encoder, wide, units)
        let c = try solve(trial, m, rule, start: local?.step, ranks: ranks)
        if let l = local, l.score(encoder.target) <= c.score(encoder.target) { continue }
        local = c
      }
      if let l = local, best.map({ l.score(encoder.target) < $0.score(encoder.target) }) ?? true { best = l }
    }
    let b = best!
    member = b.member; step = b.step; levelRule = b.rule; statistics = b.statistics; slope = b.slope
  }

  /// Bits per value that no level rule of the interpolation has been seen to gain.
  static let hopeless = 0.15

  /// What a member's header takes beside tables and fitted weights.
  private static func sideBits(_ m: FieldCoding.Member) -> Double { m == .wavelet97 ? 0 : m == .interpolation ? 8 * 28 : 8 * 37 }

  struct Candidate {
    var member: FieldCoding.Member, rule: Int, step: Double, bits: Double, rmse: Double, statistics: [Int64], slope = 1.0
    /// Smaller is better: bits corrected to the wanted error at 6.02 dB per bit, or log error at the wanted rate.
    func score(_ t: Target) -> Double {
      if let r = t.rmse { return bits + min(max(log2(max(rmse, 1e-300) / r), -0.25), 0.25) * min(1, bits) }
      return log2(max(rmse, 1e-300)) + (bits - t.rate!)
    }
  }

  /// Finds the step that meets the target on the sample.
  private func solve(_ trial: any MemberTrial, _ m: FieldCoding.Member, _ rule: Int, start: Double?, ranks: borrowing Communicator) throws -> Candidate {
    let target = encoder.target
    if let rmse = target.rmse {
      // A pass of the interpolation costs as much as coding: mostly one or two, the score corrects the rest.
      let costly = m == .interpolation
      let found = try solveStep(wanted: rmse, start: start ?? rmse * 12.0.squareRoot(), tolerance: costly ? 0.1 : 0.01, limit: costly ? 4 : 6) { s in
        try trial.rmse(s, count, ranks)
      }
      let (bits, e) = try trial.cost(found.step, count, share, ranks)
      let side = BankTrial.sideBits(m) / Double(max(1, encoder.survey.valid))
      return Candidate(member: m, rule: rule, step: found.step, bits: bits + side, rmse: e, statistics: trial.statistics, slope: found.slope)
    }
    // Rate: bits fall about one per doubling of the step where most coefficients are active.
    var s = encoder.survey.range * exp2(-target.rate! - 1)
    var lo: (Double, Double)?, hi: (Double, Double)?   // (log2 step, bits): too few bits above hi, too many below lo
    var last = (bits: 0.0, rmse: 0.0)
    for _ in 0..<14 {
      last = try trial.cost(s, count, share, ranks)
      let x = log2(s)
      if abs(last.bits - target.rate!) < 0.003 * target.rate! { break }
      if last.bits > target.rate! { lo = (x, last.bits) } else { hi = (x, last.bits) }
      if let l = lo, let h = hi {
        let t = (l.1 - target.rate!) / (l.1 - h.1)
        s = exp2(l.0 + (h.0 - l.0) * min(max(t, 0.1), 0.9))
      } else { s *= last.bits > target.rate! ? 2 : 0.5 }
    }
    return Candidate(member: m, rule: rule, step: s, bits: last.bits, rmse: last.rmse, statistics: trial.statistics)
  }
}

/// A step whose error is the wanted one within `tolerance` (relative), and the local slope: secant in the logarithm.
func solveStep(wanted: Double, start: Double, tolerance: Double = 0.002, limit: Int = 9, _ error: (Double) throws -> Double) rethrows -> (step: Double, error: Double, slope: Double) {
  var s = start, best = (step: start, error: Double.infinity, slope: 1.0)
  var previous: (x: Double, y: Double)?, slope = 1.0
  for _ in 0..<limit {
    let e = try error(s)
    let x = log(s), y = log(max(e, 1e-300) / wanted)
    if let p = previous, abs(x - p.x) > 1e-9 { slope = min(max((y - p.y) / (x - p.x), 0.25), 1.5) }
    if abs(y) < abs(log(max(best.error, 1e-300) / wanted)) { best = (s, e, slope) }
    if abs(y) < tolerance { break }
    previous = (x, y)
    s = exp(x - max(min(y / slope, 3), -3))
  }
  return best
}

/// One member on the sampled tiles.
protocol MemberTrial: AnyObject {
  /// Root mean square error at a step. Collective.
  func rmse(_ step: Double, _ count: Int, _ ranks: borrowing Communicator) throws -> Double
  /// Bits per value and rmse at a step. Collective.
  func cost(_ step: Double, _ count: Int, _ share: Double, _ ranks: borrowing Communicator) throws -> (bits: Double, rmse: Double)
  var statistics: [Int64] { get }
}

/// Histogram of classes and symbols summed over ranks.
func reducedHistogram(_ local: [UInt32], ranks: borrowing Communicator) throws -> [UInt64] {
  let used = local.lastIndex { $0 > 0 } ?? 0
  // Classes above the highest one used anywhere need not travel.
  let top = try ranks.allReduce(used, .max) + 1
  var h = try ranks.allReduce(local[0..<top].map(UInt64.init), .sum)
  h += [UInt64](repeating: 0, count: local.count - top)
  return h
}

let histogramSize = ClassTables.classes * ClassTables.symbols
