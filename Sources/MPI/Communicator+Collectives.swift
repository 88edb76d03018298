import CMPI
import COpenMPI

/// Element types of reductions.
public protocol MPIScalar: BitwiseCopyable, Sendable {
  static var datatype: OpaquePointer { get }
}
extension Int: MPIScalar { public static var datatype: OpaquePointer { cmpi_int64() } }
extension Int64: MPIScalar { public static var datatype: OpaquePointer { cmpi_int64() } }
extension UInt64: MPIScalar { public static var datatype: OpaquePointer { cmpi_uint64() } }
extension Double: MPIScalar { public static var datatype: OpaquePointer { cmpi_double() } }

public enum ReductionOperation: Sendable {
  case min, max, sum
  /// Integers only.
  case bitwiseAnd, bitwiseOr

  var handle: OpaquePointer {
    switch self {
    case .min: cmpi_min()
    case .max: cmpi_max()
    case .sum: cmpi_sum()
    case .bitwiseAnd: cmpi_bitwise_and()
    case .bitwiseOr: cmpi_bitwise_or()
    }
  }
}

extension Communicator {
  /// Element by element over all ranks. Sums of `Double` depend on the number of ranks; exact sums do not.
  ///
  /// - Collective: all ranks, equal counts.
  public borrowing func allReduce<T: MPIScalar>(_ values: [T], _ operation: ReductionOperation) throws -> [T] {
    if size == 1 { return values }
    var out = values
    let piece = max(1, largestMessage / MemoryLayout<T>.stride)
    try out.withUnsafeMutableBufferPointer { b in
      var i = 0
      while i < b.count {
        let n = min(piece, b.count - i)
        Traffic.contributed(n * MemoryLayout<T>.stride)
        try check("MPI_Allreduce", MPI_Allreduce(cmpi_in_place(), b.baseAddress! + i, Int32(n), T.datatype, operation.handle, handle))
        i += n
      }
    }
    return out
  }

  /// - Collective: all ranks.
  public borrowing func allReduce<T: MPIScalar>(_ value: T, _ operation: ReductionOperation) throws -> T {
    size == 1 ? value : try allReduce([value], operation)[0]
  }

  /// Integer sums (modulo 2^64), minima and maxima in one call; the same bits for any number of ranks.
  ///
  /// Minima and maxima must not be NaN, and zeros must be positive.
  /// - Collective: all ranks, equal counts; one `MPI_Allreduce`.
  public borrowing func allReduce(
    sums: inout [Int64], minima: inout [Double], maxima: inout [Double]
  ) throws {
    if size == 1 { return }
    // One element of the message type: counts in front, so that the operator needs no other knowledge.
    let words = 3 + sums.count + minima.count + maxima.count
    precondition(words < Int(Int32.max), "reduction message too long")
    var message = [UInt64](repeating: 0, count: words)
    message[0] = UInt64(sums.count); message[1] = UInt64(minima.count); message[2] = UInt64(maxima.count)
    var at = 3
    for v in sums { message[at] = UInt64(bitPattern: v); at += 1 }
    for v in minima { message[at] = v.bitPattern; at += 1 }
    for v in maxima { message[at] = v.bitPattern; at += 1 }
    let combine: @convention(c) (
      UnsafeMutableRawPointer?, UnsafeMutableRawPointer?, UnsafeMutablePointer<Int32>?, UnsafeMutablePointer<OpaquePointer?>?
    ) -> Void = { input, output, length, _ in
      guard var a = input?.assumingMemoryBound(to: UInt64.self), var b = output?.assumingMemoryBound(to: UInt64.self) else { return }
      for _ in 0..<Int(length!.pointee) {
        let s = Int(b[0]), lo = Int(b[1]), hi = Int(b[2])
        a += 3; b += 3
        for i in 0..<s { b[i] = a[i] &+ b[i] }
        a += s; b += s
        for i in 0..<lo where Double(bitPattern: a[i]) < Double(bitPattern: b[i]) { b[i] = a[i] }
        a += lo; b += lo
        for i in 0..<hi where Double(bitPattern: a[i]) > Double(bitPattern: b[i]) { b[i] = a[i] }
        a += hi; b += hi
      }
    }
    var type: OpaquePointer?, operation: OpaquePointer?
    try check("MPI_Type_contiguous", MPI_Type_contiguous(Int32(words), cmpi_uint64(), &type))
    defer { MPI_Type_free(&type) }
    try check("MPI_Type_commit", MPI_Type_commit(&type))
    try check("MPI_Op_create", MPI_Op_create(combine, 1, &operation))
    defer { MPI_Op_free(&operation) }
    Traffic.contributed(8 * words)
    try message.withUnsafeMutableBytes {
      try check("MPI_Allreduce", MPI_Allreduce(cmpi_in_place(), $0.baseAddress, 1, type, operation, handle))
    }
    at = 3
    for i in sums.indices { sums[i] = Int64(bitPattern: message[at]); at += 1 }
    for i in minima.indices { minima[i] = Double(bitPattern: message[at]); at += 1 }
    for i in maxima.indices { maxima[i] = Double(bitPattern: message[at]); at += 1 }
  }

  /// Sum over the ranks below this one; 0 on rank 0.
  ///
  /// - Collective: all ranks.
  public borrowing func exclusiveScan(_ value: Int) throws -> Int {
    if size == 1 { return 0 }
    var v = value, out = 0
    Traffic.contributed(8)
    try check("MPI_Exscan", MPI_Exscan(&v, &out, 1, cmpi_int64(), cmpi_sum(), handle))
    return rank == 0 ? 0 : out
  }

