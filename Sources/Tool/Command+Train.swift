import Compressor
import Glibc

extension Command {
  static let train = Command(
    name: "train", summary: "Fit a network that corrects what a transform decodes (needs libtorch).",
    operands: "IN -o OUT.aldm -f NAME --psnr DB[,DB...] [OPTIONS]",
    options: [
      .value("output", short: "o", "OUT.aldm", "the model file to write"),
      .value("field", short: "f", "NAME", "the dataset to learn from"),
      .value("psnr", "DB[,DB...]", "operating points of the transform"),
      .value("steps", "A:B", "time steps to learn from (default: all but the last)"),
      .value("validate", "A:B", "time steps to validate on (default: the last)"),
      .value("patch", "1|2|4", "edge of the patches (2)"),
      .value("width", "N", "channels inside, 0: linear (32)"),
      .value("blocks", "N", "residual blocks (1)"),
      .value("epochs", "N", "passes over the data at most (40)"),
      .value("batch", "N", "blocks per step of the optimiser, over all ranks (8)"),
      .value("learning-rate", "R", "at first; falls to a twentieth (0.002)"),
      .value("patience", "N", "epochs without progress before it stops (8)"),
      .value("distortion", "L", "weight of the squared error (1)"),
      .value("physics", "NAME=L", "weight of an observable: box, gradient, vorticity, energy, spectrum", repeats: true),
      .value("box", "N", "edge of the averaged boxes, cells (8)"),
      .value("seed", "N", "order of the blocks and first weights (1)"),
      .value("checkpoint", "FILE", "kept after every epoch; continued from where it exists"),
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
    o.output = try given("output")
    o.field = try given("field")
    o.psnr = try positives(given("psnr"), for: "--psnr")
    if let text = a.last("steps") { o.steps = try steps(text) }
    if let text = a.last("validate") { o.validation = try steps(text) }
    if let text = a.last("patch") {
      guard let p = ["1": 1, "2": 2, "4": 4][text] else { throw Failure(.usage, "--patch knows 1, 2 and 4, not '\(text)'") }
      o.patch = p
    }
    if let text = a.last("width") {
      guard let w = Int(text), (0...256).contains(w) else { throw Failure(.usage, "--width needs 0 to 256, not '\(text)'") }
      o.width = w
    }
    if let text = a.last("blocks") {
      guard let b = Int(text), (0...8).contains(b) else { throw Failure(.usage, "--blocks needs 0 to 8, not '\(text)'") }
      o.blocks = b
    }
    if o.width == 0 { o.blocks = 0 }
    if let text = a.last("epochs") { o.epochs = try count(text, for: "--epochs") }
    if let text = a.last("batch") { o.batch = try count(text, for: "--batch") }
    if let text = a.last("learning-rate") { o.learningRate = try positive(text, for: "--learning-rate") }
    if let text = a.last("patience") { o.patience = try count(text, for: "--patience") }
    if let text = a.last("distortion") { o.distortion = try positive(text, for: "--distortion") }
    for text in a.all("physics") {
      let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
      guard parts.count == 2, TrainOptions.observables.contains(parts[0]) else {
        throw Failure(.usage, "--physics needs NAME=WEIGHT with one of \(TrainOptions.observables.joined(separator: ", ")), not '\(text)'")
      }
      o.physics[parts[0]] = try positive(parts[1], for: "--physics \(parts[0])")
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
