import CKernels
import Codecs
import Fields
import MPI
import Reduction
import Statistics

/// Memory of one worker: the interpolation kernels keep their sub-bands here.
final class Workspaces: @unchecked Sendable {
  private let pool: [InterpolationWorkspace]
  let threads: Int
  init(_ threads: Int) {
    self.threads = max(1, threads)
    pool = (0..<self.threads).map { _ in InterpolationWorkspace() }
  }
  /// The workspace of iteration `i` of a `parallelFor` over `count` with the same number of threads.
  func of(_ i: Int, _ count: Int) -> InterpolationWorkspace { pool[threads == 1 || count <= 1 ? 0 : i % min(threads, count)] }
}

/// Encodes `units` and keeps symbols and decoded values in them.
func encodeInterpolated(_ units: [Unit], _ codec: InterpolationCodec, _ workspaces: Workspaces) {
  parallelFor(units.count, threads: workspaces.threads) { i in
    let u = units[i]
    let s = Symbols(capacity: InterpolationCodec.capacity(u.box.count))
    let decoded = RawArray(box: u.box, elementSize: u.work.elementSize)
    s.count = codec.encode(u.work, mask: u.maskPointer, workspace: workspaces.of(i, units.count),
                           classes: s.classes, values: s.values, reconstruction: decoded)
    u.symbols = s
    u.decoded = decoded
  }
}

/// Mean squared difference of working and decoded values over all valid cells of all ranks' units.
func meanSquareError(_ units: [Unit], count: Int, threads: Int, ranks: borrowing Communicator) throws -> Double {
  let slots = Slots<Double>(units.count, 0)
  parallelFor(units.count, threads: threads) { i in
    let u = units[i], d = u.decoded!
    slots[i] = d.elementSize == 4
      ? ald_squared_error_f32(u.work.bound(to: Float.self), d.bound(to: Float.self), u.maskPointer, d.count)
      : ald_squared_error_f64(u.work.bound(to: Double.self), d.bound(to: Double.self), u.maskPointer, d.count)
  }
  var sum = ExactSum()
  for i in units.indices { sum.add(slots[i]) }
  return try reduce([sum], ranks: ranks)[0].value / Double(max(1, count))
}

/// Interpolation on the sampled tiles.
final class InterpolationTrial: MemberTrial {
  private let encoder: FieldEncoder
  private var units: [Unit] = []
  /// Level-step rule.
  var rule = 1 { didSet { last = nil } }
  private(set) var statistics = [Int64](repeating: 0, count: Int(ALD_INTERP_STATISTICS))
  private let workspaces: Workspaces

  /// - Collective: all ranks.
  init(_ encoder: FieldEncoder, _ units: [Unit], ranks: borrowing Communicator) throws {
    self.encoder = encoder
    workspaces = Workspaces(encoder.threads)
    try take(units, ranks: ranks)
  }

  /// More units.
  ///
  /// - Collective: all ranks.
  func take(_ more: [Unit], ranks: borrowing Communicator) throws {
    let sums = try encoder.predictionStatistics(more, workspaces, ranks: ranks)
    for j in sums.indices { statistics[j] += sums[j] }
    units += more
    last = nil
  }

  /// Mean of log2(1 + 2 |e| / step) over the sample, for the prediction along the best axis of each level from original values.
  var openLoopCost: Double {
    var sum = 0.0, points = 0.0
    for l in 0..<Int(ALD_INTERP_LEVELS) {
      var least = Double.infinity, most = 0.0
      for a in 0..<3 {
        let o = (3 * l + a) * 3, n = Double(statistics[o + 2])
        if n == 0 { continue }
        least = min(least, Double(min(statistics[o], statistics[o + 1])) / 256 / n)
        most = max(most, n)
      }
      if most > 0 { sum += least * most; points += most }
    }
    return points > 0 ? sum / points : 0
  }

  /// Step and error of the symbols the units hold.
  private var last: (step: Double, rmse: Double)?

  func rmse(_ step: Double, _ count: Int, _ ranks: borrowing Communicator) throws -> Double {
    if let l = last, l.step == step { return l.rmse }
    let codec = InterpolationCodec(settings: encoder.interpolationSettings(step: step, rule: rule, statistics: statistics))
    encodeInterpolated(units, codec, workspaces)
    let e = try meanSquareError(units, count: count, threads: encoder.threads, ranks: ranks).squareRoot()
    last = (step, e)
    return e
  }

  func cost(_ step: Double, _ count: Int, _ share: Double, _ ranks: borrowing Communicator) throws -> (bits: Double, rmse: Double) {
    let e = try rmse(step, count, ranks)
    var histogram = [UInt32](repeating: 0, count: histogramSize)
    for u in units { u.symbols!.add(to: &histogram) }
    let h = try reducedHistogram(histogram, ranks: ranks)
    return (estimatedBits(h, share: share) / Double(max(1, count)), e)
  }
}

extension FieldEncoder {
  /// Range of the working values, of all valid points.
  var workRange: (lower: Double, upper: Double) {
    if !target.logarithmic { return (survey.minimum, survey.maximum) }
    // |x| of any representable value.
    return source.type == .float32 ? (-150, 129) : (-1075, 1025)
  }

  /// Settings for a step; the step is enlarged where 32-bit integers could not hold the range.
  func interpolationSettings(step: Double, rule: Int, statistics: [Int64]) -> InterpolationSettings {
    let (lower, upper) = workRange
    let s = max(step, (upper - lower) * 0x1p-24)
    return InterpolationSettings(
      lower: lower, upper: upper, step: s, refinement: rule,
      prediction: InterpolationCodec.choose(from: statistics))!
  }

  /// Open-loop prediction costs at the step that interpolation is going to have.
  ///
  /// - Collective: all ranks.
  func predictionStatistics(_ units: [Unit], _ workspaces: Workspaces, ranks: borrowing Communicator) throws -> [Int64] {
    let (lower, upper) = workRange
    let s = max(target.filling ?? (target.rmse ?? survey.range * 1e-3) * 12.0.squareRoot(), (upper - lower) * 0x1p-24)
    let settings = InterpolationSettings(lower: lower, upper: upper, step: s)!
    let slots = Slots<[Int64]>(units.count, [])
    parallelFor(units.count, threads: threads) { i in
      slots[i] = InterpolationCodec.statistics(
        units[i].work, mask: units[i].maskPointer, settings: settings, workspace: workspaces.of(i, units.count))
    }
    var sums = [Int64](repeating: 0, count: Int(ALD_INTERP_STATISTICS))
    for i in units.indices { for j in sums.indices { sums[j] += slots[i][j] } }
    return try ranks.allReduce(sums, .sum)
  }
}
