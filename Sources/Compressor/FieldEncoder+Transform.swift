import CKernels
import Codecs
import Decomposition
import Fields
import Glibc
import MPI
import Statistics

extension FieldEncoder {
  /// - Returns: `nil` where there are references and prediction from them does not pay.
  /// - Collective: all ranks.
  func runTransform(_ start: FieldCoding, _ trial: BankTrial, ranks: borrowing Communicator) throws -> EncodedField? {
    let member = parted?.member ?? trial.member
    var transform = member.transform(layout.grid)!
    if let parted { transform = PartedTransform(transform as! LappedOrthogonalTransform, layout.tiles, others: parted.chosen) }
    let shapes = BandShapes(member, grid: layout.grid, weights: shaping?.weights)
    let sampled = trial.sampled, judged = trial.judgedTiles
    // Aimed 0.006 dB too well, so that a second pass is rare.
    var step = trial.step * (shaping?.stepRatio ?? 1), correction = 0.9993 * (correcting == nil ? 1 : FieldEncoder.expectedGain)
    // Coefficients of tiles that are another's are 0.
    if let parted { correction *= parted.left.squareRoot() }
    if let fixed = shaping?.fixed {
      let coefficients = try analyse(transform, ranks: ranks)
      return try codeTransformed(
        start, transform, shapes, coefficients, nil, quantiser(step: fixed.step, shifts: fixed.shifts), fixed.shifts, sampled: sampled, judged: judged, ranks: ranks)
    }
    var target = self.target
    if let share = shaping?.aim { target.rmse = target.rmse.map { $0 * share } }
    var aim = StepAim(target: target), prediction: FieldPrediction?
    var deadZone: Double?, recorded: FieldHistory.Step?
    while true {
      let coefficients = try analyse(transform, ranks: ranks)
      if let prediction {
        phases.measure("predict") {
          parallelFor(coefficients.count, threads: threads) { i in prediction.subtract(from: coefficients[i], i, component: i % layout.components) }
        }
      } else if !references.isEmpty {
        let sample = coefficients.indices.filter { judged.contains(layout.units.lowerBound + $0) }
        prediction = try predict(coefficients, shapes, step: step, sample: sample, ranks: ranks)
        if prediction == nil { return nil }
      }
      var error: QuantiserError?
      if let wanted = target.rmse {
        // The sample has brought the step near; each pass over all coefficients moves it by the local slope, which leaves about a
        // twentieth of the miss (eight fields, 40 to 100 dB): of 2 % no more than the aim's window.
        try phases.measure("step") {
          for _ in 0..<5 {
            let e = try quantiserError(coefficients, step, deadZone ?? 0, ranks: ranks)
            error = e
            let y = log(e.meanSquare.squareRoot() / (wanted * correction))
            step *= exp(-min(max(y / trial.slope, -2), 2))
            if deadZone == nil {
              deadZone = shaping == nil && target.pointwise == nil ? FieldEncoder.deadZone(active: e.active, of: survey.valid) : 0
              if deadZone! > 0 { continue }
            }
            if abs(y) < 0.02 { break }
          }
        }
      }
      // Shifts change little with the step.
      let shifts = try error?.shifts ?? quantiserError(coefficients, step, deadZone ?? 0, ranks: ranks).shifts
      let k = quantiser(step: step, shifts: shifts, deadZone: deadZone ?? 0)
      let encoded = try codeTransformed(start, transform, shapes, coefficients, prediction, k, shifts, sampled: sampled, judged: judged, ranks: ranks)
      let next = aim.next(step: step, result: encoded, streams: layout.streamCount)
      if aim.best?.coding.step == encoded.coding.step { recorded = history?.pending }
      guard let next else {
        // Decoded values are those of the last pass.
        guard decoded == nil, let best = aim.best else { return encoded }
        history?.pending = recorded
        return best
      }
      if target.rmse != nil { correction *= next / step } else { step = next }
    }
  }

  /// How much wider the zero bin is made, in steps, where this share of the coefficients is not zero and no bound is pointwise.
  ///
  /// Source: best of 0 to 0.18 on eight fields at 40 to 80 dB; 1 to 4 % of the bytes below a tenth, at most 0.7 % above, where it would cost the law
  /// of observables, which takes errors as alike in all bands, 20 %. Of a few coefficients each shows in the error, which then is too ragged for it.
  static func deadZone(active: Double, of count: Int) -> Double {
    active < 0.1 && active * Double(count) >= 64 ? 0.12 * (1 - active) * (1 - active) : 0
  }

