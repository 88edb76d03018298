/// Independent estimates of a band spectrum, one per probe or super-block: what its intervals are resampled from.
public struct BandSamples: Equatable, Sendable {
  /// g and variance per sample and band; empty: known, not sampled.
  public var sensitivities: [[Double]], variances: [[Double]]
  /// Latents of each band in each sample; empty: as many in all.
  public var counts: [[Double]]
  public init(sensitivities: [[Double]] = [], variances: [[Double]] = [], counts: [[Double]] = []) {
    self.sensitivities = sensitivities; self.variances = variances; self.counts = counts
  }
  public var number: Int { max(sensitivities.count, variances.count) }

  /// Numbers of each sample, to be summed with the weights of a replica.
  public var units: [Int: [Double]] {
    Dictionary(uniqueKeysWithValues: (0..<number).map { t in
      let n = counts.isEmpty ? (sensitivities.first ?? variances[0]).map { _ in 1.0 } : counts[t]
      return (t, n + [sensitivities, variances].filter { !$0.isEmpty }.flatMap { zip(n, $0[t]).map { $0 * $1 } })
    })
  }
  /// The bands of a replica from those sums: means over its latents; what no sample of it saw stays as it is in `bands`.
  public func resampled(_ sums: [Double], _ bands: BandSpectrum) -> BandSpectrum {
    let size = bands.bands.count, g = sensitivities.isEmpty ? nil : size, v = variances.isEmpty ? nil : sensitivities.isEmpty ? size : 2 * size
    return BandSpectrum(bands.bands.enumerated().map { i, band in
      func mean(_ first: Int?, _ known: Double) -> Double { first.map { sums[i] > 0 ? sums[$0 + i] / sums[i] : known } ?? known }
      return .init(sensitivity: mean(g, band.sensitivity), count: band.count, variance: mean(v, band.variance))
    })
  }
}
