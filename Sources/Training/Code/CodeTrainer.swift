import Codecs
import Compressor
import Fields
import Glibc
import MPI

/// Fits a code of patches by Adam, data-parallel over blocks; from principal components on, or from the best linear code of
/// a loss with observables. docs/learned.md.
///
/// The sequence of updates depends on options, data and, in the last bits, on the number of ranks.
struct CodeTrainer: Learner {
  private let o: TrainOptions
  private let shape: CodeShape
  private var loss: CodeLoss
  private let sets: [TrainingBlocks], validation: [TrainingBlocks]
  private let order: BlockOrder
  /// Denominators of D and P: those of the principal components on the blocks learned from and on the validation.
  private let initial: [Double], reference: [Double]
  private let start: CodeCoordinates, principal: PrincipalComponents
  /// Where there are observables to learn for.
  private let law: LossLaw?
  /// The principal components as a code.
  private let plain: CodeLoss
  private let pace: [Double]
  /// Capacity of variational codes at the end, nats per patch.
  private let capacity: TrainingSchedule
  private let axes: [Int]
  /// Square of the range over the scale of the validation, mean over its steps.
  private let range: Double
  private(set) var state: TrainingState
  private(set) var log: TrainingLog

  /// Of blocks of all ranks, most whose values are counted for tables after an epoch.
  private static let counted = 64
  /// Most values that principal components are taken from.
  private static let sampled = 1 << 22
  /// Shares of the epochs: the penalty grows, shrinkage is gone.
  private static let ramp = 0.2, debiased = 0.8
  private static let smoothing = 0.1
  /// Penalty of directions beyond the coordinates: to name one of more costs more.
  private static let extra: Float = 1.5

