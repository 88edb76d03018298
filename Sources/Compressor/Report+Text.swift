import Foundation

extension Report {
  /// For people: one block per field and step, then the whole file. At most 90 columns.
  public func text() -> String {
    var lines: [String] = []
    for f in result.fields { lines += f.lines() + [""] }
    if let sweep = result.sweep { lines += sweep.lines() + [""] }
    if let audit = result.audit { lines += audit.lines() + [""] }
    let raw = result.fields.reduce(0) { $0 + $1.rawBytes }
    let stored = result.fields.reduce(result.containerOverheadBytes) { $0 + $1.storedBytes }
    if stored > 0 {
      lines.append("total     \(shortBytes(raw)) -> \(shortBytes(stored))"
        + " (container \(shortBytes(result.containerOverheadBytes)))  ratio \(short(Double(raw) / Double(stored)))")
    }
    if run.ranks > 0 {
      var l = "run       \(run.ranks) rank\(run.ranks == 1 ? "" : "s") x \(run.threads) thread\(run.threads == 1 ? "" : "s")"
      if run.seconds.isFinite {
        l += "  \(short(run.seconds)) s"
        if raw > 0, run.seconds > 0, !["inspect", "align", "sweep"].contains(run.command) { l += "  \(short(Double(raw) / run.seconds / 1e6)) MB/s" }
      }
      if run.peakMemory.maximum.isFinite { l += "  peak memory \(shortBytes(Int(run.peakMemory.maximum))) per rank" }
      lines.append(l)
    }
    return lines.joined(separator: "\n") + "\n"
  }
}

extension FieldReport {
  func lines() -> [String] {
    var out: [String] = []
    let when = time.isFinite ? " (time \(short(time)))" : ""
    out.append("\(name)  step \(step)\(when)  \(shape.map(String.init).joined(separator: "x")) \(type)"
      + (transform.isEmpty ? "" : "  \(transform)"))
    func row(_ label: String, _ value: String) { out.append("  " + label.padding(toLength: 20, withPad: " ", startingAt: 0) + value) }
    if let b = bound {
      var v = b.kind == "lossless" ? "lossless" : "\(b.kind) \(short(b.value))"
      if b.absolute.isFinite, b.kind != "lossless", b.kind != "abs" { v += "  = \(precise(b.absolute)) absolute" }
      if let kept = boundKept { v += kept ? "  kept" : "  VIOLATED" }
      row("bound", v)
    } else if let kept = boundKept { row("bound", kept ? "kept" : "VIOLATED") }
    if storedBytes > 0 {
      row("size", "\(shortBytes(rawBytes)) -> \(shortBytes(storedBytes))  ratio \(short(ratio))  \(short(bitsPerValue)) bits/value")
      let p = storedParts
      row("", "streams \(shortBytes(p.streams)), index \(shortBytes(p.index)), tables \(shortBytes(p.tables)), side \(shortBytes(p.side))")
    } else if rawBytes > 0 { row("size", shortBytes(rawBytes)) }
    if let t = temporal {
      let gain = t.gain.isFinite ? "  \(t.predicted ? "saves" : "would save") about \(short(100 * t.gain)) %" : ""
      row("temporal", (t.predicted ? "from step \(t.references.joined(separator: " and ")), key step \(t.keyStep)" : "stands alone") + gain)
    }
    if masked > 0 { row("masked", "\(masked) of \(masked + validValues) values") }
    if maxAbsError.isFinite {
      row("largest error", precise(maxAbsError))
      row("rmse", "\(precise(rmse))  nrmse \(short(nrmse))  psnr " + (psnrDB.isFinite ? "\(short(psnrDB)) dB" : rmse == 0 ? "exact" : "-"))
      if bias.isFinite { row("bias", short(bias)) }
    }
    if ssim.isFinite { row("ssim", precise(ssim)) }
    let a = errorAutocorrelation
    let lag1 = [("z", a.z), ("y", a.y), ("x", a.x)].compactMap { n, v in v.first.map { "\(n) \(short($0))" } }
    if !lag1.isEmpty { row("error at lag 1", lag1.joined(separator: "  ")) }
    for (i, t) in totals.enumerated() {
      row(i == 0 ? "total" : "", "\(precise(t.original)) -> \(precise(t.decoded))")
    }
    if let k = kineticEnergy { row("kinetic energy", "\(precise(k.original)) -> \(precise(k.decoded))") }
    if let l = learned { row("network", "takes \(short(l.gainDB)) dB from the squared error; steps made for it would save \(short(l.slackDB)) dB more") }
    for o in observables where o.alignment.map({ !$0.verdict.isEmpty }) ?? false { out += o.preflight() }
    for o in observables where o.error.isFinite {
      if o.name.count > 19 { out.append("  " + o.name) }
      let predicted = o.predictedError.isFinite ? " (predicted \(short(o.predictedError)))" : "", restored = o.restoredError.map { $0.isFinite ? ", restored \(short($0))" : "" } ?? ""
      row(o.name.count > 19 ? "" : o.name, "\(precise(o.original)) -> \(precise(o.decoded))  error \(short(o.error))\(predicted)\(restored)")
    }
    if let a = aligned { row("steps", "\(a.steps), \(short(a.psnrLossDB)) dB of PSNR for what is kept") }
    if let r = restoration {
      row("restorable", r.kinds.joined(separator: ", ") + (r.psnrDB.isFinite ? "  psnr \(short(r.psnrDB)) dB, largest error \(precise(r.maxAbsError))" : ""))
    }
    return out
  }
}

