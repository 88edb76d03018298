import Fields

/// How well predictions follow measurements: rank and linear correlation and slope, with intervals by resampling clusters.
///
/// Cells of one cluster (a field and an observable) are not independent: replica b takes each cluster Poisson(1) times.
public struct Correlation: Equatable, Sendable {
  /// Spearman's rho: Pearson's r of the ranks, ties at their mean rank. NaN below three cells or where a side is constant.
  public let spearman: Interval
  public let pearson: Interval
  /// Least squares of measured on predicted through the origin: sum x y / sum x^2.
  public let slope: Interval
  /// Root mean square of measured - predicted.
  public let rms: Interval
  public let count: Int

  /// - Parameter clusters: of each cell.
  public init(predicted x: [Double], measured y: [Double], clusters: [Int], replicas: Int = 1000, seed: UInt64 = 3) {
    precondition(x.count == y.count && clusters.count == x.count)
    let usable = x.indices.filter { x[$0].isFinite && y[$0].isFinite }
    func numbers(_ cells: [Int]) -> [Double] {
      let a = cells.map { x[$0] }, b = cells.map { y[$0] }
      let xx = a.reduce(0) { $0 + $1 * $1 }, xy = zip(a, b).reduce(0) { $0 + $1.0 * $1.1 }
      let square = zip(a, b).reduce(0) { $0 + ($1.1 - $1.0) * ($1.1 - $1.0) }
      return [Correlation.pearson(Correlation.ranks(a), Correlation.ranks(b)), Correlation.pearson(a, b), xx > 0 ? xy / xx : .nan,
              a.isEmpty ? .nan : (square / Double(a.count)).squareRoot()]
    }
    let best = numbers(usable)
    var samples: [[Double]] = [[], [], [], []]
    if Set(usable.map { clusters[$0] }).count > 1 {
      for b in 0..<replicas {
        let random = CounterRandom(seed: seed, stream: UInt64(b))
        let cells = usable.flatMap { i in [Int](repeating: i, count: random.poisson(clusters[i])) }
        if cells.count < 3 { continue }
        for (k, v) in numbers(cells).enumerated() where v.isFinite { samples[k].append(v) }
      }
    }
    func interval(_ k: Int) -> Interval {
      let s = samples[k].sorted()
      if s.isEmpty { return Interval(value: best[k], lower: .nan, upper: .nan) }
      return Interval(value: best[k], lower: s[Int(0.025 * Double(s.count))], upper: s[min(s.count - 1, Int(0.975 * Double(s.count)))])
    }
    spearman = interval(0); pearson = interval(1); slope = interval(2); rms = interval(3)
    count = usable.count
  }

  static func ranks(_ v: [Double]) -> [Double] {
    let order = v.indices.sorted { (v[$0], $0) < (v[$1], $1) }
    var out = [Double](repeating: 0, count: v.count), i = 0
    while i < order.count {
      var j = i
      while j + 1 < order.count && v[order[j + 1]] == v[order[i]] { j += 1 }
      for k in i...j { out[order[k]] = 0.5 * Double(i + j) }
      i = j + 1
    }
    return out
  }
  static func pearson(_ x: [Double], _ y: [Double]) -> Double {
    guard x.count > 2 else { return .nan }
    let n = Double(x.count), mx = x.reduce(0, +) / n, my = y.reduce(0, +) / n
    var xy = 0.0, xx = 0.0, yy = 0.0
    for (a, b) in zip(x, y) { xy += (a - mx) * (b - my); xx += (a - mx) * (a - mx); yy += (b - my) * (b - my) }
    return xx > 0 && yy > 0 ? xy / (xx * yy).squareRoot() : .nan
  }
}

/// Spearman's rho of the pairs that are finite; NaN below three or where a side is constant.
public func rankCorrelation(_ x: [Double], _ y: [Double]) -> Double {
  let usable = zip(x, y).filter { $0.0.isFinite && $0.1.isFinite }
  return Correlation.pearson(Correlation.ranks(usable.map(\.0)), Correlation.ranks(usable.map(\.1)))
}
