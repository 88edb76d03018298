import Codecs
import Fields
import LatentGeometry
public import MPI
import Observables
import Reduction
import SnapshotIO
import Statistics

/// The representation audit: what the latents of each container tell of a field and its regimes, and how they lie.
///
/// A patch (a block of the lapped transform) at a step is a sample, its coefficients the latents, the quantiser's noise measured against the
/// original their unit. Information and clustering, distortion of distances and utility follow; nothing is written.
/// - Throws: `Failure` or `AgreedError`, the same on all ranks: usage (exit code 1), input or output (2), a corrupt container (4), a missing model (5), interruption (75).
/// - Collective: all ranks.
public func audit(_ o: AuditOptions, ranks: borrowing Communicator, progress: (String) -> Void) throws -> Report {
  let started = PhaseClock.now()
  let phases = PhaseClock()
  var reading = CompareOptions(first: o.against, second: o.against)
  reading.models = o.models; reading.reading = o.reading
  let readers = try phases.measure("open") { try (o.containers + (o.reference.map { [$0] } ?? [])).map { try AuditedContainer($0, o.models, ranks: ranks) } }
  let names = o.fields.isEmpty ? readers[0].fields.map(\.name) : o.fields
  reading.fields = names
  for d in readers[0].fields where !d.datasets.isEmpty && !reading.reading.vectors.contains(where: { $0.name == d.name }) {
    reading.reading.vectors.append(VectorGroup(name: d.name, components: d.datasets))
  }
  let original = try phases.measure("open") { try Comparable(o.against, reading, ranks: ranks) }
  var audit = AuditReport()
  audit.reference = o.reference.map(fileName) ?? ""
  for name in names {
    let i = try original.index(name), d = original.fields[i]
    var steps = original.steps(i)
    for r in readers {
      let f = try r.index(name), e = r.fields[f]
      guard d.grid.shape == e.grid.shape, d.components == e.components else { throw Failure(.inputOutput, "\(r.path): \(e) cannot be audited against \(d) of \(o.against)") }
      steps = steps.filter { s in r.steps(f).contains(s) && o.steps?.contains(s) ?? true }
    }
    if steps.isEmpty { throw Failure(.usage, "\(name): the containers and \(o.against) have no step in common, or none of those asked for") }
    let coordinates = try ranks.agree { try ObservationPlan.coordinates(of: d, original.positions(i) ?? []) }
    try withRankDomain(d.grid, coordinates: coordinates, ranks: ranks) { domain in
      var f = FieldAudit(o, d, steps, domain)
      try f.take(original, i, phases, ranks: ranks)
      audit.samples.append(try f.sample(ranks: ranks))
      let reference = try o.reference.map { _ in try f.latents(of: readers.last!, phases, ranks: ranks) }
      for r in readers.prefix(o.containers.count) {
        try checkInterruption(ranks)
        let p = try f.point(r, reference, phases, ranks: ranks)
        audit.points.append(p)
        progress("\(name)  \(p.container)  \(short(p.bitsPerValue)) bits/value  CDNV \(short(p.energies.cdnv))  I(C;T) \(short(p.information.classes)) bits")
      }
    }
  }
  audit.relate()
  var report = Report()
  report.result.audit = audit
  try finishRun(&report, "audit", o.threads, phases, started, ranks: ranks)
  return report
}

private func fileName(_ path: String) -> String { String(path.split(separator: "/").last ?? "") }

/// A container open for the audit.
private struct AuditedContainer {
  let path: String, reader: ContainerReader, fields: [FieldDescription]
  /// - Collective: all ranks.
  init(_ path: String, _ models: [String], ranks: borrowing Communicator) throws {
    self.path = path
    let r = try ContainerReader.open(path, ranks: ranks)
    try ModelShelf.add(models, to: r, ranks: ranks)
    reader = r
    fields = try ranks.agree { try descriptions(r) }
  }
  func index(_ name: String) throws -> Int {
    guard let i = fields.firstIndex(where: { $0.name == name }) else {
      throw Failure(.inputOutput, "\(path): no field \(name); there are \(fields.map(\.name).joined(separator: ", "))")
    }
    return i
  }
  func steps(_ i: Int) -> [Int] { reader.fields[i].steps }
}

