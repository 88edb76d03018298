import CxxHash
public import Fields

/// What a model file holds and a container names by its hash.
public enum LearnedModel: Sendable, Equatable {
  /// Corrects what a transform decodes.
  case network(Network)
  /// A member of the codec bank.
  case autoencoder(Autoencoder)

  /// - Throws: `StreamError` for bytes that are no model of this version.
  public init(serialised bytes: [UInt8]) throws {
    self = bytes.first == Autoencoder.version ? .autoencoder(try Autoencoder(serialised: bytes)) : .network(try Network(serialised: bytes))
  }
  public var serialised: [UInt8] {
    switch self {
    case .network(let n): n.serialised
    case .autoencoder(let a): a.serialised
    }
  }
  /// XXH3-64 of the canonical bytes: what the model is.
  public var hash: UInt64 { serialised.withUnsafeBytes { XXH3_64bits($0.baseAddress, $0.count) } }
  public var hashText: String { Network.text(of: hash) }

  /// Whether fields of this kind have the axes and components that it takes.
  public func suits(_ grid: Grid, components: Int) -> Bool {
    switch self {
    case .network(let n): n.shape.suits(grid, components: components)
    case .autoencoder(let a): a.shape.suits(grid, components: components)
    }
  }
  /// What fields it suits.
  public var domain: String {
    switch self {
    case .network(let n): "\(n.shape.components) components in \(n.shape.dimensions) dimensions"
    case .autoencoder(let a): "\(a.shape.components) components in patches of \(a.shape.patch) cells"
    }
  }
  /// In words: what it is, how values reach it, and its sizes.
  public var description: (kind: String, normalisation: String, architecture: String) {
    switch self {
    case .network(let n):
      let s = n.shape
      return ("residual convolutional network behind the synthesis of a transform", "values are divided by the quantiser step",
        "components \(s.components), dimensions \(s.dimensions), patch \(s.patch), width \(s.width), blocks \(s.blocks)")
    case .autoencoder(let a):
      let s = a.shape, size = switch s.normalisation { case .none: "taken as they are"; case .range: "less the mean, over the range"; case .rms: "less the mean, over their root mean square" }
      func hidden(_ h: Autoencoder.Hidden) -> String { h.width == 0 ? "linear" : "width \(h.width), blocks \(h.blocks)" }
      return ("autoencoder of patches, codes \(s.coding)", "values are \(size)",
        "components \(s.components), patch \(s.patch), latents \(s.latents), analysis \(s.analysis.map(hidden) ?? "tied"), synthesis \(hidden(s.synthesis)), penalty on \(s.structure), \(s.bits) bits per weight")
    }
  }
}
