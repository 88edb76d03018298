import CKernels
import Fields

/// Sums of magnitudes by the frequencies along z, y, x (16 bins each). Integers, so the order of addition does not matter.
public struct BandScaleSums: Sendable, Equatable {
  public var sums = [UInt64](repeating: 0, count: Int(ALD_BAND_SUMS))
  public var counts = [UInt64](repeating: 0, count: Int(ALD_BAND_SUMS))
  public init() {}
}

/// Rows for the weight fit: neighbour features and the value they should predict.
public struct BandRows: Sendable {
  public internal(set) var features: [UInt16] = []
  public internal(set) var groups: [UInt8] = []
  public internal(set) var scales: [UInt8] = []
  public internal(set) var values: [Int32] = []
  /// Size of one feature unit.
  public let unit: Double
  public var count: Int { values.count }

  /// Adds the rows to the sums of one tile. Fit: rows of the sampled tiles once, then two or three times `add` with the weights so far, `setWeights`.
  public func add(to equations: inout NormalEquations, weights: [Double]?) {
    let b = scales.map { BandRows.scaleValues[Int($0)] }
    equations.add(rows: features, unit: unit, values: values, groups: groups, scales: b, count: count, weights: weights)
  }
  /// 2^((c - 18) / 2) without the mathematics library.
  private static let scaleValues: [Double] = (0..<64).map { c in
    let k = c - Int(ALD_BAND_SCALE_ONE)
    return Double(sign: .plus, exponent: k >> 1, significand: k & 1 == 1 ? 2.0.squareRoot() : 1)
  }
}

extension BandLayout {
  public func addScaleSums(_ q: UnsafePointer<Int32>, side: BandSide, to s: inout BandScaleSums) {
    withShape(side) { shape in
      guard shape.kind == ALD_BANDS_LOT, ald_bands_count(&shape) > 0 else { return }
      ald_bands_scale_sums(q, &shape, &s.sums, &s.counts)
    }
  }
  /// About one in `every` of the tile's values, at most `limit`, in a fixed pattern. Only the model's scales matter here.
  public func rows(_ q: UnsafePointer<Int32>, side: BandSide, model: BandModel, every: Int = 1, limit: Int = 1 << 20) -> BandRows {
    var r = BandRows(unit: transform == .wavelet ? 1 / 16 : 1 / 1024)
    // The pattern is even: twice the expected number is never reached.
    let coded = codedCount(side), cap = min(limit, coded, 2 * coded / max(1, every) + 1000)
    if cap == 0 { return r }
    r.features = [UInt16](repeating: 0, count: cap * BandModel.features)
    r.groups = [UInt8](repeating: 0, count: cap)
    r.scales = r.groups
    r.values = [Int32](repeating: 0, count: cap)
    let n = withShape(side) { s in
      var m = model.kernel
      return ald_bands_features(q, &s, &m, max(1, every), cap, &r.features, &r.groups, &r.scales, &r.values)
    }
    r.features.removeLast((cap - n) * BandModel.features)
    r.groups.removeLast(cap - n); r.scales.removeLast(cap - n); r.values.removeLast(cap - n)
    return r
  }
}

extension NormalEquations {
  /// Sums for the weights of a `BandModel`.
  public static func bands() -> NormalEquations { NormalEquations(groups: BandModel.groups, features: BandModel.features) }
}
