import Fields
import Statistics

/// Means or integrals of powers of the components, over the domain, one region or boxes that tile it.
///
/// <u^p> = sum_i vol_i u_i^p / sum_i vol_i over the valid cells of the group (0 where there are none); integrals are sum_i vol_i u_i.
/// Values are replicated on all participants, ordered by component, then box (C order), then power; at most `limit` of them.
///
/// | name | group | values |
/// |---|---|---|
/// | mean, moments(order=n) | all cells | powers 1; 1 ... n |
/// | total, mass | all cells | integral; mass is of one component, a density |
/// | box(size=n), also box16 | boxes of n cells a side, partial ones at the far faces | mean |
/// | region(z0:z1,y0:y1,x0:x1) | cells of a box | mean |
public struct Averages: Observable, SeparableSensitivity {
  enum Group: Sendable, Equatable { case all, boxes(Int), region(RegionRanges) }
  let name: String
  let group: Group
  let orders: Int
  let integral: Bool
  /// Values that every participant can be asked to hold: 35 MB of exact sums.
  public static let limit = 1 << 16

  init(_ name: String, _ group: Group = .all, orders: Int = 1, integral: Bool = false) {
    self.name = name; self.group = group; self.orders = orders; self.integral = integral
  }

  public var specification: String {
    switch group {
    case .boxes(let n): "\(name)(size=\(n))"
    case .region(let r): "\(name)(\(r))"
    case .all: name == "moments" ? "moments(order=\(orders))" : name
    }
  }
  public var units: String { integral ? "field*volume" : orders == 1 ? "field" : (1...orders).map { "field^\($0)" }.joined(separator: ",") }

  /// Ranges of each storage axis; the groups are their products.
  func ranges(_ grid: Grid) -> [[Range<Int>]] {
    (0..<3).map { a in
      let n = grid.shape[a]
      switch group {
      case .all: return [0..<n]
      case .boxes(let size): return stride(from: 0, to: n, by: size).map { $0..<min(n, $0 + size) }
      case .region(let r): let b = r.box(in: grid); return [b.lower[a]..<b.upper[a]]
      }
    }
  }

  /// Which group each cell of a box belongs to.
  private struct Membership {
    let count: Int
    private let index: [[Int]]   // per axis and global index, -1 outside; premultiplied
    init(_ ranges: [[Range<Int>]], _ grid: Grid) {
      count = ranges.map(\.count).reduce(1, *)
      let step = [ranges[1].count * ranges[2].count, ranges[2].count, 1]
      index = (0..<3).map { a in
        var of = [Int](repeating: -1, count: grid.shape[a])
        for (k, r) in ranges[a].enumerated() { for i in r { of[i] = k * step[a] } }
        return of
      }
    }
    /// Calls `body` with the offset and group of every cell of `box` that is in one.
    func forEach(in box: Box, _ body: (_ offset: Int, _ group: Int) -> Void) {
      box.forEachRow { z, y, at in
        if index[0][z] < 0 || index[1][y] < 0 { return }
        let row = index[0][z] + index[1][y]
        for x in box.lower.x..<box.upper.x where index[2][x] >= 0 { body(at + x - box.lower.x, row + index[2][x]) }
      }
    }
  }

