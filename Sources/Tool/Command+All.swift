import Compressor
import Fields

// The sub-commands. An option's text appears in the help exactly as here.

/// What all commands that work on data take.
let usual: [Option] = [
  .value("threads", "N", "threads per rank (default 1)"),
  .value("report", "FILE", "write the report as JSON"),
  .flag("quiet", short: "q", "say nothing but errors"),
  .flag("verbose", short: "v", "say more"),
  .flag("help", short: "h", "this text"),
]

let reading: [Option] = [
  .value("vector", "NAME=X,Y,Z", "scalar datasets as one vector field", repeats: true),
  .value("periodic", "AXES", "axes that wrap: xyz, auto or none (auto)"),
  .value("axes", "LETTERS", "one of t,c,z,y,x per dimension"),
  .flag("raw", "the input is raw little-endian values"),
  .value("type", "f32|f64", "element type of a raw input"),
  .value("shape", "NZ,NY,NX", "extents of a raw input, last fastest"),
]

private let observing: [Option] = [
  .value("observe", "SPEC", "an observable: [FIELD/]NAME[(key=value,...)]", repeats: true),
  .value("window", "hann|none", "for spectra of fields that do not wrap (none)"),
]

private let bounds: [(option: Option, kind: String)] = [
  (.value("abs", "E", "|error| <= E"), "abs"),
  (.value("rel", "E", "|error| <= E times the global range"), "rel"),
  (.value("pwrel", "E", "|error| <= E times |value|"), "pwrel"),
  (.value("psnr", "DB", "at least this PSNR"), "psnr"),
  (.value("rate", "BITS", "stored bits per valid value"), "rate"),
  (.flag("lossless", "keep every bit"), "lossless"),
]

extension Command {
  static let compress = Command(
    name: "compress", summary: "Compress a snapshot into a container.",
    operands: "IN -o OUT.ald [-f NAME]... BOUND [OPTIONS]",
    options: [
      .value("output", short: "o", "OUT.ald", "the container to write"),
      .value("field", short: "f", "NAME", "only this dataset (default: all floating)", repeats: true),
    ] + bounds.map(\.option) + [
      .value("bound", "NAME:KIND=E", "another bound for one field", repeats: true),
      .value("steps", "A:B", "only time steps A to B-1"),
      .value("temporal", "K", "predict steps from those before, every K-th not"),
      .value("after", "PREVIOUS.ald", "with --temporal: go on from its last step"),
    ] + reading + observing + [
      .value("access", "tile", "only codecs with random access by tile"),
      .value("model", "FILE.aldm", "a network that may correct decoded values, or an autoencoder", repeats: true),
      .flag("filter", "a fitted linear filter may correct decoded values"),
      .flag("no-verify", "do not read the container back"),
      .flag("no-clobber", "refuse to replace an existing file"),
      .flag("dry-run", "measure everything, write nothing"),
      Option(long: "codec", kind: .value("NAME"), hidden: true),
      .value("keep", "SPEC:TARGET", "relative error of an observable <= TARGET", repeats: true),
      .value("keep-restored", "SPEC:TARGET", "the same of what --restore gives", repeats: true),
      .value("max-psnr-loss", "DB", "what --keep may cost at a held --rate"),
      .value("restoration", "KINDS", "for --restore: totals,spectrum,divergence,band"),
    ] + usual
  ) { a throws(Failure) in
    let input = try a.operands("IN")[0]
    let dryRun = a.has("dry-run")
    guard let output = a.last("output") ?? (dryRun ? "" : nil) else {
      throw Failure(.usage, "no output; give -o OUT.ald")
    }
    var o = CompressOptions(input: input, output: output, bound: .lossless)
    o.fields = try a.fields()
    for text in a.all("bound") { o.fieldBounds.append(try fieldBound(text)) }
    if let bound = try a.bound() { o.bound = bound } else if o.fields.isEmpty || !o.fields.allSatisfy({ f in o.fieldBounds.contains { $0.name == f } }) {
      throw noBound
    }
    o.steps = try a.steps()
    if let text = a.last("temporal") { o.temporal = try count(text, for: "--temporal") }
    o.after = a.last("after")
    if o.after != nil, o.temporal == nil { throw Failure(.usage, "--after is for predicted steps; give --temporal K with it") }
    o.reading = try a.reading()
    if let access = a.last("access") {
      guard access == "tile" else { throw Failure(.usage, "--access knows only 'tile', not '\(access)'") }
      o.tileAccess = true
    }
    try a.work(&o)
    o.verify = !a.has("no-verify")
    o.noClobber = a.has("no-clobber")
    o.dryRun = dryRun
    o.codec = a.last("codec")
    o.keep = try keepTargets(a.all("keep"), restored: false) + keepTargets(a.all("keep-restored"), restored: true)
    if let text = a.last("max-psnr-loss") {
      if o.keep.isEmpty { throw Failure(.usage, "--max-psnr-loss limits what --keep costs; give --keep with it") }
      o.maximumPSNRLoss = try positive(text, for: "--max-psnr-loss")
    }
    if let text = a.last("restoration") { o.restoration = try restorationKinds(text) }
    o.models = a.all("model")
    o.filter = a.has("filter")
    if o.filter || !o.models.isEmpty, o.temporal != nil { throw Failure(.usage, "--model and --filter do not take --temporal") }
    o.observe = try a.observe()
    return .compress(o)
  }

