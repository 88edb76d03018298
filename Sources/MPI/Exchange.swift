import CMPI
import COpenMPI
import Glibc

/// Messages between pairs of ranks that are in flight together.
///
/// Owns the buffers until the library is done with them. Messages between two ranks arrive in the order sent;
/// a message longer than `largestMessage` travels in pieces. Post receives first, in rank order, then sends.
public struct Exchange: ~Copyable {
  private let handle: OpaquePointer
  private let piece: Int
  private var requests: [OpaquePointer?] = []
  private var outgoing: [UnsafeMutableRawBufferPointer] = []
  private var incoming: [(buffer: UnsafeMutableRawBufferPointer, count: Int)] = []
  /// Of messages that are over.
  private var spare: [UnsafeMutableRawBufferPointer] = []
  private var finished = false
  /// Bytes and messages (pieces count) sent to other ranks.
  public private(set) var bytesSent = 0, messages = 0

  public init(_ ranks: borrowing Communicator) { handle = ranks.handle; piece = ranks.largestMessage }

  deinit {
    for b in spare { Exchange.release(b) }
    // Never free what the library may still write to.
    guard finished || requests.isEmpty else { return }
    for b in outgoing { Exchange.release(b) }
    for b in incoming { Exchange.release(b.buffer) }
  }

  /// Large buffers are mapped apart from the heap, where they would leave holes.
  private static let mapped = 1 << 17
  private mutating func buffer(_ count: Int) -> UnsafeMutableRawBufferPointer {
    if let i = spare.firstIndex(where: { $0.count >= count }) { return spare.remove(at: i) }
    if count < Exchange.mapped { return .allocate(byteCount: count, alignment: 64) }
    let p = mmap(nil, count, PROT_READ | PROT_WRITE, MAP_PRIVATE | Int32(MAP_ANONYMOUS), -1, 0)
    precondition(p != MAP_FAILED, "out of memory: \(count) bytes")
    return UnsafeMutableRawBufferPointer(start: p, count: count)
  }
  private static func release(_ b: UnsafeMutableRawBufferPointer) { if b.count < mapped { b.deallocate() } else { munmap(b.baseAddress!, b.count) } }

  /// Posts the receipt of `count` bytes; they are the next of `withReceived`.
  public mutating func receive(_ count: Int, from rank: Int) throws {
    let b = buffer(count)
    incoming.append((b, count))
    var at = 0
    while at < count {
      let n = min(piece, count - at)
      var r: OpaquePointer?
      try check("MPI_Irecv", MPI_Irecv(b.baseAddress! + at, Int32(n), cmpi_byte(), Int32(rank), Exchange.tag, handle, &r))
      requests.append(r)
      at += n
    }
  }

  /// Lets `fill` write a message of `count` bytes and starts sending it.
  public mutating func send(_ count: Int, to rank: Int, fill: (UnsafeMutableRawBufferPointer) -> Void) throws {
    let b = buffer(count)
    outgoing.append(b)
    fill(UnsafeMutableRawBufferPointer(rebasing: b[..<count]))
    var at = 0
    while at < count {
      let n = min(piece, count - at)
      var r: OpaquePointer?
      try check("MPI_Isend", MPI_Isend(b.baseAddress! + at, Int32(n), cmpi_byte(), Int32(rank), Exchange.tag, handle, &r))
      requests.append(r)
      at += n
      messages += 1
      Traffic.sent(n)
    }
    bytesSent += count
  }

  /// Waits until every message has left and arrived.
  public mutating func finish() throws {
    if !requests.isEmpty { try check("MPI_Waitall", MPI_Waitall(Int32(requests.count), &requests, cmpi_statuses_ignore())) }
    finished = true
    spare += outgoing
    outgoing = []
  }

  /// Makes ready for other messages after those that are finished; their buffers are used again.
  public mutating func again() {
    precondition(finished || requests.isEmpty, "messages are still under way")
    spare += incoming.map(\.buffer)
    incoming = []; requests = []
    finished = false
  }

  /// The message posted as number `i`, after `finish`.
  public func withReceived<R>(_ i: Int, _ body: (UnsafeRawBufferPointer) -> R) -> R {
    precondition(finished, "messages are still under way")
    return body(UnsafeRawBufferPointer(rebasing: incoming[i].buffer[..<incoming[i].count]))
  }

  private static var tag: Int32 { 17 }
}
