import Glibc
import MPI

/// How often latents took each value: what their tables are made from, and what the validation costs under them.
struct CodeCounts {
  let latents: Int
  /// Counts of -limit ... limit, what lies beyond at its end; sums of magnitudes; per latent.
  private(set) var counts: [Double], sums: [Double]
  private(set) var patches = 0.0
  static let limit = 127
  private static let values = 2 * limit + 1

  init(latents: Int) {
    self.latents = latents
    counts = [Double](repeating: 0, count: latents * CodeCounts.values)
    sums = [Double](repeating: 0, count: latents)
  }
  /// - Parameter symbols: [patch][latent].
  mutating func add(_ symbols: [Int32]) {
    let l = CodeCounts.limit
    for (i, s) in symbols.enumerated() {
      counts[i % latents * CodeCounts.values + Int(max(Int32(-l), min(Int32(l), s))) + l] += 1
      sums[i % latents] += Double(abs(Int(s)))
    }
    patches += Double(symbols.count / max(1, latents))
  }
  /// - Collective: all ranks.
  mutating func gather(ranks: borrowing Communicator) throws {
    let all = try ranks.allReduce(counts + sums + [patches], .sum)
    (counts, sums) = (Array(all[..<counts.count]), Array(all[counts.count..<(counts.count + latents)]))
    patches = all[all.count - 1]
  }
  /// Mean magnitudes.
  var magnitudes: [Double] { sums.map { patches > 0 ? $0 / patches : 0 } }
  /// Share of patches in which a latent is not 0.
  func activity(_ i: Int) -> Double { patches > 0 ? 1 - counts[i * CodeCounts.values + CodeCounts.limit] / patches : 0 }

  /// Bits of others' values under tables made from these counts and, where they are few, the two-sided geometric distribution of the same mean magnitude.
  ///
  /// What lies beyond the limit costs the logarithm of its excess twice, as in an Elias code.
  func bits(of other: CodeCounts) -> Double {
    let l = CodeCounts.limit, weight = 8.0
    var total = 0.0
    for i in 0..<latents {
      let m = max(magnitudes[i], 1e-4), ratio = ((1 + m * m).squareRoot() - 1) / m
      for k in 0..<CodeCounts.values where other.counts[i * CodeCounts.values + k] > 0 {
        let magnitude = abs(k - l), shape = (1 - ratio) / (1 + ratio) * pow(ratio, Double(magnitude))
        let p = (counts[i * CodeCounts.values + k] + weight * max(shape, 1e-12)) / (patches + weight)
        total += other.counts[i * CodeCounts.values + k] * -log2(p)
      }
      let beyond = other.counts[i * CodeCounts.values] + other.counts[i * CodeCounts.values + 2 * l]
      if beyond > 0 {
        var inside = 0.0
        for k in 1..<2 * l { inside += other.counts[i * CodeCounts.values + k] * Double(abs(k - l)) }
        total += beyond * 2 * log2(max(1, (other.sums[i] - inside) / beyond - Double(l) + 1))
      }
    }
    return total
  }
}
