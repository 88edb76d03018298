import Codecs
import Fields
import Glibc
import HDF5
import MPI
import SnapshotIO
import Statistics

func describe(_ r: inout FieldReport, _ d: FieldDescription) {
  // Without a time axis the only time is that of the only step, whatever its number.
  if let t = d.times, (d.timeAxis == nil ? 0 : r.step) < t.count { r.time = t[d.timeAxis == nil ? 0 : r.step] }
  r.shape = d.axes.enumerated().filter { $0.element != "t" }.map { d.shape[$0.offset] }
  r.type = d.type.name
  r.rawBytes = d.valuesPerStep * d.type.size
  r.validValues = d.valuesPerStep
}

private func set(_ r: inout FieldReport, _ coding: FieldCoding, _ stored: StoredBytes) {
  r.bound = .init(kind: coding.request.kind, value: coding.request == .lossless ? .nan : coding.request.value, absolute: coding.absolute)
  r.transform = coding.member.name + (coding.patches == nil ? "" : "/autoencoder") + (coding.logarithmic ? "-log" : coding.response.isEmpty ? "" : "-counts") + (coding.network?.suffix ?? "")
  r.granted = coding.member == .lossless || coding.member == .constant ? 0 : (coding.logarithmic ? .nan : coding.bound ?? .nan)
  if let p = coding.prediction {
    var t = FieldReport.Temporal(predicted: true, keyStep: p.key)
    t.position = p.position
    t.references = p.references.map { $0.file.isEmpty ? String($0.step) : "\($0.step) of \($0.file)" }
    r.temporal = t
  }
  r.storedParts = .init(streams: stored.streams, index: stored.index, tables: coding.tables.count, side: stored.header - coding.tables.count)
}

/// What is known of a stored field without its values.
func storedReport(_ d: FieldDescription, step: Int, _ coding: FieldCoding, _ stored: StoredBytes) -> FieldReport {
  var r = FieldReport(name: d.name, step: step)
  describe(&r, d)
  set(&r, coding, stored)
  return r
}

/// Adds what was kept and what can be restored.
func fill(_ r: inout FieldReport, _ a: AlignedField) {
  r.observables = a.observables
  r.aligned = a.steps.map { .init(steps: $0.name, psnrLossDB: $0.lossDB) }
  guard let m = a.restoration else { return }
  var s = FieldReport.Restored(kinds: m.kinds.map(\.rawValue))
  s.maxAbsError = m.maximumError
  s.rmse = m.rmse
  let range = a.field.survey.range
  if range > 0, m.rmse > 0 { s.psnrDB = 20 * log10(range / m.rmse) }
  r.restoration = s
}

/// What the encoder measured.
func fieldReport(_ d: FieldDescription, step: Int, _ e: EncodedField, _ stored: StoredBytes) -> FieldReport {
  var r = storedReport(d, step: step, e.coding, stored)
  if let t = e.temporal {
    if r.temporal == nil { r.temporal = .init(predicted: false, keyStep: step) }
    r.temporal!.gain = t.gain
  }
  r.masked = e.survey.masked
  r.validValues = e.survey.valid
  if e.statistics.isEmpty || e.statistics.allSatisfy({ $0.count == 0 }) {
    // Nothing was decoded (--no-verify), or there is nothing valid to compare.
    if e.survey.valid == 0 || e.coding.member == .lossless || e.coding.member == .constant { r.boundKept = true }
    if case .rate(let wanted) = e.target.bound { r.boundKept = rateKept(r, wanted, exact: e.coding.member == .lossless || e.coding.member == .constant || e.target.lossless) }
    return r
  }
  // The pointwise relative bound was enforced value by value with this very arithmetic.
  let relative = e.coding.logarithmic ? e.coding.bound ?? 0 : 0
  fill(&r, ComparisonResult(statistics: e.statistics, minimum: e.survey.minimum, maximum: e.survey.maximum, masked: e.survey.masked, relative: relative),
       request: e.target.bound, absolute: e.target.absolute)
  return r
}

