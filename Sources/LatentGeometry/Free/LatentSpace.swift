import Fields
import Observables
import Statistics

/// This participant's part of a vector over all cells of several components: components one after the other, each in C order.
public typealias Flat = [Double]

/// Vectors on the cells of a participant's boxes, one box per component: latents, or fields.
public struct LatentSpace {
  public let boxes: [Box]
  /// Elements over all participants.
  public let count: Int
  public let reducer: any Reducer
  public init(boxes: [Box], count: Int, reducer: any Reducer) { self.boxes = boxes; self.count = count; self.reducer = reducer }

  public func parts(_ v: Flat) -> FieldParts {
    var at = 0
    return boxes.map { b in
      defer { at += b.count }
      return FieldPart(b, Array(v[at..<at + b.count]))
    }
  }
  public func flat(_ p: FieldParts) -> Flat { p.flatMap(\.values) }

  /// Each element from its component and global index.
  public func vector(_ f: (Int, Index3) -> Double) -> Flat {
    var out: Flat = []
    out.reserveCapacity(boxes.reduce(0) { $0 + $1.count })
    for (c, b) in boxes.enumerated() {
      for z in b.lower.z..<max(b.lower.z, b.upper.z) {
        for y in b.lower.y..<max(b.lower.y, b.upper.y) {
          for x in b.lower.x..<max(b.lower.x, b.upper.x) { out.append(f(c, Index3(z, y, x))) }
        }
      }
    }
    return out
  }
  /// +1 and -1.
  public func signs(seed: UInt64, stream: UInt64) -> Flat {
    let r = CounterRandom(seed: seed, stream: stream)
    return vector { r.sign(component: $0, at: $1) }
  }
  public func gaussians(seed: UInt64, stream: UInt64) -> Flat {
    let r = CounterRandom(seed: seed, stream: stream)
    return vector { r.gaussian(component: $0, at: $1) }
  }
  /// - Collective: all participants.
  public func dot(_ x: Flat, _ y: Flat) throws -> Double { try InnerProducts.pairwise([x], [y], reducer: reducer)[0] }
  /// Columns times a small matrix, summed in the order of the columns.
  public func combined(_ columns: [Flat], _ m: DenseMatrix) -> [Flat] {
    (0..<m.columns).map { j in
      var out = Flat(repeating: 0, count: columns.first?.count ?? 0)
      for i in 0..<m.rows where m[i, j] != 0 { axpy(m[i, j], columns[i], to: &out) }
      return out
    }
  }
}

/// y += a x.
func axpy(_ a: Double, _ x: Flat, to y: inout Flat) {
  y.withUnsafeMutableBufferPointer { y in x.withUnsafeBufferPointer { x in for i in 0..<y.count { y[i] += a * x[i] } } }
}
func scaled(_ x: Flat, _ s: Double) -> Flat { x.map { s * $0 } }
func product(_ x: Flat, _ y: Flat) -> Flat { zip(x, y).map { $0 * $1 } }
