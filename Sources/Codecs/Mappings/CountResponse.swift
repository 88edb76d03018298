public import Fields

/// Counts times a smooth response: x = T(k s), k = 0, 1, 2 ..., s a polynomial of the cell's position. What detectors give after their
/// counts were divided by exposure, efficiency and solid angle. Coded are the k, which know of no noise but that of counting.
///
///     s = sum_j c_j t_z^a t_y^b t_x^d,  a + b + d <= degree,  t = 2 i / (n - 1) - 1 along an axis of n cells, 0 if n = 1
///
/// Evaluated in binary64 by Horner's rule along x of sums along y and z, in a fixed order: the same bits everywhere.
public struct CountResponse: Hashable, Sendable {
  public let shape: Index3
  public let degree: Int
  /// Ordered by the powers of z, y, x, the last fastest; powers of axes of one cell are left out.
  public let coefficients: [Double]
  public static let highestDegree = 4

  init(shape: Index3, degree: Int, coefficients: [Double]) { self.shape = shape; self.degree = degree; self.coefficients = coefficients }

  /// Powers (z, y, x) of the terms.
  static func powers(_ shape: Index3, _ degree: Int) -> [Index3] {
    func top(_ a: Int) -> Int { shape[a] > 1 ? degree : 0 }
    var out: [Index3] = []
    for z in 0...top(0) { for y in 0...top(1) { for x in 0...top(2) where z + y + x <= degree { out.append(Index3(z, y, x)) } } }
    return out
  }
  static func position(_ i: Int, _ n: Int) -> Double { n > 1 ? 2 * Double(i) / Double(n - 1) - 1 : 0 }

  /// Calls `body` for every row of `box` with its first cell in C order and the response along it.
  private func eachRow(_ box: Box, _ body: (_ first: Int, _ response: [Double]) -> Void) {
    let terms = CountResponse.powers(shape, degree), n = box.shape.x
    var row = [Double](repeating: 0, count: n), first = 0
    for z in box.lower.z..<box.upper.z { for y in box.lower.y..<box.upper.y {
      let tz = CountResponse.position(z, shape.z), ty = CountResponse.position(y, shape.y)
      var line = [Double](repeating: 0, count: degree + 1)
      for (p, c) in zip(terms, coefficients) {
        var v = c
        for _ in 0..<p.z { v *= tz }
        for _ in 0..<p.y { v *= ty }
        line[p.x] += v
      }
      for i in 0..<n {
        let t = CountResponse.position(box.lower.x + i, shape.x)
        var s = line[degree]
        for d in (0..<degree).reversed() { s = s * t + line[d] }
        row[i] = s
      }
      body(first, row)
      first += n
    } }
  }

  /// k = round(x / s), as values of the tile's type; 0 where that is not a count below 2^22.
  public func counts(of tile: RawArray, mask: UnsafePointer<UInt8>?) -> RawArray {
    let out = RawArray(box: tile.box, elementSize: tile.elementSize)
    eachRow(tile.box) { first, s in
      for i in s.indices {
        let at = first + i
        let x = tile.elementSize == 4 ? Double(tile.bound(to: Float.self)[at]) : tile.bound(to: Double.self)[at]
        var k = mask.map { $0[at] != 0 } ?? true ? (x / s[i]).rounded() : 0
        if !(k >= 0 && k < 0x1p22) { k = 0 }
        if tile.elementSize == 4 { out.bound(to: Float.self)[at] = Float(k) } else { out.bound(to: Double.self)[at] = k }
      }
    }
    return out
  }

  /// T(k s).
  public func values(of counts: RawArray, type: ScalarType) -> RawArray {
    let out = RawArray(box: counts.box, type: type)
    eachRow(counts.box) { first, s in
      for i in s.indices {
        let at = first + i
        let v = (counts.elementSize == 4 ? Double(counts.bound(to: Float.self)[at]) : counts.bound(to: Double.self)[at]) * s[i]
        if type == .float32 { out.bound(to: Float.self)[at] = Float(v) } else { out.bound(to: Double.self)[at] = v }
      }
    }
    return out
  }

  /// docs/format.md section 7.18: degree, coefficients.
  public var serialised: [UInt8] {
    var w = ByteWriter()
    w.put(UInt8(degree))
    for c in coefficients { w.put(c) }
    return w.bytes
  }
  /// - Throws: `StreamError` for bytes that `serialised` cannot give.
  public init(serialised bytes: [UInt8], shape: Index3) throws {
    var r = ByteReader(bytes)
    let degree = Int(try r.byte())
    guard degree <= CountResponse.highestDegree else { throw StreamError(.invalid, offset: 0) }
    var c: [Double] = []
    for _ in CountResponse.powers(shape, degree) {
      c.append(try r.double())
      guard c.last!.isFinite else { throw StreamError(.invalid, offset: r.offset) }
    }
    guard r.remaining == 0 else { throw StreamError(.invalid, offset: r.offset) }
    self.init(shape: shape, degree: degree, coefficients: c)
  }
}

/// The search for a response in some rows of a field.
///
/// The largest unit of which all values near the middle are multiples; then polynomials of growing degree in growing surroundings, each
/// fitted to x / k of the cells whose k the one before tells.
struct ResponseFit {
  private var cells: [(t: (Double, Double, Double), far: Double, x: Double)] = []
  private let shape: Index3

