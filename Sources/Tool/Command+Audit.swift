import Compressor

extension Command {
  static let audit = Command(
    name: "audit", summary: "What the latents of containers tell of a field's regimes, and how they lie.",
    operands: "IN.ald... --against ORIGINAL --labels LABELS... [OPTIONS]",
    options: [
      .value("against", "ORIGINAL", "the snapshot they were made from, or a better container"),
      .value("labels", "LABELS", "classes: QUANTITY[:N], x|y|z[:N], step, FILE:DATASET", repeats: true),
      .value("reference", "R.ald", "compare distances with its (the original's)"),
      .value("field", short: "f", "NAME", "only this field (default: all)", repeats: true),
      .value("steps", "A:B", "only time steps A to B-1"),
      .value("patch", "8|16", "cells a side of a patch (8)"),
      .value("dimensions", "N", "coefficients kept of a patch (192)"),
      .value("components", "N", "principal components for estimates of information (8)"),
      .value("sample", "N", "samples compared pair by pair (1024)"),
      .value("model", "FILE.aldm", "a model file that fields may need", repeats: true),
    ] + reading + usual
  ) { a throws(Failure) in
    if a.operands.isEmpty { throw Failure(.usage, "missing argument IN.ald") }
    guard let against = a.last("against") else { throw Failure(.usage, "alidade audit needs --against ORIGINAL: noise is measured and labels are made there") }
    var o = AuditOptions(containers: a.operands, against: against)
    for text in a.all("labels") {
      let l = try RegimeLabels(text)
      if o.labels.contains(l) { throw Failure(.usage, "--labels \(text) is given twice") }
      o.labels.append(l)
    }
    if o.labels.isEmpty { throw Failure(.usage, "alidade audit needs --labels, such as variance:4, vorticity:4, z:4, step or FILE:DATASET") }
    o.reference = a.last("reference")
    o.fields = try a.fields()
    o.steps = try a.steps()
    if let text = a.last("patch") {
      guard let n = Int(text), n == 8 || n == 16 else { throw Failure(.usage, "--patch must be 8 or 16, not '\(text)'") }
      o.patch = n
    }
    if let text = a.last("dimensions") {
      o.dimensions = try count(text, for: "--dimensions")
      if o.dimensions > 1024 { throw Failure(.usage, "--dimensions must be at most 1024, not \(text)") }
    }
    if let text = a.last("components") {
      o.components = try count(text, for: "--components")
      if o.components > 20 { throw Failure(.usage, "--components must be at most 20, not \(text): beyond, a sample tells nothing") }
    }
    if let text = a.last("sample") {
      o.sample = try count(text, for: "--sample")
      if !(16...8192 ~= o.sample) { throw Failure(.usage, "--sample must be 16 to 8192, not \(text)") }
    }
    o.models = a.all("model")
    o.reading = try a.reading()
    try a.work(&o)
    return .audit(o)
  }
}
