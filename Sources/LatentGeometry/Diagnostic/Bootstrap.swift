import Fields
import Observables
import Statistics

/// A value with its 95 % confidence interval.
public struct Interval: Equatable, Sendable {
  public var value: Double, lower: Double, upper: Double
  public init(value: Double, lower: Double, upper: Double) { self.value = value; self.lower = lower; self.upper = upper }
  /// Without a spread.
  public init(_ v: Double) { self.init(value: v, lower: v, upper: v) }
}

/// Percentile bootstrap over units (snapshots, or super-blocks of at least two integral lengths; neighbouring tiles are correlated).
///
/// Replica b counts unit t Poisson(1) times, drawn by (seed, b, global number of t), so nothing depends on who holds the unit.
public struct Bootstrap: Sendable {
  public let replicas: Int, seed: UInt64
  public init(replicas: Int = 2000, seed: UInt64) { self.replicas = replicas; self.seed = seed }

  /// - Parameter units: numbers of each unit that this participant holds, keyed by its global number; each unit on one participant.
  /// - Parameter statistics: from the weighted sums of the units' numbers.
  /// - Returns: one interval per statistic, 2.5 to 97.5 %; the value is that of all units counted once. A replica without units is left out,
  ///   as are statistics that are not finite.
  /// - Collective: all participants.
  public func intervals(_ units: [Int: [Double]], reducer: any Reducer, statistics: ([Double]) throws -> [Double]) throws -> [Interval] {
    let length = try Int(reducer.merged(Extremes(maxima: [Double(units.values.first?.count ?? 0)])).maxima[0])
    let mine = units.sorted { $0.key < $1.key }.flatMap { [Double($0.key)] + $0.value }
    let all = try reducer.gathered(mine).joined().map { $0 }
    var table: [(Int, ArraySlice<Double>)] = stride(from: 0, to: all.count, by: length + 1).map { (Int(all[$0]), all[($0 + 1)..<($0 + 1 + length)]) }
    table.sort { $0.0 < $1.0 }
    func sums(_ weights: [Int]) -> [Double]? {
      var s = [Double](repeating: 0, count: length), any = false
      for ((_, v), weight) in zip(table, weights) {
        let w = Double(weight)
        if w == 0 { continue }
        any = true
        for (i, x) in zip(s.indices, v) { s[i] += w * x }
      }
      return any ? s : nil
    }
    let whole = try statistics(sums(table.map { _ in 1 }) ?? [Double](repeating: 0, count: length))
    var samples = [[Double]](repeating: [], count: whole.count), known: [[Int]: [Double]] = [:]
    for b in 0..<replicas {
      let random = CounterRandom(seed: seed, stream: 7 << 32 | UInt64(b))
      let weights = table.map { random.poisson($0.0) }
      // Few units give few different replicas.
      let found = try known[weights] ?? sums(weights).map(statistics)
      guard let found else { continue }
      known[weights] = found
      for (i, v) in found.enumerated() where v.isFinite { samples[i].append(v) }
    }
    return zip(whole, samples).map { v, s in
      let sorted = s.sorted()
      func quantile(_ p: Double) -> Double { sorted.isEmpty ? v : sorted[min(sorted.count - 1, Int(p * Double(sorted.count)))] }
      return Interval(value: v, lower: quantile(0.025), upper: quantile(0.975))
    }
  }
}

/// The sensitivities of each super-block projected on a common basis of q vectors: what overlaps of averaged sensitivities are resampled from.
public struct ProjectedBlocks: Sendable {
  /// Q^T G_D,t Q and Q^T G_P,t Q by block number; the sums over blocks are Q^T G Q. The same on all participants.
  public let distortion: [DenseMatrix], observable: [DenseMatrix]

  /// Of a field observable: block t takes the cells of the field and of the observable inside its box.
  ///
  /// - Parameter basis: orthonormal vectors of latents, each with `whitening` to be multiplied on before the sensitivities.
  /// - Parameter blocks: boxes that cover the grid, disjoint, the same list on all participants.
  /// - Complexity: 2 q tangents, two Gram matrices per block.
  /// - Collective: all participants.
  public init(_ s: Sensitivities, basis: [Flat], whitening: Flat, blocks: [Box]) throws {
    precondition(!s.isVector)
    let fields = try basis.map { try s.weightedField(product(whitening, $0)) }
    let values = try basis.map { z -> FieldParts in
      guard case .field(let p) = try s.weightedValue(product(whitening, z)) else { preconditionFailure("isVector") }
      return p
    }
    func cut(_ parts: FieldParts, _ block: Box) -> Flat {
      parts.flatMap { p -> Flat in
        let b = p.box.intersection(block)
        if b.isEmpty { return [] }
        return LatentSpace(boxes: [b], count: 0, reducer: s.domain).vector { p.values[p.box.offset(of: $1)] }
      }
    }
    distortion = try blocks.map { b in let c = fields.map { cut($0, b) }; return try InnerProducts.gram(c, c, symmetric: true, reducer: s.domain) }
    observable = try blocks.map { b in let c = values.map { cut($0, b) }; return try InnerProducts.gram(c, c, symmetric: true, reducer: s.domain) }
  }
  public init(distortion: [DenseMatrix], observable: [DenseMatrix]) { self.distortion = distortion; self.observable = observable }

  /// omega_k of the averaged sensitivities and the mean over blocks of each block's omega_k, inside the basis.
  /// - Returns: (averaged, mean over blocks); both with their intervals.
  public func overlaps(rank k: Int, bootstrap: Bootstrap) throws -> (averaged: Interval, mean: Interval) {
    let q = distortion[0].rows
    func overlap(_ d: DenseMatrix, _ p: DenseMatrix) throws -> Double {
      let u = try d.eigen().vectors.columns(0..<k), v = try p.eigen().vectors.columns(0..<k)
      return Overlap.overlap(u.transposed * v, k, k)
    }
    var units: [Int: [Double]] = [:]
    for t in distortion.indices { units[t] = try distortion[t].values + observable[t].values + [overlap(distortion[t], observable[t]), 1] }
    let all = try bootstrap.intervals(units, reducer: SoleReducer()) { s in
      let d = DenseMatrix(rows: q, columns: q, Array(s[..<(q * q)])), p = DenseMatrix(rows: q, columns: q, Array(s[(q * q)..<(2 * q * q)]))
      return try [overlap(d, p), s[2 * q * q] / s[2 * q * q + 1]]
    }
    return (all[0], all[1])
  }
}

extension Sensitivities {
  /// Overlap of the dominant k-spaces of G_D and G_P with intervals from resampled blocks of the grid.
  ///
  /// - Parameter whitening: prior deviation of each latent.
  /// - Parameter blocks: boxes that cover the grid, disjoint, at least two integral lengths wide; the same on all participants.
  /// - Returns: overlap of the averaged sensitivities, and the mean of the blocks' overlaps, both within the spaces found.
  /// - Collective: all participants.
  public func overlapIntervals(rank k: Int, whitening: Flat, blocks: [Box], seed: UInt64, bootstrap: Bootstrap) throws
    -> (averaged: Interval, mean: Interval) {
    func space(_ stream: UInt64, _ g: (Flat) throws -> Flat) throws -> [Flat] {
      try latents.dominant(rank: k, seed: seed, stream: stream, iterations: 40) { try product(whitening, g(product(whitening, $0))) }.vectors
    }
    let basis = try latents.orthonormalised(space(11, distortion) + space(12, observable), seed: seed).columns
    return try ProjectedBlocks(self, basis: basis, whitening: whitening, blocks: blocks).overlaps(rank: k, bootstrap: bootstrap)
  }
}
