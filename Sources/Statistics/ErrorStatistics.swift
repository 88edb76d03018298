import Fields

/// What compression did to a field: e = decoded - original over the valid points, tile by tile.
///
/// Every tile is summed in one fixed order of doubles, tiles are added exactly: the same bits for any number of ranks
/// and any order of tiles. Points that are not finite have to be masked; where they are not, `maximumError` is
/// infinite and the sums are not finite.
public struct ErrorStatistics: Mergeable, Equatable {
  public static let binCount = 64

  /// The histogram covers [-scale, scale].
  public let scale: Double
  /// Minimum and range of the original field (all components, valid points): constants of SSIM, nrmse and PSNR.
  public let minimum: Double, range: Double

  public internal(set) var count = 0, maskedCount = 0
  public internal(set) var maximumError = 0.0
  /// Sums of e and e^2.
  public internal(set) var sumError = ExactSum(), sumSquaredError = ExactSum()
  /// Points with e in bin i: floor(32 (e / scale + 1)); e = scale belongs to the last bin.
  public internal(set) var histogram = [Int](repeating: 0, count: binCount)
  /// Points with e < -scale, and with e > scale (or not a number).
  public internal(set) var below = 0, above = 0
  /// Per axis: sum of e e' over pairs of valid neighbours in a tile, and their number.
  public internal(set) var lagSums = [ExactSum](repeating: ExactSum(), count: 3)
  public internal(set) var lagCounts = [0, 0, 0]
  /// Sum of SSIM over windows, and their number.
  public internal(set) var ssimSum = ExactSum()
  public internal(set) var ssimCount = 0
  /// Conserved totals: sums and sums of squares of the original and of the decoded field.
  public internal(set) var originalSum = ExactSum(), decodedSum = ExactSum()
  public internal(set) var originalSquares = ExactSum(), decodedSquares = ExactSum()

  /// - Parameter scale: half the width of the histogram, usually the bound; 0 for lossless.
  /// - Parameter minimum: smallest valid value of the original field, all components.
  /// - Parameter maximum: largest one.
  public init(scale: Double, minimum: Double, maximum: Double) {
    self.scale = scale
    let known = minimum.isFinite && maximum.isFinite && maximum >= minimum
    self.minimum = known ? minimum : 0
    range = known ? maximum - minimum : 0
  }

  public func pack(into message: inout PackedAccumulators) {
    message.appendMaximum(maximumError)
    for c in [count, maskedCount, below, above, ssimCount] + lagCounts + histogram { message.sums.append(Int64(c)) }
    for s in [sumError, sumSquaredError, ssimSum, originalSum, decodedSum, originalSquares, decodedSquares] + lagSums {
      s.pack(into: &message)
    }
  }

  public mutating func unpack(from reader: inout PackedAccumulators.Reader) {
    maximumError = reader.maximum()
    count = Int(reader.sum()); maskedCount = Int(reader.sum()); below = Int(reader.sum()); above = Int(reader.sum())
    ssimCount = Int(reader.sum())
    for i in 0..<3 { lagCounts[i] = Int(reader.sum()) }
    for i in histogram.indices { histogram[i] = Int(reader.sum()) }
    sumError.unpack(from: &reader); sumSquaredError.unpack(from: &reader); ssimSum.unpack(from: &reader)
    originalSum.unpack(from: &reader); decodedSum.unpack(from: &reader)
    originalSquares.unpack(from: &reader); decodedSquares.unpack(from: &reader)
    for i in 0..<3 { lagSums[i].unpack(from: &reader) }
  }
}

/// Derived values; nil where they are not defined.
extension ErrorStatistics {
  /// Mean of e; nil without valid points.
  public var bias: Double? { count > 0 ? finite(sumError.value / Double(count)) : nil }
  public var meanSquaredError: Double? { count > 0 ? finite(sumSquaredError.value / Double(count)) : nil }
  public var rmse: Double? { meanSquaredError.map { $0.squareRoot() } }
  /// rmse / range; nil for a constant field.
  public var nrmse: Double? { range > 0 ? rmse.flatMap { finite($0 / range) } : nil }
  /// 20 log10(range / rmse) in dB; nil if nothing changed, for a constant field, and without valid points.
  public var psnr: Double? { rmse.flatMap { $0 > 0 && range > 0 ? finite(20 * log10(range / $0)) : nil } }
  /// Mean over windows of 8 cells per axis; nil without a whole window, and for a constant field.
  public var ssim: Double? { ssimCount > 0 && range > 0 ? finite(ssimSum.value / Double(ssimCount)) : nil }
  /// Correlation of the errors of neighbours along `axis`; nil for constant errors and without pairs.
  public func autocorrelation(axis: Int) -> Double? {
    guard let m = meanSquaredError, let b = bias, lagCounts[axis] > 0 else { return nil }
    let variance = m - b * b
    guard variance > 0 else { return nil }
    return finite((lagSums[axis].value / Double(lagCounts[axis]) - b * b) / variance)
  }
  private func finite(_ v: Double) -> Double? { v.isFinite ? v : nil }
}
