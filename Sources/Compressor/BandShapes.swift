import CKernels
import Codecs
import Fields
import MPI

/// Band layouts of the tiles of one transform, from the blocks that lie in them.
final class BandShapes: @unchecked Sendable {
  let member: FieldCoding.Member
  let transform: BandLayout.Transform
  private let starts: [[Int]]
  /// By component, or one for all; none where all bands have one step.
  private let factors: [[UInt8]]

  init(_ member: FieldCoding.Member, grid: Grid, weights: BandWeights? = nil) {
    self.member = member
    factors = weights.map { w in w.tables.indices.map { w.contextFactors(component: $0) } } ?? []
    switch member {
    case .lapped16, .lapped8:
      let edge = member == .lapped16 ? 16 : 8
      transform = .lapped(edge: edge)
      let t = LappedOrthogonalTransform(blockEdge: edge, grid: grid)
      starts = (0..<3).map { t.blockStarts(axis: $0) }
    default:
      transform = .wavelet
      starts = []
    }
  }

  func layout(_ box: Box, component: Int) throws -> BandLayout {
    guard case .lapped(let edge) = transform else { return try BandLayout(wavelet: box.shape) }
    let inside = (0..<3).map { a in
      starts[a].filter { $0 >= box.lower[a] && $0 < box.upper[a] }.map { Int32($0 - box.lower[a]) }
    }
    return try BandLayout(
      lapped: box.shape, edge: edge, starts: inside, factors: factors.isEmpty ? [] : factors[factors.count == 1 ? 0 : component])
  }

  /// Symbols of a quantised tile, and its side information.
  func symbols(_ q: RawArray, component: Int, _ model: BandModel) -> (Symbols, BandSide, BandLayout) {
    let layout = try! self.layout(q.box, component: component)
    let p = UnsafePointer(q.bound(to: Int32.self))
    let side = layout.survey(p)
    let s = Symbols(capacity: max(1, layout.codedCount(side)))
    s.count = layout.symbols(p, side: side, model: model, classes: s.classes, values: s.values)
    return (s, side, layout)
  }

  /// A model whose scales are those of these tiles.
  ///
  /// - Collective: all ranks.
  func model(of tiles: [(q: RawArray, component: Int)], ranks: borrowing Communicator) throws -> BandModel {
    var model = BandModel(transform)
    guard member != .wavelet97 else { return model }
    var sums = BandScaleSums()
    for (q, component) in tiles {
      let layout = try self.layout(q.box, component: component)
      let p = UnsafePointer(q.bound(to: Int32.self))
      layout.addScaleSums(p, side: layout.survey(p), to: &sums)
    }
    sums.sums = try ranks.allReduce(sums.sums, .sum)
    sums.counts = try ranks.allReduce(sums.counts, .sum)
    model.setScales(sums)
    return model
  }

  /// Weights fitted to rows of these tiles; those of `fixed` where that does not pay for its bytes.
  ///
  /// - Parameter values: how many the field has.
  /// - Collective: all ranks.
  func fit(_ tiles: [(q: RawArray, component: Int)], fixed: BandModel, values: Int, threads: Int, ranks: borrowing Communicator) throws -> BandModel {
    let cells = try ranks.allReduce(tiles.reduce(0) { $0 + $1.q.count }, .sum)
    let every = max(1, cells / BandShapes.fitRows)
    let rows = Slots<FitRows?>(tiles.count, nil)
    parallelFor(tiles.count, threads: threads) { i in
      let (q, component) = tiles[i]
      let layout = try! self.layout(q.box, component: component)
      let p = UnsafePointer(q.bound(to: Int32.self))
      rows[i] = layout.rows(p, side: layout.survey(p), model: fixed, every: every)
    }
    var model = fixed
    let all = rows.array.map { $0! }
    model.setWeights(try equations(all, like: .bands(), weights: fixed.realWeights, ranks: ranks))
    let share = Double(cells / every) / Double(max(1, values))
    let before = try rowBits(all, weights: fixed.realWeights, share: share, bytes: fixed.serialised.count, ranks: ranks)
    let after = try rowBits(all, weights: model.realWeights, share: share, bytes: model.serialised.count, ranks: ranks)
    return after < before ? model : fixed
  }

  /// Rows of the weight fit, over all ranks.
  static let fitRows = 10_000
}

/// The sums of one round of a weight fit, rows of one tile after those of another, whatever rank holds them.
///
/// - Collective: all ranks.
func equations(
  _ rows: [FitRows], like empty: NormalEquations, weights: [Double]?, steep: Bool = false, ranks: borrowing Communicator
) throws -> NormalEquations {
  let parts = rows.map { r in
    var e = empty
    e.add(r, weights: weights, steep: steep)
    return e.packed
  }
  return try summed(parts, empty: empty, ranks: ranks)
}

/// Bits of the rows' values under weights, and this sample's share of a model of so many bytes: a fit minimises a proxy.
///
/// - Collective: all ranks.
func rowBits(_ rows: [FitRows], weights: [Double], share: Double, bytes: Int, ranks: borrowing Communicator) throws -> Double {
  var histogram = [UInt32](repeating: 0, count: histogramSize)
  for r in rows { r.count(weights: weights, into: &histogram) }
  return estimatedBits(try reducedHistogram(histogram, ranks: ranks), share: share) + share * 8 * Double(bytes)
}

/// Adds the equations of all tiles in tile order, whatever rank holds them.
///
/// - Collective: all ranks.
func summed(_ parts: [[Double]], empty: NormalEquations, ranks: borrowing Communicator) throws -> NormalEquations {
  var total = empty
  let n = empty.packed.count
  // Ranks hold the tiles in order, so theirs one after the other are all of them.
  try ranks.merged(parts.flatMap { $0 }.withUnsafeBytes { Array($0) }) { $0 + $1 }.withUnsafeBytes { raw in
    let values = raw.bindMemory(to: Double.self)
    for start in stride(from: 0, to: values.count, by: n) { total.add(packed: UnsafeBufferPointer(rebasing: values[start..<start + n])) }
  }
  return total
}
