import CKernels
public import Fields

/// Turns the modes of a vector field into its basis and back, row by row.
///
/// Numbers are those of a unitary transform, so that the mean square of a field is that of all its modes: a mode of the half-space
/// stands for its conjugate too and weighs sqrt(2), its own partner 1; partners of other modes are 0, as is the mean.
public final class SpectralFrame: @unchecked Sendable {
  public let shape: Index3
  public let basis: SpectralBasis
  private let axes: [Int]
  private let all: SpectralModes
  /// Per component: k~, cosines and sines along its axis, from index -(n - 1) / 2 on.
  private let tables: [UnsafeMutablePointer<Double>]
  /// Per axis cosines and sines of pi j / n, from index -(n - 1) / 2 on; `nil` where mirror planes go through the first cell.
  private let phases: [UnsafeMutablePointer<Double>?]

  deinit {
    for t in tables { t.deallocate() }
    for t in phases { t?.deallocate() }
  }

  /// - Parameter axes: storage axis of each component; unused where the basis is plain.
  /// - Parameter faces: axes (1 z, 2 y, 4 x) along which phases count from half a cell before the first one.
  public init(_ shape: Index3, _ basis: SpectralBasis, axes: [Int], spacing: [Double], faces: UInt8 = 0) {
    self.shape = shape; self.basis = basis; self.axes = axes
    phases = (0..<3).map { a in
      if faces >> a & 1 == 0 { return nil }
      let n = shape[a], t = UnsafeMutablePointer<Double>.allocate(capacity: 2 * n)
      for i in 0..<n {
        let j = i - (n - 1) / 2
        var c = 1.0, s = 0.0
        ald_fft_root(Int64(abs(j)), Int64(2 * n), &c, &s)
        t[i] = c
        t[n + i] = j < 0 ? -s : s
      }
      return t
    }
    all = SpectralModes(shape: shape, metric: [1, 1, 1], extent: shape, radius: Int(Int32.max) >> 1)
    tables = basis == .plain ? [] : axes.map { a in
      let n = shape[a], h = spacing[a], t = UnsafeMutablePointer<Double>.allocate(capacity: 3 * n)
      for i in 0..<n {
        let j = i - (n - 1) / 2, sign = j < 0 ? -1.0 : 1
        var c = 1.0, s = 0.0
        switch basis {
        case .plain, .exact:
          // Proportional to k; the Nyquist mode has none.
          t[i] = 2 * j == n ? 0 : Double(j) / (Double(n) * h)
        case .centred:
          ald_fft_root(Int64(abs(j)), Int64(n), &c, &s)
          t[i] = 2 * j == n ? 0 : sign * s / h
        case .staggeredBefore, .staggeredBehind:
          ald_fft_root(Int64(abs(j)), Int64(2 * n), &c, &s)
          t[i] = 2 * (sign * s) / h
          t[n + i] = c
          t[2 * n + i] = basis == .staggeredBehind ? sign * s : -(sign * s)
        }
      }
      return t
    }
  }

  /// Calls `body` with the kernels' view of the row (z, y) of modes from `x` on.
  private func withRow(_ z: Int, _ y: Int, _ x: Int, _ count: Int, _ body: (UnsafePointer<ald_spectral_row>) -> Void) {
    let shifted = basis == .staggeredBefore || basis == .staggeredBehind
    let views = axes.indices.map { c in
      let a = axes[c], n = shape[a], t = tables[c] + (a == 0 ? z : a == 1 ? y : x) + (n - 1) / 2
      return ald_spectral_axis(symbol: t, cosine: shifted ? t + n : nil, sine: shifted ? t + 2 * n : nil, stride: a == 2 ? 1 : 0)
    }
    views.withUnsafeBufferPointer {
      var row = ald_spectral_row(count: Int64(count), components: Int32(axes.count), axis: $0.baseAddress)
      body(&row)
    }
  }

  /// Factors of the modes of a row: unitary numbers per coefficient of the transform.
  private func weigh(_ z: Int, _ y: Int, _ box: Box, _ u: [UnsafeMutablePointer<Double>], inverse: Bool) {
    let cells = Double(shape.product).squareRoot(), two = 2.0.squareRoot()
    let kept = all.range(box, z, y), width = box.shape.x
    // A transform back counts modes between the planes j_x = 0 and n / 2 twice, those on them once.
    let inside = inverse ? 1 / (two * cells) : two / cells, partner = inverse ? two / cells : two / cells, alone = 1 / cells
    let ownZ = z == 0 || 2 * z == shape.z, ownY = y == 0 || 2 * y == shape.y
    func factor(_ x: Int) -> Double {
      let j = box.lower.x + x
      if j > 0 && 2 * j != shape.x { return inside }
      return ownZ && ownY ? alone : partner
    }
    for p in u {
      for i in 0..<2 * kept.lowerBound { p[i] = 0 }
      for x in kept {
        let f = x == 0 || x == width - 1 ? factor(x) : inside
        p[2 * x] *= f; p[2 * x + 1] *= f
      }
      for i in 2 * kept.upperBound..<2 * width { p[i] = 0 }
    }
  }

  /// Numbers times exp(-i pi j / n) along the axes of `phases`, or back: the last step of `forward`.
  public func rotate(_ z: Int, _ y: Int, _ box: Box, _ u: [UnsafeMutablePointer<Double>], back: Bool) {
    if box.isEmpty || phases.allSatisfy({ $0 == nil }) { return }
    var re = 1.0, im = 0.0
    for (a, j) in [(0, z), (1, y)] {
      guard let t = phases[a] else { continue }
      let n = shape[a], c = t[j + (n - 1) / 2], s = t[n + j + (n - 1) / 2], old = re
      re = old * c + im * s
      im = im * c - old * s
    }
    let n = shape.x, cosine = phases[2].map { UnsafePointer($0 + box.lower.x + (n - 1) / 2) }
    for p in u { ald_spectral_rotate(p, Int64(box.shape.x), re, back ? -im : im, cosine, cosine.map { $0 + n }, back ? -1 : 1) }
  }

  /// The row (z, y) of a box of modes, one pointer per component: transform coefficients to unitary numbers in the basis.
  public func forward(_ z: Int, _ y: Int, _ box: Box, _ u: [UnsafeMutablePointer<Double>]) {
    weigh(z, y, box, u, inverse: false)
    if box.isEmpty { return }
    if basis != .plain {
      let pointers = u.map { $0 as UnsafeMutablePointer<Double>? }
      withRow(z, y, box.lower.x, box.shape.x) { row in pointers.withUnsafeBufferPointer { ald_spectral_turn(row, $0.baseAddress!) } }
    }
    rotate(z, y, box, u, back: false)
  }
  /// Numbers in the basis to unitary numbers of the components, at the cells' centres.
  public func unturn(_ z: Int, _ y: Int, _ box: Box, _ a: [UnsafeMutablePointer<Double>]) {
    if box.isEmpty { return }
    rotate(z, y, box, a, back: true)
    if basis == .plain { return }
    let pointers = a.map { $0 as UnsafeMutablePointer<Double>? }
    withRow(z, y, box.lower.x, box.shape.x) { row in pointers.withUnsafeBufferPointer { ald_spectral_unturn(row, $0.baseAddress!) } }
  }
  /// And back, to coefficients whose transform (times nothing) is the field.
  public func backward(_ z: Int, _ y: Int, _ box: Box, _ a: [UnsafeMutablePointer<Double>]) {
    unturn(z, y, box, a)
    weigh(z, y, box, a, inverse: true)
  }
}
