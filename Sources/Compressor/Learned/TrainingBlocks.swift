import Decomposition
package import Fields
import Glibc
package import MPI

/// Blocks of a field's values, less the mean of their component and over the root mean square of what is left: what codes of patches are trained on.
package struct TrainingBlocks {
  /// Cells of a block, the same for all: whole patches.
  package let extents: Index3
  /// Cells more on the upper side of each axis that wraps, so that blocks may begin anywhere in their first patch.
  package let margin: Index3
  /// Blocks of the whole field.
  package let total: Int
  /// Numbers of this rank's blocks among them, ascending.
  package let numbers: Range<Int>
  /// Per block of this rank [component][z][y][x], with the margin.
  package private(set) var values: [[Float]] = []
  /// Means of the components, their common scale, and largest less smallest value.
  package let means: [Double], scale: Double, range: Double

  /// Largest blocks, by the number of axes.
  private static let edges = [2: 128, 3: 32]

  /// - Throws: `Failure(.usage)`, on all ranks: values that are not finite, or all alike.
  /// - Collective: all ranks.
  package init(_ source: FieldSource, patch: Index3, ranks: borrowing Communicator) throws {
    let grid = source.grid, parts = source.components, wide = source.type.size == 8
    func each(_ a: RawArray, _ body: (Double) -> Void) {
      if wide { for i in 0..<a.count { body(a.bound(to: Double.self)[i]) } } else { for i in 0..<a.count { body(Double(a.bound(to: Float.self)[i])) } }
    }
    var sums = [Double](repeating: 0, count: parts), least = Double.infinity, largest = -Double.infinity
    for c in 0..<parts { for a in source.arrays[c] { each(a) { v in
      sums[c] += v
      least = min(least, v)
      largest = max(largest, v)
    } } }
    let means = try ranks.allReduce(sums, .sum).map { $0 / Double(grid.count) }
    var square = 0.0
    for c in 0..<parts { for a in source.arrays[c] { each(a) { square += ($0 - means[c]) * ($0 - means[c]) } } }
    scale = (try ranks.allReduce(square, .sum) / Double(grid.count * parts)).squareRoot()
    range = try ranks.allReduce(largest, .max) - ranks.allReduce(least, .min)
    self.means = means
    guard scale.isFinite, scale > 0 else { throw Failure(.usage, "\(source.name): values are not finite, or all alike") }
    let edge = TrainingBlocks.edges[grid.shape.z > 1 ? 3 : 2]!
    var e = Index3(1, 1, 1), m = Index3(0, 0, 0), cut = Index3(1, 1, 1)
    for a in 0..<3 {
      // Half an axis at most, so that there are several.
      e[a] = max(min(edge, (grid.shape[a] + 1) / 2) / patch[a], 1) * patch[a]
      guard e[a] <= grid.shape[a] else { throw Failure(.usage, "\(source.name): \(grid.shape) cells are too few for patches of \(patch)") }
      cut[a] = grid.shape[a] / e[a]
      m[a] = grid.periodic[a] && grid.shape[a] >= e[a] + patch[a] ? patch[a] - 1 : 0
    }
    (extents, margin) = (e, m)
    total = cut.product
    numbers = ranks.share(of: total)
    let boxes = numbers.map { n -> Box in
      let i = Index3(n / (cut.y * cut.x), n / cut.x % cut.y, n % cut.x), lower = Index3(i.z * e.z, i.y * e.y, i.x * e.x)
      return Box(lower: lower, upper: lower + e + m)
    }
    let around = try Surroundings(have: source.boxes, arrays: source.arrays, elementSize: source.type.size, wanted: boxes, grid: grid, ranks: ranks)
    for round in 0..<(try ranks.allReduce(boxes.count, .max)) {
      let box = round < boxes.count ? boxes[round] : nil
      var out: [Float] = []
      try around.forEachComponent(of: box, ranks: ranks) { c, m in each(m.cells(of: box!)) { out.append(Float(($0 - means[c]) / scale)) } }
      if box != nil { values.append(out) }
    }
  }

  /// Block `i` of this rank without its margin, from `offset` on.
  package func block(_ i: Int, offset: Index3 = Index3(0, 0, 0)) -> ArraySlice<Float> {
    let wide = extents + margin, v = values[i], parts = means.count
    if wide == extents { return v[...] }
    var out: [Float] = []
    out.reserveCapacity(parts * extents.product)
    for c in 0..<parts { for z in 0..<extents.z { for y in 0..<extents.y {
      let at = ((c * wide.z + z + offset.z) * wide.y + y + offset.y) * wide.x + offset.x
      out += v[at..<at + extents.x]
    } } }
    return out[...]
  }
}
