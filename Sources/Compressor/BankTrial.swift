import CKernels
import Codecs
import Decomposition
import Fields
import Glibc
import MPI
import Reduction
import Statistics

/// The choice of a bank member and its step, from sampled tiles.
///
/// All members are judged at the same target: the fewest bits at the wanted error, or the smallest error at the wanted rate.
/// At a wanted error a proxy of the bits (`TransformTrial.logCost`) sends away what is clearly worse; only members it cannot
/// tell apart are coded.
final class BankTrial {
  private(set) var member: FieldCoding.Member = .interpolation
  /// Quantiser step (transforms) or finest step (interpolation), in working units.
  private(set) var step = 0.0
  /// Level-step rule of the interpolation.
  private(set) var levelRule = 0
  /// d log rmse / d log step near the step.
  private(set) var slope = 1.0
  /// Bits per value at the wanted error, or what `Candidate.score` says at a wanted rate.
  private(set) var score = 0.0
  /// This rank's sampled tiles, without halo, and those of them that the members are judged on.
  let sampled: Set<Int>, judgedTiles: Set<Int>
  /// Their values; none once a transform was chosen.
  private(set) var units: [Unit]
  private var judged: [Unit]
  /// A third of those, which sends away what is far behind: positions in `judged`, here and their values on all ranks.
  private let firstLook: [Int], firstCount: Int
  /// Valid values in the sample and in the judged part of it, over all ranks.
  let count: Int
  let judgedCount: Int
  /// Streams of the sample, over all ranks.
  let wanted: Int
  /// The judged part of the field.
  private let share: Double

  private unowned let encoder: FieldEncoder
  private var wide: [RawArray]   // working values of the judged tiles with trial halo; empty for masked fields

  static let halo = 8

  /// - Collective: all ranks.
  init(_ encoder: FieldEncoder, ranks: borrowing Communicator) throws {
    self.encoder = encoder
    let layout = encoder.layout
    let total = layout.streamCount
    let cells = max(1, layout.grid.count / layout.tiles.count)
    let wanted = min(total, max(4, (FieldEncoder.trialValues + cells - 1) / cells))
    self.wanted = wanted
    let all = (0..<wanted).map { (2 * $0 + 1) * total / (2 * wanted) }
    // Coefficients must stay within 32-bit integers: none beyond 2^22 steps of range.
    let fits = (encoder.target.rmse ?? .infinity) * 0x1p22 > encoder.survey.range
    let transforms = encoder.special == nil && encoder.only != .interpolation && fits
    // Every second one, at least two; all where there is nothing to choose from.
    let every = wanted <= 2 || !transforms ? all : stride(from: 0, to: wanted, by: 2).map { all[$0] }
    let chosen = Set(every), looked = Set(stride(from: 0, to: every.count, by: 3).map { every[$0] })
    var units: [Unit] = [], wide: [RawArray?] = []
    for c in 0..<layout.components {
      let mine = all.filter { layout.units.contains($0) && layout.component(of: $0) == c }
      let want = mine.map { transforms && chosen.contains($0) ? layout.box(of: $0).dilated(by: BankTrial.halo, in: layout.grid) : layout.box(of: $0) }
      let plan = try Redistribution(have: encoder.source.boxes, want: want, grid: layout.grid, ranks: ranks)
      let arrays = want.map { RawArray(box: $0, type: encoder.source.type) }
      try plan.move(encoder.source.arrays[c], into: arrays, ranks: ranks)
      try ranks.agree {
        for (u, a) in zip(mine, arrays) {
          units.append(try encoder.makeUnit(u, from: a))
          wide.append(transforms && chosen.contains(u) ? encoder.workRegion(a) : nil)
        }
      }
    }
    let order = units.indices.sorted { units[$0].index < units[$1].index }
    self.units = order.map { units[$0] }
    judged = self.units.filter { chosen.contains($0.index) }
    sampled = Set(self.units.map(\.index)); judgedTiles = Set(judged.map(\.index))
    self.wide = order.compactMap { wide[$0] }
    firstLook = judged.indices.filter { [judged] in looked.contains(judged[$0].index) }
    firstCount = looked.reduce(0) { $0 + layout.box(of: $1).count }
    func valid(_ units: [Unit]) -> Int {
      units.reduce(0) { n, u in
        guard let m = u.maskPointer else { return n + u.box.count }
        var k = 0
        for i in 0..<u.box.count { k &+= Int(m[i]) }
        return n + k
      }
    }
    let counts = try ranks.allReduce([valid(self.units), valid(judged)], .sum)
    count = counts[0]; judgedCount = counts[1]
    share = encoder.survey.valid > 0 ? min(1, Double(judgedCount) / Double(encoder.survey.valid)) : 1
    let best = try choose(transforms: transforms, ranks: ranks)
    member = best.member; step = best.step; levelRule = best.rule; slope = best.slope; score = best.score(encoder.target)
    self.wide = []
    judged = []
    if member != .interpolation { self.units = [] }
  }

