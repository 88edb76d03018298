import CKernels
import Fields
import Foundation
import Statistics

/// Smooth probability density of a field or of its derivatives: p_b = <K((s - c_b) / h)> / h with the cubic B-spline K.
///
/// Bins are h = (max - min) / bins apart with centres min + (b + 1/2) h, b = -2 ... bins + 1: bins + 4 values, so that
/// sum_b h p_b = 1. Samples beyond min or max count at the ends and have no derivative. Samples s, pooled over their components:
/// the values; gradient: d u_i / d x_i for vectors, all d u / d x_a otherwise; vorticity: components of curl u; log: ln sqrt(u^2 + floor^2).
/// `histogram` gives h p_b, the fractions per bin. min, max and floor left open are taken from the original: its range widened by 1/64
/// on either side, and 1/100 of its smallest size above 0. Masked cells and stencils that touch them are left out.
public struct Distribution: CalibratedObservable {
  enum Sample: String, Sendable, CaseIterable { case value, gradient, vorticity, log }
  let sample: Sample
  let fractions: Bool
  let bins: Int
  var minimum: Double?, maximum: Double?
  /// For `log`, in field units.
  var floor: Double?

  public var specification: String {
    var s = "\(fractions ? "histogram" : "pdf")(of=\(sample.rawValue),bins=\(bins)"
    if let minimum { s += ",min=\(minimum)" }
    if let maximum { s += ",max=\(maximum)" }
    if sample == .log, let floor { s += ",floor=\(floor)" }
    return s + ")"
  }
  public var units: String {
    if fractions { return "1" }
    switch sample {
    case .value: return "1/field"
    case .log: return "1"
    case .gradient, .vorticity: return "length/field"
    }
  }

  /// K and K' at t.
  static func spline(_ t: Double) -> (value: Double, slope: Double) {
    let a = abs(t), sign = t < 0 ? -1.0 : 1.0
    if a >= 2 { return (0, 0) }
    if a >= 1 { let r = 2 - a; return (r * r * r / 6, sign * -0.5 * (r * r)) }
    return ((4 - 6 * (a * a) + 3 * (a * a) * a) / 6, sign * (1.5 * (a * a) - 2 * a))
  }

  func map(_ n: Int, _ grid: Grid) -> LocalMap {
    let q: LocalQuantity = switch sample {
    case .value, .log: .value
    case .gradient: .longitudinal
    case .vorticity: .vorticity
    }
    return q.map(components: n, dimensions: grid.dimensions)
  }

  /// The samples s, their slopes ds/dy at the stencil values y, and bins.
  private struct Setting {
    let map: LocalMap, y: LocalMap.Sample, cells: CellWeights
    let floor: Double?, minimum: Double, maximum: Double, h: Double
    let divisor: Double

    func sample(_ r: Int, _ i: Int) -> (s: Double, slope: Double) {
      let v = y.fields[r].values[i]
      guard let floor else { return (v, 1) }
      let square = v * v + floor * floor
      return (0.5 * Foundation.log(square), v / square)
    }
    /// The four bins around sample (r, i): the first's index, t of the first, slope (0 beyond the ends).
    func place(_ r: Int, _ i: Int) -> (bin: Int, t: Double, slope: Double) {
      let (s, slope) = sample(r, i), inside = s >= minimum && s <= maximum
      let position = (min(max(s, minimum), maximum) - minimum) / h + 1.5, first = position.rounded(.down)
      return (Int(first) - 1, position - first + 1, inside ? slope : 0)
    }
  }

  private func setting(_ u: FieldParts, _ domain: any Domain) throws -> Setting {
    guard let minimum, let maximum, sample != .log || floor != nil else {
      throw ObservableError("\(specification) needs min and max\(sample == .log ? " and floor" : ""), or the original field to take them from")
    }
    let map = map(u.count, domain.grid), y = try map.sample(u, on: domain), cells = try CellWeights(y.valid, on: domain)
    let h = (maximum - minimum) / Double(bins)
    return Setting(map: map, y: y, cells: cells, floor: sample == .log ? floor : nil, minimum: minimum, maximum: maximum, h: h,
                   divisor: cells.total * Double(map.rows.count) * (fractions ? 1 : h))
  }

  /// Distance of the bins.
  var width: Double { (maximum! - minimum!) / Double(bins) }

