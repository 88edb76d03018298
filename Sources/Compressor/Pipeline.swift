import Codecs
import Decomposition
public import MPI
import Fields
import Glibc
import Observables
import Reduction
import SnapshotIO
import Statistics

// The sub-commands. Each is collective over `ranks`; errors are agreed on, so every rank throws the same one.

/// Throws the same "interrupted" everywhere as soon as one rank was asked to stop.
///
/// - Collective: all ranks.
func checkInterruption(_ ranks: borrowing Communicator) throws {
  if try ranks.allReduce(Interruption.requested ? 1 : 0, .max) > 0 {
    throw Failure(.interrupted, "interrupted; nothing half-written is left, run again to continue")
  }
}

/// A container's fields with their descriptions.
func descriptions(_ reader: ContainerReader) throws -> [FieldDescription] {
  try reader.fields.map { f in
    guard let d = FieldDescription(f.description) else {
      throw SnapshotError(.badDirectory, file: reader.path, dataset: f.name, "has a description this version cannot read")
    }
    return d
  }
}

func snapshotOptions(_ o: InputOptions, fields: [String]) -> SnapshotOptions {
  var s = SnapshotOptions()
  s.fields = fields
  s.vectors = o.vectors.map { .init(name: $0.name, datasets: $0.components) }
  s.axes = o.axes
  switch o.periodic {
  case .auto: s.periodic = nil
  case .none: s.periodic = "none"
  case .axes(let a): s.periodic = a
  }
  if let r = o.raw { s.raw = .init(type: r.type, shape: r.shape) }
  return s
}

/// The steps asked for, clipped to those there are.
func selectedSteps(_ wanted: Range<Int>?, of available: Int, in what: String) throws -> Range<Int> {
  guard let wanted else { return 0..<available }
  let upper = min(wanted.upperBound, available)
  guard wanted.lowerBound < upper else {
    throw Failure(.usage, "\(what) has steps 0:\(available), none of \(wanted.lowerBound):\(wanted.upperBound == .max ? "end" : String(wanted.upperBound)) is among them")
  }
  return wanted.lowerBound..<upper
}

