public import Statistics

/// How a code changes distances between and within classes, against a reference code of the same samples.
///
///     l_ij = ln(|z_i - z_j|^2 + eps^2) - ln(|r_i - r_j|^2 + eps^2),  i != j        A_cc' = mean l over c, c' - mean over all pairs
///
/// - Source: after D'Amato, Lancia, Pezzulo, The geometry of efficient codes (2024), with logarithms in the place of ratios.
public struct ClassDistortion: Sendable {
  /// A, row by row; NaN where a pair of classes has no pair of samples.
  public let matrix: [[Double]]
  public let counts: [Int]

  /// - Parameter epsilon: what cannot be told apart, in the latents' units.
  /// - Collective: all participants; each treats its own rows; C^2 exact sums.
  public init(_ z: SharedRows, reference: LatentRows, classes: Int, epsilon: Double = 1, reducer: any Reducer) throws {
    precondition(reference.ids == z.rows.ids)
    let n = z.rows.count, e = epsilon * epsilon, labels = z.rows.labels
    var sums = [ExactSum](repeating: ExactSum(), count: classes * classes), all = ExactSum()
    var pairs = [Int](repeating: 0, count: classes * classes)
    for i in z.mine {
      for j in 0..<n where j != i {
        let a = z.rows.squaredDistance(i, j) + e, b = reference.squaredDistance(i, j) + e
        // Two equal samples, nothing to be told apart: no change.
        let l = a == b ? 0 : ln(a / b)
        let cell = labels[i] * classes + labels[j]
        sums[cell].add(l); all.add(l)
        pairs[cell] += 1
      }
    }
    let merged = try reducer.merged(sums + [all]).map(\.value), numbers = try reducer.merged(IntegerSums(pairs)).values
    let total = Double(max(1, numbers.reduce(0, +))), grand = merged[classes * classes] / total
    matrix = (0..<classes).map { a in
      (0..<classes).map { b in
        let k = a * classes + b
        return numbers[k] > 0 ? merged[k] / Double(numbers[k]) - grand : .nan
      }
    }
    counts = labels.reduce(into: [Int](repeating: 0, count: classes)) { $0[$1] += 1 }
  }

  /// -(mean of A_cc - mean of A_cc', c != c'): above 0, classes contract against the distances between them. -2 ln s where only deviations
  /// from class means shrink, by s.
  public var prototypization: Double {
    var own: [Double] = [], other: [Double] = []
    for (a, row) in matrix.enumerated() { for (b, v) in row.enumerated() where !v.isNaN { if a == b { own.append(v) } else { other.append(v) } } }
    guard !own.isEmpty, !other.isEmpty else { return .nan }
    return other.reduce(0, +) / Double(other.count) - own.reduce(0, +) / Double(own.count)
  }

  /// The most frequent class, the last of equals, and the rarest with members, the first of equals: of quantiles the top and the bottom one.
  public var extremes: (frequent: Int, rare: Int) {
    let p = counts.indices.filter { counts[$0] > 1 }
    guard let first = p.first else { return (0, 0) }
    return (p.reduce(first) { counts[$1] >= counts[$0] ? $1 : $0 }, p.reduce(first) { counts[$1] < counts[$0] ? $1 : $0 })
  }

  /// A_ff - A_rr: above 0, resolution goes to the frequent class.
  public var specialization: Double {
    let (f, r) = extremes
    return f == r ? .nan : matrix[f][f] - matrix[r][r]
  }
}

/// Directions in which two factors move the latents.
public struct FactorGeometry: Sendable {
  /// 1 - |cos(v_a, v_b)|, v_f the mean step from one level of f to the next at equal levels of the other; NaN where one is lost in its own noise
  /// (three standard errors).
  public let orthogonality: Double
  /// The same of the spans of all levels' means: 1 - |U_a^T U_b|_F^2 / min(k_a, k_b).
  public let subspaceOrthogonality: Double
  /// 1 - E|cos| of random directions, about 1 - sqrt(2 / (pi d)).
  public let chance: Double

