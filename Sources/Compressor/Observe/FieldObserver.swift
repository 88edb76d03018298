import Codecs
import Fields
import MPI
import Observables
import Reduction
import SnapshotIO
import Statistics

/// The observables of one field at one step: what the original's are, and how far those of decoded values lie from them.
struct FieldObserver {
  let domain: RankDomain
  /// In double precision; masked cells are NaN.
  let original: FieldParts
  /// With every constant that the original fixes.
  let observables: [any Observable]
  let values: [ObservableValue]
  /// Sums of squares of the values, and how many there are.
  let squares: [Double], counts: [Int]

  /// - Throws: `AgreedError` of an `ObservableError` where one cannot be evaluated, such as a library's that gives NaN.
  /// - Collective: all ranks.
  init(_ list: [any Observable], of original: FieldParts, on domain: RankDomain) throws {
    self.domain = domain; self.original = original
    observables = try list.map { try ($0 as? any CalibratedObservable)?.calibrated(to: original, on: domain) ?? $0 }
    values = try observables.map { try $0.value(of: original, on: domain) }
    squares = try values.map { try $0.squareSum(on: domain) }
    counts = values.map { $0.count(on: domain) }
    for (o, s) in zip(observables, squares) where !s.isFinite {
      throw ObservableError("\(o.specification) of the original is not finite")
    }
  }

  /// Value of one number, root mean square of several.
  private func size(_ v: ObservableValue, _ square: Double, _ count: Int) -> Double {
    if case .vector(let x) = v, x.count == 1 { return x[0] }
    return count > 0 ? (square / Double(count)).squareRoot() : 0
  }

  /// Of the original, as `reports` gives them.
  var sizes: [Double] { observables.indices.map { size(values[$0], squares[$0], counts[$0]) } }

  /// Name, value of the original and of the decoded field, and the relative L2 error |o(x') - o(x)| / |o(x)|; NaN where o(x) vanishes and
  /// o(x') does not.
  ///
  /// - Collective: all ranks.
  func reports(_ decoded: FieldParts) throws -> [ObservableReport] {
    let decoded = masked(decoded, like: original)
    return try observables.indices.map { j in
      let v = try observables[j].value(of: decoded, on: domain)
      var r = ObservableReport(name: observables[j].specification)
      r.units = observables[j].units
      r.original = size(values[j], squares[j], counts[j])
      r.decoded = size(v, try v.squareSum(on: domain), counts[j])
      let difference = try v.plus(-1, values[j]).squareSum(on: domain)
      r.error = difference == 0 ? 0 : squares[j] > 0 ? (difference / squares[j]).squareRoot() : .nan
      return r
    }
  }
}

extension FieldObserver {
  /// Adds the predicted errors and the cheap form of the alignment: closed forms, and probes on a few samples.
  ///
  /// - Collective: all ranks.
  func align(_ reports: inout [ObservableReport], at point: OperatingPoint, _ source: FieldSource, ranks: borrowing Communicator) throws {
    let subjects = observables.indices.map { j in
      BandAlignment.Subject(observable: observables[j], value: values[j], meanSquare: squares[j] / Double(max(1, counts[j])))
    }
    let blocks = SampledBlocks(LappedOrthogonalTransform(blockEdge: point.edge, grid: source.grid), count: 3, ranks: ranks)
    let a = try BandAlignment(subjects, source, blocks, original: { original }, on: domain, ranks: ranks)
    for j in reports.indices {
      reports[j].predictedError = a.error(j, noise: point.noise)
      reports[j].alignment = try .init(a, j, noise: point.noise)
    }
  }
}

/// Where the law is applied: the lapped transform that aligned coding would use, and the noise variance of an active coefficient.
struct OperatingPoint {
  /// Block edge: the transform's own, 16 where the field is coded by another member.
  let edge: Int
  let noise: Double
}

extension FieldEncoder {
  /// nil where steps have nothing to trade: fields with missing values, lossless, constant and logarithmic ones.
  func operatingPoint(of e: EncodedField) -> OperatingPoint? {
    guard special == nil, !survey.unlisted, e.coding.member != .lossless, e.coding.member != .constant, !e.coding.logarithmic else { return nil }
    if let edge = e.coding.member.blockEdge { return OperatingPoint(edge: edge, noise: e.coding.step * e.coding.step / 12) }
    let n = e.statistics.reduce(0) { $0 + $1.count }, square = e.statistics.reduce(0) { $0 + $1.sumSquaredError.value }
    return n > 0 && square > 0 ? OperatingPoint(edge: 16, noise: square / Double(n)) : nil
  }
}

extension FieldSource {
  /// The cells of `domain`, masked ones NaN.
  ///
  /// - Collective: all ranks.
  func parts(on domain: RankDomain) throws -> FieldParts {
    try observedParts(arrays, in: boxes, type: type, fills: fillPatterns, on: domain)
  }
}

extension FieldEncoder {
  /// What the last pass kept of its decoded values.
  ///
  /// - Precondition: `keepDecoded` was called before it.
  /// - Collective: all ranks.
  func decodedParts(on domain: RankDomain) throws -> FieldParts {
    let slots = decoded!, components = layout.components
    let arrays = (0..<components).map { c in stride(from: c, to: slots.count, by: components).map { slots[$0]! } }
    return try domain.parts(of: arrays, in: layout.mine.map { layout.tiles.box($0) }, type: source.type)
  }
}

extension FieldValues {
  /// All values on the cells of `domain`; those with one of the patterns `fills` are NaN.
  ///
  /// - Collective: all ranks.
  func parts(components: Int, fills: [UInt64], on domain: RankDomain, ranks: borrowing Communicator) throws -> FieldParts {
    var boxes: [Box] = [], arrays = [[RawArray]](repeating: [], count: components)
    for round in 0..<walk.rounds {
      guard let a = try values(round: round, ranks: ranks) else { continue }
      boxes.append(a[0].box)
      for c in a.indices { arrays[c].append(a[c]) }
    }
    return try observedParts(arrays, in: boxes, type: type, fills: fills, on: domain)
  }
}

/// The observables of `original` and of `decoded`, of one field at one step.
///
/// - Collective: all ranks.
func observe(
  _ wanted: ObservationPlan.Field, _ original: any FieldValues, _ decoded: any FieldValues, _ d: FieldDescription, _ phases: PhaseClock,
  ranks: borrowing Communicator
) throws -> [ObservableReport] {
  if wanted.observables.isEmpty { return [] }
  return try phases.measure("observe") {
    try withRankDomain(d.grid, coordinates: wanted.coordinates, ranks: ranks) { domain in
      let x = try original.parts(components: d.components, fills: d.fillValues, on: domain, ranks: ranks)
      let y = try decoded.parts(components: d.components, fills: [], on: domain, ranks: ranks), order = d.componentOrder
      return try FieldObserver(wanted.observables, of: order.map { x[$0] }, on: domain).reports(order.map { y[$0] })
    }
  }
}
