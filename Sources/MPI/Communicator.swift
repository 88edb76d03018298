import CMPI
import COpenMPI

/// A group of ranks that communicate on the calling thread.
///
/// Not copyable and not `Sendable`: lend it. Errors of the library are thrown (`MPI_ERRORS_RETURN`), never abort.
public struct Communicator: ~Copyable {
  /// The `MPI_Comm`, for libraries that take one.
  public let handle: OpaquePointer
  public let rank: Int
  public let size: Int
  /// Larger messages are split into pieces of this many bytes (counts of MPI are 32-bit). The same on all ranks.
  public var largestMessage = 1 << 30
  private let owned: Bool

  private init(handle: OpaquePointer, owned: Bool) throws {
    var r: Int32 = 0, s: Int32 = 0
    try check("MPI_Comm_set_errhandler", MPI_Comm_set_errhandler(handle, cmpi_errors_return()))
    try check("MPI_Comm_rank", MPI_Comm_rank(handle, &r))
    try check("MPI_Comm_size", MPI_Comm_size(handle, &s))
    self.handle = handle; self.owned = owned
    rank = Int(r); size = Int(s)
  }

  /// This process by itself, without MPI: collectives are the identity. For programs that are no MPI job.
  public static func alone() -> Communicator { Communicator() }
  private init() { handle = cmpi_comm_null(); owned = false; rank = 0; size = 1 }
  var isAlone: Bool { handle == cmpi_comm_null() }

  /// This rank's part of `count` things that are dealt out evenly, in order.
  public borrowing func share(of count: Int) -> Range<Int> { count * rank / size..<count * (rank + 1) / size }

  /// All ranks of the job, after `MPIEnvironment.start()`.
  public static func world() throws -> Communicator { try Communicator(handle: cmpi_comm_world(), owned: false) }

  /// A duplicate of a host's communicator, given as its Fortran integer. End it with `close()`.
  ///
  /// - Collective: all ranks of the host's communicator.
  public init(duplicating fortranHandle: Int32) throws {
    try self.init(handle: Communicator.duplicate(cmpi_comm_from_fortran(fortranHandle)), owned: true)
  }

  /// A duplicate with a message space of its own. End it with `close()`.
  ///
  /// - Collective: all ranks.
  public borrowing func duplicated() throws -> Communicator {
    if isAlone { return .alone() }
    return try Communicator(handle: Communicator.duplicate(handle), owned: true)
  }

  /// Frees a duplicate; leaves a borrowed communicator alone. Never done on deinitialisation, since ranks that
  /// free in different orders hang.
  ///
  /// - Collective: all ranks.
  public consuming func close() throws {
    guard owned else { return }
    var h: OpaquePointer? = handle
    try check("MPI_Comm_free", MPI_Comm_free(&h))
  }

  /// The Fortran integer of this communicator.
  public var fortranHandle: Int32 { cmpi_comm_to_fortran(handle) }

  private static func duplicate(_ handle: OpaquePointer?) throws -> OpaquePointer {
    var copy: OpaquePointer?
    try check("MPI_Comm_dup", MPI_Comm_dup(handle, &copy))
    return copy!
  }
}
