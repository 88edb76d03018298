import Fields
public import Statistics

/// How well classes can be told from latents.
public struct ClassUtility: Sendable, Equatable {
  /// Share of samples that get their class.
  public let accuracy: Double
  /// Mean over the classes of 2 TP / (2 TP + FP + FN).
  public let macroF1: Double

  /// - Parameter confusion: samples of class i called j, at i C + j.
  init(confusion: [Int], classes: Int) {
    func cell(_ i: Int, _ j: Int) -> Double { Double(confusion[i * classes + j]) }
    let total = confusion.reduce(0, +)
    accuracy = total > 0 ? (0..<classes).reduce(0) { $0 + cell($1, $1) } / Double(total) : .nan
    let scores = (0..<classes).compactMap { c -> Double? in
      let own = (0..<classes).reduce(0) { $0 + cell(c, $1) }, called = (0..<classes).reduce(0) { $0 + cell($1, c) }
      return own > 0 ? 2 * cell(c, c) / (own + called) : nil
    }
    macroF1 = scores.isEmpty ? .nan : scores.reduce(0, +) / Double(scores.count)
  }

  /// Each sample gets the class of most of its k nearest others; nearer ones decide between equals.
  ///
  /// - Collective: all participants; each treats its own rows.
  public static func nearestNeighbours(_ z: SharedRows, classes: Int, k: Int = 5, reducer: any Reducer) throws -> ClassUtility {
    var confusion = [Int](repeating: 0, count: classes * classes)
    let rows = z.rows, n = rows.count
    for i in z.mine where n > 1 {
      var near: [(distance: Double, place: Int)] = []
      for j in 0..<n where j != i {
        let d = rows.squaredDistance(i, j)
        if near.count == k, d >= near[k - 1].distance { continue }
        let at = near.firstIndex { $0.distance > d } ?? near.count
        near.insert((d, j), at: at)
        if near.count > k { near.removeLast() }
      }
      var votes = [Int](repeating: 0, count: classes)
      for v in near { votes[rows.labels[v.place]] += 1 }
      let most = votes.max()!
      confusion[rows.labels[i] * classes + rows.labels[near.first { votes[rows.labels[$0.place]] == most }!.place]] += 1
    }
    return ClassUtility(confusion: try reducer.merged(IntegerSums(confusion)).values, classes: classes)
  }

  /// A linear probe: least squares of the classes' indicators on latents and a constant, with a ridge of 10^-3 of the mean variance; fitted to
  /// one half of the samples (by a hash of their numbers), judged on the other.
  ///
  /// - Collective: all participants; (d + 1)(d + 2) / 2 + C (d + 1) exact sums.
  public static func linearProbe(_ rows: LatentRows, classes: Int, reducer: any Reducer) throws -> ClassUtility {
    let random = CounterRandom(seed: 0x9b0e)
    let learns = rows.ids.map { random.sign(component: 3, at: Index3(0, $0 >> 31, $0 & 0x7fff_ffff)) > 0 }
    let fit = rows.rows(rows.ids.indices.filter { learns[$0] }), d = rows.dimension
    let columns = fit.columns + [[Double](repeating: 1, count: fit.count)]
    let wanted = (0..<classes).map { c in fit.labels.map { $0 == c ? 1.0 : 0 } }
    var gram = try InnerProducts.gram(columns, columns, symmetric: true, reducer: reducer)
    let right = try InnerProducts.gram(columns, wanted, reducer: reducer)
    let ridge = 1e-3 * (0..<d).reduce(0) { $0 + gram[$1, $1] } / Double(max(1, d))
    for k in 0..<d { gram[k, k] += max(ridge, .leastNormalMagnitude) }
    gram[d, d] += 1e-9
    let flat = try reducer.agreed((gram.inverse() * right).values), weights = DenseMatrix(rows: d + 1, columns: classes, flat)
    var confusion = [Int](repeating: 0, count: classes * classes)
    for i in rows.ids.indices where !learns[i] {
      let scores = (0..<classes).map { c -> Double in
        var s = weights[d, c]
        for (k, v) in rows.row(i).enumerated() { s += v * weights[k, c] }
        return s
      }
      confusion[rows.labels[i] * classes + scores.indices.max { scores[$0] < scores[$1] }!] += 1
    }
    return ClassUtility(confusion: try reducer.merged(IntegerSums(confusion)).values, classes: classes)
  }
}
