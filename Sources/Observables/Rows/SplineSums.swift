import CKernels
import Statistics

/// Exact sums of the values K of a `Distribution`'s bins over samples of weight 1, many at a time: the bits of `ExactSum.add` of each.
struct SplineSums {
  private(set) var exact: [ExactSum]
  private var setting: ald_spline_bins
  private var pending = 0
  private var levels: [Double], left: [Double], places: [UInt32]

  /// - Parameter count: bins and the four beyond.
  init(minimum: Double, maximum: Double, h: Double, count: Int) {
    exact = [ExactSum](repeating: ExactSum(), count: count)
    setting = ald_spline_bins(minimum: minimum, maximum: maximum, h: h)
    levels = [Double](repeating: 0, count: 12 * count)
    left = [Double](repeating: 0, count: 4 * Int(ALD_SPLINE_SAMPLES))
    places = [UInt32](repeating: 0, count: left.count)
  }

  mutating func add(_ samples: UnsafeBufferPointer<Double>) {
    let most = Int(ALD_SPLINE_SAMPLES)
    for start in stride(from: 0, to: samples.count, by: most) {
      let n = min(most, samples.count - start)
      if pending + n > 1 << 16 { flush() }
      let rest = ald_spline_add(&setting, samples.baseAddress! + start, n, exact.count, &levels, &left, &places)
      for i in 0..<rest { exact[Int(places[i])].add(left[i]) }
      pending += n
    }
  }

  /// Brings everything into `exact`: up to 2^16 samples of a level add without rounding.
  mutating func flush() {
    pending = 0
    for (level, unit) in [0x1p-36, 0x1p-72, 0x1p-108].enumerated() {
      for bin in exact.indices {
        for k in 0..<4 {
          let i = 4 * (level * exact.count + bin) + k
          if levels[i] != 0 { exact[bin + k].add(levels[i] * unit) }
          levels[i] = 0
        }
      }
    }
  }
}
