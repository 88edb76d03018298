import Compressor

extension ReportPage {
  /// Histograms of the error and pictures of field and error.
  func errors(_ page: inout Page) throws {
    var pictures: [(svg: String, caption: String)] = []
    for (r, f) in fields.filter({ $0.field.errorHistogram.counts.reduce(0, +) > 0 && $0.field.rmse > 0 }).prefix(6) {
      let h = f.errorHistogram, total = Double(h.counts.reduce(0, +)), width = (h.upper - h.lower) / Double(h.counts.count)
      // In units of the bound the edges stand at -1 and 1.
      let scale = f.granted > 0 ? f.granted : f.rmse
      let points = h.counts.enumerated().map { (x: (h.lower + (Double($0) + 0.5) * width) / scale, y: Double($1) / total) }
      let occupied = points.filter { $0.y > 0 }.map { abs($0.x) }.max() ?? 1
      var s = "$h << EOD\n" + points.map { "\($0.x) \($0.y)\n" }.joined() + "EOD\n"
      s += "set logscale y\nset format y \"%.0e\"\nset xlabel \"error / \(f.granted > 0 ? "bound" : "rmse")\"\nset ylabel \"share of the values\"\nset xrange [\(-1.05 * occupied):\(1.05 * occupied)]\n"
      s += "set style fill solid 0.35 border lc rgb \"#000000\"\nset boxwidth \(width / scale)\nplot $h using 1:($2 > 0 ? $2 : NaN) with boxes lc rgb \"#0072b2\"\n"
      let lag = [("z", f.errorAutocorrelation.z), ("y", f.errorAutocorrelation.y), ("x", f.errorAutocorrelation.x)].compactMap { n, v in v.first.map { "\(n) \(short($0))" } }
      pictures.append((try gnuplot.svg(height: 300, s), "\(f.name), step \(f.step) (\(r)): error histogram. Bias \(short(f.bias))"
        + (lag.isEmpty ? "." : ", correlation at lag 1: \(lag.joined(separator: ", ")).")))
    }
    if pictures.isEmpty, slices.isEmpty, maps.isEmpty { return }
    page.heading("Errors")
    page.row(pictures)
    for s in slices.prefix(12) {
      let name = "\(s.field), step \(s.step)" + (slices.contains { $0.field == s.field && $0.component != s.component } ? ", component \(s.component)" : "")
        + (s.place.isEmpty ? "" : ", \(s.place)")
      let scale = s.granted > 0 ? s.granted : 1
      page.row([
        (try image(s, s.original, Self.viridis), "\(name): original."),
        (try image(s, s.error.map { $0 / scale }, Self.cividis), "\(name): error of the decoded field" + (s.granted > 0 ? " / bound." : ".")),
      ])
    }
    if !maps.isEmpty {
      page.subheading("Alignment by tile")
      let varying = maps.filter { m in Set(m.original.filter(\.isFinite)).count > 1 }
      page.row(try varying.prefix(12).map { m in (try image(m, m.original, Self.viridis), m.field + (m.place.isEmpty ? "" : ", \(m.place) (tiles)") + ".") })
      let even = maps.filter { m in Set(m.original.filter(\.isFinite)).count == 1 }
      if !even.isEmpty { page.paragraph("The same in every tile shown: " + even.map { m in "\(m.field) \(short(m.original.first(where: \.isFinite)!))" }.joined(separator: ", ") + ".") }
    }
  }

  /// Lightness grows along both, so grey copies keep their order.
  static let viridis = "0 \"#440154\", 0.25 \"#3b528b\", 0.5 \"#21918c\", 0.75 \"#5ec962\", 1 \"#fde725\""
  static let cividis = "0 \"#00224e\", 0.25 \"#434e6c\", 0.5 \"#7d7c78\", 0.75 \"#bcae6c\", 1 \"#fee838\""

  private func image(_ s: Slice, _ values: [Double], _ palette: String) throws -> String {
    if s.rows == 1 { return try gnuplot.svg(Plot(x: "cell", y: "", series: [Series(title: "", points: values.enumerated().map { (Double($0), $1) }, mark: .line)]).script) }
    var text = "$m << EOD\n"
    for r in 0..<s.rows { text += values[r * s.columns..<(r + 1) * s.columns].map { $0.isFinite ? "\(Float($0))" : "NaN" }.joined(separator: " ") + "\n" }
    text += "EOD\nset palette defined (\(palette))\nset size ratio \(Double(s.rows) / Double(s.columns))\nunset grid\nset border 15\nunset xtics\nunset ytics\n"
    text += "set xrange [-0.5:\(Double(s.columns) - 0.5)]\nset yrange [-0.5:\(Double(s.rows) - 0.5)]\nset cbtics format \"%.3g\"\n"
    let finite = values.filter(\.isFinite)
    if let least = finite.min(), let most = finite.max(), least == most { text += "set cbrange [\(least - 1):\(most + 1)]\n" }
    return try gnuplot.svg(width: 480, height: 400, text + "plot $m matrix using 1:2:3 with image pixels\n")
  }
}
