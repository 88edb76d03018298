import CKernels
import Codecs
import Decomposition
import Fields
import Glibc
import MPI

/// The part of a field that an autoencoder codes, in place of a lapped transform.
struct PartedTiles {
  let member: FieldCoding.Member
  /// By tile of the field.
  let chosen: [Bool]
  let hash: UInt64, header: PatchTiles
  /// Share of the cells that are left to the transform.
  let left: Double
  /// By tile, of this rank's: the stream of all components, and decoded values less the field's offset.
  let payloads: [Int: [UInt8]], values: [Int: [RawArray]]
}

extension FieldEncoder {
  /// Squared error may be this many times the wanted one in a tile that is chosen.
  private static let largestError = 2.0

  /// The field by a lapped transform, but for those tiles that an autoencoder codes in fewer bits; `nil` where that is none or all of them.
  ///
  /// A first factor on the steps gives the quarter of the tiles that suit the model best the wanted error; the tiles whose latents then look cheaper than their
  /// coefficients, at no more than twice the squared error, are chosen, and once more with the factor that gives all of these the wanted error.
  /// - Collective: all ranks.
  func runParted(_ codec: AutoencoderCodec, _ inputs: Slots<[Float]>, _ start: FieldCoding, ranks: borrowing Communicator) throws -> EncodedField? {
    let total = layout.tiles.count
    guard let wanted = target.rmse, target.rate == nil, total > 1 else { return nil }
    let trial = try bankTrial(ranks: ranks), step = wanted * 12.0.squareRoot()
    let transforms = [FieldCoding.Member.lapped16, .lapped8].map { (member: $0, whole: $0.transform(layout.grid) as! LappedOrthogonalTransform) }
    let costs = try transforms.map { try coefficientCosts($0.whole, step: step, ranks: ranks) }, plain = zip(costs[0], costs[1]).map(min)
    var factor = 1.0, chosen = [Bool](repeating: false, count: total)
    var last = (bits: [Double](), errors: [Double]()), at = 0.0
    func price(_ f: Double) throws {
      if f != at { (last, at) = (try latentCosts(codec, inputs, factor: f, ranks: ranks), f) }
    }
    for round in 0..<3 {
      let found = try phases.measure("step") {
        try solveStep(wanted: wanted * 0.999, start: factor, tolerance: 0.01, limit: 5) { f in
          try price(max(f, FieldEncoder.leastFactor))
          let looked = round == 0 ? Array(last.errors.sorted()[..<((total + 3) / 4)]) : zip(last.errors, chosen).filter(\.1).map(\.0)
          return (looked.reduce(0, +) / Double(looked.count)).squareRoot()
        }
      }
      factor = found.step
      guard factor > FieldEncoder.leastFactor, found.error < 1.1 * wanted else { return nil }
      if round == 2 { break }
      try phases.measure("step") { try price(factor) }
      for t in 0..<total { chosen[t] = last.errors[t] <= FieldEncoder.largestError * wanted * wanted && last.bits[t] < plain[t] }
      if !chosen.contains(true) || !chosen.contains(false) { return nil }
    }
    // What suits the whole field need not suit what is left of it.
    let left = try transforms.map { t in
      let bits = try coefficientCosts(PartedTransform(t.whole, layout.tiles, others: chosen), step: step, ranks: ranks)
      return zip(bits, chosen).reduce(0) { $0 + ($1.1 ? 0 : $1.0) }
    }
    let member = transforms[left[1] < left[0] ? 1 : 0].member
    parted = try part(codec, inputs, member, chosen, factor: factor, ranks: ranks)
    defer { parted = nil }
    return try runTransform(start, trial, ranks: ranks)
  }

  /// Bits that the coefficients of each tile come to, by the proxy of the bank's trial.
  ///
  /// - Collective: all ranks.
  private func coefficientCosts(_ transform: any HaloTransform, step: Double, ranks: borrowing Communicator) throws -> [Double] {
    let coefficients = try analyse(transform, ranks: ranks), parts = layout.components
    var bits = [Double](repeating: 0, count: layout.tiles.count)
    for i in layout.mine {
      for c in coefficients[(i - layout.mine.lowerBound) * parts..<(i - layout.mine.lowerBound + 1) * parts] {
        let cost = c.elementSize == 4 ? ald_log_cost_f32(c.bound(to: Float.self), c.count, 2 / step) : ald_log_cost_f64(c.bound(to: Double.self), c.count, 2 / step)
        bits[i] += Double(c.count) * TransformTrial.roughBits(Double(cost) / 256 / Double(c.count))
      }
    }
    // One rank knows of each tile: no sum is rounded.
    return try ranks.allReduce(bits, .sum)
  }

