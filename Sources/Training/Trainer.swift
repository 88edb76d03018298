import Codecs
import Compressor
import Glibc
import MPI

/// Fits a network by Adam, data-parallel over blocks: each rank computes the gradient of its own blocks of a batch, their sum moves all alike.
///
/// The sequence of updates depends on options, data and, in the last bits, on the number of ranks.
struct Trainer {
  private let o: TrainOptions
  private let shape: Network.Shape
  private var loss: Loss
  private let sets: [TrainingTiles], validation: [TrainingTiles]
  /// Blocks of all ranks: number of the set, number in it; and where this rank has them.
  private let all: [(set: Int, number: Int)]
  private let mine: [[Int: Int]]
  /// Denominators of the validation, and those of training.
  private let reference: [Double], initial: [Double]
  /// Learning rate of each parameter at first, over that of the options.
  private let pace: [Double]
  /// The layers that take patches are moved in coordinates in which these are white: their weights come first, except for the biases of the second.
  private let whitening: PatchWhitening
  private(set) var state: TrainingState
  let log: TrainingLog

  /// - Throws: `Failure`, on all ranks.
  /// - Collective: all ranks.
  init(_ o: TrainOptions, ranks: borrowing Communicator, say: (String) -> Void) throws {
    self.o = o
    let input = try TrainingInput(o, ranks: ranks)
    shape = input.shape
    var sets: [TrainingTiles] = [], validation: [TrainingTiles] = [], log = TrainingLog(options: o, ranks: ranks.size, parameters: shape.parameterCount)
    let every = shape.patch == 1 ? 3 : 2
    for p in o.psnr {
      for s in input.steps { sets.append(try input.tiles(step: s, psnr: p, every: every, ranks: ranks)) }
      for s in input.validation { validation.append(try input.tiles(step: s, psnr: p, every: every, ranks: ranks)) }
      let bits = sets.suffix(input.steps.count).reduce(0) { $0 + $1.bits } / Double(input.steps.count)
      log.points.append(.init(psnr: p, bits: bits))
      say("\(p) dB: \(bits) bits/value without a network")
    }
    guard sets.allSatisfy({ $0.extents == sets[0].extents && $0.total > 0 }) else { throw Failure(.usage, "the field is too small for blocks of \(sets[0].extents) cells") }
    self.sets = sets; self.validation = validation
    all = sets.indices.flatMap { s in (0..<sets[s].total).map { (s, $0) } }
    mine = sets.map { s in Dictionary(uniqueKeysWithValues: s.numbers.enumerated().map { ($1, $0) }) }
    log.blocks = all.count
    loss = Loss(o, shape: shape, axes: input.axes)
    guard shape.channels * (shape.dimensions == 3 ? 27 : 9) <= 2000 else { throw Failure(.usage, "--patch \(o.patch) is too much for \(shape.components) components in \(shape.dimensions) dimensions") }
    guard all.count >= o.batch else { throw Failure(.usage, "--batch \(o.batch) is more than the \(all.count) blocks there are") }
    initial = try Trainer.sums(sets, nil, loss, o.batch, ranks: ranks)
    reference = try Trainer.sums(validation, nil, loss, o.batch, ranks: ranks)
    guard initial[0] > 0, reference[0] > 0, initial.allSatisfy(\.isFinite) else { throw Failure(.usage, "there is no error to learn from, or values are not finite") }
    let share = Double(o.batch) / Double(all.count)
    loss.normalise(by: initial.map { $0 * share })

    // The linear layer is solved; the others begin where they add nothing.
    var fit = LinearFit(shape)
    for s in sets { fit.add(s.fit.sums) }
    let total = try ranks.allReduce(fit.sums, .sum)
    fit = LinearFit(shape)
    fit.add(total)
    guard let whitening = fit.whitening(), let linear = fit.solution() else { throw Failure(.usage, "the blocks say nothing: all values are zero") }
    self.whitening = whitening
    var random = Shuffle(seed: UInt64(o.seed), stream: 0)
    var p: [Double] = [], pace: [Double] = []
    for (k, l) in shape.layers.enumerated() {
      let n = shape.weightCount(l), size = 1 / Double(n / l.outputs).squareRoot(), last = k > 0 && k == shape.layers.count - 1
      p += k == 0 ? whitening.coordinates(of: linear.weights.map(Double.init)[...]) : (0..<n).map { _ in last ? 0 : random.normal() * size }
      pace += [Double](repeating: size * (k == 0 ? 0.1 : 1), count: n)
      if l.biased {
        p += [Double](repeating: 0, count: l.outputs)
        pace += [Double](repeating: 1, count: l.outputs)
      }
    }
    self.pace = pace
    state = TrainingState(p)
    self.log = log
  }

