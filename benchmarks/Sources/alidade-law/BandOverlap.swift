import LatentGeometry

/// Overlap of the dominant k-spaces of two sensitivities that are diagonal in the same latents: the share of latents in both sets of k.
///
/// Latents of one band are equal; where a band is cut, a random part of it counts.
struct BandOverlap {
  let rank: Double, count: Double, value: Double
  var chance: Double { rank / count }
  /// (omega - chance)/(1 - chance).
  var corrected: Double { rank < count ? (value - chance) / (1 - chance) : 0 }

  /// - Parameter h, g: whitened eigenvalues by band, `n` latents each.
  /// - Parameter rank: k; default the smaller of the two ranks that hold 90 % of the traces.
  init(_ h: [Double], _ g: [Double], counts n: [Double], rank: Double? = nil) {
    let a = h.indices.sorted { h[$0] > h[$1] }, b = g.indices.sorted { g[$0] > g[$1] }
    func energyRank(_ v: [Double], _ order: [Int]) -> Double {
      let total = zip(v, n).reduce(0) { $0 + $1.0 * $1.1 }
      var sum = 0.0, k = 0.0
      for i in order {
        if sum + v[i] * n[i] >= 0.9 * total { return k + (v[i] > 0 ? (0.9 * total - sum) / v[i] : 0) }
        sum += v[i] * n[i]; k += n[i]
      }
      return k
    }
    let k = max(1, rank ?? min(energyRank(h, a), energyRank(g, b)))
    func shares(_ order: [Int]) -> [Double] {
      var s = [Double](repeating: 0, count: n.count), left = k
      for i in order where n[i] > 0 { s[i] = min(1, left / n[i]); left -= s[i] * n[i]; if left <= 0 { break } }
      return s
    }
    let p = shares(a), q = shares(b)
    self.rank = k; count = n.reduce(0, +)
    value = n.indices.reduce(0) { $0 + n[$1] * p[$1] * q[$1] } / k
  }
}
