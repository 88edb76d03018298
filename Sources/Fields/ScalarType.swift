/// Element type of a field, as stored in its file. Little-endian in memory and in containers.
public enum ScalarType: UInt8, Sendable, Codable, CaseIterable {
  case float32 = 1, float64 = 2
  @inlinable public var size: Int { self == .float32 ? 4 : 8 }
  public var name: String { self == .float32 ? "float32" : "float64" }
}
