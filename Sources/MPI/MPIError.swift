import CMPI
import COpenMPI

/// An error type that knows the exit code of the job it ends.
///
/// Modules below this one cannot adopt it themselves; whoever imports both does it in an extension.
public protocol ExitCoded: Error {
  var exitCode: Int32 { get }
}

/// A call of the MPI library that failed on this rank.
public struct MPIError: Error, Equatable, Sendable, CustomStringConvertible, ExitCoded {
  public let call: String
  public let code: Int32
  public let text: String
  public var exitCode: Int32 { 6 }
  public var description: String { "\(call): \(text)" }
}

/// The one error all ranks throw after at least one of them failed: that of the lowest failing rank.
public struct AgreedError: Error, Equatable, Sendable, Codable, CustomStringConvertible, ExitCoded {
  public let rank: Int
  public let exitCode: Int32
  public let message: String
  public init(rank: Int, exitCode: Int32, message: String) {
    self.rank = rank; self.exitCode = exitCode; self.message = message
  }
  /// What any error means to a job: its own exit code, else 2 (input or output).
  public init(rank: Int, cause: any Error) {
    if let agreed = cause as? AgreedError { self = agreed; return }
    self.init(rank: rank, exitCode: (cause as? any ExitCoded)?.exitCode ?? 2, message: String(describing: cause))
  }
  public var description: String { message }
}

/// Turns a status of the library into an error.
func check(_ call: String, _ status: Int32) throws {
  guard status != MPI_SUCCESS else { return }
  var length: Int32 = 0
  let text = withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(MPI_MAX_ERROR_STRING) + 1) { b in
    b.initialize(repeating: 0)
    MPI_Error_string(status, b.baseAddress!, &length)
    return String(cString: b.baseAddress!)
  }
  throw MPIError(call: call, code: status, text: text)
}
