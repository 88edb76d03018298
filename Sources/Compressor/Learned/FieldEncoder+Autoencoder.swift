import CKernels
import Codecs
import Fields
import Glibc
import MPI
import Reduction
import Statistics

extension FieldEncoder {
  /// The field by each of the autoencoders that suit it, or as `others` code it, whichever is best; the autoencoders alone where they are forced.
  ///
  /// - Collective: all ranks.
  func withAutoencoders(_ coding: FieldCoding, ranks: borrowing Communicator, others: () throws -> EncodedField) throws -> EncodedField {
    let suits = history == nil && shaping == nil && !target.logarithmic && special == nil
    let models = suits ? autoencoders.filter { $0.shape.suits(layout.grid, components: layout.components) } : []
    var best = forced == .autoencoder ? nil : try others()
    var values = models.isEmpty || best == nil ? nil : decoded?.array
    for m in models {
      let (codec, inputs) = try prepared(m, ranks: ranks)
      func take(_ e: EncodedField?) {
        guard let e else { return }
        let better = best.map { b in
          if target.rate != nil, let r = e.rmse, let s = b.rmse { return r < s }
          return storedBytes(e) < storedBytes(b) && (target.pointwise != nil || target.rmse.map { (e.rmse ?? .infinity) <= $0 } ?? true)
        } ?? true
        if better { (best, values, spectral) = (e, decoded?.array, nil) }
      }
      take(try runAutoencoder(codec, inputs, coding, ranks: ranks))
      if forced == nil { take(try runParted(codec, inputs, coding, ranks: ranks)) }
    }
    guard let best else {
      throw Failure(.usage, models.isEmpty
        ? "--codec autoencoder: no --model holds one that \(source.name) suits (no missing values, no logarithms, no --temporal)"
        : "--codec autoencoder: no model reaches --\(target.bound.kind) on \(source.name)")
    }
    if let values { for (i, v) in values.enumerated() { decoded![i] = v } }
    return best
  }

  /// Tiles whose error tells the factor on the steps.
  private static let sampledValues = 1 << 19
  /// Factors below this leave nothing to an autoencoder: what it loses anyway is more.
  static let leastFactor = 0x1p-12

  /// A model for the field at hand, and what its latents are made of in each of this rank's tiles.
  ///
  /// - Collective: all ranks.
  private func prepared(_ model: Autoencoder, ranks: borrowing Communicator) throws -> (AutoencoderCodec, Slots<[Float]>) {
    let normalisation = try phases.measure("survey") { try patchNormalisation(model.shape.normalisation, ranks: ranks) }
    let codec = AutoencoderCodec(model, normalisation, encodes: true), first = layout.mine.lowerBound, inputs = Slots<[Float]>(layout.mine.count, [])
    try phases.measure("transform") {
      try forEachTile(ranks: ranks) { t, original in inputs[t - first] = codec.input(original, layout.tiles.box(t)) }
    }
    return (codec, inputs)
  }

  /// Passes until the target is met; `nil` where it cannot be.
  ///
  /// - Collective: all ranks.
  private func runAutoencoder(_ codec: AutoencoderCodec, _ inputs: Slots<[Float]>, _ start: FieldCoding, ranks: borrowing Communicator) throws -> EncodedField? {
    let total = layout.tiles.count, cells = max(1, layout.grid.count / total * layout.components)
    let count = min(total, max(4, FieldEncoder.sampledValues / cells)), sample = Set((0..<count).map { (2 * $0 + 1) * total / (2 * count) })
    var kept: [(tile: Int, values: [RawArray])] = []
    try forEachTile(ranks: ranks, among: sample) { t, original in
      kept.append((t, original.map { a in
        let own = RawArray(box: layout.tiles.box(t), type: source.type)
        own.copy(own.box, from: a)
        return own
      }))
    }
    kept.sort { $0.tile < $1.tile }
    var factor = 1.0, deadZone = 0.0
    if let wanted = target.rmse {
      var found = (step: 1.0, error: 0.0, slope: 1.0)
      try phases.measure("step") {
        // Once more where the zero bin is to be wider.
        for _ in 0..<2 {
          var active = 1.0
          found = try solveStep(wanted: wanted * 0.999, start: found.step, slope: found.slope, tolerance: 0.005, limit: 8) { f in
            let e = try sampledError(codec, kept, inputs, factor: max(f, FieldEncoder.leastFactor), deadZone: deadZone, ranks: ranks)
            active = e.active
            return e.rmse
          }
          let wider = target.pointwise == nil && !codec.model.solvesCodes ? FieldEncoder.deadZone(active: active, of: survey.valid) : 0
          if wider == deadZone { break }
          deadZone = wider
        }
      }
      factor = found.step
      if factor <= FieldEncoder.leastFactor || target.pointwise == nil && found.error > 1.02 * wanted { return nil }
    }
    var aim = StepAim(target: target)
    while true {
      let encoded = try codeAutoencoded(start, codec, inputs, factor: factor, deadZone: deadZone, ranks: ranks)
      guard let next = aim.next(step: factor, result: encoded, streams: layout.streamCount) else {
        let done = decoded == nil ? aim.best ?? encoded : encoded
        return target.pointwise == nil && target.rmse.map { (done.rmse ?? .infinity) > $0 } ?? false ? nil : done
      }
      if next <= FieldEncoder.leastFactor { return nil }
      factor = next
    }
  }

