import Decomposition
import Fields
import MPI
import Reduction
import SnapshotIO
import Statistics

/// One side of `compare`: a container or a snapshot.
struct Comparable {
  let path: String
  let fields: [FieldDescription]
  private let reader: ContainerReader?
  private let input: SnapshotInput?

  /// - Collective: all ranks.
  init(_ path: String, _ o: CompareOptions, ranks: borrowing Communicator) throws {
    self.path = path
    if path.hasSuffix(".ald") {
      let r = try ContainerReader.open(path, ranks: ranks)
      try ModelShelf.add(o.models, to: r, ranks: ranks)
      reader = r; input = nil
      fields = try ranks.agree { try descriptions(r) }
    } else {
      let i = try SnapshotInput.open(path, snapshotOptions(o.reading, fields: o.fields), ranks: ranks)
      reader = nil; input = i
      fields = i.fields
    }
  }
  func index(_ name: String) throws -> Int {
    guard let i = fields.firstIndex(where: { $0.name == name }) else {
      throw Failure(.inputOutput, "\(path): no field \(name); there are \(fields.map(\.name).joined(separator: ", "))")
    }
    return i
  }
  /// Positions of the cells, as a snapshot gives them.
  func positions(_ i: Int) -> [[Double]]? { input?.positions[i] }
  func steps(_ i: Int) -> [Int] { reader.map { $0.fields[i].steps } ?? Array(0..<fields[i].steps) }
  /// - Collective: all ranks.
  func values(_ i: Int, _ step: Int, _ threads: Int, ranks: borrowing Communicator) throws -> any FieldValues {
    if let reader {
      let s = reader.fields[i].steps.firstIndex(of: step)!
      return try ContainerValues(reader, fields[i], field: i, stepIndex: s, wanted: nil, threads: threads, ranks: ranks)
    }
    return try SnapshotValues(input!, field: i, step: step, ranks: ranks)
  }
}

/// The field of `input` that a container's field was made from.
func matching(_ d: FieldDescription, _ input: SnapshotInput, _ container: String) throws -> Int {
  guard let i = input.fields.firstIndex(where: { $0.name == d.name }) else {
    throw Failure(.inputOutput, "\(input.path): no field \(d.name), which \(container) holds")
  }
  let f = input.fields[i]
  guard f.grid.shape == d.grid.shape, f.components == d.components, f.type == d.type else {
    throw Failure(.inputOutput, "\(input.path): \(f) is not what \(container) was made from (\(d))")
  }
  return i
}

/// What comparing two sources gives.
struct ComparisonResult {
  var statistics: [ErrorStatistics]
  var minimum: Double, maximum: Double
  var masked: Int
  /// Largest |x - x'| / |x|; infinite where a zero or a special value changed.
  var relative: Double
  /// Points whose bits differ, and those of them that are special in the original.
  var changed = 0, specialsChanged = 0
}

