import Codecs
import Decomposition
import Fields
import MPI
import SnapshotIO
import Statistics

/// Values of one field at one step, tile region by tile region, from a container or a snapshot.
///
/// Regions depend on the grid, the wanted tiles and the number of ranks only, so two sources of equal shape walk in step.
protocol FieldValues: AnyObject {
  var walk: TileWalk { get }
  var type: ScalarType { get }
  /// Values in the stored type on the region of a round, one array per component; `nil` where this rank has no region.
  ///
  /// - Collective: all ranks, rounds in order.
  func values(round: Int, ranks: borrowing Communicator) throws -> [RawArray]?
}

/// Which tiles this rank treats, in which rounds.
struct TileWalk {
  let tiles: TileGrid
  /// Those that some rank treats.
  let all: [Int]
  let regions: [Region]
  let rounds: Int
  /// Whether these are all tiles of the grid.
  var isWhole: Bool { all.count == tiles.count }

  /// - Parameter wanted: the cells asked for; all tiles that hold some are walked, split evenly over the ranks.
  /// - Collective: all ranks.
  init(grid: Grid, wanted: Box, ranks: borrowing Communicator) throws {
    let tiles = TileGrid(shape: grid.shape)
    try self.init(tiles, wanted == grid.box ? Array(0..<tiles.count) : tiles.tiles(touching: wanted), ranks: ranks)
  }
  /// - Parameter all: ascending, the same on all ranks.
  /// - Collective: all ranks.
  init(_ tiles: TileGrid, _ all: [Int], ranks: borrowing Communicator) throws {
    self.tiles = tiles; self.all = all
    let mine = all[ranks.share(of: all.count)]
    var found: [Region] = []
    var start = mine.startIndex
    while start < mine.endIndex {
      var end = start + 1
      while end < mine.endIndex && mine[end] == mine[end - 1] + 1 { end += 1 }
      found += Decomposition.regions(of: mine[start]..<mine[end - 1] + 1, in: tiles, maximumCells: TileLayout.regionCells)
      start = end
    }
    regions = found
    rounds = try ranks.allReduce(found.count, .max)
  }
}

/// Values of a snapshot file.
final class SnapshotValues: FieldValues {
  let walk: TileWalk
  let type: ScalarType
  private let input: SnapshotInput, field: Int, step: Int
  /// - Collective: all ranks.
  init(_ input: SnapshotInput, field: Int, step: Int, ranks: borrowing Communicator) throws {
    self.input = input; self.field = field; self.step = step
    type = input.fields[field].type
    let grid = input.fields[field].grid
    walk = try TileWalk(grid: grid, wanted: grid.box, ranks: ranks)
  }
  func values(round: Int, ranks: borrowing Communicator) throws -> [RawArray]? {
    try ranks.agree { () -> [RawArray]? in
      guard round < walk.regions.count else { return nil }
      let box = walk.regions[round].box
      return try (0..<input.fields[field].components).map { c in
        let a = RawArray(box: box, type: type)
        try input.read(field: field, step: step, component: c, box: box, into: a)
        return a
      }
    }
  }
}

/// Values decoded from a container.
final class ContainerValues: FieldValues {
  let walk: TileWalk
  let type: ScalarType
  let coding: FieldCoding
  private let decoder: FieldDecoder
  private let components: Int, threads: Int
  private let workspaces: Workspaces
  /// Masks and outliers of the transforms' tiles of this rank, by tile and component.
  private var held: [Int: FieldDecoder.Staged] = [:]
  /// Whether synthesised values of some rank are not yet those of the field, or something may still go wrong.
  private var mapped = true
  /// Staged tiles: those walked and the ring around them.
  private var surroundings: Surroundings?
  /// Streams before those of the tiles.
  private var streamsBefore = 0
  /// Values on a coarser grid, in `surroundings`, are interpolated.
  private var interpolation: GridInterpolation?
  /// What corrects synthesised values, and those with a halo.
  private let network: Network?
  private var synthesised: Surroundings?
  /// What a coarser grid gets: values as they are decoded.
  private let coarse: Bool
  private let reader: ContainerReader, field: Int, stepIndex: Int
  private let context: String
  /// The steps before it that it takes.
  private let chain: StepChain
  private let history: DecodedSteps?