  /// Offsets and scale, from sums that are exact for any cutting.
  ///
  /// - Collective: all ranks.
  func patchNormalisation(_ kind: Autoencoder.Normalisation, ranks: borrowing Communicator) throws -> PatchNormalisation {
    let parts = layout.components
    if kind == .none { return PatchNormalisation(scale: 1, offsets: [Double](repeating: 0, count: parts)) }
    let middle = survey.minimum + survey.range / 2
    var sums = [ExactSum](repeating: ExactSum(), count: 2 * parts)
    for c in 0..<parts { for a in source.arrays[c] {
      withUnsafeTemporaryAllocation(of: Double.self, capacity: 1 << 10) { v in
        for first in stride(from: 0, to: a.count, by: v.count) {
          let n = min(v.count, a.count - first), part = UnsafeBufferPointer(rebasing: v[..<n])
          if source.type == .float32 {
            let x = a.bound(to: Float.self) + first
            for i in 0..<n { v[i] = Double(x[i]) - middle }
          } else {
            let x = a.bound(to: Double.self) + first
            for i in 0..<n { v[i] = x[i] - middle }
          }
          sums[2 * c].add(contentsOf: part)
          sums[2 * c + 1].addSquares(of: part)
        }
      }
    } }
    let all = try reduce(sums, ranks: ranks), n = Double(layout.grid.count)
    let means = (0..<parts).map { all[2 * $0].value / n }
    let variance = (0..<parts).reduce(0) { $0 + max(0, all[2 * $1 + 1].value / n - means[$1] * means[$1]) } / Double(parts)
    let scale = kind == .range ? survey.range : variance.squareRoot()
    return PatchNormalisation(scale: scale > 0 ? scale : 1, offsets: means.map { middle + $0 })
  }

  /// Values of this rank's tiles as given, one array per component that holds the tile.
  ///
  /// - Parameter among: only these; `nil`: all.
  /// - Collective: all ranks.
  func forEachTile(ranks: borrowing Communicator, among: Set<Int>? = nil, _ body: (Int, [RawArray]) throws -> Void) throws {
    try layout.forEachRegion(have: source.boxes, arrays: source.arrays, elementSize: source.type.size, halo: 0, ranks: ranks) { region, arrays in
      let tiles = region.tiles.filter { among?.contains($0) ?? true }, failures = Slots<(any Error)?>(tiles.count, nil)
      // In order where results are gathered.
      parallelFor(tiles.count, threads: among == nil ? threads : 1) { i in
        do { try body(tiles[i], arrays) } catch { failures[i] = error }
      }
      for i in tiles.indices { if let e = failures[i] { throw e } }
    }
  }

  /// Root mean square error of some tiles at a factor, and the share of latents that are not zero.
  ///
  /// - Collective: all ranks.
  private func sampledError(_ codec: AutoencoderCodec, _ sample: [(tile: Int, values: [RawArray])], _ inputs: Slots<[Float]>, factor: Double, deadZone: Double, ranks: borrowing Communicator)
    throws -> (rmse: Double, active: Double) {
    let squares = Slots<Double>(sample.count, 0), counts = Slots<[Int]>(sample.count, [0, 0, 0]), first = layout.mine.lowerBound
    parallelFor(sample.count, threads: threads) { i in
      let box = layout.tiles.box(sample[i].tile), (q, numbers) = codec.rounded(inputs[sample[i].tile - first], factor: factor, deadZone: deadZone)
      let sums = LatentSums(numbers: numbers), again = codec.values(q, box, type: .float64, factor: factor, shifts: sums.shifts)
      for (a, b) in zip(again, sample[i].values) {
        let x = a.bound(to: Double.self)
        squares[i] = source.type == .float32 ? ald_squares_f32(squares[i], x, b.bound(to: Float.self), a.count) : ald_squares_f64(squares[i], x, b.bound(to: Double.self), a.count)
      }
      counts[i] = [sums.count, q.count, box.count]
    }
    var sum = ExactSum()
    for s in squares.array { sum.add(s) }
    let n = try ranks.allReduce(counts.array.reduce([0, 0, 0]) { zip($0, $1).map(+) }, .sum), total = try reduce([sum], ranks: ranks)[0].value
    return ((total / Double(max(1, n[2] * layout.components))).squareRoot(), Double(n[0]) / Double(max(1, n[1])))
  }

