import Codecs
import Compressor
import Glibc
import MPI

/// Something that is fitted epoch by epoch.
protocol Learner {
  var state: TrainingState { get }
  var log: TrainingLog { get }
  mutating func resume(from state: TrainingState)
  /// One pass over the blocks in an order of its own; the mean loss.
  ///
  /// - Throws: `Failure`, on all ranks: interrupted (75), a loss that is not finite (2). The state is then useless.
  /// - Collective: all ranks.
  mutating func epoch(ranks: borrowing Communicator) throws -> Double
  /// What the state at hand is worth on the validation.
  ///
  /// - Collective: all ranks.
  mutating func validated(ranks: borrowing Communicator) throws -> Validation
  /// Takes the parameters as the best ones where they are, and sets the weights of the next epoch.
  mutating func judge(_ v: Validation)
  /// The model of the best state, and what there is to say of it.
  ///
  /// - Collective: all ranks.
  mutating func model(ranks: borrowing Communicator) throws -> (model: LearnedModel, words: String)
}

struct Validation {
  /// What is minimised, at the last weights of the schedules.
  var value: Double
  /// D, P_0, ... over their values at the start.
  var terms: [Double]
  /// Bits per value, of codes.
  var rate: Double?
  /// dB against the range.
  var psnr: Double?
}

/// All that a training goes on from.
struct TrainingState: Equatable {
  var parameters: [Double], first: [Double], second: [Double], best: [Double]
  var epoch = 0, updates = 0, sinceBest = 0, bestValue = Double.infinity
  /// Codes: the factor on D and P that a rate target moves, and the last divergence in nats per patch.
  var multiplier = 1.0, divergence = 0.0

  init(_ parameters: [Double]) {
    self.parameters = parameters
    first = [Double](repeating: 0, count: parameters.count)
    second = first
    best = parameters
  }

  /// Adam (Kingma and Ba, 2015) with a pace per parameter.
  mutating func update(_ gradient: [Double], _ pace: [Double], rate: Double) {
    updates += 1
    let b1 = 0.9, b2 = 0.99, c1 = 1 - pow(b1, Double(updates)), c2 = 1 - pow(b2, Double(updates))
    for (i, g) in gradient.enumerated() {
      first[i] += (1 - b1) * (g - first[i])
      second[i] += (1 - b2) * (g * g - second[i])
      parameters[i] -= rate * pace[i] * (first[i] / c1) / ((second[i] / c2).squareRoot() + 1e-12)
    }
  }
  /// Takes the parameters as the best ones where they are.
  mutating func judge(_ value: Double) {
    if value < bestValue {
      bestValue = value
      best = parameters
      sinceBest = 0
    } else { sinceBest += 1 }
  }

  /// Rates fall to a twentieth along a cosine. - Parameter t: updates done over all.
  static func pace(at t: Double) -> Double { 0.05 + 0.475 * (1 + cos(.pi * min(1, t))) }
}

/// Blocks of all ranks, in the order in which an epoch takes them.
struct BlockOrder {
  /// Number of the set, number in it.
  let all: [(set: Int, number: Int)]
  let batches: Int, batch: Int

  /// - Throws: `Failure(.usage)`: fewer blocks than a batch takes.
  init(totals: [Int], batch: Int) throws {
    all = totals.indices.flatMap { s in (0..<totals[s]).map { (s, $0) } }
    guard all.count >= batch else { throw Failure(.usage, "--batch \(batch) is more than the \(all.count) blocks there are") }
    self.batch = batch
    batches = all.count / batch
  }
  /// The blocks of each batch of an epoch, by number in `all`.
  func batches(seed: Int, epoch: Int) -> [ArraySlice<Int>] {
    var order = Array(all.indices), shuffle = Shuffle(seed: UInt64(seed), stream: UInt64(epoch + 1))
    for i in order.indices.reversed() { order.swapAt(i, shuffle.below(i + 1)) }
    return (0..<batches).map { order[($0 * batch)..<(($0 + 1) * batch)] }
  }
}

/// Gradient and numerators of a batch over all ranks.
///
/// - Throws: `Failure`, on all ranks: interrupted, or not finite.
/// - Collective: all ranks.
func gathered(epoch: Int, checkpoint: String?, ranks: borrowing Communicator, _ own: () throws -> (gradient: [Float], sums: [Double])) throws -> (gradient: [Double], sums: [Double]) {
  let packed = try ranks.agree { () -> [Double] in
    let (g, s) = try own()
    return g.map(Double.init) + s + [Double(s.count), Interruption.requested ? 1 : 0]
  }
  let sums = try ranks.allReduce(packed, .sum), count = Int(packed[packed.count - 2]), n = packed.count - 2 - count
  if sums[sums.count - 1] > 0 { throw Failure(.interrupted, "interrupted in epoch \(epoch + 1); run again to go on from the checkpoint") }
  guard sums.allSatisfy(\.isFinite) else {
    throw Failure(.inputOutput, "the loss is not finite in epoch \(epoch + 1); a smaller --learning-rate may help"
      + (checkpoint.map { ", and '\($0)' holds the last good state" } ?? ""))
  }
  return (Array(sums[..<n]), Array(sums[n..<(n + count)]))
}

/// A stream of random numbers (SplitMix64).
struct Shuffle {
  private var state: UInt64
  init(seed: UInt64, stream: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 ^ stream &* 0xd1b5_4a32_d192_ed03 }
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
  mutating func below(_ n: Int) -> Int { Int(next() % UInt64(n)) }
  /// -1/2 ... 1/2.
  mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 - 0.5 }
  /// Mean 0, variance 1.
  mutating func normal() -> Double { (0..<12).reduce(0.0) { s, _ in s + uniform() } }
}
