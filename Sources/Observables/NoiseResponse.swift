import Fields
import Foundation

/// What noise does to the values of an observable beyond its tangent, from mean squares of the noise seen through linear operators.
///
/// o(u + e) - o(u) = J e + e^T H e / 2: the second term has a mean, the bias, where noise adds or takes energy.
public struct NoiseResponse: Sendable {
  /// The mean squares m_i = e^T A_i e, A_i a short sum of products of one-dimensional operators.
  public let forms: [[SeparableTerm]]
  /// Whether the values are functions of these forms alone: with the change that really happened nothing is left to the tangent.
  public var isComplete = false
  /// Mean over the values of the squares of what the second term makes of them.
  ///
  /// - Parameter change: expected m_i(u + e) - m_i(u), what the decoded field has more.
  /// - Parameter noise: expected m_i(e).
  public let meanSquare: @Sendable (_ change: [Double], _ noise: [Double]) -> Double
}

/// An observable of which that is known in closed form.
public protocol NoiseBiased: Observable {
  /// - Parameter value: at the field where the observable is looked at; nil: not known.
  /// - Returns: nil where there is no closed form.
  func noiseResponse(of value: ObservableValue?, components: Int, grid: Grid, coordinates: Coordinates) -> NoiseResponse?
}

/// An observable that noise moves by the energy it brings into shells of wavenumbers.
public protocol ShellBiased: Observable {
  /// Mean over the values of the squares of their shifts.
  ///
  /// - Parameter energies: half the mean square that the decoded field has more, in the shells 0 ... highest and in the rest.
  func meanSquare(of value: ObservableValue, shellEnergies energies: [Double]) -> Double
}

extension LocalMap {
  /// y_r^2 over `divisor`, summed over the cells, of one row of the map.
  func squareTerms(_ row: [Term], grid: Grid, coordinates: Coordinates, divisor: Double) -> [SeparableTerm] {
    func axes(_ a: Int?, transposed: Bool) -> [Int: Band] {
      guard let a else { return [:] }
      let d = Band.derivative(grid, coordinates, axis: 2 - a)
      return [2 - a: transposed ? d.transposed : d]
    }
    return row.flatMap { s in
      row.map { t in
        let merged = axes(s.axis, transposed: true).merging(axes(t.axis, transposed: false)) { $0.after($1) }
        return SeparableTerm(
          row: s.component, column: t.component, weight: s.factor * t.factor / divisor, axes: (0..<3).map { merged[$0].map(AxisOperator.band) ?? .identity })
      }
    }
  }
  /// The mean squares of all rows.
  func meanSquares(grid: Grid, coordinates: Coordinates) -> [[SeparableTerm]] {
    rows.map { squareTerms($0, grid: grid, coordinates: coordinates, divisor: Double(grid.count)) }
  }
}

extension QuadraticDensity: NoiseBiased {
  /// f = sum k_r y_r^2 shifts by sum k_r <y_r(e)^2>; as a field it also scatters, by 2 (k_r <y_r(e)^2>)^2 for rows of independent Gaussian noise.
  public func noiseResponse(of value: ObservableValue?, components: Int, grid: Grid, coordinates: Coordinates) -> NoiseResponse? {
    guard CellVolumes(grid, coordinates).isUniform else { return nil }
    let (map, factors) = parts(components, grid), mean = mean
    return NoiseResponse(forms: map.meanSquares(grid: grid, coordinates: coordinates), isComplete: mean) { change, noise in
      let shift = zip(factors, change).reduce(0) { $0 + $1.0 * $1.1 }
      return shift * shift + (mean ? 0 : zip(factors, noise).reduce(0) { $0 + 2 * ($1.0 * $1.1) * ($1.0 * $1.1) })
    }
  }
}

