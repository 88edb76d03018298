import Compressor

/// Sizes of a code of patches and where its parameters lie; the maps are told in CTorch.h.
struct CodeShape {
  var kind: TrainOptions.Kind
  var components: Int, dimensions: Int, patch: Int
  /// Coordinates of a patch that are coded, latents, widths of the hidden layers of analysis and synthesis (0: none).
  var inputs: Int, latents: Int, before: Int, behind: Int
  /// Latents of a group that an L1 penalty takes together.
  var group = 1
  /// Steps of FISTA; 0: the analysis gives the latents.
  var solve = 0

  static let solveSteps = 30
  /// Distributions of a latent's density.
  var mixtures: Int { kind == .autoencoder ? 3 : 0 }
  /// Values of a patch.
  var channels: Int { components * (0..<dimensions).reduce(1) { n, _ in n * patch } }

  enum Part: CaseIterable { case analysis, offset, before, beforeBias, beforeOut, synthesis, mean, behind, behindBias, behindOut, step, logits, means, scales }
  func count(_ p: Part) -> Int {
    switch p {
    case .analysis, .synthesis: latents * inputs
    case .offset, .step: latents
    case .before: before * inputs
    case .beforeBias: before
    case .beforeOut: latents * before
    case .mean: inputs
    case .behind: behind * latents
    case .behindBias: behind
    case .behindOut: inputs * behind
    case .logits, .means, .scales: latents * mixtures
    }
  }
  func range(_ part: Part) -> Range<Int> {
    var at = 0
    for p in Part.allCases {
      if p == part { return at..<at + count(p) }
      at += count(p)
    }
    preconditionFailure()
  }
  var parameterCount: Int { Part.allCases.reduce(0) { $0 + count($1) } }
}
