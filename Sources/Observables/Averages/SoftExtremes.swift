import Fields
import Foundation
import Statistics

/// Smooth maximum and minimum of each component: ln <exp(beta u)> / beta and -ln <exp(-beta u)> / beta, means over the valid cells.
///
/// Below the true maximum by at most ln N / beta. `beta` is in units 1/field; left open it is 100 over the original's range.
public struct SoftExtremes: CalibratedObservable {
  let beta: Double?
  public var specification: String { beta.map { "extremes(beta=\($0))" } ?? "extremes" }
  public var units: String { "field" }

  private func range(_ clean: FieldParts, _ valid: [Bool]?, _ domain: any Domain) throws -> Extremes {
    var local = Extremes(minima: clean.map { _ in .infinity }, maxima: clean.map { _ in -.infinity })
    for c in clean.indices {
      for (i, v) in clean[c].values.enumerated() where valid?[i] ?? true {
        local.minima[c] = min(local.minima[c], v); local.maxima[c] = max(local.maxima[c], v)
      }
    }
    return try domain.merged(local)
  }

  public func calibrated(to original: FieldParts, on domain: any Domain) throws -> any Observable {
    let (clean, valid) = cleaned(original), r = try range(clean, valid, domain)
    if beta != nil { return self }
    let width = zip(r.maxima, r.minima).map { $0 - $1 }.max() ?? 0
    return SoftExtremes(beta: width.isFinite && width > 0 ? 100 / width : 1)
  }

  /// Unnormalised softmax weights of maximum (side 0) and minimum (side 1), and the extremes they are relative to.
  private struct Softmax {
    let clean: FieldParts, cells: CellWeights, bounds: Extremes, beta: Double
    var sums: [Double] = []   // per component and side
    func weight(_ c: Int, _ side: Int, _ i: Int) -> Double {
      let u = clean[c].values[i]
      return cells[i] * exp(beta * (side == 0 ? u - bounds.maxima[c] : bounds.minima[c] - u))
    }
  }
  private func softmax(_ u: FieldParts, _ domain: any Domain) throws -> Softmax {
    guard let beta else { throw ObservableError("extremes needs beta, or the original field to take it from") }
    let (clean, valid) = cleaned(u)
    var s = Softmax(clean: clean, cells: try CellWeights(valid, on: domain), bounds: try range(clean, valid, domain), beta: beta)
    s.sums = try reduced(s, domain) { _, _, _ in 1 }
    return s
  }
  private func reduced(_ s: Softmax, _ domain: any Domain, _ term: (Int, Int, Int) -> Double) throws -> [Double] {
    var sums = [ExactSum](repeating: ExactSum(), count: 2 * s.clean.count)
    for c in s.clean.indices {
      for i in s.clean[c].values.indices where s.cells[i] > 0 {
        for side in 0..<2 { sums[2 * c + side].add(s.weight(c, side, i) * term(c, side, i)) }
      }
    }
    return try domain.sums(sums)
  }

  public func value(of u: FieldParts, on domain: any Domain) throws -> ObservableValue {
    let s = try softmax(u, domain)
    var out = [Double](repeating: 0, count: 2 * u.count)
    for c in u.indices where s.sums[2 * c] > 0 {
      out[2 * c] = s.bounds.maxima[c] + log(s.sums[2 * c] / s.cells.total) / s.beta
      out[2 * c + 1] = s.bounds.minima[c] - log(s.sums[2 * c + 1] / s.cells.total) / s.beta
    }
    return .vector(out)
  }
  public func tangent(at u: FieldParts, along v: FieldParts, on domain: any Domain) throws -> ObservableValue {
    let s = try softmax(u, domain)
    let sums = try reduced(s, domain) { c, _, i in v[c].values[i] }
    return .vector(zip(sums, s.sums).map { $1 > 0 ? $0 / $1 : 0 })
  }
  public func adjoint(at u: FieldParts, of w: ObservableValue, on domain: any Domain) throws -> FieldParts {
    let s = try softmax(u, domain)
    return u.indices.map { c in
      var out = FieldPart(domain.box)
      for i in out.values.indices where s.cells[i] > 0 {
        for side in 0..<2 { out.values[i] += w.vector[2 * c + side] / s.sums[2 * c + side] * s.weight(c, side, i) }
      }
      return out
    }
  }
  /// The larger of both extremes' sizes, for both.
  public func scales(of value: ObservableValue, on domain: any Domain) throws -> [Double] {
    let v = value.vector
    return v.indices.map { positiveScale(max(abs(v[$0 & ~1]), abs(v[$0 | 1]))) }
  }
  public func check(components: Int, grid: Grid, coordinates: Coordinates) throws {
    try checkSpacing("extremes", grid: grid, coordinates: coordinates)
  }
}