/// - Parameter exact: whether nothing was lost; then fewer bits keep the promise too.
private func rateKept(_ r: FieldReport, _ wanted: Double, exact: Bool) -> Bool? {
  // Small rates and small fields are dominated by fixed costs; the promise starts at 0.1 bits per value.
  wanted < 0.1 ? nil : r.bitsPerValue <= wanted * 1.02 && (exact || r.bitsPerValue >= wanted * 0.98)
}

/// Error measures, and whether the bound holds.
func fill(_ r: inout FieldReport, _ c: ComparisonResult, request: ErrorBound?, absolute: Double) {
  var count = 0, squared = 0.0, sum = 0.0, top = 0.0, ssim = 0.0, windows = 0
  var bins = [Int](repeating: 0, count: ErrorStatistics.binCount)
  var lag: [[Double]] = [[], [], []]
  for s in c.statistics {
    count += s.count
    squared += s.sumSquaredError.value
    sum += s.sumError.value
    top = max(top, s.maximumError)
    ssim += s.ssimSum.value
    windows += s.ssimCount
    for i in bins.indices { bins[i] += s.histogram[i] }
    r.totals.append(.init(original: s.originalSum.value, decoded: s.decodedSum.value))
  }
  if c.statistics.count > 1 && r.name.lowercased().contains("velocity") {
    r.kineticEnergy = .init(
      original: c.statistics.reduce(0) { $0 + $1.originalSquares.value } / 2, decoded: c.statistics.reduce(0) { $0 + $1.decodedSquares.value } / 2)
  }
  r.masked = c.masked
  r.validValues = count
  let range = c.maximum - c.minimum
  if count > 0 {
    let n = Double(count), rmse = (squared / n).squareRoot()
    r.maxAbsError = top
    r.rmse = rmse
    r.bias = sum / n
    if range > 0 {
      r.nrmse = rmse / range
      if rmse > 0 { r.psnrDB = 20 * log10(range / rmse) }
      if windows > 0 { r.ssim = ssim / Double(windows) }
    }
    if let scale = c.statistics.first?.scale { r.errorHistogram = .init(lower: -scale, upper: scale, counts: bins) }
    for a in 0..<3 {
      // Mean over the components of each one's coefficient.
      let known = c.statistics.compactMap { $0.autocorrelation(axis: a) }
      if !known.isEmpty { lag[a] = [known.reduce(0, +) / Double(known.count)] }
    }
    r.errorAutocorrelation = .init(z: lag[0], y: lag[1], x: lag[2])
  }
  guard let request else { return }
  switch request {
  case .absolute, .relative: r.boundKept = top <= absolute && c.specialsChanged == 0
  case .pointwiseRelative(let e): r.boundKept = c.relative <= e
  case .psnr(let db): r.boundKept = !(r.psnrDB < db) && c.specialsChanged == 0
  case .rate(let wanted): r.boundKept = rateKept(r, wanted, exact: top == 0 && c.changed == 0)
  case .lossless: r.boundKept = top == 0 && c.changed == 0
  }
}

func boundText(_ r: FieldReport) -> String {
  guard let b = r.bound else { return "no bound" }
  switch b.kind {
  case "psnr": return "PSNR \(short(r.psnrDB)) dB is below the \(short(b.value)) dB asked for"
  case "rate":
    return "\(short(r.bitsPerValue)) bits/value cannot be brought within 2 % of \(short(b.value))"
      + (r.bitsPerValue < b.value ? "; this is the finest step, ask for less or for --lossless" : "; fixed costs are more, ask for more")
  case "pwrel": return "pointwise relative bound \(short(b.value)) is violated"
  case "lossless": return "values differ by up to \(short(r.maxAbsError)) although lossless coding was asked for"
  default: return "largest error \(short(r.maxAbsError)) exceeds the bound \(short(b.absolute))"
  }
}

/// - Throws: `Failure` where both paths lead to one existing file.
func refuseOverwriting(_ input: String, with output: String) throws {
  var s = stat(), t = stat()
  if stat(input, &s) == 0 && stat(output, &t) == 0 && s.st_dev == t.st_dev && s.st_ino == t.st_ino {
    throw Failure(.inputOutput, "\(output): output is the input; give another name with -o")
  }
}

