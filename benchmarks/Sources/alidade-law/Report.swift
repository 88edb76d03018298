import Foundation
import LatentGeometry

/// docs/results/law.md from what was measured: the rows of THEORY's table 8, each with its numbers and whether it holds.
struct Report {
  let cells: Table, points: Table, facts: Table, radius: Table
  /// Lines of `overlap` on 1 and on 8 ranks.
  let overlaps: [[String]]
  private(set) var text = ""

  init(_ folder: String) throws {
    cells = try Table(reading: "cells", in: folder)
    points = try Table(reading: "points", in: folder)
    facts = try Table(reading: "facts", in: folder)
    radius = try Table(reading: "radius", in: folder)
    overlaps = ["1", "8"].map { n in
      ((try? String(contentsOfFile: "\(folder)/overlap-\(n).txt", encoding: .utf8)) ?? "").split(separator: "\n").map(String.init)
    }
    if cells.rows.isEmpty { throw UsageError(description: "\(folder) holds no cells") }
  }

  private func column(_ t: Table, _ rows: [[String]], _ name: String) -> [Double] { rows.map { t.number($0, name) } }
  private func p(_ name: String, _ rows: [[String]]) -> [Double] { column(points, rows, name) }
  private func c(_ name: String, _ rows: [[String]]) -> [Double] { column(cells, rows, name) }
  private func rms(_ v: [Double]) -> Double { (v.reduce(0) { $0 + $1 * $1 } / Double(max(1, v.count))).squareRoot() }
  private func differences(_ name: String, _ rows: [[String]]) -> [Double] { zip(p(name, rows), p(name + "pred", rows)).map { $0 - $1 } }
  private func f(_ v: Double, _ digits: Int = 2) -> String { v.isFinite ? String(format: "%.\(digits)f", v) : "-" }
  private func g(_ v: Double) -> String { v.isFinite ? String(format: "%.2g", v) : "-" }
  private func interval(_ i: Interval) -> String { "\(f(i.value)) (\(f(i.lower)) ... \(f(i.upper)))" }
  private func share(_ v: [Bool]) -> Double { v.isEmpty ? .nan : Double(v.filter { $0 }.count) / Double(v.count) }
  private func percent(_ v: Double) -> String { v.isFinite ? "\(f(100 * v, 0)) %" : "-" }
  private func fact(_ row: String, _ what: String, _ quantity: String) -> Double {
    facts.rows.first { $0[0] == row && $0[1] == what && $0[2] == quantity }.map { facts.number($0, "value") } ?? .nan
  }
  private func cases(_ row: String) -> [String] {
    var seen: [String] = []
    for r in facts.rows where r[0] == row && !seen.contains(r[1]) { seen.append(r[1]) }
    return seen
  }
  private func cell(_ r: [String]) -> String { r[1...4].joined(separator: "|") }
  private mutating func line(_ s: String = "") { text += s + "\n" }
  private var rows: [(id: String, what: String, measured: String, criterion: String, holds: Bool?)] = []

  mutating func write(to path: String, setting: String) throws {
    judge()
    try summary(setting)
    try text.write(toFile: path, atomically: true, encoding: .utf8)
    print("\(path): " + rows.map { "\($0.id) \($0.holds.map { $0 ? "holds" : "fails" } ?? "-")" }.joined(separator: ", "))
  }

  // MARK: rows

  private mutating func add(_ id: String, _ what: String, _ measured: String, _ criterion: String, _ holds: Bool?) {
    rows.append((id, what, measured, criterion, holds))
  }

  private mutating func judge() {
    gl1(); gl2(); gl3and4(); gl5(); gl6(); gl7(); gl8(); gl9to11(); gl12(); gl13and14()
  }

