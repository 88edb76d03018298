import CKernels
import Fields
import Statistics

/// What a comparison needs of an observable of two fields: sums of squares of its values and of their differences, or the values themselves.
public enum ComparedValues: Sendable {
  /// `count` values each over all participants.
  case squares(first: Double, second: Double, difference: Double, count: Int)
  case vectors([Double], [Double])
}

/// Observables made of first derivatives, evaluated row by row on two fields at once: nothing of the size of the field is made.
///
/// The values are those of `Observable.value`, operation by operation, and their sums are exact: the same bits for any participants.
public struct RowComparison {
  private let domain: any Domain
  /// Cells beyond the box that stencils along axes 0 and 1 reach.
  private let width: Int

  /// One observable: the rows it is made of, and what it makes of them.
  private enum Reduction {
    case field
    case quadratic([Double], mean: Bool)
    case spline(Distribution)
  }
  private struct Plan { let map: Int, reduction: Reduction }
  private let plans: [Plan]
  private var maps: [LocalMap] = []
  private let bands: [Int: Band]

  /// Whether an observable has this form at all.
  public static func suits(_ o: any Observable) -> Bool {
    if let d = o as? Distribution { return d.sample != .log }
    return o is LinearField || o is QuadraticDensity
  }

  /// - Parameter observables: that suit, with all constants.
  /// - Returns: nil where rows do not do: masked cells, cells of several sizes, boxes that are not whole along x.
  /// - Collective: all participants.
  public init?(_ observables: [any Observable], _ fields: [FieldParts], on domain: any Domain) throws {
    guard CellVolumes(domain.grid, domain.coordinates).isUniform, try RowSource.suit(fields, on: domain) else { return nil }
    self.domain = domain
    let components = fields[0].count
    var maps: [LocalMap] = []
    func number(_ m: LocalMap) -> Int {
      if let i = maps.firstIndex(of: m) { return i }
      maps.append(m)
      return maps.count - 1
    }
    plans = observables.map { o in
      switch o {
      case let f as LinearField: return Plan(map: number(f.map(components, domain.grid)), reduction: .field)
      case let q as QuadraticDensity:
        let (map, factors) = q.parts(components, domain.grid)
        return Plan(map: number(map), reduction: .quadratic(factors, mean: q.mean))
      case let d as Distribution: return Plan(map: number(d.map(components, domain.grid)), reduction: .spline(d))
      default: preconditionFailure("\(o.specification) is not made of rows")
      }
    }
    self.maps = maps
    let letters = Set(maps.flatMap { $0.rows.joined().compactMap(\.axis) })
    bands = Dictionary(uniqueKeysWithValues: letters.map { ($0, .derivative(domain.grid, domain.coordinates, axis: 2 - $0)) })
    width = bands.filter { $0.key > 0 }.values.map(\.reach).max() ?? 0
  }

  // MARK: rows

  /// - Collective: all participants.
  private func source(_ u: FieldParts) throws -> RowSource { try RowSource(u, below: width, above: width, on: domain) }

  /// One term of a row of a map: what is added of which row.
  private struct Tap { let component: Int, axis: Int, offset: Int, factor: Double, along: [Double], coefficients: [Double] }

  /// Calls `body` with the rows of all maps of each row of the box: for each field, map and row of the map `nx` values.
  private func eachRow(_ fields: [RowSource], _ body: (_ rows: [[UnsafeMutableBufferPointer<Double>]]) -> Void) {
    let box = domain.box, nx = domain.grid.shape.x
    if box.isEmpty { return }
    // Taps in the order in which `LocalMap` adds them.
    let taps = maps.map { m in
      m.rows.map { row in
        row.flatMap { t -> [Tap] in
          guard let a = t.axis, let b = bands[a] else { return [Tap(component: t.component, axis: -1, offset: 0, factor: t.factor, along: [], coefficients: [])] }
          return (-b.reach...b.reach).map { k in
            Tap(component: t.component, axis: 2 - a, offset: k, factor: t.factor, along: a == 0 ? b.coefficients[k + b.reach].map { t.factor * $0 } : [],
                coefficients: a == 0 ? [] : b.coefficients[k + b.reach])
          }
        }
      }
    }
    let periodic = domain.grid.periodic[2], lines = taps.reduce(0) { $0 + $1.count }
    let memory = UnsafeMutableBufferPointer<Double>.allocate(capacity: fields.count * lines * nx)
    defer { memory.deallocate() }
    var at = 0
    let rows = fields.map { _ in
      taps.map { m -> UnsafeMutableBufferPointer<Double> in
        defer { at += m.count * nx }
        return UnsafeMutableBufferPointer(rebasing: memory[at..<at + m.count * nx])
      }
    }
    for z in box.lower.z..<box.upper.z { for y in box.lower.y..<box.upper.y {
      memory.update(repeating: 0)
      for (f, field) in fields.enumerated() { for (m, map) in taps.enumerated() { for (r, row) in map.enumerated() {
        let out = rows[f][m].baseAddress! + r * nx
        for t in row {
          switch t.axis {
          case -1: field.withRow(t.component, z, y) { ald_row_add(out, $0, t.factor, nx) }
          case 2:
            field.withRow(t.component, z, y) { s in
              let k = t.offset, lower = max(0, -k), upper = min(nx, nx - k)
              t.along.withUnsafeBufferPointer { c in
                if lower < upper { ald_row_add_each(out + lower, s + lower + k, c.baseAddress! + lower, upper - lower) }
                if periodic {
                  // Wrapped neighbours: few cells at the ends.
                  for x in 0..<nx where x < lower || x >= upper { out[x] += c[x] * s[((x + k) % nx + nx) % nx] }
                }
              }
            }
          default:
            let c = t.factor * t.coefficients[t.axis == 0 ? z : y]
            if c == 0 { continue }
            field.withRow(t.component, t.axis == 0 ? z + t.offset : z, t.axis == 1 ? y + t.offset : y) { ald_row_add(out, $0, c, nx) }
          }
        }
      } } }
      body(rows)
    } }
  }

