import Fields
import Glibc
import HDF5
import LatentGeometry
import MPI
import Observables
import Reduction
import SnapshotIO

func halfLog2(_ x: Double) -> Double { 0.5 * log2(x) }

/// Classes of the patches of a field at its steps, by the numbers that samples have: step position times patches, plus patch.
struct PatchLabels {
  /// Of this rank's patches, those that have a class.
  private(set) var classes: [Int: Int] = [:]
  private(set) var count = 0
  private var values: [(id: Int, value: Double)] = []

  /// Notes what one step says. `original` in the observables' order of components.
  ///
  /// - Throws: `Failure` or `ObservableError`: usage; what is wrong with a file (2), on all ranks.
  /// - Collective: all ranks.
  mutating func add(
    _ source: RegimeLabels, step: (position: Int, number: Int, all: Int), _ patches: PatchGrid, original: FieldParts, d: FieldDescription, on domain: RankDomain,
    ranks: borrowing Communicator
  ) throws {
    let own = patches.mine(ranks), offset = step.position * patches.total
    switch source {
    case .step:
      for tile in own { patches.eachPatch(in: tile) { p, _ in values.append((offset + patches.number(p), Double(step.number))) } }
    case .position(let axis, let n):
      for tile in own { patches.eachPatch(in: tile) { p, _ in values.append((offset + patches.number(p), Double(p[axis] * n / patches.counts[axis]))) } }
    case .quantiles(let quantity, _):
      for (tile, cells) in zip(own, try domain.handed(try Self.quantity(quantity, original, d, on: domain), to: own)) {
        patches.eachPatch(in: tile) { p, box in
          // Two passes per component: the means, then what is asked for.
          var mean = 0.0, square = 0.0
          for c in cells {
            let v = c.cut(box).values, n = Double(v.count), m = v.reduce(0, +) / n
            mean += m
            square += v.reduce(0) { $0 + ($1 - m) * ($1 - m) } / n + (quantity == "variance" ? 0 : m * m)
          }
          values.append((offset + patches.number(p), quantity == "mean" ? mean : square))
        }
      }
    case .dataset(let file, let name):
      values += try ranks.agree {
        try LabelFile(file, name, grid: d.grid, patches: patches, steps: step.all).values(step: step.position, own, patches).map { (offset + $0.number, $0.value) }
      }
    }
  }

  /// The field itself, or an observable's values.
  private static func quantity(_ name: String, _ u: FieldParts, _ d: FieldDescription, on domain: RankDomain) throws -> FieldParts {
    if name == "variance" || name == "mean" { return u }
    let o = try domain.agree { () -> any Observable in
      let o = try ObservationPlan.catalogue(ObserveOptions()).observable(name)
      try o.check(components: d.components, grid: d.grid, coordinates: domain.coordinates)
      return o
    }
    guard case .field(let f) = try o.value(of: u, on: domain) else {
      throw Failure(.usage, "--labels \(name): its values are no field; give variance, mean, or an observable per cell such as vorticity")
    }
    return f
  }

  /// Turns what was noted into classes.
  ///
  /// - Parameter usable: samples of this rank.
  /// - Collective: all ranks.
  mutating func close(_ source: RegimeLabels, usable: Set<Int>, on domain: RankDomain) throws {
    let own = values.filter { usable.contains($0.id) && $0.value.isFinite }
    values = []
    if case .quantiles(_, let n) = source {
      let all = try domain.gathered(own.flatMap { [$0.value, Double($0.id)] })
      var order: [(value: Double, id: Int)] = []
      for list in all { for i in stride(from: 0, to: list.count, by: 2) { order.append((list[i], Int(list[i + 1]))) } }
      order.sort { ($0.value, $0.id) < ($1.value, $1.id) }
      let mine = Set(own.map(\.id))
      for (k, o) in order.enumerated() where mine.contains(o.id) { classes[o.id] = k * n / order.count }
      count = n
      return
    }
    let levels = Set(try domain.gathered(Set(own.filter { $0.value >= 0 }.map(\.value)).sorted()).flatMap { $0 }).sorted()
    guard levels.count <= RegimeLabels.most else {
      throw Failure(.usage, "--labels \(source.name): \(levels.count) classes; at most \(RegimeLabels.most)")
    }
    let place = Dictionary(uniqueKeysWithValues: levels.enumerated().map { ($1, $0) })
    for v in own where v.value >= 0 { classes[v.id] = place[v.value]! }
    count = levels.count
  }
}