  private mutating func gl1() {
    // Gains may stand still where all of the gain is had; sampling errors count twice.
    var monotone: [Bool] = [], rises: [Bool] = []
    for name in Set(points.rows.map(cell)) {
      let r = points.rows.filter { cell($0) == name }.sorted { points.number($0, "weight") < points.number($1, "weight") }
      let gain = [0] + p("gain", r), e = [0] + p("gainerror", r)
      var falls = true
      for i in 1..<gain.count where gain[i] < gain[i - 1] - 2 * max(e[i], e[i - 1]) - 0.02 { falls = false }
      monotone.append(falls)
    }
    for r in points.rows where points.number(r, "costpred") > 0.1 { rises.append(points.number(r, "cost") > 0) }
    let agree = points.rows.filter { points.number($0, "costpred") > 0.02 }.map { points.number($0, "cost") > 0 && points.number($0, "gain") > 0 }
    add("GL-1", "P falls, D rises at a fixed rate",
        "P falls with lambda in \(percent(share(monotone))) of \(monotone.count) cells; D rises in \(percent(share(rises))) of \(rises.count) points with more than 0.1 dB predicted; both signs right in \(percent(share(agree)))",
        ">= 90 %", share(agree) >= 0.9 && share(rises) >= 0.9 && share(monotone) >= 0.9)
  }
  private mutating func gl2() {
    let r = points.rows, rc = Correlation.pearson(p("costpred", r), p("cost", r)), rg = Correlation.pearson(p("gainpred", r), p("gain", r))
    let sc = Correlation.slope(p("costpred", r), p("cost", r)), sg = Correlation.slope(p("gainpred", r), p("gain", r))
    add("GL-2", "cost and gain follow the law", "cost: Pearson \(f(rc, 3)), slope \(f(sc)); gain: Pearson \(f(rg, 3)), slope \(f(sg)); \(r.count) points",
        "Pearson >= 0.95, slope 0.9 ... 1.1", min(rc, rg) >= 0.95 && (0.9...1.1).contains(sc) && (0.9...1.1).contains(sg))
    let cost = rms(differences("cost", r)), gain = rms(differences("gain", r))
    add("", "error of the predicted cost", "\(f(cost, 3)) dB rms", "<= 0.15 dB", cost <= 0.15)
    add("", "error of the predicted gain", "\(f(gain, 3)) dB rms, sampling errors of the measurement \(f(rms(p("gainerror", r)), 3)) dB", "<= 0.3 dB", gain <= 0.3)
  }
  private mutating func gl3and4() {
    let r = points.rows.filter { points.number($0, "spread") > 0.2 && points.number($0, "slope").isFinite }, s = p("slope", r)
    let good = s.map { abs($0 + 1) <= 0.1 }
    add("GL-3", "errors go where the law puts them", "slope of ln noise over ln(1 + lambda a): \(f(mean(s), 3)) on average, within 0.1 of -1 in \(percent(share(good))) of \(s.count) points",
        "-1 +- 0.1", abs(mean(s) + 1) <= 0.1 && share(good) >= 0.9)
    let four = points.rows.filter { points.number($0, "weight") == 4 }
    func within(_ name: String) -> [Bool] { zip(p(name, four), p(name + "pred", four)).map { abs($0 / $1 - 1) <= 0.2 } }
    add("GL-4", "noise on the stiffest over that on the softest tenth, lambda^ 4",
        "within 20 % of the law in \(percent(share(within("edge")))) of \(four.count) cells; along the rate's directions in \(percent(share(within("rateedge"))))",
        "within 20 %", share(within("edge")) >= 0.9)
  }
  private mutating func gl5() {
    let all = cases("GL-5")
    let least = all.map { fact("GL-5", $0, "least") }, most = all.map { fact("GL-5", $0, "most") }
    add("GL-5", "no noise beats the bound", "best of 20 searches over n v det(G)^(1/n), minus 1: \(zip(all, least).map { "\(g($1)) (\($0))" }.joined(separator: ", ")); worst \(g(most.max()!))",
        ">= -1e-8, reached within 1e-6", least.allSatisfy { $0 >= -1e-8 && $0 <= 1e-6 })
  }
  private mutating func gl6() {
    let all = cases("GL-6").filter { $0 != "rate" }
    let off = all.map { fact("GL-6", $0, "ideal") - fact("GL-6", $0, "law") }, coder = all.map { fact("GL-6", $0, "coder") - fact("GL-6", $0, "law") }
    let flat = abs(fact("GL-6", "flat", "ideal"))
    add("GL-6", "largest gain is AM/GM",
        all.map { "\($0) \(f(fact("GL-6", $0, "ideal"), 3)) dB (law \(f(abs(fact("GL-6", $0, "law")), 3)))" }.joined(separator: ", ")
          + " at equal length of the ideal code, \(f(fact("GL-6", "rate", "bits"), 1)) bits; off by at most \(f(off.map(abs).max()!, 3)) dB, at equal bytes of the coder by \(f(coder.map(abs).max()!, 3)) dB",
        "within 1 % (0.043 dB), flat below 0.02 dB", off.allSatisfy { abs($0) <= 0.0432 } && flat < 0.02)
  }
  private mutating func gl7() {
    if radius.rows.isEmpty { return }
    let finest = radius.rows.filter { pow(10, 2 * 2.5 / 9) > radius.number($0, "relstep") }
    let fine = finest.map { abs(radius.number($0, "error")) }, sure = finest.map { abs(radius.number($0, "error")) - 2 * radius.number($0, "sampling") }
    // The finest step at which it is off by more than 20 %, as the PSNR of uniform noise.
    var radii: [Double] = []
    for name in Set(radius.rows.map { $0[0] + "|" + $0[1] }) {
      let r = radius.rows.filter { $0[0] + "|" + $0[1] == name && abs(radius.number($0, "error")) > 0.2 }
      if let first = r.map({ radius.number($0, "psnr") }).max() { radii.append(first) }
    }
    let few = finest.filter { $0[1] == "PSNR" }.map { abs(radius.number($0, "error")) }
    add("GL-7", "tr(G S) at high rate", "error at the three finest of ten steps: D at most \(f(100 * (few.max() ?? .nan), 1)) %, P at most \(f(100 * (fine.max() ?? .nan), 1)) %, of that beyond two standard errors \(f(100 * max(0, sure.max() ?? .nan), 1)) %; "
          + "off by 20 % from \(f(radii.max() ?? .nan, 0)) dB down at the earliest",
        "< 5 %", sure.allSatisfy { $0 < 0.05 })
  }
  private mutating func gl8() {
    let numbers = overlaps[0].map { $0.split(separator: "\t").compactMap { Double($0) } }.filter { $0.count >= 2 }
    let off = numbers.map { abs($0[0] - $0[1]) }.max() ?? .nan, same = !overlaps[0].isEmpty && overlaps[0] == overlaps[1]
    add("GL-8", "planted overlaps, matrix-free", "found within \(g(off)); the same bits on 1 and 8 ranks: \(same ? "yes" : "no")", "within 0.01, identical", off <= 0.01 && same)
  }
  private mutating func gl9to11() {
    let r = cells.rows, gain = c("gain05", r), clusters = r.map { $0[0] + $0[3] }
    let one = points.rows.filter { points.number($0, "weight") == 1 }, omega = r.map { cells.number($0, "corrected") }
    let cost = p("cost", one)
    precondition(one.count == r.count && zip(one, r).allSatisfy { cell($0) == cell($1) })
    let plain = try! Correlation.clustered(omega, cost, clusters: clusters, Correlation.spearman)
    let bent = r.indices.filter { p("gain", [one[$0]])[0] > 0.05 && cost[$0] > 0 }
    let kappa = bent.map { cost[$0] / pow(p("gain", [one[$0]])[0], 2) }
    let curved = try! Correlation.clustered(bent.map { omega[$0] }, kappa, clusters: bent.map { clusters[$0] }, Correlation.spearman)
    let curve = Correlation.spearman(bent.map { -cells.number(r[$0], "cv2") }, kappa), predicted = Correlation.spearman(p("costpred", one), cost)
    add("GL-9", "overlap against what is lost", "Spearman of the corrected overlap with the cost at lambda^ 1: \(interval(plain)), with the curvature: \(interval(curved)); the law's cost with the cost: \(f(predicted)), 1/CV^2 with the curvature: \(f(curve))",
        "<= -0.5, interval without 0", plain.value <= -0.5 && plain.upper < 0)
    let cv = try! Correlation.clustered(c("cv2", r), gain, clusters: clusters, Correlation.spearman)
    add("", "CV^2 against the gain at 0.5 dB", "Spearman \(interval(cv)), \(r.count) cells", ">= 0.85", cv.value >= 0.85)
    let domains = Set(r.map { $0[0] }).sorted()
    let inside = domains.map { d in
      let i = r.indices.filter { r[$0][0] == d }
      return Correlation.spearman(i.map { cells.number(r[$0], "cv2") }, i.map { gain[$0] })
    }
    let without = domains.map { d in
      let i = r.indices.filter { r[$0][0] != d }
      return Correlation.spearman(i.map { cells.number(r[$0], "cv2") }, i.map { gain[$0] })
    }
    let insideOmega = domains.map { d in
      let i = r.indices.filter { r[$0][0] == d }
      return Correlation.spearman(i.map { omega[$0] }, i.map { cost[$0] })
    }
    add("GL-10", "in every domain", "CV^2 with the gain: " + zip(domains, inside).map { "\($0) \(f($1))" }.joined(separator: ", ") + "; one domain left out: \(f(without.min()!)) ... \(f(without.max()!)); "
          + "overlap with the cost: " + insideOmega.map { f($0) }.joined(separator: ", "),
        "one sign, >= 0.4 with one left out", inside.allSatisfy { $0 > 0 } && without.allSatisfy { $0 >= 0.4 })
    let said = c("gain05pred", r).map { $0 >= 3 }, was = gain.map { $0 >= 3 }
    let yes = share(zip(said, was).filter { $0.1 }.map { $0.0 }), no = share(zip(said, was).filter { !$0.1 }.map { !$0.0 })
    add("GL-11", "3 dB for 0.5 dB foretold", "balanced accuracy \(f((yes + no) / 2, 3)) (\(was.filter { $0 }.count) of \(was.count) cells gain that much)", ">= 0.8", (yes + no) / 2 >= 0.8)
  }
  private mutating func gl12() {
    let all = cases("GL-12")
    if all.isEmpty { return }
    func off(_ what: String, _ quantity: String, of: String = "measured") -> Double { fact("GL-12", what, quantity) / fact("GL-12", what, of) - 1 }
    let biased = all.filter { fact("GL-12", $0, "biased") > 0 }
    add("GL-12", "spectrum: the energy of noise counts", all.map { w in
      "\(w): with it \(percent(off(w, "withbias"))) off, tangent alone \(percent(off(w, "tangent"))), noise > 4 E/N in \(percent(fact("GL-12", w, "biased"))) of the shells (with plain rounding \(percent(off(w, "withbias", of: "plain"))))"
    }.joined(separator: "; "), "within 15 % with it; tangent alone wrong where noise > 4 E/N",
        all.allSatisfy { abs(off($0, "withbias")) <= 0.15 } && !biased.isEmpty && biased.allSatisfy { abs(off($0, "tangent")) > 0.15 })
  }
  private mutating func gl13and14() {
    let all = cases("GL-13")
    if all.isEmpty { return }
    func m(_ w: String, _ s: String) -> Double { fact("GL-13", w, "\(s) measured") }
    add("GL-13", "encoder-only shaping, D + lambda P over the optimum",
        all.map { w in "\(w): " + ["S0", "S1", "S2"].map { "\($0) \(f(m(w, $0), 3)) (law \(f(fact("GL-13", w, "\($0) law"), 3)))" }.joined(separator: ", ") }.joined(separator: "; "),
        "S2 within 2 %, S2 <= S1 <= S0", all.allSatisfy { m($0, "S2") <= 1.02 && m($0, "S2") <= m($0, "S1") && m($0, "S1") <= m($0, "S0") })
    let restored = cases("GL-14")
    func v(_ q: String) -> [Double] { restored.map { fact("GL-14", $0, q) } }
    add("GL-14", "restored spectra and means", "largest relative error \(g(v("after").max()!)) (before: \(g(v("before").min()!)) ... \(g(v("before").max()!))), at most \(Int(v("steps").max()!)) Newton steps, D changes by \(f(v("dB").min()!, 4)) ... \(f(v("dB").max()!, 4)) dB, \(Int(v("bytes").max()!)) bytes or less, \(g(100 * v("share").max()!)) % of the stream",
        "<= 1e-6, <= 0.05 dB", v("after").max()! <= 1e-6 && v("dB").max()! <= 0.05)
  }

