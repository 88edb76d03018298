import Codecs
import Decomposition
import Fields
import Glibc
import MPI
import Reduction
import Statistics

/// A field of few waves on a grid of fewer cells, where a member by tile codes it; decoders interpolate, tile by tile.
///
/// Every decision comes from integer sums over modes or from the coder on the coarser grid: the bytes are the same for any ranks and threads.
final class ResampledEncoder {
  private unowned let encoder: FieldEncoder
  let grid: CoarserGrid
  /// Cells of the coarser grid per cell.
  let share: Double
  private let interpolation: GridInterpolation
  private let coarse: FieldEncoder
  /// Root mean square error, and the share of its square that interpolation takes without any rounding.
  private let wanted: Double, missed: Double

  /// Share of the squared error that waves beyond those kept, and interpolation, may take.
  private static let lostShare = 0.01, interpolatedShare = 0.12
  /// Mean square of the noise that interpolation is made for over that of the error: most of what a coder leaves out is no noise. Source: best of 1 to 1/100
  /// on turb3d at 60 and 80 dB, docs/results/spectral.md.
  private static let noiseShare = 0.25
  /// Grids with more cells than this share are not worth it.
  private static let largestShare = 0.85

  /// - Parameter wanted: root mean square error.
  /// - Returns: `nil` where the field has too many waves.
  /// - Collective: all ranks.
  static func make(_ encoder: FieldEncoder, wanted: Double, ranks: borrowing Communicator) throws -> ResampledEncoder? {
    let shape = encoder.layout.grid.shape
    let transform = try SpectralTransform(shape, modes: SpectralModes.all(shape), ranks: ranks)
    // In a host one component after the other: most fields have too many waves, and another pass may be held meanwhile.
    let parts = encoder.layout.components, held = HostHeap.isTight ? nil : try encoder.modes(transform, ranks: ranks)
    let energies = try ResampledEncoder.energies(transform, components: parts, range: encoder.survey.range, ranks: ranks) {
      try held?[$0] ?? encoder.modes(transform, of: $0, ranks: ranks)[0]
    }
    let ratio = wanted / encoder.survey.range
    let allowed = ratio * ratio * unit
    guard let (grid, gain, missed, kept) = chosen(energies, allowed: allowed, shape, components: parts) else { return nil }
    let modes = try held ?? encoder.modes(transform, ranks: ranks)
    return try ResampledEncoder(encoder, grid, gain: gain, missed: missed, kept: kept, wanted: wanted, modes, transform, ranks: ranks)
  }

  /// The squared range over all cells and components, in units of `energies`.
  private static let unit = 0x1p60

  /// Energies of |index| along z, y and x, the means left out.
  ///
  /// - Parameter modes: of a component. Collective, in order.
  /// - Collective: all ranks.
  private static func energies(
    _ transform: SpectralTransform, components: Int, range: Double, ranks: borrowing Communicator, _ modes: (Int) throws -> RawArray
  ) throws -> [[Int]] {
    let box = transform.mine, n = box.shape, shape = transform.shape, cells = Double(shape.product)
    let scale = unit / (range * range * cells * cells * Double(components))
    var sums = (0..<3).map { [Int](repeating: 0, count: shape[$0] / 2 + 1) }
    for c in 0..<components {
      let a = try modes(c), p = a.bound(to: Double.self)
      if box.isEmpty { continue }
      var i = 0
      for z in box.lower.z..<box.upper.z { for y in box.lower.y..<box.upper.y {
        var row = 0
        for x in 0..<n.x {
          let j = box.lower.x + x
          // A mode of the half-space stands for its conjugate too.
          let both = j > 0 && 2 * j != shape.x ? 2.0 : 1
          let e = z == 0 && y == 0 && j == 0 ? 0 : Int((both * scale * (p[i] * p[i] + p[i + 1] * p[i + 1])).rounded())
          sums[2][j] += e
          row += e
          i += 2
        }
        sums[0][abs(z)] += row; sums[1][abs(y)] += row
      } }
    }
    let all = try ranks.allReduce(sums.flatMap { $0 }, .sum)
    return [Array(all[..<sums[0].count]), Array(all[sums[0].count..<sums[0].count + sums[1].count]), Array(all[(sums[0].count + sums[1].count)...])]
  }

