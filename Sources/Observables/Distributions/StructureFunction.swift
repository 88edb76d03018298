import CKernels
import Fields
import Statistics

/// Structure functions S_p(r) = <(z^2 + epsilon^2)^(p/2)>, z = u_a(x + r e_a) - u_a(x), averaged over all pairs of all axes a.
///
/// Longitudinal for vectors (component a along axis letter a); for scalars every axis uses the one component. r in cells, several
/// joined by colons. Pairs wrap across periodic faces and stay inside the domain at others; axes with no pair, and pairs with a
/// masked cell, are left out.
public struct StructureFunction: QuadraticObservable {
  let p: Int
  let distances: [Int]
  let epsilon: Double

  public var specification: String { "structure(p=\(p),r=\(distances.map(String.init).joined(separator: ":")),epsilon=\(epsilon))" }
  public var units: String { "field^\(p)" }

  /// The increments of one axis and distance, 0 where there is no pair.
  private struct Increments { let component: Int, axis: Int, z: [Double], valid: [Bool]? }

  /// value(i + step e_axis), or 0 beyond faces, on the box.
  private func moved(_ part: FieldPart, _ step: Int, _ axis: Int, _ domain: any Domain) throws -> FieldPart {
    if domain.grid.periodic[axis] {
      var offset = Index3(repeating: 0)
      offset[axis] = step
      return try domain.shifted([part], by: offset)[0]
    }
    let halo = try domain.haloed([part], width: abs(step))[0]
    var out = FieldPart(domain.box)
    let n = domain.grid.shape[axis]
    domain.box.forEachRow { z, y, at in
      var from = Index3(z, y, domain.box.lower.x)
      from[axis] += step
      if axis < 2 && !(from[axis] >= 0 && from[axis] < n) { return }
      let base = halo.box.offset(of: from)
      for k in 0..<domain.box.upper.x - domain.box.lower.x where axis < 2 || (from.x + k >= 0 && from.x + k < n) {
        out.values[at + k] = halo.values[base + k]
      }
    }
    return out
  }
  /// Pairs of the grid along an axis.
  func pairs(_ grid: Grid, _ axis: Int, _ r: Int) -> Int {
    let n = grid.shape[axis]
    return n == 1 ? 0 : grid.periodic[axis] ? grid.count : grid.count / n * max(0, n - r)
  }
  /// (component, storage axis) of the increments at distance r.
  func directions(_ components: Int, _ grid: Grid, _ r: Int) -> [(Int, Int)] {
    (0..<max(components, components == 1 ? grid.dimensions : 0)).map { (components == 1 ? 0 : $0, 2 - $0) }
      .filter { pairs(grid, $0.1, r) > 0 }
  }
  private func increments(_ u: FieldParts, _ r: Int, valid: [Bool]?, _ domain: any Domain) throws -> [Increments] {
    try directions(u.count, domain.grid, r).map { c, axis in
      var both = [Bool](repeating: true, count: domain.box.count)
      // Where the partner exists and is valid: 1 moved along with the field.
      let marks = FieldPart(domain.box, valid.map { $0.map { $0 ? 1 : 0 } } ?? [Double](repeating: 1, count: domain.box.count))
      let partner = try moved(marks, r, axis, domain), next = try moved(u[c], r, axis, domain)
      var z = [Double](repeating: 0, count: domain.box.count)
      for i in z.indices {
        both[i] = marks.values[i] * partner.values[i] != 0
        if both[i] { z[i] = next.values[i] - u[c].values[i] }
      }
      return Increments(component: c, axis: axis, z: z, valid: both)
    }
  }

  /// e^(n/2) for n >= -1; 0 to a negative power counts as 0.
  private func halfPower(_ e: Double, _ n: Int) -> Double {
    if n < 0 { return e > 0 ? 1 / e.squareRoot() : 0 }
    var out = n & 1 == 1 ? e.squareRoot() : 1
    for _ in 0..<n / 2 { out *= e }
    return out
  }
  private func value(_ z: Double) -> Double { halfPower(z * z + epsilon * epsilon, p) }
  private func slope(_ z: Double) -> Double { Double(p) * z * halfPower(z * z + epsilon * epsilon, p - 2) }
  private func second(_ z: Double) -> Double {
    let e = z * z + epsilon * epsilon
    // p e^(p/2-1) + p (p-2) z^2 e^(p/2-2), without the singular power.
    return e > 0 ? Double(p) * halfPower(e, p - 2) * (1 + Double(p - 2) * (z * z / e)) : p == 2 ? 2 : 0
  }

