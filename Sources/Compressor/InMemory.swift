public import Codecs
public import Fields
public import MPI
public import Observables
public import SnapshotIO

// The pipeline without input files: arrays in memory to streams in memory, streams to a container, a container to arrays.
// For programs that hold their fields, and for measurements of the pipeline alone.

/// Encodes one field at one step.
///
/// - Parameter member: one codec instead of the choice of the bank.
/// - Parameter tileAccess: leaves out members that need more than the streams around a tile to decode it.
/// - Parameter verify: whether every stream is decoded again and the errors are measured.
/// - Parameter temporal: the series that the step belongs to: what it may be predicted from, by the field's name. The caller commits the step there.
/// - Parameter phases: collects the seconds of each phase of this rank.
/// - Parameter background: has tiles coded beside the caller; this runs inside its body.
/// - Collective: all ranks.
public func encodeField(
  _ source: FieldSource, bound: ErrorBound, member: FieldCoding.Member? = nil, tileAccess: Bool = false, temporal: TemporalSeries? = nil, threads: Int = 1,
  verify: Bool = true, phases: PhaseClock = PhaseClock(), background: CodingTask? = nil, ranks: borrowing Communicator
) throws -> EncodedField {
  let encoder = try FieldEncoder(source, bound: bound, forced: member, threads: threads, check: verify, phases: phases, ranks: ranks)
  encoder.tileAccess = tileAccess
  encoder.background = background
  encoder.history = temporal?.history(of: source.name)
  return try encoder.encode(ranks: ranks)
}

/// The same with observables to be kept, views to be restored and a fitted filter, as by `--keep`, `--restoration` and `--filter`; unit spacing.
///
/// - Throws: `Failure`: usage for what cannot be kept or restored, boundViolated with the best that can be had.
/// - Collective: all ranks.
public func encodeField(
  _ source: FieldSource, as d: FieldDescription, bound: ErrorBound, keep: [KeepTarget], restoration: Set<RestorationKind> = [],
  filter: Bool = false, member: FieldCoding.Member? = nil, threads: Int = 1, verify: Bool = true, phases: PhaseClock = PhaseClock(), ranks: borrowing Communicator
) throws -> EncodedField {
  var request = AlignedRequest(d, observing: .init(observables: [], names: [], coordinates: .unit))
  request.kept = try ranks.agree {
    let catalogue = ObservationPlan.catalogue(ObserveOptions())
    return try keptObservables(keep.map { try KeepRequest($0, catalogue) }, d, bound: bound)
  }
  request.restoration = restorationKinds(restoration, d)
  request.correctors = filter ? [.filter] : []
  return try encodeAligned(request, source, bound: bound, forced: member, threads: threads, check: verify, phases: phases, ranks: ranks).field
}

/// Writes one encoded field as a container.
///
/// - Returns: What it occupies and, as far as it was measured, its error.
/// - Collective: all ranks.
@discardableResult
public func writeContainer(
  _ field: EncodedField, as description: FieldDescription, to path: String, ranks: borrowing Communicator
) throws -> FieldReport {
  let writer = try ContainerWriter(path: path, ranks: ranks)
  do {
    let slot = try writer.addField(name: description.name, description: description.encode(), ranks: ranks)
    let stored = try writer.append(
      ContainerStep(step: 0, header: field.coding.serialised, streams: field.streams, lengths: field.lengths), to: slot, ranks: ranks)
    _ = try writer.commit(ranks: ranks)
    return fieldReport(description, step: 0, field, stored)
  } catch {
    writer.abandon()
    throw error
  }
}

/// Decodes one step of one field of a container, region by region, each on one rank.
///
/// - Parameter body: one array per component on the region's box, stored type.
/// - Collective: all ranks.
public func decodeContainer(
  _ path: String, field: Int = 0, stepIndex: Int = 0, threads: Int = 1, ranks: borrowing Communicator, _ body: ([RawArray]) throws -> Void
) throws {
  let reader = try ContainerReader.open(path, ranks: ranks)
  let all = try ranks.agree { try descriptions(reader) }
  let values = try ContainerValues(reader, all[field], field: field, stepIndex: stepIndex, wanted: nil, threads: threads, ranks: ranks)
  for round in 0..<values.walk.rounds {
    if let part = try values.values(round: round, ranks: ranks) { try body(part) }
  }
}

/// Decodes a box of one step of one field on this process alone, from the tiles that touch it.
///
/// - Parameter region: Cells of the field's grid, in storage order.
/// - Returns: One array per component on `region`, stored type.
public func decodeRegion(_ reader: ContainerReader, field: Int, stepIndex: Int, region: Box, threads: Int = 1) throws -> [RawArray] {
  let alone = Communicator.alone()
  let d = try descriptions(reader)[field]
  guard !region.isEmpty, d.grid.box.contains(region) else {
    throw Failure(.usage, "\(reader.path): region \(region) of \(d.name) is empty or not inside \(d.grid.box)")
  }
  let values = try ContainerValues(reader, d, field: field, stepIndex: stepIndex, wanted: region, threads: threads, ranks: alone)
  let out = (0..<d.components).map { _ in RawArray(box: region, type: d.type) }
  for round in 0..<values.walk.rounds {
    guard let part = try values.values(round: round, ranks: alone) else { continue }
    for (c, a) in part.enumerated() { out[c].copy(a.box.intersection(region), from: a) }
  }
  return out
}
