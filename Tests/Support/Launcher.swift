import Foundation

/// Starts built products, alone or under `mpirun`, and waits for them.
public enum Launcher {
  public struct Outcome: Sendable {
    /// Exit code; of a process that a signal ended, the signal's number: see `crashed`.
    public let status: Int32
    /// Ended by a signal.
    public let crashed: Bool
    public let stdout: String, stderr: String
    public let timedOut: Bool
  }

  /// Folder of the built products: beside the test bundle, or beside the running program.
  public static let productFolder: URL = {
    let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
    return URL(fileURLWithPath: own).deletingLastPathComponent()
  }()

  public static func product(_ name: String) -> URL { productFolder.appendingPathComponent(name) }

  /// Runs `executable` on `ranks` ranks: more ranks than cores allowed, nothing bound.
  ///
  /// - Parameter timeout: seconds, then the job is killed and `timedOut` is set.
  public static func mpirun(
    ranks: Int, executable: URL, arguments: [String] = [], environment: [String: String] = [:], timeout: Double = 120
  ) throws -> Outcome {
    try run(URL(fileURLWithPath: "/usr/bin/env"),
            arguments: ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", "\(ranks)", executable.path] + arguments,
            environment: environment, timeout: timeout)
  }

  /// Runs `executable` by itself, with what a surrounding MPI job left in the environment removed.
  public static func run(
    _ executable: URL, arguments: [String] = [], environment: [String: String] = [:], timeout: Double = 120
  ) throws -> Outcome {
    var variables = ProcessInfo.processInfo.environment.filter {
      !$0.key.hasPrefix("PMIX_") && !$0.key.hasPrefix("OMPI_") && !$0.key.hasPrefix("PRTE_")
    }
    variables["OMPI_ALLOW_RUN_AS_ROOT"] = "1"
    variables["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] = "1"
    // Waiting ranks give way: tests have more ranks than cores.
    variables["OMPI_MCA_mpi_yield_when_idle"] = "1"
    variables.merge(environment) { $1 }

    // Files, not pipes: nothing blocks on a full one.
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("launch-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let out = folder.appendingPathComponent("out"), err = folder.appendingPathComponent("err")
    for f in [out, err] { try Data().write(to: f) }

    let process = Process()
    process.executableURL = executable
    process.arguments = arguments
    process.environment = variables
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = try FileHandle(forWritingTo: out)
    process.standardError = try FileHandle(forWritingTo: err)
    let ended = DispatchSemaphore(value: 0)
    process.terminationHandler = { _ in ended.signal() }
    // Worker threads block most signals and children inherit that: TERM and USR1 have to reach them.
    var none = sigset_t(), before = sigset_t()
    sigemptyset(&none)
    pthread_sigmask(SIG_SETMASK, &none, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    try process.run()
    var timedOut = false
    if ended.wait(timeout: .now() + timeout) == .timedOut {
      timedOut = true
      process.terminate()   // mpirun takes its ranks with it
      if ended.wait(timeout: .now() + 10) == .timedOut {
        kill(process.processIdentifier, SIGKILL)
        ended.wait()
      }
    }
    func text(_ f: URL) -> String { String(decoding: (try? Data(contentsOf: f)) ?? Data(), as: UTF8.self) }
    return Outcome(status: process.terminationStatus, crashed: process.terminationReason == .uncaughtSignal, stdout: text(out), stderr: text(err), timedOut: timedOut)
  }
}
