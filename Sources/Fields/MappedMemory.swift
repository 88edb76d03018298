import Glibc
import Synchronization

/// Memory of large arrays, mapped apart from the heap so that it goes back to the system, and kept for a while after its
/// release, because arrays of one size follow each other and fresh pages cost more than what is computed on them.
enum MappedMemory {
  /// Whether the memory is that of a host: smaller arrays live here too, less is kept, and what is done with goes back at once.
  static var isModest: Bool { modest.load(ordering: .relaxed) }
  private static let modest = Atomic<Bool>(false)
  static func beModest() { modest.store(true, ordering: .relaxed) }
  /// Arrays of at least this many bytes live here.
  static var threshold: Int { isModest ? 1 << 15 : 1 << 18 }
  /// At most this many released bytes are kept, in at most `kept` pieces.
  private static var retained: Int { isModest ? 4 << 20 : 12 << 20 }
  private static let kept = 64

  private struct Block: @unchecked Sendable { var pointer: UnsafeMutableRawPointer, bytes: Int }
  /// Released blocks, the latest last.
  private static let free = Mutex<[Block]>([])

  /// - Returns: At least `bytes` bytes of anything, and how many there really are.
  static func allocate(_ bytes: Int) -> (pointer: UnsafeMutableRawPointer, bytes: Int) {
    let reused = free.withLock { list -> Block? in
      var best: Int?
      for i in list.indices where list[i].bytes >= bytes && list[i].bytes <= bytes + bytes / 2 {
        if best.map({ list[i].bytes < list[$0].bytes }) ?? true { best = i }
      }
      return best.map { list.remove(at: $0) }
    }
    if let reused { return (reused.pointer, reused.bytes) }
    let p = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | Int32(MAP_ANONYMOUS), -1, 0)
    precondition(p != MAP_FAILED, "out of memory: \(bytes) bytes")
    return (p!, bytes)
  }

  static func release(_ pointer: UnsafeMutableRawPointer, _ bytes: Int) {
    let most = retained
    let gone = free.withLock { list -> [Block] in
      var gone: [Block] = []
      list.append(Block(pointer: pointer, bytes: bytes))
      while list.count > kept || list.reduce(0, { $0 + $1.bytes }) > most { gone.append(list.removeFirst()) }
      return gone
    }
    for b in gone { munmap(b.pointer, b.bytes) }
  }

  static let page = sysconf(Int32(_SC_PAGESIZE))
  /// Gives the whole pages among these bytes back, in a host; the bytes are undefined then, and may be written again.
  static func empty(_ pointer: UnsafeMutableRawPointer, _ bytes: Int) {
    guard isModest else { return }
    let start = Int(bitPattern: pointer), first = (start + page - 1) / page * page, last = (start + bytes) / page * page
    if first < last { madvise(UnsafeMutableRawPointer(bitPattern: first)!, last - first, MADV_DONTNEED) }
  }
}
