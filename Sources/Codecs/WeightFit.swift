import CKernels

/// Context features of coded values, for a weight fit.
public struct FitRows: Sendable {
  /// Features per row; the last one is constant.
  public let width: Int
  /// Size of one feature unit.
  public let unit: Double
  public internal(set) var features: [UInt16] = []
  public internal(set) var groups: [UInt8] = []
  public internal(set) var values: [Int32] = []
  /// What a row's features are normalised by; empty: 1.
  public internal(set) var scales: [Double] = []
  public var count: Int { values.count }

  public init(width: Int, unit: Double) { self.width = width; self.unit = unit }

  func withKernel<T>(_ body: (inout ald_fit_rows) -> T) -> T {
    precondition(features.count == count * width && groups.count == count && (scales.isEmpty || scales.count == count))
    return features.withUnsafeBufferPointer { f in
      groups.withUnsafeBufferPointer { g in
        values.withUnsafeBufferPointer { v in
          scales.withUnsafeBufferPointer { b in
            var k = ald_fit_rows(features: f.baseAddress, values: v.baseAddress, groups: g.baseAddress, scales: scales.isEmpty ? nil : b.baseAddress,
                                 count: count, width: Int32(width), unit: unit)
            return body(&k)
          }
        }
      }
    }
  }

  /// Adds classes under `weights` (`groups * width`) and symbols to a histogram.
  public func count(weights: [Double], into histogram: UnsafeMutablePointer<UInt32>) {
    precondition(groups.allSatisfy { (Int($0) + 1) * width <= weights.count })
    let classes = [UInt8](unsafeUninitializedCapacity: count) { c, n in
      if count > 0 { withKernel { ald_fit_classes(&$0, weights, c.baseAddress!) } }
      n = count
    }
    ald_histogram(classes, values, count, histogram)
  }
}

/// Normal equations of non-negative weights that predict magnitudes from neighbour features, per group.
///
/// A row has features `f`, a value `v` and, for normalised features, a scale `b`:
/// minimises the sum of `(|v| - b f.w)^2 / (S + 0.03)` over `w >= 0`, where `S` is the magnitude expected under the previous
/// round's weights and `|v|` is clipped at `8 S + 4`. Two or three rounds suffice.
///
/// The sums depend on the order of `add`; callers that want the same weights on any number of ranks make one
/// `NormalEquations` per tile and add their `packed` arrays in tile order.
public struct NormalEquations: Sendable, Equatable {
  public let groups: Int
  public let features: Int
  /// Per group: number of rows, upper triangle of the matrix row by row, right-hand side.
  public private(set) var packed: [Double]
  public var packedStride: Int { 1 + features * (features + 1) / 2 + features }

  public init(groups: Int, features: Int) {
    self.groups = groups; self.features = features
    packed = [Double](repeating: 0, count: groups * (1 + features * (features + 1) / 2 + features))
  }

  /// Adds the sums of another accumulator of the same shape.
  public mutating func add(packed other: [Double]) { other.withUnsafeBufferPointer { add(packed: $0) } }
  public mutating func add(packed other: UnsafeBufferPointer<Double>) {
    precondition(other.count == packed.count)
    packed.withUnsafeMutableBufferPointer { p in
      for k in 0..<other.count { p[k] += other[k] }
    }
  }

  /// - Parameter weights: the previous round's, `groups * features`; `nil` in the first round.
  /// - Parameter steep: weights rows by (S + 0.03)^-1.5.
  public mutating func add(_ rows: FitRows, weights: [Double]?, steep: Bool = false) {
    precondition(rows.width == features && features <= 16 && (weights == nil || weights!.count == groups * features))
    precondition(rows.groups.allSatisfy { $0 < groups })
    let count = Int32(groups)
    packed.withUnsafeMutableBufferPointer { sums in
      rows.withKernel { kernel in
        let status = (weights ?? []).withUnsafeBufferPointer {
          ald_fit_equations(&kernel, weights == nil ? nil : $0.baseAddress, steep ? 1 : 0, count, sums.baseAddress!)
        }
        precondition(status == 0, "out of memory")
      }
    }
  }