  /// - Collective: all ranks.
  public borrowing func barrier() throws { if size > 1 { try check("MPI_Barrier", MPI_Barrier(handle)) } }

  /// The bytes of rank `root` on all ranks; what other ranks pass is ignored.
  ///
  /// - Collective: all ranks; two calls, more above `largestMessage` bytes.
  public borrowing func broadcast(_ bytes: [UInt8], from root: Int = 0) throws -> [UInt8] {
    if size == 1 { return bytes }
    var count = bytes.count
    Traffic.contributed(rank == root ? 8 : 0)
    try check("MPI_Bcast", MPI_Bcast(&count, 1, cmpi_int64(), Int32(root), handle))
    var out = rank == root ? bytes : [UInt8](repeating: 0, count: count)
    try out.withUnsafeMutableBytes { try broadcast($0, from: root) }
    return out
  }

  /// The contents of a buffer of equal size on all ranks.
  ///
  /// - Collective: all ranks.
  public borrowing func broadcast(_ buffer: UnsafeMutableRawBufferPointer, from root: Int = 0) throws {
    if size == 1 { return }
    var at = 0
    while at < buffer.count {
      let n = min(largestMessage, buffer.count - at)
      Traffic.contributed(rank == root ? n : 0)
      try check("MPI_Bcast", MPI_Bcast(buffer.baseAddress! + at, Int32(n), cmpi_byte(), Int32(root), handle))
      at += n
    }
  }

  /// The bytes of every rank, in rank order, on all ranks.
  ///
  /// - Collective: all ranks; two calls, or one broadcast per rank where they come to more than `largestMessage` bytes.
  public borrowing func allGather(_ bytes: [UInt8]) throws -> [[UInt8]] {
    if size == 1 { return [bytes] }
    let counts = try gatherCounts(bytes.count)
    let total = counts.reduce(0, +)
    if total > largestMessage {
      var out: [[UInt8]] = []
      for r in 0..<size {
        var part = r == rank ? bytes : [UInt8](repeating: 0, count: counts[r])
        try part.withUnsafeMutableBytes { try broadcast($0, from: r) }
        out.append(part)
      }
      return out
    }
    var all = [UInt8](repeating: 0, count: total)
    let (n, start) = layout(counts)
    Traffic.contributed(bytes.count)
    Traffic.gathered(total)
    try all.withUnsafeMutableBytes { a in
      try bytes.withUnsafeBytes { b in
        try check("MPI_Allgatherv", MPI_Allgatherv(b.baseAddress, Int32(b.count), cmpi_byte(), a.baseAddress, n, start, cmpi_byte(), handle))
      }
    }
    return split(all, counts)
  }

  /// The bytes of every rank, in rank order, on rank `root`; nothing on the others.
  ///
  /// - Collective: all ranks; three calls.
  public borrowing func gather(_ bytes: [UInt8], to root: Int = 0) throws -> [[UInt8]] {
    if size == 1 { return [bytes] }
    // Only the root knows all counts.
    var mine = bytes.count, counts = [Int](repeating: 0, count: rank == root ? size : 0)
    Traffic.contributed(8)
    try check("MPI_Gather", MPI_Gather(&mine, 1, cmpi_int64(), &counts, 1, cmpi_int64(), Int32(root), handle))
    let total = try allReduce(bytes.count, .sum)
    if total > largestMessage {
      var exchange = Exchange(self)
      if rank != root { try exchange.send(bytes.count, to: root) { p in bytes.withUnsafeBytes { p.copyMemory(from: $0) } } }
      if rank == root { for r in 0..<size where r != root { try exchange.receive(counts[r], from: r) } }
      try exchange.finish()
      guard rank == root else { return [] }
      var out: [[UInt8]] = [], i = 0
      for r in 0..<size {
        if r == root { out.append(bytes); continue }
        out.append(exchange.withReceived(i) { [UInt8]($0) })
        i += 1
      }
      return out
    }
    var all = [UInt8](repeating: 0, count: rank == root ? total : 0)
    let (n, start) = layout(counts)
    Traffic.contributed(bytes.count)
    try all.withUnsafeMutableBytes { a in
      try bytes.withUnsafeBytes { b in
        try check("MPI_Gatherv", MPI_Gatherv(b.baseAddress, Int32(b.count), cmpi_byte(), a.baseAddress, n, start, cmpi_byte(), Int32(root), handle))
      }
    }
    return rank == root ? split(all, counts) : []
  }

  private borrowing func gatherCounts(_ count: Int) throws -> [Int] {
    var mine = count, counts = [Int](repeating: 0, count: size)
    Traffic.contributed(8)
    Traffic.gathered(8 * size)
    try check("MPI_Allgather", MPI_Allgather(&mine, 1, cmpi_int64(), &counts, 1, cmpi_int64(), handle))
    return counts
  }
  private borrowing func layout(_ counts: [Int]) -> ([Int32], [Int32]) {
    var start: [Int32] = [], at = 0
    for c in counts { start.append(Int32(at)); at += c }
    return (counts.map { Int32($0) }, start)
  }
  private borrowing func split(_ all: [UInt8], _ counts: [Int]) -> [[UInt8]] {
    var at = 0
    return counts.map { c in defer { at += c }; return [UInt8](all[at..<at + c]) }
  }
}