/// Codes every field and step of a snapshot into a container.
///
/// - Parameter progress: called after every step with one line of text, on every rank.
/// - Throws: `Failure` or `AgreedError`, the same on all ranks: usage (exit code 1), input or output (2), a corrupt container (4), interruption (75), a bound that is not kept (3; no container is left).
/// - Collective: all ranks.
public func compress(_ o: CompressOptions, ranks: borrowing Communicator, progress: (String) -> Void) throws -> Report {
  let started = PhaseClock.now()
  let phases = PhaseClock()
  try ranks.agree { try refuseOverwriting(o.input, with: o.output) }
  let input = try phases.measure("open") { try SnapshotInput.open(o.input, snapshotOptions(o.reading, fields: o.fields), ranks: ranks) }
  let before = try o.after.map { path in
    try ranks.agree { try refuseForeign(path, for: o.output) }
    return try phases.measure("open") { try ContainerReader.open(path, ranks: ranks) }
  }
  let forced = try o.codec.map { name in
    guard let m = FieldCoding.Member(name: name) else { throw Failure(.usage, "--codec \(name): known are \(FieldCoding.Member.allCases.map(\.name).joined(separator: ", "))") }
    return m
  }
  for b in o.fieldBounds where !input.fields.contains(where: { $0.name == b.name }) {
    throw Failure(.usage, "--bound \(b.name): no such field; there are \(input.fields.map(\.name).joined(separator: ", "))")
  }
  let plan = try ObservationPlan(o.observe, input.fields, positions: input.positions, ranks: ranks)
  let keep = try ranks.agree {
    let keep = try o.keep.map { try KeepRequest($0, ObservationPlan.catalogue(o.observe)) }
    for (i, k) in keep.enumerated() {
      try k.check(input.fields)
      if let other = keep[..<i].first(where: k.contradicts) {
        throw Failure(.usage, "\(k.asked.option) \(k.specification) has two targets, \(other.asked.error) and \(k.asked.error)")
      }
    }
    for f in input.fields {
      let bound = o.bound(for: f.name), kept = try keptObservables(keep, f, bound: bound)
      if kept.contains(where: \.restored), restorationKinds(o.restoration, f).isEmpty {
        throw Failure(.usage, "--keep-restored is for restored views; give --restoration with it, of kinds that suit \(f.name)")
      }
      if o.maximumPSNRLoss != nil, !kept.isEmpty, bound.kind != "rate" {
        throw Failure(.usage, "--max-psnr-loss limits what --keep costs at a held --rate; --\(bound.kind) holds the fidelity of \(f.name) itself")
      }
    }
    if !o.restoration.isEmpty, let f = input.fields.first(where: { o.bound(for: $0.name) == .lossless }) {
      throw Failure(.usage, "--restoration and --lossless exclude each other (\(f.name)): nothing is lost")
    }
    for kind in o.restoration.sorted(by: { $0.rawValue < $1.rawValue }) where !input.fields.contains(where: { restorationKinds([kind], $0) == [kind] }) {
      throw Failure(.usage, "--restoration \(kind.rawValue) needs a \(kind == .divergence ? "vector field, one component per axis, on a " : "")grid that wraps along every axis (--periodic); there is none")
    }
    return keep
  }
  let models = try phases.measure("open") { try o.models.map { try ModelFile.read($0, suiting: input.fields, ranks: ranks) } }
  let writer = o.dryRun ? nil : try ContainerWriter(path: o.output, noClobber: o.noClobber, ranks: ranks)
  var report = Report()
  do {
    for (number, f) in input.fields.enumerated() {
      let steps = try selectedSteps(o.steps, of: f.steps, in: "\(o.input): \(f.name)")
      let slot = try writer?.addField(name: f.name, description: f.encode(), ranks: ranks)
      let series = try o.temporal.map { interval in
        let series = TemporalSeries(keyInterval: interval)
        if let before { try phases.measure("decode") { try series.resume(after: before, f, threads: o.threads, ranks: ranks) } }
        return series
      }
      for step in steps {
        try checkInterruption(ranks)
        let bound = o.bound(for: f.name)
        let source = try phases.measure("read") { try readSource(input, number, step, ranks: ranks) }
        var request = AlignedRequest(f, observing: plan.fields[number])
        request.kept = try keptObservables(keep, f, bound: bound)
        if !request.kept.isEmpty || !o.restoration.isEmpty { request.coordinates = try ranks.agree { try ObservationPlan.coordinates(of: f, input.positions[number]) } }
        request.maximumLoss = o.maximumPSNRLoss
        request.tileAccess = o.tileAccess
        request.correctors = models.compactMap { if case .network(let n) = $0 { .network(n) } else { nil } } + (o.filter ? [.filter] : [])
        request.autoencoders = models.compactMap { if case .autoencoder(let a) = $0 { a } else { nil } }
        request.restoration = restorationKinds(o.restoration, f)
        let aligned = try encodeAligned(
          request, source, bound: bound, forced: forced, temporal: series, threads: o.threads, check: o.verify, phases: phases, ranks: ranks)
        let encoded = aligned.field
        let header = encoded.coding.serialised
        var stored = StoredBytes(streams: encoded.streamBytes, header: header.count)
        try checkInterruption(ranks)
        if let writer, let slot {
          stored = try phases.measure("write") {
            try writer.append(ContainerStep(step: step, header: header, streams: encoded.streams, lengths: encoded.lengths), to: slot, ranks: ranks)
          }
        }
        var line = fieldReport(f, step: step, encoded, stored)
        fill(&line, aligned)
        report.result.fields.append(line)
        guard line.boundKept != false else {
          throw Failure(.boundViolated, "\(f.name), step \(step): \(boundText(line)); nothing was written")
        }
        series?.commit(step: step)
        progress("\(f.name)  step \(step)  \(line.transform)\(line.temporal?.predicted == true ? ", predicted" : "")  \(short(line.bitsPerValue)) bits/value  psnr \(short(line.psnrDB)) dB")
      }
    }
    if let writer {
      try phases.measure("write") {
        let sizes = try writer.commit(carry: try input.carry(ranks: ranks), verify: o.verify, ranks: ranks)
        report.result.containerOverheadBytes = sizes.overhead
      }
    }
  } catch {
    writer?.abandon()
    throw error
  }
  try finishRun(&report, "compress", o.threads, phases, started, ranks: ranks)
  return report
}

