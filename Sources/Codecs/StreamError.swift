/// Bytes that are not what a decoder expects. Never a failing disk, never misuse of the API.
public struct StreamError: Error, Equatable, Sendable, Codable, CustomStringConvertible {
  /// Pinned: crosses the C API.
  public enum Code: Int32, Sendable, Codable { case truncated = -1, unknownVersion = -2, badChecksum = -3, invalid = -4 }
  public let code: Code
  /// Byte where decoding stopped, or the start of the stream where that is not known.
  public let offset: Int
  public init(_ code: Code, offset: Int = 0) { self.code = code; self.offset = offset }
  public var description: String { "stream error: \(code) at byte \(offset)" }

  /// Status of a C kernel: -1 truncated, -2 unknown mode, -3 out of memory (traps), anything else below 0 not a stream.
  static func check(_ status: Int32, size: Int) throws {
    switch status {
    case 0: return
    case -1: throw StreamError(.truncated, offset: size)
    case -2: throw StreamError(.unknownVersion)
    case -3: fatalError("out of memory")
    default: throw StreamError(.invalid)
    }
  }
}