  // MARK: text

  private mutating func summary(_ setting: String) throws {
    line("# The law against measurement\n")
    line("What `benchmarks/law/run.sh` measured: \(cells.rows.count) cells (field, codec, observable, fidelity) of \(Set(cells.rows.map { $0[0] }).count) domains, \(points.rows.count) points with their weights lambda^. \(setting)\n")
    line("""
      Each cell starts from a codec without alignment (9/7, LOT 8 or LOT 16; steps ~ G_D^-1/2) at 60, 80 or 100 dB. What the law says of the aligned codecs comes from that
      one codec: the bands' sensitivities (closed form, by wavenumber, the whole factor of a short vector, or 8 probes), counts and variances, six classes of local
      activity apart, in `BandSpectrum` at its noise level. What is measured is a codec with steps ~ (G_D + lambda G_P)^-1/2: coefficients quantised, coded by the
      context models, tables and rANS of the library until the bytes are those of the start, decoded, and the observable evaluated on the decoded
      field. Errors of observables that a few numbers decide scatter from one rounding to the next, so P is a mean over up to 64 draws of it; its
      standard error is given. The table of steps itself is not counted, and the lowest band is not coded in differences. lambda^ = lambda P(0)/D(0) of the law.

      """)
    line("| row | claim | measured | asked | |\n|---|---|---|---|---|")
    for r in rows { line("| \(r.id) | \(r.what) | \(r.measured) | \(r.criterion) | \(r.holds.map { $0 ? "holds" : "**fails**" } ?? "") |") }
    line("\n![predicted and measured](law/points.png)\n")
    line("Cost in dB of PSNR and gain in dB of the observable's squared error, at the same rate, all points.\n")
    line("## By fidelity and codec\n")
    line("| PSNR | codec | points | cost, rms error | where less than 0.5 dB is predicted | gain, rms error | sampling | high-rate law: cost | gain |\n|---|---|---|---|---|---|---|---|---|")
    for psnr in Study.fidelities { for codec in ["lot16", "lot8", "wavelet97"] {
      let r = points.rows.filter { points.number($0, "psnr") == psnr && $0[2] == codec }
      if r.isEmpty { continue }
      let small = r.filter { points.number($0, "costpred") < 0.5 }
      let hc = zip(p("cost", r), p("costhigh", r)).map { $0 - $1 }, hg = zip(p("gain", r), p("gainhigh", r)).map { $0 - $1 }
      line("| \(Int(psnr)) | \(codec) | \(r.count) | \(f(rms(differences("cost", r)), 3)) | \(f(rms(differences("cost", small)), 3)) | \(f(rms(differences("gain", r)), 3)) | \(f(rms(p("gainerror", r)), 3)) | \(f(rms(hc), 3)) | \(f(rms(hg), 3)) |")
    } }
    line("\n![curves](law/curves.png)\n")
    line("Gain over cost on the velocity of three-dimensional turbulence, LOT 16, 80 dB: lines from the law, points measured.\n")
    line("## Observables\n")
    line("80 dB, lambda^ 1 and 16: measured / predicted.\n")
    line("| field | codec | observable | bits/value | CV^2 | max gain | cost 1 | gain 1 | cost 16 | gain 16 | sensitivities |\n|---|---|---|---|---|---|---|---|---|---|---|")
    for r in cells.rows where cells.number(r, "psnr") == 80 {
      func pair(_ name: String, _ w: Double) -> String {
        let q = points.rows.filter { cell($0) == cell(r) && points.number($0, "weight") == w }
        return "\(f(p(name, q)[0])) / \(f(p(name + "pred", q)[0]))"
      }
      line("| \(r[1]) | \(r[2]) | \(r[3]) | \(f(cells.number(r, "rate"), 3)) | \(g(cells.number(r, "cv2"))) | \(f(cells.number(r, "maxgain"), 1)) | \(pair("cost", 1)) | \(pair("gain", 1)) | \(pair("cost", 16)) | \(pair("gain", 16)) | \(cells[r, "source"]) |")
    }
    line("\n## Diagnostics\n")
    line("![diagnostics](law/diagnostics.png)\n")
    line("Spearman with what was measured, intervals by resampling domain x observable; pooled: ranks within each domain first.\n")
    line("| diagnostic | gain at 0.5 dB | pooled by domain | cost at lambda^ 1 | Kendall |\n|---|---|---|---|---|")
    let r = cells.rows, clusters = r.map { $0[0] + $0[3] }, one = points.rows.filter { points.number($0, "weight") == 1 }, gain = c("gain05", r), cost = p("cost", one)
    for (name, key) in [("CV^2", "cv2"), ("CV^2 of the latents above the noise", "cv2active"), ("largest gain", "maxgain"), ("gain at 0.5 dB by the law", "gain05pred"),
                        ("overlap, prior-whitened, corrected for chance", "corrected"), ("overlap of the top 1 % with g itself", "omegag")] {
      let x = c(key, r)
      line("| \(name) | \(interval(try Correlation.clustered(x, gain, clusters: clusters, Correlation.spearman))) | \(f(Correlation.pooled(x, gain, groups: r.map { $0[0] }))) | "
        + "\(interval(try Correlation.clustered(x, cost, clusters: clusters, Correlation.spearman))) | \(f(Correlation.kendall(x, gain))) |")
    }
    let three = r.filter { cells.number($0, "cost3").isFinite && cells.number($0, "cost3pred").isFinite }
    let wide = r.map { cells.number($0, "omegahigh") - cells.number($0, "omegalow") }
    line("""

      At a fixed target, P 3 dB lower: the cost is predicted within \(f(rms(zip(c("cost3", three), c("cost3pred", three)).map { $0 - $1 }), 3)) dB rms (\(three.count) cells that reach it).
      Overlaps: \(f(c("omega", r).min()!)) ... \(f(c("omega", r).max()!)), chance \(g(c("chance", r).min()!)) ... \(g(c("chance", r).max()!)), intervals over blocks of the field \(f(wide.max()!)) wide at most.

      ## How far the law reaches

      ![validity](law/radius.png)

      tr(G S) with S = step^2/12 for one step everywhere, over what was measured; dotted: two-dimensional turbulence. Below the rate at which bands fall under the noise it predicts too much; `BandSpectrum` with the
      bands' variances goes on from there.

      ## The coder

      """)
    let extra = points.rows.map { r in (r, points.number(r, "integers") - points.number(r, "rate")) }
    line("""
      Where bands have steps of their own, integers of neighbouring bands are in different units. Every figure above is of contexts that compare decoded magnitudes instead,
      class and neighbours in units of one step, which a decoder knows as well as the encoder; the library's do so too (format 7.11, in quarter octaves). Bits per
      value that contexts of integers would cost more, and dB of PSNR at the same bytes; lambda^ 4, mean over fields and fidelities:

      """)
    line("| observable | lot16 bits | dB | lot8 bits | dB | wavelet97 bits | dB |\n|---|---|---|---|---|---|---|")
    for o in Set(points.rows.map { $0[3] }).sorted() {
      let columns = ["lot16", "lot8", "wavelet97"].map { k -> String in
        let v = extra.filter { $0.0[3] == o && $0.0[2] == k && points.number($0.0, "weight") == 4 }.map(\.1)
        let d = points.rows.filter { $0[3] == o && $0[2] == k && points.number($0, "weight") == 4 }.map { points.number($0, "costintegers") - points.number($0, "cost") }
        return v.isEmpty ? " | " : "\(f(mean(v), 3)) | \(f(mean(d)))"
      }
      line("| \(o) | \(columns.joined(separator: " | ")) |")
    }
    let four = points.rows.filter { points.number($0, "weight") == 4 }
    line("""

      With integers the cost at lambda^ 4 is \(f(rms(zip(p("costintegers", four), p("costpred", four)).map { $0 - $1 }), 3)) dB rms from the law's, with magnitudes \(f(rms(differences("cost", four)), 3)) dB.

      On the real coder (`alidade sweep`, turb3d, box16, box(size=8), vorticity, divergence, dissipation, potential, 1, 2, 4 bits, weights 0.25 to 16, up to 32 codings a cell): cost 0.09 dB rms
      from the law, gain 0.22; with contexts of integers box16, box(size=8), vorticity and potential were 1.02 and 1.16 dB off. See [aligned.md](aligned.md).

      ## Reading it

      - Cost and gain are known before anything is coded, from one pass over the coefficients. Where they are off, it is at 60 dB, where bands lie near the step: their
        latents are no Gaussians (of the wavelet's few bands least of all), and what rounds to 0 is not independent from band to band.
      - Averages over boxes and large-scale fields gain ten and more dB for tenths of a dB; derivatives gain less than 2 dB at any price; a region of interest gains nothing from
        steps by band, as every band feels it alike.
      - CV^2 and the law's own curve rank observables; the overlap does not. In an orthonormal transform G_D has no dominant space, so the whitened overlap only compares
        what the observable feels with where the field's energy is: on two-dimensional turbulence a region of interest, which gains nothing, and a box average have nearly the same.
      - P scatters where few numbers decide it (potential, radial, boxes): the standard error above is part of the gain's error.
      """)
  }
}