/// Reads this rank's slab of one step.
///
/// - Collective: all ranks.
func readSource(_ input: SnapshotInput, _ field: Int, _ step: Int, ranks: borrowing Communicator) throws -> FieldSource {
  let f = input.fields[field]
  let box = Partition.slab(of: f.grid, rank: ranks.rank, of: ranks.size)
  let arrays = try ranks.agree {
    try (0..<f.components).map { c in
      let a = RawArray(box: box, type: f.type)
      try input.read(field: field, step: step, component: c, box: box, into: a)
      return [a]
    }
  }
  return FieldSource(name: f.name, grid: f.grid, type: f.type, components: f.components, boxes: [box], arrays: arrays, fillPatterns: f.fillValues,
    geometry: SpectralGeometry(f, positions: input.positions[field]))
}

/// Decodes a container, or part of it, into an HDF5 or NetCDF-4 file.
///
/// - Parameter progress: called after every step with one line of text, on every rank.
/// - Throws: `Failure` or `AgreedError`, the same on all ranks: usage (exit code 1), input or output (2), a corrupt container (4), interruption (75); no output is left.
/// - Collective: all ranks.
public func decompress(_ o: DecompressOptions, ranks: borrowing Communicator, progress: (String) -> Void) throws -> Report {
  let started = PhaseClock.now()
  let phases = PhaseClock()
  try ranks.agree { try refuseOverwriting(o.input, with: o.output) }
  let reader = try phases.measure("open") { try ContainerReader.open(o.input, ranks: ranks) }
  try ModelShelf.add(o.models, to: reader, ranks: ranks)
  let all = try ranks.agree { try descriptions(reader) }
  for name in o.fields where !all.contains(where: { $0.name == name }) {
    throw Failure(.inputOutput, "\(o.input): no field \(name); there are \(all.map(\.name).joined(separator: ", "))")
  }
  let chosen = all.indices.filter { o.fields.isEmpty || o.fields.contains(all[$0].name) }
  var outputs: [OutputField] = [], regions: [Box?] = [], stepLists: [[Int]] = []
  for i in chosen {
    let d = all[i]
    let region = try o.region.map { try regionBox($0, d, o.input) }
    let stored = reader.fields[i].steps
    let wanted = o.steps
    let steps = stored.indices.filter { wanted?.contains(stored[$0]) ?? true }
    guard let first = steps.first, let last = steps.last else {
      throw Failure(.usage, "\(o.input): \(d.name) holds steps \(stored.first ?? 0):\((stored.last ?? -1) + 1), none of those asked for")
    }
    let coarse = o.coarsening > 1 ? SpectralModes.coarse(d.grid.shape, level: SpectralModes.levels - 1 - o.coarsening.trailingZeroBitCount) : nil
    outputs.append(OutputField(d, steps: stored[first]..<stored[last] + 1, region: region, coarse: coarse))
    regions.append(region)
    stepLists.append(steps)
  }
  if o.restore {
    let some = try ranks.agree {
      try zip(chosen, stepLists).contains { i, steps in
        try steps.contains { s in
          try corrupt("\(o.input): \(all[i].name)") { try !FieldCoding(serialised: reader.header(field: i, step: s)).restoration.isEmpty }
        }
      }
    }
    guard some else { throw Failure(.usage, "\(o.input) holds nothing to restore; compress with --restoration") }
  }
  let isFirst = ranks.rank == 0
  let file = try phases.measure("write") {
    try OutputFile(path: o.output, fields: outputs, all: all, carry: try ranks.agree { isFirst ? try reader.carry() : [] }, noClobber: o.noClobber, ranks: ranks)
  }
  var report = Report()
  do {
    for (n, i) in chosen.enumerated() {
      let d = all[i], history = try ranks.agree { try DecodedSteps(reader, field: i) }
      for s in stepLists[n] {
        try checkInterruption(ranks)
        let step = reader.fields[i].steps[s]
        let values = try phases.measure("decode") {
          try ContainerValues(reader, d, field: i, stepIndex: s, wanted: regions[n], coarsening: o.coarsening, history: history, threads: o.threads, ranks: ranks)
        }
        let written = outputs[n].coarse.map { d.resized(to: $0, periodic: d.grid.periodic) } ?? d
        try writeField(values, written, n, step, regions[n] ?? written.grid.box, restore: o.restore, context: o.input, to: file, phases, ranks: ranks)
        report.result.fields.append(storedReport(d, step: step, values.coding, reader.stored(field: i, step: s)))
        progress("\(d.name)  step \(step)  \(values.coding.member.name)")
      }
    }
    try phases.measure("write") { try file.commit(xdmf: o.xdmf, ranks: ranks) }
  } catch {
    file.abandon()
    throw error
  }
  try finishRun(&report, "decompress", o.threads, phases, started, ranks: ranks)
  return report
}