  /// - Collective: all ranks.
  private func quantiserError(
    _ coefficients: [RawArray], _ step: Double, _ deadZone: Double, ranks: borrowing Communicator
  ) throws -> QuantiserError {
    guard let shaping, let scaler = shaping.weighted else {
      return try QuantiserError(coefficients, step: step, deadZone: deadZone, threads: threads, ranks: ranks)
    }
    return try QuantiserError(weighted: coefficients, by: scaler, components: layout.components, step: step, threads: threads, ranks: ranks)
  }

  /// Coefficients of this rank's streams, tile by tile, times the factors of their bands.
  ///
  /// - Collective: all ranks.
  func analyse(_ transform: any HaloTransform, ranks: borrowing Communicator) throws -> [RawArray] {
    var out: [RawArray] = []
    try phases.measure("transform") {
      let wide = layout.regions.map { $0.box.dilated(by: transform.analysisHalo, in: layout.grid) }
      let given = try Surroundings(
        have: source.boxes, arrays: source.arrays, elementSize: source.type.size, wanted: wide, grid: layout.grid, ranks: ranks)
      func analyse(_ round: Int?) throws {
        var parts: [[RawArray]] = []
        try given.forEachComponent(of: round.map { wide[$0] }, ranks: ranks) { _, cells in
          let region = layout.regions[round!]
          parts.append(region.tiles.map { RawArray(box: layout.tiles.box($0), type: workType) })
          let input = plain ? cells : Mosaic(workRegion(cells.cells(of: wide[round!])))
          transform.analyse(input, core: region.box, into: parts[parts.count - 1])
        }
        if round != nil { for t in parts[0].indices { for c in parts { out.append(c[t]) } } }
      }
      if background?.isAskedOften ?? false { try forEachRound(of: [given], ranks: ranks, analyse) } else {
        for round in 0..<layout.rounds { try analyse(round < layout.regions.count ? round : nil) }
      }
      HostHeap.trim()
      if let scaler = shaping?.scaler {
        let change = shaping?.change
        parallelFor(out.count, threads: threads) { i in
          if let change { add(change[i], to: out[i]) }
          if shaping?.weights != nil { scaler.multiply(out[i], component: i % layout.components) }
        }
      }
    }
    return out
  }

  /// a += change, of doubles, rounded to the type of `a`.
  private func add(_ change: RawArray, to a: RawArray) {
    let d = change.bound(to: Double.self)
    if a.elementSize == 4 {
      let v = a.bound(to: Float.self)
      for i in 0..<a.count where d[i] != 0 { v[i] = Float(Double(v[i]) + d[i]) }
    } else {
      let v = a.bound(to: Double.self)
      for i in 0..<a.count { v[i] += d[i] }
    }
  }