  private func choose(transforms: Bool, ranks: borrowing Communicator) throws -> Candidate {
    var members: [FieldCoding.Member] = transforms ? [.lapped16, .lapped8, .wavelet97] : []
    if let f = encoder.only { members = members.filter { $0 == f } }
    var rivals = members.map { TransformTrial($0, encoder) }
    if members.isEmpty { return try interpolation(InterpolationTrial(encoder, judged, ranks: ranks), against: nil, ranks: ranks)! }
    let alone = encoder.only != nil
    var worth = !alone
    var interpolated: InterpolationTrial?
    let rest = judged.indices.filter { !firstLook.contains($0) }
    func take(_ part: [Int]) {
      for r in rivals {
        r.take(part.map { wide[$0] }, part.map { judged[$0] })
        HostHeap.trim()
      }
    }
    func closest(_ step: Double, _ count: Int, tie: Double) throws -> Double {
      let costs = try rivals.map { try $0.logCost(step, count, ranks) }, least = costs.min()!
      rivals = rivals.indices.filter { costs[$0] <= least * tie + 0.01 }.map { rivals[$0] }
      return least
    }
    take(firstLook)
    if let rmse = encoder.target.rmse, !alone {
      let guess = rmse * 12.0.squareRoot()
      let near = try closest(guess, firstCount, tie: BankTrial.firstTie)
      // Coding is never cheaper than its predictions from the original values tell.
      func hopeless(_ t: InterpolationTrial, _ least: Double, _ margin: Double) -> Bool {
        least > BankTrial.sparse && 0.93 * TransformTrial.roughBits(t.openLoopCost) > margin * TransformTrial.roughBits(least)
      }
      let trial = try InterpolationTrial(encoder, firstLook.map { judged[$0] }, ranks: ranks)
      if hopeless(trial, near, 1.3) { worth = false } else if near > BankTrial.sparse && firstCount < judgedCount {
        // A third coded by both tells most of what all of it would.
        func score(_ t: any MemberTrial, _ m: FieldCoding.Member) throws -> Double {
          let (bits, e) = try t.cost(guess, firstCount, share * Double(firstCount) / Double(max(1, judgedCount)), ranks)
          return Candidate(member: m, rule: 1, step: guess, bits: bits, rmse: e).score(encoder.target)
        }
        if encoder.target.filling == nil {
          let transformed = try score(rivals[0], rivals[0].member)
          worth = try score(trial, .interpolation) - BankTrial.hopeless < BankTrial.behind * transformed
        }
      }
      take(rest)
      let least = try closest(guess, judgedCount, tie: BankTrial.tie), rough = TransformTrial.roughBits(least)
      if worth { try trial.take(rest.map { judged[$0] }, ranks: ranks) }
      interpolated = trial
      if worth && hopeless(trial, least, 1.12) { worth = false }
      if worth {
        let first = try solve(trial, .interpolation, 1, start: nil, ranks: ranks)
        let bits = first.score(encoder.target)
        if least > BankTrial.sparse, bits - BankTrial.hopeless > 1.15 * rough { worth = false }
        if least > BankTrial.sparse, bits < 0.85 * rough { return try interpolation(trial, first: first, against: nil, ranks: ranks)! }
        if worth {
          let best = try price(rivals, ranks: ranks)
          return try interpolation(trial, first: first, against: best, ranks: ranks) ?? best
        }
      }
    } else { take(rest) }
    if rivals.count == 1 && !worth { return try solve(rivals[0], rivals[0].member, 0, start: nil, priced: encoder.scores || encoder.weighsSpectral || encoder.weighsResampled, ranks: ranks) }
    let best = try price(rivals, ranks: ranks)
    if !worth { return best }
    return try interpolation(interpolated ?? InterpolationTrial(encoder, judged, ranks: ranks), against: best, ranks: ranks) ?? best
  }

  /// The best of some transforms.
  private func price(_ rivals: [TransformTrial], ranks: borrowing Communicator) throws -> Candidate {
    var best: Candidate?
    for t in rivals {
      let c = try solve(t, t.member, 0, start: nil, ranks: ranks)
      if best.map({ c.score(encoder.target) < $0.score(encoder.target) }) ?? true { best = c }
    }
    return best!
  }

  /// The best level rule of the interpolation, or `nil` where a transform is better.
  private func interpolation(_ trial: InterpolationTrial, first: Candidate? = nil, against other: Candidate?, ranks: borrowing Communicator) throws -> Candidate? {
    let target = encoder.target
    var best = try first ?? solve(trial, .interpolation, 1, start: nil, ranks: ranks)
    if let other, best.score(target) > other.score(target) + BankTrial.hopeless { return nil }
    // Equal steps at fine bounds, steeper ones at coarse bounds. Source: ten fields at 40 to 100 dB.
    trial.rule = best.bits > 3 ? 0 : 2
    let second = try solve(trial, .interpolation, trial.rule, start: best.step, ranks: ranks)
    if second.score(target) < best.score(target) { best = second }
    if let other, other.score(target) <= best.score(target) { return nil }
    return best
  }

