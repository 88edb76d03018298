import Codecs
import Fields
import Glibc
import LatentGeometry
import MPI
import Observables
import Reduction
import SnapshotIO
import Statistics

// Aligned coding: steps per band, and the rounding itself, such that given observables come out at most so wrong. docs/aligned.md.

/// What is asked for one field beside its bound.
struct AlignedRequest {
  var kept: [Kept] = []
  /// dB of PSNR.
  var maximumLoss: Double?
  var restoration: Set<RestorationKind> = []
  var coordinates = Coordinates.unit
  var tileAccess = false
  var globalTransforms = true
  var correctors: [Corrector] = []
  var autoencoders: [Autoencoder] = []
  let observed: [any Observable]
  /// As of `FieldDescription.componentOrder`.
  let order: [Int]

  var isEmpty: Bool { kept.isEmpty && restoration.isEmpty && observed.isEmpty }

  init(_ f: FieldDescription, observing: ObservationPlan.Field) {
    order = f.componentOrder
    observed = observing.observables
    coordinates = observing.coordinates
  }
}

extension FieldDescription {
  /// Which component stands for storage axis 2, 1, 0, in the order in which observables take them: components belong to axis letters.
  var componentOrder: [Int] {
    let places = spatialAxes.reversed().map { Array("xyz").firstIndex(of: $0)! }
    return places.count == components && places.allSatisfy { $0 < components } ? places : Array(0..<components)
  }
}

/// A field coded with its request met.
struct AlignedField {
  var field: EncodedField
  /// What was to be kept, then what else was to be observed.
  var observables: [ObservableReport] = []
  /// Errors of what was to be kept by the law.
  var predicted: [Double] = []
  /// Steps that were needed (`uniform`, `diagonal`, `nearest-plane`) and the PSNR they cost; nil where nothing was to be kept.
  var steps: (name: String, lossDB: Double)?
  var restoration: RestorationMeasure?
}

/// Codes a field so that all that is to be kept holds on the decoded values, outliers and all, and adds what restores it.
///
/// Without a request the stream is that of a plain job.
/// Fields with missing values have no steps to weight: for them the bound is made finer until the targets hold.
/// - Parameter temporal: the series that the step belongs to; the caller commits it there.
/// - Parameter background: codes tiles beside the caller; this runs inside its body.
/// - Throws: `Failure(.boundViolated)` with the best that was had; `Failure(.usage)` for what cannot be restored.
/// - Collective: all ranks.
func encodeAligned(
  _ r: AlignedRequest, _ source: FieldSource, bound: ErrorBound, forced: FieldCoding.Member?, temporal: TemporalSeries? = nil, threads: Int, check: Bool,
  phases: PhaseClock, background: CodingTask? = nil, ranks: borrowing Communicator
) throws -> AlignedField {
  func encoder(_ forced: FieldCoding.Member?, finer: Double = 1, _ ranks: borrowing Communicator) throws -> FieldEncoder {
    let e = try FieldEncoder(source, bound: bound.scaled(by: finer), forced: forced, threads: threads, check: check, phases: phases, ranks: ranks)
    e.tileAccess = r.tileAccess
    e.globalTransforms = r.globalTransforms
    e.background = background
    e.correctors = r.correctors
    e.autoencoders = r.autoencoders
    return e
  }
  let first = try encoder(forced, ranks)
  // Where observables are to be kept every step stands alone.
  if r.kept.isEmpty { first.history = temporal?.history(of: source.name) }
  if r.isEmpty { return AlignedField(field: try first.encode(ranks: ranks)) }
  return try withRankDomain(source.grid, coordinates: r.coordinates, ranks: ranks) { domain in
    let original = masking(try domain.parts(of: source.arrays, in: source.boxes, type: source.type), first.survey.specials, source.type)
    var restoration = FieldRestoration()
    do {
      restoration = try FieldRestoration(
        of: original, kinds: r.restoration, componentOfAxis: (0..<3).filter { source.grid.shape[$0] > 1 }.compactMap { 2 - $0 < r.order.count ? r.order[2 - $0] : nil },
        precision: source.type == .float32 ? 0x1p-24 : 0x1p-50, on: domain)
    } catch let e as ObservableError { throw Failure(.usage, "\(source.name): \(e)") }
    // First those of the original: what cannot be evaluated ends the job before the field is coded.
    let names = Set(r.kept.map { $0.observable.specification })
    let all = r.kept.map(\.observable) + r.observed.filter { !names.contains($0.specification) }
    let observer = try phases.measure("observe") { try FieldObserver(all, of: r.order.map { original[$0] }, on: domain) }
    var session = try AlignedSession(r, observer, first, restoration, original)
    func lapped(_ ranks: borrowing Communicator) throws -> FieldEncoder {
      let e = try encoder(.lapped16, ranks)
      e.autoencoders = []
      return e
    }
    var out = try session.run(ranks: ranks, lapped: lapped, finer: { try encoder(forced, finer: $0, $1) })
    if !all.isEmpty {
      out.observables = try phases.measure("observe") {
        let decoded = try session.encoder.decodedParts(on: domain)
        return try observer.reports(r.order.map { decoded[$0] })
      }
      if let point = session.encoder.operatingPoint(of: out.field) {
        try phases.measure("align") { try observer.align(&out.observables, at: point, source.ordered(r.order), spectral: session.encoder.spectral.map { ($0, r.order) }, ranks: ranks) }
      }
      for j in r.kept.indices {
        if r.kept[j].restored { out.observables[j].restoredTarget = r.kept[j].target } else { out.observables[j].target = r.kept[j].target }
        if !r.kept[j].restored { out.observables[j].predictedError = out.predicted[j] }
      }
    }
    out.field.coding.restoration = []
    if !restoration.isEmpty, out.field.coding.member != .lossless {
      let measure = try session.restored(session.encoder.decodedParts(on: domain))
      out.field.coding.restoration = measure.restoration.serialised(r.coordinates)
      out.restoration = measure
      if !all.isEmpty {
        let seen = try phases.measure("observe") { try observer.reports(r.order.map { measure.values[$0] }) }
        for j in seen.indices { out.observables[j].restoredError = seen[j].error }
      }
    }
    return out
  }
}

// MARK: what is asked for

/// `--keep` for one field: those named for it and those that can be evaluated on it.
///
/// - Throws: `Failure(.usage)` for a bound that has nothing to trade.
func keptObservables(_ all: [KeepRequest], _ f: FieldDescription, bound: ErrorBound) throws -> [Kept] {
  let mine = all.filter { $0.suits(f) }
  if !mine.isEmpty, bound == .lossless || bound.kind == "pwrel" {
    throw Failure(.usage, "\(mine[0].asked.option) and --\(bound.kind) exclude each other (\(f.name)): \(bound == .lossless ? "nothing is lost" : "logarithms are coded"); give --rate, --psnr, --abs or --rel")
  }
  return mine.map { Kept(observable: $0.observable, target: $0.asked.error, restored: $0.asked.restored) }
}

/// `--restoration` for one field: what such a grid and such components allow.
func restorationKinds(_ all: Set<RestorationKind>, _ f: FieldDescription) -> Set<RestorationKind> {
  let axes = (0..<3).filter { f.grid.shape[$0] > 1 }, wraps = axes.allSatisfy { f.grid.periodic[$0] }
  return all.filter { kind in
    switch kind {
    case .totals: true
    case .spectrum, .band: wraps
    case .divergence: wraps && f.components == axes.count
    }
  }
}