  /// Everything that does not depend on a tangent.
  private struct Setting {
    let groups: Membership
    let clean: FieldParts
    let valid: [Bool]?
    let volumes: [Double]?
    /// What sums over a group are divided by.
    var divisors: [Double]
    func volume(_ i: Int) -> Double { valid?[i] ?? true ? volumes?[i] ?? 1 : 0 }
  }
  private func setting(_ u: FieldParts, _ domain: any Domain) throws -> Setting {
    let (clean, valid) = cleaned(u), cells = CellVolumes(domain.grid, domain.coordinates)
    let groups = Membership(ranges(domain.grid), domain.grid)
    var s = Setting(groups: groups, clean: clean, valid: valid, volumes: cells.relative(on: domain.box), divisors: [])
    if integral {
      s.divisors = [Double](repeating: 1 / cells.unit, count: groups.count)
    } else if let volumes = s.volumes {
      var sums = [ExactSum](repeating: ExactSum(), count: groups.count)
      groups.forEach(in: domain.box) { i, g in if valid?[i] ?? true { sums[g].add(volumes[i]) } }
      s.divisors = try domain.sums(sums)
    } else {
      var counts = IntegerSums([Int](repeating: 0, count: groups.count))
      groups.forEach(in: domain.box) { i, g in if valid?[i] ?? true { counts.values[g] += 1 } }
      s.divisors = try domain.merged(counts).values.map { Double($0) }
    }
    s.divisors = s.divisors.map { $0 > 0 ? $0 : 1 }
    return s
  }
  /// x^n by multiplication, the same everywhere.
  private func power(_ x: Double, _ n: Int) -> Double { (0..<n).reduce(1) { p, _ in p * x } }

  private func reduced(_ s: Setting, _ domain: any Domain, _ term: (_ component: Int, _ cell: Int, _ order: Int) -> Double) throws -> ObservableValue {
    let m = s.groups.count * orders
    var sums = [ExactSum](repeating: ExactSum(), count: s.clean.count * m)
    for c in s.clean.indices {
      s.groups.forEach(in: domain.box) { i, g in
        if s.valid?[i] ?? true { for p in 1...orders { sums[c * m + g * orders + p - 1].add(s.volume(i) * term(c, i, p)) } }
      }
    }
    return .vector(try domain.sums(sums).enumerated().map { j, sum in sum / s.divisors[j % m / orders] })
  }

  /// The cells of each group along each axis that are in the participant's box.
  private func inside(_ domain: any Domain) -> [[Range<Int>]] {
    let groups = ranges(domain.grid)
    return (0..<3).map { a in
      groups[a].map { $0.clamped(to: domain.box.lower[a]..<max(domain.box.lower[a], domain.box.upper[a])) }
    }
  }
  /// Means or integrals of `parts`, 0 in masked cells, where cells count equally: rows of a group, as many as the sums take at a time.
  private func summed(_ parts: FieldParts, _ s: Setting, _ domain: any Domain) throws -> ObservableValue {
    let m = s.groups.count, inside = inside(domain)
    var sums = [ExactSum](repeating: ExactSum(), count: parts.count * m)
    let most = 1024
    withUnsafeTemporaryAllocation(of: Double.self, capacity: most) { buffer in
      for (c, part) in parts.enumerated() {
        part.values.withUnsafeBufferPointer { values in
          for (i, z) in inside[0].enumerated() { for (j, y) in inside[1].enumerated() { for (k, x) in inside[2].enumerated() {
            if z.isEmpty || y.isEmpty || x.isEmpty { continue }
            let g = c * m + (i * inside[1].count + j) * inside[2].count + k
            var held = 0
            func flush() {
              sums[g].add(contentsOf: UnsafeBufferPointer(rebasing: buffer[..<held]))
              held = 0
            }
            for zi in z { for yi in y {
              let from = values.baseAddress! + part.box.offset(of: Index3(zi, yi, x.lowerBound))
              if x.count > most / 2 { sums[g].add(contentsOf: UnsafeBufferPointer(start: from, count: x.count)); continue }
              if held + x.count > most { flush() }
              (buffer.baseAddress! + held).update(from: from, count: x.count)
              held += x.count
            } }
            flush()
          } } }
        }
      }
    }
    return .vector(try domain.sums(sums).enumerated().map { j, sum in sum / s.divisors[j % m] })
  }