private func formatted(_ v: Double, _ digits: Int) -> String {
  guard v.isFinite else { return "-" }
  return String(format: "%.\(digits)g", v)
}
/// Four significant digits, `-` for what is unknown.
public func short(_ v: Double) -> String { formatted(v, 4) }
/// Seven significant digits.
private func precise(_ v: Double) -> String { formatted(v, 7) }

/// A number of bytes with its unit; exact below 10 kB.
public func shortBytes(_ n: Int) -> String {
  if n < 10_000 { return "\(n) B" }
  var v = Double(n), unit = "B"
  for u in ["kB", "MB", "GB", "TB", "PB"] where v >= 1000 { v /= 1000; unit = u }
  return "\(short(v)) \(unit)"
}

extension ObservableReport {
  /// One block of the pre-flight: the sentence to act on, then the numbers behind it.
  fileprivate func preflight() -> [String] {
    guard let a = alignment else { return [] }
    var out = ["  " + a.verdict]
    guard a.cv2.isFinite else { return out }
    func row(_ label: String, _ value: String) { out.append("    " + label.padding(toLength: 24, withPad: " ", startingAt: 0) + value) }
    func interval(_ ci: [Double]) -> String { ci.count == 2 && ci[0] < ci[1] ? "  [\(short(ci[0])), \(short(ci[1]))]" : "" }
    row("error at this bound", "\(short(predictedError)) relative (predicted)")
    row("at weight 1", "\(short(a.predictedGainDB)) dB better for \(short(a.predictedCostDB)) dB of PSNR or \(short(a.predictedCostBits)) bits/value\(interval(a.predictedCostCI))")
    row("largest gain (AM/GM)", "\(a.maxGainDB.isFinite ? short(a.maxGainDB) : "unlimited") dB\(interval(a.maxGainCI))")
    row("CV^2", short(a.cv2) + interval(a.cv2CI))
    if let l = a.laws {
      func told(_ name: String, _ w: Alignment.Laws.Law?) -> String? { w.map { "\(name) \(short($0.gainDB)) for \(short($0.costDB))\(interval($0.costCI))" } }
      row("laws A, B, C", [told("A", l.high), told("B", l.soft), told("C", l.hard)].compactMap { $0 }.joined(separator: ", ") + " dB")
      row("lower bound", "at equal weights D or P stays \(short(l.boundDB)) dB\(interval(l.boundCI)) above its best (Minkowski)")
    }
    row("overlap", a.overlap.isFinite ? "\(short(a.overlap))\(interval(a.ci)) of \(a.k) dimensions, chance \(short(a.chance))" : "undefined")
    return out
  }
}
