import CAlidade
import MPI

/// A refused call; `status` is an `ald_status`.
struct InSituError: Error, CustomStringConvertible, ExitCoded {
  let status: ald_status
  let description: String
  init(_ status: ald_status, _ text: String) { self.status = status; description = text }
  var exitCode: Int32 { Int32(status.rawValue) }
}

/// The `ald_status` of any error. Exit codes and statuses share their numbers.
func statusCode(of error: any Error) -> Int32 {
  let code = (error as? any ExitCoded)?.exitCode ?? Int32(ALD_IO.rawValue)
  return code == 0 ? Int32(ALD_USAGE.rawValue) : code
}