  public func value(of u: FieldParts, on domain: any Domain) throws -> ObservableValue {
    let s = try setting(u, domain)
    if orders == 1, s.volumes == nil { return try summed(s.clean, s, domain) }
    return try reduced(s, domain) { c, i, p in power(s.clean[c].values[i], p) }
  }
  public func tangent(at u: FieldParts, along v: FieldParts, on domain: any Domain) throws -> ObservableValue {
    let s = try setting(u, domain)
    if orders == 1, s.volumes == nil {
      var v = v
      if let valid = s.valid { for c in v.indices { v[c].values.clear(where: valid) } }
      return try summed(v, s, domain)
    }
    return try reduced(s, domain) { c, i, p in Double(p) * power(s.clean[c].values[i], p - 1) * v[c].values[i] }
  }
  public func adjoint(at u: FieldParts, of w: ObservableValue, on domain: any Domain) throws -> FieldParts {
    let s = try setting(u, domain), m = s.groups.count * orders
    var out = FieldParts(repeating: FieldPart(domain.box), count: u.count)
    if orders == 1, s.volumes == nil {
      let inside = inside(domain)
      for c in u.indices {
        out[c].values.withUnsafeMutableBufferPointer { values in
          for (i, z) in inside[0].enumerated() { for (j, y) in inside[1].enumerated() { for (k, x) in inside[2].enumerated() where !x.isEmpty {
            let g = (i * inside[1].count + j) * inside[2].count + k, each = 1 / s.divisors[g] * w.vector[c * m + g]
            for zi in z { for yi in y {
              (values.baseAddress! + domain.box.offset(of: Index3(zi, yi, x.lowerBound))).update(repeating: each, count: x.count)
            } }
          } } }
        }
        if let valid = s.valid { out[c].values.clear(where: valid) }
      }
      return out
    }
    for c in u.indices {
      s.groups.forEach(in: domain.box) { i, g in
        var sum = 0.0
        for p in 1...orders { sum += w.vector[c * m + g * orders + p - 1] * (Double(p) * power(s.clean[c].values[i], p - 1)) }
        out[c].values[i] = s.volume(i) / s.divisors[g] * sum
      }
    }
    return out
  }

  /// Boxes share the root mean square of their values; other values each have their size, moments at least <u^2>^(p/2) where known.
  public func scales(of value: ObservableValue, on domain: any Domain) throws -> [Double] {
    let v = value.vector
    if case .boxes = group { return [Double](repeating: commonScale(v), count: v.count) }
    return v.indices.map { j in
      let p = j % orders + 1, spread = orders > 1 ? power(max(0, v[j - p + 2]).squareRoot(), p) : 0
      return positiveScale(max(abs(v[j]), spread))
    }
  }

  public func check(components: Int, grid: Grid, coordinates: Coordinates) throws {
    try checkSpacing(specification, grid: grid, coordinates: coordinates)
    if case .region(let r) = group { try r.check(specification, grid) }
    if name == "mass" && components != 1 { throw ObservableError("mass needs one component, a density; use total for \(components) components") }
    let n = ranges(grid).map(\.count).reduce(components * orders, *)
    if n > Averages.limit {
      throw ObservableError("\(specification) would have \(n) values, more than \(Averages.limit); take larger boxes")
    }
  }

  /// Exact for first powers; higher ones are not linear and have none.
  public func sensitivity(components: Int, grid: Grid, coordinates: Coordinates, scales: [Double]) -> [SeparableTerm] {
    if orders > 1 { return [] }
    let ranges = ranges(grid), cells = CellVolumes(grid, coordinates), m = ranges.map(\.count).reduce(1, *)
    let axes = (0..<3).map { a in
      var weights = cells.widths[a]
      if !integral { for r in ranges[a] { let sum = r.reduce(0) { $0 + weights[$1] }; for i in r { weights[i] /= sum } } }
      return AxisOperator.averages(ranges: ranges[a], weights: weights)
    }
    let unit = integral ? cells.unit * cells.unit : 1
    // The groups of a component share one scale: boxes do, and elsewhere there is one group.
    return (0..<components).map { c in
      SeparableTerm(row: c, column: c, weight: unit / (Double(components * m) * scales[c * m] * scales[c * m]), axes: axes)
    }
  }
}