  /// One complete pass.
  ///
  /// - Collective: all ranks.
  private func codeAutoencoded(_ start: FieldCoding, _ codec: AutoencoderCodec, _ inputs: Slots<[Float]>, factor: Double, deadZone: Double, ranks: borrowing Communicator) throws -> EncodedField {
    let first = layout.mine.lowerBound, parts = layout.components, latents = LatentCoding(codec.model, factor: factor)
    let quantised = Slots<[Int32]>(layout.mine.count, []), symbols = Slots<Symbols?>(layout.mine.count, nil), sums = Slots<LatentSums>(layout.mine.count, LatentSums())
    phases.measure("transform") {
      parallelFor(layout.mine.count, threads: threads) { i in
        let patches = codec.patches(of: layout.tiles.box(first + i)), (q, numbers) = codec.rounded(inputs[i], factor: factor, deadZone: deadZone)
        (quantised[i], sums[i]) = (q, LatentSums(numbers: numbers))
        let s = Symbols(capacity: latents.capacity(patches))
        s.count = latents.symbols(quantised[i], patches, classes: s.classes, values: s.values)
        symbols[i] = s
      }
    }
    var histogram = [UInt32](repeating: 0, count: histogramSize), sum = LatentSums()
    for i in 0..<layout.mine.count {
      symbols[i]!.add(to: &histogram)
      sum.add(sums[i])
    }
    let tables = try phases.measure("fit") { ClassTables(histogram: try reducedHistogram(histogram, ranks: ranks), sampled: false) }
    let shifts = LatentSums(numbers: try ranks.allReduce(sum.numbers, .sum)).shifts
    var coding = start
    coding.member = .autoencoder
    coding.workType = workType
    coding.network = .stored(hash: codec.model.hash)
    coding.step = factor
    coding.shifts = shifts
    coding.settings = codec.normalisation.serialised
    coding.tables = tables.serialised
    let payloads = Slots<[UInt8]>(layout.mine.count, []), streams = Slots<[UInt8]>(layout.units.count, []), failures = Slots<(any Error)?>(layout.mine.count, nil)
    phases.measure("entropy") {
      parallelFor(layout.mine.count, threads: threads) { i in
        payloads[i] = symbols[i]!.encode(tables)
        symbols[i] = nil
        guard check else { return }
        let again = try? decodeLatents(payloads[i], latents, codec.patches(of: layout.tiles.box(first + i)), tables)
        if again != quantised[i] { failures[i] = CompressorError.notReproduced(stream: (first + i) * parts) }
      }
    }
    for e in failures.array { if let e { throw e } }
    let none = emptyStatistics(), statistics = Slots<ErrorStatistics>(layout.units.count, none)
    try phases.measure("verify") {
      try forEachTile(ranks: ranks) { t, original in
        let i = t - first, again = codec.values(quantised[i], layout.tiles.box(t), type: workType, factor: factor, shifts: shifts)
        for c in 0..<parts {
          let u = try makeUnit(t * parts + c, from: original[c])
          u.decoded = again[c]
          var s = none
          finish(u, statistics: &s)
          if c == 0 { u.stream.payload = payloads[i] }
          statistics[i * parts + c] = s
          streams[i * parts + c] = u.stream.bytes
        }
      }
    }
    var merged = [ErrorStatistics](repeating: none, count: parts)
    for i in 0..<layout.units.count { merged[i % parts].merge(statistics[i]) }
    return try conclude(coding, streams: streams.array, statistics: merged, ranks: ranks)
  }
}

/// How far magnitudes 1, 2 and above lie below their integers on average, in integers: the same sums in any order.
struct LatentSums {
  /// Counts, then differences in 2^-20.
  private(set) var numbers = [Int](repeating: 0, count: 6)
  init() {}
  init(numbers: [Int]) { self.numbers = numbers }
  /// Latents that are not zero.
  var count: Int { numbers[0] + numbers[1] + numbers[2] }
  mutating func add(_ o: LatentSums) { for i in numbers.indices { numbers[i] += o.numbers[i] } }
  /// In 1/256.
  var shifts: [UInt8] { (0..<3).map { k in numbers[k] == 0 ? 0 : UInt8(max(0, min(127, numbers[3 + k] >> 12 / numbers[k]))) } }
}

/// Integers of a tile from its payload.
///
/// - Throws: `StreamError` for bytes the encoder did not write.
func decodeLatents(_ payload: [UInt8], _ latents: LatentCoding, _ patches: Index3, _ tables: ClassTables) throws -> [Int32] {
  var q = [Int32](repeating: 0, count: patches.product * latents.latents)
  try payload.withUnsafeBufferPointer { bytes in
    var d = ald_decoder()
    guard ald_decoder_open(&d, tables.pointer, bytes.baseAddress, bytes.count) == 0 else { throw StreamError(.truncated, offset: 0) }
    try q.withUnsafeMutableBufferPointer { try latents.decode(&d, patches, into: $0.baseAddress!) }
    guard ald_decoder_close(&d) == 0 else { throw StreamError(.invalid, offset: bytes.count) }
  }
  return q
}
