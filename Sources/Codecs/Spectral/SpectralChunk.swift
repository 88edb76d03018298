import CKernels
public import Fields

/// The context coder of quantised modes.
public struct SpectralCoder: Sendable {
  public let modes: SpectralModes
  public let components: Int
  public let scales: SpectralScales
  /// Of each component, as of `ald_spectral.h`; empty: none.
  public let symmetries: [UInt8]

  public init(_ modes: SpectralModes, components: Int, scales: SpectralScales, symmetries: [UInt8] = []) {
    precondition(scales.codes.count == components * (modes.radius + 1) && (symmetries.isEmpty || symmetries.count == components))
    self.modes = modes; self.components = components; self.scales = scales; self.symmetries = symmetries
  }

  /// Values of a chunk.
  public func count(_ chunk: SpectralModes.Chunk) -> Int {
    chunk.boxes.reduce(0) { n, b in n + modes.withPiece(b, components: components, scales: scales.codes) { Int(ald_spectral_count($0)) } }
  }

  /// Calls `body` with each box of a chunk, in order, and the number of the box that it mirrors.
  private func eachBox(_ chunk: SpectralModes.Chunk, _ body: (Int, Int, UnsafePointer<ald_spectral_piece>) -> Void) {
    var source = 0
    for (i, b) in chunk.boxes.enumerated() {
      if chunk.mirrors[i] == 0 { source = i }
      modes.withPiece(b, components: components, scales: scales.codes, symmetries: symmetries, mirror: chunk.mirrors[i], source: chunk.boxes[source]) { body(i, source, $0) }
    }
  }

  /// Classes and values of a chunk in coding order.
  ///
  /// - Parameter q: `[box][component]`, the numbers of all modes of each box.
  /// - Returns: how many values there are, how many were told by mirror images, and of how many of these that was wrong.
  public func symbols(
    _ chunk: SpectralModes.Chunk, _ q: [[RawArray]], classes: UnsafeMutablePointer<UInt8>, values: UnsafeMutablePointer<Int32>
  ) -> (count: Int, told: Int, missed: Int) {
    var n = 0, misses: [Int64] = [0, 0]
    let pointers = q.map { $0.map { UnsafePointer($0.bound(to: Int32.self)) as UnsafePointer<Int32>? } }
    eachBox(chunk) { i, source, p in
      let more = pointers[i].withUnsafeBufferPointer { own in pointers[source].withUnsafeBufferPointer {
        ald_spectral_symbols(own.baseAddress!, p, $0.baseAddress!, classes + n, values + n, &misses)
      } }
      precondition(more != -1, "out of memory")
      n += more
    }
    return (n, Int(misses[0]), Int(misses[1]))
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
      let pointers = q.map { $0.map { $0.bound(to: Int32.self) as UnsafeMutablePointer<Int32>? } }
      eachBox(chunk) { i, source, p in
        let status = pointers[i].withUnsafeBufferPointer { own in pointers[source].withUnsafeBufferPointer { ald_spectral_decode(&d, p, $0.baseAddress!, own.baseAddress!) } }
        precondition(status == 0, "out of memory")
      }
      guard empty || ald_decoder_close(&d) == 0 else { throw StreamError(.invalid, offset: bytes.count) }
    }
  }
}
