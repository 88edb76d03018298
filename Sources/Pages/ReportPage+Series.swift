public import Compressor

/// What a run has told of its steps so far, and the name it is shown under.
public struct NamedSeries: Sendable {
  public let name: String
  public let lines: [StepLine]
  public init(name: String, lines: [StepLine]) { self.name = name; self.lines = lines }
}

extension ReportPage {
  /// How a series has gone, step by step.
  func series(_ page: inout Page) throws {
    for s in series { try run(s, &page) }
  }

  private func run(_ s: NamedSeries, _ page: inout Page) throws {
    let lines = s.lines, fields = lines.flatMap(\.fields)
    // Times where they tell steps apart.
    let timed = lines.count > 1 && zip(lines, lines.dropFirst()).allSatisfy { $0.time < $1.time }
    let axis = timed ? "time" : "step"
    func at(_ l: StepLine) -> Double { timed ? l.time : Double(l.step) }
    page.heading("Series \(s.name)")
    let violated = fields.filter { $0.boundKept == false }, known = fields.filter { $0.boundKept != nil }
    page.paragraph(violated.isEmpty ? "Every bound that was checked is kept (\(known.count) of \(fields.count) fields and steps)."
      : "BOUND VIOLATED: " + violated.map { "\($0.name) (step \($0.step))" }.joined(separator: ", "))
    let raw = fields.reduce(0) { $0 + $1.rawBytes }, stored = lines.reduce(0) { $0 + $1.fileBytes }
    let seconds = lines.compactMap(\.seconds), last = lines[lines.count - 1]
    page.table(["steps", "from", "to", "raw", "stored", "ratio", "bytes per step", "budget", "seconds per step", "cap", "key steps"], [[
      "\(lines.count)", "\(lines[0].step)", "\(last.step)", shortBytes(raw), shortBytes(stored), stored > 0 ? short(Double(raw) / Double(stored)) : "-",
      shortBytes(stored / lines.count), last.bytesPerStep.map { $0 > 0 ? shortBytes(Int($0)) : "-" } ?? "-",
      seconds.isEmpty ? "-" : short(seconds.reduce(0, +) / Double(seconds.count)), last.secondsPerStep.map { $0 > 0 ? short($0) : "-" } ?? "-",
      "\(lines.filter { $0.keyStep == nil || $0.keyStep == $0.step }.count)"]], caption: "Means over the steps; seconds of rank 0.")
    var names: [String] = []
    for f in fields where !names.contains(f.name) { names.append(f.name) }
    page.table(["field", "bound of the last step", "bits per value", "last", "least PSNR in dB", "largest error", "codecs"], names.map { n in
      let f = fields.filter { $0.name == n }, bits = f.map(\.bitsPerValue).filter(\.isFinite)
      return [n, f[f.count - 1].bound.map { $0.kind == "lossless" ? "lossless" : "\($0.kind) \(short($0.value))" } ?? "none",
              bits.isEmpty ? "-" : short(bits.reduce(0, +) / Double(bits.count)), bits.last.map(short) ?? "-",
              short(f.map(\.psnrDB).filter(\.isFinite).min() ?? .nan), short(f.map(\.maxAbsError).filter(\.isFinite).max() ?? .nan),
              Set(f.map(\.transform)).sorted().joined(separator: ", ")]
    })

    var pictures: [(svg: String, caption: String)] = []
    func draw(_ y: String, _ curves: [Series], logY: Bool = false, from zero: Bool = false, _ caption: String) throws {
      var p = Plot(x: axis, y: y, series: curves, logY: logY)
      p.extra = "set key outside top center horizontal\n" + (zero ? "set yrange [0:*]\n" : "")
      let script = p.script
      if !script.isEmpty { pictures.append((try gnuplot.svg(script), caption)) }
    }
    func limit(_ title: String, _ y: (StepLine) -> Double?) -> [Series] {
      let points = lines.compactMap { l in y(l).flatMap { $0 > 0 ? (x: at(l), y: $0) : nil } }
      return points.isEmpty ? [] : [Series(title: title, points: points, mark: .dashed)]
    }
    /// One curve per field.
    func each(_ value: (FieldReport) -> Double) -> [Series] {
      names.prefix(7).enumerated().map { i, n in
        Series(title: n, points: lines.flatMap { l in l.fields.filter { $0.name == n }.map { (x: at(l), y: value($0)) } }, style: i + 1)
      }
    }
    let keys = lines.filter { $0.keyStep == $0.step }, loud = lines.filter { !$0.triggered.isEmpty }
    var bytes = [Series(title: "written", points: lines.map { (at($0), Double($0.fileBytes) / 1e6) }, mark: .line)]
    if keys.count < lines.count { bytes.append(Series(title: "key step", points: keys.map { (at($0), Double($0.fileBytes) / 1e6) }, mark: .points, style: 2)) }
    if !loud.isEmpty { bytes.append(Series(title: "triggered", points: loud.map { (at($0), Double($0.fileBytes) / 1e6) }, mark: .points, style: 3)) }
    try draw("MB per step", bytes + limit("budget") { l in l.bytesPerStep.map { $0 / 1e6 } }, from: true, "Bytes of each step"
      + (keys.count < lines.count ? "; key steps stand alone, the others are predicted" : "") + ".")
    try draw("bits per value", each(\.bitsPerValue), from: true, "Bits per value of each field.")
    // Where a bound is pointwise the error says how much of it was used; elsewhere the PSNR says what there is.
    let used = each { f in f.granted > 0 ? f.maxAbsError / f.granted : .nan }.filter { $0.points.contains { $0.y.isFinite } }
    if !used.isEmpty {
      try draw("largest error / bound", used + limit("bound") { _ in 1 }, from: true, "Largest error as a share of the pointwise bound that held; triggers and the budget change that bound.")
      try draw("pointwise bound", each { $0.granted > 0 ? $0.granted : .nan }, logY: true, "The pointwise bound that held.")
    }
    try draw("PSNR in dB", each(\.psnrDB), "PSNR of each field.")
    try draw("seconds", [Series(title: "taken", points: lines.compactMap { l in l.seconds.map { (at(l), $0) } }, mark: .linePoints)]
      + limit("cap") { $0.secondsPerStep }, from: true, "Seconds that rank 0 has spent on each step.")

    var observed: [String] = []
    for f in fields { for o in f.observables where !observed.contains("\(f.name)/\(o.name)") { observed.append("\(f.name)/\(o.name)") } }
    func curve(_ key: String, _ value: (ObservableReport) -> Double) -> [(x: Double, y: Double)] {
      lines.flatMap { l in l.fields.flatMap { f in f.observables.filter { "\(f.name)/\($0.name)" == key }.map { (at(l), value($0)) } } }
    }
    for key in observed.prefix(12) {
      let units = fields.lazy.flatMap(\.observables).first { key.hasSuffix("/" + $0.name) }?.units ?? ""
      try draw(units.isEmpty ? "value" : units, [
        Series(title: "original", points: curve(key, \.original), mark: .line),
        Series(title: "decoded", points: curve(key, \.decoded), mark: .points, style: 2),
      ], "\(shortened(key)): original and decoded; the root mean square where it has several values.")
    }
    if !observed.isEmpty {
      let errors = observed.prefix(7).enumerated().map { i, key in Series(title: cut(shortened(key), 40), points: curve(key, \.error), style: i + 1) }
      try draw("relative error", errors, logY: true, "Relative errors of the observables.")
    }
    page.row(pictures)

    let events = lines.filter { !$0.triggered.isEmpty || !($0.leftOut ?? []).isEmpty }
    if !events.isEmpty {
      page.table([axis, "step", "bound changed by a trigger", "left out for want of time"], events.suffix(40).map { l in
        [short(at(l)), "\(l.step)", l.triggered.joined(separator: ", "), (l.leftOut ?? []).joined(separator: ", ")]
      }, caption: events.count > 40 ? "The last 40 of \(events.count) steps in which a trigger fired or something was left out." : "Steps in which a trigger fired or something was left out.")
    }
  }
}
