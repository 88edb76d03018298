import CKernels
import Codecs
import Fields
import MPI

/// Band layouts of the tiles of one transform, from the blocks that lie in them.
final class BandShapes: @unchecked Sendable {
  let member: FieldCoding.Member
  let transform: BandLayout.Transform
  private let starts: [[Int]]

  init(_ member: FieldCoding.Member, grid: Grid) {
    self.member = member
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

  func layout(_ box: Box) throws -> BandLayout {
    guard case .lapped(let edge) = transform else { return try BandLayout(wavelet: box.shape) }
    let inside = (0..<3).map { a in
      starts[a].filter { $0 >= box.lower[a] && $0 < box.upper[a] }.map { Int32($0 - box.lower[a]) }
    }
    return try BandLayout(lapped: box.shape, edge: edge, starts: inside)
  }

  /// Symbols of a quantised tile, and its side information.
  func symbols(_ q: RawArray, _ model: BandModel) -> (Symbols, BandSide, BandLayout) {
    let layout = try! self.layout(q.box)
    let p = UnsafePointer(q.bound(to: Int32.self))
    let side = layout.survey(p)
    let s = Symbols(capacity: max(1, layout.codedCount(side)))
    s.count = layout.symbols(p, side: side, model: model, classes: s.classes, values: s.values)
    return (s, side, layout)
  }

  /// A model for these tiles: scales from all of them, weights from rows of all of them where asked.
  ///
  /// - Parameter probes: which of the tiles decide whether fitted weights pay.
  /// - Parameter share: part of the field the probes are.
  /// - Collective: all ranks.
  func model(fitting tiles: [RawArray], weights: Bool, probes: [Bool] = [], share: Double = 1, threads: Int = 1, ranks: borrowing Communicator) throws -> BandModel {
    var model = BandModel(transform)
    if member != .wavelet97 {
      var sums = BandScaleSums()
      for q in tiles {
        let layout = try self.layout(q.box)
        let p = UnsafePointer(q.bound(to: Int32.self))
        layout.addScaleSums(p, side: layout.survey(p), to: &sums)
      }
      sums.sums = try ranks.allReduce(sums.sums, .sum)
      sums.counts = try ranks.allReduce(sums.counts, .sum)
      model.setScales(sums)
    }
    guard weights else { return model }
    let cells = try ranks.allReduce(tiles.reduce(0) { $0 + $1.count }, .sum)
    let every = max(1, cells / BandShapes.fitRows)
    let fixed = model
    let rows = Slots<BandRows?>(tiles.count, nil)
    parallelFor(tiles.count, threads: threads) { i in
      let layout = try! self.layout(tiles[i].box)
      let p = UnsafePointer(tiles[i].bound(to: Int32.self))
      rows[i] = layout.rows(p, side: layout.survey(p), model: fixed, every: every)
    }
    var current: [Double]?
    for _ in 0..<2 {
      let parts = Slots<NormalEquations?>(tiles.count, nil)
      let weights = current
      parallelFor(tiles.count, threads: threads) { i in
        var e = NormalEquations.bands()
        rows[i]!.add(to: &e, weights: weights)
        parts[i] = e
      }
      model.setWeights(try summed(parts.array.map { $0!.packed }, empty: .bands(), ranks: ranks))
      current = model.realWeights
    }
    // The fit minimises a proxy: take it only where these tiles code in fewer bits, weights included.
    let judged = tiles.indices.filter { probes[$0] }.map { tiles[$0] }
    func bits(_ m: BandModel) throws -> Double {
      let parts = Slots<Symbols?>(judged.count, nil)
      parallelFor(judged.count, threads: threads) { i in parts[i] = symbols(judged[i], m).0 }
      var histogram = [UInt32](repeating: 0, count: histogramSize)
      for i in judged.indices { parts[i]!.add(to: &histogram) }
      return estimatedBits(try reducedHistogram(histogram, ranks: ranks), share: share) + share * 8 * Double(m.serialised.count)
    }
    return try bits(model) < bits(fixed) ? model : fixed
  }

  /// Rows of the weight fit, over all ranks.
  static let fitRows = 32_000
}

/// Adds the equations of all tiles in tile order, whatever rank holds them.
///
/// - Collective: all ranks.
func summed(_ parts: [[Double]], empty: NormalEquations, ranks: borrowing Communicator) throws -> NormalEquations {
  var total = empty
  let bytes = parts.flatMap { $0 }.withUnsafeBytes { Array($0) }
  let n = empty.packed.count
  for list in try ranks.allGather(bytes) {
    list.withUnsafeBytes { raw in
      let values = raw.bindMemory(to: Double.self)
      for start in stride(from: 0, to: values.count, by: n) { total.add(packed: UnsafeBufferPointer(rebasing: values[start..<start + n])) }
    }
  }
  return total
}