/// Brings decoded tile regions into slabs of the output and writes those in long runs.
///
/// - Collective: all ranks.
private func writeField(
  _ values: ContainerValues, _ d: FieldDescription, _ field: Int, _ step: Int, _ region: Box, restore: Bool, context: String, to file: OutputFile,
  _ phases: PhaseClock, ranks: borrowing Communicator
) throws {
  let local = Partition.slab(of: Grid(shape: region.shape, dimensions: d.grid.dimensions), rank: ranks.rank, of: ranks.size)
  let slab = local.isEmpty ? local : local.shifted(by: region.lower)
  var targets = (0..<d.components).map { _ in RawArray(box: slab, type: d.type) }
  for round in 0..<values.walk.rounds {
    let part = try phases.measure("decode") { try values.values(round: round, ranks: ranks) }
    try phases.measure("exchange") {
      let have = part.map { [$0[0].box] } ?? []
      let plan = try Redistribution(have: have, want: slab.isEmpty ? [] : [slab], grid: d.grid, ranks: ranks, requireCover: false)
      for c in 0..<d.components {
        try plan.move(part.map { [$0[c]] } ?? [], into: slab.isEmpty ? [] : [targets[c]], ranks: ranks)
      }
    }
  }
  if restore, !values.coding.restoration.isEmpty {
    targets = try phases.measure("restore") {
      let (restoration, coordinates) = try corrupt("\(context): \(d.name), step \(step)") {
        try FieldRestoration.read(values.coding.restoration, grid: d.grid, components: d.components)
      }
      return try restored(
        targets.map { slab.isEmpty ? [] : [$0] }, in: slab.isEmpty ? [] : [slab], to: slab, restoration, coordinates: coordinates, grid: d.grid, type: d.type,
        specials: values.coding.specials, ranks: ranks)
    }
  }
  try phases.measure("write") {
    try ranks.agree {
      guard !slab.isEmpty else { return }
      for c in 0..<d.components { try file.write(field: field, step: step, component: c, box: slab, from: targets[c]) }
    }
  }
}