  // MARK: comparison

  /// - Collective: all participants.
  public func compared(_ a: FieldParts, _ b: FieldParts) throws -> [ComparedValues] {
    let fields = [try source(a), try source(b)], nx = domain.grid.shape.x
    var sums = [[ExactSum]](repeating: [ExactSum](repeating: ExactSum(), count: 3), count: plans.count)
    var splines = plans.map { p -> [SplineSums] in
      guard case .spline(let d) = p.reduction else { return [] }
      let s = SplineSums(minimum: d.minimum!, maximum: d.maximum!, h: d.width, count: d.bins + 4)
      return [s, s]
    }
    var density = [[Double]](repeating: [Double](repeating: 0, count: nx), count: 2)
    eachRow(fields) { rows in
      for (j, p) in plans.enumerated() {
        let x = rows[0][p.map], y = rows[1][p.map]
        switch p.reduction {
        case .field:
          sums[j][0].addSquares(of: UnsafeBufferPointer(x))
          sums[j][1].addSquares(of: UnsafeBufferPointer(y))
          sums[j][2].addSquares(of: UnsafeBufferPointer(y), minus: UnsafeBufferPointer(x))
        case .quadratic(let factors, let mean):
          for (f, row) in [x, y].enumerated() {
            density[f].withUnsafeMutableBufferPointer { d in
              d.update(repeating: 0)
              for (r, k) in factors.enumerated() { ald_row_add_square(d.baseAddress!, row.baseAddress! + r * nx, k, nx) }
            }
          }
          if mean {
            sums[j][0].add(contentsOf: density[0]); sums[j][1].add(contentsOf: density[1])
          } else {
            sums[j][0].addSquares(of: density[0]); sums[j][1].addSquares(of: density[1])
            sums[j][2].addSquares(of: density[1], minus: density[0])
          }
        case .spline:
          splines[j][0].add(UnsafeBufferPointer(x)); splines[j][1].add(UnsafeBufferPointer(y))
        }
      }
    }
    let cells = Double(domain.grid.count)
    return try plans.indices.map { j in
      let map = maps[plans[j].map]
      func squares(_ components: Int) throws -> ComparedValues {
        let s = try domain.sums(sums[j])
        return .squares(first: s[0], second: s[1], difference: s[2], count: components * domain.grid.count)
      }
      switch plans[j].reduction {
      case .field: return try squares(map.rows.count)
      case .quadratic(_, let mean):
        if !mean { return try squares(1) }
        let s = try domain.sums(sums[j])
        return .vectors([s[0] / cells], [s[1] / cells])
      case .spline(let d):
        let divisor = cells * Double(map.rows.count) * (d.fractions ? 1 : d.width)
        let v = try splines[j].indices.map { k in
          splines[j][k].flush()
          return try domain.sums(splines[j][k].exact).map { $0 / divisor }
        }
        return .vectors(v[0], v[1])
      }
    }
  }

  /// Smallest and largest sample of every distribution.
  ///
  /// - Collective: all participants.
  public static func calibrated(_ list: [any Observable], to u: FieldParts, on domain: any Domain) throws -> [any Observable] {
    var out = list
    let open = list.indices.filter { i in (list[i] as? Distribution).map { suits($0) && $0.sample != .value && ($0.minimum == nil || $0.maximum == nil) } ?? false }
    if !open.isEmpty, let rows = try RowComparison(open.map { list[$0] }, [u], on: domain) {
      var ranges = Extremes(minima: open.map { _ in .infinity }, maxima: open.map { _ in -.infinity })
      rows.eachRow([try rows.source(u)]) { r in
        for (j, p) in rows.plans.enumerated() {
          var s = ald_survey()
          ald_survey_f64(r[0][p.map].baseAddress!, r[0][p.map].count, &s)
          ranges.minima[j] = min(ranges.minima[j], s.minimum); ranges.maxima[j] = max(ranges.maxima[j], s.maximum)
        }
      }
      let merged = try domain.merged(ranges)
      for (j, i) in open.enumerated() { out[i] = try (list[i] as! Distribution).calibrated(merged.minima[j], merged.maxima[j]) }
    }
    for i in out.indices {
      if let o = out[i] as? any CalibratedObservable { out[i] = try o.calibrated(to: u, on: domain) }
    }
    return out
  }
}
