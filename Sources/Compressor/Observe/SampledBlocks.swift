import CKernels
import Codecs
import Decomposition
import Fields
import MPI
import Observables
import Reduction

/// Boxes of whole lapped blocks, spread over the grid: where variances and sensitivities of bands are estimated.
///
/// Which boxes depends on the grid and their number only; sample i is treated by rank i modulo the number of ranks.
struct SampledBlocks {
  let transform: LappedOrthogonalTransform
  let boxes: [Box]
  let mine: [Int]
  /// Frequency of each cell along each axis.
  private let frequencies: [[Int]]

  /// - Parameter count: of boxes, at most all.
  init(_ transform: LappedOrthogonalTransform, count: Int, ranks: borrowing Communicator) {
    let runs = (0..<3).map { a -> [Range<Int>] in
      let cuts = transform.blockStarts(axis: a), step = SampledBlocks.edge / transform.blockEdge
      return stride(from: 0, to: cuts.count - 1, by: step).map { cuts[$0]..<cuts[min($0 + step, cuts.count - 1)] }
    }
    let total = runs.map(\.count).reduce(1, *)
    // Multiples of the golden ratio: evenly spread along the list, and along each axis.
    var chosen: [Int] = []
    var k = 0
    while chosen.count < min(count, total) {
      k += 1
      let place = (Double(k) * 0.6180339887498949).truncatingRemainder(dividingBy: 1)
      var i = Int(place * Double(total))
      while chosen.contains(i) { i = (i + 1) % total }
      chosen.append(i)
    }
    self.init(transform, chosen.sorted().map { i in
      let r = [runs[0][i / (runs[1].count * runs[2].count)], runs[1][i / runs[2].count % runs[1].count], runs[2][i % runs[2].count]]
      return Box(lower: Index3(r[0].lowerBound, r[1].lowerBound, r[2].lowerBound), upper: Index3(r[0].upperBound, r[1].upperBound, r[2].upperBound))
    }, ranks: ranks)
  }
  /// All tiles of the field.
  init(tiles: TileGrid, _ transform: LappedOrthogonalTransform, ranks: borrowing Communicator) {
    self.init(transform, (0..<tiles.count).map { tiles.box($0) }, ranks: ranks)
  }
  private init(_ transform: LappedOrthogonalTransform, _ boxes: [Box], ranks: borrowing Communicator) {
    self.transform = transform; self.boxes = boxes
    frequencies = (0..<3).map { BandWeights.bands(transform, axis: $0) }
    let rank = ranks.rank, size = ranks.size
    mine = boxes.indices.filter { $0 % size == rank }
  }
  /// Cells a side.
  private static let edge = 32

  var grid: Grid { transform.grid }
  var bandCount: Int { transform.blockEdge * transform.blockEdge * transform.blockEdge }
  /// Whether the boxes are the whole grid.
  var isWhole: Bool { boxes.reduce(0) { $0 + $1.count } == grid.count }
  func around(_ i: Int, _ margin: Int) -> Box { boxes[i].dilated(by: margin, in: grid) }

  /// The observable where it can be looked at sample by sample, and that is less work than the whole grid.
  func piecewise(_ o: any Observable) -> (any LocalObservable)? {
    guard let l = o as? any LocalObservable, l.reach <= 24 else { return nil }
    let margin = transform.analysisHalo + l.reach
    return boxes.indices.reduce(0) { $0 + around($1, margin).count } < grid.count ? l : nil
  }

  /// The field around this rank's samples, masked cells NaN.
  ///
  /// - Collective: all ranks.
  func cells(of source: FieldSource, margin: Int, ranks: borrowing Communicator) throws -> [FieldParts] {
    let want = mine.map { around($0, margin) }
    let plan = try Redistribution(have: source.boxes, want: want, grid: grid, ranks: ranks)
    var out = want.map { _ in FieldParts() }
    for c in 0..<source.components {
      let arrays = want.map { RawArray(box: $0, type: source.type) }
      try plan.move(source.arrays[c], into: arrays, ranks: ranks)
      for (i, a) in arrays.enumerated() { out[i].append(FieldPart(values: a, type: source.type, fills: Set(source.fillPatterns))) }
    }
    return out
  }

  /// The coefficients of a sample.
  ///
  /// - Parameter parts: on a box that holds the sample and the transform's halo.
  func analysed(_ parts: FieldParts, sample i: Int) -> FieldParts {
    parts.map { p in
      var from = p, to = FieldPart(boxes[i])
      lend(&from) { a in lend(&to) { transform.analyse(a, core: boxes[i], into: $0) } }
      return to
    }
  }

