import CKernels
import Codecs
import Fields

/// Decodes the streams of one field at one step: the tile-local part, then values in the stored type.
final class FieldDecoder: @unchecked Sendable {
  let coding: FieldCoding
  let grid: Grid
  let type: ScalarType
  let tiles: TileGrid
  let transform: (any HaloTransform)?
  private let tables: ClassTables
  private let interpolation: InterpolationCodec?
  private let shapes: BandShapes?
  private let bands: BandModel?
  private let special: SpecialValues?
  /// Members `spectral` and `resampled`; their values are not decoded here.
  let spectral: SpectralSettings?
  let coarser: CoarserGrid?
  private let quantiser: ald_quantiser
  /// Where an autoencoder has tiles: which, all of them or those beside a transform's; what its model is to work with, and both together once it is there.
  private let autoencoded: [Bool]?
  private let normalisation: PatchNormalisation?
  private let latentTables: ClassTables
  private var autoencoder: (codec: AutoencoderCodec, latents: LatentCoding)?
  /// Where the bands have steps of their own or further bits.
  private let scaler: BandScaler?
  private let response: CountResponse?
  /// Where the step is predicted from others.
  private let predictor: Predictor?

  /// - Throws: `StreamError` when the header does not describe a codec of this version.
  init(_ coding: FieldCoding, grid: Grid, type: ScalarType, components: Int) throws {
    self.coding = coding; self.grid = grid; self.type = type
    tiles = TileGrid(shape: grid.shape)
    let patches = coding.patches
    var transform = coding.member.transform(grid)
    autoencoded = try patches?.chosen(of: tiles.count)
    if let autoencoded { transform = PartedTransform(transform as! LappedOrthogonalTransform, tiles, others: autoencoded) }
    self.transform = transform
    for w in [coding.weights, coding.refinement?.bits] {
      guard w.map({ $0.tables.count == 1 || $0.tables.count == components }) ?? true else { throw StreamError(.invalid, offset: 2) }
    }
    scaler = coding.weights != nil || coding.refinement != nil ? BandScaler(coding.weights, transform as! LappedOrthogonalTransform) : nil
    special = coding.specials.isEmpty ? nil : try SpecialValues(type: type, patterns: coding.specials)
    guard coding.member != .constant || coding.constants.count == components else { throw StreamError(.invalid, offset: 2) }
    spectral = coding.member == .spectral ? try SpectralSettings(serialised: coding.settings, shape: grid.shape, components: components) : nil
    coarser = coding.member == .resampled ? try CoarserGrid(serialised: coding.settings, grid: grid, components: components) : nil
    normalisation = coding.member == .autoencoder || patches != nil ? try PatchNormalisation(serialised: patches?.settings ?? coding.settings, components: components) : nil
    latentTables = normalisation == nil ? .shipped : try ClassTables(serialised: patches?.tables ?? coding.tables)
    switch coding.member {
    case .autoencoder:
      tables = .shipped; interpolation = nil; shapes = nil; bands = nil
    case .constant, .lossless, .spectral, .resampled:
      tables = .shipped; interpolation = nil; shapes = nil; bands = nil
    case .interpolation:
      tables = try ClassTables(serialised: coding.tables)
      interpolation = InterpolationCodec(
        settings: try InterpolationSettings(serialised: coding.settings), model: try InterpolationModel(serialised: coding.model))
      shapes = nil; bands = nil
    case .lapped16, .lapped8, .wavelet97:
      tables = try ClassTables(serialised: coding.tables)
      interpolation = nil
      let s = BandShapes(coding.member, grid: grid, weights: coding.weights)
      shapes = s
      bands = try BandModel(serialised: coding.model, transform: s.transform)
    }
    response = coding.response.isEmpty ? nil : try CountResponse(serialised: coding.response, shape: grid.shape)
    predictor = try coding.prediction?.predictor(coding.member, grid: grid, components: components)
    quantiser = Compressor.quantiser(step: coding.step == 0 ? 1 : coding.step, shifts: coding.shifts)
  }

