import CKernels
import Fields

/// A linear operator along one axis: row i combines the points i - reach ... i + reach.
///
/// Periodic axes wrap; along others coefficients beyond the ends are 0. Transposes are exact, faces included.
public struct Band: Sendable, Equatable {
  public let extent: Int, periodic: Bool
  public let reach: Int
  /// `[2 reach + 1][extent]`: entry (k, i) multiplies point i + k - reach in row i.
  public private(set) var coefficients: [[Double]]

  init(extent: Int, periodic: Bool, reach: Int) {
    self.extent = extent; self.periodic = periodic; self.reach = reach
    coefficients = [[Double]](repeating: [Double](repeating: 0, count: extent), count: 2 * reach + 1)
  }
  public static func identity(_ extent: Int) -> Band {
    var b = Band(extent: extent, periodic: true, reach: 0)
    b.coefficients[0] = [Double](repeating: 1, count: extent)
    return b
  }

  /// Coefficient of point `row + offset`.
  subscript(row: Int, offset: Int) -> Double {
    get { abs(offset) > reach ? 0 : coefficients[offset + reach][row] }
    set { coefficients[offset + reach][row] = newValue }
  }
  /// `i` brought back into the axis; nil where there is no such point.
  private func point(_ i: Int) -> Int? {
    if periodic { return ((i % extent) + extent) % extent }
    return i >= 0 && i < extent ? i : nil
  }

  public var transposed: Band {
    var t = Band(extent: extent, periodic: periodic, reach: reach)
    for k in -reach...reach { for j in 0..<extent { if let i = point(j + k) { t[j, k] = self[i, -k] } } }
    return t
  }
  /// First `o`, then this.
  func after(_ o: Band) -> Band {
    var p = Band(extent: extent, periodic: periodic, reach: reach + o.reach)
    for i in 0..<extent {
      for k in -reach...reach {
        guard self[i, k] != 0, let j = point(i + k) else { continue }
        for l in -o.reach...o.reach { p[i, k + l] += self[i, k] * o[j, l] }
      }
    }
    return p
  }
  /// 1 wherever this is not 0, and on the diagonal.
  var support: Band {
    var s = self
    for k in s.coefficients.indices { for i in 0..<extent where s.coefficients[k][i] != 0 || k == reach { s.coefficients[k][i] = 1 } }
    return s
  }

  /// phi^T B psi for functions that are 0 but for the points `start ..< start + count` (wrapped, or cut at the ends).
  public func form(_ phi: [Double], _ psi: [Double], start: Int) -> Double {
    var sum = 0.0
    for a in phi.indices {
      guard phi[a] != 0, let i = point(start + a) else { continue }
      for k in -reach...reach {
        var b = a + k
        if periodic {
          while b < 0 { b += extent }
          while b >= extent { b -= extent }
        }
        // Around a periodic axis a point may be met again.
        while b >= 0 && b < psi.count {
          sum += phi[a] * self[i, k] * psi[b]
          if !periodic { break }
          b += extent
        }
      }
    }
    return sum
  }