/// Statistics of `decoded` against `original`; two passes, the first for the range.
///
/// Points that are NaN or infinite in the original are masked; where they differ in the decoded field the relative error is infinite.
///
/// - Parameter relativeBound: values within it by the encoder's arithmetic count as at most this, whatever a quotient rounds to.
/// - Collective: all ranks.
func compareValues(
  _ original: any FieldValues, _ decoded: any FieldValues, _ d: FieldDescription, scale: Double, relativeBound: Double = 0, threads: Int,
  _ phases: PhaseClock, ranks: borrowing Communicator
) throws -> ComparisonResult {
  let fills = Set(d.fillValues)
  // Range first: SSIM and the histogram need it. Snapshots are read twice, containers keep what they staged.
  var lo = Double.infinity, hi = -Double.infinity, masked = 0
  for round in 0..<original.walk.rounds {
    guard let arrays = try phases.measure("read", { try original.values(round: round, ranks: ranks) }) else { continue }
    for a in arrays { scan(a, d.type, fills, &lo, &hi, &masked) }
  }
  let (range, counts) = try reduce(Extremes(minima: [lo], maxima: [hi]), IntegerSums([masked]), ranks: ranks)
  let minimum = range.minima[0], maximum = range.maxima[0]
  let valid = minimum <= maximum
  let bins = scale > 0 && scale.isFinite ? scale : max((maximum - minimum) * 1e-3, .leastNormalMagnitude)
  let empty = ErrorStatistics(scale: valid ? bins : 1, minimum: valid ? minimum : 0, maximum: valid ? maximum : 0)
  var statistics = [ErrorStatistics](repeating: empty, count: d.components)
  var relative = 0.0, changed = 0, specials = 0
  for round in 0..<original.walk.rounds {
    let x = try phases.measure("read") { try original.values(round: round, ranks: ranks) }
    let y = try phases.measure("decode") { try decoded.values(round: round, ranks: ranks) }
    guard let x, let y else { continue }
    let region = original.walk.regions[round]
    let jobs = region.tiles.flatMap { t in (0..<d.components).map { (t, $0) } }
    let results = Slots<ErrorStatistics?>(jobs.count, nil), differences = Slots<(relative: Double, changed: Int, specials: Int)>(jobs.count, (0, 0, 0))
    phases.measure("compare") {
      parallelFor(jobs.count, threads: threads) { k in
        let (t, c) = jobs[k]
        let box = original.walk.tiles.box(t)
        let a = RawArray(box: box, type: d.type), b = RawArray(box: box, type: d.type)
        a.copy(box, from: x[c]); b.copy(box, from: y[c])
        let mask = RawArray(box: box, elementSize: 1)
        let found = maskAndRelative(a, b, d.type, fills, relativeBound, mask.bound(to: UInt8.self))
        var s = empty
        s.add(tile: box, original: a, decoded: b, type: d.type, mask: found.any ? mask : nil)
        results[k] = s
        differences[k] = (found.relative, found.changed, found.specials)
      }
    }
    for k in jobs.indices {
      statistics[jobs[k].1].merge(results[k]!)
      relative = max(relative, differences[k].relative)
      changed += differences[k].changed
      specials += differences[k].specials
    }
  }
  let (merged, top, bits) = try reduce(statistics, Extremes(maxima: [relative]), IntegerSums([changed, specials]), ranks: ranks)
  return ComparisonResult(
    statistics: merged, minimum: minimum, maximum: maximum, masked: counts.values[0], relative: top.maxima[0], changed: bits.values[0],
    specialsChanged: bits.values[1])
}

private func scan(_ a: RawArray, _ t: ScalarType, _ fills: Set<UInt64>, _ lo: inout Double, _ hi: inout Double, _ masked: inout Int) {
  for i in 0..<a.count {
    let v = t == .float32 ? Double(a.bound(to: Float.self)[i]) : a.bound(to: Double.self)[i]
    let p = t == .float32 ? UInt64(a.bound(to: UInt32.self)[i]) : a.bound(to: UInt64.self)[i]
    if !v.isFinite || (!fills.isEmpty && fills.contains(p)) { masked += 1; continue }
    lo = min(lo, v); hi = max(hi, v)
  }
}

/// Marks valid points of `a`; returns whether any is masked and the largest relative difference.
private func maskAndRelative(
  _ a: RawArray, _ b: RawArray, _ t: ScalarType, _ fills: Set<UInt64>, _ bound: Double, _ mask: UnsafeMutablePointer<UInt8>
) -> (any: Bool, relative: Double, changed: Int, specials: Int) {
  var any = false, worst = 0.0, changed = 0, specials = 0
  for i in 0..<a.count {
    let x, y: Double, p, q: UInt64
    if t == .float32 {
      x = Double(a.bound(to: Float.self)[i]); y = Double(b.bound(to: Float.self)[i])
      p = UInt64(a.bound(to: UInt32.self)[i]); q = UInt64(b.bound(to: UInt32.self)[i])
    } else {
      x = a.bound(to: Double.self)[i]; y = b.bound(to: Double.self)[i]
      p = x.bitPattern; q = y.bitPattern
    }
    if !x.isFinite || (!fills.isEmpty && fills.contains(p)) {
      mask[i] = 0; any = true
      if p != q { worst = .infinity; changed += 1; specials += 1 }
      continue
    }
    mask[i] = 1
    if p == q { continue }
    changed += 1
    if !y.isFinite || x == 0 { if x != y { worst = .infinity } } else {
      let scale = abs(x) < 0x1p-700 ? 0x1p300 : 1, e = abs(x - y) * scale, m = abs(x) * scale
      worst = max(worst, e <= bound * m ? min(e / m, bound) : e / m)
    }
  }
  return (any, worst, changed, specials)
}