  /// Bits per value that outliers take where Gaussian errors meet a pointwise bound (`Target.boundOverRmse`).
  static let outlierBits = 0.11
  /// How much of the quality that interpolation gives up by filling a pointwise bound is counted against it.
  static let qualityShare = 0.25

  /// Bits per value that no level rule of the interpolation has been seen to gain.
  static let hopeless = 0.15
  /// Interpolation that needs more than this many times the bits of a transform for a third of the sample is not looked at any more.
  static let behind = 1.08
  /// Transforms within this factor in the proxy are told apart by coding.
  static let tie = 1.02
  /// The same for a third of the sample, after which the others are not looked at any more.
  static let firstTie = 1.12
  /// Mean log cost below which the proxy tells little of the bits.
  static let sparse = 0.6

  /// What a member's header takes beside tables and fitted weights.
  private static func sideBits(_ m: FieldCoding.Member) -> Double { m == .wavelet97 ? 0 : m == .interpolation ? 8 * 28 : 8 * 37 }

  struct Candidate {
    var member: FieldCoding.Member, rule: Int, step: Double, bits: Double, rmse: Double, slope = 1.0
    /// Smaller is better: bits corrected to the wanted error at 6.02 dB per bit, or log error at the wanted rate.
    func score(_ t: Target) -> Double {
      if t.filling != nil, let r = t.rmse {
        if member != .interpolation { return bits + BankTrial.outlierBits }
        return bits + BankTrial.qualityShare * max(0, log2(max(rmse, 1e-300) / r)) * min(1, bits)
      }
      if let r = t.rmse { return bits + min(max(log2(max(rmse, 1e-300) / r), -0.25), 0.25) * min(1, bits) }
      return log2(max(rmse, 1e-300)) + (bits - t.rate!)
    }
  }

  /// Finds the step that meets the target on the sample.
  ///
  /// - Parameter priced: whether the bits are needed.
  private func solve(
    _ trial: any MemberTrial, _ m: FieldCoding.Member, _ rule: Int, start: Double?, priced: Bool = true, ranks: borrowing Communicator
  ) throws -> Candidate {
    let target = encoder.target, count = judgedCount
    if m == .interpolation, let step = target.filling {
      let (bits, e) = try trial.cost(step, count, share, ranks)
      return Candidate(member: m, rule: rule, step: step, bits: bits + BankTrial.sideBits(m) / Double(max(1, encoder.survey.valid)), rmse: e)
    }
    if let rmse = target.rmse {
      // A pass of the interpolation costs as much as coding: mostly one or two, the score corrects the rest.
      let costly = m == .interpolation
      let found = try solveStep(wanted: rmse, start: start ?? rmse * 12.0.squareRoot(), tolerance: costly ? 0.1 : 0.01, limit: costly ? 4 : 6) { s in
        try trial.rmse(s, count, ranks)
      }
      guard priced else {
        return Candidate(member: m, rule: rule, step: found.step, bits: 0, rmse: found.error, slope: found.slope)
      }
      let (bits, e) = try trial.cost(found.step, count, share, ranks)
      let side = BankTrial.sideBits(m) / Double(max(1, encoder.survey.valid))
      return Candidate(member: m, rule: rule, step: found.step, bits: bits + side, rmse: e, slope: found.slope)
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
    return Candidate(member: m, rule: rule, step: s, bits: last.bits, rmse: last.rmse)
  }
}

/// A step whose error is the wanted one within `tolerance` (relative), and the local slope: secant in the logarithm.
///
/// - Parameter ceiling: an error never to be exceeded where one of the steps tried allows it.
func solveStep(
  wanted: Double, start: Double, slope first: Double = 1, tolerance: Double, ceiling: Double = .infinity, limit: Int, _ error: (Double) throws -> Double
) rethrows -> (step: Double, error: Double, slope: Double) {
  var s = start, best = (step: start, error: Double.infinity, slope: first)
  var previous: (x: Double, y: Double)?, slope = first
  func miss(_ e: Double) -> Double { abs(log(max(e, 1e-300) / wanted)) + (e > ceiling ? 1 : 0) }
  for _ in 0..<limit {
    let e = try error(s)
    let x = log(s), y = log(max(e, 1e-300) / wanted)
    // The error of sparse data is ragged: neighbouring steps tell no slope.
    if let p = previous, abs(x - p.x) > 0.01 { slope = min(max((y - p.y) / (x - p.x), 0.25), 1.5) }
    if best.error == .infinity || miss(e) < miss(best.error) { best = (s, e, slope) }
    if miss(e) < tolerance { break }
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