/// `z0:z1,y0:y1,x0:x1`: one half-open range per spatial axis, storage order.
struct RegionRanges: Sendable, Equatable, CustomStringConvertible {
  let ranges: [Range<Int>]
  var description: String { ranges.map { "\($0.lowerBound):\($0.upperBound)" }.joined(separator: ",") }

  /// - Parameter texts: such as `0:8`.
  init(_ texts: [String], for name: String) throws {
    ranges = try texts.map { t in
      let ends = t.split(separator: ":", omittingEmptySubsequences: false).map { Int($0) }
      guard ends.count == 2, let a = ends[0], let b = ends[1], a >= 0, a < b else {
        throw ObservableError("\(name) needs ranges z0:z1,y0:y1,x0:x1 with 0 <= lower < upper, not '\(t)'")
      }
      return a..<b
    }
    if ranges.isEmpty || ranges.count > 3 { throw ObservableError("\(name) needs one range per axis of the field, as z0:z1,y0:y1,x0:x1") }
  }
  func box(in grid: Grid) -> Box {
    var b = grid.box
    for (k, r) in ranges.enumerated() { let a = 3 - ranges.count + k; b.lower[a] = r.lowerBound; b.upper[a] = r.upperBound }
    return b
  }
  func check(_ name: String, _ grid: Grid) throws {
    let extents = (3 - grid.dimensions..<3).map { grid.shape[$0] }
    if ranges.count != grid.dimensions { throw ObservableError("\(name) has \(ranges.count) ranges, the field has \(grid.dimensions) axes") }
    if zip(ranges, extents).contains(where: { $0.upperBound > $1 }) {
      throw ObservableError("\(name) reaches beyond the field of \(extents.map(String.init).joined(separator: " x "))")
    }
  }
}

/// The field inside a region, 0 outside: what must be kept there, point by point.
public struct RegionOfInterest: Observable, SeparableSensitivity {
  let region: RegionRanges
  public var specification: String { "roi(\(region))" }
  public var units: String { "field" }

  private func cut(_ u: FieldParts, _ mask: FieldParts, _ domain: any Domain) -> FieldParts {
    let inside = domain.box.intersection(region.box(in: domain.grid))
    let (clean, _) = cleaned(u), (_, valid) = cleaned(mask)
    return clean.map { part in
      var out = FieldPart(domain.box)
      inside.forEachRow { z, y, _ in
        for x in inside.lower.x..<inside.upper.x {
          let i = domain.box.offset(of: Index3(z, y, x))
          if valid?[i] ?? true { out.values[i] = part.values[i] }
        }
      }
      return out
    }
  }
  public func value(of u: FieldParts, on domain: any Domain) throws -> ObservableValue { .field(cut(u, u, domain)) }
  public func tangent(at u: FieldParts, along v: FieldParts, on domain: any Domain) throws -> ObservableValue { .field(cut(v, u, domain)) }
  public func adjoint(at u: FieldParts, of w: ObservableValue, on domain: any Domain) throws -> FieldParts { cut(w.field, u, domain) }
  /// The root mean square over the whole grid, so that the mean square of errors in these units is their relative L2 norm squared.
  public func scales(of value: ObservableValue, on domain: any Domain) throws -> [Double] {
    [Double](repeating: try commonScale(value.field, on: domain), count: value.field.count)
  }
  public func check(components: Int, grid: Grid, coordinates: Coordinates) throws { try region.check(specification, grid) }

  public func sensitivity(components: Int, grid: Grid, coordinates: Coordinates, scales: [Double]) -> [SeparableTerm] {
    let box = region.box(in: grid)
    let axes = (0..<3).map { a in
      AxisOperator.averages(ranges: (box.lower[a]..<box.upper[a]).map { $0..<$0 + 1 }, weights: [Double](repeating: 1, count: grid.shape[a]))
    }
    return (0..<components).map { c in
      SeparableTerm(row: c, column: c, weight: 1 / (Double(grid.count * components) * scales[c] * scales[c]), axes: axes)
    }
  }
}
