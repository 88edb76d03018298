import CTorch
import Codecs
import Compressor
import Glibc
import MPI

/// `alidade-train`: what `alidade train` becomes. Its only argument is `TrainOptions.text`.
@main struct Main {
  static func main() {
    guard CommandLine.arguments.count == 2, let o = TrainOptions(CommandLine.arguments[1]) else {
      emit("alidade-train is started by 'alidade train'\n", to: 2)
      exit(ExitCode.usage.rawValue)
    }
    Interruption.prepare()
    for s in [SIGUSR1, SIGTERM, SIGINT] { signal(s) { _ in Interruption.request() } }
    do { try MPIEnvironment.start() } catch {
      emit("alidade: error: MPI does not start: \(error)\n", to: 2)
      exit(ExitCode.launch.rawValue)
    }
    var code: Int32 = 0, speaks = false
    do {
      let world = try Communicator.world()
      speaks = world.rank == 0
      try train(o, ranks: world)
    } catch {
      let f = Failure(error)
      if speaks { emit("alidade: error: \(f.message)\n", to: 2) }
      code = f.code.rawValue
    }
    do { try MPIEnvironment.finish() } catch { code = code == 0 ? ExitCode.launch.rawValue : code }
    exit(code)
  }

  /// - Collective: all ranks.
  static func train(_ o: TrainOptions, ranks: borrowing Communicator) throws {
    guard try ranks.allReduce(ctorch_has_device(Int32(o.device)) != 0 ? 1 : 0, .min) == 1 else {
      throw Failure(.usage, "--device cuda:\(o.device): this libtorch (\(String(cString: ctorch_version()))) finds no such device on every rank; use --device cpu, or a libtorch with CUDA by TORCH_ROOT")
    }
    let first = ranks.rank == 0
    func say(_ line: String) { if first, !o.quiet { emit(line + "\n", to: 2) } }
    try ranks.agree { try Torch.check(ctorch_threads(1), "threads") }
    var trainer = try Trainer(o, ranks: ranks, say: say)
    var log = trainer.log
    log.torch = String(cString: ctorch_version())
    func save() throws { if let path = o.report { try ranks.agree { if first { try replace(path, with: log.json) } } } }
    let start = now()
    func record(_ loss: Double?) throws {
      let terms = try trainer.validated(ranks: ranks), value = trainer.weighted(terms)
      guard value.isFinite else { throw Failure(.inputOutput, "the validation is not finite after epoch \(trainer.state.epoch)") }
      trainer.judge(value)
      let e = TrainingLog.Epoch(epoch: trainer.state.epoch, loss: loss, validation: value, terms: terms, gain: -10 * log10(terms[0]), seconds: now() - start)
      log.epochs.append(e)
      say("epoch \(e.epoch)/\(o.epochs)  loss \(loss.map { text($0) } ?? "-")  validation \(text(value))  \(text(e.gain)) dB  \(text(e.seconds)) s")
    }
    if let path = o.checkpoint, let known = try Checkpoint.read(path, o, like: trainer.state, ranks: ranks) {
      trainer.resume(from: known)
      say("goes on after epoch \(known.epoch) of '\(path)'")
    } else { try record(nil) }
    while trainer.state.epoch < o.epochs, trainer.state.sinceBest < o.patience {
      try record(trainer.epoch(ranks: ranks))
      if let path = o.checkpoint { try ranks.agree { if first { try Checkpoint.write(trainer.state, o, to: path) } } }
      try save()
    }
    let network = trainer.network(), terms = try trainer.validated(network, ranks: ranks)
    log.hash = network.hashText
    try save()
    var notes = ["options": o.text, "ranks": String(ranks.size), "epochs": String(trainer.state.epoch), "libtorch": log.torch]
    notes["validation"] = "gain \(text(-10 * log10(terms[0]))) dB of squared error, rounded weights"
    // Where the data lay is nobody's business.
    var told = o
    told.input = String(o.input.split(separator: "/").last ?? "")
    (told.output, told.checkpoint, told.report) = ("", nil, nil)
    notes["options"] = told.text
    try ranks.agree { if first { try ModelFile(network, notes: notes, licence: o.licence).write(o.output) } }
    say("\(o.output)  \(network.hashText)  \(network.serialised.count) bytes  \(text(-10 * log10(terms[0]))) dB")
  }

  private static func now() -> Double {
    var t = timespec()
    clock_gettime(CLOCK_MONOTONIC, &t)
    return Double(t.tv_sec) + Double(t.tv_nsec) * 1e-9
  }
  private static func text(_ v: Double) -> String {
    let s = (v * 1e4).rounded() / 1e4
    return "\(s)"
  }
  private static func emit(_ text: String, to descriptor: Int32) { _ = Array(text.utf8).withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) } }
  private static func replace(_ path: String, with text: String) throws {
    let temporary = path + ".tmp"
    guard let f = fopen(temporary, "w") else { throw Failure(.inputOutput, "cannot create '\(path)': \(String(cString: strerror(errno)))") }
    let written = fputs(text, f) >= 0 && fflush(f) == 0
    guard fclose(f) == 0, written, rename(temporary, path) == 0 else { throw Failure(.inputOutput, "cannot write '\(path)'") }
  }
}
