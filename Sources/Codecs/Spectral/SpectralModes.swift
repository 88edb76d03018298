import CKernels
public import Fields

/// The Fourier modes of a real field that are coded, and the chunks they are coded in.
///
/// Indices are signed: j_z and j_y from -(n - 1) / 2 to n / 2, j_x from 0 to n / 2, as a box. The set depends on the global spectrum only.
public struct SpectralModes: Sendable, Equatable {
  /// Extents of the field.
  public let shape: Index3
  /// Wavenumber of index 1 along each axis in units of the smallest one.
  public let metric: [Double]
  /// Largest |index| coded along each axis, and the highest shell.
  public let extent: Index3
  public let radius: Int
  /// Axes whose modes of negative index are coded as mirror images of the others: 1 z, 2 y.
  public let mirrors: UInt8

  /// Lowest and highest index along an axis with |j| <= extent.
  static func indices(_ axis: Int, _ n: Int, _ extent: Int) -> Range<Int> {
    axis == 2 ? 0..<min(extent, n / 2) + 1 : -min(extent, (n - 1) / 2)..<min(extent, n / 2) + 1
  }
  public static func box(_ shape: Index3, extent: Index3) -> Box {
    var b = Box(shape: shape)
    for a in 0..<3 {
      let r = indices(a, shape[a], extent[a])
      b.lower[a] = r.lowerBound; b.upper[a] = r.upperBound
    }
    return b
  }
  /// All modes of a field.
  public static func all(_ shape: Index3) -> Box { box(shape, extent: shape) }

  /// - Parameter spacing: of the cells along z, y, x; positive and finite.
  public static func metric(_ shape: Index3, spacing: [Double]) -> [Double] {
    let lengths = (0..<3).map { Double(shape[$0]) * spacing[$0] }
    let longest = (0..<3).reduce(0.0) { shape[$1] > 1 ? max($0, lengths[$1]) : $0 }
    return (0..<3).map { shape[$0] > 1 ? longest / lengths[$0] : 1 }
  }

  /// - Precondition: radius below 2^30, extents not negative.
  public init(shape: Index3, metric: [Double], extent: Index3, radius: Int, mirrors: UInt8 = 0) {
    self.shape = shape; self.metric = metric; self.extent = extent; self.radius = radius; self.mirrors = mirrors
  }

  public var box: Box { SpectralModes.box(shape, extent: extent) }

  /// Levels of resolution: 0 what a grid of a quarter of the extents can hold, 1 of half of them, 2 all.
  public static let levels = 3
  /// Extents of a level's grid, rounded up.
  public static func coarse(_ shape: Index3, level: Int) -> Index3 {
    let d = 1 << (levels - 1 - level)
    return Index3((shape.z + d - 1) / d, (shape.y + d - 1) / d, (shape.x + d - 1) / d)
  }
  /// The coded modes that the grid of a level holds beside its Nyquist planes.
  public func box(level: Int) -> Box {
    if level == SpectralModes.levels - 1 { return box }
    let m = SpectralModes.coarse(shape, level: level)
    return box.intersection(SpectralModes.box(shape, extent: Index3((m.z - 1) / 2, (m.y - 1) / 2, (m.x - 1) / 2)))
  }

  /// One entropy stream: boxes coded one after another, each by itself or, a mirror image, by the last one that is none.
  public struct Chunk: Sendable, Equatable {
    public var level: Int
    public var boxes: [Box]
    /// Axes on which a box is a mirror image: 1 z, 2 y.
    public var mirrors: [UInt8]
  }

  /// Numbers of a chunk at most, but for the last halving.
  static func chunkNumbers(of all: Int) -> Int { all <= 1 << 23 ? 1 << 16 : 1 << 18 }

  /// Every coded mode once, inner levels first. None where only the mean is left.
  public func chunks(components: Int) -> [Chunk] {
    if radius == 0 { return [] }
    let all = max(2, SpectralModes.chunkNumbers(of: 2 * components * box.count) / (2 * components))
    let limit = max(2, all >> mirrors.nonzeroBitCount)
    var out: [Chunk] = [], inner: Box?
    for level in 0..<SpectralModes.levels {
      let outer = unmirrored(box(level: level))
      var open = 0
      for b in SpectralModes.shell(outer, around: inner).flatMap({ SpectralModes.split($0, limit) }) {
        if open == 0 || open + b.count > limit {
          out.append(Chunk(level: level, boxes: [], mirrors: []))
          open = 0
        }
        for m in 0...mirrors where m & ~mirrors == 0 {
          guard let image = image(b, m) else { continue }
          out[out.count - 1].boxes.append(image)
          out[out.count - 1].mirrors.append(m)
        }
        open += b.count
      }
      inner = outer
    }
    return out
  }
  /// The part of a box that is coded by itself.
  private func unmirrored(_ b: Box) -> Box {
    var b = b
    for a in 0..<2 where mirrors >> a & 1 != 0 { b.lower[a] = max(0, b.lower[a]) }
    return b
  }
  /// Modes of a box with the indices along some axes negated, where both are modes; `nil`: there are none.
  private func image(_ b: Box, _ axes: UInt8) -> Box? {
    var out = b
    for a in 0..<2 where axes >> a & 1 != 0 {
      out.lower[a] = -min(b.upper[a] - 1, (shape[a] - 1) / 2)
      out.upper[a] = 1 - max(b.lower[a], 1)
    }
    return out.isEmpty ? nil : out
  }

