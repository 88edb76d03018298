/// A position or extent on a grid of up to three axes, slowest axis first (storage order, C order).
///
/// Grids of one or two axes use leading extents of 1: a 2-D grid `[ny, nx]` is `(1, ny, nx)`.
public struct Index3: Hashable, Sendable, Codable, CustomStringConvertible {
  public var z: Int, y: Int, x: Int
  @inlinable public init(_ z: Int, _ y: Int, _ x: Int) { self.z = z; self.y = y; self.x = x }
  @inlinable public init(repeating v: Int) { self.init(v, v, v) }
  /// Axis 0 is the slowest (`z`), axis 2 the fastest (`x`).
  @inlinable public subscript(axis: Int) -> Int {
    get { axis == 0 ? z : axis == 1 ? y : x }
    set { if axis == 0 { z = newValue } else if axis == 1 { y = newValue } else { x = newValue } }
  }
  /// Product of the extents.
  @inlinable public var product: Int { z * y * x }
  @inlinable public static func + (a: Index3, b: Index3) -> Index3 { Index3(a.z + b.z, a.y + b.y, a.x + b.x) }
  @inlinable public static func - (a: Index3, b: Index3) -> Index3 { Index3(a.z - b.z, a.y - b.y, a.x - b.x) }
  public var description: String { "(\(z), \(y), \(x))" }
}
