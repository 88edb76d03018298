import Fields

/// What a predicted step says of the steps it is predicted from: the prediction block of its header, docs/format.md section 7.17.
public struct Prediction: Equatable, Sendable {
  /// A committed step of the same field.
  public struct Reference: Equatable, Sendable {
    /// Name of its container, in the folder of this one; empty: this container.
    public var file: String
    /// XXH3-64 of the first 512 bytes of that file, which hold, level by level, the checksums of all else; 0 for this container.
    public var root: UInt64
    /// Its number.
    public var step: Int
    public init(file: String, root: UInt64, step: Int) { self.file = file; self.root = root; self.step = step }
    /// Whether the name can be that of a file beside the container.
    public var isPlain: Bool { file != "." && file != ".." && !file.utf8.contains(0) && !file.contains("/") }
  }
  /// One or two, the newest first. The second is the first one's first.
  public var references: [Reference]
  /// Steps since the key step, 1 for the first predicted one.
  public var position: Int
  /// Number of the key step.
  public var key: Int
  /// Serialised `PredictionGains`.
  public var gains: [UInt8]

  public init(references: [Reference], position: Int, key: Int, gains: PredictionGains, _ bins: PredictionBins) {
    self.references = references; self.position = position; self.key = key
    self.gains = gains.serialised(bins)
  }

  /// The gains for use.
  ///
  /// - Throws: `StreamError` where they are not gains for such a field.
  public func predictor(_ member: FieldCoding.Member, grid: Grid, components: Int) throws -> Predictor {
    guard let level = PredictionGains.level(of: gains) else { throw StreamError(.invalid, offset: 0) }
    let bins = PredictionBins(member, grid: grid, level: level)
    return Predictor(try PredictionGains(serialised: gains, references: references.count, components: components, bins: bins), bins)
  }

  var serialised: [UInt8] {
    var w = ByteWriter()
    w.put(varint: references.count)
    for r in references {
      w.put(block: Array(r.file.utf8))
      w.put(varint: r.step)
      if !r.file.isEmpty { w.put(r.root) }
    }
    w.put(varint: position)
    w.put(varint: key)
    w.put(gains)
    return w.bytes
  }

  /// - Throws: `StreamError` for bytes that `serialised` cannot give.
  init(serialised bytes: [UInt8]) throws {
    var r = ByteReader(bytes)
    let n = try r.varint(limit: 2)
    guard n > 0 else { throw StreamError(.invalid, offset: 0) }
    references = try (0..<n).map { _ in
      guard let file = String(validating: try r.block(), as: UTF8.self) else { throw StreamError(.invalid, offset: r.offset) }
      let step = try r.varint(limit: .max)
      let reference = Reference(file: file, root: file.isEmpty ? 0 : try r.word(), step: step)
      guard reference.isPlain else { throw StreamError(.invalid, offset: r.offset) }
      return reference
    }
    position = try r.varint()
    key = try r.varint(limit: .max)
    guard position >= n else { throw StreamError(.invalid, offset: r.offset) }
    gains = try r.take(r.remaining)
    guard PredictionGains.level(of: gains) != nil else { throw StreamError(.invalid, offset: r.offset) }
  }
}
