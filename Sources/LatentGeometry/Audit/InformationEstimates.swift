import Fields
public import Statistics

/// How much latents with the quantiser's noise tell, in nats. Noise has standard deviation 1 in the units of `LatentRows`.
///
/// I(X; T) of T = y + e is finite because of e. Estimates differ in what they bound; see each. All are the same bits for any parts.
public enum InformationEstimates {
  /// 1/2 log det(I + Cov(y)): exact for Gaussian y, else an upper bound (largest entropy of all with that covariance).
  ///
  /// - Parameter variances: eigenvalues of Cov(y).
  public static func gaussian(variances: [Double]) -> Double { 0.5 * variances.reduce(0) { $0 + ln1p(max(0, $1)) } }

  /// Eigenvalues of the covariance of all rows, largest first, and the directions.
  ///
  /// - Collective: all participants; d (d + 1) / 2 exact sums.
  public static func components(_ rows: LatentRows, reducer: any Reducer) throws -> (variances: [Double], directions: DenseMatrix) {
    let d = rows.dimension, n = Double(max(1, try reducer.merged(IntegerSums([rows.count])).values[0]))
    var sums = [ExactSum](repeating: ExactSum(), count: d)
    for i in 0..<rows.count { for (k, v) in rows.row(i).enumerated() { sums[k].add(v) } }
    let means = try reducer.merged(sums).map { $0.value / n }
    let centred = rows.columns.enumerated().map { k, c in c.map { $0 - means[k] } }
    let covariance = 1 / n * (try InnerProducts.gram(centred, centred, symmetric: true, reducer: reducer))
    let (w, z) = try covariance.eigen()
    let flat = try reducer.agreed(w + z.values)
    return (Array(flat[..<d]), DenseMatrix(rows: d, columns: d, Array(flat[d...])))
  }

  /// I(Y; T) of T = y + N(0, I) from a sample: the mean of -ln[(1/N) sum_j exp(-|t - y_j|^2 / 2)] - |e|^2 / 2.
  ///
  /// The entropy of a mixture of Gaussians around the samples less that of the noise, with the noise's own |e|^2 in the place of its mean:
  /// less variance, and never above ln N. For up to about 20 dimensions: beyond, it is ln N whatever the latents.
  /// - Returns: the information of all samples, and that about their classes: the mean of ln p(t | c) / p(t), never above H(C).
  /// - Collective: all participants; each treats its own rows.
  public static func mixture(_ y: SharedRows, classes: Int, seed: UInt64 = 1, reducer: any Reducer) throws -> (all: Double, classes: Double) {
    let random = CounterRandom(seed: seed, stream: 7), d = y.rows.dimension
    return try contrast(y, classes: classes, reducer: reducer) { i, t in
      for k in 0..<d { t[k] += random.gaussian(component: k, at: Index3(1, y.rows.ids[i] >> 31, y.rows.ids[i] & 0x7fff_ffff)) }
    }
  }

  /// InfoNCE of pairs (y, y^): E ln[e^{s_ii} / mean_j e^{s_ij}] with s_ij = -|y^_i - y_j|^2 / 2, the score that is right for white Gaussian noise.
  ///
  /// A lower bound of I(Y; Y^) whatever the noise is; never above ln N.
  /// - Collective: all participants.
  public static func contrastive(_ y: SharedRows, decoded: LatentRows, reducer: any Reducer) throws -> Double {
    precondition(decoded.ids == y.rows.ids)
    let d = y.rows.dimension
    return try contrast(y, classes: 0, reducer: reducer) { i, t in for (k, v) in decoded.row(i).enumerated() where k < d { t[k] = v } }.all
  }