  /// One complete pass; `coefficients` hold the locally synthesised decoded values afterwards.
  ///
  /// - Collective: all ranks.
  private func codeTransformed(
    _ start: FieldCoding, _ transform: any HaloTransform, _ shapes: BandShapes, _ coefficients: [RawArray], _ prediction: FieldPrediction?,
    _ k: ald_quantiser, _ shifts: [UInt8],
    sampled: Set<Int>, judged: Set<Int>, ranks: borrowing Communicator
  ) throws -> EncodedField {
    var coding = start
    let step = k.step
    coding.member = shapes.member
    coding.step = step
    coding.offset = offset
    coding.weights = shaping?.weights
    coding.refinement = shaping?.refinement
    coding.prediction = prediction?.block
    if let parted { (coding.network, coding.patches) = (.stored(hash: parted.hash), parted.header) }
    let first = layout.units.lowerBound
    let own = coefficients.indices.filter { sampled.contains(first + $0) }
    coding.shifts = shifts
    // Integers of the counted tiles: all of a held field, else the sample.
    let counted = held ? Array(coefficients.indices) : own
    // Many fields may be under way beside the caller: their integers are made once more rather than kept.
    let keeps = held && background == nil
    let quantised = Slots<RawArray?>(counted.count, nil), refined = Slots<RefinedTile?>(coefficients.count, nil)
    if let shaping, let refinement = shaping.refinement {
      for i in coefficients.indices { refined[i] = RefinedTile(refinement, shaping.scaler, box: coefficients[i].box, component: i % layout.components) }
    }
    func integers(_ i: Int) -> RawArray {
      let q = quantise(coefficients[i], k)
      refined[i]?.quantise(coefficients[i], step: step, into: q)
      return q
    }
    let model = try phases.measure("fit") {
      let fitted = counted.indices.filter { j in parted.map { !$0.chosen[layout.tile(of: first + counted[j])] } ?? judged.contains(first + counted[j]) }
      parallelFor(fitted.count, threads: threads) { j in quantised[fitted[j]] = integers(counted[fitted[j]]) }
      let part = fitted.map { (q: quantised[$0]!, component: counted[$0] % layout.components) }
      return try shapes.fit(part, fixed: shapes.model(of: part, ranks: ranks), values: survey.valid, threads: threads, ranks: ranks)
    }
    coding.model = model.serialised
    let symbols = Slots<(Symbols, [UInt8])?>(counted.count, nil)
    var histogram = [UInt32](repeating: 0, count: histogramSize)
    func count() {
      let lanes = max(1, min(threads, counted.count)), sums = Slots<[UInt32]>(lanes, histogram)
      parallelFor(lanes, threads: lanes) { lane in
        for i in stride(from: lane, to: counted.count, by: lanes) {
          let q = quantised[i] ?? integers(counted[i])
          let (s, side, band) = shapes.symbols(q, component: counted[i] % layout.components, model)
          s.add(to: &sums[lane])
          quantised[i] = keeps ? q : nil
          if keeps { symbols[i] = (s, side.serialised(for: band)) }
        }
      }
      for h in sums.array { for i in h.indices { histogram[i] += h[i] } }
    }
    try phases.measure("transform") { if background?.isAskedOften ?? false { try compute(ranks: ranks, count) } else { count() } }
    let tables = try phases.measure("fit") {
      ClassTables(histogram: try reducedHistogram(histogram, ranks: ranks), sampled: !held)
    }
    coding.tables = tables.serialised
    let reconstruct = check || parted != nil || target.pointwise != nil || decoded != nil || correcting != nil
    let kept = Slots<RawArray?>(history == nil ? 0 : coefficients.count, nil)
    let streams = Slots<TileStream>(coefficients.count, TileStream()), failures = Slots<(any Error)?>(coefficients.count, nil)
    try phases.measure("entropy") {
      try compute(ranks: ranks) {
        parallelFor(coefficients.count, threads: threads) { i in
          let tile = layout.tile(of: first + i), component = layout.component(of: first + i)
          if let parted, let values = parted.values[tile] {
            coefficients[i].copy(coefficients[i].box, from: values[component])
            if component == 0 { streams[i].payload = parted.payloads[tile]! }
            return
          }
          let q = keeps ? quantised[i]! : integers(i)
          let (s, side): (Symbols, [UInt8])
          if keeps { (s, side) = symbols[i]! } else {
            let r = shapes.symbols(q, component: i % layout.components, model)
            (s, side) = (r.0, r.1.serialised(for: r.2))
          }
          var stream = TileStream()
          stream.side = (refined[i]?.bytes ?? []) + side
          stream.payload = s.encode(tables)
          streams[i] = stream
          // Each is needed once more at most: by the check.
          if keeps { quantised[i] = nil; symbols[i] = nil }
          if check {
            do {
              let again = RawArray(box: q.box, elementSize: 4)
              var fine = refined[i]
              try decodeBands(stream, component: i % layout.components, shapes, model, tables, refined: &fine, into: again)
              guard sameBits(again, q, nil) else { throw CompressorError.notReproduced(stream: first + i) }
            } catch is StreamError { failures[i] = CompressorError.notReproduced(stream: first + i) } catch { failures[i] = error }
          }
          if reconstruct || history != nil {
            dequantise(q, k, into: coefficients[i])
            refined[i]?.dequantise(step: step, into: coefficients[i])
            if let shaping, shaping.weights != nil { shaping.scaler.divide(coefficients[i], component: i % layout.components) }
            prediction?.add(to: coefficients[i], i, component: i % layout.components)
            if history != nil { kept[i] = coefficients[i].duplicate }
            transform.synthesiseInside(coefficients[i], core: q.box)
          }
        }
        for i in coefficients.indices { if let e = failures[i] { throw e } }
      }
    }
    let emptyStats = emptyStatistics()
    var statistics = [ErrorStatistics](repeating: emptyStats, count: layout.components)
    if reconstruct {
      try phases.measure("verify") {
        func take(_ region: Region, _ decoded: [RawArray], _ original: [RawArray]) throws {
          let units = region.tiles.flatMap { t in (0..<layout.components).map { t * layout.components + $0 } }
          for part in try finishUnits(units, decoded, original, streams, first) {
            for c in part.indices { statistics[c].merge(part[c]) }
          }
        }
        if let correcting {
          coding.network = try forEachCorrectedRegion(correcting, transform, coefficients, unit: step, streams, ranks: ranks, take)
        } else { try forEachDecodedRegion(layout, transform, coefficients, ranks: ranks, take) }
      }
    }
    if history != nil { record(coding, kept.array.map { $0! }) }
    // One copy at a time: what is packed is let go.
    let packed = (0..<streams.count).map { i in
      defer { streams[i] = TileStream() }
      return streams[i].bytes
    }
    return try conclude(coding, streams: packed, statistics: statistics, ranks: ranks)
  }

