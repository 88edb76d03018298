public import Fields

/// Least squares for the linear layer D of a network: which part of the error of decoded values their surroundings tell.
///
/// Minimises the sum over patches of |e - D * u|^2 + rho |D|^2, e the error and u the patches in steps. Sums of tiles add up; the order in which
/// tiles are added decides the last bits.
public struct LinearFit: Sendable {
  public let shape: Network.Shape
  private let taps: Int, features: Int
  /// Upper triangle of u u^T, then u e^T, then e^2.
  public private(set) var sums: [Double]

  public init(_ shape: Network.Shape) {
    self.shape = shape
    taps = shape.dimensions == 3 ? 27 : 9
    features = taps * shape.channels
    sums = [Double](repeating: 0, count: features * features + features * shape.channels + 1)
  }

  /// Adds patches of a tile.
  ///
  /// - Parameter decoded: as in `Network.corrected`.
  /// - Parameter error: original - decoded on `core`, of the same type.
  /// - Parameter stride: every so many patches are taken along each axis.
  public mutating func add(decoded: [RawArray], error: [RawArray], core: Box, unit: Double, stride every: Int) {
    let one = Index3(shape.dimensions == 3 ? 1 : 0, 1, 1), q = shape.channels, n = features
    let u = shape.patches(of: decoded, core: core, margin: one, unit: unit), e = shape.patches(of: error, core: core, margin: Index3(0, 0, 0), unit: unit)
    let room = UnsafeMutablePointer<Double>.allocate(capacity: n + q), f = room, t = room + n
    defer { room.deallocate() }
    for z in stride(from: 0, to: e.extents.z, by: shape.dimensions == 3 ? every : 1) { for y in stride(from: 0, to: e.extents.y, by: every) { for x in stride(from: 0, to: e.extents.x, by: every) {
      var at = 0
      for dz in 0...2 * one.z { for dy in 0...2 { for dx in 0...2 {
        let from = (((z + dz) * u.extents.y + y + dy) * u.extents.x + x + dx) * u.stride
        for i in 0..<q { f[at] = Double(u.pointer[from + i]); at += 1 }
      } } }
      let from = ((z * e.extents.y + y) * e.extents.x + x) * e.stride
      for i in 0..<q { t[i] = Double(e.pointer[from + i]) }
      sums.withUnsafeMutableBufferPointer { s in
        for i in 0..<n {
          let v = f[i]
          for j in i..<n { s[i * n + j] += v * f[j] }
          for c in 0..<q { s[n * n + i * q + c] += v * t[c] }
        }
        for c in 0..<q { s[n * n + n * q] += t[c] * t[c] }
      }
    } } }
  }
  public mutating func add(_ others: [Double]) { for i in sums.indices { sums[i] += others[i] } }

  /// The layer's weights, [output][input][z][y][x], and the share of the squared error that they take away; `nil`: nothing can be said.
  public func solution() -> (weights: [Float], gain: Double)? {
    let n = features, q = shape.channels, energy = sums[n * n + n * q]
    guard energy > 0, energy.isFinite else { return nil }
    // Cholesky: G = R^T R, row by row of R.
    var trace = 0.0
    for i in 0..<n { trace += sums[i * n + i] }
    guard trace > 0, trace.isFinite else { return nil }
    let rho = 1e-9 * trace
    var r = Array(sums[..<(n * n)])
    for i in 0..<n { r[i * n + i] += rho }
    for k in 0..<n {
      let pivot = r[k * n + k]
      guard pivot > 0 else { return nil }
      let d = pivot.squareRoot()
      for j in k..<n { r[k * n + j] /= d }
      for i in (k + 1)..<max(n, k + 1) {
        let v = r[k * n + i]
        if v != 0 { for j in i..<n { r[i * n + j] -= v * r[k * n + j] } }
      }
    }
    var b = Array(sums[(n * n)..<(n * n + n * q)]), gain = 0.0
    for i in 0..<n {
      for c in 0..<q { b[i * q + c] /= r[i * n + i] }
      for j in (i + 1)..<max(n, i + 1) { for c in 0..<q { b[j * q + c] -= r[i * n + j] * b[i * q + c] } }
    }
    for v in b { gain += v * v }
    for i in (0..<n).reversed() {
      for j in (i + 1)..<max(n, i + 1) { for c in 0..<q { b[i * q + c] -= r[i * n + j] * b[j * q + c] } }
      for c in 0..<q { b[i * q + c] /= r[i * n + i] }
    }
    var weights = [Float](repeating: 0, count: n * q)
    for o in 0..<q { for i in 0..<q { for t in 0..<taps { weights[(o * q + i) * taps + t] = Float(b[(t * q + i) * q + o]) } } }
    guard weights.allSatisfy(\.isFinite) else { return nil }
    return (weights, gain / energy)
  }
}
