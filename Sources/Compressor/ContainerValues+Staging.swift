import Codecs
import Decomposition
import Fields
import MPI
import SnapshotIO
import Statistics

/// What values are made from: streams, brought together with those around them.
extension ContainerValues {
  /// - Collective: all ranks.
  func stage(ranks: borrowing Communicator) throws {
    guard let transform = decoder.transform else { return }
    if let network { try stage(transform, network, ranks: ranks) } else { try stage(transform, ranks: ranks) }
  }

  func checkStreams(_ expected: Int, _ description: FieldDescription) throws {
    guard reader.streamCount(field: field, step: stepIndex) == expected else {
      throw SnapshotError(.badDirectory, file: reader.path, dataset: description.name, "holds \(reader.streamCount(field: field, step: stepIndex)) streams, \(expected) belong to its shape")
    }
  }

  /// - Collective: all ranks.
  func decodeSpectral(_ settings: SpectralSettings, _ d: FieldDescription, _ level: Int, ranks: borrowing Communicator) throws {
    let outliers = coding.bound != nil ? TileGrid(shape: d.grid.shape).count * components : 0
    let s = try SpectralDecoder(coding, settings, type: type, shape: d.grid.shape, level: level, threads: threads, ranks: ranks) {
      try checkStreams($0 + outliers, d)
    } read: {
      try reader.readStreams(field: field, step: stepIndex, $0)
    } named: { n, body in try corrupt(n.map { "\(context), chunk \($0)" } ?? context, body) }
    streamsBefore = s.chunkCount
    var grid = d.grid
    grid.shape = s.shape
    surroundings = try Surroundings(have: [s.rows], arrays: s.values.map { [$0] }, elementSize: type.size, wanted: walk.regions.map(\.box), grid: grid, ranks: ranks)
  }

  /// Decodes what the walk's tiles are interpolated from.
  ///
  /// - Collective: all ranks.
  func decodeResampled(_ coarser: CoarserGrid, _ d: FieldDescription, ranks: borrowing Communicator) throws {
    var grid = d.grid
    grid.shape = coarser.shape
    let tiles = TileGrid(shape: grid.shape)
    streamsBefore = tiles.count * components
    let (path, type) = (context, coding.workType)
    let i = try ranks.agree { () -> GridInterpolation in
      try checkStreams(streamsBefore + (coding.bound != nil ? walk.tiles.count * components : 0), d)
      return try corrupt(path) { try GridInterpolation(coarser, fine: d.grid.shape, type: type) }
    }
    interpolation = i
    let needed = walk.isWhole ? Array(0..<tiles.count)
      : Set(walk.all.flatMap { tiles.tiles(touching: i.source(of: walk.tiles.box($0)), periodic: grid.periodic) }).sorted()
    let inner = try ContainerValues(under: self, grid, needed, ranks: ranks)
    var boxes: [Box] = [], arrays = [[RawArray]](repeating: [], count: components)
    for round in 0..<inner.walk.rounds {
      guard let part = try inner.values(round: round, ranks: ranks) else { continue }
      boxes.append(inner.walk.regions[round].box)
      for c in 0..<components { arrays[c].append(part[c]) }
    }
    surroundings = try Surroundings(
      have: boxes, arrays: arrays, elementSize: type.size, wanted: walk.regions.map { i.source(of: $0.box) }, grid: grid, ranks: ranks)
  }

  /// Decodes the tile-local part of all tiles the walk needs, each on one rank.
  ///
  /// - Collective: all ranks.
  private func stage(_ transform: any HaloTransform, ranks: borrowing Communicator) throws {
    let grid = decoder.grid
    var needed: [Int]
    let mine = walk.regions.flatMap { Array($0.tiles) }
    if walk.isWhole { needed = mine } else {
      // Tiles of the ring may belong to nobody's walk: share them out again, same list on every rank.
      var all = Set<Int>()
      for t in walk.all {
        all.formUnion(walk.tiles.tiles(touching: walk.tiles.box(t).dilated(by: transform.synthesisHalo, in: grid), periodic: grid.periodic))
      }
      let list = all.sorted()
      needed = Array(list[ranks.share(of: list.count)])
    }
    surroundings = try stage(transform, needed, mine, whole: walk.isWhole, for: walk.regions.map(\.box), ranks: ranks)
    // The wavelet needs memory that may be missing.
    mapped = try ranks.allReduce(plain && coding.member != .wavelet97 && !mine.contains(where: touched) ? 0 : 1, .max) > 0
  }

