import Codecs
import Fields
import Glibc
import HDF5
import LatentGeometry
public import MPI
import Observables
import Reduction
import SnapshotIO

/// The pre-flight: what keeping each observable better would cost at the bound, before anything is coded.
///
/// Per field and step: the codec and its step from the trial; variances and sensitivities of the bands in closed form and from samples; the
/// law. Nothing is written but the map, where one is asked for.
/// - Throws: `Failure` or `AgreedError`, the same on all ranks: usage (exit code 1), input or output (2), interruption (75).
/// - Collective: all ranks.
public func align(_ o: AlignOptions, ranks: borrowing Communicator, progress: (String) -> Void) throws -> Report {
  let started = PhaseClock.now()
  let phases = PhaseClock()
  let input = try phases.measure("open") { try SnapshotInput.open(o.input, snapshotOptions(o.reading, fields: o.fields), ranks: ranks) }
  let plan = try ObservationPlan(o.observe, input.fields, positions: input.positions, ranks: ranks)
  let network = try o.model.map { path -> Network in
    guard case .network(let n) = try ModelFile.read(path, suiting: input.fields, ranks: ranks) else {
      throw Failure(.usage, "model '\(path)' is an autoencoder, whose latents have no bands; align takes networks behind a transform, sweep --model takes both")
    }
    return n
  }
  var report = Report()
  var maps: [AlignmentMap] = []
  for (number, f) in input.fields.enumerated() where !plan.fields[number].observables.isEmpty {
    let wanted = plan.fields[number]
    for step in try selectedSteps(o.steps ?? 0..<1, of: f.steps, in: "\(o.input): \(f.name)") {
      try checkInterruption(ranks)
      let source = try phases.measure("read") { try readSource(input, number, step, ranks: ranks) }.ordered(f.componentOrder)
      let encoder = try FieldEncoder(source, bound: o.bound, threads: o.threads, check: false, phases: phases, ranks: ranks)
      encoder.tileAccess = network != nil
      let (member, point) = try encoder.preview(ranks: ranks)
      var line = FieldReport(name: f.name, step: step)
      describe(&line, f)
      line.bound = .init(kind: o.bound.kind, value: o.bound == .lossless ? .nan : o.bound.value, absolute: encoder.target.absolute)
      line.transform = member.name
      line.masked = encoder.survey.masked
      line.validValues = encoder.survey.valid
      guard let point else {
        for name in wanted.names {
          var r = ObservableReport(name: name)
          r.alignment = .init()
          r.alignment!.verdict = "\(name): nothing to trade, \(member.name) coding" + (line.masked > 0 ? " of a field with missing values" : "")
          line.observables.append(r)
        }
        report.result.fields.append(line)
        continue
      }
      line.granted = point.noise.squareRoot()
      try phases.measure("align") {
        try withRankDomain(f.grid, coordinates: wanted.coordinates, ranks: ranks) { domain in
          var whole: FieldParts?
          let transform = LappedOrthogonalTransform(blockEdge: point.edge, grid: f.grid)
          let blocks = o.map == nil ? SampledBlocks(transform, count: 8, ranks: ranks) : SampledBlocks(tiles: TileGrid(shape: f.grid.shape), transform, ranks: ranks)
          func original() throws -> FieldParts {
            if let whole { return whole }
            let parts = try source.parts(on: domain)
            whole = parts
            return parts
          }
          // Open constants are those of the whole field.
          let open = wanted.observables.contains { $0 is any CalibratedObservable }
          let subjects = try (open ? RowComparison.calibrated(wanted.observables, to: original(), on: domain) : wanted.observables).map {
            BandAlignment.Subject(observable: $0, value: nil, meanSquare: nil)
          }
          if o.map == nil, network == nil, let s = encoder.spectral, let pass = s.last {
            let law = try SpectralLaw(s, pass, subjects, source, order: Array(0..<f.components), samples: 8, original: original, on: domain, ranks: ranks)
            for (j, name) in wanted.names.enumerated() {
              var r = ObservableReport(name: name)
              r.units = wanted.observables[j].units
              r.original = law.sizes[j]
              r.predictedError = law.predictions[j]
              r.alignment = try .init(law.bands, j, rate: .noise(law.noise), name: name)
              line.observables.append(r)
            }
            return
          }
          let a = try BandAlignment(subjects, source, blocks, original: original, on: domain, ranks: ranks)
          func map(_ statistics: some BandStatistics, _ j: Int) throws -> AlignmentMap? {
            o.map == nil ? nil : try AlignmentMap(statistics, j, "\(f.name)/\(step)/\(wanted.names[j])", TileGrid(shape: f.grid.shape))
          }
          if let network {
            let l = try LearnedAlignment(
              network, a, subjects.map(\.observable), source, order: f.componentOrder, noise: point.noise, target: encoder.target.pointwise == nil ? encoder.target.rmse : nil,
              on: domain, ranks: ranks)
            line.transform += "+" + network.hashText
            line.learned = .init(gainDB: -10 * log10(l.gain), slackDB: 10 * log10(l.slack))
            line.granted = l.meanSquareError.squareRoot()
            for (j, name) in wanted.names.enumerated() {
              var r = ObservableReport(name: name)
              r.units = wanted.observables[j].units
              r.predictedError = l.errors[j]
              r.alignment = try .init(l, j, rate: l.rate, slack: l.slack, name: name)
              line.observables.append(r)
              maps += try map(l, j).map { [$0] } ?? []
            }
            return
          }
          let rounding = try a.rounding(at: point)
          for (j, name) in wanted.names.enumerated() {
            var r = ObservableReport(name: name)
            r.units = wanted.observables[j].units
            r.predictedError = try a.error(j, rounding)
            r.alignment = try .init(a, j, rate: .noise(point.noise), name: name)
            line.observables.append(r)
            maps += try map(a, j).map { [$0] } ?? []
          }
        }
      }
      report.result.fields.append(line)
      progress("\(f.name)  step \(step)  \(line.transform)  \(wanted.names.count) observables")
    }
  }
  if let path = o.map {
    let first = ranks.rank == 0
    try ranks.agree { if first { try AlignmentMap.write(maps, to: path) } }
  }
  try finishRun(&report, "align", o.threads, phases, started, ranks: ranks)
  return report
}

