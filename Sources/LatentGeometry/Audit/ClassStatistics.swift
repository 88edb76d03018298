public import Statistics

/// Classes of latents: how many, their means, and how far they spread.
///
/// Two passes (means, then deviations from them), each an exact sum: no cancellation, the same bits for any parts.
public struct ClassStatistics: Sendable {
  public let counts: [Int]
  /// Zero where a class has no member.
  public let means: [[Double]]
  /// V_c = (1/N_c) sum |z - mu_c|^2.
  public let variances: [Double]

  /// - Collective: all participants; C (d + 1) exact sums.
  public init(_ rows: LatentRows, classes: Int, reducer: any Reducer) throws {
    let d = rows.dimension
    let counts = try reducer.merged(IntegerSums(rows.labels.reduce(into: [Int](repeating: 0, count: classes)) { $0[$1] += 1 })).values
    var sums = [ExactSum](repeating: ExactSum(), count: classes * d)
    for i in 0..<rows.count { for (k, v) in rows.row(i).enumerated() { sums[rows.labels[i] * d + k].add(v) } }
    let totals = try reducer.merged(sums).map(\.value)
    let means = (0..<classes).map { c in (0..<d).map { counts[c] > 0 ? totals[c * d + $0] / Double(counts[c]) : 0 } }
    var spreads = [ExactSum](repeating: ExactSum(), count: classes)
    rows.values.withUnsafeBufferPointer { v in
      for i in 0..<rows.count {
        means[rows.labels[i]].withUnsafeBufferPointer { spreads[rows.labels[i]].add(LatentGeometry.squaredDistance(v.baseAddress! + i * d, $0.baseAddress!, d)) }
      }
    }
    variances = zip(try reducer.merged(spreads).map(\.value), counts).map { $1 > 0 ? $0 / Double($1) : 0 }
    self.counts = counts; self.means = means
  }

  /// Classes that have members.
  public var present: [Int] { counts.indices.filter { counts[$0] > 0 } }

  /// Class-distance normalised variance: the mean over ordered pairs of classes of (V_c + V_c') / (2 |mu_c - mu_c'|^2).
  ///
  /// - Returns: NaN below two classes, infinite where two means coincide.
  public var cdnv: Double {
    let p = present
    guard p.count > 1 else { return .nan }
    var sum = 0.0
    for a in p { for b in p where b != a {
      let gap = zip(means[a], means[b]).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
      sum += (variances[a] + variances[b]) / (2 * gap)
    } }
    return sum / Double(p.count * (p.count - 1))
  }

  /// H(C) in nats.
  public var entropy: Double {
    let n = Double(counts.reduce(0, +))
    return present.reduce(0) { $0 - Double(counts[$1]) / n * ln(Double(counts[$1]) / n) }
  }

  /// Neural collapse: tr(S_W S_B^+) / C, S_B the covariance of the class means, S_W the mean of the classes' covariances (all classes alike).
  ///
  /// No d x d matrix: with centred means M (d x C) and M^T M / C = V diag(s) V^T, only the variances along u_k = M v_k / sqrt(C s_k) count:
  /// sum_k u_k^T S_W u_k / s_k.
  /// - Parameter rows: those that the statistics were made of.
  /// - Returns: NaN below two classes or where all means coincide.
  /// - Collective: all participants; C (C - 1) exact sums.
  public func collapse(_ rows: LatentRows, reducer: any Reducer) throws -> Double {
    let p = present, c = p.count, d = rows.dimension
    guard c > 1 else { return .nan }
    let centre = (0..<d).map { k in p.reduce(0) { $0 + means[$1][k] } / Double(c) }
    let m = p.map { q in zip(means[q], centre).map { $0 - $1 } }
    let gram = DenseMatrix(rows: c, columns: c) { i, j in zip(m[i], m[j]).reduce(0) { $0 + $1.0 * $1.1 } / Double(c) }
    let (s, v) = try gram.eigen()
    let used = s.indices.filter { s[$0] > 1e-10 * max(s[0], 0) && $0 < c - 1 }
    // Every participant the same directions, also on machines of different kinds.
    let flat = try reducer.agreed(used.flatMap { k in
      (0..<d).map { x in (0..<c).reduce(0) { $0 + m[$1][x] * v[$1, k] } / (Double(c) * s[k]).squareRoot() }
    } + used.map { s[$0] })
    guard !used.isEmpty else { return .nan }
    let directions = (0..<used.count).map { Array(flat[$0 * d..<($0 + 1) * d]) }, spread = Array(flat[(used.count * d)...])
    var sums = [ExactSum](repeating: ExactSum(), count: counts.count * used.count)
    for i in 0..<rows.count {
      let q = rows.labels[i], deviation = zip(rows.row(i), means[q]).map { $0 - $1 }
      for (k, u) in directions.enumerated() {
        let w = zip(deviation, u).reduce(0) { $0 + $1.0 * $1.1 }
        sums[q * used.count + k].add(w * w)
      }
    }
    let within = try reducer.merged(sums).map(\.value)
    var trace = 0.0
    for k in used.indices {
      let mean = p.reduce(0) { $0 + within[$1 * used.count + k] / Double(counts[$1]) } / Double(c)
      trace += mean / spread[k]
    }
    return trace / Double(c)
  }
}