  /// Bits, likewise, and mean squared errors of all tiles by the autoencoder at a factor.
  ///
  /// - Collective: all ranks.
  private func latentCosts(_ codec: AutoencoderCodec, _ inputs: Slots<[Float]>, factor: Double, ranks: borrowing Communicator) throws -> (bits: [Double], errors: [Double]) {
    let total = layout.tiles.count, first = layout.mine.lowerBound, own = Slots<(bits: Double, error: Double)>(layout.mine.count, (0, 0))
    try forEachTile(ranks: ranks) { t, original in
      let box = layout.tiles.box(t), (q, numbers) = codec.rounded(inputs[t - first], factor: factor, deadZone: 0)
      let again = codec.values(q, box, type: .float64, factor: factor, shifts: LatentSums(numbers: numbers).shifts)
      var s = 0.0
      for (a, b) in zip(again, original) {
        let x = a.bound(to: Double.self), given = RawArray(box: box, type: source.type)
        given.copy(box, from: b)
        s = source.type == .float32 ? ald_squares_f32(s, x, given.bound(to: Float.self), a.count) : ald_squares_f64(s, x, given.bound(to: Double.self), a.count)
      }
      let cost = codec.model.solvesCodes ? ald_log_cost_f64(q.map(Double.init), q.count, 2) : ald_log_cost_f32(inputs[t - first], q.count, 2 / factor)
      own[t - first] = (Double(q.count) * TransformTrial.roughBits(Double(cost) / 256 / Double(q.count)), s / Double(box.count * layout.components))
    }
    var numbers = [Double](repeating: 0, count: 2 * total)
    for i in layout.mine { (numbers[i], numbers[total + i]) = own[i - first] }
    let all = try ranks.allReduce(numbers, .sum)
    return (Array(all[..<total]), Array(all[total...]))
  }

  /// Streams and decoded values of the chosen tiles.
  ///
  /// - Collective: all ranks.
  private func part(
    _ codec: AutoencoderCodec, _ inputs: Slots<[Float]>, _ member: FieldCoding.Member, _ chosen: [Bool], factor: Double, ranks: borrowing Communicator
  ) throws -> PartedTiles {
    let first = layout.mine.lowerBound, mine = layout.mine.filter { chosen[$0] }, latents = LatentCoding(codec.model, factor: factor)
    var normalisation = codec.normalisation
    normalisation.offsets = normalisation.offsets.map { $0 - offset }
    let moved = AutoencoderCodec(codec.model, normalisation, encodes: false)
    let tiles = Slots<(q: [Int32], numbers: [Int], symbols: Symbols)?>(mine.count, nil)
    parallelFor(mine.count, threads: threads) { i in
      let patches = codec.patches(of: layout.tiles.box(mine[i])), (q, numbers) = codec.rounded(inputs[mine[i] - first], factor: factor, deadZone: 0)
      let s = Symbols(capacity: latents.capacity(patches))
      s.count = latents.symbols(q, patches, classes: s.classes, values: s.values)
      tiles[i] = (q, numbers, s)
    }
    var histogram = [UInt32](repeating: 0, count: histogramSize), sum = LatentSums()
    for t in tiles.array {
      t!.symbols.add(to: &histogram)
      sum.add(LatentSums(numbers: t!.numbers))
    }
    let tables = ClassTables(histogram: try reducedHistogram(histogram, ranks: ranks), sampled: false), shifts = LatentSums(numbers: try ranks.allReduce(sum.numbers, .sum)).shifts
    let coded = Slots<([UInt8], [RawArray])>(mine.count, ([], [])), failures = Slots<(any Error)?>(mine.count, nil)
    parallelFor(mine.count, threads: threads) { i in
      let box = layout.tiles.box(mine[i]), payload = tiles[i]!.symbols.encode(tables)
      coded[i] = (payload, moved.values(tiles[i]!.q, box, type: workType, factor: factor, shifts: shifts))
      if check, (try? decodeLatents(payload, latents, codec.patches(of: box), tables)) != tiles[i]!.q { failures[i] = CompressorError.notReproduced(stream: mine[i] * layout.components) }
    }
    try ranks.agree { for e in failures.array { if let e { throw e } } }
    let cells = chosen.indices.reduce(0) { $0 + (chosen[$1] ? 0 : layout.tiles.box($1).count) }
    return PartedTiles(
      member: member, chosen: chosen, hash: codec.model.hash,
      header: PatchTiles(factor: factor, shifts: shifts, settings: normalisation.serialised, tables: tables.serialised, chosen: chosen),
      left: Double(cells) / Double(layout.grid.count), payloads: Dictionary(uniqueKeysWithValues: mine.indices.map { (mine[$0], coded[$0].0) }),
      values: Dictionary(uniqueKeysWithValues: mine.indices.map { (mine[$0], coded[$0].1) }))
  }
}