  /// Means over the pairs of each distance of `term`, and how many pairs there are.
  private func means(_ u: FieldParts, _ v: FieldParts?, _ domain: any Domain,
                     _ term: (_ z: Double, _ dz: Double) -> Double) throws -> [Double] {
    let (clean, valid) = cleaned(u), tangents = v.map { cleaned($0).0 }
    return try distances.map { r in
      let z = try increments(clean, r, valid: valid, domain), dz = try tangents.map { try increments($0, r, valid: valid, domain) }
      var sum = ExactSum(), count = 0
      for (k, inc) in z.enumerated() {
        for i in inc.z.indices where inc.valid?[i] ?? true { sum.add(term(inc.z[i], dz?[k].z[i] ?? 0)); count += 1 }
      }
      let pairs = try domain.merged(IntegerSums([count])).values[0]
      return try domain.merged(sum).value / Double(max(1, pairs))
    }
  }
  /// sum over distances of w_r / N_r (transposed increments of `factor`).
  private func scattered(_ u: FieldParts, _ v: FieldParts?, _ w: [Double], _ domain: any Domain,
                         _ factor: (_ z: Double, _ dz: Double) -> Double) throws -> FieldParts {
    let (clean, valid) = cleaned(u), tangents = v.map { cleaned($0).0 }
    var out = FieldParts(repeating: FieldPart(domain.box), count: u.count)
    for (r, weight) in zip(distances, w) {
      let z = try increments(clean, r, valid: valid, domain), dz = try tangents.map { try increments($0, r, valid: valid, domain) }
      let count = z.reduce(0) { $0 + ($1.valid?.count { $0 } ?? $1.z.count) }
      let pairs = Double(max(1, try domain.merged(IntegerSums([count])).values[0]))
      for (k, inc) in z.enumerated() {
        var q = FieldPart(domain.box)
        for i in q.values.indices where inc.valid?[i] ?? true { q.values[i] = weight / pairs * factor(inc.z[i], dz?[k].z[i] ?? 0) }
        let arrived = try moved(q, -r, inc.axis, domain)
        for i in q.values.indices { out[inc.component].values[i] += arrived.values[i] - q.values[i] }
      }
    }
    return out
  }

  /// The values row by row, where no cell is masked.
  private func rowValues(_ u: FieldParts, _ domain: any Domain) throws -> [Double] {
    let n = domain.grid.shape, nx = n.x
    let source = try RowSource(u, below: 0, above: distances.max() ?? 0, on: domain)
    var sums = [ExactSum](repeating: ExactSum(), count: distances.count)
    let lists = distances.map { directions(u.count, domain.grid, $0) }
    withUnsafeTemporaryAllocation(of: Double.self, capacity: nx) { row in
      domain.box.forEachRow { z, y, _ in
        for (j, r) in distances.enumerated() {
          for (c, axis) in lists[j] {
            let wraps = domain.grid.periodic[axis]
            if axis < 2 {
              if !wraps && (axis == 0 ? z : y) + r >= n[axis] { continue }
              source.withRow(c, z, y) { a in
                source.withRow(c, axis == 0 ? z + r : z, axis == 1 ? y + r : y) { ald_row_increments(a, $0, nx, epsilon, Int32(p), row.baseAddress!) }
              }
              sums[j].add(contentsOf: UnsafeBufferPointer(row))
            } else {
              // Pairs inside the row, then those across its end.
              let shift = r % nx, inside = wraps ? nx - shift : max(0, nx - r)
              source.withRow(c, z, y) { a in
                ald_row_increments(a, a + (wraps ? shift : min(r, nx)), inside, epsilon, Int32(p), row.baseAddress!)
                if wraps { ald_row_increments(a + inside, a, shift, epsilon, Int32(p), row.baseAddress! + inside) }
              }
              sums[j].add(contentsOf: UnsafeBufferPointer(rebasing: row[..<(wraps ? nx : inside)]))
            }
          }
        }
      }
    }
    return try zip(domain.sums(sums), distances.indices).map { sum, j in
      sum / Double(max(1, lists[j].reduce(0) { $0 + pairs(domain.grid, $1.1, distances[j]) }))
    }
  }

