import Compressor

extension ReportPage {
  private typealias Measured = (report: String, field: FieldReport, observable: ObservableReport)

  /// Errors of all observables, measured beside predicted, and those that are curves before and after.
  func observables(_ page: inout Page) throws {
    let measured: [Measured] = fields.flatMap { r, f in f.observables.filter { $0.error.isFinite }.map { (r, f, $0) } }
    if measured.isEmpty { return }
    page.heading("Observables")
    let several = Set(measured.map(\.report)).count > 1, steps = Set(measured.map { $0.field.step }).count > 1
    func subject(_ m: Measured) -> String { "\(m.field.name): \(shortened(m.observable.name))" + (steps ? ", step \(m.field.step)" : "") }
    func label(_ m: Measured) -> String { subject(m) + (several ? " (\(m.report))" : "") }
    page.table(["field and observable", "original", "decoded", "units", "relative error", "predicted", "target"], measured.map { m in
      let o = m.observable
      return [label(m), short(o.original), short(o.decoded), o.units, short(o.error), short(o.predictedError), short(o.target)]
    }, caption: "One number's value, the root mean square of several. The error is |o(x') - o(x)| / |o(x)|.")
    var groups: [(subject: String, members: [Measured])] = []
    for m in measured {
      if let i = groups.firstIndex(where: { $0.subject == subject(m) }) { groups[i].members.append(m) } else { groups.append((subject(m), [m])) }
    }
    var pictures: [(svg: String, caption: String)] = []
    // Coded at several rates: errors against rate. Once: side by side.
    let curves = groups.filter { g in Set(g.members.map(\.field.bitsPerValue).filter(\.isFinite)).count > 1 }
    if !curves.isEmpty { pictures.append((try errorsByRate(curves.prefix(7)), "Relative errors against rate: measured (filled), predicted by the law (open).")) }
    // Observables that are kept exactly have no place on a logarithmic axis.
    let single = groups.filter { g in !curves.contains { $0.subject == g.subject } }.flatMap(\.members), shown = Array(single.filter { $0.observable.error > 0 }.prefix(24))
    if !shown.isEmpty { pictures.append((try errorPlot(shown.map(label), shown.map(\.observable)), "Relative errors: measured (filled), predicted by the law (open), asked for (bar)."
      + (single.count > shown.count ? " \(single.count - shown.count) more, or exact, are in the table." : ""))) }
    for g in groups.prefix(12) {
      // The coarsest coding shows most.
      guard let m = g.members.max(by: { $0.observable.error < $1.observable.error }), let v = m.observable.values, v.original.count > 3 else { continue }
      pictures.append((try curve(m.observable, v), label(m) + ": above the values of original (line) and decoded field (points), below the relative difference."))
    }
    page.row(pictures)
  }

  private func errorsByRate(_ groups: ArraySlice<(subject: String, members: [Measured])>) throws -> String {
    var s = "set logscale y\nset format y \"%.0e\"\nset xlabel \"bits per value\"\nset ylabel \"relative error\"\nset key tmargin left vertical maxcols 1 Left reverse font \",10\"\n", clauses: [String] = []
    for (i, g) in groups.enumerated() {
      let points = g.members.filter { $0.field.bitsPerValue.isFinite }.sorted { $0.field.bitsPerValue < $1.field.bitsPerValue }
      s += "$g\(i) << EOD\n" + points.map { m in
        let o = m.observable
        return "\(m.field.bitsPerValue) \(o.error > 0 ? "\(o.error)" : "NaN") \(o.predictedError > 0 ? "\(o.predictedError)" : "NaN")\n"
      }.joined() + "EOD\n"
      let colour = Plot.colours[i % Plot.colours.count], filled = [7, 5, 9, 13, 11][i % 5]
      clauses.append("$g\(i) using 1:2 with linespoints lc rgb \"\(colour)\" dt \(i % 5 + 1) lw 1.6 pt \(filled) ps 0.7 title \(quoted(cut(g.subject, 60)))")
      if points.contains(where: { $0.observable.predictedError > 0 }) { clauses.append("$g\(i) using 1:3 with points lc rgb \"\(colour)\" pt \(filled - 1) ps 1 notitle") }
    }
    return try gnuplot.svg(height: 330 + 19 * groups.count, s + "plot " + clauses.joined(separator: ", ") + "\n")
  }

