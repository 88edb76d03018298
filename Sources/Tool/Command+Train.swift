import Compressor
import Glibc

extension Command {
  static let train = Command(
    name: "train", summary: "Fit a network behind a transform, or a learned code (needs libtorch).",
    operands: "IN -o OUT.aldm -f NAME --psnr DB[,DB...] [--kind KIND] [OPTIONS]",
    options: [
      .value("output", short: "o", "OUT.aldm", "the model file to write"),
      .value("field", short: "f", "NAME", "the dataset to learn from"),
      .value("kind", "KIND", "network (behind a transform), autoencoder, sparse, variational (codes of patches)"),
      .value("psnr", "DB[,DB...]", "operating points of the transform; of a code the one it starts from"),
      .value("rate", "B", "codes: bits per value to end at, instead of --psnr"),
      .value("steps", "A:B", "time steps to learn from (default: all but the last)"),
      .value("validate", "A:B", "time steps to validate on (default: the last)"),
      .value("patch", "N", "edge of the patches: 1, 2, 4 (2), codes 2 to 64 (4)"),
      .value("width", "N", "channels inside, 0: linear (32; autoencoder, variational 64; sparse 0)"),
      .value("blocks", "N", "residual blocks of a network (1)"),
      .value("latents", "N", "codes: how many (those that carry anything; sparse: the coordinates)"),
      .value("quantise", "noise|round", "autoencoder: what stands for rounding while it learns (noise)"),
      .value("penalty", "proximal|smooth", "sparse, --width above 0: how |z| is minimised (proximal)"),
      .value("structure", "F", "sparse: what is penalised: identity, bits (weighed by their cost), groups:N (identity)"),
      .value("threshold", "T", "sparse: lambda / 2 in steps (0.6)"),
      .value("capacity", "C[:C[:cosine]]", "variational: nats per patch (as the principal components have)"),
      .value("pull", "G", "variational: gamma, on what the capacity is missed by (0.3)"),
      .value("coding", "contexts|factorized", "codes: tables by the latents around, or by the latent alone (contexts)"),
      .value("weight-bits", "16|8|6", "codes: bits of a stored weight (16)"),
      .value("epochs", "N", "passes over the data at most (40)"),
      .value("batch", "N", "blocks per step of the optimiser, over all ranks (8)"),
      .value("learning-rate", "R", "at first; falls to a twentieth (0.002)"),
      .value("patience", "N", "epochs without progress before it stops (8)"),
      .value("distortion", "L[:M[:cosine]]", "weight of the squared error; L:M, a ramp over the first half (1)"),
      .value("physics", "NAME=L[:M[:cosine]]", "weight of an observable: box, gradient, vorticity, energy, spectrum", repeats: true),
      .value("box", "N", "edge of the averaged boxes, cells (8)"),
      .value("seed", "N", "order of the blocks and first weights (1)"),
      .value("checkpoint", "FILE", "kept after every epoch; continued from where it exists"),
      .value("time", "MODEL", "train nothing: time libtorch's forward pass of a model over the field"),
      .value("device", "cpu|cuda[:N]", "where libtorch computes (cpu)"),
      .value("licence", "TEXT", "of the model (\"unstated\")"),
    ] + reading + [
      .value("report", "FILE", "write the course of the training as JSON"),
      .flag("quiet", short: "q", "say nothing but errors"),
      .flag("help", short: "h", "this text"),
    ]
  ) { a throws(Failure) in
    var o = TrainOptions(input: try a.operands("IN")[0], output: "", field: "")
    func given(_ name: String) throws(Failure) -> String {
      guard let text = a.last(name) else { throw Failure(.usage, "no --\(name); see 'alidade train --help'") }
      return text
    }
    o.timed = a.last("time")
    o.output = try o.timed == nil ? given("output") : a.last("output") ?? ""
    o.field = try given("field")
    if let text = a.last("kind") {
      guard let k = TrainOptions.Kind(rawValue: text) else { throw Failure(.usage, "--kind knows \(TrainOptions.Kind.allCases.map(\.rawValue).joined(separator: ", ")), not '\(text)'") }
      o.kind = k
    }
    let isCode = o.kind != .network
    if let text = a.last("rate") {
      guard isCode, a.last("psnr") == nil else { throw Failure(.usage, "--rate is for --kind autoencoder, sparse and variational, and instead of --psnr") }
      o.rate = try positive(text, for: "--rate")
    } else { o.psnr = try positives(given("psnr"), for: "--psnr") }
    guard !isCode || o.psnr.count < 2 else { throw Failure(.usage, "--kind \(o.kind.rawValue) starts from one --psnr") }
    if isCode { (o.patch, o.width, o.blocks) = (4, o.kind == .sparse ? 0 : 64, 0) }
    if let text = a.last("steps") { o.steps = try steps(text) }
    if let text = a.last("validate") { o.validation = try steps(text) }
    if let text = a.last("patch") {
      guard let p = Int(text), isCode ? (2...64).contains(p) : [1, 2, 4].contains(p) else {
        throw Failure(.usage, "--patch knows \(isCode ? "2 to 64" : "1, 2 and 4"), not '\(text)'")
      }
      o.patch = p
    }
    if let text = a.last("width") {
      guard let w = Int(text), (0...(isCode ? 1024 : 256)).contains(w) else { throw Failure(.usage, "--width needs 0 to \(isCode ? 1024 : 256), not '\(text)'") }
      o.width = w
    }
    if let text = a.last("blocks") {
      guard !isCode, let b = Int(text), (0...8).contains(b) else { throw Failure(.usage, "--blocks needs 0 to 8, and a network, not '\(text)'") }
      o.blocks = b
    }
    if o.width == 0 { o.blocks = 0 }
    try codeOptions(a, &o)
    if let text = a.last("epochs") { o.epochs = try count(text, for: "--epochs") }
    if let text = a.last("batch") { o.batch = try count(text, for: "--batch") }
    if let text = a.last("learning-rate") { o.learningRate = try positive(text, for: "--learning-rate") }
    if let text = a.last("patience") { o.patience = try count(text, for: "--patience") }
    func schedule(_ text: String, for option: String) throws(Failure) -> TrainingSchedule {
      guard let v = TrainingSchedule(text) else { throw Failure(.usage, "\(option) needs L, L:M, L:M:linear or L:M:cosine, not '\(text)'") }
      return v
    }
    if let text = a.last("distortion") { o.distortion = try schedule(text, for: "--distortion") }
    if let text = a.last("capacity") { o.capacity = try schedule(text, for: "--capacity") }
    for text in a.all("physics") {
      let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
      guard parts.count == 2, TrainOptions.observables.contains(parts[0]) else {
        throw Failure(.usage, "--physics needs NAME=WEIGHT with one of \(TrainOptions.observables.joined(separator: ", ")), not '\(text)'")
      }
      o.physics[parts[0]] = try schedule(parts[1], for: "--physics \(parts[0])")
    }
    if let text = a.last("box") { o.box = try count(text, for: "--box") }
    if let text = a.last("seed") { o.seed = try count(text, for: "--seed") }
    o.checkpoint = a.last("checkpoint")
    if let text = a.last("device"), text != "cpu" {
      let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
      guard parts[0] == "cuda", parts.count <= 2, let n = Int(parts.count == 2 ? parts[1] : "0"), n >= 0 else {
        throw Failure(.usage, "--device knows cpu and cuda[:N], not '\(text)'")
      }
      o.device = n
    }
    if let text = a.last("licence") { o.licence = text }
    o.reading = try a.reading()
    o.report = a.last("report")
    o.quiet = a.has("quiet")
    return .train(o)
  }
}

