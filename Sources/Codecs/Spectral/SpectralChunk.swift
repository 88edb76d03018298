import CKernels
public import Fields

/// The context coder of quantised modes.
public struct SpectralCoder: Sendable {
  public let modes: SpectralModes
  public let components: Int
  public let scales: SpectralScales

  public init(_ modes: SpectralModes, components: Int, scales: SpectralScales) {
    precondition(scales.codes.count == components * (modes.radius + 1))
    self.modes = modes; self.components = components; self.scales = scales
  }

  /// Values of a chunk.
  public func count(_ chunk: SpectralModes.Chunk) -> Int {
    chunk.boxes.reduce(0) { n, b in n + modes.withPiece(b, components: components, scales: scales.codes) { Int(ald_spectral_count($0)) } }
  }

  /// Classes and values of a chunk in coding order.
  ///
  /// - Parameter q: `[box][component]`, the numbers of all modes of each box.
  public func symbols(_ chunk: SpectralModes.Chunk, _ q: [[RawArray]], classes: UnsafeMutablePointer<UInt8>, values: UnsafeMutablePointer<Int32>) -> Int {
    var n = 0
    for (b, arrays) in zip(chunk.boxes, q) {
      let pointers = arrays.map { UnsafePointer($0.bound(to: Int32.self)) as UnsafePointer<Int32>? }
      let more = modes.withPiece(b, components: components, scales: scales.codes) { p in
        pointers.withUnsafeBufferPointer { ald_spectral_symbols($0.baseAddress!, p, classes + n, values + n) }
      }
      precondition(more != -1, "out of memory")
      n += more
    }
    return n
  }

  /// - Throws: `StreamError` for bytes that are no chunk.
  public func decode(_ chunk: SpectralModes.Chunk, _ bytes: [UInt8], _ tables: ClassTables, into q: [[RawArray]]) throws {
    try bytes.withUnsafeBufferPointer { bytes in
      var d = ald_decoder()
      let empty = count(chunk) == 0
      guard empty == bytes.isEmpty else { throw StreamError(.invalid, offset: 0) }
      if !empty {
        guard ald_decoder_open(&d, tables.pointer, bytes.baseAddress, bytes.count) == 0 else { throw StreamError(.truncated, offset: 0) }
      }
      for (b, arrays) in zip(chunk.boxes, q) {
        let pointers = arrays.map { $0.bound(to: Int32.self) as UnsafeMutablePointer<Int32>? }
        let status = modes.withPiece(b, components: components, scales: scales.codes) { p in
          pointers.withUnsafeBufferPointer { ald_spectral_decode(&d, p, $0.baseAddress!) }
        }
        precondition(status == 0, "out of memory")
      }
      guard empty || ald_decoder_close(&d) == 0 else { throw StreamError(.invalid, offset: bytes.count) }
    }
  }
}