  /// - Parameter noisy: makes t of y_i, in place.
  private static func contrast(
    _ y: SharedRows, classes: Int, reducer: any Reducer, _ noisy: (Int, UnsafeMutablePointer<Double>) -> Void
  ) throws -> (all: Double, classes: Double) {
    let rows = y.rows, n = rows.count, d = rows.dimension
    guard n > 0 else { return (.nan, .nan) }
    let members = rows.labels.reduce(into: [Int](repeating: 0, count: max(1, classes))) { if $1 < classes { $0[$1] += 1 } }
    var all = ExactSum(), known = ExactSum(), t = [Double](repeating: 0, count: d)
    rows.values.withUnsafeBufferPointer { v in
      t.withUnsafeMutableBufferPointer { t in
        for i in y.mine {
          for k in 0..<d { t[k] = v[i * d + k] }
          noisy(i, t.baseAddress!)
          let own = squaredDistance(t.baseAddress!, v.baseAddress! + i * d, d)
          // Of the exponents only differences count; the largest is taken out.
          let exponents = (0..<n).map { 0.5 * (own - squaredDistance(t.baseAddress!, v.baseAddress! + $0 * d, d)) }
          let top = exponents.max()!
          var sum = 0.0, inside = 0.0
          for (j, e) in exponents.enumerated() {
            let p = exponential(e - top)
            sum += p
            if rows.labels[j] == rows.labels[i] { inside += p }
          }
          all.add(ln(Double(n)) - top - ln(sum))
          if classes > 0 { known.add(ln(inside / sum * (Double(n) / Double(members[rows.labels[i]])))) }
        }
      }
    }
    let sums = try reducer.merged([all, known]).map(\.value)
    return (sums[0] / Double(n), classes > 0 ? sums[1] / Double(n) : .nan)
  }

  /// Kraskov, Stögbauer and Grassberger's estimate of I(Y; Y^) from distances to the k-th neighbour in the maximum norm:
  /// psi(k) + psi(N) - <psi(n_y + 1) + psi(n_y^ + 1)>. For up to about 10 dimensions; too small for large information.
  ///
  /// - Collective: all participants; N rows each.
  /// - Source: Phys. Rev. E 69 (2004) 066138, first estimator.
  public static func nearestNeighbours(_ y: SharedRows, decoded: LatentRows, k: Int = 4, reducer: any Reducer) throws -> Double {
    let n = y.rows.count, d = y.rows.dimension
    guard n > k else { return .nan }
    // psi(m) of whole m: -gamma + 1 + 1/2 + ... + 1/(m - 1).
    var psi = [0.0, -0.5772156649015329]
    for m in 1..<n { psi.append(psi[m] + 1 / Double(m)) }
    var sum = ExactSum(), a = [Double](repeating: 0, count: n), b = a
    for i in y.mine {
      for j in 0..<n {
        var x = 0.0, z = 0.0
        for c in 0..<d {
          x = max(x, abs(y.rows.values[i * d + c] - y.rows.values[j * d + c]))
          z = max(z, abs(decoded.values[i * d + c] - decoded.values[j * d + c]))
        }
        a[j] = x; b[j] = z
      }
      let joint = (0..<n).filter { $0 != i }.map { max(a[$0], b[$0]) }.sorted()[k - 1]
      var near = 0, nearDecoded = 0
      for j in 0..<n where j != i {
        if a[j] < joint { near += 1 }
        if b[j] < joint { nearDecoded += 1 }
      }
      sum.add(psi[near + 1] + psi[nearDecoded + 1])
    }
    return psi[k] + psi[n] - (try reducer.merged(sum).value) / Double(n)
  }

  /// Entropy of the cells of a grid of the quantiser's step, sqrt(12) noises wide, that samples fall in. It tells of clusters, not of information.
  public static func binned(_ rows: LatentRows) -> Double {
    var cells: [[Int]: Int] = [:]
    for i in 0..<rows.count { cells[rows.row(i).map { Int(max(-1e15, min(1e15, ($0 / 12.0.squareRoot()).rounded()))) }, default: 0] += 1 }
    let n = Double(rows.count)
    // Equal counts together, so that the order of a dictionary does not show.
    let sizes = cells.values.sorted()
    return sizes.reduce(0) { $0 - Double($1) / n * ln(Double($1) / n) }
  }
}
