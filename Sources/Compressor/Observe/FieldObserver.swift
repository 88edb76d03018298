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

  /// What is known of the original's values; those compared row by row are not held, and known only once they were compared.
  private final class Known {
    var values: [ObservableValue?], squares: [Double?], counts: [Int]
    init(_ values: [ObservableValue?]) {
      self.values = values
      squares = values.map { _ in nil }
      counts = values.map { _ in 0 }
    }
  }
  private let known: Known

  /// - Throws: `AgreedError` of an `ObservableError` where one cannot be evaluated, such as a library's that gives NaN.
  /// - Collective: all ranks.
  init(_ list: [any Observable], of original: FieldParts, on domain: RankDomain) throws {
    self.domain = domain; self.original = original
    observables = try RowComparison.calibrated(list, to: original, on: domain)
    known = Known(try observables.map { RowComparison.suits($0) ? nil : try $0.value(of: original, on: domain) })
    for j in observables.indices where known.values[j] != nil { _ = try square(j) }
  }

  /// o(u) of the original.
  ///
  /// - Collective: all ranks.
  func value(_ j: Int) throws -> ObservableValue {
    if let v = known.values[j] { return v }
    let v = try observables[j].value(of: original, on: domain)
    // Fields are large.
    if case .vector = v { known.values[j] = v }
    return v
  }
  /// Only where it is at hand.
  func knownValue(_ j: Int) -> ObservableValue? { known.values[j] }
  /// Sum of squares of the values.
  ///
  /// - Collective: all ranks.
  func square(_ j: Int) throws -> Double {
    if let s = known.squares[j] { return s }
    let v = try value(j)
    return try know(j, square: try v.squareSum(on: domain), count: v.count(on: domain))
  }
  /// How many values.
  ///
  /// - Collective: all ranks.
  func count(_ j: Int) throws -> Int {
    _ = try square(j)
    return known.counts[j]
  }
  @discardableResult
  private func know(_ j: Int, square: Double, count: Int) throws -> Double {
    guard square.isFinite else { throw ObservableError("\(observables[j].specification) of the original is not finite") }
    known.squares[j] = square; known.counts[j] = count
    return square
  }

  /// Value of one number, root mean square of several.
  private func size(_ v: ObservableValue?, _ square: Double, _ count: Int) -> Double {
    if case .vector(let x) = v, x.count == 1 { return x[0] }
    return count > 0 ? (square / Double(count)).squareRoot() : 0
  }

  /// Of the original, as `reports` gives them.
  ///
  /// - Collective: all ranks.
  func sizes() throws -> [Double] {
    try observables.indices.map { j in
      let v = try value(j)
      return size(v, try square(j), try count(j))
    }
  }

  /// Name, value of the original and of the decoded field, and the relative L2 error |o(x') - o(x)| / |o(x)|; NaN where o(x) vanishes and
  /// o(x') does not.
  ///
  /// - Collective: all ranks.
  func reports(_ decoded: FieldParts) throws -> [ObservableReport] {
    let decoded = masked(decoded, like: original)
    let rowed = observables.indices.filter { RowComparison.suits(observables[$0]) }
    var compared = [ComparedValues?](repeating: nil, count: observables.count)
    if !rowed.isEmpty, let rows = try RowComparison(rowed.map { observables[$0] }, [original, decoded], on: domain) {
      for (j, c) in zip(rowed, try rows.compared(original, decoded)) { compared[j] = c }
    }
    return try observables.indices.map { j in
      var r = ObservableReport(name: observables[j].specification), difference: Double
      r.units = observables[j].units
      if case .squares(let first, let second, let d, let count) = compared[j] {
        try know(j, square: first, count: count)
        r.original = size(nil, first, count)
        r.decoded = size(nil, second, count)
        difference = d
      } else {
        let v: ObservableValue
        if case .vectors(let first, let second) = compared[j] {
          known.values[j] = .vector(first)
          v = .vector(second)
        } else { v = try observables[j].value(of: decoded, on: domain) }
        let original = try value(j)
        r.original = size(original, try square(j), try count(j))
        r.decoded = size(v, try v.squareSum(on: domain), try count(j))
        difference = try v.squareSum(minus: original, on: domain)
        if case .vector(let x) = original, case .vector(let y) = v, 2...1024 ~= x.count { r.values = .init(original: x, decoded: y) }
      }
      let square = try square(j)
      r.error = difference == 0 ? 0 : square > 0 ? (difference / square).squareRoot() : .nan
      return r
    }
  }
}

extension FieldObserver {
  /// - Collective: all ranks.
  func subjects() throws -> [BandAlignment.Subject] {
    try observables.indices.map { j in
      BandAlignment.Subject(observable: observables[j], value: knownValue(j), meanSquare: try square(j) / Double(max(1, count(j))))
    }
  }

  /// Adds the predicted errors and the cheap form of the alignment: closed forms, and probes on a few samples.
  ///
  /// - Parameter source: with components in the observables' order.
  /// - Parameter spectral: what coded the field by its modes, and which of its components each of those is.
  /// - Collective: all ranks.
  func align(
    _ reports: inout [ObservableReport], at point: OperatingPoint, _ source: FieldSource, spectral: (encoder: SpectralEncoder, order: [Int])?,
    ranks: borrowing Communicator
  ) throws {
    if let (s, order) = spectral, let pass = s.last {
      let law = try SpectralLaw(s, pass, try subjects(), source, order: order, samples: 3, original: { original }, on: domain, ranks: ranks)
      for j in reports.indices {
        reports[j].predictedError = law.predictions[j]
        reports[j].alignment = try .init(law.bands, j, noise: law.noise)
      }
      return
    }
    let blocks = SampledBlocks(LappedOrthogonalTransform(blockEdge: point.edge, grid: source.grid), count: 3, ranks: ranks)
    let a = try BandAlignment(try subjects(), source, blocks, original: { original }, on: domain, ranks: ranks)
    let rounding = try a.rounding(at: point)
    for j in reports.indices {
      reports[j].predictedError = try a.error(j, rounding)
      reports[j].alignment = try .init(a, j, noise: point.noise)
    }
  }
}

/// Where the law is applied: the lapped transform that aligned coding would use, and the noise variance of an active coefficient.
struct OperatingPoint {
  /// Block edge: the transform's own, 16 where the field is coded by another member.
  let edge: Int
  let noise: Double
  /// Whether the zero bin grows where few coefficients are active.
  var widensZeroBin = false
}

extension FieldEncoder {
  /// Of the transforms by tile.
  var widensZeroBin: Bool { target.rmse != nil && target.pointwise == nil }

  /// nil where steps have nothing to trade: fields with missing values, lossless, constant and logarithmic ones.
  func operatingPoint(of e: EncodedField) -> OperatingPoint? {
    guard special == nil, !survey.unlisted, e.coding.member != .lossless, e.coding.member != .constant, !e.coding.logarithmic else { return nil }
    if let edge = e.coding.member.blockEdge { return OperatingPoint(edge: edge, noise: e.coding.step * e.coding.step / 12, widensZeroBin: widensZeroBin && shaping == nil) }
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
