import CKernels
public import Fields
import Glibc

/// Sums of products over the coefficients of each triple of the finest bins: the same for any order and grouping of the tiles.
///
/// Fixed point with four limbs of 31 bits below `scale`, in which tiles are added as integers.
public struct PredictionSums: Sendable {
  private static let limbs = 4, radix = 0x1p31
  public let bins: PredictionBins
  public let components: Int
  private let scale: Double
  /// `[component][triple][sum][limb]`; to be added over all ranks.
  public var integers: [Int]

  /// - Parameter magnitude: No coefficient of the step or its references is larger.
  /// - Parameter cells: No tile has more.
  public init(_ bins: PredictionBins, components: Int, magnitude: Double, cells: Int) {
    self.bins = bins; self.components = components
    // Of a - b, up to twice as large; a power of two.
    scale = Double(sign: .plus, exponent: 2 * max(magnitude, .leastNormalMagnitude).exponent + 6 + (Int.bitWidth - cells.leadingZeroBitCount), significand: 1)
    integers = [Int](repeating: 0, count: components * bins.counts.product * Int(ALD_PREDICT_SUMS) * PredictionSums.limbs)
  }

  /// Adds the sums of a tile (`PredictionBins.sums`).
  public mutating func add(_ tile: [Double], component: Int) {
    let inverse = 1 / scale
    integers.withUnsafeMutableBufferPointer { out in
      var at = component * tile.count * PredictionSums.limbs
      for s in tile {
        var rest = min(max(s * inverse, -1), 1)
        for k in 0..<PredictionSums.limbs {
          rest *= PredictionSums.radix
          let whole = Int(rest)
          out[at + k] += whole
          rest -= Double(whole)
        }
        at += PredictionSums.limbs
      }
    }
  }

  /// `[triple][sum]` of a component.
  func values(component: Int) -> [Double] {
    let n = bins.counts.product * Int(ALD_PREDICT_SUMS), first = component * n
    return (first..<first + n).map { i in
      var v = 0.0
      for k in stride(from: PredictionSums.limbs - 1, through: 0, by: -1) { v = (v + Double(integers[i * PredictionSums.limbs + k])) / PredictionSums.radix }
      return v * scale
    }
  }
}

extension PredictionGains {
  /// The gains that take the fewest bits, their own included: least squares per group on coarser and finer bins, in coarser and finer units.
  ///
  /// A group of n coefficients of variance v takes about n/2 log2(1 + 12 v / step^2) bits.
  /// - Parameter sums: Over the whole field, on the finest bins.
  public static func fitted(
    _ sums: PredictionSums, _ member: FieldCoding.Member, grid: Grid, references: Int, step: Double
  ) -> (gains: PredictionGains, bins: PredictionBins) {
    let values = (0..<sums.components).map { sums.values(component: $0) }
    var best: (gains: PredictionGains, bins: PredictionBins)?, least = Double.infinity
    for level in 0...PredictionBins.finestLevel(member, grid) {
      let bins = PredictionBins(member, grid: grid, level: level)
      let groups = values.map { bins.merged($0, of: sums.bins, grid) }
      for precision in precisions {
        var bits = 0.0
        var gain: [[Int]] = [], trend: [[Int]] = []
        for component in groups {
          let solved = component.map { $0.solved(precision, references: references, step: step) }
          gain.append(solved.map(\.gain))
          if references > 1 { trend.append(solved.map(\.trend)) }
          bits += zip(component, solved).reduce(0) { $0 + $1.0.bits($1.1.energy, step) }
        }
        let gains = PredictionGains(level: level, precision: precision, gain: gain, trend: trend)
        // A bit of every gain fits noise.
        bits += gains.estimatedBits(bins) + Double(bins.groups * sums.components * references)
        if bits < least { least = bits; best = (gains, bins) }
      }
    }
    return best!
  }
}

/// Sums of products over the coefficients of a group.
private struct GroupSums {
  var count = 0.0, cc = 0.0, ca = 0.0, aa = 0.0, cd = 0.0, ad = 0.0, dd = 0.0

  func bits(_ energy: Double, _ step: Double) -> Double {
    count > 0 ? count / 2 * log2(1 + 12 * max(energy, 0) / (count * step * step)) : 0
  }

  /// Least squares in units, the trend rounded first, and the energy that is left.
  func solved(_ precision: Int, references: Int, step: Double) -> (gain: Int, trend: Int, energy: Double) {
    guard count > 0 else { return (1 << precision, 0, 0) }
    // Where the references hold nothing there is nothing to share.
    let ridge = 1e-4 * count * step * step, u = PredictionGains.unit(precision), p = PredictionGains.trendPrecision(precision), v = PredictionGains.unit(p)
    func rounded(_ x: Double, _ unit: Double, _ precision: Int) -> Int {
      let limit = PredictionGains.largest << precision
      return Int(min(max((x / unit).rounded(), -Double(limit)), Double(limit)))
    }
    var t = 0
    if references > 1 {
      let a = aa + ridge, d = dd + ridge, determinant = a * d - ad * ad
      t = rounded((cd * a - ca * ad) / determinant, v, p)
    }
    let y = Double(t) * v, g = rounded((ca - y * ad) / (aa + ridge), u, precision), x = Double(g) * u
    return (g, t, cc - 2 * x * ca - 2 * y * cd + x * x * aa + 2 * x * y * ad + y * y * dd)
  }
}

extension PredictionBins {
  /// The finest bins whose groups hold enough coefficients to tell their gains.
  public static func finestLevel(_ member: FieldCoding.Member, _ grid: Grid) -> Int {
    if member.blockEdge == nil { return 0 }
    return (1..<levels).last { grid.count >= 64 * PredictionBins(member, grid: grid, level: $0).groups } ?? 0
  }

  /// Sums on finer bins, added by group.
  fileprivate func merged(_ values: [Double], of fine: PredictionBins, _ grid: Grid) -> [GroupSums] {
    // Where each finer bin goes, and how many positions it has.
    let places = (0..<3).map { a in
      var to = [Int](repeating: 0, count: fine.counts[a]), n = [Double](repeating: 0, count: fine.counts[a])
      for i in 0..<grid.shape[a] { to[Int(fine.bins[a][i])] = Int(bins[a][i]); n[Int(fine.bins[a][i])] += 1 }
      return (to: to, n: n)
    }
    var out = [GroupSums](repeating: GroupSums(), count: groups), at = 0
    for z in 0..<fine.counts.z { for y in 0..<fine.counts.y { for x in 0..<fine.counts.x {
      let g = group[(places[0].to[z] * counts.y + places[1].to[y]) * counts.x + places[2].to[x]]
      out[g].count += places[0].n[z] * places[1].n[y] * places[2].n[x]
      out[g].cc += values[at]; out[g].ca += values[at + 1]; out[g].aa += values[at + 2]
      out[g].cd += values[at + 3]; out[g].ad += values[at + 4]; out[g].dd += values[at + 5]
      at += Int(ALD_PREDICT_SUMS)
    } } }
    return out
  }
}
