extension Communicator {
  /// Runs `work` on each rank; if it fails anywhere, throws the same error everywhere: that of the lowest failing rank.
  ///
  /// - Collective: always reached; `work` itself must not communicate.
  /// - Throws: `AgreedError`, on all ranks. (`MPIError` only where the library itself fails.)
  /// - Complexity: one reduction, and a broadcast after a failure.
  public borrowing func agree<Value: ~Copyable>(_ work: () throws -> Value) throws -> Value {
    var value: Value?, cause: AgreedError?
    do { value = try work() } catch { cause = AgreedError(rank: rank, cause: error) }
    let culprit = try allReduce(cause == nil ? Int.max : rank, .min)
    if culprit == .max { return value.take()! }
    var bytes: [UInt8] = []
    if rank == culprit, let cause {
      // An error that had been agreed on before keeps its rank.
      bytes = withUnsafeBytes(of: Int64(cause.rank)) { [UInt8]($0) } + withUnsafeBytes(of: cause.exitCode) { [UInt8]($0) }
      bytes += [UInt8](cause.message.utf8)
    }
    bytes = try broadcast(bytes, from: culprit)
    let (origin, code) = bytes.withUnsafeBytes {
      ($0.loadUnaligned(as: Int64.self), $0.loadUnaligned(fromByteOffset: 8, as: Int32.self))
    }
    throw AgreedError(rank: Int(origin), exitCode: code, message: String(decoding: bytes[12...], as: UTF8.self))
  }
}
