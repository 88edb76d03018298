import CMPI
import COpenMPI

/// Something that is done when the host ends MPI, while MPI still works: attributes of `MPI_COMM_SELF` are deleted first (MPI 3.1, section 8.7.1).
final class FinalizeHook {
  private var key: Int32 = 0
  private var body: (() -> Void)?

  /// Local.
  init(_ body: @escaping () -> Void) {
    self.body = body
    MPI_Comm_create_keyval({ _, _, _, _, _, copied in
      copied!.pointee = 0
      return 0
    }, { _, _, hook, _ in
      Unmanaged<FinalizeHook>.fromOpaque(hook!).takeUnretainedValue().body?()
      return 0
    }, &key, nil)
    MPI_Comm_set_attr(cmpi_comm_self(), key, Unmanaged.passUnretained(self).toOpaque())
  }

  /// It will not be done. Before the hook goes. Local.
  func remove() {
    body = nil
    MPI_Comm_delete_attr(cmpi_comm_self(), key)
    MPI_Comm_free_keyval(&key)
  }
}
