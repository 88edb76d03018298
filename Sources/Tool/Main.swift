import Compressor
import Glibc
import MPI
import SnapshotIO

/// `alidade`: parse, start MPI, run one sub-command, report, finish MPI, exit with the same code on every rank.
@main struct Main {
  static func main() {
    let words = Array(CommandLine.arguments.dropFirst())
    let launch = Launch()
    var request: Request?, wrong: Failure?
    do throws(Failure) { request = try Command.parse(words) } catch { wrong = error }

    // What needs no other rank ends here. A failing task of many must not end early: the launcher would kill the one
    // that speaks.
    let alone = Output(speaks: launch.rank == 0, verbosity: .normal)
    if let wrong, !launch.isParallel { alone.error(wrong.message); exit(wrong.code.rawValue) }
    switch request {
    case .print(let text): alone.say(text); exit(0)
    case .version: alone.say(versionText); exit(0)
    case .train(let o):
      let failure = runTrainer(o)
      alone.error(failure.message)
      exit(failure.code.rawValue)
    default: break
    }

    handleSignals()
    do { try MPIEnvironment.start() } catch {
      alone.error("MPI does not start: \(error)")
      exit(ExitCode.launch.rawValue)
    }
    let code = run(request, wrong, words, launch)
    do { try MPIEnvironment.finish() } catch { exit(code == 0 ? ExitCode.launch.rawValue : code) }
    exit(code)
  }

  /// - Collective: all ranks.
  /// - Returns: The exit code, the same on every rank.
  static func run(_ request: Request?, _ wrong: Failure?, _ words: [String], _ launch: Launch) -> Int32 {
    var output = Output(speaks: launch.rank == 0, verbosity: .normal)
    do {
      let world = try Communicator.world()
      try launch.check(words, on: world)
      output = Output(speaks: world.rank == 0, verbosity: request?.verbosity ?? .normal)
      if let wrong { throw wrong }
      guard let request else { return 0 }
      return try perform(request, on: world, output)
    } catch {
      output.endProgress()
      let failure = Failure(error)
      output.error(failure.message)
      return failure.code.rawValue
    }
  }

  /// - Collective: all ranks.
  static func perform(_ request: Request, on ranks: borrowing Communicator, _ output: Output) throws -> Int32 {
    // Rank 0 looks at the paths so that all ranks come to one answer.
    let first = ranks.rank == 0
    try ranks.agree { if first { try request.checkPaths() } }
    let progress = { (line: String) in output.progress(line) }
    if case .campaign(let c) = request {
      try c.perform(on: ranks, output)
      return 0
    }
    if case .report(let o) = request {
      try o.perform(on: ranks, output)
      return 0
    }
    if case .remove(let o) = request {
      try o.perform(on: ranks, output)
      return 0
    }
    let report = switch request {
    case .compress(let o): try Compressor.compress(o, ranks: ranks, progress: progress)
    case .decompress(let o): try Compressor.decompress(o, ranks: ranks, progress: progress)
    case .verify(let o): try Compressor.verify(o, ranks: ranks, progress: progress)
    case .compare(let o): try Compressor.compare(o, ranks: ranks, progress: progress)
    case .inspect(let o): try Compressor.inspect(o, ranks: ranks, progress: progress)
    case .align(let o): try Compressor.align(o, ranks: ranks, progress: progress)
    case .sweep(let o): try Compressor.sweep(o, ranks: ranks, progress: progress)
    case .audit(let o): try Compressor.audit(o, ranks: ranks, progress: progress)
    case .campaign, .report, .remove, .train, .print, .version: Report()
    }
    output.endProgress()
    if let path = request.reportPath {
      try ranks.agree { if first { try replaceFile(path, with: report.json()) } }
    }
    if first, output.verbosity != .quiet {
      if case .inspect(let o) = request, o.json { output.say(report.json()) } else { output.say(report.text()) }
    }
    let kept = try ranks.allReduce(report.promisesKept ? 1 : 0, .min)
    if kept == 0 {
      let names = report.result.fields.filter { $0.boundKept == false }.map { "\($0.name) (step \($0.step))" }
      throw Failure(.boundViolated, "bound violated: " + names.joined(separator: ", "))
    }
    return 0
  }