extension StructureFunction: NoiseBiased {
  /// S_p shifts by p (p - 1)/2 <|z|^(p-2)> <z(e)^2>; the moment is that of Gaussian increments with this S_p, exact for p = 2.
  public func noiseResponse(of value: ObservableValue?, components: Int, grid: Grid, coordinates: Coordinates) -> NoiseResponse? {
    // S_2 needs no value: its slope is 1.
    var s = [Double](repeating: 0, count: distances.count)
    if case .vector(let v) = value { s = v } else if p != 2 { return nil }
    guard p >= 2 else { return nil }
    // <|z|^q> of unit variance.
    func moment(_ q: Double) -> Double { exp2(q / 2) * tgamma((q + 1) / 2) / Double.pi.squareRoot() }
    let order = Double(p), share = moment(order - 2) / pow(moment(order), (order - 2) / order)
    let slopes = s.map { 0.5 * order * (order - 1) * (p == 2 ? 1 : share * pow(max(0, $0), (order - 2) / order)) }
    let forms = distances.map { r in
      let list = directions(components, grid, r), total = list.reduce(0) { $0 + pairs(grid, $1.1, r) }
      return list.map { c, axis in
        var d = Band(extent: grid.shape[axis], periodic: grid.periodic[axis], reach: r)
        for i in 0..<grid.shape[axis] where grid.periodic[axis] || i + r < grid.shape[axis] { d[i, 0] -= 1; d[i, r] += 1 }
        let square = d.transposed.after(d)
        return SeparableTerm(row: c, column: c, weight: 1 / Double(max(1, total)), axes: (0..<3).map { $0 == axis ? .band(square) : .identity })
      }
    }
    let n = Double(distances.count)
    return NoiseResponse(forms: forms, isComplete: p == 2) { change, _ in zip(slopes, change).reduce(0) { $0 + ($1.0 * $1.1) * ($1.0 * $1.1) } / n }
  }
}

extension Averages: NoiseBiased {
  /// <u^p> shifts by p (p - 1)/2 <u^(p-2)> <e^2>.
  public func noiseResponse(of value: ObservableValue?, components: Int, grid: Grid, coordinates: Coordinates) -> NoiseResponse? {
    var v = [Double](repeating: 0, count: components * orders)
    if case .vector(let given) = value { v = given } else if orders != 2 { return nil }
    guard orders > 1, group == .all, CellVolumes(grid, coordinates).isUniform else { return nil }
    let forms = (0..<components).map {
      [SeparableTerm(row: $0, column: $0, weight: 1 / Double(grid.count), axes: [.identity, .identity, .identity])]
    }
    let orders = orders, values = v
    // The means themselves are kept by the transforms that ask.
    return NoiseResponse(forms: forms, isComplete: orders == 2) { change, _ in
      var sum = 0.0
      for c in 0..<components {
        for p in 2...orders {
          let shift = 0.5 * Double(p * (p - 1)) * (p == 2 ? 1 : values[c * orders + p - 3]) * change[c]
          sum += shift * shift
        }
      }
      return sum / Double(values.count)
    }
  }
}

extension Distribution: NoiseBiased {
  /// Independent noise of the samples widens the density: p + <e^2>/2 p'', by differences of its bins; <e^2> is the mean of the samples' rows.
  public func noiseResponse(of value: ObservableValue?, components: Int, grid: Grid, coordinates: Coordinates) -> NoiseResponse? {
    guard sample != .log, minimum != nil, maximum != nil, case .vector(let p) = value, CellVolumes(grid, coordinates).isUniform else { return nil }
    let h = width, rows = map(components, grid)
    func at(_ b: Int) -> Double { p.indices.contains(b) ? p[b] : 0 }
    let bend = p.indices.reduce(0) { s, b in
      let d = (at(b + 1) - 2 * at(b) + at(b - 1)) / (2 * h * h)
      return s + d * d
    } / Double(p.count)
    return NoiseResponse(forms: rows.meanSquares(grid: grid, coordinates: coordinates)) { change, _ in
      let more = change.reduce(0, +) / Double(change.count)
      return more * more * bend
    }
  }
}

extension EnergySpectrum: ShellBiased {
  /// From half the mean squares of the shells 0 ... highest and the rest; nil with a window.
  public func values(of energies: [Double]) -> [Double]? {
    guard window == .none else { return nil }
    let chosen = shells.map { $0.map { energies[$0] } } ?? energies
    return epsilon.map { epsilon in chosen.map { log($0 + epsilon) } } ?? chosen
  }
  public func meanSquare(of value: ObservableValue, shellEnergies energies: [Double]) -> Double {
    guard window == .none, case .vector(let v) = value else { return 0 }
    var sum = 0.0
    for (j, x) in v.enumerated() {
      let b = j + (shells?.lowerBound ?? 0), more = b < energies.count ? energies[b] : 0
      var shift = more
      if let epsilon {
        let e = max(0, exp(x) - epsilon)
        shift = log((max(0, e + more) + epsilon) / (e + epsilon))
      }
      sum += shift * shift
    }
    return sum / Double(max(1, v.count))
  }
}