/// One field at its steps.
private struct FieldAudit {
  let o: AuditOptions, d: FieldDescription, steps: [Int], domain: RankDomain
  let patches: PatchGrid
  private var original: PatchLatents
  /// Classes by sample; those without one in every factor are no samples.
  private var labels: [PatchLabels]
  private var found = 0
  private var counts: [Int] = []
  private var energy = Double.nan

  init(_ o: AuditOptions, _ d: FieldDescription, _ steps: [Int], _ domain: RankDomain) {
    self.o = o; self.d = d; self.steps = steps; self.domain = domain
    patches = PatchGrid(d.grid, components: d.components, edge: o.patch, dimensions: o.dimensions)
    original = PatchLatents(patches)
    labels = o.labels.map { _ in PatchLabels() }
  }

  /// Samples and classes of the original.
  ///
  /// - Collective: all ranks.
  mutating func take(_ source: Comparable, _ i: Int, _ phases: PhaseClock, ranks: borrowing Communicator) throws {
    var kept: [(id: Int, patch: PatchGrid.Patch)] = [], whole = ExactSum(), low = ExactSum()
    for (position, step) in steps.enumerated() {
      try checkInterruption(ranks)
      let parts = try phases.measure("read") {
        try source.values(i, step, o.threads, ranks: ranks).parts(components: d.components, fills: d.fillValues, on: domain, ranks: ranks)
      }
      try phases.measure("audit") {
        kept += try patches.patches(of: parts, on: domain, ranks: ranks).map { (position * patches.total + $0.number, $0) }
        for k in o.labels.indices {
          try labels[k].add(o.labels[k], step: (position, step, steps.count), patches, original: d.componentOrder.map { parts[$0] }, d: d, on: domain, ranks: ranks)
        }
      }
    }
    let usable = Set(kept.map(\.id))
    for k in o.labels.indices { try labels[k].close(o.labels[k], usable: usable, on: domain) }
    let sizes = (0..<patches.octaves).map { o in Double(octaveSize(o)) }
    for s in kept where labels.allSatisfy({ $0.classes[s.id] != nil }) {
      original.append(s.patch, id: s.id, label: labels[0].classes[s.id]!)
      low.addSquares(of: s.patch.coefficients)
      for (k, v) in s.patch.squares.enumerated() { whole.add(v * sizes[k % patches.octaves]) }
    }
    let sums = try domain.merged([low, whole]).map(\.value)
    energy = sums[1] > 0 ? sums[0] / sums[1] : .nan
    let n = try domain.merged(IntegerSums([original.coefficients.count] + classCounts)).values
    found = n[0]
    counts = Array(n[1...])
    guard counts.count(where: { $0 > 1 }) > 1 else {
      throw Failure(.usage, "\(d.name): labels \(o.labels[0].name) leave \(counts.count(where: { $0 > 1 })) class of two samples or more; two are needed")
    }
  }
  private var classCounts: [Int] { original.coefficients.labels.reduce(into: [Int](repeating: 0, count: labels[0].count)) { $0[$1] += 1 } }
  /// Coefficients of a patch in an octave.
  private func octaveSize(_ octave: Int) -> Int {
    func within(_ limit: Int) -> Int { (0..<3).reduce(1) { $0 * min(limit, patches.extents[$1]) } }
    return within(1 << octave) - (octave > 0 ? within(1 << (octave - 1)) : 0)
  }

  /// - Collective: all ranks.
  func sample(ranks: borrowing Communicator) throws -> AuditReport.Sample {
    AuditReport.Sample(
      field: d.name, labels: o.labels.map(\.name), patch: (3 - d.grid.dimensions..<3).map { patches.extents[$0] }, patches: found,
      leftOut: steps.count * patches.total - found, shared: min(found, o.sample), components: min(o.components, patches.dimension), classes: counts, energy: energy)
  }

