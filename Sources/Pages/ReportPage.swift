public import Compressor
import Foundation

/// A report and the name it is shown under.
public struct NamedReport: Sendable {
  public let name: String
  public let report: Report
  public init(name: String, report: Report) { self.name = name; self.report = report }
}

/// What reports say, as one HTML page for people.
///
/// Figures compare what can be compared: curves where a field was coded at several rates, scaling where there are several numbers of ranks.
public struct ReportPage {
  let reports: [NamedReport]
  let slices: [Slice], maps: [Slice]
  let series: [NamedSeries]
  let gnuplot: Gnuplot

  /// - Parameter slices: of original and error; `maps`: of alignment; `series`: of steps of runs.
  /// - Throws: `Failure` where gnuplot is missing.
  public init(_ reports: [NamedReport], slices: [Slice] = [], maps: [Slice] = [], series: [NamedSeries] = []) throws {
    self.reports = reports; self.slices = slices; self.maps = maps; self.series = series
    gnuplot = try Gnuplot()
  }

  /// - Throws: `Failure` where gnuplot fails.
  public func html() throws -> String {
    let names = reports.map(\.name) + series.map(\.name)
    var page = Page(title: "Alidade: " + (names.count == 1 ? names[0] : "\(names.count) reports"))
    try series(&page)
    if !reports.isEmpty { summary(&page) }
    try rates(&page)
    try steps(&page)
    try observables(&page)
    alignments(&page)
    try errors(&page)
    try law(&page)
    try run(&page)
    return page.html
  }

  /// Reports that say something else than those before them: runs on other ranks have the same result.
  var distinct: [NamedReport] {
    var seen: [NamedReport] = []
    for r in reports where !seen.contains(where: { $0.report.result == r.report.result }) { seen.append(r) }
    return seen
  }

  /// Every field of the distinct reports, in order.
  var fields: [(report: String, field: FieldReport)] { distinct.flatMap { r in r.report.result.fields.map { (r.name, $0) } } }

  private func summary(_ page: inout Page) {
    let all = fields
    let violated = all.filter { $0.field.boundKept == false }
    if !all.isEmpty {
      let known = all.filter { $0.field.boundKept != nil }.count
      page.paragraph(violated.isEmpty
        ? (known > 0 ? "Every bound that was checked is kept (\(known) of \(all.count) fields and steps)." : "No bound was checked.")
        : "BOUND VIOLATED: " + violated.map { "\($0.field.name) (step \($0.field.step), \($0.report))" }.joined(separator: ", "))
    }
    page.table(["report", "command", "ranks", "fields and steps", "raw", "stored", "ratio", "seconds", "MB/s", "memory per rank"], reports.map { r in
      let f = r.report.result.fields, run = r.report.run
      let raw = f.reduce(0) { $0 + $1.rawBytes }, stored = f.reduce(r.report.result.containerOverheadBytes) { $0 + $1.storedBytes }
      let isStored = f.contains { $0.storedBytes > 0 }
      return [r.name, run.command, "\(run.ranks)", "\(f.count)", shortBytes(raw), isStored ? shortBytes(stored) : "-", isStored ? short(Double(raw) / Double(stored)) : "-",
              short(run.seconds), run.seconds > 0 && raw > 0 ? short(Double(raw) / run.seconds / 1e6) : "-", run.peakMemory.maximum.isFinite ? shortBytes(Int(run.peakMemory.maximum)) : "-"]
    })
    // Long campaigns: one line per field and report, the worst over its steps.
    var rows: [[String]] = []
    for r in distinct {
      var names: [String] = []
      for f in r.report.result.fields where !names.contains(f.name) { names.append(f.name) }
      for name in names {
        let f = r.report.result.fields.filter { $0.name == name }
        let raw = f.reduce(0) { $0 + $1.rawBytes }, stored = f.reduce(0) { $0 + $1.storedBytes }
        let bits = f.map(\.bitsPerValue).filter(\.isFinite)
        let kept = f.contains { $0.boundKept == false } ? "VIOLATED" : f.allSatisfy { $0.boundKept == true } ? "kept" : "not checked"
        var codecs: [String] = []
        for c in f.map(\.transform) where !codecs.contains(c) && !c.isEmpty { codecs.append(c) }
        rows.append([r.name, name, f.count == 1 ? "\(f[0].step)" : "\(f[0].step) ... \(f[f.count - 1].step)",
                     f[0].shape.map(String.init).joined(separator: "x"), f[0].bound.map { $0.kind == "lossless" ? "lossless" : "\($0.kind) \(short($0.value))" } ?? "none",
                     stored > 0 ? short(Double(raw) / Double(stored)) : "-", bits.isEmpty ? "-" : short(bits.reduce(0, +) / Double(bits.count)),
                     f.contains { $0.rmse == 0 } ? "exact" : short(f.map(\.psnrDB).filter(\.isFinite).min() ?? .nan), short(f.map(\.maxAbsError).filter(\.isFinite).max() ?? .nan), kept,
                     codecs.joined(separator: ", ")])
      }
    }
    if !rows.isEmpty {
      page.table(["report", "field", "step", "shape", "bound", "ratio", "bits per value", "PSNR in dB", "largest error", "bound is", "codec"], rows,
                 caption: "Of several steps: mean bits per value, least PSNR, largest error." + (distinct.count < reports.count ? " Reports with the same result are shown once." : ""))
    }
  }

