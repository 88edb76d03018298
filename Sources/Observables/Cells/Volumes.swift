import Fields
import Statistics

/// The volumes of cells: a product of one width per axis.
///
/// Width i of an axis with positions x is (x_(i+1) - x_(i-1)) / 2, at an end the distance to the neighbour.
struct CellVolumes: Sendable {
  /// Width of each index along each storage axis, in units of the spacing where that is uniform.
  let widths: [[Double]]
  /// Product of the uniform spacings.
  let unit: Double
  let isUniform: Bool

  init(_ grid: Grid, _ coordinates: Coordinates) {
    var unit = 1.0, isUniform = true
    widths = (0..<3).map { a in
      let n = grid.shape[a]
      switch coordinates.axes[a] {
      case .uniform(let h): unit *= abs(h)
      case .positions(let x) where n > 1:
        isUniform = false
        return (0..<n).map { i in i == 0 ? abs(x[1] - x[0]) : i == n - 1 ? abs(x[i] - x[i - 1]) : abs(x[i + 1] - x[i - 1]) / 2 }
      case .positions: break
      }
      return [Double](repeating: 1, count: n)
    }
    self.unit = unit; self.isUniform = isUniform
  }

  /// Volume over `unit` of each cell of `box`; nil where all are 1.
  func relative(on box: Box) -> [Double]? {
    if isUniform { return nil }
    var out: [Double] = []
    out.reserveCapacity(box.count)
    box.forEachRow { z, y, _ in
      let f = widths[0][z] * widths[1][y]
      for x in box.lower.x..<box.upper.x { out.append(f * widths[2][x]) }
    }
    return out
  }
}

/// Volumes of the cells that count, for means over the valid part of a domain.
struct CellWeights {
  private let volumes: [Double]?
  private let valid: [Bool]?
  /// Sum over all participants; 1 where nothing is valid, so that means are 0.
  let total: Double

  /// - Collective.
  init(_ valid: [Bool]?, on domain: any Domain) throws {
    self.valid = valid
    volumes = CellVolumes(domain.grid, domain.coordinates).relative(on: domain.box)
    var sum = 0.0
    if let volumes {
      var exact = ExactSum()
      for i in volumes.indices where valid?[i] ?? true { exact.add(volumes[i]) }
      sum = try domain.merged(exact).value
    } else {
      let count = valid?.count { $0 } ?? domain.box.count
      sum = Double(try domain.merged(IntegerSums([count])).values[0])
    }
    total = sum > 0 ? sum : 1
  }
  /// Whether every valid cell counts 1.
  var isUniform: Bool { volumes == nil }
  /// Whether every cell counts 1.
  var isFlat: Bool { volumes == nil && valid == nil }
  subscript(i: Int) -> Double { valid?[i] ?? true ? volumes?[i] ?? 1 : 0 }
}
