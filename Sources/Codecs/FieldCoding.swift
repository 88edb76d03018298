import Fields

/// Everything a decoder needs to know about one field at one step beside its streams: the container's header blob.
public struct FieldCoding: Equatable, Sendable {
  /// Members of the codec bank. Raw values are part of the format.
  public enum Member: UInt8, Sendable, CaseIterable {
    /// One value per component; streams carry masks only.
    case constant = 0
    case lossless = 1
    case interpolation = 2
    case lapped16 = 3
    case lapped8 = 4
    case wavelet97 = 5
    /// Global: Fourier modes of a field that wraps.
    case spectral = 6
    /// Values interpolated from those on a coarser grid, which another member codes.
    case resampled = 7
    /// Latents of patches, by a model of its own.
    case autoencoder = 8

    public var name: String {
      switch self {
      case .constant: "constant"
      case .lossless: "lossless"
      case .interpolation: "interpolation"
      case .lapped16: "lot16"
      case .lapped8: "lot8"
      case .wavelet97: "wavelet97"
      case .spectral: "spectral"
      case .resampled: "resampled"
      case .autoencoder: "autoencoder"
      }
    }
    /// Edge of the blocks of a lapped transform.
    public var blockEdge: Int? { self == .lapped16 ? 16 : self == .lapped8 ? 8 : nil }
    public init?(name: String) {
      guard let m = Member.allCases.first(where: { $0.name == name }) else { return nil }
      self = m
    }
  }

  /// What the user asked for.
  public var request = ErrorBound.lossless
  /// The absolute bound it was resolved to; NaN where there is none.
  public var absolute = Double.nan
  public var member: Member
  /// Element type of the arithmetic; at least as wide as the stored type.
  public var workType: ScalarType
  /// log2 |x| is coded, with signs beside it (pointwise relative bounds).
  public var logarithmic = false
  /// Pointwise bound kept by outliers: absolute, or relative when `logarithmic`; `nil`: none.
  public var bound: Double?
  /// Quantiser step of the transforms; factor on the steps of latents (member `autoencoder`).
  public var step = 0.0
  /// Taken from the values before a transform; 0 unless they lie far from zero compared with their range.
  public var offset = 0.0
  /// Reconstruction shifts for |q| = 1, 2, >= 3 in 1/256 of a step.
  public var shifts: [UInt8] = [0, 0, 0]
  /// Factors on the bands of a lapped transform; `nil`: none.
  public var weights: BandWeights?
  /// Further bits of some of its bands; `nil`: none.
  public var refinement: BandRefinement?
  /// Serialised factors on shells of modes (member `spectral`); empty: none.
  public var shellWeights: [UInt8] = []
  /// What `decompress --restore` needs; empty: nothing. Decoding does not look at it.
  public var restoration: [UInt8] = []
  /// The steps that a predicted one builds on; `nil`: it stands alone. Transforms only.
  public var prediction: Prediction?
  /// Serialised `CountResponse`, by which decoded integers are multiplied; empty: none. Interpolation only.
  public var response: [UInt8] = []
  /// The network that corrects decoded values of a transform, never with a prediction; the model of the member `autoencoder`; `nil`: none.
  public var network: NetworkReference?
  /// The tiles that an autoencoder, `network`, codes in place of a lapped transform; `nil`: none.
  public var patches: PatchTiles?
  /// Bit patterns that are masked, ascending; category k of a mask is entry k - 1.
  public var specials: [UInt64] = []
  /// Bit pattern per component (member `constant`).
  public var constants: [UInt64] = []
  /// Serialised settings (members `interpolation`, `spectral`, `resampled` and `autoencoder`).
  public var settings: [UInt8] = []
  /// Serialised context weights and scales; scales of shells (member `spectral`); the header on the coarser grid (member `resampled`).
  public var model: [UInt8] = []
  /// Serialised class tables.
  public var tables: [UInt8] = []

  public init(member: Member, workType: ScalarType) { self.member = member; self.workType = workType }

  /// 2 where a prediction, 3 where a response, 4 where a network, 5 where an autoencoder and its tiles follow what all members have.
  static let version: UInt8 = 1, predictedVersion: UInt8 = 2, countedVersion: UInt8 = 3, correctedVersion: UInt8 = 4, partedVersion: UInt8 = 5
  /// Codes of bound kinds: part of the format.
  static let kinds = ["lossless", "abs", "rel", "pwrel", "psnr", "rate"]