  /// out += factor B input along storage axis `axis`; every cell adds its terms by ascending offset, whatever the box.
  ///
  /// - Parameter input: on a box that holds every point which rows of `out` name (`out` and a halo of `reach`).
  func add(_ input: FieldPart, axis: Int, factor: Double = 1, to out: inout FieldPart) {
    let from = input.box, to = out.box
    if to.isEmpty { return }
    let nx = from.upper.x - from.lower.x, stride = axis == 0 ? nx * (from.upper.y - from.lower.y) : axis == 1 ? nx : 1
    // Along x the coefficients of the row's points, with the factor.
    let along = axis == 2 ? coefficients.map { row in (to.lower.x..<to.upper.x).map { factor * row[(($0 % extent) + extent) % extent] } } : []
    input.values.withUnsafeBufferPointer { source in
      out.values.withUnsafeMutableBufferPointer { target in
        to.forEachRow { z, y, at in
          let base = from.offset(of: Index3(z, y, from.lower.x)) - from.lower.x, o = at - to.lower.x
          for k in -reach...reach {
            let s = base + k * stride
            if axis == 2 {
              let lower = max(to.lower.x, from.lower.x - k), upper = min(to.upper.x, from.upper.x - k)
              if lower >= upper { continue }
              along[k + reach].withUnsafeBufferPointer { c in
                ald_row_add_each(target.baseAddress! + o + lower, source.baseAddress! + s + lower, c.baseAddress! + lower - to.lower.x, upper - lower)
              }
            } else {
              let c = factor * coefficients[k + reach][axis == 0 ? z : y]
              if c == 0 { continue }
              ald_row_add(target.baseAddress! + o + to.lower.x, source.baseAddress! + s + to.lower.x, c, to.upper.x - to.lower.x)
            }
          }
        }
      }
    }
  }
}

extension Band {
  /// The first derivative along a storage axis.
  ///
  /// Uniform spacing h: (u(i+1) - u(i-1)) / 2h. Positions: the three-point formula, exact for quadratics. At the ends of an axis that
  /// is not periodic the three-point one-sided formula, exact for quadratics; two points give their slope, one point gives 0.
  static func derivative(_ grid: Grid, _ coordinates: Coordinates, axis: Int) -> Band {
    let n = grid.shape[axis], periodic = grid.periodic[axis]
    if n == 1 { return Band(extent: 1, periodic: periodic, reach: 0) }
    if periodic {
      guard case .uniform(let h) = coordinates.axes[axis] else { preconditionFailure("positions along a periodic axis") }
      var d = Band(extent: n, periodic: true, reach: 1)
      for i in 0..<n { d[i, -1] = -1 / (2 * h); d[i, 1] = 1 / (2 * h) }
      return d
    }
    let gaps: [Double]
    switch coordinates.axes[axis] {
    case .uniform(let h): gaps = [Double](repeating: h, count: n - 1)
    case .positions(let x): gaps = (1..<n).map { x[$0] - x[$0 - 1] }
    }
    if n == 2 {
      var d = Band(extent: 2, periodic: false, reach: 1)
      d[0, 0] = -1 / gaps[0]; d[0, 1] = 1 / gaps[0]; d[1, -1] = -1 / gaps[0]; d[1, 0] = 1 / gaps[0]
      return d
    }
    var d = Band(extent: n, periodic: false, reach: 2)
    for i in 1..<n - 1 {
      let a = gaps[i - 1], b = gaps[i]
      d[i, -1] = -b / (a * (a + b)); d[i, 0] = (b - a) / (a * b); d[i, 1] = a / (b * (a + b))
    }
    let (a, b) = (gaps[0], gaps[1]), (p, q) = (gaps[n - 2], gaps[n - 3])
    d[0, 0] = -(2 * a + b) / (a * (a + b)); d[0, 1] = (a + b) / (a * b); d[0, 2] = -a / (b * (a + b))
    d[n - 1, 0] = (2 * p + q) / (p * (p + q)); d[n - 1, -1] = -(p + q) / (p * q); d[n - 1, -2] = p / (q * (p + q))
    return d
  }

  /// Averages of face values to centres: (u(i) + u(i+1)) / 2, value i lying on the lower face of cell i; the last cell of an axis that
  /// is not periodic extrapolates, 3/2 u(n-1) - 1/2 u(n-2).
  static func centring(_ grid: Grid, axis: Int) -> Band {
    let n = grid.shape[axis]
    if n == 1 { return .identity(1) }
    var d = Band(extent: n, periodic: grid.periodic[axis], reach: 1)
    for i in 0..<n { d[i, 0] = 0.5; d[i, 1] = 0.5 }
    if !grid.periodic[axis] { d[n - 1, 0] = 1.5; d[n - 1, 1] = 0; d[n - 1, -1] = -0.5 }
    return d
  }
}
