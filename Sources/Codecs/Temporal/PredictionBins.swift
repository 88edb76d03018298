import CKernels
public import Fields

/// Which coefficients of a transform share their gains: a bin per axis from the position on the global grid, and a group from the
/// three bins.
///
/// Lapped transforms: bins of frequencies, finer with the level; every triple of bins is a group. Wavelet: bins by the power of two
/// in the position; groups are the 22 sub-bands.
public struct PredictionBins: Sendable, Equatable {
  public static let levels = 3
  /// Bins of each axis.
  public let counts: Index3
  /// Bin of every position along z, y, x.
  let bins: [[UInt8]]
  /// Group of every triple of bins.
  public let group: [Int]
  /// Number of groups.
  public let groups: Int

  /// First frequencies of the bins of blocks of 16, by level; 8: as far as they go.
  private static let starts: [[Int]] = [[0, 1, 2, 4, 8], [0, 1, 2, 3, 4, 6, 8, 12], Array(0..<16)]

  /// - Parameter level: 0, 1 or 2; all the same for the wavelet.
  public init(_ member: FieldCoding.Member, grid: Grid, level: Int) {
    precondition((0..<PredictionBins.levels).contains(level))
    let bins: [[UInt8]]
    if let edge = member.blockEdge {
      let transform = LappedOrthogonalTransform(blockEdge: edge, grid: grid), starts = PredictionBins.starts[level]
      bins = (0..<3).map { a in BandWeights.bands(transform, axis: a).map { f in UInt8(starts.lastIndex { $0 <= f }!) } }
    } else {
      bins = (0..<3).map { a in (0..<grid.shape[a]).map { UInt8($0 == 0 ? 3 : min(3, $0.trailingZeroBitCount)) } }
    }
    self.bins = bins
    let n = (0..<3).map { Int(bins[$0].max() ?? 0) + 1 }
    counts = Index3(n[0], n[1], n[2])
    if member.blockEdge != nil {
      groups = counts.product
      group = Array(0..<groups)
    } else {
      // Coarse to fine, so that a group can be predicted from those before.
      var list: [Int] = []
      for z in 0..<n[0] { for y in 0..<n[1] { for x in 0..<n[2] {
        let level = min(z, y, x)
        list.append(level == 3 ? 0 : 7 * (2 - level) + (z == level ? 1 : 0) + (y == level ? 2 : 0) + (x == level ? 4 : 0))
      } } }
      group = list
      groups = 22
    }
  }

  /// Calls `body` with the C description of a tile and gains by group.
  func withKernel(_ box: Box, gain: [Float], trend: [Float], _ body: (UnsafePointer<ald_prediction>) -> Void) {
    let n = box.shape
    bins[0].withUnsafeBufferPointer { z in bins[1].withUnsafeBufferPointer { y in bins[2].withUnsafeBufferPointer { x in
      gain.withUnsafeBufferPointer { g in trend.withUnsafeBufferPointer { t in
        var k = ald_prediction(
          n: (Int32(n.z), Int32(n.y), Int32(n.x)), bin: (z.baseAddress! + box.lower.z, y.baseAddress! + box.lower.y, x.baseAddress! + box.lower.x),
          bins: (Int32(counts.z), Int32(counts.y), Int32(counts.x)), gain: g.baseAddress, trend: t.baseAddress)
        body(&k)
      } }
    } } }
  }

  /// Products of sums over one tile, `PredictionSums.perGroup` per triple of bins; see `ald_predict_sums_f32`.
  public func sums(_ c: RawArray, _ references: [RawArray]) -> [Double] {
    var s = [Double](repeating: 0, count: counts.product * Int(ALD_PREDICT_SUMS))
    if c.count == 0 { return s }
    withKernel(c.box, gain: [], trend: []) { k in
      let a = references[0], b = references.count > 1 ? references[1] : nil
      if c.elementSize == 4 { ald_predict_sums_f32(k, c.bound(to: Float.self), a.bound(to: Float.self), b?.bound(to: Float.self), &s) } else {
        ald_predict_sums_f64(k, c.bound(to: Double.self), a.bound(to: Double.self), b?.bound(to: Double.self), &s)
      }
    }
    return s
  }
}

/// Gains ready for use.
public struct Predictor: Sendable {
  private let bins: PredictionBins
  /// `[component][bin z][bin y][bin x]`
  private let gain: [[Float]], trend: [[Float]]

  /// - Precondition: the gains are those of these bins.
  public init(_ gains: PredictionGains, _ bins: PredictionBins) {
    self.bins = bins
    func spread(_ t: [Int], _ unit: Double) -> [Float] { bins.group.map { Float(Double(t[$0]) * unit) } }
    gain = gains.gain.map { spread($0, gains.gainUnit) }
    trend = gains.trend.map { spread($0, gains.trendUnit) }
  }

  /// Coefficients of a tile less their prediction, in place.
  ///
  /// - Parameter references: one or two arrays on the box of `c`, the newest first.
  public func subtract(from c: RawArray, component: Int, _ references: [RawArray]) { run(c, component, references, ald_predict_subtract_f32, ald_predict_subtract_f64) }
  /// The inverse.
  public func add(to c: RawArray, component: Int, _ references: [RawArray]) { run(c, component, references, ald_predict_add_f32, ald_predict_add_f64) }

  private func run(
    _ c: RawArray, _ component: Int, _ references: [RawArray],
    _ single: (UnsafePointer<ald_prediction>?, UnsafePointer<Float>?, UnsafePointer<Float>?, UnsafeMutablePointer<Float>?) -> Void,
    _ double: (UnsafePointer<ald_prediction>?, UnsafePointer<Double>?, UnsafePointer<Double>?, UnsafeMutablePointer<Double>?) -> Void
  ) {
    if c.count == 0 { return }
    let a = references[0], b = references.count > 1 ? references[1] : nil
    bins.withKernel(c.box, gain: gain[component], trend: trend.isEmpty ? [] : trend[component]) { k in
      if c.elementSize == 4 { single(k, a.bound(to: Float.self), b?.bound(to: Float.self), c.bound(to: Float.self)) } else {
        double(k, a.bound(to: Double.self), b?.bound(to: Double.self), c.bound(to: Double.self))
      }
    }
  }
}