  /// What a stream holds before the halo of a transform is known.
  struct Staged {
    /// Values (tile codecs) or locally synthesised coefficients (transforms), working type.
    var values: RawArray
    var categories: RawArray?
    var mask: RawArray?
    var negative: [UInt8] = []
    var outliers: [UInt8] = []
    /// Whether the field's network corrects the tile; said by the stream of the first component.
    var corrected = false
    /// Coefficients as they are before the synthesis, where they are asked for.
    var coefficients: RawArray?
    /// Values of the components after the first, where its stream holds those of all.
    var others: [RawArray] = []
    var maskPointer: UnsafePointer<UInt8>? { mask.map { UnsafePointer($0.bound(to: UInt8.self)) } }
  }

  /// The model that a field of autoencoded patches names.
  func take(_ model: Autoencoder) {
    autoencoder = (AutoencoderCodec(model, normalisation!, encodes: false), LatentCoding(model, factor: coding.patches?.factor ?? coding.step))
  }

  /// - Parameter references: coefficients of the steps that this one is predicted from, the newest first.
  /// - Parameter keeping: whether coefficients are wanted beside the values.
  /// - Throws: `StreamError` for bytes the encoder did not write.
  func stage(
    _ bytes: [UInt8], box: Box, component: Int, references: [RawArray] = [], keeping: Bool = false, workspace: InterpolationWorkspace
  ) throws -> Staged {
    let (stream, corrected) = try opened(bytes, component: component)
    var out = try parts(stream, box: box)
    out.corrected = corrected
    let own = spectral != nil || coarser != nil ? Box(lower: box.lower, upper: box.lower) : box
    out.values = RawArray(box: own, type: coding.member == .lossless || coding.member == .constant ? type : coding.workType)
    switch coding.member {
    case .constant:
      out.values = FieldDecoder.constant(coding.constants[component], box, type)
    case .lossless:
      try stream.payload.withUnsafeBytes { try LosslessCodec.decode($0, into: out.values, mask: out.maskPointer) }
    case .spectral, .resampled:
      guard stream.payload.isEmpty, stream.side.isEmpty else { throw StreamError(.invalid, offset: 0) }
    case .autoencoder:
      try decodePatches(stream, component: component, box: box, into: &out)
    case .interpolation:
      try decodeInterpolated(stream.payload, interpolation!, tables, out.maskPointer, workspace, into: out.values)
    case .lapped16, .lapped8, .wavelet97:
      if isAutoencoded(box) {
        try decodePatches(stream, component: component, box: box, into: &out)
        if keeping { out.coefficients = out.values }
        break
      }
      try decodeCoefficients(stream, component: component, references: references, into: out.values)
      if keeping { out.coefficients = out.values.duplicate }
      transform!.synthesiseInside(out.values, core: box)
    }
    return out
  }

  private func isAutoencoded(_ tile: Box) -> Bool {
    guard let autoencoded else { return false }
    return autoencoded[tiles.position(of: Index3(tile.lower.z / tiles.edge.z, tile.lower.y / tiles.edge.y, tile.lower.x / tiles.edge.x))]
  }
  /// Values of all components from the stream of the first.
  private func decodePatches(_ stream: TileStream, component: Int, box: Box, into out: inout Staged) throws {
    guard stream.side.isEmpty, component == 0 || stream.payload.isEmpty else { throw StreamError(.invalid, offset: 0) }
    if component > 0 { return }
    let (codec, latents) = autoencoder!, q = try decodeLatents(stream.payload, latents, codec.patches(of: box), latentTables)
    out.others = codec.values(
      q, box, type: coding.workType, factor: coding.patches?.factor ?? coding.step, shifts: coding.patches?.shifts ?? coding.shifts)
    out.values = out.others.removeFirst()
  }

  /// A stream, and whether the network corrects the tile: where there is one, the first byte of the first component's side.
  private func opened(_ bytes: [UInt8], component: Int) throws -> (TileStream, corrected: Bool) {
    var stream = try TileStream(bytes)
    guard coding.network != nil, coding.patches == nil, transform != nil, component == 0 else { return (stream, false) }
    guard let first = stream.side.first, first <= 1 else { throw StreamError(.invalid, offset: 0) }
    stream.side.removeFirst()
    return (stream, first == 1)
  }