  private func errorPlot(_ labels: [String], _ list: [ObservableReport]) throws -> String {
    let n = list.count
    func block(_ name: String, _ value: (ObservableReport) -> Double) -> (data: String, any: Bool) {
      let lines = list.enumerated().filter { value($1).isFinite && value($1) > 0 }.map { "\(value($1)) \(n - $0)\n" }
      return ("$\(name) << EOD\n\(lines.joined())EOD\n", !lines.isEmpty)
    }
    let measured = block("measured") { $0.error }, predicted = block("predicted") { $0.predictedError }, target = block("target") { $0.target }
    var s = measured.data + predicted.data + target.data
    s += "set logscale x\nset format x \"%.0e\"\nset xlabel \"relative error\"\nset yrange [0.4:\(n).6]\nset grid y\nset key outside top center horizontal\nset lmargin 26\n"
    s += "set xtics rotate by -30\n"
    s += "set ytics (" + labels.enumerated().map { "\(quoted(cut($1, 34))) \(n - $0)" }.joined(separator: ", ") + ") font \",10\"\n"
    var clauses = ["$measured using 1:2 with points pt 7 ps 0.9 lc rgb \"#000000\" title \"measured\""]
    if predicted.any { clauses.append("$predicted using 1:2 with points pt 6 ps 1.1 lc rgb \"#d55e00\" title \"predicted\"") }
    if target.any { clauses.append("$target using 1:2:(0):(0.35) with vectors nohead lw 2 lc rgb \"#0072b2\" notitle, $target using 1:2:(0):(-0.35) with vectors nohead lw 2 lc rgb \"#0072b2\" title \"asked for\"") }
    return try gnuplot.svg(width: 620, height: 130 + 22 * n, s + "plot " + clauses.joined(separator: ", ") + "\n")
  }

  func cut(_ text: String, _ most: Int) -> String { text.count <= most ? text : text.prefix(most - 1) + "…" }

  /// Values on top, their relative difference below.
  private func curve(_ o: ObservableReport, _ v: ObservableReport.Values) throws -> String {
    let spectral = o.name.hasPrefix("spectrum") || o.name.hasPrefix("crossspectrum"), positive = v.original.allSatisfy { $0 > 0 }
    // The first shell of all holds the mean.
    let first = !spectral ? 1 : o.name.firstMatch(of: /shells=([0-9]+):/).flatMap { Int($0.output.1) } ?? 0
    let axis = spectral ? "shell" : o.name.hasPrefix("structure") ? "distance number" : o.name.hasPrefix("radial") ? "radial bin"
      : o.name.hasPrefix("pdf") || o.name.hasPrefix("histogram") || o.name.hasPrefix("logpdf") ? "bin" : "value number"
    // Values span decades where a logarithm says more.
    let least = v.original.min() ?? 0, most = v.original.max() ?? 0, log = positive && most > 50 * least
    var s = "$v << EOD\n"
    // All shells end with the rest beyond them, which is no shell.
    let rest = spectral && o.name.contains("shells=all") ? 1 : 0
    for (i, (a, b)) in zip(v.original, v.decoded).dropLast(rest).enumerated() {
      s += "\(i + first) \(a) \(b.isFinite ? "\(b)" : "NaN") \(a != 0 ? "\(abs(b - a) / abs(a))" : "NaN")\n"
    }
    s += "EOD\n"
    if spectral { s += "set logscale x\n" }
    s += "set multiplot\nset lmargin 11\nset rmargin 2\nset size 1,0.64\nset origin 0,0.36\nset format x \"\"\nset key outside top center horizontal\n"
    s += log ? "set logscale y\nset format y \"%.0e\"\n" : ""
    s += "set ylabel \(quoted(o.units.isEmpty ? "value" : o.units))\n"
    s += "plot $v using 1:2 with lines lw 1.6 lc rgb \"#000000\" title \"original\", $v using 1:3 with points pt 6 ps 0.6 lc rgb \"#d55e00\" title \"decoded\"\n"
    s += "set size 1,0.4\nset origin 0,0\nset format x \"%g\"\nset xlabel \(quoted(axis))\nset ylabel \"difference\"\nset logscale y\nset format y \"%.0e\"\nset key off\n"
    if zip(v.original, v.decoded).contains(where: { $0 != 0 && $0 != $1 }) {
      s += "plot $v using 1:($4 > 0 ? $4 : NaN) with points pt 7 ps 0.5 lc rgb \"#000000\"\n"
    } else { s += "unset logscale y\nset format y \"%g\"\nset yrange [-1:1]\nplot $v using 1:4 with points pt 7 ps 0.5 lc rgb \"#000000\"\n" }
    return try gnuplot.svg(height: 400, s + "unset multiplot\n")
  }

