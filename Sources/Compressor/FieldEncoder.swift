import Codecs
import Decomposition
import Fields
import MPI
import Reduction
import Statistics

/// A coded field: what a container stores of it, and what was measured on the way.
public struct EncodedField: Sendable {
  public var coding: FieldCoding
  /// This rank's streams, in stream order, and where they start in the field.
  public var firstStream = 0
  public var lengths: [Int] = []
  public var streams: [UInt8] = []
  /// Per component, merged over all ranks; empty when nothing was decoded.
  public var statistics: [ErrorStatistics] = []
  var survey: FieldSurvey
  var target: Target
  /// Whether the bound is known to hold.
  public var boundKept: Bool?
  /// Stream bytes over all ranks.
  public var streamBytes = 0
  /// Streams of the field where they are not one per tile and component.
  var streamCount: Int?
  /// `nil`: not one of a series.
  var temporal: TemporalOutcome?
}

/// Encodes one field at one step: survey, trial of the bank, fit, coding, check.
///
/// Every decision is made from order-free sums over fixed tiles, so the bytes are the same for any ranks and threads.
package final class FieldEncoder {
  let layout: TileLayout
  var source: FieldSource
  let survey: FieldSurvey
  var target: Target
  let threads: Int
  let check: Bool
  let forced: FieldCoding.Member?
  var workType: ScalarType
  let special: SpecialValues?
  let phases: PhaseClock
  /// Taken from the values before a transform: the middle of the range where that is far from zero.
  var offset: Double {
    if let newest = references.first { return newest.offset }
    let middle = survey.minimum + survey.range / 2
    return !target.logarithmic && abs(middle) > 4 * survey.range ? middle : 0
  }
  /// Set when all values are multiples of a decimal or binary quantum.
  var lattice: DecimalLattice.Quantum?

  /// Set while a field is coded as counts.
  var response: CountResponse?
  /// The bound beyond which decoded values are corrected.
  var outlierBound: Double? { target.pointwise ?? (response == nil ? nil : target.absolute) }

  /// Steps of the bands, where observables are to be kept.
  var shaping: Shaping? {
    didSet { if shaping?.isPlain ?? false { shaping = nil } }
  }
  /// What coded the field by its modes, where decoded values are kept or it was only tried.
  var spectral: SpectralEncoder?
  /// As many bytes of side information as the header will hold.
  var reserved: [UInt8] = []
  /// Decoded values of this rank's streams in the stored type, where somebody asks for them.
  var decoded: Slots<RawArray?>?
  /// Leaves out members that need more than the streams around a tile to decode it.
  var tileAccess = false
  /// Whether members may be tried that take a transform of the whole field.
  var globalTransforms = true
  /// Whether somebody else compares the trial's score.
  var scores = false
  /// Of the pass at hand; `nil`: not looked for yet, or there is none.
  var coarser: ResampledEncoder??
  /// Who codes tiles while this thread does something else; nil: nobody.
  package var background: CodingTask?
  /// Kept for further passes with other shapings.
  private var trial: BankTrial?
  /// What may correct decoded values. Taken by the tile codecs only where it pays.
  var correctors: [Corrector] = []
  /// Whether the first of them does, whether it pays or not; tiles that it harms stay as they are.
  var alwaysCorrects = false
  /// Models of members of the bank beside the transforms; each that suits the field is tried.
  var autoencoders: [Autoencoder] = []
  /// The one of the pass at hand.
  var correcting: Corrector?
  /// Tiles that an autoencoder codes in the pass at hand.
  var parted: PartedTiles?
  /// The one that the last coding with equal steps chose.
  var settled: Corrector?
  /// Where the field is one of a series.
  var history: FieldHistory?
  /// Steps that this one may be predicted from, the newest first.
  private(set) var references: [FieldHistory.Step] = []
  /// What that came to.
  var temporal: TemporalOutcome?
  /// The only member of the bank to be tried.
  var only: FieldCoding.Member? { references.first?.member ?? forced }

  /// Up to this many values (over all ranks) everything is held and counted; beyond, models come from a sample.
  static let heldValues = 1 << 22
  /// Values of the trial sample.
  static let trialValues = 3 << 16

  /// - Collective: all ranks.
  package init(
    _ source: FieldSource, bound: ErrorBound, forced: FieldCoding.Member? = nil, threads: Int, check: Bool, phases: PhaseClock,
    ranks: borrowing Communicator
  ) throws {
    self.source = source
    self.threads = threads; self.check = check; self.forced = forced; self.phases = phases
    layout = try TileLayout(grid: source.grid, components: source.components, ranks: ranks)
    var zeros = false
    if case .pointwiseRelative = bound { zeros = true }
    survey = try phases.measure("survey") { try FieldSurvey(source, zerosAreSpecial: zeros, exact: bound == .lossless, ranks: ranks) }
    target = Target(bound, survey: survey, type: source.type)
    special = survey.specials.isEmpty ? nil : try SpecialValues(type: source.type, patterns: survey.specials)
    if target.logarithmic {
      workType = LogMapping.logType(source.type, relativeBound: target.pointwise ?? 0)
    } else if source.type == .float32 {
      workType = (target.rmse ?? .infinity) < survey.magnitude * 1e-6 ? .float64 : .float32
    } else {
      // Half the memory and twice the numbers per instruction, for roundings far below the error that is asked for.
      workType = (target.rmse ?? 0) < survey.magnitude * 1e-5 ? .float64 : .float32
      if workType == .float32 { target.fill(workingIn: .float32, magnitude: survey.magnitude) }
    }
  }

  /// Stored bits per valid value, as far as known before writing.
  func bitsPerValue(_ e: EncodedField) -> Double { 8 * Double(storedBytes(e)) / Double(max(1, survey.valid)) }
  func storedBytes(_ e: EncodedField) -> Int { e.estimatedStoredBytes(streams: e.streamCount ?? layout.streamCount) }

  var held: Bool { layout.grid.count * layout.components <= FieldEncoder.heldValues }

  /// - Collective: all ranks.
  package func encode(ranks: borrowing Communicator) throws -> EncodedField {
    history?.pending = nil
    references = []
    temporal = history.map { _ in TemporalOutcome() }
    var encoded = try encodeStep(ranks: ranks)
    // Values stored as they are, after all.
    if encoded.coding.member != history?.pending?.member { history?.pending = nil }
    if encoded.coding.prediction == nil { temporal?.standAlone() }
    encoded.temporal = temporal
    return encoded
  }

  /// - Collective: all ranks.
  private func encodeStep(ranks: borrowing Communicator) throws -> EncodedField {
    var coding = FieldCoding(member: .lossless, workType: workType)
    coding.specials = survey.specials
    coding.request = target.bound
    coding.absolute = target.absolute
    coding.restoration = reserved
    if survey.unlisted {
      coding.workType = source.type
      return try runExact(coding, ranks: ranks)
    }
    if survey.valid == 0 || (survey.constants.allSatisfy { $0 != nil } && forced == nil) {
      coding.member = .constant
      coding.workType = source.type
      coding.constants = survey.constants.map { $0 ?? 0 }
      return try runExact(coding, ranks: ranks)
    }
    if forced == nil {
      lattice = try phases.measure("survey") { try findLattice(ranks: ranks) }
      if let q = lattice, target.lossless || (target.filling ?? target.rmse.map { $0 / 0.3 } ?? .infinity) < q.step, !target.logarithmic {
        // Lattices are coded in the type as stored, whatever arithmetic the bound would ask of other codecs.
        let other = workType
        workType = source.type
        if let exact = try runLattice(coding, ranks: ranks) { return exact }
        workType = other
      }
    }
    if target.lossless || forced == .lossless {
      coding.workType = source.type
      return try runExact(coding, ranks: ranks)
    }
    if forced == nil, let flat = try runFlat(coding, ranks: ranks) { return flat }
    coding.logarithmic = target.logarithmic
    coding.bound = target.pointwise
    if let counts = try runCounts(coding, ranks: ranks) { return counts }
    let encoded = try withAutoencoders(coding, ranks: ranks) {
      try runPredicted(coding, ranks: ranks) ?? runSpectral(coding, ranks: ranks) { try runTiles(coding, ranks: ranks) }
    }
    // Steps end at 2^-24 of the range: a rate that they cannot use up may be enough to keep every bit.
    if let wanted = target.rate, bitsPerValue(encoded) < 0.98 * wanted, forced == nil {
      coding.logarithmic = false
      coding.workType = source.type
      let exact = try runExact(coding, ranks: ranks)
      if bitsPerValue(exact) <= 1.02 * wanted { return exact }
    }
    return encoded
  }

  /// The bank's choice by the sampled tiles.
  ///
  /// - Collective: all ranks.
  func bankTrial(ranks: borrowing Communicator) throws -> BankTrial {
    let trial = try self.trial ?? phases.measure("trial") { try BankTrial(self, ranks: ranks) }
    self.trial = trial
    HostHeap.trim()
    return trial
  }
  private func runTiles(_ coding: FieldCoding, ranks: borrowing Communicator) throws -> EncodedField {
    let trial = try bankTrial(ranks: ranks)
    if trial.member == .interpolation { return try runInterpolation(coding, trial, ranks: ranks) }
    return try runCorrected(ranks: ranks) { try runTransform(coding, trial, ranks: ranks)! }
  }

  /// The member of the references, where prediction from them pays; `nil`: nothing has happened.
  ///
  /// - Collective: all ranks.
  private func runPredicted(_ start: FieldCoding, ranks: borrowing Communicator) throws -> EncodedField? {
    references = usableReferences()
    guard let newest = references.first else { return nil }
    let own = workType
    var coding = start
    workType = newest.workType
    coding.workType = workType
    let trial = try phases.measure("trial") { try BankTrial(self, ranks: ranks) }
    if trial.member == newest.member, let encoded = try runTransform(coding, trial, ranks: ranks) { return encoded }
    references = []
    workType = own
    return nil
  }

  /// Member and operating point from the trial alone; no point where steps have nothing to trade.
  ///
  /// - Collective: all ranks.
  func preview(ranks: borrowing Communicator) throws -> (member: FieldCoding.Member, point: OperatingPoint?) {
    if survey.unlisted || target.lossless { return (.lossless, nil) }
    if survey.valid == 0 || survey.constants.allSatisfy({ $0 != nil }) { return (.constant, nil) }
    if target.logarithmic || special != nil { return (.interpolation, nil) }
    let trial = try bankTrial(ranks: ranks)
    spectral = nil
    if let pass = try spectralPreview(against: trial, ranks: ranks) { return (.spectral, OperatingPoint(edge: 16, noise: pass.rmse * pass.rmse)) }
    // The error in a cell is that of a coefficient; members other than lapped ones make it alike everywhere.
    guard let edge = trial.member.blockEdge else {
      let error = target.filling == nil ? target.rmse.map { $0 * $0 } ?? trial.step * trial.step / 12 : trial.step * trial.step / 12
      return (trial.member, OperatingPoint(edge: 16, noise: error))
    }
    return (trial.member, OperatingPoint(edge: edge, noise: trial.step * trial.step / 12, widensZeroBin: widensZeroBin))
  }

  /// Reduces statistics and sizes; fills what is common to all members.
  ///
  /// - Collective: all ranks.
  func conclude(_ coding: FieldCoding, streams: [[UInt8]], statistics: [ErrorStatistics], ranks: borrowing Communicator) throws -> EncodedField {
    var out = EncodedField(coding: coding, survey: survey, target: target)
    out.firstStream = layout.units.lowerBound
    out.lengths = streams.map(\.count)
    out.streams.reserveCapacity(out.lengths.reduce(0, +))
    for s in streams { out.streams += s }
    HostHeap.trim()
    try ranks.agree { try checkKernelMemory() }
    let (sizes, merged) = try reduce(IntegerSums([out.streams.count]), statistics, ranks: ranks)
    out.streamBytes = sizes.values[0]
    out.statistics = merged
    return out
  }
}