  /// The header blob; docs/format.md section 7.2.
  public var serialised: [UInt8] {
    var w = ByteWriter()
    w.put(patches != nil ? FieldCoding.partedVersion : network != nil ? FieldCoding.correctedVersion : prediction != nil ? FieldCoding.predictedVersion
      : response.isEmpty ? FieldCoding.version : FieldCoding.countedVersion)
    w.put(member.rawValue)
    w.put(workType.rawValue | (logarithmic ? 4 : 0) | (bound != nil ? 8 : 0) | (specials.isEmpty ? 0 : 16) | (offset != 0 ? 32 : 0)
      | (weights != nil || refinement != nil || !shellWeights.isEmpty ? 64 : 0) | (restoration.isEmpty ? 0 : 128))
    w.put(UInt8(FieldCoding.kinds.firstIndex(of: request.kind)!))
    if request != .lossless { w.put(request.value); w.put(absolute) }
    // The pointwise bound is one of the two numbers above.
    if let bound { w.put(UInt8(bound == absolute ? 1 : 0)); precondition(bound == absolute || bound == request.value) }
    if !specials.isEmpty {
      w.put(varint: specials.count)
      for s in specials { w.put(s) }
    }
    if !restoration.isEmpty { w.put(block: restoration) }
    if let prediction { w.put(block: prediction.serialised) }
    if !response.isEmpty { w.put(block: response) }
    if let network { w.put(block: network.serialised) }
    if let patches { w.put(block: patches.serialised) }
    switch member {
    case .constant:
      w.put(varint: constants.count)
      for c in constants { w.put(c) }
    case .lossless: break
    case .interpolation:
      w.put(block: settings); w.put(block: model); w.put(tables)
    case .lapped16, .lapped8, .wavelet97:
      w.put(step)
      if offset != 0 { w.put(offset) }
      w.put(shifts)
      if weights != nil || refinement != nil {
        w.put(block: weights?.serialised ?? [])
        w.put(block: refinement?.serialised ?? [])
      }
      w.put(block: model); w.put(tables)
    case .spectral:
      w.put(step); w.put(shifts)
      if !shellWeights.isEmpty { w.put(block: shellWeights) }
      w.put(block: settings); w.put(block: model); w.put(tables)
    case .resampled:
      w.put(block: settings); w.put(model)
    case .autoencoder:
      w.put(step); w.put(shifts); w.put(block: settings); w.put(tables)
    }
    return w.bytes
  }

