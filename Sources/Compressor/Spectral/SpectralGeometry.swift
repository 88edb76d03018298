import Codecs
import Fields
import Observables
import SnapshotIO

/// What the spectral member needs to know of a field beside its values.
public struct SpectralGeometry: Sendable {
  /// Distances of the cells along z, y, x; `nil`: not known.
  public var spacing: [Double]?
  /// Storage axis (0 z, 1 y, 2 x) that each component of a vector belongs to; empty: none.
  public var axes: [Int] = []

  public init(spacing: [Double]? = nil, axes: [Int] = []) { self.spacing = spacing; self.axes = axes }

  /// Components in the order x, y, z of the axes longer than 1, the fastest first.
  public init(vectorOn grid: Grid, components: Int) {
    let axes = (0..<3).reversed().filter { grid.shape[$0] > 1 }
    if components == 3 { self.init(axes: [2, 1, 0]) } else { self.init(axes: components == 2 && axes.count == 2 ? axes : []) }
  }

  /// By the letters of a field's axes, and its cells' positions where the file gives them.
  init(_ f: FieldDescription, positions: [[Double]]) {
    let letters = Array(f.spatialAxes), places = letters.indices.map { 3 - letters.count + $0 }
    let named = Array("xyz".prefix(f.components)).map { l in letters.firstIndex(of: l).map { places[$0] } }
    switch f.components {
    case 2, 3:
      // A third component of a plane's vectors belongs to the axis of one cell.
      let missing = named.filter { $0 == nil }.count, rest = (0..<3).filter { a in !named.contains(a) && f.grid.shape[a] == 1 }
      if missing == 0 { axes = named.map { $0! } } else if missing == 1, rest.count == 1 { axes = named.map { $0 ?? rest[0] } }
    default: break
    }
    if let c = try? ObservationPlan.coordinates(of: f, positions), (0..<3).allSatisfy({ f.grid.shape[$0] == 1 || positions.count > 0 }) {
      let steps = (0..<3).map { a -> Double? in
        if f.grid.shape[a] == 1 { return 1 }
        if case .uniform(let h) = c.axes[a], places.contains(a), positions[a - 3 + positions.count].count == f.grid.shape[a] { return abs(h) }
        return nil
      }
      if steps.allSatisfy({ $0 != nil }) { spacing = steps.map { $0! } }
    }
  }
}

extension FieldEncoder {
  /// Whether the spectral member can code this field: everything valid, everything wraps, nothing mapped.
  var suitsSpectral: Bool {
    special == nil && !target.logarithmic && !target.lossless && layout.grid.count >= 64
      && (0..<3).allSatisfy { layout.grid.shape[$0] == 1 || layout.grid.periodic[$0] }
  }
}
