import Fields
import Statistics

/// The rows of a field along x on a participant's box, and of those beside it along axes 0 and 1.
struct RowSource {
  let box: Box
  private let own: FieldParts, beyond: [FieldParts]

  /// - Parameter below: cells before the box and after it whose rows are wanted.
  /// - Precondition: boxes of all participants are whole along x.
  /// - Collective: all participants.
  init(_ u: FieldParts, below: Int, above: Int, on domain: any Domain) throws {
    box = domain.box
    own = u
    func slab(_ axis: Int, _ upper: Bool) -> Box {
      var b = domain.box
      let reach = upper ? above : below, n = domain.grid.shape[axis]
      if b.isEmpty || reach == 0 { b.upper = b.lower; return b }
      let range = upper ? b.upper[axis]..<b.upper[axis] + reach : b.lower[axis] - reach..<b.lower[axis]
      let inside = domain.grid.periodic[axis] ? range : range.clamped(to: 0..<n)
      b.lower[axis] = inside.lowerBound; b.upper[axis] = inside.upperBound
      if inside.isEmpty { b.upper = b.lower }
      return b
    }
    beyond = try domain.handed(u, to: [slab(0, false), slab(0, true), slab(1, false), slab(1, true)])
  }

  /// The row at (z, y) of component c; outside the box along one axis at most.
  func withRow<R>(_ c: Int, _ z: Int, _ y: Int, _ body: (UnsafePointer<Double>) -> R) -> R {
    let part = z < box.lower.z ? beyond[0][c] : z >= box.upper.z ? beyond[1][c] : y < box.lower.y ? beyond[2][c] : y >= box.upper.y ? beyond[3][c] : own[c]
    return part.values.withUnsafeBufferPointer { body($0.baseAddress! + part.box.offset(of: Index3(z, y, box.lower.x))) }
  }

  /// Whether rows do on `domain`: its boxes are whole along x and all cells of `fields` finite.
  ///
  /// - Collective: all participants.
  static func suit(_ fields: [FieldParts], on domain: any Domain) throws -> Bool {
    let box = domain.box, whole = box.isEmpty || (box.lower.x == 0 && box.upper.x == domain.grid.shape.x)
    let plain = whole && fields.allSatisfy { $0.allSatisfy(\.isFinite) }
    return try domain.merged(IntegerSums([plain ? 0 : 1])).values[0] == 0
  }
}