  /// Coefficients of `needed` for the synthesis of `boxes`; keeps what `mine` are finished with.
  ///
  /// - Parameter whole: whether everything is read, and `needed` is `mine`; the same on all ranks.
  /// - Collective: all ranks.
  private func stage(_ transform: any HaloTransform, _ needed: [Int], _ mine: [Int], whole: Bool, for boxes: [Box], ranks: borrowing Communicator) throws -> Surroundings {
    let decoded = try ranks.agree { try decode(needed, keeping: history != nil) }
    let out = try Surroundings(
      have: needed.map { walk.tiles.box($0) }, arrays: (0..<components).map { c in needed.indices.map { decoded[$0 * components + c].values } },
      elementSize: coding.workType.size, wanted: boxes.map { transform.synthesisInput(for: $0) }, grid: decoder.grid, ranks: ranks)
    // Masks and outliers are needed where a tile is finished; for partial reads decode those parts there.
    if whole {
      for (i, t) in needed.enumerated() { for c in 0..<components { held[t * components + c] = light(decoded[i * components + c]) } }
    } else {
      let here = try ranks.agree { try parts(mine) }
      for (i, t) in mine.enumerated() { for c in 0..<components { held[t * components + c] = here[i * components + c] } }
    }
    return out
  }

  /// The same where a network corrects values, which takes those of the cells around a tile, and these the coefficients around them.
  ///
  /// - Collective: all ranks.
  private func stage(_ transform: any HaloTransform, _ network: Network, ranks: borrowing Communicator) throws {
    let grid = decoder.grid, mine = walk.regions.flatMap { Array($0.tiles) }
    var valued = mine, needed = mine
    if !walk.isWhole {
      func around(_ tiles: [Int], _ halo: Int) -> [Int] {
        Set(tiles.flatMap { walk.tiles.tiles(touching: walk.tiles.box($0).dilated(by: halo, in: grid), periodic: grid.periodic) }).sorted()
      }
      let first = around(walk.all, network.shape.reach)
      valued = Array(first[ranks.share(of: first.count)])
      let second = around(first, transform.synthesisHalo)
      needed = Array(second[ranks.share(of: second.count)])
    }
    let boxes = valued.map { walk.tiles.box($0) }
    let coefficients = try stage(transform, needed, mine, whole: walk.isWhole, for: boxes, ranks: ranks)
    var values = [[RawArray]](repeating: [], count: components)
    for round in 0..<(try ranks.allReduce(boxes.count, .max)) {
      let box = round < boxes.count ? boxes[round] : nil
      try coefficients.forEachComponent(of: box.map { transform.synthesisInput(for: $0) }, ranks: ranks) { c, cells in
        let out = RawArray(box: box!, type: coding.workType)
        transform.synthesise(cells, core: box!, into: out)
        values[c].append(out)
      }
    }
    try ranks.agree { try checkKernelMemory() }
    synthesised = try Surroundings(
      have: boxes, arrays: values, elementSize: coding.workType.size, wanted: walk.regions.map { $0.box.dilated(by: network.shape.reach, in: grid) }, grid: grid, ranks: ranks)
  }

  private func light(_ s: FieldDecoder.Staged) -> FieldDecoder.Staged {
    var l = s
    l.coefficients = nil
    l.values = RawArray(box: Box(lower: s.values.box.lower, upper: s.values.box.lower), elementSize: 1)
    return l
  }

  /// Streams of tiles, decoded: tile by tile, components inside.
  func decode(_ tiles: [Int], keeping: Bool = false) throws -> [FieldDecoder.Staged] {
    let streams = tiles.flatMap { t in (0..<components).map { (stream: t * components + $0, box: walk.tiles.box(t), component: $0) } }
    let references = try chain.coefficients(of: streams, known: history, threads: threads)
    var staged = try each(streams) { bytes, i in
      try decoder.stage(
        bytes, box: streams[i].box, component: streams[i].component, references: references.map { $0[i] }, keeping: keeping,
        workspace: workspaces.of(i, streams.count))
    }
    for i in staged.indices { for (c, v) in staged[i].others.enumerated() { staged[i + 1 + c].values = v } }
    if keeping {
      let link = StepChain.Link(reader: reader, field: field, stepIndex: stepIndex, decoder: decoder)
      history!.keep(staged.map { $0.coefficients! }, of: link, streams.map(\.stream), before: references)
    }
    return staged
  }
  /// What streams of tiles say beside their values.
  private func parts(_ tiles: [Int]) throws -> [FieldDecoder.Staged] {
    let streams = tiles.flatMap { t in (0..<components).map { (stream: t * components + $0, box: walk.tiles.box(t), component: $0) } }
    return try each(streams) { bytes, i in try decoder.parts(bytes, box: streams[i].box, component: streams[i].component) }
  }
  private func each(
    _ streams: [(stream: Int, box: Box, component: Int)], _ body: ([UInt8], Int) throws -> FieldDecoder.Staged
  ) throws -> [FieldDecoder.Staged] {
    let bytes = coarse ? streams.map { _ in [] } : try reader.readStreams(field: field, step: stepIndex, streams.map { streamsBefore + $0.stream })
    let out = Slots<FieldDecoder.Staged?>(streams.count, nil), failures = Slots<(any Error)?>(streams.count, nil)
    parallelFor(streams.count, threads: threads) { i in
      do { out[i] = try body(bytes[i], i) } catch { failures[i] = error }
    }
    for i in streams.indices { if let e = failures[i] { try corrupt("\(context), tile \(streams[i].stream / components)") { throw e } } }
    return out.array.map { $0! }
  }
}
