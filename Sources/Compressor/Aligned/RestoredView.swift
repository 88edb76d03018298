import Codecs
import Fields
import Glibc
import MPI
import Observables
import Reduction
import Statistics

// Restored views: what `compress --restoration` stores and `decompress --restore` applies. docs/aligned.md.

extension FieldRestoration {
  /// docs/format.md section 7.15.
  func serialised(_ coordinates: Coordinates) -> [UInt8] {
    var w = Codecs.ByteWriter()
    w.put((means.isEmpty ? 0 : 1) | (gains.isEmpty ? 0 : 2) | (limits.isEmpty ? 0 : 4) | (derivative.map { $0.rawValue << 3 } ?? 0))
    if !means.isEmpty { w.put(varint: means.count); for m in means { w.put(m) } }
    guard isSpectral else { return w.bytes }
    for a in coordinates.axes {
      guard case .uniform(let h) = a else { preconditionFailure("restoration of a field that is not uniform") }
      w.put(h)
    }
    for l in limits { w.put(varint: l) }
    if derivative != nil { w.put(varint: componentOfAxis.count); for c in componentOfAxis { w.put(varint: c) } }
    if !gains.isEmpty {
      w.put(varint: gains.count)
      for g in gains { for k in 0..<4 { w.put(UInt8(truncatingIfNeeded: g.bitPattern >> UInt32(8 * k))) } }
    }
    return w.bytes
  }

  /// - Throws: `StreamError` for bytes that do not fit such a field.
  static func read(_ bytes: [UInt8], grid: Grid, components: Int) throws -> (restoration: FieldRestoration, coordinates: Coordinates) {
    var r = Codecs.ByteReader(bytes), out = FieldRestoration(), coordinates = Coordinates.unit
    func require(_ holds: Bool) throws { if !holds { throw StreamError(.invalid, offset: r.offset) } }
    let flags = try r.byte()
    try require(flags < 32)
    if flags & 1 != 0 {
      try require(try r.varint() == components)
      for _ in 0..<components { out.means.append(try r.double()) }
      try require(out.means.allSatisfy(\.isFinite))
    }
    if flags & 8 != 0 || flags & 16 != 0 {
      out.derivative = Derivative(rawValue: flags >> 3)
      try require(out.derivative != nil)
    }
    if flags > 1 {
      for a in 0..<3 {
        let h = try r.double()
        try require(h.isFinite && h != 0 && (grid.periodic[a] || grid.shape[a] == 1))
        coordinates.axes[a] = .uniform(spacing: h)
      }
    }
    if flags & 4 != 0 { for _ in 0..<4 { out.limits.append(try r.varint()) } }
    if out.derivative != nil {
      let n = try r.varint(limit: 3)
      try require(n == components && n == (0..<3).filter { grid.shape[$0] > 1 }.count)
      for _ in 0..<n { out.componentOfAxis.append(try r.varint(limit: n - 1)) }
      try require(Set(out.componentOfAxis).count == n)
    }
    if flags & 2 != 0 {
      try require(try r.varint() == EnergySpectrum.valueCount(grid, coordinates))
      for _ in 0..<EnergySpectrum.valueCount(grid, coordinates) {
        let b = try r.take(4)
        out.gains.append(Float(bitPattern: (0..<4).reduce(UInt32(0)) { $0 | UInt32(b[$1]) << UInt32(8 * $1) }))
      }
      try require(out.gains.allSatisfy { $0.isFinite && $0 >= 0 })
    }
    try require(r.remaining == 0)
    return (out, coordinates)
  }
}

/// A decoded field in the stored type on slabs, restored.
///
/// - Parameter specials: bit patterns that are no data; such cells stay as they are.
/// - Collective: all ranks.
func restored(
  _ arrays: [[RawArray]], in boxes: [Box], to slab: Box, _ restoration: FieldRestoration, coordinates: Coordinates, grid: Grid, type: ScalarType,
  specials: [UInt64], ranks: borrowing Communicator
) throws -> [RawArray] {
  try withRankDomain(grid, coordinates: coordinates, ranks: ranks) { domain in
    let given = try domain.parts(of: arrays, in: boxes, type: type)
    let parts = try restoration.applied(to: masking(given, specials, type), on: domain)
    // What is no data was NaN on the way.
    let whole = zip(parts, given).map { p, g in FieldPart(p.box, zip(p.values, g.values).map { $0.isFinite ? $0 : $1 }) }
    return try domain.handed(whole, to: slab.isEmpty ? [] : [slab]).first.map { $0.map { stored($0, type) } }
      ?? parts.map { _ in RawArray(box: slab, type: type) }
  }
}

/// NaN in the cells that hold one of `patterns`.
func masking(_ parts: FieldParts, _ patterns: [UInt64], _ type: ScalarType) -> FieldParts {
  if patterns.isEmpty { return parts }
  let list = Set(patterns)
  return parts.map { p in
    FieldPart(p.box, p.values.map { v in
      list.contains(type == .float32 ? UInt64(Float(v).bitPattern) : v.bitPattern) ? .nan : v
    })
  }
}

private func stored(_ p: FieldPart, _ type: ScalarType) -> RawArray {
  let out = RawArray(box: p.box, type: type)
  if type == .float32 {
    let d = out.bound(to: Float.self)
    for i in p.values.indices { d[i] = Float(p.values[i]) }
  } else {
    let d = out.bound(to: Double.self)
    for i in p.values.indices { d[i] = p.values[i] }
  }
  return out
}

/// What a restored view comes to, measured at encode time after rounding to the stored type.
struct RestorationMeasure {
  /// With the gains that suit these values.
  private(set) var restoration: FieldRestoration
  /// On the domain, rounded to the stored type.
  let values: FieldParts
  private(set) var maximumError = 0.0, rmse = 0.0

  var kinds: [RestorationKind] { restoration.kinds }

  /// - Parameter restoration: but for its gains.
  /// - Collective: all ranks.
  init(_ restoration: FieldRestoration, _ original: FieldParts, _ decoded: FieldParts, _ type: ScalarType, _ domain: RankDomain) throws {
    var restoration = restoration
    try restoration.setGains(original: original, decoded: decoded, on: domain)
    self.restoration = restoration
    values = try restoration.applied(to: decoded, on: domain).map { p in type == .float32 ? FieldPart(p.box, p.values.map { Double(Float($0)) }) : p }
    var sum = ExactSum(), count = 0, top = 0.0
    for (p, o) in zip(values, original) {
      for i in p.values.indices where o.values[i].isFinite {
        let d = p.values[i] - o.values[i]
        sum.add(d * d)
        count += 1
        top = max(top, abs(d))
      }
    }
    let n = try domain.merged(IntegerSums([count])).values[0], square = try domain.merged(sum).value
    maximumError = try domain.gathered([top]).reduce(0) { max($0, $1[0]) }
    rmse = n > 0 ? (square / Double(n)).squareRoot() : 0
  }
}
