import CKernels

/// A kernel could not get the memory it works in; what it computed is undefined.
public struct OutOfMemory: Error, Equatable, Sendable, CustomStringConvertible {
  public let bytes: Int
  public var description: String { "out of memory: \(bytes) bytes of scratch could not be had; use more ranks or fewer per node" }
}

/// Throws where a kernel of this process that returns no status (wavelets, Fourier transforms) lacked memory since the last call.
///
/// - Throws: `OutOfMemory`; wrap in `agree` before the results are used.
public func checkKernelMemory() throws {
  let bytes = ald_memory_missing()
  if bytes > 0 { throw OutOfMemory(bytes: Int(bytes)) }
}
