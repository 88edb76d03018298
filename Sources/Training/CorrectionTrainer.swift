import Codecs
import Compressor
import Glibc
import MPI

/// Fits a network by Adam, data-parallel over blocks: each rank computes the gradient of its own blocks of a batch, their sum moves all alike.
///
/// The sequence of updates depends on options, data and, in the last bits, on the number of ranks.
struct CorrectionTrainer: Learner {
  private let o: TrainOptions
  private let shape: Network.Shape
  private var loss: Loss
  private let sets: [TrainingTiles], validation: [TrainingTiles]
  private let order: BlockOrder
  /// Where this rank has the blocks of each set.
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
    shape = input.shape(o)
    var sets: [TrainingTiles] = [], validation: [TrainingTiles] = [], log = TrainingLog(options: o, ranks: ranks.size, parameters: shape.parameterCount)
    let every = shape.patch == 1 ? 3 : 2
    for p in o.psnr {
      for s in input.steps { sets.append(try input.tiles(step: s, psnr: p, shape: shape, every: every, ranks: ranks)) }
      for s in input.validation { validation.append(try input.tiles(step: s, psnr: p, shape: shape, every: every, ranks: ranks)) }
      let bits = sets.suffix(input.steps.count).reduce(0) { $0 + $1.bits } / Double(input.steps.count)
      log.points.append(.init(psnr: p, bits: bits))
      say("\(p) dB: \(bits) bits/value without a network")
    }
    guard sets.allSatisfy({ $0.extents == sets[0].extents && $0.total > 0 }) else { throw Failure(.usage, "the field is too small for blocks of \(sets[0].extents) cells") }
    self.sets = sets; self.validation = validation
    order = try BlockOrder(totals: sets.map(\.total), batch: o.batch)
    mine = sets.map { s in Dictionary(uniqueKeysWithValues: s.numbers.enumerated().map { ($1, $0) }) }
    log.blocks = order.all.count
    loss = Loss(o, shape: shape, axes: input.axes)
    guard shape.channels * (shape.dimensions == 3 ? 27 : 9) <= 2000 else { throw Failure(.usage, "--patch \(o.patch) is too much for \(shape.components) components in \(shape.dimensions) dimensions") }
    initial = try CorrectionTrainer.sums(sets, nil, loss, o.batch, ranks: ranks)
    reference = try CorrectionTrainer.sums(validation, nil, loss, o.batch, ranks: ranks)
    guard initial[0] > 0, reference[0] > 0, initial.allSatisfy(\.isFinite) else { throw Failure(.usage, "there is no error to learn from, or values are not finite") }
    let share = Double(o.batch) / Double(order.all.count)
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

  /// Terms over those without a network: 1 means that the network does nothing.
  private func terms(_ parameters: [Float], ranks: borrowing Communicator) throws -> [Double] {
    let s = try CorrectionTrainer.sums(validation, parameters, loss, o.batch, ranks: ranks)
    return zip(s, reference).map { $1 > 0 ? $0 / $1 : 0 }
  }
  func validated(ranks: borrowing Communicator) throws -> Validation {
    let t = try terms(weights(state.parameters), ranks: ranks)
    return Validation(value: zip(t, o.weights(at: 1)).reduce(0) { $0 + $1.0 * $1.1 }, terms: t)
  }

  mutating func resume(from state: TrainingState) { self.state = state }
  mutating func judge(_ v: Validation) { state.judge(v.value) }

  mutating func epoch(ranks: borrowing Communicator) throws -> Double {
    let batches = order.batches(seed: o.seed, epoch: state.epoch), steps = Double(o.epochs * batches.count)
    var sum = 0.0
    for b in batches {
      let t = Double(state.updates) / steps
      loss.weights = o.weights(at: t)
      let p = weights(state.parameters), ready = loss
      let (g, s) = try gathered(epoch: state.epoch, checkpoint: o.checkpoint, ranks: ranks) {
        var e = Examples(sets[0]), g = [Float](repeating: 0, count: p.count)
        for k in b {
          let at = order.all[k]
          if let i = mine[at.set][at.number] { e.add(sets[at.set], i) }
        }
        let terms = try g.withUnsafeMutableBufferPointer { try ready.evaluate(e, p, gradient: $0.baseAddress) }
        return (g, terms)
      }
      let terms = zip(s, initial).map { $1 > 0 ? $0 / $1 * Double(order.all.count) / Double(o.batch) : 0 }
      sum += zip(terms, loss.weights).reduce(0) { $0 + $1.0 * $1.1 }
      state.update(patchLayers(g, whitening.gradient), pace, rate: o.learningRate * TrainingState.pace(at: t))
    }
    loss.weights = o.weights(at: 1)
    state.epoch += 1
    return sum / Double(batches.count)
  }

  func model(ranks: borrowing Communicator) throws -> (model: LearnedModel, words: String) {
    let network = Network(shape, rounding: weights(state.best)), gain = try -10 * log10(terms(network.parameters, ranks: ranks)[0])
    return (.network(network), "\(rounded(gain)) dB of squared error, rounded weights")
  }
}
