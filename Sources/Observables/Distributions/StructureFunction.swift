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
  private func pairs(_ grid: Grid, _ axis: Int, _ r: Int) -> Int {
    let n = grid.shape[axis]
    return n == 1 ? 0 : grid.periodic[axis] ? grid.count : grid.count / n * max(0, n - r)
  }
  /// (component, storage axis) of the increments at distance r.
  private func directions(_ components: Int, _ grid: Grid, _ r: Int) -> [(Int, Int)] {
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

  public func value(of u: FieldParts, on domain: any Domain) throws -> ObservableValue {
    .vector(try means(u, nil, domain) { z, _ in value(z) })
  }
  public func tangent(at u: FieldParts, along v: FieldParts, on domain: any Domain) throws -> ObservableValue {
    .vector(try means(u, v, domain) { z, dz in slope(z) * dz })
  }
  public func adjoint(at u: FieldParts, of w: ObservableValue, on domain: any Domain) throws -> FieldParts {
    try scattered(u, nil, w.vector, domain) { z, _ in slope(z) }
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
