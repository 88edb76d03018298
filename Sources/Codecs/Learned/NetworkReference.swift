/// The network of a field in a container: in the header itself, or in a model file with the same hash.
public enum NetworkReference: Sendable, Equatable {
  case stored(hash: UInt64)
  case inline(Network)

  /// What is added to the codec's name: the hash, or that the weights are in the container.
  public var suffix: String {
    switch self {
    case .stored(let hash): "+" + Network.text(of: hash)
    case .inline: "+filter"
    }
  }

  var serialised: [UInt8] {
    var w = ByteWriter()
    switch self {
    case .stored(let hash): w.put(UInt8(0)); w.put(hash)
    case .inline(let network): w.put(UInt8(1)); w.put(network.serialised)
    }
    return w.bytes
  }
  init(serialised bytes: [UInt8]) throws {
    var r = ByteReader(bytes)
    switch try r.byte() {
    case 0:
      self = .stored(hash: try r.word())
      guard r.remaining == 0 else { throw StreamError(.invalid, offset: r.offset) }
    case 1: self = .inline(try Network(serialised: try r.take(r.remaining)))
    default: throw StreamError(.unknownVersion, offset: 0)
    }
  }
}
