import Codecs
import Decomposition
import Fields
import Glibc
import MPI

/// What corrects the decoded values of a transform.
enum Corrector {
  /// A network from a model file.
  case network(Network)
  /// A linear filter of 3^d cells over all components, fitted to the step at hand and stored with it.
  case filter
}

extension FieldEncoder {
  /// Where the steps of a corrected field are first tried: how much larger its error may be before the correction.
  static let expectedGain = 1.2
  /// Tiles that a filter is fitted to, and about how many cells of each.
  private static let fittedTiles = 16, fittedCells = 1 << 12

  /// The field by a transform without and with each of the corrections, whichever is best.
  ///
  /// - Collective: all ranks.
  func runCorrected(ranks: borrowing Communicator, _ run: () throws -> EncodedField) throws -> EncodedField {
    defer { correcting = nil }
    // Steps by band are for the decoder that equal steps chose: a choice that changed from pass to pass could not be aimed at.
    if shaping != nil || alwaysCorrects {
      correcting = alwaysCorrects ? correctors.first : settled
      return try run()
    }
    settled = nil
    var best = try run()
    guard history == nil, !target.logarithmic, special == nil else { return best }
    var values = correctors.isEmpty ? nil : decoded?.array
    for c in correctors where suits(c) {
      correcting = c
      let e = try run()
      let better = if target.rate != nil, let a = e.rmse, let b = best.rmse { a < b } else {
        storedBytes(e) < storedBytes(best) && (target.pointwise != nil || target.rmse.map { (e.rmse ?? .infinity) <= $0 } ?? true)
      }
      if better { (best, values, settled) = (e, decoded?.array, c) }
    }
    if let values { for (i, v) in values.enumerated() { decoded![i] = v } }
    return best
  }

  private func suits(_ c: Corrector) -> Bool {
    switch c {
    case .network(let n): n.shape.suits(layout.grid, components: layout.components)
    case .filter: filterShape.suits(layout.grid, components: layout.components)
    }
  }
  private var filterShape: Network.Shape {
    .init(components: min(layout.components, 16), dimensions: layout.grid.shape.z > 1 ? 3 : 2, patch: 1, width: 0, blocks: 0)
  }

  /// As `forEachDecodedRegion`, with the values of those tiles corrected of which that lessens the squared error; the streams say which.
  ///
  /// - Parameter unit: the step.
  /// - Returns: What the header is to say.
  /// - Collective: all ranks.
  func forEachCorrectedRegion(
    _ corrector: Corrector, _ transform: any HaloTransform, _ staged: [RawArray], unit: Double, _ streams: Slots<TileStream>, ranks: borrowing Communicator,
    _ body: (Region, _ decoded: [RawArray], _ original: [RawArray]) throws -> Void
  ) throws -> NetworkReference {
    let first = layout.mine.lowerBound, parts = layout.components
    var cells = [RawArray?](repeating: nil, count: layout.mine.count * parts), errors = cells
    try forEachDecodedRegion(layout, transform, staged, ranks: ranks) { region, decoded, original in
      for t in region.tiles { for c in 0..<parts {
        let w = RawArray(box: layout.tiles.box(t), type: workType)
        w.copy(w.box, from: decoded[c])
        cells[(t - first) * parts + c] = w
        errors[(t - first) * parts + c] = difference(original[c], w)
      } }
    }
    let network: Network, reference: NetworkReference
    let shape = { if case .network(let n) = corrector { n.shape } else { self.filterShape } }()
    let wide = layout.regions.map { $0.box.dilated(by: shape.reach, in: layout.grid) }
    let values = try Surroundings(
      have: layout.mine.map { layout.tiles.box($0) }, arrays: (0..<parts).map { c in stride(from: c, to: cells.count, by: parts).map { cells[$0]! } },
      elementSize: workType.size, wanted: wide, grid: layout.grid, ranks: ranks)
    func forEachRegion(_ work: (Region, [RawArray]) -> Void) throws {
      for round in 0..<layout.rounds {
        let here = round < layout.regions.count
        var surroundings: [RawArray] = []
        try values.forEachComponent(of: here ? wide[round] : nil, ranks: ranks) { _, m in surroundings.append(m.cells(of: wide[round])) }
        if here { work(layout.regions[round], surroundings) }
      }
    }
    switch corrector {
    case .network(let n): (network, reference) = (n, .stored(hash: n.hash))
    case .filter:
      network = try fittedFilter(errors, unit: unit, ranks: ranks) { body in try forEachRegion { body($0, $1) } }
      reference = .inline(network)
    }
    let corrected = Slots<[RawArray]?>(layout.mine.count, nil)
    try forEachRegion { region, surroundings in
      let tiles = Array(region.tiles)
      parallelFor(tiles.count, threads: threads) { i in
        let t = tiles[i], at = (t - first) * parts
        let better = network.corrected(surroundings, core: layout.tiles.box(t), unit: unit)
        var before = 0.0, after = 0.0
        for c in 0..<parts {
          before += squares(errors[at + c]!)
          after += squares(sum(errors[at + c]!, cells[at + c]!, minus: better[c]))
        }
        if after < before { corrected[t - first] = better }
      }
    }
    for i in 0..<layout.mine.count { streams[i * parts].side.insert(corrected[i] == nil ? 0 : 1, at: 0) }
    let given = try Surroundings(
      have: source.boxes, arrays: source.arrays, elementSize: source.type.size, wanted: layout.regions.map(\.box), grid: layout.grid, ranks: ranks)
    var failure: (any Error)?
    for round in 0..<layout.rounds {
      let region = round < layout.regions.count ? layout.regions[round] : nil
      var original: [RawArray] = []
      try given.forEachComponent(of: region?.box, ranks: ranks) { _, m in original.append(m.array(holding: region!.box)) }
      guard let region, failure == nil else { continue }
      let decoded = (0..<parts).map { c in
        let out = RawArray(box: region.box, type: workType)
        for t in region.tiles {
          let v = corrected[t - first]?[c] ?? cells[(t - first) * parts + c]!
          out.copy(v.box, from: v)
        }
        return out
      }
      do { try body(region, decoded, original) } catch { failure = error }
    }
    try ranks.agree { if let failure { throw failure } }
    return reference
  }

