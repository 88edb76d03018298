import LatentGeometry
import Statistics

/// Correlations of paired numbers.
enum Correlation {
  static func pearson(_ x: [Double], _ y: [Double]) -> Double {
    let a = mean(x), b = mean(y)
    var xx = 0.0, yy = 0.0, xy = 0.0
    for (u, v) in zip(x, y) { xx += (u - a) * (u - a); yy += (v - b) * (v - b); xy += (u - a) * (v - b) }
    return xx > 0 && yy > 0 ? xy / (xx * yy).squareRoot() : .nan
  }
  /// Of y = a + b x, least squares.
  static func slope(_ x: [Double], _ y: [Double]) -> Double {
    let a = mean(x), b = mean(y)
    var xx = 0.0, xy = 0.0
    for (u, v) in zip(x, y) { xx += (u - a) * (u - a); xy += (u - a) * (v - b) }
    return xy / xx
  }
  /// Ranks from 0, equal values sharing the mean of theirs.
  static func ranks(_ x: [Double]) -> [Double] {
    let order = x.indices.sorted { x[$0] < x[$1] }
    var r = x, i = 0
    while i < order.count {
      var j = i
      while j + 1 < order.count && x[order[j + 1]] == x[order[i]] { j += 1 }
      for k in i...j { r[order[k]] = Double(i + j) / 2 }
      i = j + 1
    }
    return r
  }
  static func spearman(_ x: [Double], _ y: [Double]) -> Double { pearson(ranks(x), ranks(y)) }
  /// Tau-a.
  static func kendall(_ x: [Double], _ y: [Double]) -> Double {
    var s = 0.0, n = 0.0
    for i in x.indices { for j in 0..<i { s += ((x[i] - x[j]) * (y[i] - y[j])).signum; n += 1 } }
    return s / n
  }
  /// Ranks inside each group scaled to 0 ... 1, then Pearson of all together.
  static func pooled(_ x: [Double], _ y: [Double], groups: [String]) -> Double {
    var a: [Double] = [], b: [Double] = []
    for g in Set(groups).sorted() {
      let i = groups.indices.filter { groups[$0] == g }, n = Double(max(1, i.count - 1))
      a += ranks(i.map { x[$0] }).map { $0 / n }
      b += ranks(i.map { y[$0] }).map { $0 / n }
    }
    return pearson(a, b)
  }
  /// A statistic with its 95 % interval from resampled clusters.
  static func clustered(_ x: [Double], _ y: [Double], clusters: [String], _ f: ([Double], [Double]) -> Double) throws -> Interval {
    let names = Set(clusters).sorted(), members = names.map { n in clusters.indices.filter { clusters[$0] == n } }
    let units = Dictionary(uniqueKeysWithValues: names.indices.map { k in (k, names.indices.map { $0 == k ? 1.0 : 0 }) })
    return try Bootstrap(replicas: 1000, seed: 17).intervals(units, reducer: SoleReducer()) { w in
      let all = zip(members, w).flatMap { m, n in (0..<Int(n.rounded())).flatMap { _ in m } }
      return [f(all.map { x[$0] }, all.map { y[$0] })]
    }[0]
  }
}

extension Double {
  fileprivate var signum: Double { self > 0 ? 1 : self < 0 ? -1 : 0 }
}