/// Whole numbers in an HDF5 dataset: per cell, per patch or per tile; with or without steps in front.
private struct LabelFile {
  enum Per { case cell, patch, tile }
  /// Open as long as the dataset is read: a file that closes closes what is open in it.
  private let file: File
  let set: Dataset, per: Per, hasSteps: Bool, axes: Range<Int>
  let what: String

  init(_ path: String, _ name: String, grid: Grid, patches: PatchGrid, steps: Int) throws {
    what = "--labels \(path):\(name)"
    do { file = try File.open(path) } catch { throw Failure(.inputOutput, "\(what): the file cannot be read as HDF5") }
    do { set = try Dataset(in: file, "/" + name) } catch { throw Failure(.inputOutput, "\(what): there is no such dataset") }
    switch set.elementClass { case .float, .integer: break; default: throw Failure(.inputOutput, "\(what): it holds no numbers") }
    let along = 3 - grid.dimensions..<3, shape = set.shape
    func spatial(_ i: Index3) -> [Int] { along.map { i[$0] } }
    let kinds: [(per: Per, extents: [Int])] = [(.cell, spatial(grid.shape)), (.patch, spatial(patches.counts)), (.tile, spatial(patches.tiles.counts))]
    guard let kind = kinds.first(where: { $0.extents == shape || [steps] + $0.extents == shape }) else {
      throw Failure(.inputOutput, "\(what): extents \(shape) are neither cells \(kinds[0].extents), patches \(kinds[1].extents) nor tiles \(kinds[2].extents), with or without \(steps) steps in front")
    }
    axes = along
    per = kind.per
    hasSteps = kind.extents != shape
  }

  func values(step: Int, _ tiles: [Box], _ patches: PatchGrid) throws -> [(number: Int, value: Double)] {
    var out: [(Int, Double)] = []
    func read(_ lower: Index3, _ shape: Index3) throws -> [Double] {
      var v = [Double](repeating: 0, count: shape.product)
      let n = v.count
      do {
        try v.withUnsafeMutableBytes {
          try set.read(start: (hasSteps ? [step] : []) + axes.map { lower[$0] }, count: (hasSteps ? [1] : []) + axes.map { shape[$0] }, double: true,
                       memory: MemoryLayout3(shape: [n], start: [0], count: [n]), into: $0.baseAddress!)
        }
      } catch { throw Failure(.inputOutput, "\(what): cannot be read: \(error)") }
      if let wrong = v.first(where: { $0.isFinite && $0 != $0.rounded() }) { throw Failure(.inputOutput, "\(what): labels are whole numbers, not \(wrong)") }
      return v
    }
    for tile in tiles {
      switch per {
      case .cell:
        let part = FieldPart(tile, try read(tile.lower, tile.shape))
        patches.eachPatch(in: tile) { p, box in
          // The label of most cells, the smallest of equals.
          var votes: [Double: Int] = [:]
          for v in part.cut(box).values where v.isFinite { votes[v, default: 0] += 1 }
          if let top = votes.max(by: { ($0.value, -$0.key) < ($1.value, -$1.key) }) { out.append((patches.number(p), top.key)) }
        }
      case .patch: try patches.eachPatch(in: tile) { p, _ in out.append((patches.number(p), try read(p, Index3(1, 1, 1))[0])) }
      case .tile:
        var place = Index3(0, 0, 0)
        for a in 0..<3 { place[a] = min(tile.lower[a] / patches.tiles.edge[a], patches.tiles.counts[a] - 1) }
        let v = try read(place, Index3(1, 1, 1))[0]
        patches.eachPatch(in: tile) { p, _ in out.append((patches.number(p), v)) }
      }
    }
    return out
  }
}