  /// Calls `body` with the offset of each coefficient of a sample and its band.
  func eachBand(of i: Int, _ body: (_ offset: Int, _ band: Int) -> Void) {
    let core = boxes[i], m = transform.blockEdge, fx = Array(frequencies[2][core.lower.x..<core.upper.x])
    var at = 0
    for z in core.lower.z..<core.upper.z { for y in core.lower.y..<core.upper.y {
      let row = (frequencies[0][z] * m + frequencies[1][y]) * m
      fx.withUnsafeBufferPointer { for f in $0 { body(at, row + f); at += 1 } }
    } }
  }

  /// Sums of squares of a sample's coefficients by component and band.
  func squares(of coefficients: FieldParts, sample i: Int) -> [Double] {
    coefficients.flatMap { p -> [Double] in
      var sums = [Double](repeating: 0, count: bandCount)
      p.values.withUnsafeBufferPointer { v in
        sums.withUnsafeMutableBufferPointer { s in eachBand(of: i) { s[$1] += v[$0] * v[$0] } }
      }
      return sums
    }
  }
  /// Sums of products of two fields' coefficients of a sample, likewise.
  func products(_ a: FieldParts, _ b: FieldParts, sample i: Int) -> [Double] {
    zip(a, b).flatMap { p, q -> [Double] in
      var sums = [Double](repeating: 0, count: bandCount)
      eachBand(of: i) { sums[$1] += p.values[$0] * q.values[$0] }
      return sums
    }
  }
  /// Of the coefficients of fields, as of `analysed`.
  func squares(_ parts: FieldParts, sample i: Int) -> [Double] { squares(of: analysed(parts, sample: i), sample: i) }

  /// Latents of each band in a box, of one component.
  func counts(in box: Box) -> [Double] {
    let m = transform.blockEdge
    let n = (0..<3).map { a in
      frequencies[a][box.lower[a]..<box.upper[a]].reduce(into: [Double](repeating: 0, count: m)) { $0[$1] += 1 }
    }
    return (0..<bandCount).map { n[0][$0 / (m * m)] * n[1][$0 / m % m] * n[2][$0 % m] }
  }

  /// What the ranks found for their samples, by sample.
  ///
  /// - Collective: all ranks.
  func gathered(_ own: [[Double]], on domain: RankDomain) throws -> [[Double]] {
    var out = boxes.map { _ in [Double]() }
    let size = boxes.count
    let lists = try domain.gathered(zip(mine, own).flatMap { [Double($0), Double($1.count)] + $1 })
    for list in lists {
      var at = 0
      while at < list.count {
        let i = Int(list[at]), n = Int(list[at + 1])
        precondition(i < size)
        out[i] = Array(list[at + 2..<at + 2 + n])
        at += 2 + n
      }
    }
    return out
  }
}

extension FieldPart {
  init(values a: RawArray, type: ScalarType, fills: Set<UInt64>) {
    if fills.isEmpty {
      self.init(a.box, [Double](unsafeUninitializedCapacity: a.count) { to, count in
        if type == .float32 { ald_widen(a.bound(to: Float.self), a.count, to.baseAddress!) } else {
          to.baseAddress!.initialize(from: a.bound(to: Double.self), count: a.count)
        }
        count = a.count
      })
      return
    }
    self.init(a.box, (0..<a.count).map { i in
      if type == .float32 {
        return fills.contains(UInt64(a.bound(to: UInt32.self)[i])) ? .nan : Double(a.bound(to: Float.self)[i])
      }
      return fills.contains(a.bound(to: UInt64.self)[i]) ? .nan : a.bound(to: Double.self)[i]
    })
  }
  /// The cells of a box inside.
  func cut(_ part: Box) -> FieldPart {
    var out = FieldPart(part)
    if part.isEmpty { return out }
    let n = part.shape.x
    values.withUnsafeBufferPointer { source in
      out.values.withUnsafeMutableBufferPointer { target in
        var at = 0
        for z in part.lower.z..<part.upper.z { for y in part.lower.y..<part.upper.y {
          (target.baseAddress! + at).update(from: source.baseAddress! + box.offset(of: Index3(z, y, part.lower.x)), count: n)
          at += n
        } }
      }
    }
    return out
  }
  /// The same values at cells counted from the box's first.
  var atOrigin: FieldPart { FieldPart(Box(shape: box.shape), values) }
  /// The same values on another box of the shape.
  func moved(to other: Box) -> FieldPart { FieldPart(other, values) }
}

/// Lends a part's values as an array that may be written.
func lend(_ part: inout FieldPart, _ body: (RawArray) -> Void) {
  let box = part.box
  if box.isEmpty { return }
  part.values.withUnsafeMutableBytes { body(RawArray(lending: $0.baseAddress!, box: box, elementSize: 8)) }
}
