/// A stream that cannot be decoded.
public struct StreamError: Error, Equatable, Sendable, Codable {
  public enum Code: Int32, Sendable, Codable { case truncated = -1, unknownVersion = -2, badChecksum = -3, invalid = -4 }
  public let code: Code
  /// Byte where decoding stopped.
  public let offset: Int
  public init(_ code: Code, offset: Int) { self.code = code; self.offset = offset }
}