/// - Throws: `Failure` where `path` is not beside `output`, or is what will be replaced: references are found in the folder of what they serve.
func refuseForeign(_ path: String, for output: String) throws {
  func folder(_ p: String) -> String { p.lastIndex(of: "/").map { String(p[...$0]) } ?? "./" }
  var s = stat(), t = stat()
  guard stat(folder(path), &s) == 0, stat(folder(output), &t) == 0, s.st_dev == t.st_dev && s.st_ino == t.st_ino else {
    throw Failure(.usage, "--after \(path): must be in the folder of the output")
  }
  if stat(path, &s) == 0 && stat(output, &t) == 0 && s.st_dev == t.st_dev && s.st_ino == t.st_ino {
    throw Failure(.usage, "--after \(path): is the output itself")
  }
}

/// The cells of a region given per spatial axis.
func regionBox(_ r: [Range<Int>], _ d: FieldDescription, _ path: String) throws -> Box {
  let n = d.grid.dimensions
  guard r.count == n else { throw Failure(.usage, "--region has \(r.count) ranges, \(d.name) has \(n) axes (\(d.spatialAxes))") }
  var b = d.grid.box
  for (i, s) in r.enumerated() {
    let a = 3 - n + i
    guard s.lowerBound >= 0, s.upperBound <= d.grid.shape[a], s.lowerBound < s.upperBound else {
      throw Failure(.usage, "--region \(s.lowerBound):\(s.upperBound) on axis \(Array(d.spatialAxes)[i]) is not inside 0:\(d.grid.shape[a]) of \(path): \(d.name)")
    }
    b.lower[a] = s.lowerBound; b.upper[a] = s.upperBound
  }
  return b
}

/// Fills the `run` part: times per phase, memory, versions.
///
/// - Collective: all ranks.
func finishRun(_ report: inout Report, _ command: String, _ threads: Int, _ phases: PhaseClock, _ started: Double, ranks: borrowing Communicator) throws {
  report.run.command = command
  report.run.ranks = ranks.size
  report.run.threads = threads
  report.run.versions = libraryVersions
  var name = [CChar](repeating: 0, count: 256)
  gethostname(&name, 255)
  report.run.host = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  report.run.seconds = try ranks.allReduce(PhaseClock.now() - started, .max)
  var usage = rusage()
  getrusage(__rusage_who_t(0), &usage)  // RUSAGE_SELF
  // Every rank has run the same phases, though those without cells may have skipped one: a fixed list.
  let names = Run.Phase.names
  let traffic = names.map { phases.traffic(of: $0) }
  let mine = [Double(usage.ru_maxrss) * 1024] + names.map { phases.seconds(of: $0) } + traffic.map { Double($0.bytes + $0.collectiveBytes) }
    + traffic.map { Double($0.messages) } + traffic.map { Double($0.collectives) }
  // By rank, then memory and phases; on rank 0 only, which alone writes reports.
  let all = try ranks.gather(mine.withUnsafeBytes { Array($0) }).map { bytes in
    bytes.withUnsafeBytes { b in mine.indices.map { b.loadUnaligned(fromByteOffset: 8 * $0, as: Double.self) } }
  }
  report.run.peakMemory = .init(all.map { $0[0] })
  let shown = min(all.count, Run.Phase.mostRanks)
  for (i, name) in names.enumerated() {
    let seconds = all.map { $0[i + 1] }
    guard seconds.contains(where: { $0 > 0 }) else { continue }
    func spread(_ kind: Int) -> Run.Spread { .init(all.map { $0[1 + kind * names.count + i] }) }
    var phase = Run.Phase(name: name, seconds: .init(seconds), bytes: spread(1))
    phase.messages = spread(2); phase.collectives = spread(3)
    phase.perRank = (0..<shown).map { seconds[$0 * all.count / shown] }
    report.run.phases.append(phase)
  }
}
