public import MPI
import Synchronization

/// Exit codes of the command line; the same on every rank.
public enum ExitCode: Int32, Sendable, Codable {
  case ok = 0, usage = 1, inputOutput = 2, boundViolated = 3, corrupt = 4, model = 5, launch = 6, interrupted = 75
}

/// An outcome that ends the job: what to return and what to tell the user. Thrown alike on every rank.
public struct Failure: Error, Equatable, Sendable, Codable, CustomStringConvertible {
  public let code: ExitCode
  /// One sentence without a trailing full stop, naming the file or dataset and the cure where there is one.
  public let message: String
  public init(_ code: ExitCode, _ message: String) { self.code = code; self.message = message }
  public var description: String { message }
}

extension Failure: ExitCoded {
  public var exitCode: Int32 { code.rawValue }

  /// What any error means to the user.
  public init(_ error: any Error) {
    if let failure = error as? Failure { self = failure; return }
    let code = (error as? any ExitCoded).flatMap { ExitCode(rawValue: $0.exitCode) }
    self.init(code ?? .inputOutput, String(describing: error))
  }
}

/// Whether somebody asked this rank to stop (USR1, TERM, INT).
///
/// Local: a signal may reach one rank only. The pipeline reduces `requested` over all ranks at its agreed points (between
/// steps and between stages of a field) and throws `Failure(.interrupted, ...)` everywhere if any rank has it.
public enum Interruption {
  private static let flag = Atomic<Bool>(false)
  /// Lock-free and safe to call from a signal handler once `prepare` has run.
  public static func request() { flag.store(true, ordering: .relaxed) }
  public static var requested: Bool { flag.load(ordering: .relaxed) }
  /// Initialises the flag (a lazily made global would not be safe to make inside a handler).
  public static func prepare() { _ = requested }
}