  /// What keeping each observable better would cost.
  func alignments(_ page: inout Page) {
    let rows = fields.flatMap { r, f in f.observables.compactMap { o in o.alignment.map { (r, f, o, $0) } } }
    if rows.isEmpty { return }
    page.heading("Alignment")
    page.paragraph("How each observable's sensitivity lies to the distortion's. Predictions hold at weight 1; cv² and the largest gain carry the verdict, the overlap stands beside them.")
    page.table(["report", "field: observable", "cv²", "largest gain in dB", "gain in dB", "costs dB", "or bits per value", "overlap", "chance"], rows.map { r, f, o, a in
      [r, "\(f.name): \(shortened(o.name))", short(a.cv2), a.maxGainDB.isFinite ? short(a.maxGainDB) : "unlimited", short(a.predictedGainDB), short(a.predictedCostDB), short(a.predictedCostBits),
       a.overlap.isFinite ? short(a.overlap) : "undefined", short(a.chance)]
    })
    let verdicts = rows.filter { !$0.3.verdict.isEmpty }
    if !verdicts.isEmpty { page.table(["report", "field", "verdict"], verdicts.map { r, f, _, a in [r, f.name, a.verdict] }) }
  }

  /// The law's predictions against what `sweep` measured.
  func law(_ page: inout Page) throws {
    for r in reports {
      guard let sweep = r.report.result.sweep, !sweep.cells.isEmpty else { continue }
      page.heading("The law: \(r.name)")
      var names: [String] = []
      for c in sweep.cells where !names.contains(c.observable) { names.append(c.observable) }
      func scatter(_ what: String, _ x: (SweepReport.Cell) -> Double, _ y: (SweepReport.Cell) -> Double) throws -> String {
        var series = names.prefix(7).enumerated().map { i, n in
          Series(title: n, points: sweep.cells.filter { $0.observable == n }.map { (x: x($0), y: y($0)) }, mark: .points, style: i + 1)
        }
        let all = sweep.cells.flatMap { [x($0), y($0)] }.filter(\.isFinite)
        if let least = all.min(), let most = all.max() { series.append(Series(title: "equal", points: [(least, least), (most, most)], mark: .dashed)) }
        var p = Plot(x: "predicted \(what) in dB", y: "measured \(what) in dB", series: series)
        p.extra = "set key left top\n"
        return try gnuplot.svg(p.script)
      }
      func told(_ a: SweepReport.Agreement) -> String { "Spearman \(short(a.spearman.first ?? .nan)), slope \(short(a.slope.first ?? .nan)), rms of the difference \(short(a.rms)) dB, \(a.cells) cells." }
      page.row([
        (try scatter("cost", { $0.predictedCostDB }, { $0.costDB }), "PSNR given up. \(told(sweep.cost))"),
        (try scatter("gain", { $0.predictedGainDB }, { $0.gainDB }), "Observable won. \(told(sweep.gain))"),
      ])
      let curves = names.prefix(7).enumerated().map { i, n in
        // One point per rate: the plain coding is the same for every weight.
        var points: [(x: Double, y: Double)] = []
        for c in sweep.cells where c.observable == n && !points.contains(where: { $0.x == c.baseBits }) { points.append((c.baseBits, c.baseError)) }
        return Series(title: n, points: points.sorted { $0.x < $1.x }, style: i + 1)
      }
      let script = Plot(x: "bits per value", y: "relative error", series: curves, logY: true).script
      if !script.isEmpty { page.row([(try gnuplot.svg(script), "Observables of the plain coding against rate.")]) }
    }
  }
}
