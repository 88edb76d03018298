import CKernels
import Codecs
import Decomposition
import Fields
import Glibc
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
  /// Models of members of the bank beside the transforms; each that suits the field is tried.
  var autoencoders: [Autoencoder] = []
  /// The one of the pass at hand.
  var correcting: Corrector?
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

  // MARK: units

  /// Tile of `component` cut out of arrays that cover it, with mask and mapping applied.
  func makeUnit(_ unit: Int, from array: RawArray) throws -> Unit {
    let box = layout.box(of: unit)
    let original = RawArray(box: box, type: source.type)
    original.copy(box, from: array)
    let u = Unit(index: unit, box: box, original: original, work: original)
    if let special {
      let categories = RawArray(box: box, elementSize: 1)
      if special.classify(original, into: categories.bound(to: UInt8.self)).dropFirst().contains(where: { $0 > 0 }) {
        u.categories = categories
        let mask = RawArray(box: box, elementSize: 1)
        let c = categories.bound(to: UInt8.self), m = mask.bound(to: UInt8.self)
        for i in 0..<mask.count { m[i] = c[i] == 0 ? 1 : 0 }
        u.mask = mask
        u.stream.mask = MaskCodec.encode(c, box: box)
      }
    }
    if let response {
      u.work = response.counts(of: original, mask: u.maskPointer)
    } else if target.logarithmic {
      let logs = LogMapping.forward(original, mask: u.maskPointer, logType: workType)
      u.work = logs.log
      u.negative = logs.negative
      u.stream.signs = MaskCodec.encode(logs.negative, box: box, within: u.maskPointer)
    } else if workType != source.type {
      u.work = converted(original)
    }
    if let mask = u.mask { u.work = filled(u.work, mask) }
    return u
  }

  /// In the working type, which is the other one.
  private func converted(_ a: RawArray) -> RawArray {
    let w = RawArray(box: a.box, type: workType)
    w.convert(from: a)
    return w
  }

  /// A copy whose masked cells hold zero, so that kernels never meet NaN.
  private func filled(_ a: RawArray, _ mask: RawArray) -> RawArray {
    let w = RawArray(box: a.box, elementSize: a.elementSize)
    let m = mask.bound(to: UInt8.self)
    if a.elementSize == 4 {
      let s = a.bound(to: Float.self), d = w.bound(to: Float.self)
      for i in 0..<a.count { d[i] = m[i] != 0 ? s[i] : 0 }
    } else {
      let s = a.bound(to: Double.self), d = w.bound(to: Double.self)
      for i in 0..<a.count { d[i] = m[i] != 0 ? s[i] : 0 }
    }
    return w
  }

  /// Whether codecs work on the values as given.
  var plain: Bool { !target.logarithmic && offset == 0 && workType == source.type }

  /// Working values of a region with halo, for the transforms (never masked).
  func workRegion(_ a: RawArray) -> RawArray {
    if target.logarithmic { return LogMapping.forward(a, mask: nil, logType: workType).log }
    if offset != 0 {
      let w = RawArray(box: a.box, type: workType)
      func value(_ i: Int) -> Double { (source.type == .float32 ? Double(a.bound(to: Float.self)[i]) : a.bound(to: Double.self)[i]) - offset }
      if workType == .float32 {
        let d = w.bound(to: Float.self)
        for i in 0..<a.count { d[i] = Float(value(i)) }
      } else {
        let d = w.bound(to: Double.self)
        for i in 0..<a.count { d[i] = value(i) }
      }
      return w
    }
    return plain ? a : converted(a)
  }

  // MARK: finishing

  /// Statistics that all tiles of a component add to.
  func emptyStatistics() -> ErrorStatistics {
    let wanted = target.bound.histogramScale(target.absolute)
    let scale = wanted > 0 && wanted.isFinite ? wanted : max(survey.range * 1e-3, .leastNormalMagnitude)
    return ErrorStatistics(scale: scale, minimum: survey.valid > 0 ? survey.minimum : 0, maximum: survey.valid > 0 ? survey.maximum : 0)
  }

  /// Decoded tile in the stored type: mapping undone, outliers found, applied and coded, specials restored. Adds to `statistics`.
  func finish(_ u: Unit, statistics: inout ErrorStatistics) {
    let restored = Restoration.stored(u.decoded!, type: source.type, offset: u.offset, negative: u.negative, response: response, mask: u.maskPointer)
    if let bound = outlierBound {
      u.stream.outliers = target.logarithmic
        ? OutlierCodec.encodeRelative(original: u.original, decoded: restored, mask: u.maskPointer, bound: bound)
        : OutlierCodec.encode(original: u.original, decoded: restored, mask: u.maskPointer, bound: bound)
    }
    statistics.add(tile: u.box, original: u.original, decoded: restored, type: source.type, mask: u.mask)
    decoded?[u.index - layout.units.lowerBound] = restored
  }

  /// - Collective: all ranks.
  private func findLattice(ranks: borrowing Communicator) throws -> DecimalLattice.Quantum? {
    var lattice = DecimalLattice()
    func pass(_ take: (inout DecimalLattice, RawArray, UnsafePointer<UInt8>?) -> Void) throws {
      for c in 0..<source.components {
        for a in source.arrays[c] where a.count > 0 && lattice.isAlive {
          if let special {
            let categories = RawArray(box: a.box, elementSize: 1)
            _ = special.classify(a, into: categories.bound(to: UInt8.self))
            let m = categories.bound(to: UInt8.self)
            for i in 0..<a.count { m[i] = m[i] == 0 ? 1 : 0 }
            take(&lattice, a, m)
          } else { take(&lattice, a, nil) }
        }
      }
      let all = try ranks.merged(lattice.bytes) { a, b in
        var m = DecimalLattice(bytes: a)
        m.merge(DecimalLattice(bytes: b))
        return m.bytes
      }
      lattice = DecimalLattice(bytes: all)
    }
    try pass { $0.scan($1, mask: $2) }
    if lattice.needsConfirmation { try pass { $0.confirm($1, mask: $2) } }
    return lattice.quantum
  }

  /// A field whose spread lies within what was asked for: one value per component says it all. `nil` when it does not.
  ///
  /// - Collective: all ranks.
  private func runFlat(_ start: FieldCoding, ranks: borrowing Communicator) throws -> EncodedField? {
    guard let wanted = target.rmse, !target.logarithmic, special == nil else { return nil }
    if let bound = target.pointwise, survey.range > 2 * bound { return nil }
    let middle = survey.minimum + survey.range / 2
    if target.pointwise == nil {
      // A quick look, whose last bits depend on the cutting: it only sends away what is far from flat. A part varies no more than all.
      func farFromFlat(_ limit: Int) throws -> Bool {
        var parts: [Double] = []
        for c in 0..<layout.components {
          var s = 0.0, q = 0.0, n = 0
          for a in source.arrays[c] where a.count > 0 {
            var ds = 0.0, dq = 0.0
            let k = min(a.count, limit)
            if source.type == .float32 { ald_moments_f32(a.bound(to: Float.self), k, middle, &ds, &dq) } else {
              ald_moments_f64(a.bound(to: Double.self), k, middle, &ds, &dq)
            }
            s += ds; q += dq; n += k
          }
          parts += [s, q, Double(n)]
        }
        let all = try ranks.allReduce(parts, .sum)
        var rough = 0.0
        for c in 0..<layout.components { rough += all[3 * c + 1] - all[3 * c] * all[3 * c] / max(1, all[3 * c + 2]) }
        return rough / Double(layout.grid.count) / Double(layout.components) > wanted * wanted * 1.1
      }
      if try farFromFlat(1 << 12) { return nil }
      if try farFromFlat(.max) { return nil }
    }
    // Means and mean squares about the middle of the range, exact for any cutting.
    var sums = [ExactSum](repeating: ExactSum(), count: 2 * layout.components)
    for c in 0..<layout.components {
      for a in source.arrays[c] {
        for i in 0..<a.count {
          let v = (source.type == .float32 ? Double(a.bound(to: Float.self)[i]) : a.bound(to: Double.self)[i]) - middle
          sums[2 * c].add(v)
          sums[2 * c + 1].add(v * v)
        }
      }
    }
    let total = try reduce(sums, ranks: ranks)
    let n = Double(layout.grid.count)
    var coding = start, variance = 0.0
    coding.member = .constant
    coding.workType = source.type
    for c in 0..<layout.components {
      let mean = total[2 * c].value / n
      variance += max(0, total[2 * c + 1].value / n - mean * mean)
      let value = target.pointwise == nil ? middle + mean : middle
      coding.constants.append(source.type == .float32 ? UInt64(Float(value).bitPattern) : value.bitPattern)
    }
    guard target.pointwise != nil || (variance / Double(layout.components)).squareRoot() <= wanted * 0.999 else { return nil }
    let encoded = try runExact(coding, exact: false, ranks: ranks)
    if let bound = target.pointwise, encoded.statistics.contains(where: { $0.maximumError > bound }) { return nil }
    return encoded
  }

  /// The mask that statistics need where no list of special values gives it.
  private func validCells(_ a: RawArray) -> RawArray {
    let mask = RawArray(box: a.box, elementSize: 1), m = mask.bound(to: UInt8.self), fills = Set(source.fillPatterns)
    for i in 0..<a.count {
      let p = source.type == .float32 ? UInt64(a.bound(to: UInt32.self)[i]) : a.bound(to: UInt64.self)[i]
      let finite = source.type == .float32 ? a.bound(to: Float.self)[i].isFinite : a.bound(to: Double.self)[i].isFinite
      m[i] = finite && !fills.contains(p) ? 1 : 0
    }
    return mask
  }

  /// Constant and lossless fields.
  ///
  /// - Parameter exact: whether the decoded values are known to be the given ones.
  /// - Collective: all ranks.
  func runExact(_ coding: FieldCoding, exact: Bool = true, ranks: borrowing Communicator) throws -> EncodedField {
    var statistics = [ErrorStatistics](repeating: emptyStatistics(), count: layout.components)
    let none = emptyStatistics()
    var streams: [[UInt8]] = []
    try forEachPart(ranks: ranks) { part in
      let results = Slots<ErrorStatistics?>(part.count, nil), failures = Slots<(any Error)?>(part.count, nil)
      phases.measure("entropy") {
        parallelFor(part.count, threads: threads) { i in
          let u = part[i]
          if coding.member == .lossless {
            u.stream.payload = LosslessCodec.encode(u.original, mask: u.maskPointer)
            if check {
              do {
                let again = RawArray(box: u.box, type: source.type)
                try u.stream.payload.withUnsafeBytes { try LosslessCodec.decode($0, into: again, mask: u.maskPointer) }
                guard sameBits(again, u.original, u.maskPointer) else { throw CompressorError.notReproduced(stream: u.index) }
              } catch is StreamError { failures[i] = CompressorError.notReproduced(stream: u.index) } catch { failures[i] = error }
            }
          }
          if check || !exact || self.decoded != nil {
            var s = none
            let decoded = exact ? u.original : FieldDecoder.constant(coding.constants[layout.component(of: u.index)], u.box, source.type)
            s.add(tile: u.box, original: u.original, decoded: decoded, type: source.type, mask: survey.unlisted ? validCells(u.original) : u.mask)
            results[i] = s
            self.decoded?[u.index - layout.units.lowerBound] = decoded
          }
        }
      }
      for i in part.indices {
        if let e = failures[i] { throw e }
        if let s = results[i] { statistics[layout.component(of: part[i].index)].merge(s) }
      }
      streams += part.map(\.stream.bytes)
    }
    return try conclude(coding, streams: streams, statistics: statistics, ranks: ranks)
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