  /// - Throws: `StreamError` when the bytes are not a header this version can read.
  public init(serialised bytes: [UInt8]) throws {
    var r = ByteReader(bytes)
    let version = try r.byte()
    guard (FieldCoding.version...FieldCoding.partedVersion).contains(version) else { throw StreamError(.unknownVersion, offset: 0) }
    guard let m = Member(rawValue: try r.byte()) else { throw StreamError(.unknownVersion, offset: 1) }
    let flags = try r.byte()
    guard let t = ScalarType(rawValue: flags & 3), flags & 64 == 0 || m.blockEdge != nil || m == .spectral else { throw StreamError(.invalid, offset: 2) }
    self.init(member: m, workType: t)
    logarithmic = flags & 4 != 0
    let kind = Int(try r.byte())
    guard kind < FieldCoding.kinds.count else { throw StreamError(.unknownVersion, offset: r.offset) }
    var value = 0.0
    if FieldCoding.kinds[kind] != "lossless" { value = try r.double(); absolute = try r.double() }
    request = ErrorBound(kind: FieldCoding.kinds[kind], value: value)!
    if flags & 8 != 0 {
      let b = try r.byte() == 1 ? absolute : value
      guard b > 0, b.isFinite else { throw StreamError(.invalid, offset: r.offset) }
      bound = b
    }
    if flags & 16 != 0 {
      let n = try r.varint(limit: 255)
      for _ in 0..<n { specials.append(try r.word()) }
    }
    if flags & 128 != 0 { restoration = try r.block() }
    let transforms: [Member] = [.lapped16, .lapped8, .wavelet97]
    switch version {
    case FieldCoding.predictedVersion:
      guard transforms.contains(m) else { throw StreamError(.invalid, offset: 1) }
      prediction = try Prediction(serialised: try r.block())
    case FieldCoding.countedVersion:
      guard m == .interpolation, flags & 4 == 0 else { throw StreamError(.invalid, offset: 1) }
      response = try r.block()
      guard !response.isEmpty else { throw StreamError(.invalid, offset: r.offset) }
    case FieldCoding.correctedVersion:
      guard transforms.contains(m) || m == .autoencoder, !logarithmic, flags & 16 == 0 else { throw StreamError(.invalid, offset: 1) }
      network = try NetworkReference(serialised: try r.block())
    case FieldCoding.partedVersion:
      guard m.blockEdge != nil, !logarithmic, flags & (16 | 64) == 0 else { throw StreamError(.invalid, offset: 1) }
      network = try NetworkReference(serialised: try r.block())
      guard case .stored = network else { throw StreamError(.invalid, offset: r.offset) }
      patches = try PatchTiles(serialised: try r.block())
    default: break
    }
    switch m {
    case .constant:
      let n = try r.varint(limit: 1 << 16)
      for _ in 0..<n { constants.append(try r.word()) }
    case .lossless: break
    case .interpolation:
      settings = try r.block(); model = try r.block(); tables = try r.take(r.remaining)
    case .lapped16, .lapped8, .wavelet97:
      step = try r.double()
      guard step > 0, step.isFinite else { throw StreamError(.invalid, offset: r.offset) }
      if flags & 32 != 0 { offset = try r.double() }
      guard offset.isFinite else { throw StreamError(.invalid, offset: r.offset) }
      shifts = try r.take(3)
      if flags & 64 != 0 {
        let w = try r.block(), further = try r.block()
        guard !w.isEmpty || !further.isEmpty else { throw StreamError(.invalid, offset: r.offset) }
        if !w.isEmpty { weights = try BandWeights(serialised: w, edge: m.blockEdge!) }
        if !further.isEmpty { refinement = try BandRefinement(serialised: further, edge: m.blockEdge!) }
      }
      model = try r.block(); tables = try r.take(r.remaining)
    case .spectral:
      step = try r.double()
      guard step > 0, step.isFinite, t == .float64, flags & (4 | 16 | 32) == 0 else { throw StreamError(.invalid, offset: r.offset) }
      shifts = try r.take(3)
      if flags & 64 != 0 {
        shellWeights = try r.block()
        guard !shellWeights.isEmpty else { throw StreamError(.invalid, offset: r.offset) }
      }
      settings = try r.block(); model = try r.block(); tables = try r.take(r.remaining)
    case .resampled:
      guard flags & (4 | 16 | 32) == 0 else { throw StreamError(.invalid, offset: 2) }
      settings = try r.block(); model = try r.take(r.remaining)
    case .autoencoder:
      guard case .stored = network, flags & 32 == 0 else { throw StreamError(.invalid, offset: 2) }
      step = try r.double()
      guard step > 0, step.isFinite else { throw StreamError(.invalid, offset: r.offset) }
      shifts = try r.take(3); settings = try r.block(); tables = try r.take(r.remaining)
    }
    guard r.remaining == 0 else { throw StreamError(.invalid, offset: r.offset) }
  }
}

/// The parts of one tile's stream.
///
/// `varint(flags | length of side << 3), [varint length, mask], [varint length, outliers], [varint length, signs], side, payload`; flags: 1 mask,
/// 2 outliers, 4 signs. Parts that are absent cost nothing, a stream without any part is empty.
public struct TileStream: Equatable, Sendable {
  /// Special-value categories (`MaskCodec`).
  public var mask: [UInt8] = []
  /// Sign plane of logarithmic fields.
  public var signs: [UInt8] = []
  public var outliers: [UInt8] = []
  /// What the context model needs to know of the tile.
  public var side: [UInt8] = []
  /// Entropy-coded values.
  public var payload: [UInt8] = []
  public init() {}

  /// The stream; docs/format.md section 7.3.
  public var bytes: [UInt8] {
    if mask.isEmpty && signs.isEmpty && outliers.isEmpty && side.isEmpty && payload.isEmpty { return [] }
    var w = ByteWriter()
    w.put(varint: side.count << 3 | (mask.isEmpty ? 0 : 1) | (outliers.isEmpty ? 0 : 2) | (signs.isEmpty ? 0 : 4))
    if !mask.isEmpty { w.put(block: mask) }
    if !outliers.isEmpty { w.put(block: outliers) }
    if !signs.isEmpty { w.put(block: signs) }
    w.put(side)
    w.put(payload)
    return w.bytes
  }

  /// - Throws: `StreamError` when a length points past the end.
  public init(_ bytes: [UInt8]) throws {
    if bytes.isEmpty { return }
    var r = ByteReader(bytes)
    let flags = try r.varint()
    if flags & 1 != 0 { mask = try r.block() }
    if flags & 2 != 0 { outliers = try r.block() }
    if flags & 4 != 0 { signs = try r.block() }
    side = try r.take(flags >> 3)
    payload = try r.take(r.remaining)
  }
}
