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
    if o.timed != nil { return try Timing.run(o, ranks: ranks, say: say) }
    // Hours of training are not to end for want of a folder.
    try ranks.agree { if first { for path in [o.output, o.checkpoint, o.report].compactMap({ $0 }) { try requireFolder(of: path) } } }
    var trainer: any Learner
    if o.kind == .network { trainer = try CorrectionTrainer(o, ranks: ranks, say: say) } else { trainer = try CodeTrainer(o, ranks: ranks, say: say) }
    var log = trainer.log
    log.torch = String(cString: ctorch_version())
    func save() throws { if let path = o.report { try ranks.agree { if first { try replace(path, with: log.json) } } } }
    let start = now()
    func record(_ loss: Double?) throws {
      let v = try trainer.validated(ranks: ranks)
      guard v.value.isFinite else { throw Failure(.inputOutput, "the validation is not finite after epoch \(trainer.state.epoch)") }
      var e = TrainingLog.Epoch(epoch: trainer.state.epoch, loss: loss, validation: v.value, terms: v.terms, gain: -10 * log10(v.terms[0]), seconds: now() - start)
      (e.rate, e.psnr) = (v.rate, v.psnr)
      if v.rate != nil { e.multiplier = trainer.state.multiplier }
      trainer.judge(v)
      log.epochs.append(e)
      var line = "epoch \(e.epoch)/\(o.epochs)  loss \(loss.map(rounded) ?? "-")  validation \(rounded(v.value))"
      if let r = v.rate, let p = v.psnr { line += "  \(rounded(r)) bits/value  \(rounded(p)) dB" } else { line += "  \(rounded(e.gain)) dB" }
      for (k, name) in TrainOptions.observables.enumerated() where o.physics[name] != nil { line += "  \(name) \(rounded(v.terms[k + 1]))" }
      say(line + "  \(rounded(e.seconds)) s")
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
    let (model, words) = try trainer.model(ranks: ranks)
    log.hash = model.hashText
    log.audit = trainer.log.audit
    log.outcome = words
    try save()
    // Where the data lay is nobody's business.
    var told = o
    told.input = String(o.input.split(separator: "/").last ?? "")
    (told.output, told.checkpoint, told.report) = ("", nil, nil)
    let notes = ["options": told.text, "ranks": String(ranks.size), "epochs": String(trainer.state.epoch), "libtorch": log.torch, "validation": words]
    try ranks.agree { if first { try ModelFile(model, notes: notes, licence: o.licence).write(o.output) } }
    say("\(o.output)  \(model.hashText)  \(model.serialised.count) bytes  \(words)")
  }

  private static func now() -> Double {
    var t = timespec()
    clock_gettime(CLOCK_MONOTONIC, &t)
    return Double(t.tv_sec) + Double(t.tv_nsec) * 1e-9
  }
  private static func emit(_ text: String, to descriptor: Int32) { _ = Array(text.utf8).withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) } }
  private static func requireFolder(of path: String) throws {
    let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "./"
    guard access(folder, W_OK | X_OK) == 0 else { throw Failure(.inputOutput, "cannot write '\(path)': folder '\(folder)': \(String(cString: strerror(errno)))") }
  }
  private static func replace(_ path: String, with text: String) throws {
    let temporary = path + ".tmp"
    guard let f = fopen(temporary, "w") else { throw Failure(.inputOutput, "cannot create '\(path)': \(String(cString: strerror(errno)))") }
    let written = fputs(text, f) >= 0 && fflush(f) == 0
    guard fclose(f) == 0, written, rename(temporary, path) == 0 else { throw Failure(.inputOutput, "cannot write '\(path)'") }
  }
}

/// Four decimals.
func rounded(_ v: Double) -> String { v.isFinite ? "\((v * 1e4).rounded() / 1e4)" : "\(v)" }