  /// Everything but the values.
  ///
  /// - Throws: `StreamError` for bytes the encoder did not write.
  func parts(_ bytes: [UInt8], box: Box, component: Int) throws -> Staged {
    let (stream, corrected) = try opened(bytes, component: component)
    var out = try parts(stream, box: box)
    out.corrected = corrected
    return out
  }
  private func parts(_ stream: TileStream, box: Box) throws -> Staged {
    var out = Staged(values: RawArray(box: Box(lower: box.lower, upper: box.lower), elementSize: 1))
    if !stream.mask.isEmpty {
      guard let special else { throw StreamError(.invalid, offset: 0) }
      let categories = RawArray(box: box, elementSize: 1)
      let c = categories.bound(to: UInt8.self)
      try stream.mask.withUnsafeBytes { try MaskCodec.decode($0, box: box, into: c) }
      let mask = RawArray(box: box, elementSize: 1)
      let m = mask.bound(to: UInt8.self)
      for i in 0..<mask.count {
        guard Int(c[i]) <= special.patterns.count else { throw StreamError(.invalid, offset: 0) }
        m[i] = c[i] == 0 ? 1 : 0
      }
      out.categories = categories; out.mask = mask
    }
    if coding.logarithmic {
      var negative = [UInt8](repeating: 0, count: box.count)
      let within = out.maskPointer
      if !stream.signs.isEmpty {
        try stream.signs.withUnsafeBytes { s in
          try negative.withUnsafeMutableBufferPointer { try MaskCodec.decode(s, box: box, within: within, into: $0.baseAddress!) }
        }
      }
      out.negative = negative
    }
    out.outliers = stream.outliers
    return out
  }

  /// Coefficients of a tile of a transform.
  ///
  /// - Throws: `StreamError` for bytes the encoder did not write.
  func coefficients(_ bytes: [UInt8], box: Box, component: Int, references: [RawArray]) throws -> RawArray {
    let out = RawArray(box: box, type: coding.workType)
    try decodeCoefficients(opened(bytes, component: component).0, component: component, references: references, into: out)
    return out
  }

  private func decodeCoefficients(_ stream: TileStream, component: Int, references: [RawArray], into values: RawArray) throws {
    let q = RawArray(box: values.box, elementSize: 4)
    var refined = coding.refinement.map { RefinedTile($0, scaler!, box: values.box, component: component) }
    try decodeBands(stream, component: component, shapes!, bands!, tables, refined: &refined, into: q)
    dequantise(q, quantiser, into: values)
    refined?.dequantise(step: coding.step, into: values)
    if coding.weights != nil { scaler!.divide(values, component: component) }
    predictor?.add(to: values, component: component, references)
  }

  /// A tile full of one bit pattern.
  static func constant(_ pattern: UInt64, _ box: Box, _ type: ScalarType) -> RawArray {
    let a = RawArray(box: box, type: type)
    if type == .float32 {
      let v = UInt32(truncatingIfNeeded: pattern), p = a.bound(to: UInt32.self)
      for i in 0..<a.count { p[i] = v }
    } else {
      let p = a.bound(to: UInt64.self)
      for i in 0..<a.count { p[i] = pattern }
    }
    return a
  }

  /// Values of a tile in the stored type from working values: logarithm undone, outliers applied, specials put back.
  func finish(_ values: RawArray, _ staged: Staged) throws -> RawArray {
    let out = Restoration.stored(values, type: type, offset: coding.offset, negative: staged.negative, response: response, mask: staged.maskPointer)
    if !staged.outliers.isEmpty {
      guard let bound = coding.bound else { throw StreamError(.invalid, offset: 0) }
      try staged.outliers.withUnsafeBytes { try OutlierCodec.decode($0, decoded: out, bound: bound) }
    }
    if let special, let c = staged.categories { try special.fill(out, categories: c.bound(to: UInt8.self)) }
    return out
  }
}