  /// - Throws: `Failure`, on all ranks.
  /// - Collective: all ranks.
  init(_ o: TrainOptions, ranks: borrowing Communicator, say: (String) -> Void) throws {
    self.o = o
    let input = try TrainingInput(o, ranks: ranks), patch = Index3(input.dimensions == 3 ? o.patch : 1, o.patch, o.patch)
    axes = input.axes
    let sets = try input.steps.map { try input.blocks(step: $0, patch: patch, ranks: ranks) }
    let validation = try input.validation.map { try input.blocks(step: $0, patch: patch, ranks: ranks) }
    (self.sets, self.validation) = (sets, validation)
    order = try BlockOrder(totals: sets.map(\.total), batch: o.batch)
    func squared(_ b: [TrainingBlocks]) -> Double { b.reduce(0) { $0 + ($1.range / $1.scale) * ($1.range / $1.scale) } / Double(b.count) }
    range = squared(validation).squareRoot()
    var s = CodeShape(kind: o.kind, components: input.components, dimensions: input.dimensions, patch: o.patch, inputs: 0, latents: 0, before: o.width, behind: o.width)
    guard s.channels <= 4096 else { throw Failure(.usage, "--patch \(o.patch): patches of \(s.channels) values; at most 4096") }
    let group = o.structure.split(separator: ":").last.flatMap { Int($0) } ?? 1
    if o.kind == .sparse {
      s.group = group
      if o.width == 0 { s.solve = CodeShape.solveSteps }
    }
    let every = max(1, order.all.count * sets[0].extents.product * input.components / CodeTrainer.sampled)
    var sample: [(number: Int, blocks: CodeBlocks)] = [], before = 0
    for b in sets {
      for i in b.values.indices where (before + b.numbers.lowerBound + i) % every == 0 {
        var e = CodeBlocks(extents: b.extents)
        e.add(b.block(i))
        sample.append(((before + b.numbers.lowerBound + i) / every, e))
      }
      before += b.total
    }
    let first = try PrincipalComponents(o, s, sample.map(\.blocks), range: squared(sets).squareRoot(), axes: axes, ranks: ranks), known = first.coordinates
    principal = first
    say("principal components of patches of \(s.channels) values: \(rounded(known.rate)) bits/value at \(rounded(first.psnr)) dB; \(known.count) coordinates")
    // Denominators.
    plain = CodeLoss(o, s.linear(known.count), basis: known.basis, axes: axes)
    let identity = plain.shape.identity(step: known.step)
    initial = try CodeTrainer.sums(sets, identity, plain, o.batch, every: 1, ranks: ranks).terms
    reference = try CodeTrainer.sums(validation, identity, plain, o.batch, every: 1, ranks: ranks).terms
    guard initial[1] > 0, reference[1] > 0, initial.allSatisfy(\.isFinite) else { throw Failure(.usage, "there is no error to learn from, or values are not finite") }
    // Sparse codes are found in the squared error's own metric, by the container's encoder too.
    let isInformed = o.kind != .sparse && !o.physics.isEmpty, patches = Double(order.all.count) * CodeTrainer.patches(sets[0], s)
    law = isInformed ? try LossLaw(o, s, first, sample, errors: Array(initial[1...]), patches: patches, axes: axes, ranks: ranks) : nil
    if let l = law { say("the law's code of this loss, at \(rounded(l.coordinates.rate)) bits/value against those: \(CodeAudit.words(l.foretold, o)) foretold") }
    start = law?.coordinates ?? known
    s.inputs = start.count
    let least = start.step * start.step / 36, carrying = start.variances.filter { $0 > least }.count
    s.latents = o.latents > 0 ? o.latents : o.kind == .sparse ? s.inputs : max(1, carrying)
    s.latents = (s.latents + s.group - 1) / s.group * s.group
    guard s.latents <= min(8192, 8 * s.channels) else { throw Failure(.usage, "--latents \(s.latents): at most \(min(8192, 8 * s.channels)) for patches of \(s.channels) values") }
    guard o.kind == .sparse || s.latents <= s.inputs else { throw Failure(.usage, "--latents \(s.latents): the patches have \(s.inputs) coordinates that matter here; only sparse codes take more") }
    // Columns that are much alike take longer to tell apart.
    if s.latents > s.inputs { s.solve *= 2 }
    shape = s
    say("\(s.inputs) coordinates, \(s.latents) latents")
    loss = CodeLoss(o, s, basis: start.basis, dual: start.dual, axes: axes)
    let share = Double(o.batch) / Double(order.all.count)
    loss.normalise(by: initial[1...].map { $0 * share })
    loss.threshold = o.threshold
    if o.penalty == .smooth, s.solve == 0 { loss.smooth = CodeTrainer.smoothing }

    let atoms = try CodeTrainer.atoms(o, s, start, sets, axes, ranks: ranks)
    let begin = CodeStart(s, step: start.step, scale: start.variances.map { $0.squareRoot() }, atoms: atoms, seed: o.seed)
    pace = begin.pace
    state = TrainingState(begin.parameters)
    if o.kind == .autoencoder { state.multiplier = start.slope / (law?.loss ?? 1) }
    var log = TrainingLog(options: o, ranks: ranks.size, parameters: s.parameterCount)
    log.blocks = order.all.count
    log.points = [.init(psnr: first.psnr, bits: known.rate)]
    log.foretold = law?.foretold
    self.log = log
    if o.structure == "bits" {
      let c = try CodeTrainer.sums(sets, state.parameters.map(Float.init), loss, o.batch, every: CodeTrainer.stride(sets), ranks: ranks).counts!
      let bits = (0..<s.latents).map { 2 - log2(max(c.activity($0), 1 / c.patches)) }, mean = bits.reduce(0, +) / Double(s.latents)
      loss.costs = bits.map { Float(min(3, max(0.5, $0 / mean))) }
    }
    if o.structure == "identity", s.latents > s.inputs { loss.costs = (0..<s.latents).map { $0 < s.inputs ? 1 : CodeTrainer.extra } }
    var nats = 0.0
    if o.kind == .variational {
      let sums = try CodeTrainer.sums(sets, state.parameters.map(Float.init), loss, o.batch, every: 1, ranks: ranks)
      nats = sums.terms[0] * Glibc.log(2) / Double(order.all.count) / CodeTrainer.patches(sets[0], s)
    }
    capacity = o.capacity ?? TrainingSchedule(nats)
    state.divergence = nats
  }