  /// The filter that takes most of the errors of some tiles away. Their sums are added in the order of the tiles, whoever has them.
  ///
  /// - Collective: all ranks.
  private func fittedFilter(
    _ errors: [RawArray?], unit: Double, ranks: borrowing Communicator, _ forEachRegion: (_ body: (Region, [RawArray]) -> Void) throws -> Void
  ) throws -> Network {
    let shape = filterShape, total = layout.tiles.count, count = min(total, FieldEncoder.fittedTiles)
    let chosen = (0..<count).map { (2 * $0 + 1) * total / (2 * count) }
    let sums = Slots<[Double]?>(count, nil)
    try forEachRegion { region, surroundings in
      let mine = chosen.indices.filter { region.tiles.contains(chosen[$0]) }
      parallelFor(mine.count, threads: threads) { k in
        let t = chosen[mine[k]], at = (t - layout.mine.lowerBound) * layout.components, box = layout.tiles.box(t)
        var every = 1
        while box.count > FieldEncoder.fittedCells * (shape.dimensions == 3 ? every * every * every : every * every) { every += 1 }
        var fit = LinearFit(shape)
        fit.add(decoded: surroundings, error: (0..<layout.components).map { errors[at + $0]! }, core: box, unit: unit, stride: every)
        sums[mine[k]] = fit.sums
      }
    }
    let own = (0..<count).flatMap { i in sums[i].map { [Double(i)] + $0 } ?? [] }
    var all = [[Double]?](repeating: nil, count: count)
    let length = LinearFit(shape).sums.count + 1
    let numbers = try ranks.merged(own.withUnsafeBytes { Array($0) }) { $0 + $1 }.withUnsafeBytes { Array($0.bindMemory(to: Double.self)) }
    for at in stride(from: 0, to: numbers.count, by: length) { all[Int(numbers[at])] = Array(numbers[(at + 1)..<(at + length)]) }
    var fit = LinearFit(shape)
    for s in all { fit.add(s!) }
    return Network(shape, rounding: fit.solution()?.weights ?? [Float](repeating: 0, count: shape.parameterCount))
  }

  /// original - (decoded + offset), in the working type.
  private func difference(_ original: RawArray, _ decoded: RawArray) -> RawArray {
    let out = RawArray(box: decoded.box, type: workType), o = RawArray(box: decoded.box, type: source.type)
    o.copy(o.box, from: original)
    for i in 0..<out.count {
      let v = source.type == .float32 ? Double(o.bound(to: Float.self)[i]) : o.bound(to: Double.self)[i]
      if workType == .float32 { out.bound(to: Float.self)[i] = Float(v - offset - Double(decoded.bound(to: Float.self)[i])) } else {
        out.bound(to: Double.self)[i] = v - offset - decoded.bound(to: Double.self)[i]
      }
    }
    return out
  }
  /// error + decoded - corrected.
  private func sum(_ error: RawArray, _ decoded: RawArray, minus corrected: RawArray) -> RawArray {
    let out = RawArray(box: error.box, type: workType)
    if workType == .float32 {
      let e = error.bound(to: Float.self), d = decoded.bound(to: Float.self), c = corrected.bound(to: Float.self), o = out.bound(to: Float.self)
      for i in 0..<out.count { o[i] = e[i] + (d[i] - c[i]) }
    } else {
      let e = error.bound(to: Double.self), d = decoded.bound(to: Double.self), c = corrected.bound(to: Double.self), o = out.bound(to: Double.self)
      for i in 0..<out.count { o[i] = e[i] + (d[i] - c[i]) }
    }
    return out
  }
  private func squares(_ a: RawArray) -> Double {
    var s = 0.0
    for i in 0..<a.count { let v = workType == .float32 ? Double(a.bound(to: Float.self)[i]) : a.bound(to: Double.self)[i]; s += v * v }
    return s
  }
}
