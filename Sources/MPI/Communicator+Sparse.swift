import CMPI
import COpenMPI

// Collectives whose cost per rank does not grow with the number of ranks, but for the logarithm.
extension Communicator {
  /// The bytes of all ranks merged two by two in a tree, on all ranks: `merge(what lower ranks have, what higher ranks have)`.
  ///
  /// - Parameter merge: associative, so that the result does not depend on the tree.
  /// - Collective: all ranks; one message from every rank but the first, and a broadcast.
  /// - Complexity: O(log ranks) messages at a rank, each of merged size.
  public borrowing func merged(_ bytes: [UInt8], _ merge: (_ lower: [UInt8], _ higher: [UInt8]) throws -> [UInt8]) throws -> [UInt8] {
    if size == 1 { return bytes }
    var own = bytes, reach = 1
    while reach < size {
      if rank & reach != 0 {
        precondition(own.count < Int(Int32.max), "message too long")
        Traffic.sent(own.count)
        try own.withUnsafeBytes {
          try check("MPI_Send", MPI_Send($0.baseAddress, Int32($0.count), cmpi_byte(), Int32(rank - reach), Tag.tree.rawValue, handle))
        }
        break
      }
      if rank + reach < size {
        var status = MPI_Status()
        try check("MPI_Probe", MPI_Probe(Int32(rank + reach), Tag.tree.rawValue, handle, &status))
        own = try merge(own, receive(&status))
      }
      reach *= 2
    }
    return try broadcast(own)
  }

  /// Which of two calls that follow each other: messages of one are never taken for those of the other.
  public enum SparseRound: Sendable { case request, answer }

  /// Sends messages to ranks that do not expect them, and returns those sent here, by rank.
  ///
  /// Calls alternate between the rounds. At most one message per pair of ranks.
  /// - Collective: all ranks.
  /// - Complexity: O(messages of this rank), and a barrier.
  /// - Source: Hoefler, Siebert, Lumsdaine, Scalable communication protocols for dynamic sparse data exchange (2010).
  public borrowing func exchangeSparsely(_ outgoing: [(rank: Int, bytes: [UInt8])], _ round: SparseRound) throws -> [(rank: Int, bytes: [UInt8])] {
    var found = outgoing.filter { $0.rank == rank }
    if size == 1 { return found }
    let tag = (round == .request ? Tag.request : Tag.answer).rawValue
    // Synchronous sends end when they are received: once all of everybody's have, nothing is under way any more.
    let others = outgoing.filter { $0.rank != rank }
    let held = others.map { m in
      let b = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, m.bytes.count), alignment: 16)
      m.bytes.withUnsafeBytes { b.copyMemory(from: $0) }
      return b
    }
    var requests = [OpaquePointer?](repeating: nil, count: others.count)
    for (i, m) in others.enumerated() {
      precondition(m.bytes.count < Int(Int32.max), "message too long")
      Traffic.sent(m.bytes.count)
      try check("MPI_Issend", MPI_Issend(held[i].baseAddress, Int32(m.bytes.count), cmpi_byte(), Int32(m.rank), tag, handle, &requests[i]))
    }
    var barrier: OpaquePointer?, sent = false
    while true {
      var flag: Int32 = 0, status = MPI_Status()
      try check("MPI_Iprobe", MPI_Iprobe(MPI_ANY_SOURCE, tag, handle, &flag, &status))
      if flag != 0 { found.append((Int(status.MPI_SOURCE), try receive(&status))) }
      if sent {
        try check("MPI_Test", MPI_Test(&barrier, &flag, &status))
        if flag != 0 { break }
      } else {
        try check("MPI_Testall", MPI_Testall(Int32(requests.count), &requests, &flag, cmpi_statuses_ignore()))
        if flag != 0 {
          sent = true
          Traffic.contributed(0)
          try check("MPI_Ibarrier", MPI_Ibarrier(handle, &barrier))
        }
      }
    }
    for b in held { b.deallocate() }
    return found.sorted { $0.rank < $1.rank }
  }

  private enum Tag: Int32 { case tree = 18, request, answer }

  /// The message that was probed.
  private borrowing func receive(_ probed: inout MPI_Status) throws -> [UInt8] {
    var count: Int32 = 0
    try check("MPI_Get_count", MPI_Get_count(&probed, cmpi_byte(), &count))
    let source = probed.MPI_SOURCE, tag = probed.MPI_TAG
    var bytes = [UInt8](repeating: 0, count: Int(count))
    try bytes.withUnsafeMutableBytes { b in
      try check("MPI_Recv", MPI_Recv(b.baseAddress, count, cmpi_byte(), source, tag, handle, &probed))
    }
    return bytes
  }
}
