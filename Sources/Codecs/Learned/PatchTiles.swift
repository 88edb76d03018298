/// What the header of a lapped field says of the tiles that an autoencoder codes in its place; docs/format.md section 7.22.
public struct PatchTiles: Equatable, Sendable {
  /// Factor on the steps of latents, and reconstruction shifts.
  public var factor: Double, shifts: [UInt8]
  /// Serialised `PatchNormalisation`, of values less the field's offset, and class tables.
  public var settings: [UInt8], tables: [UInt8]
  /// By position in coding order, lowest bit first.
  private var bits: [UInt8]

  public init(factor: Double, shifts: [UInt8], settings: [UInt8], tables: [UInt8], chosen: [Bool]) {
    self.factor = factor; self.shifts = shifts; self.settings = settings; self.tables = tables
    bits = [UInt8](repeating: 0, count: (chosen.count + 7) / 8)
    for (t, c) in chosen.enumerated() where c { bits[t / 8] |= 1 << UInt8(t % 8) }
  }

  var serialised: [UInt8] {
    var w = ByteWriter()
    w.put(factor); w.put(shifts); w.put(block: settings); w.put(block: tables); w.put(bits)
    return w.bytes
  }
  init(serialised bytes: [UInt8]) throws {
    var r = ByteReader(bytes)
    factor = try r.double()
    guard factor > 0, factor.isFinite else { throw StreamError(.invalid, offset: 0) }
    shifts = try r.take(3); settings = try r.block(); tables = try r.block(); bits = try r.take(r.remaining)
  }

  /// Which tiles.
  ///
  /// - Throws: `StreamError`: the bits are not those of so many tiles.
  public func chosen(of count: Int) throws -> [Bool] {
    guard bits.count == (count + 7) / 8, count % 8 == 0 || bits[bits.count - 1] >> UInt8(count % 8) == 0 else { throw StreamError(.invalid, offset: 0) }
    return (0..<count).map { bits[$0 / 8] >> UInt8($0 % 8) & 1 == 1 }
  }
}