/// Checks a container, or all those of a series: every checksum, every stream decoded; against the original also every promise.
///
/// - Parameter progress: called after every step with one line of text, on every rank.
/// - Throws: `Failure` or `AgreedError`, the same on all ranks: usage (exit code 1), input or output (2), a corrupt container (4), interruption (75), a violated bound (3).
/// - Collective: all ranks.
public func verify(_ o: VerifyOptions, ranks: borrowing Communicator, progress: (String) -> Void) throws -> Report {
  let started = PhaseClock.now()
  let phases = PhaseClock()
  var report = Report()
  if let series = try series(o.input, ranks: ranks) {
    try verify(series.folder, series.index, o, into: &report, phases, ranks: ranks, progress: progress)
  } else {
    try verify(container: o.input, o, into: &report, phases, ranks: ranks, progress: progress)
  }
  try finishRun(&report, "verify", o.threads, phases, started, ranks: ranks)
  return report
}

/// - Parameter history: what steps of this series decoded before have left, by field; `nil`: the container stands alone.
/// - Collective: all ranks.
func verify(
  container path: String, _ o: VerifyOptions, into report: inout Report, _ phases: PhaseClock, history known: ((String) -> DecodedSteps)? = nil,
  ranks: borrowing Communicator, progress: (String) -> Void
) throws {
  let reader = try phases.measure("open") { try ContainerReader.open(path, ranks: ranks) }
  try ModelShelf.add(o.models, to: reader, ranks: ranks)
  let all = try ranks.agree { try descriptions(reader) }
  var reading = o.reading
  for d in all where !d.datasets.isEmpty && !reading.vectors.contains(where: { $0.name == d.name }) {
    reading.vectors.append(VectorGroup(name: d.name, components: d.datasets))
  }
  let original = try o.against.map { try SnapshotInput.open($0, snapshotOptions(reading, fields: all.map(\.name)), ranks: ranks) }
  if original == nil, !o.observe.specifications.isEmpty { throw Failure(.usage, "--observe compares with the original; give --against") }
  let others = try all.map { d in try original.map { try matching(d, $0, path) } }
  let plan = try ObservationPlan(
    o.observe, all, positions: others.indices.map { i in others[i].map { original!.positions[$0] } ?? [] }, ranks: ranks)
  for (i, d) in all.enumerated() {
    let other = others[i], history = try known?(d.name) ?? ranks.agree { try DecodedSteps(reader, field: i) }
    for s in reader.fields[i].steps.indices {
      try checkInterruption(ranks)
      let step = reader.fields[i].steps[s]
      let values = try phases.measure("decode") {
        try ContainerValues(reader, d, field: i, stepIndex: s, wanted: nil, history: history, threads: o.threads, ranks: ranks)
      }
      var line = storedReport(d, step: step, values.coding, reader.stored(field: i, step: s))
      if let original, let other {
        let reference = try SnapshotValues(original, field: other, step: step, ranks: ranks)
        var relative = 0.0
        if case .pointwiseRelative(let e) = values.coding.request { relative = e }
        let c = try compareValues(reference, values, d, scale: values.coding.request.histogramScale(values.coding.absolute), relativeBound: relative, threads: o.threads, phases, ranks: ranks)
        fill(&line, c, request: values.coding.request, absolute: values.coding.absolute)
        line.observables = try observe(plan.fields[i], reference, values, d, phases, ranks: ranks)
      } else {
        for round in 0..<values.walk.rounds { _ = try phases.measure("decode") { try values.values(round: round, ranks: ranks) } }
      }
      report.result.fields.append(line)
      if line.boundKept == false { throw Failure(.boundViolated, "\(path): \(d.name), step \(step): \(boundText(line))") }
      progress("\(d.name)  step \(step)  checksums and decoding are right\(line.boundKept == true ? ", bound kept" : "")")
    }
  }
  let isFirst = ranks.rank == 0
  try ranks.agree { if isFirst { _ = try reader.carry() } }
  report.result.containerOverheadBytes += try reader.sizes().overhead
}