  static var versionText: String {
    let v = libraryVersions
    return "alidade \(alidadeVersion)\nMPI: \(v["mpi"]!)\nHDF5: \(v["hdf5"]!)\n"
  }
}

extension Request {
  var verbosity: Verbosity {
    switch self {
    case .compress(let o): o.verbosity
    case .decompress(let o): o.verbosity
    case .verify(let o): o.verbosity
    case .compare(let o): o.verbosity
    case .campaign(let c): c.verbosity
    case .align(let o): o.verbosity
    case .sweep(let o): o.verbosity
    case .audit(let o): o.verbosity
    case .report(let o): o.verbosity
    case .remove(let o): o.verbosity
    case .inspect, .train, .print, .version: .normal
    }
  }
  var reportPath: String? {
    switch self {
    case .compress(let o): o.report
    case .decompress(let o): o.report
    case .verify(let o): o.report
    case .compare(let o): o.report
    case .align(let o): o.report
    case .sweep(let o): o.report
    case .audit(let o): o.report
    case .inspect, .campaign, .report, .remove, .train, .print, .version: nil
    }
  }

  private var takesSeries: Bool {
    switch self {
    case .verify, .report: true
    default: false
    }
  }

  /// What can be told from the paths alone, before any work. Local.
  func checkPaths() throws(Failure) {
    var inputs: [String] = [], output: String?, noClobber = false
    switch self {
    case .compress(let o): inputs = [o.input]; output = o.dryRun ? nil : o.output; noClobber = o.noClobber
    case .decompress(let o): inputs = [o.input]; output = o.output; noClobber = o.noClobber
    case .verify(let o): inputs = [o.input] + (o.against.map { [$0] } ?? [])
    case .compare(let o): inputs = [o.first, o.second]
    case .inspect(let o): inputs = [o.input]
    case .align(let o): inputs = [o.input]; output = o.map
    case .sweep(let o): inputs = [o.input]
    case .audit(let o): inputs = o.containers + [o.against] + [o.reference].compactMap { $0 } + o.labelFiles
    case .report(let o): inputs = o.reports + [o.container, o.map].compactMap { $0 }; output = o.output
    case .campaign, .remove, .train, .print, .version: break
    }
    for input in inputs {
      var s = stat()
      if stat(input, &s) != 0 { throw Failure(.inputOutput, "cannot open '\(input)': \(String(cString: strerror(errno)))") }
      if s.st_mode & S_IFMT == S_IFDIR, !(takesSeries && SeriesFolder(input).exists) { throw Failure(.inputOutput, "'\(input)' is a directory") }
      if access(input, R_OK) != 0 { throw Failure(.inputOutput, "cannot read '\(input)': \(String(cString: strerror(errno)))") }
    }
    for path in [output, reportPath].compactMap({ $0 }) {
      let parent = directory(of: path)
      var s = stat()
      if stat(parent, &s) != 0 || s.st_mode & S_IFMT != S_IFDIR {
        throw Failure(.inputOutput, "there is no directory '\(parent)' for '\(path)'")
      }
      if access(parent, W_OK) != 0 { throw Failure(.inputOutput, "directory '\(parent)' is not writable") }
      if stat(path, &s) == 0, s.st_mode & S_IFMT == S_IFDIR { throw Failure(.inputOutput, "'\(path)' is a directory") }
      for input in inputs where isSameFile(input, path) {
        throw Failure(.usage, "'\(path)' is both input and output")
      }
    }
    if let output, let report = reportPath, output == report || isSameFile(output, report) {
      throw Failure(.usage, "the report and the output have the same name '\(output)'")
    }
    var s = stat()
    if noClobber, let output, lstat(output, &s) == 0 {
      throw Failure(.inputOutput, "'\(output)' exists and --no-clobber is given")
    }
  }
}