  /// PSNR against bits per value of fields that were coded more than once.
  private func rates(_ page: inout Page) throws {
    var curves: [(name: String, points: [(x: Double, y: Double)])] = []
    for (_, f) in fields where f.bitsPerValue.isFinite && f.psnrDB.isFinite {
      let name = f.step == 0 ? f.name : "\(f.name), step \(f.step)"
      if let i = curves.firstIndex(where: { $0.name == name }) { curves[i].points.append((f.bitsPerValue, f.psnrDB)) } else { curves.append((name, [(f.bitsPerValue, f.psnrDB)])) }
    }
    curves = curves.map { ($0.name, $0.points.sorted { $0.x < $1.x }) }.filter { $0.points.count > 1 && $0.points[0].x < $0.points[$0.points.count - 1].x }
    if curves.isEmpty { return }
    page.heading("Rate and distortion")
    let shown = curves.prefix(8)
    var series = shown.enumerated().map { Series(title: $1.name, points: $1.points, style: $0 + 1) }
    if let first = shown.first?.points.first, let last = shown.first?.points.last {
      // Back from the finest coding, where the slope should hold, to where the curve begins.
      let start = max(first.x, last.x - (last.y - first.y) / 6.02)
      series.append(Series(title: "6.02 dB per bit", points: [(start, last.y - 6.02 * (last.x - start)), last], mark: .dashed))
    }
    var plot = Plot(x: "bits per value", y: "PSNR in dB", series: series)
    plot.extra = "set key left top\n"
    page.row([(try gnuplot.svg(plot.script), "PSNR against rate" + (curves.count > 8 ? ", first 8 of \(curves.count) fields" : "")
      + ". All bytes of the field are counted. The dashed line is the slope of a fine quantiser.")])
  }

  /// Rate and PSNR over the steps of a run.
  private func steps(_ page: inout Page) throws {
    var pictures: [(svg: String, caption: String)] = []
    for r in distinct {
      var names: [String] = []
      for f in r.report.result.fields where !names.contains(f.name) { names.append(f.name) }
      let long = names.filter { n in r.report.result.fields.filter { $0.name == n }.count > 2 }.prefix(8)
      if long.isEmpty { continue }
      func plot(_ y: String, _ of: (FieldReport) -> Double) throws {
        let series = long.enumerated().map { i, n in
          Series(title: n, points: r.report.result.fields.filter { $0.name == n }.map { (x: Double($0.step), y: of($0)) }, style: i + 1)
        }
        let script = Plot(x: "step", y: y, series: series).script
        if !script.isEmpty { pictures.append((try gnuplot.svg(script), "\(r.name): \(y) by step.")) }
      }
      try plot("bits per value") { $0.bitsPerValue }
      try plot("PSNR in dB") { $0.psnrDB }
    }
    if pictures.isEmpty { return }
    page.heading("Steps")
    page.row(pictures)
  }
}

/// A specification with the long numbers in it rounded.
func shortened(_ specification: String) -> String {
  specification.replacing(/-?[0-9]+\.[0-9]{4,}(e-?[0-9]+)?/) { m in Double(String(m.output.0)).map(short) ?? String(m.output.0) }
}