/// Compares two snapshots or containers field by field; the first is the reference.
///
/// - Parameter progress: called after every step with one line of text, on every rank.
/// - Throws: `Failure` or `AgreedError`, the same on all ranks: usage (exit code 1), input or output (2), a corrupt container (4), interruption (75).
/// - Collective: all ranks.
public func compare(_ o: CompareOptions, ranks: borrowing Communicator, progress: (String) -> Void) throws -> Report {
  let started = PhaseClock.now()
  let phases = PhaseClock()
  let a = try phases.measure("open") { try Comparable(o.first, o, ranks: ranks) }
  let b = try phases.measure("open") { try Comparable(o.second, o, ranks: ranks) }
  var report = Report()
  let wanted = o.fields.isEmpty ? a.fields.map(\.name) : o.fields
  let pairs = try wanted.map { (try a.index($0), try b.index($0)) }
  let plan = try ObservationPlan(
    o.observe, pairs.map { a.fields[$0.0] }, positions: pairs.map { a.positions($0.0) ?? b.positions($0.1) ?? [] }, ranks: ranks)
  for (number, name) in wanted.enumerated() {
    let (i, j) = pairs[number]
    let d = a.fields[i], e = b.fields[j]
    guard d.grid.shape == e.grid.shape, d.components == e.components, d.type == e.type else {
      throw Failure(.inputOutput, "\(o.second): \(e) cannot be compared with \(d) of \(o.first)")
    }
    let steps = a.steps(i).filter { b.steps(j).contains($0) }
    guard !steps.isEmpty else { throw Failure(.inputOutput, "\(o.second): \(name) has no step in common with \(o.first)") }
    for step in steps {
      try checkInterruption(ranks)
      let x = try a.values(i, step, o.threads, ranks: ranks), y = try b.values(j, step, o.threads, ranks: ranks)
      let c = try compareValues(x, y, d, scale: .nan, threads: o.threads, phases, ranks: ranks)
      var line = FieldReport(name: d.name, step: step)
      describe(&line, d)
      fill(&line, c, request: nil, absolute: .nan)
      line.observables = try observe(plan.fields[number], x, y, d, phases, ranks: ranks)
      report.result.fields.append(line)
      progress("\(d.name)  step \(step)  max error \(short(line.maxAbsError))  psnr \(short(line.psnrDB)) dB")
    }
  }
  try finishRun(&report, "compare", o.threads, phases, started, ranks: ranks)
  return report
}

/// What a container holds, without decoding it.
///
/// - Throws: `Failure` or `AgreedError`, the same on all ranks: usage (exit code 1), input or output (2), a corrupt container (4), interruption (75).
/// - Collective: all ranks.
public func inspect(_ o: InspectOptions, ranks: borrowing Communicator, progress: (String) -> Void) throws -> Report {
  let started = PhaseClock.now()
  let phases = PhaseClock()
  let reader = try ContainerReader.open(o.input, ranks: ranks)
  let all = try ranks.agree { try descriptions(reader) }
  var report = Report()
  for (i, d) in all.enumerated() {
    for s in reader.fields[i].steps.indices {
      let coding = try ranks.agree { try corrupt("\(o.input): \(d.name)") { try FieldCoding(serialised: try reader.header(field: i, step: s)) } }
      var line = storedReport(d, step: reader.fields[i].steps[s], coding, reader.stored(field: i, step: s))
      for (n, r) in (coding.prediction?.references ?? []).enumerated() {
        let there = try ranks.allReduce(StepChain.isThere(r, beside: reader) ? 1 : 0, .min)
        if there == 0 { line.temporal!.references[n] += " (missing)" }
      }
      report.result.fields.append(line)
    }
  }
  report.result.containerOverheadBytes = try reader.sizes().overhead
  try finishRun(&report, "inspect", 1, phases, started, ranks: ranks)
  return report
}