  /// Directions beyond the coordinates: patches of the data, of norm 1, without the coordinates that nearly every patch needs; the same on all ranks.
  ///
  /// With those in them they would all be much alike, and the largest number of a patch would be found at another place each time.
  ///
  /// - Collective: all ranks.
  private static func atoms(_ o: TrainOptions, _ s: CodeShape, _ start: CodeCoordinates, _ sets: [TrainingBlocks], _ axes: [Int], ranks: borrowing Communicator) throws -> [Double] {
    let q = s.inputs, count = s.latents - q
    if count <= 0 { return [] }
    let plain = s.linear(q), simple = CodeLoss(o, plain, basis: start.basis, axes: axes), parameters = plain.identity(step: 1)
    let often = start.variances.map { $0.squareRoot() > start.step }
    // Each atom from a block of its own where there are enough.
    var random = Shuffle(seed: UInt64(o.seed), stream: 1)
    let total = sets.reduce(0) { $0 + $1.total }, wanted = (0..<count).map { _ in (random.below(total), random.next()) }
    let own = try ranks.agree { () -> [Double] in
      var out = [Double](repeating: 0, count: count * q), known: [Int: [Float]] = [:]
      for (k, (block, pick)) in wanted.enumerated() {
        var n = block, set = 0
        while n >= sets[set].total { n -= sets[set].total; set += 1 }
        guard sets[set].numbers.contains(n) else { continue }
        if known[block] == nil {
          var e = CodeBlocks(extents: sets[set].extents)
          e.add(sets[set].block(n - sets[set].numbers.lowerBound))
          known[block] = try simple.latents(e, parameters)
        }
        let y = known[block]!, at = Int(pick % UInt64(y.count / q)) * q
        let v = (0..<q).map { often[$0] ? 0 : Double(y[at + $0]) }, norm = v.reduce(0) { $0 + $1 * $1 }.squareRoot()
        for j in 0..<q where norm > 0 { out[k * q + j] = v[j] / norm }
      }
      return out
    }
    var all = try ranks.allReduce(own, .sum)
    for k in 0..<count where all[(k * q)..<(k * q + q)].allSatisfy({ $0 == 0 }) { all[k * q + k % q] = 1 }
    return all
  }

  private static func patches(_ b: TrainingBlocks, _ s: CodeShape) -> Double { Double(b.extents.product) * Double(s.components) / Double(s.channels) }
  private static func stride(_ sets: [TrainingBlocks]) -> Int { max(1, sets.reduce(0) { $0 + $1.total } / counted) }

  /// Numerators over blocks with rounded latents, and what values these take.
  ///
  /// - Parameter every: of so many blocks of all ranks one is taken.
  /// - Collective: all ranks.
  private static func sums(_ sets: [TrainingBlocks], _ parameters: [Float], _ loss: CodeLoss, _ batch: Int, every: Int, ranks: borrowing Communicator) throws -> (terms: [Double], counts: CodeCounts?) {
    var counts = CodeCounts(latents: loss.shape.latents)
    let own = try ranks.agree { () -> [Double] in
      var out = [Double](repeating: 0, count: CodeLoss.terms), before = 0
      for s in sets {
        let mine = s.values.indices.filter { (before + s.numbers.lowerBound + $0) % every == 0 }
        before += s.total
        for at in Swift.stride(from: 0, to: mine.count, by: batch) {
          var e = CodeBlocks(extents: s.extents)
          for i in mine[at..<min(at + batch, mine.count)] { e.add(s.block(i)) }
          var symbols = [Int32](repeating: 0, count: e.patches(loss.shape) * loss.shape.latents)
          for (k, v) in try symbols.withUnsafeMutableBufferPointer({ try loss.evaluate(e, parameters, symbols: $0.baseAddress) }).enumerated() { out[k] += v }
          counts.add(symbols)
        }
      }
      return out
    }
    try counts.gather(ranks: ranks)
    return (try ranks.allReduce(own, .sum), counts)
  }

  /// Terms and rate of parameters on the validation, and the counts of the blocks learned from.
  ///
  /// - Collective: all ranks.
  private func measured(_ p: [Float], _ loss: CodeLoss, ranks: borrowing Communicator) throws -> (terms: [Double], rate: Double, psnr: Double, counts: CodeCounts) {
    let known = try CodeTrainer.sums(sets, p, loss, o.batch, every: CodeTrainer.stride(sets), ranks: ranks).counts!
    let there = try CodeTrainer.sums(validation, p, loss, o.batch, every: 1, ranks: ranks), n = there.counts!.patches * Double(shape.channels)
    return (zip(there.terms[1...], reference[1...]).map { $1 > 0 ? $0 / $1 : 0 }, known.bits(of: there.counts!) / n, -10 * log10(there.terms[1] / n / (range * range)), known)
  }