  public func rows(ofGroup g: Int) -> Int { Int(packed[g * packedStride]) }

  /// Weights of every group with at least `minimumRows` rows; `nil` for the others.
  public func solve(minimumRows: Int = 64) -> [[Double]?] {
    (0..<groups).map { g in
      rows(ofGroup: g) < max(1, minimumRows) ? nil : solve(group: g)
    }
  }
  private func solve(group g: Int) -> [Double] {
    let n = features, start = g * packedStride + 1
    var a = [[Double]](repeating: [Double](repeating: 0, count: n), count: n)
    var at = start
    for i in 0..<n { for j in i..<n { a[i][j] = packed[at]; a[j][i] = packed[at]; at += 1 } }
    let b = Array(packed[at..<at + n])
    for i in 0..<n { a[i][i] += 1e-3 }
    return nonNegativeLeastSquares(gram: a, rhs: b)
  }
}

/// The `x >= 0` that minimises `x.A x / 2 - b.x`, A symmetric positive definite.
///
/// - Source: the active-set method of C. L. Lawson and R. J. Hanson, Solving Least Squares Problems (1974), chapter 23, on normal equations.
public func nonNegativeLeastSquares(gram a: [[Double]], rhs b: [Double]) -> [Double] {
  let n = b.count
  var x = [Double](repeating: 0, count: n), free = [Bool](repeating: false, count: n)
  let tolerance = 1e-12 * (b.map { abs($0) }.max() ?? 0)
  func solveFree() -> [Double] {
    let index = (0..<n).filter { free[$0] }, m = index.count
    var l = [[Double]](repeating: [Double](repeating: 0, count: m), count: m), y = [Double](repeating: 0, count: m)
    for i in 0..<m {
      for j in 0...i {
        var s = a[index[i]][index[j]]
        for k in 0..<j { s -= l[i][k] * l[j][k] }
        l[i][j] = i == j ? max(s, 1e-300).squareRoot() : s / l[j][j]
      }
      var s = b[index[i]]
      for k in 0..<i { s -= l[i][k] * y[k] }
      y[i] = s / l[i][i]
    }
    for i in stride(from: m - 1, through: 0, by: -1) {
      var s = y[i]
      for k in i + 1..<max(m, i + 1) { s -= l[k][i] * y[k] }
      y[i] = s / l[i][i]
    }
    var out = [Double](repeating: 0, count: n)
    for (k, i) in index.enumerated() { out[i] = y[k] }
    return out
  }
  for _ in 0..<3 * n {
    var best = -1, gain = tolerance
    for i in 0..<n where !free[i] {
      var g = b[i]
      for j in 0..<n { g -= a[i][j] * x[j] }
      if g > gain { gain = g; best = i }
    }
    if best < 0 { break }
    free[best] = true
    while true {
      let z = solveFree()
      var step = 1.0
      for i in 0..<n where free[i] && z[i] <= 0 { step = min(step, x[i] - z[i] > 0 ? x[i] / (x[i] - z[i]) : 0) }
      if step >= 1 { x = z; break }
      for i in 0..<n where free[i] {
        x[i] += step * (z[i] - x[i])
        if z[i] <= 0 && x[i] <= 1e-14 { x[i] = 0; free[i] = false }
      }
      if !free.contains(true) { break }
    }
  }
  return x
}

/// Integer forms of weights, shared by the context models.
public enum WeightCode {
  /// 0...63 in 1/64.
  public static func linear(_ w: Double) -> UInt8 { UInt8(min(63, max(0, (w * 64).rounded()))) }
  /// Quarter octaves from 1/4096: code c stands for (4 + c mod 4) 2^(c / 4) / 16384.
  public static func constant(_ w: Double) -> UInt8 {
    var best = 0, distance = Double.infinity
    for c in 0..<64 {
      let v = constantValue(UInt8(c)), d = max(v / max(w, 1e-9), w / v)
      if d < distance { distance = d; best = c }
    }
    return UInt8(best)
  }
  public static func constantValue(_ c: UInt8) -> Double { Double(((4 + Int(c) % 4) << (Int(c) / 4)) >> 2) / 4096 }
}
