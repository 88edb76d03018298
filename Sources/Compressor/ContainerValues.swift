import Codecs
import Decomposition
import Fields
import MPI
import SnapshotIO
import Statistics

/// Values decoded from a container.
final class ContainerValues: FieldValues {
  let walk: TileWalk
  let type: ScalarType
  let coding: FieldCoding
  let decoder: FieldDecoder
  let components: Int, threads: Int
  let workspaces: Workspaces
  /// Masks and outliers of the transforms' tiles of this rank, by tile and component.
  var held: [Int: FieldDecoder.Staged] = [:]
  /// Whether synthesised values of some rank are not yet those of the field, or something may still go wrong.
  var mapped = true
  /// Staged tiles: those walked and the ring around them.
  var surroundings: Surroundings?
  /// Streams before those of the tiles.
  var streamsBefore = 0
  /// Values on a coarser grid, in `surroundings`, are interpolated.
  var interpolation: GridInterpolation?
  /// What corrects synthesised values, and those with a halo.
  let network: Network?
  var synthesised: Surroundings?
  /// What a coarser grid gets: values as they are decoded.
  let coarse: Bool
  let reader: ContainerReader, field: Int, stepIndex: Int
  let context: String
  /// The steps before it that it takes.
  let chain: StepChain
  let history: DecodedSteps?

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
  init(under outer: ContainerValues, _ grid: Grid, _ tiles: [Int], ranks: borrowing Communicator) throws {
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

  /// Whether nothing was mapped: values are as they are but in tiles with outliers or special values.
  var plain: Bool { coding.workType == type && coding.offset == 0 && !coding.logarithmic }

  /// Whether a tile has outliers or special values in some component.
  func touched(_ tile: Int) -> Bool {
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