  /// Latents of a container, in the order of the original's, with the standard deviation of their noise.
  ///
  /// - Throws: `Failure(.usage)` where there is no noise.
  /// - Collective: all ranks.
  func latents(of c: AuditedContainer, _ phases: PhaseClock, ranks: borrowing Communicator) throws -> (latents: PatchLatents, noise: Double) {
    var out = PatchLatents(patches)
    let i = try c.index(d.name), wanted = Set(original.coefficients.ids)
    let history = try ranks.agree { try DecodedSteps(c.reader, field: i) }
    for (position, step) in steps.enumerated() {
      let parts = try phases.measure("decode") {
        try ContainerValues(c.reader, c.fields[i], field: i, stepIndex: c.steps(i).firstIndex(of: step)!, wanted: nil, history: history, threads: o.threads, ranks: ranks)
          .parts(components: d.components, fills: d.fillValues, on: domain, ranks: ranks)
      }
      try phases.measure("audit") {
        for p in try patches.patches(of: parts, on: domain, ranks: ranks) {
          let id = position * patches.total + p.number
          if wanted.contains(id) { out.append(p, id: id, label: labels[0].classes[id]!) }
        }
      }
    }
    var square = ExactSum()
    let same = out.coefficients.ids == original.coefficients.ids
    if same { square.addSquares(of: out.coefficients.values, minus: original.coefficients.values) }
    let noise = (try domain.merged(square).value / Double(found * patches.dimension)).squareRoot()
    let complete = try domain.merged(IntegerSums([same ? 0 : 1])).values[0] == 0
    guard complete else { throw Failure(.inputOutput, "\(c.path): \(d.name) has missing values where the original has none") }
    guard noise > 0 else { throw Failure(.usage, "\(c.path): \(d.name) is exact, its latents have no noise to be measured by; audit a lossy container") }
    return (out, noise)
  }

  /// - Collective: all ranks.
  func point(
    _ c: AuditedContainer, _ reference: (latents: PatchLatents, noise: Double)?, _ phases: PhaseClock, ranks: borrowing Communicator
  ) throws -> AuditReport.Point {
    let (z, noise) = try latents(of: c, phases, ranks: ranks)
    var p = AuditReport.Point(container: fileName(c.path), field: d.name, steps: steps)
    let i = try c.index(d.name)
    var bytes = 0
    for s in steps { bytes += c.reader.stored(field: i, step: c.steps(i).firstIndex(of: s)!).total }
    let coding = try ranks.agree { try corrupt("\(c.path): \(d.name)") { try FieldCoding(serialised: c.reader.header(field: i, step: c.steps(i).firstIndex(of: steps[0])!)) } }
    let line = storedReport(d, step: steps[0], coding, c.reader.stored(field: i, step: c.steps(i).firstIndex(of: steps[0])!))
    if let b = line.bound { p.bound = b }
    p.transform = line.transform
    p.bitsPerValue = 8 * Double(bytes) / Double(steps.count * d.valuesPerStep)
    p.noise = noise
    try phases.measure("audit") {
      let other = reference ?? (original, noise)
      let y = original.coefficients.scaled(by: 1 / noise), own = z.coefficients.scaled(by: 1 / noise)
      p.information = try information(y, own, bitsPerValue: p.bitsPerValue)
      p.coefficients = try geometry(own, other.latents.coefficients.scaled(by: 1 / other.noise), epsilon: 1)
      p.energies = try geometry(z.energies(noise: noise), other.latents.energies(noise: other.noise), epsilon: 0.1)
    }
    return p
  }