  public func calibrated(to original: FieldParts, on domain: any Domain) throws -> any Observable {
    if sample != .log, let minimum, let maximum { return try calibrated(minimum, maximum) }
    let map = map(original.count, domain.grid), y = try map.sample(original, on: domain)
    var local = Extremes(minima: [.infinity, .infinity], maxima: [-.infinity])
    for f in y.fields {
      for (i, v) in f.values.enumerated() where y.valid?[i] ?? true {
        local.minima[0] = min(local.minima[0], v); local.maxima[0] = max(local.maxima[0], v)
        if v != 0 { local.minima[1] = min(local.minima[1], abs(v)) }
      }
    }
    let range = try domain.merged(local)
    var out = self, lower = range.minima[0], upper = range.maxima[0]
    if sample == .log {
      let smallest = range.minima[1].isFinite ? range.minima[1] : 1, f = floor ?? smallest / 100
      let largest = max(abs(lower), abs(upper))
      out.floor = f
      lower = Foundation.log((lower <= 0 && upper >= 0 ? smallest : min(abs(lower), abs(upper))))
      upper = Foundation.log(largest.isFinite && largest > 0 ? largest : smallest)
    }
    return try out.calibrated(lower, upper)
  }
  /// With the limits that are open taken from a range of the samples.
  func calibrated(_ smallest: Double, _ largest: Double) throws -> Distribution {
    var out = self, (lower, upper) = (smallest, largest)
    if !(lower.isFinite && upper.isFinite) { (lower, upper) = (0, 0) }
    let margin = upper > lower ? (upper - lower) / 64 : max(abs(upper), 1) / 64
    out.minimum = minimum ?? lower - margin
    out.maximum = maximum ?? upper + margin
    if out.minimum! >= out.maximum! { throw ObservableError("\(out.specification): min must be below max") }
    return out
  }

  private func reduced(_ s: Setting, _ domain: any Domain, _ term: (_ r: Int, _ i: Int, _ t: Double, _ slope: Double) -> Double) throws -> ObservableValue {
    var sums = [ExactSum](repeating: ExactSum(), count: bins + 4)
    for r in s.y.fields.indices {
      for i in s.y.fields[r].values.indices where s.cells[i] > 0 {
        let (bin, t, slope) = s.place(r, i)
        for k in 0..<4 { sums[bin + k].add(s.cells[i] * term(r, i, t - Double(k), slope)) }
      }
    }
    return .vector(try domain.sums(sums).map { $0 / s.divisor })
  }

  public func value(of u: FieldParts, on domain: any Domain) throws -> ObservableValue {
    let s = try setting(u, domain)
    if s.floor != nil || !s.cells.isFlat { return try reduced(s, domain) { _, _, t, _ in Distribution.spline(t).value } }
    var sums = SplineSums(minimum: s.minimum, maximum: s.maximum, h: s.h, count: bins + 4)
    for f in s.y.fields { f.values.withUnsafeBufferPointer { sums.add($0) } }
    sums.flush()
    return .vector(try domain.sums(sums.exact).map { $0 / s.divisor })
  }
  public func tangent(at u: FieldParts, along v: FieldParts, on domain: any Domain) throws -> ObservableValue {
    let s = try setting(u, domain), z = try s.map.tangent(v, valid: s.y.valid, on: domain)
    return try reduced(s, domain) { r, i, t, slope in Distribution.spline(t).slope / s.h * (slope * z[r].values[i]) }
  }
  public func adjoint(at u: FieldParts, of w: ObservableValue, on domain: any Domain) throws -> FieldParts {
    let s = try setting(u, domain), weights = w.vector
    var bar = FieldParts(repeating: FieldPart(domain.box), count: s.y.fields.count)
    let plain = s.floor == nil && s.cells.isFlat
    var setting = ald_spline_bins(minimum: s.minimum, maximum: s.maximum, h: s.h)
    for r in bar.indices {
      if plain {
        let n = bar[r].values.count
        if n > 0 { ald_spline_slopes(&setting, s.y.fields[r].values, n, weights, s.cells[0] / s.divisor, &bar[r].values) }
        continue
      }
      for i in bar[r].values.indices where s.cells[i] > 0 {
        let (bin, t, slope) = s.place(r, i)
        let sum = (0..<4).reduce(0) { $0 + weights[bin + $1] * Distribution.spline(t - Double($1)).slope }
        bar[r].values[i] = s.cells[i] / s.divisor * (sum / s.h * slope)
      }
    }
    return try s.map.adjoint(bar, valid: s.y.valid, on: domain)
  }
  public func scales(of value: ObservableValue, on domain: any Domain) throws -> [Double] {
    [Double](repeating: commonScale(value.vector), count: value.vector.count)
  }
  public func check(components: Int, grid: Grid, coordinates: Coordinates) throws {
    let quantity: LocalQuantity = sample == .vorticity ? .vorticity : sample == .gradient ? .longitudinal : .value
    try checkSpacing(specification, grid: grid, coordinates: coordinates)
    try quantity.check(specification, components: components, grid: grid, coordinates: coordinates)
  }
}
