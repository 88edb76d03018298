public import Fields

/// What the user says about an input.
public struct SnapshotOptions: Sendable {
  /// Datasets asked for; empty means every floating dataset.
  public var fields: [String] = []
  /// One letter of t, c, z, y, x per dimension.
  public var axes: String?
  /// Letters of the periodic axes, "none" or "auto" (what the file says).
  public var periodic: String?
  /// Layout of a raw file; nil for HDF5 and NetCDF-4.
  public var raw: RawLayout?
  /// Scalar datasets taken as the components of one field.
  public var vectors: [Vector] = []
  public init() {}

  /// Several scalar datasets read as one field of that name, in the order of its components.
  public struct Vector: Sendable {
    public var name: String, datasets: [String]
    public init(name: String, datasets: [String]) { self.name = name; self.datasets = datasets }
  }

  /// A headerless file of little-endian values in C order, last axis fastest.
  public struct RawLayout: Sendable {
    public var type: ScalarType
    public var shape: [Int]
    public init(type: ScalarType, shape: [Int]) { self.type = type; self.shape = shape }
  }
}
