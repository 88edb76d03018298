import Fields
import MPI

/// Boxes that do not fit together. The same on all ranks.
public enum DecompositionError: Error, Equatable, Sendable, CustomStringConvertible, ExitCoded {
  /// A box that holds cells the grid does not have.
  case outside(Box, rank: Int, grid: Index3)
  /// Two boxes that hold the same cells.
  case overlap(Box, rank: Int, with: Box, of: Int)
  /// Wanted cells that no rank has.
  case gap(Box, rank: Int, wanted: Box)

  public var exitCode: Int32 { 2 }
  public var description: String {
    switch self {
    case .outside(let b, let r, let g): "box \(b) of rank \(r) reaches outside the grid \(g)"
    case .overlap(let a, let i, let b, let j):
      "box \(a) of rank \(i) and box \(b) of rank \(j) overlap in \(a.intersection(b))"
    case .gap(let g, let r, let w): "no rank has the cells \(g) of box \(w) wanted by rank \(r)"
    }
  }
}