  /// - Parameter rows: whole or partial rows of the field, all values finite.
  init(_ rows: [RawArray], shape: Index3) {
    self.shape = shape
    for a in rows {
      var at = 0
      for z in a.box.lower.z..<a.box.upper.z { for y in a.box.lower.y..<a.box.upper.y { for x in a.box.lower.x..<a.box.upper.x {
        let v = a.elementSize == 4 ? Double(a.bound(to: Float.self)[at]) : a.bound(to: Double.self)[at]
        at += 1
        if !(v > 0 && v < .infinity) { continue }
        let t = (CountResponse.position(z, shape.z), CountResponse.position(y, shape.y), CountResponse.position(x, shape.x))
        cells.append((t, max(abs(t.0), abs(t.1), abs(t.2)), v))
      } } }
    }
  }

  /// `nil` where there is none.
  func solve() -> CountResponse? {
    guard cells.count >= 256 else { return nil }
    let distances = cells.map(\.far).sorted()
    // The innermost cells, as far as they are enough.
    var reach = max(distances[min(127, distances.count - 1)], 0.05)
    guard let unit = unit(cells.filter { $0.far <= reach }.map(\.x)) else { return nil }
    var degree = 0, c = [unit]
    while true {
      let next = reach < 0.2 ? 1 : reach < 0.4 ? 2 : CountResponse.highestDegree
      for _ in 0..<2 {
        // Few planes of cells do not tell high powers.
        let fits = (0...next).reversed().lazy.compactMap { d in fit(within: reach, d, by: (degree, c)).map { (d, $0) } }
        guard let better = fits.first else { return nil }
        (degree, c) = better
      }
      if reach >= 1 { break }
      reach = min(1, reach * 1.4)
    }
    // Nearly all cells, and such of many counts, lie on it.
    let s = cells.map { value($0.t, degree, c) }
    let close = zip(cells, s).count { abs($0.x / $1 - ($0.x / $1).rounded()) < 0.1 }
    guard s.allSatisfy({ $0 > 0 }), Double(close) > 0.97 * Double(cells.count) else { return nil }
    return CountResponse(shape: shape, degree: degree, coefficients: c)
  }

  /// The largest unit with values at multiples of it, several different ones: all of a smooth field are near some multiple of any large unit.
  private func unit(_ x: [Double]) -> Double? {
    let sorted = x.sorted(), middle = sorted[sorted.count / 2], near = sorted.filter { $0 < 3 * middle }
    func cost(_ s: Double) -> Double { near.reduce(0) { let r = $1 / s; let d = r - r.rounded(); return $0 + d * d } / Double(near.count) }
    var s = min(middle, (near[near.count - 1] - near[0]) / 4)
    while s > middle / 64 {
      if cost(s) < 0.03 {
        let finer = (-40...40).map { s * (1 + 0.0001 * Double($0)) }
        let best = finer.min { cost($0) < cost($1) }!
        return cost(best) < 0.015 ? best : nil
      }
      s *= 0.998
    }
    return nil
  }

  private func terms(_ t: (Double, Double, Double), _ powers: [Index3]) -> [Double] {
    powers.map { p in
      var v = 1.0
      for _ in 0..<p.z { v *= t.0 }
      for _ in 0..<p.y { v *= t.1 }
      for _ in 0..<p.x { v *= t.2 }
      return v
    }
  }
  private func value(_ t: (Double, Double, Double), _ degree: Int, _ c: [Double]) -> Double {
    zip(terms(t, CountResponse.powers(shape, degree)), c).reduce(0) { $0 + $1.0 * $1.1 }
  }

  /// Least squares of (x - k s) / sqrt k over the cells within `reach` that lie near a multiple of the response before.
  private func fit(within reach: Double, _ degree: Int, by before: (degree: Int, c: [Double])) -> [Double]? {
    let powers = CountResponse.powers(shape, degree), n = powers.count
    var a = [[Double]](repeating: [Double](repeating: 0, count: n + 1), count: n), used = 0
    for cell in cells where cell.far <= reach {
      let s = value(cell.t, before.degree, before.c), r = cell.x / s, k = r.rounded()
      if !(k >= 1 && abs(r - k) < 0.25) { continue }
      let v = terms(cell.t, powers)
      for i in 0..<n {
        let w = k * v[i]
        for j in i..<n { a[i][j] += w * v[j] }
        a[i][n] += v[i] * cell.x
      }
      used += 1
    }
    guard used >= 4 * n else { return nil }
    for i in 0..<n { for j in 0..<i { a[i][j] = a[j][i] } }
    return CountResponse.solved(a)
  }
}

extension CountResponse {
  /// The response that values of these rows tell, if they are counts.
  ///
  /// - Parameter rows: parts of the field with finite values only.
  public init?(rows: [RawArray], shape: Index3) {
    guard let found = ResponseFit(rows, shape: shape).solve() else { return nil }
    self = found
  }

  /// Gaussian elimination with pivots of n rows of n + 1.
  fileprivate static func solved(_ given: [[Double]]) -> [Double]? {
    var a = given
    let n = a.count
    for i in 0..<n {
      let p = (i..<n).max { abs(a[$0][i]) < abs(a[$1][i]) }!
      guard abs(a[p][i]) > 1e-12 * abs(given[i][i]) else { return nil }
      a.swapAt(i, p)
      for r in i + 1..<n where a[r][i] != 0 {
        let f = a[r][i] / a[i][i]
        for j in i...n { a[r][j] -= f * a[i][j] }
      }
    }
    var x = [Double](repeating: 0, count: n)
    for i in (0..<n).reversed() { x[i] = (a[i][n] - (i + 1..<n).reduce(0) { $0 + a[i][$1] * x[$1] }) / a[i][i] }
    return x
  }
}