  /// The coarser grid: along each axis the fewest cells from which values can be interpolated well enough, if they are fewer.
  ///
  /// - Returns: also what is left of white noise, the share of the squared error that is lost anyway, and the highest |index| kept along each axis.
  private static func chosen(_ energies: [[Int]], allowed: Double, _ shape: Index3, components: Int) -> (CoarserGrid, gain: Double, missed: Double, kept: Index3)? {
    var grid = CoarserGrid(shape: shape, axes: [nil, nil, nil], means: [Double](repeating: 0, count: components)), gain = 1.0, missed = 0.0, kept = shape
    let dimensions = Double((0..<3).filter { shape[$0] > 1 }.count), total = Double(energies[0].reduce(0, +))
    guard total > 0 else { return nil }
    for a in 0..<3 where shape[a] >= 24 {
      var last = energies[a].count - 1, lost = 0.0
      while last > 0, lost + Double(energies[a][last]) <= lostShare / dimensions * allowed { lost += Double(energies[a][last]); last -= 1 }
      let largest = Double(energies[a][0...last].max()!)
      let power = energies[a][0...last].map { $0 == 0 ? 255 : CoarserGrid.Axis.code(Double($0) / largest) }
      let every = shape[a] >= 128 ? 8 : 4
      search: for n in stride(from: (2 * last + 2 + every - 1) / every * every, to: shape[a], by: every) where n >= 16 && CoarserGrid.accepts(shape[a], n) {
        for half in CoarserGrid.halves {
          let axis = CoarserGrid.Axis(half: half, noise: CoarserGrid.Axis.code(noiseShare * allowed / total), power: power)
          guard let w = try? axis.weights(fine: shape[a], coarse: n), w.error * total <= interpolatedShare / dimensions * allowed else { continue }
          grid.shape[a] = n
          grid.axes[a] = axis
          gain *= w.gain
          missed += (w.error * total + lost) / allowed
          kept[a] = last
          break search
        }
      }
    }
    return Double(grid.shape.product) <= largestShare * Double(shape.product) ? (grid, gain, missed, kept) : nil
  }

  /// - Collective: all ranks.
  private init(
    _ encoder: FieldEncoder, _ given: CoarserGrid, gain: Double, missed: Double, kept: Index3, wanted: Double, _ modes: [RawArray], _ transform: SpectralTransform,
    ranks: borrowing Communicator
  ) throws {
    self.encoder = encoder; self.wanted = wanted; self.missed = missed
    let cells = Double(transform.shape.product), type = encoder.workType
    var grid = given
    let cut = try SpectralTransform(grid.shape, modes: SpectralModes.box(transform.shape, extent: kept), ranks: ranks)
    let place = transform.place(cut.mine), origin = Index3(0, 0, 0)
    let mean = cut.mine.contains(origin) ? place.offset(of: transform.place(Box(lower: origin, upper: Index3(1, 1, 1))).lower) : nil
    let plan = try Redistribution(have: [transform.place(transform.mine)], want: [place], grid: transform.grid, ranks: ranks)
    var means: [Double] = []
    let values = try modes.map { all in
      let some = RawArray(box: place, elementSize: 8), p = some.bound(to: Double.self)
      try plan.move([all], into: [some], ranks: ranks)
      for i in 0..<some.count { p[i] /= cells }
      means.append(mean.map { p[$0] } ?? 0)
      if let mean { p[mean] = 0 }
      return try cut.backward(some, as: type, ranks: ranks)
    }
    cut.rest()
    grid.means = try ranks.allReduce(means, .sum)
    self.grid = grid
    let share = Double(grid.shape.product) / cells
    self.share = share
    interpolation = try GridInterpolation(grid, fine: transform.shape, type: type)
    var limits = [-Double.infinity, -Double.infinity]
    for a in values {
      for i in 0..<a.count {
        let v = type == .float32 ? Double(a.bound(to: Float.self)[i]) : a.bound(to: Double.self)[i]
        limits = [max(limits[0], v), max(limits[1], -v)]
      }
    }
    limits = try ranks.allReduce(limits, .max)
    let rows = cut.rows
    let source = FieldSource(
      name: encoder.source.name, grid: Grid(shape: grid.shape, dimensions: encoder.layout.grid.dimensions, periodic: encoder.layout.grid.periodic), type: type,
      components: values.count, boxes: rows.isEmpty ? [] : [rows], arrays: values.map { rows.isEmpty ? [] : [$0] })
    // Not all of the error on the coarser grid is white.
    let start = wanted * ((1 - missed) / gain.squareRoot()).squareRoot()
    let bound = encoder.target.rate.map { ErrorBound.rate($0 / share) } ?? .psnr(20 * log10((limits[0] + limits[1]) / start))
    coarse = try FieldEncoder(source, bound: bound, threads: encoder.threads, check: encoder.check, phases: encoder.phases, ranks: ranks)
    coarse.globalTransforms = false
    coarse.scores = true
    coarse.keepDecoded()
  }

  /// What `BankTrial.score` is for members by tile: bits per value of the field, by the trial on the coarser grid.
  ///
  /// - Collective: all ranks.
  func score(ranks: borrowing Communicator) throws -> Double {
    let bits = try coarse.bankTrial(ranks: ranks).score * share
    // Aimed at another error than they where a bound is pointwise.
    return bits + min(1, bits) * log2(wanted / (encoder.target.rmse ?? wanted))
  }

