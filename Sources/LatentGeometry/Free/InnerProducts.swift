import Statistics

/// Inner products of vectors held in parts, the same bits for any parts.
///
/// A product p is cut at fixed places into p = h + m + rest: h and m are multiples of units that depend on the largest elements of the two
/// whole vectors only, |h| < 2^42 units, |m| < 2^42 smaller ones, and what lies below 2^-84 of the largest product is dropped. Sums of 1024
/// such multiples are exact in a double, whatever their order or grouping; they go into an `ExactSum`. So nothing depends on where boxes cut,
/// and no global index is needed. Cost: about 8 floating-point operations a product.
/// - Source: Rump, Ogita, Oishi, Accurate floating-point summation (2008); Demmel, Nguyen, Parallel reproducible summation (2015).
public enum InnerProducts {
  /// x_i . y_j for all i, j, each over all participants.
  ///
  /// - Parameter x, y: this participant's parts of the vectors, of one length; may be empty.
  /// - Parameter symmetric: x and y are the same vectors: half the work.
  /// - Returns: rows i, columns j. NaN where an element is not finite.
  /// - Collective: all participants of `reducer`; one reduction of maxima, then one of every 4096 sums.
  public static func gram(_ x: [[Double]], _ y: [[Double]], symmetric: Bool = false, reducer: any Reducer) throws -> DenseMatrix {
    let tops = try reducer.merged(Extremes(maxima: (x + y).map(largest))).maxima
    let pairs = y.indices.flatMap { j in (0..<(symmetric ? j + 1 : x.count)).map { (i: $0, j: j) } }
    // Sums of many pairs in portions: 500 bytes each.
    var out = DenseMatrix(rows: x.count, columns: y.count)
    for start in stride(from: 0, to: pairs.count, by: 4096) {
      let portion = pairs[start..<min(start + 4096, pairs.count)]
      let sums = portion.map { i, j in
        var s = ExactSum()
        add(x[i], y[j], bound: tops[i] * tops[x.count + j], to: &s)
        return s
      }
      for (s, (i, j)) in zip(try reducer.merged(sums), portion) {
        out[i, j] = s.value
        if symmetric { out[j, i] = s.value }
      }
    }
    return out
  }
  /// x_i . y_i for all i.
  /// - Collective: as `gram`.
  public static func pairwise(_ x: [[Double]], _ y: [[Double]], reducer: any Reducer) throws -> [Double] {
    let tops = try reducer.merged(Extremes(maxima: (x + y).map(largest))).maxima
    let sums = x.indices.map { i in
      var s = ExactSum()
      add(x[i], y[i], bound: tops[i] * tops[x.count + i], to: &s)
      return s
    }
    return try reducer.merged(sums).map(\.value)
  }

  /// Largest magnitude; infinite if an element is not finite.
  static func largest(_ v: [Double]) -> Double {
    v.withUnsafeBufferPointer { v in
      var m = SIMD8<Double>(repeating: 0), poison = m, i = 0
      while i + 8 <= v.count {
        let c = UnsafeRawPointer(v.baseAddress! + i).loadUnaligned(as: SIMD8<Double>.self)
        m = pointwiseMax(m, pointwiseMax(c, -c))
        poison += c * 0
        i += 8
      }
      var top = m.max(), bad = poison.sum() != 0 || poison.sum().isNaN
      while i < v.count { top = max(top, abs(v[i])); bad = bad || !v[i].isFinite; i += 1 }
      return bad ? .infinity : top
    }
  }

  private static func add(_ x: [Double], _ y: [Double], bound: Double, to sum: inout ExactSum) {
    precondition(x.count == y.count)
    if bound == 0 { return }
    // Exponents whose units are normal numbers.
    guard bound < 0x1p960 else { return sum.add(.nan) }
    let e = max(bound.exponent + 1, -900)
    // Adding and subtracting 1.5 2^(e + 11) rounds to multiples of 2^(e - 41); the same again 42 bits lower.
    let c1 = Double(sign: .plus, exponent: e + 11, significand: 1.5), c2 = Double(sign: .plus, exponent: e - 31, significand: 1.5)
    let v1 = SIMD8<Double>(repeating: c1), v2 = SIMD8<Double>(repeating: c2)
    x.withUnsafeBufferPointer { x in
      y.withUnsafeBufferPointer { y in
        var i = 0
        while i < x.count {
          let end = min(i + 1024, x.count)
          var high = SIMD8<Double>(repeating: 0), low = high
          while i + 8 <= end {
            let p = UnsafeRawPointer(x.baseAddress! + i).loadUnaligned(as: SIMD8<Double>.self)
              * UnsafeRawPointer(y.baseAddress! + i).loadUnaligned(as: SIMD8<Double>.self)
            let h = (v1 + p) - v1
            high += h
            low += (v2 + (p - h)) - v2
            i += 8
          }
          var h = high.sum(), l = low.sum()
          while i < end {
            let p = x[i] * y[i], top = (c1 + p) - c1
            h += top
            l += (c2 + (p - top)) - c2
            i += 1
          }
          sum.add(h); sum.add(l)
        }
      }
    }
  }
}
