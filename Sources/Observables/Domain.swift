import Fields
import Statistics

/// The grid that observables are evaluated on, shared by participants of which each computes on one box.
///
/// - Collective: every method, on all participants, also those with an empty box.
public protocol Domain: Reducer {
  var grid: Grid { get }
  /// Positions of the cells along each storage axis.
  var coordinates: Coordinates { get }
  /// The cells of this participant; the boxes of all participants are disjoint and cover the grid. May be empty.
  var box: Box { get }

  /// The part with `width` more cells on every side (`box.dilated(by: width, in: grid)`), copied from their owners; across periodic
  /// faces the wrapped cells. `width` may exceed a neighbour's box, and the grid itself on periodic axes.
  func haloed(_ parts: FieldParts, width: Int) throws -> FieldParts
  /// The adjoint of `haloed`: adds every halo cell to the cell it was copied from and returns parts on `box`.
  ///
  /// Contributions to a cell are added in a fixed order: the same bits for any number of participants.
  func accumulated(_ parts: FieldParts, width: Int) throws -> FieldParts
  /// The field moved by whole cells: value(i) = original(i + offset); periodic axes only wrap, along others `offset` must be 0.
  func shifted(_ parts: FieldParts, by offset: Index3) throws -> FieldParts

  /// Discrete Fourier transform of each component; the same bits for any number of participants.
  func transformed(_ parts: FieldParts) throws -> [SpectralPart]
  /// The inverse without 1/N: `inverse(transformed(u)) = N u`.
  func inverse(_ spectra: [SpectralPart]) throws -> FieldParts
}

/// Cell positions along the storage axes (0 slowest): uniform spacing, or one coordinate per index.
public struct Coordinates: Hashable, Sendable {
  public enum Axis: Hashable, Sendable {
    case uniform(spacing: Double)
    /// Strictly monotone, one per grid index. Not for periodic axes.
    case positions([Double])
  }
  public var axes: [Axis]
  public init(_ axes: [Axis]) { self.axes = axes }
  /// Unit spacing.
  public static let unit = Coordinates([.uniform(spacing: 1), .uniform(spacing: 1), .uniform(spacing: 1)])
}