  /// - Parameter history: where steps are decoded one after the other, what the one before left.
  /// - Throws: beside what is corrupt, `Failure(.inputOutput)` where a container is missing that the step is predicted from.
  /// - Collective: all ranks.
  ///
  /// - Parameter coarsening: extents are divided by it; what has no levels of resolution is refused unless it is 1.
  init(
    _ reader: ContainerReader, _ description: FieldDescription, field: Int, stepIndex: Int, wanted: Box?, coarsening: Int = 1, history: DecodedSteps? = nil, threads: Int,
    ranks: borrowing Communicator
  ) throws {
    self.reader = reader; self.field = field; self.stepIndex = stepIndex; self.threads = threads; self.history = history
    type = description.type
    components = description.components
    context = "\(reader.path): \(description.name), step \(reader.fields[field].steps[stepIndex])"
    let path = context
    (coding, decoder) = try ranks.agree {
      try corrupt(path) {
        let c = try FieldCoding(serialised: try reader.header(field: field, step: stepIndex))
        return (c, try FieldDecoder(c, grid: description.grid, type: description.type, components: description.components))
      }
    }
    switch try ModelShelf.model(of: coding, beside: reader, description, needed: context, ranks: ranks) {
    case .network(let n): network = n
    case .autoencoder(let a): network = nil; decoder.take(a)
    case nil: network = nil
    }
    coarse = coarsening > 1
    let level = SpectralModes.levels - 1 - coarsening.trailingZeroBitCount
    if coarse, coding.member != .spectral, coding.member != .constant || !coding.specials.isEmpty {
      throw Failure(.usage, "--resolution: \(description.name) is coded by tiles (\(coding.member.name)) and has no levels of resolution; leave the option out or choose other fields with -f")
    }
    chain = try StepChain(.init(reader: reader, field: field, stepIndex: stepIndex, decoder: decoder), description, ranks: ranks)
    var grid = description.grid
    if coarse { grid.shape = SpectralModes.coarse(grid.shape, level: level) }
    let box = wanted ?? grid.box
    walk = try TileWalk(grid: grid, wanted: box, ranks: ranks)
    workspaces = Workspaces(threads)
    if let settings = decoder.spectral {
      try decodeSpectral(settings, description, level, ranks: ranks)
      return
    }
    if coarse { return }
    if let coarser = decoder.coarser {
      try decodeResampled(coarser, description, ranks: ranks)
      return
    }
    try ranks.agree { try checkStreams(walk.tiles.count * components, description) }
    try stage(ranks: ranks)
  }

  /// What `outer` is interpolated from, on some tiles of the coarser grid.
  ///
  /// - Collective: all ranks.
  private init(under outer: ContainerValues, _ grid: Grid, _ tiles: [Int], ranks: borrowing Communicator) throws {
    reader = outer.reader; field = outer.field; stepIndex = outer.stepIndex; threads = outer.threads; history = nil
    type = outer.coding.workType
    components = outer.components
    context = "\(outer.context), coarser grid"
    let (path, type, components) = (context, type, components)
    (coding, decoder) = try ranks.agree {
      try corrupt(path) {
        let c = try FieldCoding(serialised: outer.coding.model)
        guard [.interpolation, .lapped16, .lapped8, .wavelet97].contains(c.member), c.prediction == nil, c.network == nil, c.bound == nil, c.specials.isEmpty else {
          throw StreamError(.invalid, offset: 1)
        }
        return (c, try FieldDecoder(c, grid: grid, type: type, components: components))
      }
    }
    network = nil
    chain = StepChain()
    coarse = false
    walk = try TileWalk(TileGrid(shape: grid.shape), tiles, ranks: ranks)
    workspaces = Workspaces(threads)
    try stage(ranks: ranks)
  }

  /// - Collective: all ranks.
  private func stage(ranks: borrowing Communicator) throws {
    guard let transform = decoder.transform else { return }
    if let network { try stage(transform, network, ranks: ranks) } else { try stage(transform, ranks: ranks) }
  }

  private func checkStreams(_ expected: Int, _ description: FieldDescription) throws {
    guard reader.streamCount(field: field, step: stepIndex) == expected else {
      throw SnapshotError(.badDirectory, file: reader.path, dataset: description.name, "holds \(reader.streamCount(field: field, step: stepIndex)) streams, \(expected) belong to its shape")
    }
  }