  /// `outer` without `inner`: below and above along z, then along y, then x.
  static func shell(_ outer: Box, around inner: Box?) -> [Box] {
    guard let inner else { return [outer] }
    var rest = outer, out: [Box] = []
    for a in 0..<3 {
      var below = rest, above = rest
      below.upper[a] = inner.lower[a]; above.lower[a] = inner.upper[a]
      for b in [below, above] where !b.isEmpty { out.append(b) }
      rest.lower[a] = inner.lower[a]; rest.upper[a] = inner.upper[a]
    }
    return out
  }
  /// Halves along the longest axis (of equal ones the slowest) until there are at most `limit` modes in each.
  static func split(_ b: Box, _ limit: Int) -> [Box] {
    if b.count <= limit { return [b] }
    let n = b.shape, a = n.z >= n.y && n.z >= n.x ? 0 : n.y >= n.x ? 1 : 2
    var low = b, high = b
    low.upper[a] = b.lower[a] + n[a] / 2
    high.lower[a] = low.upper[a]
    return split(low, limit) + split(high, limit)
  }

  public func shell(_ z: Int, _ y: Int, _ x: Int) -> Int { Int(ald_spectral_shell(metric, Int64(z), Int64(y), Int64(x))) }

  /// Of `count` modes of a row from index `x` on, at most `highest`.
  public func shells(_ z: Int, _ y: Int, _ x: Int, _ count: Int, highest: Int, into out: UnsafeMutablePointer<Int32>) {
    ald_spectral_shells(metric, Int64(z), Int64(y), Int64(x), count, Int32(highest), out)
  }

  /// Lends the kernels' view of a box of modes.
  ///
  /// - Parameter scales: `[component][radius + 1]`; empty where no scales are needed.
  /// - Parameter source: the box that `b` mirrors on the axes `mirror`.
  func withPiece<R>(
    _ b: Box, components: Int, scales: [UInt8], symmetries: [UInt8] = [], mirror: UInt8 = 0, source: Box? = nil, _ body: (UnsafePointer<ald_spectral_piece>) -> R
  ) -> R {
    scales.withUnsafeBufferPointer { s in symmetries.withUnsafeBufferPointer { t in
      var p = ald_spectral_piece()
      if !symmetries.isEmpty { p.symmetry = t.baseAddress }
      if let source, mirror != 0 {
        let n = source.shape
        p.mirror = Int32(mirror)
        p.source = (Int64(source.lower.z), Int64(source.lower.y), Int64(source.lower.x))
        p.source_extent = (Int64(n.z), Int64(n.y), Int64(n.x))
      }
      let n = b.shape
      p.lower = (Int64(b.lower.z), Int64(b.lower.y), Int64(b.lower.x))
      p.extent = (Int64(n.z), Int64(n.y), Int64(n.x))
      p.grid = (Int64(shape.z), Int64(shape.y), Int64(shape.x))
      p.metric = (metric[0], metric[1], metric[2])
      p.radius = Int32(radius)
      p.components = Int32(components)
      p.flat = extent.z == 0 ? 1 : 0
      p.scale = s.baseAddress
      return body(&p)
    } }
  }

  /// Of the row (z, y) of `b` the coded positions along x.
  public func range(_ b: Box, _ z: Int, _ y: Int) -> Range<Int> {
    withPiece(b, components: 1, scales: []) { p in
      var first: Int64 = 0, end: Int64 = 0
      ald_spectral_range(p, Int64(z), Int64(y), &first, &end)
      return Int(first)..<Int(end)
    }
  }
  /// Adds magnitudes and numbers of one component on a box of modes to its shells.
  public func addScaleSums(_ q: UnsafePointer<Int32>, _ b: Box, _ sums: inout [UInt64], _ counts: inout [UInt64]) {
    precondition(sums.count > radius && counts.count > radius)
    withPiece(b, components: 1, scales: []) { ald_spectral_scale_sums(q, $0, &sums, &counts) }
  }
  /// Raises an extent and a radius to the non-zero numbers of one component on a box of modes.
  public func raise(_ extent: inout Index3, _ radius: inout Int, _ q: UnsafePointer<Int32>, _ b: Box) {
    var e = [Int64(extent.z), Int64(extent.y), Int64(extent.x)], r = Int64(radius)
    withPiece(b, components: 1, scales: []) { ald_spectral_extent(q, $0, &e, &r) }
    extent = Index3(Int(e[0]), Int(e[1]), Int(e[2])); radius = Int(r)
  }
}