  static let decompress = Command(
    name: "decompress", summary: "Decode a container, or a region of it, into HDF5.",
    operands: "IN.ald -o OUT.h5 [-f NAME]... [OPTIONS]",
    options: [
      .value("output", short: "o", "OUT.h5", "the file to write"),
      .value("field", short: "f", "NAME", "only this field (default: all)", repeats: true),
      .value("steps", "A:B", "only time steps A to B-1"),
      .value("region", "Z0:Z1,Y0:Y1,X0:X1", "only these cells, storage order"),
      .flag("xdmf", "also describe the output for viewers"),
      .flag("no-clobber", "refuse to replace an existing file"),
      .flag("restore", "put right what compress --restoration stored"),
      .value("resolution", "1/2|1/4", "spectral fields on a coarser grid, from fewer bytes"),
      .value("model", "FILE.aldm", "a model file that fields may need", repeats: true),
    ] + usual
  ) { a throws(Failure) in
    let input = try a.operands("IN.ald")[0]
    guard let output = a.last("output") else { throw Failure(.usage, "no output; give -o OUT.h5") }
    var o = DecompressOptions(input: input, output: output)
    o.fields = try a.fields()
    o.steps = try a.steps()
    if let r = a.last("region") { o.region = try region(r) }
    if let r = a.last("resolution") {
      guard let d = ["1": 1, "1/1": 1, "1/2": 2, "1/4": 4][r] else { throw Failure(.usage, "--resolution knows 1/2 and 1/4, not '\(r)'") }
      o.coarsening = d
    }
    if o.coarsening > 1, o.region != nil || a.has("restore") { throw Failure(.usage, "--resolution takes neither --region nor --restore") }
    o.xdmf = a.has("xdmf")
    o.restore = a.has("restore")
    o.models = a.all("model")
    if o.restore, o.region != nil { throw Failure(.usage, "--restore needs the whole field, --region gives a part") }
    o.noClobber = a.has("no-clobber")
    try a.work(&o)
    return .decompress(o)
  }

  static let verify = Command(
    name: "verify", summary: "Check a container, and its bounds against the original; or a series.",
    operands: "IN.ald|RUN.alds [--against ORIGINAL] [OPTIONS]",
    options: [
      .value("against", "ORIGINAL", "the snapshot it was made from"),
      .value("model", "FILE.aldm", "a model file that fields may need", repeats: true),
    ] + reading + observing + usual
  ) { a throws(Failure) in
    var o = VerifyOptions(input: try a.operands("IN.ald|RUN.alds")[0])
    o.models = a.all("model")
    o.against = a.last("against")
    o.reading = try a.reading()
    o.observe = try a.observe()
    try a.work(&o)
    return .verify(o)
  }

  static let compare = Command(
    name: "compare", summary: "Measure how B differs from A (snapshots or containers).",
    operands: "A B [-f NAME]... [OPTIONS]",
    options: [
      .value("field", short: "f", "NAME", "only this dataset (default: all common)", repeats: true),
      .value("model", "FILE.aldm", "a model file that fields may need", repeats: true),
    ] + reading + observing + usual
  ) { a throws(Failure) in
    let files = try a.operands("A", "B")
    var o = CompareOptions(first: files[0], second: files[1])
    o.models = a.all("model")
    o.fields = try a.fields()
    o.reading = try a.reading()
    o.observe = try a.observe()
    try a.work(&o)
    return .compare(o)
  }

  static let inspect = Command(
    name: "inspect", summary: "Show what a container holds, without decoding.",
    operands: "IN.ald [--json]",
    options: [.flag("json", "as JSON on standard output"), .flag("help", short: "h", "this text")]
  ) { a throws(Failure) in
    var o = InspectOptions(input: try a.operands("IN.ald")[0])
    o.json = a.has("json")
    return .inspect(o)
  }
}

extension Command {
  static let align = Command(
    name: "align", summary: "Predict what keeping each observable better would cost; code nothing.",
    operands: "IN [-f NAME]... BOUND --observe SPEC... [OPTIONS]",
    options: [
      .value("field", short: "f", "NAME", "only this dataset (default: all floating)", repeats: true),
    ] + bounds.map(\.option) + observing + [
      .value("map", "FILE.h5", "write the numbers of every tile"),
      .value("model", "FILE.aldm", "of the learned decoder behind the transform"),
      .value("steps", "A:B", "time steps A to B-1 (the first)"),
    ] + reading + usual
  ) { a throws(Failure) in
    let input = try a.operands("IN")[0]
    guard let bound = try a.bound() else { throw noBound }
    var o = AlignOptions(input: input, bound: bound)
    o.fields = try a.fields()
    o.observe = try a.observed("align")
    o.map = a.last("map")
    o.model = a.last("model")
    o.steps = try a.steps()
    o.reading = try a.reading()
    try a.work(&o)
    return .align(o)
  }