  func validated(ranks: borrowing Communicator) throws -> Validation {
    let m = try measured(state.parameters.map(Float.init), phased(loss, epoch: state.epoch), ranks: ranks), weights = o.weights(at: 1)
    let error = zip(m.terms, weights).reduce(0) { $0 + $1.0 * $1.1 }
    var v = Validation(value: m.rate + state.multiplier * error, terms: m.terms, rate: m.rate, psnr: m.psnr)
    if o.kind == .sparse { v.value = m.rate + start.slope * error }
    if o.kind == .variational { v.value = error }
    // At a given rate the error is what counts; what misses the rate by more than 2 % is put behind.
    if let wanted = o.rate { v.value = error * (1 + 5 * max(0, abs(m.rate / wanted - 1) - 0.02)) }
    return v
  }

  mutating func resume(from state: TrainingState) { self.state = state }

  mutating func judge(_ v: Validation) {
    // Values before the penalty is whole, and before shrinkage is gone, are of another problem.
    let phases = o.kind == .sparse ? [firstWhole, firstDebiased] : []
    if phases.contains(state.epoch) { (state.bestValue, state.sinceBest) = (.infinity, 0) }
    state.judge(v.value)
    if o.kind == .sparse, state.epoch < firstDebiased { state.sinceBest = 0 }
    guard let wanted = o.rate, let rate = v.rate else { return }
    let short = max(-0.7, min(0.7, Glibc.log(wanted / max(rate, 1e-9))))
    if o.kind == .variational { state.multiplier *= exp(short) } else {
      state.parameters = widened(state.parameters, by: exp(-short))
      if o.kind == .autoencoder { state.multiplier *= exp(2 * short) }
    }
  }
  private var firstWhole: Int { Int((CodeTrainer.ramp * Double(o.epochs)).rounded(.up)) }
  private var firstDebiased: Int { Int((CodeTrainer.debiased * Double(o.epochs)).rounded(.up)) }
  private func phased(_ loss: CodeLoss, epoch: Int) -> CodeLoss {
    var l = loss
    l.debias = o.kind == .sparse && epoch >= firstDebiased
    return l
  }

  /// Parameters of the same maps with all steps times a factor.
  private func widened(_ p: [Double], by factor: Double) -> [Double] {
    var p = p
    for i in shape.range(.step) { p[i] += Glibc.log(factor) }
    for i in shape.range(.means) { p[i] /= factor }
    for i in shape.range(.scales) { p[i] -= Glibc.log(factor) }
    return p
  }

  mutating func epoch(ranks: borrowing Communicator) throws -> Double {
    let batches = order.batches(seed: o.seed, epoch: state.epoch), steps = Double(o.epochs * batches.count)
    let patches = Double(o.batch) * CodeTrainer.patches(sets[0], shape), values = patches * Double(shape.channels)
    var sum = 0.0
    for b in batches {
      let t = Double(state.updates) / steps, weights = o.weights(at: t)
      var loss = phased(loss, epoch: state.epoch)
      loss.weigh(weights.map { $0 * (o.kind == .autoencoder ? state.multiplier : 1) })
      // What a unit of R costs: bits per value; of a penalty in steps what makes the whole |x^ - x|^2 + lambda |z|; of a divergence its side of the capacity.
      var rate = 1 / values, limit = capacity.value(at: t)
      if o.kind == .sparse {
        loss.threshold = o.threshold * min(1, t / CodeTrainer.ramp)
        let step = exp(state.parameters[shape.range(.step).lowerBound])
        rate = loss.debias ? 0 : 2 * loss.threshold * step * step / (initial[1] * Double(o.batch) / Double(order.all.count))
      } else if o.kind == .variational {
        if o.rate != nil { limit *= state.multiplier }
        rate = o.pull * Glibc.log(2) / patches * (state.divergence > limit ? 1 : -1)
      }
      let p = state.parameters.map(Float.init), ready = loss, epoch = state.epoch
      let (g, s) = try gathered(epoch: epoch, checkpoint: o.checkpoint, ranks: ranks) {
        var e = CodeBlocks(extents: sets[0].extents), g = [Float](repeating: 0, count: p.count)
        for k in b {
          let at = order.all[k], set = sets[at.set]
          guard set.numbers.contains(at.number) else { continue }
          var random = Shuffle(seed: UInt64(o.seed) &+ UInt64(epoch + 1) << 32, stream: UInt64(k + 2)), offset = Index3(0, 0, 0)
          for a in 0..<3 { offset[a] = random.below(set.margin[a] + 1) }
          e.add(set.block(at.number - set.numbers.lowerBound, offset: offset))
          if o.quantisation == .noise || o.kind != .autoencoder { e.addNoise(shape, &random) }
        }
        let terms = try g.withUnsafeMutableBufferPointer { try ready.evaluate(e, p, rate: rate, gradient: $0.baseAddress) }
        return (g, terms)
      }
      let error = zip(zip(s[1...], initial[1...]), weights).reduce(0) { $0 + ($1.0.1 > 0 ? $1.0.0 / $1.0.1 * Double(order.all.count) / Double(o.batch) * $1.1 : 0) }
      switch o.kind {
      case .variational:
        state.divergence = s[0] * Glibc.log(2) / patches
        sum += error + o.pull * abs(state.divergence - limit)
      case .sparse: sum += error + rate * s[0]
      default: sum += s[0] / values + state.multiplier * error
      }
      state.update(g, pace, rate: o.learningRate * TrainingState.pace(at: t))
    }
    state.epoch += 1
    return sum / Double(batches.count)
  }

