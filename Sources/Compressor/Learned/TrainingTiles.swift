package import Codecs
import Decomposition
package import Fields
import Glibc
package import MPI

/// Blocks of a field as a tile codec decodes them, beside the original values: what networks are trained on.
package struct TrainingTiles {
  /// Cells of a block, the same for all: whole patches.
  package let extents: Index3
  /// Blocks of the whole field.
  package let total: Int
  /// Numbers of this rank's blocks among them, ascending.
  package private(set) var numbers: [Int] = []
  /// Per block of this rank [component][z][y][x], over the step: decoded values with `Network.Shape.radius` patches of margin, original ones without.
  package private(set) var decoded: [[Float]] = [], original: [[Float]] = []
  /// What the codec did: the step, bits per value of the whole field and its PSNR.
  package let step: Double, bits: Double, psnr: Double
  /// Sums of this rank for the linear layer.
  package private(set) var fit: LinearFit

  /// Largest blocks, by the number of axes.
  private static let edges = [2: 128, 3: 32]

  /// Codes the field without a network by a tile transform.
  ///
  /// - Parameter every: of every so many patches per axis one is taken for `fit`.
  /// - Throws: `Failure(.usage)`, on all ranks: no transform was chosen, or the shape does not suit the field.
  /// - Collective: all ranks.
  package init(_ source: FieldSource, bound: ErrorBound, shape: Network.Shape, every: Int, threads: Int, ranks: borrowing Communicator) throws {
    let grid = source.grid, parts = source.components
    guard shape.suits(grid, components: parts) else {
      throw Failure(.usage, "\(source.name) has \(parts) components on \(grid.shape), the network takes \(shape.components) in \(shape.dimensions) dimensions")
    }
    let encoder = try FieldEncoder(source, bound: bound, threads: threads, check: false, phases: PhaseClock(), ranks: ranks)
    encoder.globalTransforms = false
    encoder.keepDecoded()
    let encoded = try encoder.encode(ranks: ranks)
    guard encoded.coding.step > 0, !encoded.coding.logarithmic, encoded.coding.member != .interpolation else {
      throw Failure(.usage, "\(source.name) at \(bound.kind) \(bound.value) is coded by \(encoded.coding.member.name): networks learn from transforms only")
    }
    step = encoded.coding.step
    bits = 8 * Double(encoder.storedBytes(encoded)) / Double(max(1, encoder.survey.valid))
    psnr = encoded.fieldPSNR
    let layout = encoder.layout, margin = Index3(shape.dimensions == 3 ? shape.radius * shape.patch : 0, shape.radius * shape.patch, shape.radius * shape.patch)
    var e = Index3(1, 1, 1)
    for a in (3 - shape.dimensions)..<3 { e[a] = min(TrainingTiles.edges[shape.dimensions]!, min(layout.tiles.edge[a], grid.shape[a])) / shape.patch * shape.patch }
    extents = e
    func blocks(_ t: Int) -> [Box] {
      let b = layout.tiles.box(t), n = (b.shape.z / e.z, b.shape.y / e.y, b.shape.x / e.x)
      return (0..<n.0 * n.1 * n.2).map { i in
        let lower = b.lower + Index3(i / (n.1 * n.2) * e.z, i / n.2 % n.1 * e.y, i % n.2 * e.x)
        return Box(lower: lower, upper: lower + e)
      }
    }
    var before = [0]
    for t in 0..<layout.tiles.count { before.append(before[t] + blocks(t).count) }
    total = before[layout.tiles.count]
    fit = LinearFit(shape)
    let wide = layout.regions.map { $0.box.dilated(by: shape.reach, in: grid) }, first = layout.units.lowerBound
    let have = layout.mine.map { layout.tiles.box($0) }
    let values = try Surroundings(
      have: have, arrays: (0..<parts).map { c in layout.mine.map { encoder.decoded![$0 * parts + c - first]! } }, elementSize: source.type.size, wanted: wide,
      grid: grid, ranks: ranks)
    let originals = try Surroundings(have: source.boxes, arrays: source.arrays, elementSize: source.type.size, wanted: layout.regions.map(\.box), grid: grid, ranks: ranks)
    for round in 0..<layout.rounds {
      let region = round < layout.regions.count ? layout.regions[round] : nil
      var w: [RawArray] = [], x: [RawArray] = []
      try values.forEachComponent(of: region.map { _ in wide[round] }, ranks: ranks) { _, m in w.append(m.cells(of: wide[round])) }
      try originals.forEachComponent(of: region?.box, ranks: ranks) { _, m in x.append(m.array(holding: region!.box)) }
      guard let region else { continue }
      for t in region.tiles { for (i, box) in blocks(t).enumerated() {
        numbers.append(before[t] + i)
        let outer = Box(lower: box.lower - margin, upper: box.upper + margin)
        decoded.append(w.flatMap { scaled($0, outer) })
        original.append(x.flatMap { scaled($0, box) })
        let errors = zip(x, w).map { difference($0, $1, box) }
        fit.add(decoded: w, error: errors, core: box, unit: step, stride: every)
      } }
    }
    let order = numbers.indices.sorted { numbers[$0] < numbers[$1] }
    (numbers, decoded, original) = (order.map { numbers[$0] }, order.map { decoded[$0] }, order.map { original[$0] })
  }

  /// Cells of a box over the step; cells beyond those there are repeat the outermost.
  private func scaled(_ a: RawArray, _ box: Box) -> [Float] {
    var out: [Float] = []
    out.reserveCapacity(box.count)
    let b = a.box
    func inside(_ i: Int, _ axis: Int) -> Int { min(max(i, b.lower[axis]), b.upper[axis] - 1) }
    for z in box.lower.z..<box.upper.z { for y in box.lower.y..<box.upper.y { for x in box.lower.x..<box.upper.x {
      let i = b.offset(of: Index3(inside(z, 0), inside(y, 1), inside(x, 2)))
      out.append(Float((a.elementSize == 4 ? Double(a.bound(to: Float.self)[i]) : a.bound(to: Double.self)[i]) / step))
    } } }
    return out
  }
  private func difference(_ x: RawArray, _ w: RawArray, _ box: Box) -> RawArray {
    let out = RawArray(box: box, elementSize: x.elementSize)
    for z in box.lower.z..<box.upper.z { for y in box.lower.y..<box.upper.y { for i in box.lower.x..<box.upper.x {
      let at = Index3(z, y, i), o = box.offset(of: at), p = x.box.offset(of: at), q = w.box.offset(of: at)
      if x.elementSize == 4 { out.bound(to: Float.self)[o] = x.bound(to: Float.self)[p] - w.bound(to: Float.self)[q] } else {
        out.bound(to: Double.self)[o] = x.bound(to: Double.self)[p] - w.bound(to: Double.self)[q]
      }
    } } }
    return out
  }
}

extension EncodedField {
  /// dB against the range of the original; infinite without error.
  fileprivate var fieldPSNR: Double { rmse.map { $0 > 0 ? 20 * log10(survey.range / $0) : .infinity } ?? .nan }
}
