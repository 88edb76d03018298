import Compressor

extension ReportPage {
  /// Where the time went, rank by rank, and how it changes with their number.
  func run(_ page: inout Page) throws {
    var pictures: [(svg: String, caption: String)] = []
    for r in reports.prefix(8) where r.report.run.phases.contains(where: { $0.seconds.maximum > 0 }) {
      pictures.append((try phases(r.report.run), "\(r.name): seconds per phase"
        + (r.report.run.ranks > Run.Phase.mostRanks ? " of \(Run.Phase.mostRanks) of \(r.report.run.ranks) ranks" : "") + ", \(r.report.run.command)."))
    }
    let scaling = try scaling()
    if pictures.isEmpty, scaling.isEmpty { return }
    page.heading("Time")
    page.row(scaling)
    page.row(pictures)
  }

  /// One bar per rank, its phases from the first to run to the last; time outside them is left white.
  private func phases(_ run: Run) throws -> String {
    let list = run.phases.filter { $0.seconds.maximum > 0.002 * run.seconds }
    let ranks = list.map(\.perRank.count).max() ?? 0
    // Reports of earlier versions hold the spread over the ranks only.
    let bars = ranks > 0 ? (0..<ranks).map { r in ("\(r)", list.map { r < $0.perRank.count ? $0.perRank[r] : 0 }) }
      : [("least", list.map(\.seconds.minimum)), ("median", list.map(\.seconds.median)), ("most", list.map(\.seconds.maximum))]
    let shown = Array(bars.reversed())
    var s = "set xlabel \"seconds\"\nset ylabel \(quoted(ranks > 0 ? "rank" : "over the ranks"))\nset yrange [-0.6:\(Double(shown.count) - 0.4)]\nset xrange [0:*]\nset key outside right top vertical maxcols 1 Left reverse samplen 1.5\nunset grid\nset grid x\n"
    let every = max(1, shown.count / 16)
    s += "set ytics (" + shown.enumerated().filter { (shown.count - 1 - $0.offset) % every == 0 }.map { "\(quoted($1.0)) \($0)" }.joined(separator: ", ") + ")\n"
    // Hatching tells neighbours apart where colour does not; a phase looks the same in every figure.
    var clauses: [String] = []
    for (p, phase) in list.enumerated() {
      s += "$p\(p) << EOD\n"
      for (i, bar) in shown.enumerated() {
        let start = bar.1[..<p].reduce(0, +)
        s += "\(start) \(Double(i) - 0.4) \(start + bar.1[p]) \(Double(i) + 0.4)\n"
      }
      s += "EOD\n"
      let k = Run.Phase.names.firstIndex(of: phase.name) ?? Run.Phase.names.count, fill = k % 2 == 0 ? "solid 0.75" : "pattern \(4 + k / 2 % 4)"
      clauses.append("$p\(p) using (($1+$3)/2):(($2+$4)/2):1:3:2:4 with boxxyerror fc rgb \"\(Plot.colours[k % Plot.colours.count])\" fs \(fill) border lc rgb \"#000000\" title \(quoted(phase.name))")
    }
    return clauses.isEmpty ? try gnuplot.svg("plot [0:1] 0\n") : try gnuplot.svg(width: 600, height: max(130 + 17 * list.count, min(700, 150 + 26 * shown.count)), s + "plot " + clauses.joined(separator: ", ") + "\n")
  }

  /// Seconds against ranks, one curve per command and size (strong) or size per rank (weak), with the ideal line of each.
  private func scaling() throws -> [(svg: String, caption: String)] {
    let runs = reports.map { r in (r.report.run, Double(r.report.result.fields.reduce(0) { $0 + $1.rawBytes })) }.filter { $0.0.ranks > 0 && $0.0.seconds > 0 && $0.1 > 0 }
    func curves(_ key: (Run, Double) -> Double, _ title: (String, Double) -> String) -> [(title: String, points: [(x: Double, y: Double)])] {
      var out: [(command: String, key: Double, title: String, points: [(x: Double, y: Double)])] = []
      for (run, raw) in runs {
        let k = key(run, raw)
        if let i = out.firstIndex(where: { $0.command == run.command && abs($0.key / k - 1) < 0.02 }) { out[i].points.append((Double(run.ranks), run.seconds)) }
        else { out.append((run.command, k, title(run.command, k), [(Double(run.ranks), run.seconds)])) }
      }
      // The median of repeated runs.
      return out.map { c in
        let ranks = Set(c.points.map(\.x)).sorted()
        return (c.title, ranks.map { n in
          let times = c.points.filter { $0.x == n }.map(\.y).sorted()
          return (n, times[times.count / 2])
        })
      }.filter { $0.1.count > 1 }
    }
    var pictures: [(svg: String, caption: String)] = []
    func draw(_ list: [(title: String, points: [(x: Double, y: Double)])], ideal: (Double, Double, Double) -> Double, _ caption: String) throws {
      if list.isEmpty { return }
      var series: [Series] = []
      for (i, c) in list.prefix(7).enumerated() {
        series.append(Series(title: c.title, points: c.points, style: i + 1))
        let first = c.points[0]
        series.append(Series(title: i == 0 ? "ideal" : "", points: c.points.map { ($0.x, ideal(first.y, first.x, $0.x)) }, mark: .dashed))
      }
      var p = Plot(x: "ranks", y: "seconds", series: series, logX: true)
      p.extra = "set logscale y\nset key outside top center horizontal\nset xtics (" + Set(list.flatMap { $0.points.map { Int($0.x) } }).sorted().map { "\($0)" }.joined(separator: ", ") + ")\n"
      pictures.append((try gnuplot.svg(p.script), caption))
    }
    try draw(curves({ $1 }, { "\($0), \(shortBytes(Int($1)))" }), ideal: { t, n, m in t * n / m }, "Strong scaling: the same data on more ranks, with ideal lines.")
    try draw(curves({ $1 / Double($0.ranks) }, { "\($0), \(shortBytes(Int($1))) per rank" }), ideal: { t, _, _ in t }, "Weak scaling: the same data per rank, with ideal lines.")
    return pictures
  }
}
