import CKernels
import Fields

/// Sums of magnitudes by the frequencies along z, y, x (16 bins each). Integers, so the order of addition does not matter.
public struct BandScaleSums: Sendable, Equatable {
  public var sums = [UInt64](repeating: 0, count: Int(ALD_BAND_SUMS))
  public var counts = [UInt64](repeating: 0, count: Int(ALD_BAND_SUMS))
  public init() {}
}

/// 2^((c - 18) / 2) for every scale code c, without the mathematics library.
private let scaleValues: [Double] = (0..<64).map { c in
  let k = c - Int(ALD_BAND_SCALE_ONE)
  return Double(sign: .plus, exponent: k >> 1, significand: k & 1 == 1 ? 2.0.squareRoot() : 1)
}

extension BandLayout {
  public func addScaleSums(_ q: UnsafePointer<Int32>, side: BandSide, to s: inout BandScaleSums) {
    withShape(side) { shape in
      guard shape.kind == ALD_BANDS_LOT, ald_bands_count(&shape) > 0 else { return }
      if factors.isEmpty { return ald_bands_scale_sums(q, &shape, &s.sums, &s.counts) }
      // Without the factors, in 1/256.
      var weighted = BandScaleSums()
      ald_bands_scale_sums(q, &shape, &weighted.sums, &weighted.counts)
      let m = Int(shape.block_edge)
      for i in weighted.sums.indices where weighted.counts[i] > 0 {
        let band = ((i >> 8) * m / 16 * m + (i >> 4 & 15) * m / 16) * m + (i & 15) * m / 16
        s.sums[i] += UInt64(256 * Double(weighted.sums[i]) * BandWeights.factor(-2 * Int(factors[band])))
        s.counts[i] += 256 * weighted.counts[i]
      }
    }
  }
  /// About one in `every` of the tile's values, at most `limit`, in a fixed pattern. Only the model's scales matter here.
  public func rows(_ q: UnsafePointer<Int32>, side: BandSide, model: BandModel, every: Int = 1, limit: Int = 1 << 20) -> FitRows {
    var r = FitRows(width: BandModel.features, unit: transform == .wavelet ? 1 / 16 : 1 / 1024)
    // The pattern is even: twice the expected number is never reached.
    let coded = codedCount(side), cap = min(limit, coded, 2 * coded / max(1, every) + 1000)
    if cap == 0 { return r }
    r.features = [UInt16](repeating: 0, count: cap * BandModel.features)
    r.groups = [UInt8](repeating: 0, count: cap)
    r.values = [Int32](repeating: 0, count: cap)
    var codes = r.groups
    let n = withShape(side) { s in
      var m = model.kernel
      return ald_bands_features(q, &s, &m, max(1, every), cap, &r.features, &r.groups, &codes, &r.values)
    }
    r.features.removeLast((cap - n) * BandModel.features)
    r.groups.removeLast(cap - n); r.values.removeLast(cap - n)
    if transform != .wavelet { r.scales = codes[..<n].map { scaleValues[Int($0)] } }
    return r
  }
}

extension NormalEquations {
  /// Sums for the weights of a `BandModel`.
  public static func bands() -> NormalEquations { NormalEquations(groups: BandModel.groups, features: BandModel.features) }
}
