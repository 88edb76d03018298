import CFibre
import CKernels
import Fields
import Synchronization

/// The heap of a program that the library is a part of.
public enum HostHeap {
  private static let isAnothers = Atomic<Bool>(false)

  /// From now on large arrays stay out of it, and what comes and goes leaves no free pages in it. For the whole process.
  public static func respect() {
    RawArray.leaveHeapAlone()
    ald_scratch_map_from(1 << 15)
    isAnothers.store(true, ordering: .relaxed)
  }
  /// Whether memory is worth more than a second transform.
  static var isTight: Bool { isAnothers.load(ordering: .relaxed) }
  /// Gives free pages back to the system: freed scratch raises the C library's threshold for that to tens of megabytes.
  static func trim() { if isTight { ald_heap_trim() } }
}