/// Where a field is expensive to keep physical: one number per tile.
struct AlignmentMap {
  let name: String
  /// Tiles along z, y, x.
  let shape: [Int]
  /// Mean sensitivity of a tile's latents over that of the field, their CV^2, and the overlap inside the tile; NaN where it is undefined.
  var sensitivity: [Double], cv2: [Double], overlap: [Double]

  init(_ a: some BandStatistics, _ j: Int, _ name: String, _ tiles: TileGrid) throws {
    self.name = name
    shape = [tiles.counts.z, tiles.counts.y, tiles.counts.x]
    sensitivity = [Double](repeating: .nan, count: tiles.count); cv2 = sensitivity; overlap = sensitivity
    let (mean, samples) = a.sensitivity(j), n = a.counts.reduce(0, +)
    let whole = zip(mean, a.counts).reduce(0) { $0 + $1.0 * $1.1 } / n
    for t in 0..<tiles.count {
      let c = tiles.coordinates(t), at = (c.z * tiles.counts.y + c.y) * tiles.counts.x + c.x
      let counts = a.sampledCounts[t], present = counts.indices.filter { counts[$0] > 0 }
      let g = samples.isEmpty ? mean : samples[t]
      let spectrum = TradeSpectrum(present.map { g[$0] }, weights: present.map { counts[$0] })
      sensitivity[at] = whole > 0 ? spectrum.mean / whole : .nan
      cv2[at] = spectrum.relativeVariance
      let v = present.map { a.sampled[t][$0] }, w = present.map { counts[$0] }
      let o = Overlap(diagonal: v, zip(v, present).map { $0 * g[$1] }, counts: w)
      if o.verdict == .defined { overlap[at] = o.value }
    }
  }

  /// One group per field, step and observable with datasets `sensitivity`, `cv2`, `overlap` of [z, y, x] tiles.
  static func write(_ maps: [AlignmentMap], to path: String) throws {
    let temporary = try Temporary.prepare(path, noClobber: false)
    do {
      let file = try File.create(temporary)
      for m in maps {
        // A name becomes one link: field/step/observable.
        for (key, values) in [("sensitivity", m.sensitivity), ("cv2", m.cv2), ("overlap", m.overlap)] {
          try writeNumbers(in: file, "\(m.name)/\(key)", shape: m.shape, values)
        }
      }
      try file.close()
    } catch {
      Temporary.discard(temporary)
      throw Failure(.inputOutput, "\(path): the map cannot be written: \(error)")
    }
    try Temporary.publish(temporary, as: path, noClobber: false)
  }
}