  /// D, P_0, ... of the principal components on the validation, over `reference`, with the step that has a rate there.
  ///
  /// - Collective: all ranks.
  private func principal(at rate: Double, ranks: borrowing Communicator) throws -> [Double] {
    var step = principal.coordinates.step, known = try measured(plain.shape.identity(step: step), plain, ranks: ranks)
    for _ in 0..<12 where abs(known.rate / rate - 1) > 0.001 {
      step *= max(0.5, min(2, known.rate / rate))
      known = try measured(plain.shape.identity(step: step), plain, ranks: ranks)
    }
    return known.terms
  }

  mutating func model(ranks: borrowing Communicator) throws -> (model: LearnedModel, words: String) {
    let loss = phased(loss, epoch: o.epochs)
    var p = state.best, known = try measured(p.map(Float.init), loss, ranks: ranks)
    if let wanted = o.rate {
      // The last few percent by one factor on all steps.
      for _ in 0..<12 where abs(known.rate / wanted - 1) > 0.005 {
        p = widened(p, by: max(0.5, min(2, known.rate / wanted)))
        known = try measured(p.map(Float.init), loss, ranks: ranks)
      }
    }
    let whole = try CodeTrainer.sums(sets, p.map(Float.init), loss, o.batch, every: 1, ranks: ranks).counts!
    let done = try ranks.agree { try CodeModel(o, shape, p, basis: start.basis, dual: start.dual, costs: loss.costs, magnitudes: whole.magnitudes, used: (0..<shape.latents).map { whole.activity($0) > 0 }) }
    var stored = CodeLoss(o, done.shape, basis: [], axes: axes)
    (stored.threshold, stored.smooth, stored.debias) = (loss.threshold, loss.smooth, loss.debias)
    if !loss.costs.isEmpty { stored.costs = done.kept.map { loss.costs[$0] } }
    let m = try measured(done.parameters, stored, ranks: ranks)
    var words = "\(rounded(m.rate)) bits/value under tables of the training blocks at \(rounded(m.psnr)) dB, \(done.kept.count) latents, rounded weights"
    for (k, name) in TrainOptions.observables.enumerated() where o.physics[name] != nil { words += ", \(name) \(rounded(m.terms[k + 1]))" }
    if o.kind != .sparse {
      let there = try principal(at: m.rate, ranks: ranks)
      let audit = CodeAudit(
        rate: m.rate, reached: zip(there, m.terms).map { $0 > 0 && $1 > 0 ? 10 * log10($0 / $1) : 0 }, foretold: law?.foretold ?? [Double](repeating: 0, count: Loss.terms),
        slack: try ranks.agree { try CodeAudit.slack(shape, p, activity: whole.activity) })
      log.audit = audit
      words += "; " + audit.words(o)
    }
    return (.autoencoder(done.model), words)
  }
}