/// What only codes have.
private func codeOptions(_ a: Arguments, _ o: inout TrainOptions) throws(Failure) {
  func only(_ name: String, _ kinds: TrainOptions.Kind...) throws(Failure) -> String? {
    guard let text = a.last(name) else { return nil }
    guard kinds.contains(o.kind) else { throw Failure(.usage, "--\(name) is for --kind \(kinds.map(\.rawValue).joined(separator: ", "))") }
    return text
  }
  func known<T: RawRepresentable & CaseIterable>(_ text: String, for option: String) throws(Failure) -> T where T.RawValue == String {
    guard let v = T(rawValue: text) else { throw Failure(.usage, "\(option) knows \(T.allCases.map(\.rawValue).joined(separator: ", ")), not '\(text)'") }
    return v
  }
  if let text = try only("latents", .autoencoder, .sparse, .variational) { o.latents = min(8192, try count(text, for: "--latents")) }
  if let text = try only("quantise", .autoencoder) { o.quantisation = try known(text, for: "--quantise") }
  if let text = try only("penalty", .sparse) { o.penalty = try known(text, for: "--penalty") }
  if let text = try only("structure", .sparse) {
    let parts = text.split(separator: ":").map(String.init), size = parts.count == 2 ? Int(parts[1]) ?? 0 : 0
    guard ["identity", "bits"].contains(text) || (parts.first == "groups" && (2...64).contains(size)) else {
      throw Failure(.usage, "--structure knows identity, bits and groups:N, N from 2 to 64, not '\(text)'")
    }
    o.structure = text
  }
  if let text = try only("threshold", .sparse) { o.threshold = try positive(text, for: "--threshold") }
  if let text = try only("pull", .variational) { o.pull = try positive(text, for: "--pull") }
  _ = try only("capacity", .variational)
  if let text = try only("coding", .autoencoder, .variational) {
    guard let v = ["contexts": true, "factorized": false][text] else { throw Failure(.usage, "--coding knows contexts and factorized, not '\(text)'") }
    o.contexts = v
  }
  if let text = try only("weight-bits", .autoencoder, .sparse, .variational) {
    guard let v = ["16": 16, "8": 8, "6": 6][text] else { throw Failure(.usage, "--weight-bits knows 16, 8 and 6, not '\(text)'") }
    o.weightBits = v
  }
}

/// Becomes the trainer, which stands beside this program and alone links libtorch.
///
/// - Returns: Why not.
func runTrainer(_ o: TrainOptions) -> Failure {
  var own = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
  let n = readlink("/proc/self/exe", &own, own.count - 1)
  let program = n > 0 ? String(decoding: own[..<n].map { UInt8(bitPattern: $0) }, as: UTF8.self) : "alidade"
  let trainer = directory(of: program) + "/alidade-train"
  var arguments: [UnsafeMutablePointer<CChar>?] = [strdup(trainer), strdup(o.text), nil]
  execv(trainer, &arguments)
  let why = errno == ENOENT ? "it was built without libtorch; install libtorch-dev, or set TORCH_ROOT to a folder with libtorch's include and lib, and run 'swift build -c release'"
    : String(cString: strerror(errno))
  return Failure(.inputOutput, "training needs '\(trainer)', which cannot be started: \(why)")
}