  /// - Collective: all ranks.
  private func information(_ y: LatentRows, _ z: LatentRows, bitsPerValue: Double) throws -> AuditReport.Information {
    var r = AuditReport.Information()
    r.code = bitsPerValue * Double(d.components * patches.extents.product)
    let (variances, directions) = try InformationEstimates.components(y, reducer: domain)
    let few = min(o.components, patches.dimension), basis = directions.columns(0..<few)
    r.gaussian = bits(nats: InformationEstimates.gaussian(variances: variances))
    r.principalGaussian = bits(nats: InformationEstimates.gaussian(variances: Array(variances.prefix(few))))
    let sample = try y.projected(on: basis).shared(limit: o.sample, reducer: domain)
    let decoded = try z.projected(on: basis).shared(limit: o.sample, reducer: domain).rows
    let mixture = try InformationEstimates.mixture(sample, classes: counts.count, reducer: domain)
    r.mixture = bits(nats: mixture.all)
    r.classes = bits(nats: mixture.classes)
    r.conditional = r.mixture - r.classes
    r.contrastive = bits(nats: try InformationEstimates.contrastive(sample, decoded: decoded, reducer: domain))
    r.neighbours = bits(nats: try InformationEstimates.nearestNeighbours(sample, decoded: decoded, reducer: domain))
    r.binned = bits(nats: InformationEstimates.binned(decoded))
    r.limit = 2 * halfLog2(Double(sample.rows.count))
    let n = Double(counts.reduce(0, +))
    r.classEntropy = counts.reduce(0) { $1 > 0 ? $0 - 2 * Double($1) / n * halfLog2(Double($1) / n) : $0 }
    return r
  }

  /// - Collective: all ranks.
  private func geometry(_ z: LatentRows, _ reference: LatentRows, epsilon: Double) throws -> AuditReport.Geometry {
    var g = AuditReport.Geometry()
    g.dimensions = z.dimension
    func statistics(_ rows: LatentRows) throws -> (cdnv: Double, nc1: Double) {
      let s = try ClassStatistics(rows, classes: counts.count, reducer: domain)
      return (s.cdnv, try s.collapse(rows, reducer: domain))
    }
    (g.cdnv, g.nc1) = try statistics(z)
    (g.referenceCDNV, g.referenceNC1) = try statistics(reference)
    let sample = try z.shared(limit: o.sample, reducer: domain), other = sample.with(try reference.shared(limit: o.sample, reducer: domain).rows)
    let distortion = try ClassDistortion(sample, reference: other.rows, classes: counts.count, epsilon: epsilon, reducer: domain)
    g.distortion = distortion.matrix.map { AuditReport.Geometry.Row(values: $0) }
    g.prototypization = distortion.prototypization
    g.specialization = distortion.specialization
    (g.frequent, g.rare) = distortion.extremes
    func utility(_ rows: LatentRows, _ shared: SharedRows) throws -> AuditReport.Utility {
      let near = try ClassUtility.nearestNeighbours(shared, classes: counts.count, reducer: domain)
      let probe = try ClassUtility.linearProbe(rows, classes: counts.count, reducer: domain)
      var u = AuditReport.Utility()
      (u.neighboursAccuracy, u.neighboursF1, u.probeAccuracy, u.probeF1) = (near.accuracy, near.macroF1, probe.accuracy, probe.macroF1)
      return u
    }
    g.utility = try utility(z, sample)
    g.referenceUtility = try utility(reference, other)
    for a in labels.indices { for b in labels.indices where b > a {
      func factors(_ rows: LatentRows) throws -> FactorGeometry {
        try FactorGeometry(rows, first: rows.ids.map { labels[a].classes[$0]! }, levels: labels[a].count, second: rows.ids.map { labels[b].classes[$0]! },
                           levels: labels[b].count, reducer: domain)
      }
      let own = try factors(z), other = try factors(reference)
      g.factors.append(.init(first: o.labels[a].name, second: o.labels[b].name, orthogonality: own.orthogonality, subspaceOrthogonality: own.subspaceOrthogonality,
                             referenceOrthogonality: other.orthogonality, chance: own.chance))
    } }
    return g
  }
}
