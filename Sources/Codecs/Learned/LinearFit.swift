public import Fields

/// Least squares for the linear layer D of a network: which part of the error of decoded values their surroundings tell.
///
/// Minimises the sum over patches of |e - D * u|^2 + rho |D|^2, e the error and u the patches in steps. Sums of tiles add up; the order in which
/// tiles are added decides the last bits.
public struct LinearFit: Sendable {
  public let shape: Network.Shape
  private let taps: Int, features: Int
  /// Upper triangle of u u^T, then u e^T, then e^2 and the number of patches.
  public private(set) var sums: [Double]

  public init(_ shape: Network.Shape) {
    self.shape = shape
    taps = shape.dimensions == 3 ? 27 : 9
    features = taps * shape.channels
    sums = [Double](repeating: 0, count: features * features + features * shape.channels + 2)
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
        s[n * n + n * q + 1] += 1
      }
    } } }
  }
  public mutating func add(_ others: [Double]) { for i in sums.indices { sums[i] += others[i] } }

  /// R with R^T R = the sums of u u^T plus a share of their trace on the diagonal: Cholesky, row by row; the upper triangle.
  private func factor(adding share: Double) -> [Double]? {
    let n = features
    var trace = 0.0
    for i in 0..<n { trace += sums[i * n + i] }
    guard trace > 0, trace.isFinite else { return nil }
    var r = Array(sums[..<(n * n)])
    let done = r.withUnsafeMutableBufferPointer { r -> Bool in
      for i in 0..<n { r[i * n + i] += share * trace }
      for k in 0..<n {
        guard r[k * n + k] > 0 else { return false }
        let d = r[k * n + k].squareRoot()
        for j in k..<n { r[k * n + j] /= d }
        for i in (k + 1)..<max(n, k + 1) {
          let v = r[k * n + i]
          if v != 0 { for j in i..<n { r[i * n + j] -= v * r[k * n + j] } }
        }
      }
      return true
    }
    return done ? r : nil
  }

  /// Coordinates of a first layer's weights in which the patches are white; `nil` without patches.
  public func whitening() -> PatchWhitening? {
    let count = sums[sums.count - 1]
    return factor(adding: 1e-7).map { PatchWhitening(r: $0.map { $0 / count.squareRoot() }, features: features, taps: taps, channels: shape.channels) }
  }

  /// The layer's weights, [output][input][z][y][x], and the share of the squared error that they take away; `nil`: nothing can be said.
  public func solution() -> (weights: [Float], gain: Double)? {
    let n = features, q = shape.channels, energy = sums[n * n + n * q]
    guard energy > 0, energy.isFinite else { return nil }
    guard let r = factor(adding: 1e-9) else { return nil }
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

/// v = R w for the weights w of each output of a layer that takes patches u, with R^T R the mean of u u^T and a little more: of unit variance in all directions
/// that are not faint, so that steps of one size suit all of v.
public struct PatchWhitening: Sendable {
  fileprivate let r: [Double], features: Int, taps: Int, channels: Int

  /// Calls `body` with the numbers of each output in the order of the sums, in place.
  private func each(_ layer: ArraySlice<Double>, _ body: (UnsafeMutablePointer<Double>, UnsafePointer<Double>) -> Void) -> [Double] {
    let n = features
    var out = [Double](repeating: 0, count: layer.count), row = [Double](repeating: 0, count: n)
    for o in 0..<layer.count / n {
      let at = layer.startIndex + o * n
      for i in 0..<channels { for t in 0..<taps { row[t * channels + i] = layer[at + i * taps + t] } }
      row.withUnsafeMutableBufferPointer { v in r.withUnsafeBufferPointer { body(v.baseAddress!, $0.baseAddress!) } }
      for i in 0..<channels { for t in 0..<taps { out[o * n + i * taps + t] = row[t * channels + i] } }
    }
    return out
  }
  public func coordinates(of weights: ArraySlice<Double>) -> [Double] {
    each(weights) { [n = features] w, r in
      for i in 0..<n {
        var s = 0.0
        for j in i..<n { s += r[i * n + j] * w[j] }
        w[i] = s
      }
    }
  }
  public func weights(at coordinates: ArraySlice<Double>) -> [Double] {
    each(coordinates) { [n = features] v, r in
      for i in (0..<n).reversed() {
        var s = v[i]
        for j in (i + 1)..<max(n, i + 1) { s -= r[i * n + j] * v[j] }
        v[i] = s / r[i * n + i]
      }
    }
  }
  /// The gradient by the coordinates, R^-T of that by the weights.
  public func gradient(_ byWeights: ArraySlice<Double>) -> [Double] {
    each(byWeights) { [n = features] g, r in
      for i in 0..<n {
        g[i] /= r[i * n + i]
        let v = g[i]
        for j in (i + 1)..<max(n, i + 1) { g[j] -= r[i * n + j] * v }
      }
    }
  }
}
