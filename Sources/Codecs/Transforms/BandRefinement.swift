import Fields

/// Further bits of the coefficients of some bands: with s bits, integers Q of step Delta / 2^s are coded as the common integer
/// q = floor(Q / 2^s + 1/2) in its usual place and Q - 2^s q + 2^(s-1), s plain bits, which have no structure left to model.
public struct BandRefinement: Equatable, Sendable {
  /// Bits per band, as exponents of a table of weights.
  public let bits: BandWeights
  public static let largest = 32

  /// - Precondition: at most `largest` bits.
  public init(_ bits: BandWeights) {
    precondition(bits.tables.allSatisfy { $0.allSatisfy { $0 <= BandRefinement.largest } })
    self.bits = bits
  }

  public var serialised: [UInt8] { bits.serialised }
  /// - Throws: `StreamError` for bytes that `serialised` cannot give.
  public init(serialised bytes: [UInt8], edge: Int) throws {
    bits = try BandWeights(serialised: bytes, edge: edge)
    guard bits.tables.allSatisfy({ $0.allSatisfy { $0 <= BandRefinement.largest } }) else { throw StreamError(.invalid, offset: 0) }
  }
}

/// The refined coefficients of one tile.
public struct RefinedTile: Sendable {
  /// Offsets in the tile, ascending, and their bits.
  private var places: [(offset: Int, bits: Int)] = []
  private var integers: [Int] = []

  public init(_ refinement: BandRefinement, _ scaler: BandScaler, box: Box, component: Int) {
    let tables = refinement.bits.tables, table = tables[tables.count == 1 ? 0 : component]
    guard table.contains(where: { $0 > 0 }) else { return }
    scaler.eachBand(of: box) { if table[$1] > 0 { places.append(($0, Int(table[$1]))) } }
  }

  /// Bytes of the plain bits in a tile's stream.
  public var byteCount: Int { (places.reduce(0) { $0 + $1.bits } + 7) / 8 }

  /// Rounds to the finer steps and leaves the common integers in `q`.
  public mutating func quantise(_ coefficients: RawArray, step: Double, into q: RawArray) {
    let out = q.bound(to: Int32.self)
    integers = places.map { place in
      let v = coefficients.elementSize == 4 ? Double(coefficients.bound(to: Float.self)[place.offset]) : coefficients.bound(to: Double.self)[place.offset]
      let fine = Int((v / (step * RefinedTile.power(-place.bits))).rounded())
      out[place.offset] = Int32((fine + 1 << (place.bits - 1)) >> place.bits)
      return fine
    }
  }

  /// The plain bits, least significant first.
  public var bytes: [UInt8] {
    var out = [UInt8](repeating: 0, count: byteCount), at = 0
    for (place, fine) in zip(places, integers) {
      let low = (fine + 1 << (place.bits - 1)) & (1 << place.bits - 1)
      for k in 0..<place.bits {
        if low >> k & 1 != 0 { out[at >> 3] |= 1 << UInt8(at & 7) }
        at += 1
      }
    }
    return out
  }

  /// - Parameter bytes: `byteCount` of them.
  public mutating func read(_ bytes: some Collection<UInt8>, _ q: RawArray) {
    let given = Array(bytes), p = q.bound(to: Int32.self)
    var at = 0
    integers = places.map { place in
      var low = 0
      for k in 0..<place.bits {
        if given[at >> 3] >> UInt8(at & 7) & 1 != 0 { low |= 1 << k }
        at += 1
      }
      return Int(p[place.offset]) << place.bits + low - 1 << (place.bits - 1)
    }
  }

  /// Q (Delta 2^-s), a binary64 product, rounded to the array's type.
  public func dequantise(step: Double, into a: RawArray) {
    for (place, fine) in zip(places, integers) {
      let v = Double(fine) * (step * RefinedTile.power(-place.bits))
      if a.elementSize == 4 { a.bound(to: Float.self)[place.offset] = Float(v) } else { a.bound(to: Double.self)[place.offset] = v }
    }
  }

  private static func power(_ k: Int) -> Double { Double(sign: .plus, exponent: k, significand: 1) }
}