  /// - Parameter first, second: level of each row in each factor, 0 ..< levels. Conditions without samples count for nothing.
  /// - Collective: all participants.
  public init(_ rows: LatentRows, first: [Int], levels a: Int, second: [Int], levels b: Int, reducer: any Reducer) throws {
    var conditions = LatentRows(dimension: rows.dimension)
    for i in 0..<rows.count { conditions.append(rows.row(i), id: rows.ids[i], label: first[i] * b + second[i]) }
    let s = try ClassStatistics(conditions, classes: a * b, reducer: reducer), d = rows.dimension
    func step(_ levels: Int, _ others: Int, _ place: (Int, Int) -> Int) -> (direction: [Double], error: Double) {
      var v = [Double](repeating: 0, count: d), variance = 0.0, used = 0
      for o in 0..<others { for l in 1..<max(1, levels) {
        let low = place(l - 1, o), high = place(l, o)
        guard s.counts[low] > 0, s.counts[high] > 0 else { continue }
        for k in 0..<d { v[k] += s.means[high][k] - s.means[low][k] }
        variance += s.variances[high] / Double(s.counts[high]) + s.variances[low] / Double(s.counts[low])
        used += 1
      } }
      let n = Double(max(1, used))
      return (v.map { $0 / n }, variance.squareRoot() / n)
    }
    let va = step(a, b) { $0 * b + $1 }, vb = step(b, a) { $1 * b + $0 }
    func norm(_ v: [Double]) -> Double { v.reduce(0) { $0 + $1 * $1 }.squareRoot() }
    let na = norm(va.direction), nb = norm(vb.direction)
    let told = na > 3 * va.error && nb > 3 * vb.error
    orthogonality = told ? 1 - abs(zip(va.direction, vb.direction).reduce(0) { $0 + $1.0 * $1.1 } / (na * nb)) : .nan

    func span(_ levels: Int, _ others: Int, _ place: (Int, Int) -> Int) throws -> DenseMatrix {
      // Means of the levels over the others' levels where all are there, centred.
      let whole = (0..<others).filter { o in (0..<levels).allSatisfy { s.counts[place($0, o)] > 0 } }
      let means = (0..<levels).map { l in (0..<d).map { k in whole.reduce(0) { $0 + s.means[place(l, $1)][k] } / Double(max(1, whole.count)) } }
      let centre = (0..<d).map { k in means.reduce(0) { $0 + $1[k] } / Double(levels) }
      let m = DenseMatrix(rows: d, columns: levels) { means[$1][$0] - centre[$0] }, (w, v) = try (m.transposed * m).eigen()
      // What the means' own noise spans is no direction of the factor.
      let noise = (0..<levels).reduce(0) { t, l in t + whole.reduce(0) { $0 + s.variances[place(l, $1)] / Double(s.counts[place(l, $1)]) } } / Double(max(1, whole.count * whole.count))
      let used = w.indices.filter { w[$0] > max(1e-10 * w[0], 9 * noise) && $0 < levels - 1 }
      return DenseMatrix(rows: d, columns: used.count) { i, k in (0..<levels).reduce(0) { $0 + m[i, $1] * v[$1, used[k]] } / w[used[k]].squareRoot() }
    }
    let ua = try span(a, b) { $0 * b + $1 }, ub = try span(b, a) { $1 * b + $0 }, k = min(ua.columns, ub.columns)
    let product = ua.transposed * ub
    subspaceOrthogonality = try reducer.agreed([told && k > 0 ? 1 - product.norm * product.norm / Double(k) : .nan])[0]
    // E|cos| = Gamma(d/2) / (sqrt(pi) Gamma((d + 1)/2)), by its recurrence g(d + 2) = g(d) d / (d + 1).
    var g = d % 2 == 0 ? 2 / Double.pi : 1, m = d % 2 == 0 ? 2 : 1
    while m < d { g *= Double(m) / Double(m + 1); m += 2 }
    chance = 1 - g
  }
}