  /// The adjoint on one piece without neighbours, no cell of it masked: nothing is moved.
  private func pieceAdjoint(_ u: FieldParts, _ w: [Double], _ domain: SoleDomain) -> FieldParts {
    let box = domain.box, shape = box.shape, stride = [shape.y * shape.x, shape.x, 1]
    var out = FieldParts(repeating: FieldPart(box), count: u.count), q = [Double](repeating: 0, count: box.count)
    for (r, weight) in zip(distances, w) {
      let list = directions(u.count, domain.grid, r), count = list.reduce(0) { $0 + pairs(domain.grid, $1.1, r) }
      let factor = weight / Double(max(1, count))
      for (c, axis) in list {
        let s = r * stride[axis], n = shape[axis]
        q.withUnsafeMutableBufferPointer { q in
          u[c].values.withUnsafeBufferPointer { u in
            out[c].values.withUnsafeMutableBufferPointer { o in
              box.forEachRow { z, y, at in
                // Cells of the row that have a partner after them, and before them.
                let place = axis == 0 ? z : y, after = axis == 2 ? max(0, n - r) : place + r < n ? shape.x : 0
                let row = q.baseAddress! + at, target = o.baseAddress! + at
                ald_row_slopes(u.baseAddress! + at, u.baseAddress! + at + (after > 0 ? s : 0), after, epsilon, Int32(p), factor, row)
                for x in after..<shape.x { row[x] = 0 }
                if axis == 2 {
                  ald_row_add_difference(target + min(r, shape.x), row, row + min(r, shape.x), max(0, shape.x - r))
                  for x in 0..<min(r, shape.x) { target[x] -= row[x] }
                } else if place >= r { ald_row_add_difference(target, row - s, row, shape.x) } else { ald_row_add(target, row, -1, shape.x) }
              }
            }
          }
        }
      }
    }
    return out
  }

  public func value(of u: FieldParts, on domain: any Domain) throws -> ObservableValue {
    if try RowSource.suit([u], on: domain) { return .vector(try rowValues(u, domain)) }
    return .vector(try means(u, nil, domain) { z, _ in value(z) })
  }
  public func tangent(at u: FieldParts, along v: FieldParts, on domain: any Domain) throws -> ObservableValue {
    .vector(try means(u, v, domain) { z, dz in slope(z) * dz })
  }
  public func adjoint(at u: FieldParts, of w: ObservableValue, on domain: any Domain) throws -> FieldParts {
    if let piece = domain as? SoleDomain, u.allSatisfy(\.isFinite), (0..<3).allSatisfy({ !piece.grid.periodic[$0] }) {
      return pieceAdjoint(u, w.vector, piece)
    }
    return try scattered(u, nil, w.vector, domain) { z, _ in slope(z) }
  }
  public func curvature(at u: FieldParts, weights w: ObservableValue, appliedTo v: FieldParts, on domain: any Domain) throws -> FieldParts {
    try scattered(u, v, w.vector, domain) { z, dz in second(z) * dz }
  }
  public func scales(of value: ObservableValue, on domain: any Domain) throws -> [Double] { value.vector.map { positiveScale(abs($0)) } }

  public func check(components: Int, grid: Grid, coordinates: Coordinates) throws {
    if components > 1 { try checkVector(specification, components: components, grid: grid) }
    for a in 0..<3 {
      if case .positions(let x) = coordinates.axes[a], x.count > 1 {
        throw ObservableError("\(specification) needs uniform spacing; axis \(a) has coordinates of its own")
      }
    }
    for r in distances where directions(components, grid, r).isEmpty {
      throw ObservableError("\(specification): no axis of the field has two points \(r) cells apart")
    }
  }
}