  /// - Returns: by thread, the statistics of each component.
  private func finishUnits(
    _ units: [Int], _ decodedRegion: [RawArray], _ original: [RawArray], _ streams: Slots<TileStream>, _ first: Int
  ) throws -> [[ErrorStatistics]] {
    let lanes = max(1, min(threads, units.count))
    let parts = Slots<[ErrorStatistics]>(lanes, [ErrorStatistics](repeating: emptyStatistics(), count: layout.components))
    let failures = Slots<(any Error)?>(lanes, nil)
    parallelFor(lanes, threads: lanes) { lane in
      var statistics = parts[lane]
      do {
        for j in stride(from: lane, to: units.count, by: lanes) {
          let c = layout.component(of: units[j])
          try finishUnit(units[j], decodedRegion[c], original[c], streams, first, &statistics[c])
        }
      } catch { failures[lane] = error }
      parts[lane] = statistics
    }
    for e in failures.array { if let e { throw e } }
    return parts.array
  }

  private func finishUnit(
    _ unit: Int, _ decodedRegion: RawArray, _ original: RawArray, _ streams: Slots<TileStream>, _ first: Int, _ statistics: inout ErrorStatistics
  ) throws {
    if plain && target.pointwise == nil {
      statistics.add(tile: layout.box(of: unit), original: original, decoded: decodedRegion, type: source.type)
      if let decoded = self.decoded {
        let values = RawArray(box: layout.box(of: unit), type: source.type)
        values.copy(values.box, from: decodedRegion)
        decoded[unit - first] = values
      }
      return
    }
    let u = try makeUnit(unit, from: original)
    let d = RawArray(box: u.box, type: workType)
    d.copy(d.box, from: decodedRegion)
    u.decoded = d
    u.offset = offset
    finish(u, statistics: &statistics)
    streams[unit - first].outliers = u.stream.outliers
    streams[unit - first].signs = u.stream.signs
  }

  /// Second half of the synthesis, region by region, beside the original values.
  ///
  /// - Collective: all ranks.
  func forEachDecodedRegion(
    _ layout: TileLayout, _ transform: any HaloTransform, _ staged: [RawArray], ranks: borrowing Communicator,
    _ body: (Region, _ decoded: [RawArray], _ original: [RawArray]) throws -> Void
  ) throws {
    let boxes = layout.regions.map(\.box)
    let parts = (0..<layout.components).map { c in stride(from: c, to: staged.count, by: layout.components).map { staged[$0] } }
    let coefficients = try Surroundings(
      have: layout.mine.map { layout.tiles.box($0) }, arrays: parts, elementSize: workType.size,
      wanted: boxes.map { transform.synthesisInput(for: $0) }, grid: layout.grid, ranks: ranks)
    let given = try Surroundings(
      have: source.boxes, arrays: source.arrays, elementSize: source.type.size, wanted: boxes, grid: layout.grid, ranks: ranks)
    try forEachRound(of: [coefficients, given], ranks: ranks) { round in
      let box = round.map { boxes[$0] }
      var decoded: [RawArray] = [], original: [RawArray] = []
      try coefficients.forEachComponent(of: box.map { transform.synthesisInput(for: $0) }, ranks: ranks) { _, cells in
        let out = RawArray(box: box!, type: workType)
        transform.synthesise(cells, core: box!, into: out)
        decoded.append(out)
      }
      try given.forEachComponent(of: box, ranks: ranks) { _, cells in original.append(cells.array(holding: box!)) }
      if let round { try body(layout.regions[round], decoded, original) }
    }
  }
}

/// Quantised integers of a tile from its stream, and the further bits of `refined`.
func decodeBands(
  _ stream: TileStream, component: Int, _ shapes: BandShapes, _ model: BandModel, _ tables: ClassTables, refined: inout RefinedTile?, into q: RawArray
) throws {
  let layout = try shapes.layout(q.box, component: component)
  let further = refined?.byteCount ?? 0
  guard stream.side.count >= further else { throw StreamError(.truncated, offset: 0) }
  let side = try BandSide(serialised: Array(stream.side[further...]), for: layout)
  defer { if further > 0 { refined!.read(stream.side[..<further], q) } }
  let p = q.bound(to: Int32.self)
  if layout.codedCount(side) == 0 {
    guard stream.payload.isEmpty else { throw StreamError(.invalid, offset: 0) }
    for i in 0..<q.count { p[i] = 0 }
    return
  }
  try stream.payload.withUnsafeBufferPointer { bytes in
    var d = ald_decoder()
    guard ald_decoder_open(&d, tables.pointer, bytes.baseAddress, bytes.count) == 0 else { throw StreamError(.truncated, offset: 0) }
    layout.decode(&d, side: side, model: model, into: p)
    guard ald_decoder_close(&d) == 0 else { throw StreamError(.invalid, offset: bytes.count) }
  }
}
