/// The global grid of a field: extents, how many axes are real, and which wrap.
public struct Grid: Hashable, Sendable, Codable {
  /// Extents in storage order, leading extents 1 where there are fewer than three axes.
  public var shape: Index3
  /// Number of spatial axes as stored in the file, 1 to 3.
  public var dimensions: Int
  /// Whether each storage axis is periodic.
  public var periodic: Periodicity

  public struct Periodicity: Hashable, Sendable, Codable {
    public var z: Bool, y: Bool, x: Bool
    @inlinable public init(_ z: Bool, _ y: Bool, _ x: Bool) { self.z = z; self.y = y; self.x = x }
    public static let none = Periodicity(false, false, false)
    @inlinable public subscript(axis: Int) -> Bool {
      get { axis == 0 ? z : axis == 1 ? y : x }
      set { if axis == 0 { z = newValue } else if axis == 1 { y = newValue } else { x = newValue } }
    }
  }

  @inlinable public init(shape: Index3, dimensions: Int = 3, periodic: Periodicity = .none) {
    self.shape = shape; self.dimensions = dimensions; self.periodic = periodic
  }
  @inlinable public var box: Box { Box(shape: shape) }
  @inlinable public var count: Int { shape.product }
}
