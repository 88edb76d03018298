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

  /// The parts with `width` more cells on every side (on `haloBox(width)`), copied from their owners; across periodic faces the wrapped
  /// cells. `width` may exceed a neighbour's box, and the grid itself on periodic axes.
  func haloed(_ parts: FieldParts, width: Int) throws -> FieldParts
  /// The cells of each of `boxes` (any boxes, also overlapping ones and such that reach beyond periodic faces) of every part.
  func handed(_ parts: FieldParts, to boxes: [Box]) throws -> [FieldParts]
  /// The adjoint of `haloed`: adds every halo cell to the cell it was copied from and returns parts on `box`.
  ///
  /// A cell gets its own value, then those of its copies by participant and periodic image (z, y, x). What a participant added up inside
  /// its part is rounded before, so where three or more terms meet in a cell the last bits may depend on the boxes; an adjoint that must
  /// not depend on them gathers from a haloed cotangent instead.
  func accumulated(_ parts: FieldParts, width: Int) throws -> FieldParts
  /// The field moved by whole cells: value(i) = original(i + offset); periodic axes only wrap, along others `offset` must be 0.
  func shifted(_ parts: FieldParts, by offset: Index3) throws -> FieldParts

  /// Discrete Fourier transform of each component; the same bits for any number of participants.
  func transformed(_ parts: FieldParts) throws -> [SpectralPart]
  /// The inverse without 1/N: `inverse(transformed(u)) = N u`.
  func inverse(_ spectra: [SpectralPart]) throws -> FieldParts
}

extension Domain {
  /// `box.dilated(by: width, in: grid)`; an empty box stays empty.
  public func haloBox(_ width: Int) -> Box { box.isEmpty ? box : box.dilated(by: width, in: grid) }

  /// A mean over all cells of the grid: the exact sum of `terms` over all participants divided by N.
  ///
  /// - Collective: all participants.
  package func mean(_ terms: some Sequence<Double>) throws -> Double {
    var sum = ExactSum()
    for t in terms { sum.add(t) }
    return try merged(sum).value / Double(grid.count)
  }
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
