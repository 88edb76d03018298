import Codecs
import Fields
import Glibc
import MPI

/// How a field at one step is predicted.
struct FieldPrediction {
  let block: Prediction
  let predictor: Predictor
  /// Newest first.
  let references: [FieldHistory.Step]

  func subtract(from c: RawArray, _ stream: Int, component: Int) {
    predictor.subtract(from: c, component: component, references.map { $0.coefficients[stream] })
  }
  func add(to c: RawArray, _ stream: Int, component: Int) {
    predictor.add(to: c, component: component, references.map { $0.coefficients[stream] })
  }
}

/// What prediction was worth.
struct TemporalOutcome: Sendable {
  /// Number of the key step; `nil`: this one.
  var key: Int?
  var references: [Int] = []
  /// Estimated share of the bits that it saves, also where it was not used.
  var gain = Double.nan
  mutating func standAlone() { key = nil; references = [] }
}

extension FieldEncoder {
  /// Less than this share of the bits does not pay for the steps that decoding takes beside.
  static let leastTemporalGain = 0.05

  /// No coefficient is larger by more than this factor than the largest value: the basis functions reach over less than 56 cells per axis and
  /// have norms near 1.
  static let coefficientGain = 0x1p10
  /// Largest of the values that are transformed, offset included.
  private var workMagnitude: Double { target.logarithmic ? 1100 : survey.magnitude + abs(offset) }

  /// Committed steps that this one can be predicted from; empty: it stands alone.
  func usableReferences() -> [FieldHistory.Step] {
    guard let newest = history?.steps.first, special == nil, forced == nil || forced == newest.member, newest.grid == layout.grid,
          newest.components == layout.components, newest.firstStream == layout.units.lowerBound, newest.coefficients.count == layout.units.count,
          newest.logarithmic == target.logarithmic, newest.workType.size >= workType.size,
          target.logarithmic || abs(survey.minimum + survey.range / 2 - newest.offset) <= 4 * survey.range
    else { return [] }
    return history!.steps
  }

  /// Gains for these coefficients, which become what is left; `nil`, and coefficients of no more use, where they do not pay.
  ///
  /// - Parameter sample: those of the tiles that tell whether it pays.
  /// - Collective: all ranks.
  func predict(
    _ coefficients: [RawArray], _ shapes: BandShapes, step: Double, sample: [Int], ranks: borrowing Communicator
  ) throws -> FieldPrediction? {
    try phases.measure("predict") {
      let references = self.references, n = layout.components, member = shapes.member
      let fine = PredictionBins(member, grid: layout.grid, level: PredictionBins.finestLevel(member, layout.grid))
      var sums = PredictionSums(
        fine, components: n, magnitude: FieldEncoder.coefficientGain * max(workMagnitude, references.map(\.magnitude).max()!), cells: 4 * layout.tiles.edge.product)
      // A few tiles at a time: their sums may be as large as they are.
      let batch = 8 * threads
      for start in stride(from: 0, to: coefficients.count, by: batch) {
        let count = min(batch, coefficients.count - start), parts = Slots<[Double]>(count, [])
        parallelFor(count, threads: threads) { i in parts[i] = fine.sums(coefficients[start + i], references.map { $0.coefficients[start + i] }) }
        for i in 0..<count { sums.add(parts[i], component: (start + i) % n) }
      }
      sums.integers = try ranks.allReduce(sums.integers, .sum)
      let (gains, bins) = PredictionGains.fitted(sums, member, grid: layout.grid, references: references.count, step: step)
      let newest = references[0]
      let block = Prediction(
        references: references.map(\.reference), position: (newest.prediction?.position ?? 0) + 1, key: newest.key, gains: gains, bins)
      let prediction = FieldPrediction(block: block, predictor: Predictor(gains, bins), references: references)
      let tiles = sample.map { (cells: coefficients[$0], component: $0 % n) }
      let before = try sampleBits(tiles, shapes, step, ranks: ranks)
      parallelFor(coefficients.count, threads: threads) { i in prediction.subtract(from: coefficients[i], i, component: i % n) }
      let after = try sampleBits(tiles, shapes, step, ranks: ranks) + 8 * Double(block.gains.count) / Double(layout.grid.count * n)
      temporal = TemporalOutcome(gain: before > 0 ? 1 - after / before : 0)
      guard temporal!.gain > FieldEncoder.leastTemporalGain else { return nil }
      temporal!.key = block.key
      temporal!.references = block.references.map(\.step)
      return prediction
    }
  }

  /// Bits per value that tiles take with a model of their own; see `TransformTrial.cost`.
  ///
  /// - Collective: all ranks.
  private func sampleBits(_ tiles: [(cells: RawArray, component: Int)], _ shapes: BandShapes, _ step: Double, ranks: borrowing Communicator) throws -> Double {
    let integers = quantise(tiles.map(\.cells), quantiser(step: step, shifts: [0, 0, 0]), threads: threads)
    let quantised = zip(integers, tiles).map { (q: $0, component: $1.component) }
    let model = try shapes.model(of: quantised, ranks: ranks), histograms = Slots<[UInt32]>(tiles.count, [])
    parallelFor(tiles.count, threads: threads) { i in
      var h = [UInt32](repeating: 0, count: histogramSize)
      shapes.symbols(quantised[i].q, component: quantised[i].component, model).0.add(to: &h)
      histograms[i] = h
    }
    var all = [UInt32](repeating: 0, count: histogramSize)
    for h in histograms.array { for k in 0..<histogramSize { all[k] += h[k] } }
    let cells = Double(max(1, try ranks.allReduce(tiles.reduce(0) { $0 + $1.cells.count }, .sum)))
    return estimatedBits(try reducedHistogram(all, ranks: ranks), share: min(1, cells / Double(layout.grid.count * layout.components))) / cells
  }

  /// Keeps what a step decodes to as a reference for later ones.
  func record(_ coding: FieldCoding, _ coefficients: [RawArray]) {
    history?.pending = .init(
      member: coding.member, workType: workType, logarithmic: target.logarithmic, grid: layout.grid, components: layout.components,
      firstStream: layout.units.lowerBound, offset: offset, magnitude: workMagnitude, coefficients: coefficients, prediction: coding.prediction)
  }
}