  static let sweep = Command(
    name: "sweep", summary: "Code at several rates and weights: the law against measurement.",
    operands: "IN [-f NAME]... --observe SPEC... [OPTIONS]",
    options: [
      .value("field", short: "f", "NAME", "only this dataset (default: all floating)", repeats: true),
      .value("rates", "B,B,...", "bits per value (1,2,4)"),
      .value("weights", "L,L,...", "weights of the observable (0.25,1,4,16)"),
      .value("model", "FILE.aldm", "of the learned decoder behind the transform"),
      .value("steps", "A:B", "time steps A to B-1 (the first)"),
    ] + observing + reading + usual
  ) { a throws(Failure) in
    var o = SweepOptions(input: try a.operands("IN")[0])
    o.fields = try a.fields()
    o.observe = try a.observed("sweep")
    if let text = a.last("rates") { o.rates = try positives(text, for: "--rates") }
    o.model = a.last("model")
    if let text = a.last("weights") { o.weights = try positives(text, for: "--weights") }
    o.steps = try a.steps()
    o.reading = try a.reading()
    try a.work(&o)
    return .sweep(o)
  }
}

private let noBound = Failure(.usage, "no bound; give one of --abs, --rel, --pwrel, --psnr, --rate or --lossless")

extension Arguments {
  /// The one bound given for all fields.
  fileprivate func bound() throws(Failure) -> ErrorBound? {
    let given = bounds.filter { has($0.option.long) }
    if given.count > 1 { throw Failure(.usage, "two bounds given: " + given.map { "--" + $0.option.long }.joined(separator: " and ")) }
    guard let b = given.first else { return nil }
    return b.kind == "lossless" ? .lossless : try Tool.bound(kind: b.kind, last(b.kind) ?? "", for: "--" + b.kind)
  }
  /// At least one observable.
  fileprivate func observed(_ command: String) throws(Failure) -> ObserveOptions {
    let o = try observe()
    if o.specifications.isEmpty { throw Failure(.usage, "alidade \(command) needs --observe SPEC") }
    return o
  }
  func fields() throws(Failure) -> [String] {
    let names = all("field")
    for (i, n) in names.enumerated() where names[..<i].contains(n) { throw Failure(.usage, "field '\(n)' is given twice") }
    return names
  }
  /// Several observables may share one option, at commas outside parentheses.
  fileprivate func observe() throws(Failure) -> ObserveOptions {
    var o = ObserveOptions()
    for text in all("observe") {
      for part in splitOutsideParentheses(text) {
        if part.isEmpty { throw Failure(.usage, "--observe '\(text)' has an empty name") }
        if o.specifications.contains(part) { throw Failure(.usage, "observable '\(part)' is given twice") }
        o.specifications.append(part)
      }
    }
    if let window = last("window") {
      guard window == "hann" || window == "none" else { throw Failure(.usage, "--window must be hann or none, not '\(window)'") }
      o.hann = window == "hann"
    }
    return o
  }
  func steps() throws(Failure) -> Range<Int>? {
    guard let text = last("steps") else { return nil }
    return try Tool.steps(text)
  }
  func threads() throws(Failure) -> Int {
    guard let text = last("threads") else { return 1 }
    return try count(text, for: "--threads")
  }
  /// What all commands that work are told alike: `usual`.
  func work(_ o: inout some WorkOptions) throws(Failure) {
    o.threads = try threads()
    o.report = last("report")
    o.verbosity = try verbosity()
  }
  func verbosity() throws(Failure) -> Verbosity {
    if has("quiet"), has("verbose") { throw Failure(.usage, "--quiet and --verbose exclude each other") }
    return has("quiet") ? .quiet : has("verbose") ? .verbose : .normal
  }
  func reading() throws(Failure) -> InputOptions {
    var r = InputOptions()
    if let text = last("periodic") { r.periodic = try periodic(text) }
    if let text = last("axes") { r.axes = try axes(text) }
    r.vectors = try all("vector").map(vector)
    if has("raw") {
      guard let type = last("type"), let extents = last("shape") else {
        throw Failure(.usage, "--raw needs --type f32|f64 and --shape nz,ny,nx")
      }
      guard type == "f32" || type == "f64" else { throw Failure(.usage, "--type must be f32 or f64, not '\(type)'") }
      r.raw = RawLayout(type: type == "f32" ? .float32 : .float64, shape: try shape(extents))
      if let axes = r.axes, axes.count != r.raw!.shape.count {
        throw Failure(.usage, "--axes \(axes) names \(axes.count) dimensions, --shape \(extents) has \(r.raw!.shape.count)")
      }
    } else if has("type") || has("shape") {
      throw Failure(.usage, "--type and --shape describe a raw input; give --raw with them")
    }
    return r
  }
}