  /// - Collective: all ranks.
  private func decodeSpectral(_ settings: SpectralSettings, _ d: FieldDescription, _ level: Int, ranks: borrowing Communicator) throws {
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
  private func decodeResampled(_ coarser: CoarserGrid, _ d: FieldDescription, ranks: borrowing Communicator) throws {
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

  /// Values of a region of corrected tiles.
  ///
  /// - Collective: all ranks.
  private func corrected(_ region: Region?, _ network: Network, ranks: borrowing Communicator) throws -> [RawArray] {
    let wide = region?.box.dilated(by: network.shape.reach, in: decoder.grid)
    var given: [RawArray] = []
    try synthesised!.forEachComponent(of: wide, ranks: ranks) { _, m in given.append(m.cells(of: wide!)) }
    guard let region else { return [] }
    let out = (0..<components).map { _ in RawArray(box: region.box, type: coding.workType) }, tiles = Array(region.tiles)
    parallelFor(tiles.count, threads: threads) { i in
      let box = walk.tiles.box(tiles[i])
      let values = held[tiles[i] * components]!.corrected ? network.corrected(given, core: box, unit: coding.step) : given
      for c in 0..<components { out[c].copy(box, from: values[c]) }
    }
    return out
  }
  private func light(_ s: FieldDecoder.Staged) -> FieldDecoder.Staged {
    var l = s
    l.coefficients = nil
    l.values = RawArray(box: Box(lower: s.values.box.lower, upper: s.values.box.lower), elementSize: 1)
    return l
  }

  /// Streams of tiles, decoded: tile by tile, components inside.
  private func decode(_ tiles: [Int], keeping: Bool = false) throws -> [FieldDecoder.Staged] {
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

  func values(round: Int, ranks: borrowing Communicator) throws -> [RawArray]? {
    let region = round < walk.regions.count ? walk.regions[round] : nil
    if decoder.spectral != nil || interpolation != nil {
      var cells: [RawArray] = []
      if let interpolation {
        cells = try interpolated(surroundings!, region?.box, interpolation, means: decoder.coarser!.means, as: type, threads: threads, ranks: ranks)
      } else { try surroundings!.forEachComponent(of: region?.box, ranks: ranks) { _, m in cells.append(m.array(holding: region!.box)) } }
      return try ranks.agree { () -> [RawArray]? in
        guard let region else { return nil }
        let out = cells.map { c in
          if c.box == region.box { return c }
          let a = RawArray(box: region.box, type: type)
          a.copy(a.box, from: c)
          return a
        }
        if coding.bound == nil || coarse { return out }
        let tiles = Array(region.tiles), parts = try decode(tiles)
        try assemble(tiles, out) { parts[$0 * components + $1] } values: { i, c in
          let a = RawArray(box: walk.tiles.box(tiles[i]), type: type)
          a.copy(a.box, from: out[c])
          return a
        }
        return out
      }
    }
    guard let transform = decoder.transform else {
      return try ranks.agree { () -> [RawArray]? in
        guard let region else { return nil }
        let out = (0..<components).map { _ in RawArray(box: region.box, type: type) }
        let tiles = Array(region.tiles)
        let parts = try decode(tiles)
        try assemble(tiles, out) { parts[$0 * components + $1] } values: { parts[$0 * components + $1].values }
        return out
      }
    }
    var synthesised: [RawArray] = []
    let box = region?.box
    if let network { synthesised = try corrected(region, network, ranks: ranks) } else {
      try surroundings!.forEachComponent(of: box.map { transform.synthesisInput(for: $0) }, ranks: ranks) { _, cells in
        let out = RawArray(box: box!, type: coding.workType)
        transform.synthesise(cells, core: box!, into: out)
        synthesised.append(out)
      }
    }
    if !mapped { return box == nil ? nil : synthesised }
    return try ranks.agree { () -> [RawArray]? in
      try checkKernelMemory()
      guard let region else { return nil }
      let out = plain ? synthesised : (0..<components).map { _ in RawArray(box: region.box, type: type) }
      let tiles = plain ? region.tiles.filter(touched) : Array(region.tiles)
      try assemble(tiles, out) { held[tiles[$0] * components + $1]! } values: { i, c in
        let a = RawArray(box: walk.tiles.box(tiles[i]), type: coding.workType)
        a.copy(a.box, from: synthesised[c])
        return a
      }
      return out
    }
  }

  /// Whether nothing was mapped: values are as they are but in tiles with outliers or special values.
  private var plain: Bool { coding.workType == type && coding.offset == 0 && !coding.logarithmic }

  /// Whether a tile has outliers or special values in some component.
  private func touched(_ tile: Int) -> Bool {
    (0..<components).contains { c in
      let s = held[tile * components + c]!
      return !s.outliers.isEmpty || s.categories != nil
    }
  }

  private func assemble(
    _ tiles: [Int], _ out: [RawArray], staged: (Int, Int) -> FieldDecoder.Staged, values: (Int, Int) -> RawArray
  ) throws {
    let count = tiles.count * components
    let failures = Slots<(any Error)?>(count, nil)
    parallelFor(count, threads: threads) { k in
      let i = k / components, c = k % components
      do {
        let tile = try decoder.finish(values(i, c), staged(i, c))
        out[c].copy(tile.box, from: tile)
      } catch { failures[k] = error }
    }
    for k in 0..<count { if let e = failures[k] { try corrupt("\(context), tile \(tiles[k / components])") { throw e } } }
  }
}

/// Names what is corrupt.
func corrupt<T>(_ what: String, _ body: () throws -> T) throws -> T {
  do { return try body() } catch let e as StreamError { throw Failure(.corrupt, "\(what): \(e)") }
}