  /// Passes until the target is met.
  ///
  /// - Returns: `nil` where it cannot be met, or nothing on the coarser grid is left to interpolate from.
  /// - Collective: all ranks.
  func encode(_ start: FieldCoding, ranks: borrowing Communicator) throws -> EncodedField? {
    // With what it decodes to, where that is wanted.
    var best: (field: EncodedField, values: [RawArray?]?)?
    for _ in 0..<5 {
      let inner = try coarse.encode(ranks: ranks)
      guard [.lapped16, .lapped8, .wavelet97, .interpolation].contains(inner.coding.member) else { return nil }
      let out = try finished(inner, start, ranks: ranks)
      guard encoder.target.pointwise == nil, encoder.target.rate == nil, let rmse = out.rmse else { return out }
      let met = rmse <= wanted
      if met, best.map({ out.streamBytes < $0.field.streamBytes }) ?? true { best = (out, encoder.decoded?.array) }
      if met, rmse > 0.996 * wanted { return out }
      // What is lost without any rounding stays; the rest follows the step.
      let ratio = rmse / wanted, rest = max(ratio * ratio - missed, 0.1 * ratio * ratio)
      coarse.target.rmse = coarse.target.rmse! * ((1 - missed) / rest).squareRoot() * 0.9985
      coarse.target.absolute = coarse.target.rmse!
    }
    if let values = best?.values, let decoded = encoder.decoded { for i in values.indices { decoded[i] = values[i] } }
    return best?.field
  }

  /// Interpolates what was decoded on the coarser grid, finds outliers, and puts the streams in order.
  ///
  /// - Collective: all ranks.
  private func finished(_ inner: EncodedField, _ start: FieldCoding, ranks: borrowing Communicator) throws -> EncodedField {
    let layout = encoder.layout, type = encoder.source.type, parts = layout.components, first = coarse.layout.units.lowerBound
    let (statistics, outliers) = try encoder.phases.measure("verify") {
      let tiles = Array(coarse.layout.mine)
      let arrays = (0..<parts).map { c in tiles.map { coarse.decoded![$0 * parts + c - first]! } }
      let held = tiles.map { coarse.layout.tiles.box($0) }, wanted = layout.regions.map { interpolation.source(of: $0.box) }
      return try encoder.compared(ranks: ranks) { c in
        let given = try Surroundings(have: held, arrays: [arrays[c]], elementSize: encoder.workType.size, wanted: wanted, grid: coarse.layout.grid, ranks: ranks)
        return (given, { box, ranks in
          try interpolated(given, box, self.interpolation, means: [self.grid.means[c]], as: type, threads: self.encoder.threads, ranks: ranks).first
        })
      }
    }
    var coding = start
    coding.member = .resampled
    coding.workType = encoder.workType
    coding.settings = grid.serialised
    coding.model = inner.coding.serialised
    var out = EncodedField(coding: coding, survey: encoder.survey, target: encoder.target)
    out.statistics = statistics
    let streams = coarse.layout.streamCount, pointwise = encoder.target.pointwise != nil
    out.streamCount = streams + (pointwise ? layout.streamCount : 0)
    var at = 0
    let own = inner.lengths.map { n in
      defer { at += n }
      return Array(inner.streams[at..<at + n])
    }
    let placed = try StreamOrder.placed(
      [(inner.firstStream, own)] + (pointwise ? [(streams + layout.units.lowerBound, outliers)] : []), total: out.streamCount!, ranks: ranks)
    out.firstStream = placed.first; out.lengths = placed.lengths; out.streams = placed.bytes
    out.streamBytes = try ranks.allReduce(placed.bytes.count, .sum)
    return out
  }
}

/// Of each component the values on a box in the stored type; empty without a box.
///
/// - Parameter given: on the coarser grid.
/// - Collective: all ranks.
func interpolated(
  _ given: Surroundings, _ box: Box?, _ interpolation: GridInterpolation, means: [Double], as type: ScalarType, threads: Int, ranks: borrowing Communicator
) throws -> [RawArray] {
  var out: [RawArray] = []
  try given.forEachComponent(of: box.map { interpolation.source(of: $0) }, ranks: ranks) { c, cells in
    let box = box!, source = cells.array(holding: interpolation.source(of: box)), mean = means[c], to = RawArray(box: box, type: type)
    let lanes = max(1, min(threads, box.shape.z)), planes = box.shape.z
    parallelFor(lanes, threads: lanes) { lane in
      var part = box
      part.lower.z = box.lower.z + planes * lane / lanes; part.upper.z = box.lower.z + planes * (lane + 1) / lanes
      let v = interpolation.interpolate(source, to: part), at = box.offset(of: part.lower)
      func put<T: BinaryFloatingPoint>(_ value: UnsafePointer<T>) {
        if type == .float32 {
          let p = to.bound(to: Float.self) + at
          for i in 0..<v.count { p[i] = Float(Double(value[i]) + mean) }
        } else {
          let p = to.bound(to: Double.self) + at
          for i in 0..<v.count { p[i] = Double(value[i]) + mean }
        }
      }
      if v.elementSize == 4 { put(v.bound(to: Float.self)) } else { put(v.bound(to: Double.self)) }
    }
    out.append(to)
  }
  return out
}