  /// Sums of the numerators over sets.
  ///
  /// - Collective: all ranks.
  private static func sums(_ sets: [TrainingTiles], _ parameters: [Float]?, _ loss: Loss, _ batch: Int, ranks: borrowing Communicator) throws -> [Double] {
    let own = try ranks.agree { () -> [Double] in
      var out = [Double](repeating: 0, count: Loss.terms)
      for s in sets {
        for start in stride(from: 0, to: s.decoded.count, by: batch) {
          var e = Examples(s)
          for i in start..<min(start + batch, s.decoded.count) { e.add(s, i) }
          for (k, v) in try loss.evaluate(e, parameters).enumerated() { out[k] += v }
        }
      }
      return out
    }
    return try ranks.allReduce(own, .sum)
  }

  /// Applies `body` to the weights of the layers that take patches.
  private func patchLayers(_ all: [Double], _ body: (ArraySlice<Double>) -> [Double]) -> [Double] {
    var n = 0
    for l in shape.layers.prefix(2) where l.inputs == shape.channels && l.taps == 3 { n += shape.weightCount(l) }
    return body(all[..<n]) + all[n...]
  }
  /// The network's parameters at given coordinates.
  private func weights(_ coordinates: [Double]) -> [Float] { patchLayers(coordinates, whitening.weights(at:)).map(Float.init) }

  /// Terms over those without a network, by default for the state at hand: 1 means that the network does nothing.
  ///
  /// - Collective: all ranks.
  func validated(_ network: Network? = nil, ranks: borrowing Communicator) throws -> [Double] {
    let s = try Trainer.sums(validation, network?.parameters ?? weights(state.parameters), loss, o.batch, ranks: ranks)
    return zip(s, reference).map { $1 > 0 ? $0 / $1 : 0 }
  }
  func weighted(_ terms: [Double]) -> Double { zip(terms, loss.weights).reduce(0) { $0 + $1.0 * $1.1 } }

  mutating func resume(from state: TrainingState) { self.state = state }

  /// One pass over the blocks in an order of its own.
  ///
  /// - Throws: `Failure`, on all ranks: interrupted (75), a loss that is not finite (2). The state is then useless.
  /// - Collective: all ranks.
  mutating func epoch(ranks: borrowing Communicator) throws -> Double {
    var order = Array(all.indices), shuffle = Shuffle(seed: UInt64(o.seed), stream: UInt64(state.epoch + 1))
    for i in order.indices.reversed() { order.swapAt(i, shuffle.below(i + 1)) }
    let batches = all.count / o.batch, steps = Double(o.epochs * batches)
    var sum = 0.0
    for b in 0..<batches {
      let p = weights(state.parameters), n = p.count
      let packed = try ranks.agree { () -> [Double] in
        var e = Examples(sets[0]), g = [Float](repeating: 0, count: n)
        for k in order[(b * o.batch)..<((b + 1) * o.batch)] {
          let at = all[k]
          if let i = mine[at.set][at.number] { e.add(sets[at.set], i) }
        }
        let terms = try g.withUnsafeMutableBufferPointer { try loss.evaluate(e, p, gradient: $0.baseAddress) }
        return g.map(Double.init) + terms + [Interruption.requested ? 1 : 0]
      }
      let s = try ranks.allReduce(packed, .sum)
      if s[s.count - 1] > 0 { throw Failure(.interrupted, "interrupted in epoch \(state.epoch + 1); run again to go on from the checkpoint") }
      let terms = zip(s[n..<(n + Loss.terms)], initial).map { $1 > 0 ? $0 / $1 * Double(all.count) / Double(o.batch) : 0 }, value = weighted(terms)
      guard value.isFinite, s[..<n].allSatisfy(\.isFinite) else {
        throw Failure(.inputOutput, "the loss is not finite in epoch \(state.epoch + 1); a smaller --learning-rate may help"
          + (o.checkpoint.map { ", and '\($0)' holds the last good state" } ?? ""))
      }
      let t = Double(state.updates)
      state.update(patchLayers(Array(s[..<n]), whitening.gradient), pace, rate: o.learningRate * (0.05 + 0.475 * (1 + cos(.pi * min(1, t / steps)))))
      sum += value
    }
    state.epoch += 1
    return sum / Double(batches)
  }

  /// Takes the parameters as the best ones where they are.
  mutating func judge(_ value: Double) {
    if value < state.bestValue {
      state.bestValue = value
      state.best = state.parameters
      state.sinceBest = 0
    } else { state.sinceBest += 1 }
  }
  func network() -> Network { Network(shape, rounding: weights(state.best)) }
}

/// All that a training goes on from.
struct TrainingState: Equatable {
  var parameters: [Double], first: [Double], second: [Double], best: [Double]
  var epoch = 0, updates = 0, sinceBest = 0, bestValue = Double.infinity

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
  /// Mean 0, variance 1.
  mutating func normal() -> Double { (0..<12).reduce(-6.0) { s, _ in s + Double(next() >> 11) * 0x1p-53 } }
}
