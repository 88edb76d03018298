import CKernels
import Fields

/// How the coefficients of one transform tile are arranged: what the band contexts need besides the values.
public struct BandLayout: Sendable, Equatable {
  public enum Transform: Sendable, Equatable {
    case lapped(edge: Int)
    /// 9/7, three levels, in place; the tile starts at a multiple of 8.
    case wavelet
  }
  public let transform: Transform
  public let shape: Index3
  /// First index of each block per axis, inside the tile; one 0 for the wavelet.
  public let starts: [[Int32]]
  /// Quarter octaves by which the values of each band were multiplied (`BandWeights.contextFactors`), so that contexts compare magnitudes in
  /// one unit; empty: none.
  let factors: [UInt8]

  /// - Parameter starts: block starts per axis, from 0 in steps of `edge`; only the last block may have another width.
  public init(lapped shape: Index3, edge: Int, starts: [[Int32]], factors: [UInt8] = []) throws {
    transform = .lapped(edge: edge)
    self.shape = shape; self.starts = starts; self.factors = factors
    guard starts.count == 3, starts.allSatisfy({ !$0.isEmpty }), factors.isEmpty || factors.count == edge * edge * edge else {
      throw StreamError(.invalid, offset: 0)
    }
    try check(BandSide())
  }
  public init(wavelet shape: Index3) throws {
    transform = .wavelet
    self.shape = shape; starts = [[0], [0], [0]]; factors = []
    try check(BandSide())
  }
  public var count: Int { shape.product }

  /// Calls `body` with the C description of the tile.
  func withShape<R>(_ side: BandSide, _ body: (inout ald_tile_shape) throws -> R) rethrows -> R {
    try starts[0].withUnsafeBufferPointer { z in
      try starts[1].withUnsafeBufferPointer { y in
        try starts[2].withUnsafeBufferPointer { x in try factors.withUnsafeBufferPointer { f in
          var s = ald_tile_shape()
          if case .lapped(let edge) = transform { s.kind = ALD_BANDS_LOT; s.block_edge = Int32(clamping: edge) } else { s.kind = ALD_BANDS_WAVELET }
          s.n = (Int32(clamping: shape.z), Int32(clamping: shape.y), Int32(clamping: shape.x))
          s.blocks = (Int32(clamping: z.count), Int32(clamping: y.count), Int32(clamping: x.count))
          s.starts = (z.baseAddress, y.baseAddress, x.baseAddress)
          s.factors = factors.isEmpty ? nil : f.baseAddress
          s.active = (Int32(side.active.z), Int32(side.active.y), Int32(side.active.x))
          s.zero_bands = side.zeroBands
          s.difference = side.difference ? 1 : 0
          return try body(&s)
        } }
      }
    }
  }
  func check(_ side: BandSide) throws {
    guard withShape(side, { ald_bands_check(&$0) }) == 0 else { throw StreamError(.invalid, offset: 0) }
  }
  /// Frequencies per axis when none is skipped.
  var widths: Index3 {
    guard case .lapped(let edge) = transform else { return Index3(repeating: 0) }
    var w = Index3(repeating: 1)
    for a in 0..<3 { w[a] = max(starts[a].count > 1 ? edge : 1, shape[a] - Int(starts[a].last!)) }
    return w
  }

  public func survey(_ q: UnsafePointer<Int32>) -> BandSide {
    withShape(BandSide()) { s in
      ald_bands_survey(q, &s)
      return BandSide(active: Index3(Int(s.active.0), Int(s.active.1), Int(s.active.2)), zeroBands: s.zero_bands, difference: s.difference != 0)
    }
  }
  /// Values coded for a tile with this side information.
  public func codedCount(_ side: BandSide) -> Int { withShape(side) { ald_bands_count(&$0) } }

  /// Classes and values in coding order; both buffers need `codedCount` entries (`count` always suffices).
  @discardableResult
  public func symbols(_ q: UnsafePointer<Int32>, side: BandSide, model: BandModel, classes: UnsafeMutablePointer<UInt8>,
                      values: UnsafeMutablePointer<Int32>) -> Int {
    withShape(side) { s in
      let expected = ald_bands_count(&s)
      if expected == 0 { return 0 }
      var m = model.kernel
      let n = ald_bands_symbols(q, &s, &m, classes, values)
      precondition(n == expected, "out of memory")
      return n
    }
  }
  /// Reads the tile from an opened stream. Whatever the stream holds, `q` is filled; the caller closes the decoder and looks at its verdict.
  public func decode(_ decoder: inout ald_decoder, side: BandSide, model: BandModel, into q: UnsafeMutablePointer<Int32>) {
    withShape(side) { s in
      var m = model.kernel
      precondition(ald_bands_decode(&decoder, &s, &m, q) == 0, "out of memory")
    }
  }
}

/// What the stream of a tile says before its values.
public struct BandSide: Sendable, Equatable {
  /// Frequencies at or above these are zero in every block (lapped).
  public var active = Index3(repeating: 0)
  /// Bit per zero sub-band (wavelet): `7 * level + parity - 1`, 21 = LL.
  public var zeroBands: UInt32 = 0
  /// The lowest band is coded as differences.
  public var difference = false
  public init() {}
  init(active: Index3, zeroBands: UInt32, difference: Bool) { self.active = active; self.zeroBands = zeroBands; self.difference = difference }

  /// One byte for a tile without zero bands or with nothing else, four otherwise.
  public func serialised(for layout: BandLayout) -> [UInt8] {
    if layout.codedCount(self) == 0 { return [0] }
    let flag: UInt8 = difference ? 4 : 0
    switch layout.transform {
    case .lapped:
      if active == layout.widths { return [1 | flag] }
      return [2 | flag, UInt8(active.z), UInt8(active.y), UInt8(active.x)]
    case .wavelet:
      if zeroBands == 0 { return [1 | flag] }
      return [2 | flag, UInt8(zeroBands & 255), UInt8(zeroBands >> 8 & 255), UInt8(zeroBands >> 16)]
    }
  }
  public init(serialised bytes: [UInt8], for layout: BandLayout) throws {
    guard let head = bytes.first, head < 8, bytes.count == (head & 3 == 2 ? 4 : 1), head & 3 != 3, head != 4 else {
      throw StreamError(bytes.isEmpty ? .truncated : .invalid, offset: 0)
    }
    difference = head & 4 != 0
    switch (layout.transform, head & 3) {
    case (.lapped, 0): break
    case (.lapped, 1): active = layout.widths
    case (.lapped, _): active = Index3(Int(bytes[1]), Int(bytes[2]), Int(bytes[3]))
    case (.wavelet, 0): zeroBands = 1 << 22 - 1
    case (.wavelet, 1): break
    case (.wavelet, _): zeroBands = UInt32(bytes[1]) | UInt32(bytes[2]) << 8 | UInt32(bytes[3]) << 16
    }
    try layout.check(self)
  }
}
