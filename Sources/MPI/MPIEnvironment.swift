import CMPI
import COpenMPI
import Synchronization

/// Start and end of the MPI library in this process.
public enum MPIEnvironment {
  private static let startedHere = Mutex(false)

  /// Initialises MPI (`MPI_Init_thread`, funneled) unless the host has done so.
  ///
  /// - Collective: all ranks of the job.
  public static func start() throws {
    var flag: Int32 = 0
    try check("MPI_Initialized", MPI_Initialized(&flag))
    if flag != 0 { return }
    var provided: Int32 = 0
    try check("MPI_Init_thread", MPI_Init_thread(nil, nil, Int32(MPI_THREAD_FUNNELED), &provided))
    startedHere.withLock { $0 = true }
    try check("MPI_Comm_set_errhandler", MPI_Comm_set_errhandler(cmpi_comm_world(), cmpi_errors_return()))
  }

  /// Finalises MPI if `start` initialised it; a host's MPI is left alone.
  ///
  /// - Collective: all ranks of the job.
  public static func finish() throws {
    guard startedHere.withLock({ let was = $0; $0 = false; return was }) else { return }
    try check("MPI_Finalize", MPI_Finalize())
  }

  /// First line of the library's version text. May be called before `start`.
  public static var libraryVersion: String {
    var length: Int32 = 0
    return withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(MPI_MAX_LIBRARY_VERSION_STRING) + 1) { b in
      b.initialize(repeating: 0)
      MPI_Get_library_version(b.baseAddress!, &length)
      let text = String(cString: b.baseAddress!)
      return String(text.prefix { $0 != "," && $0 != "\n" })
    }
  }
}
