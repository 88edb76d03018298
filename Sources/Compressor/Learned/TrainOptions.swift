import Foundation

/// What `train` is to do. Reaches the trainer, a program of its own, as one word of JSON.
public struct TrainOptions: Codable, Sendable {
  /// What is learned.
  public enum Kind: String, Codable, Sendable, CaseIterable {
    /// A network that corrects what a transform decodes.
    case network
    /// Codes of patches: latents under a trained density, under an L1 penalty, or with a Gaussian posterior.
    case autoencoder, sparse, variational
  }
  /// What training puts in place of rounding.
  public enum Quantisation: String, Codable, Sendable, CaseIterable {
    /// Uniform noise of one step.
    case noise
    /// Rounding, with the derivative of the identity.
    case round
  }
  /// How an L1 penalty acts on latents of a learned analysis.
  public enum Penalty: String, Codable, Sendable, CaseIterable { case proximal, smooth }

  public var input: String
  public var output: String
  public var field: String
  public var kind = Kind.network
  /// Operating points of the transform; of a code the one of its start.
  public var psnr: [Double] = []
  /// Codes: bits per value to end at.
  public var rate: Double?
  /// `nil`: all but the last.
  public var steps: Range<Int>?
  /// `nil`: the last.
  public var validation: Range<Int>?
  public var patch = 2, width = 32, blocks = 1
  /// Codes: number of latents; 0: as many as carry anything, sparse ones as many as there are coordinates.
  public var latents = 0
  public var quantisation = Quantisation.noise
  public var penalty = Penalty.proximal
  /// `identity`, `bits`, or `groups:N`.
  public var structure = "identity"
  /// Sparse codes: lambda / 2 in steps.
  public var threshold = 0.6
  /// Variational codes: gamma, and the capacity in nats per patch (`nil`: that of the principal components).
  public var pull = 0.3
  public var capacity: TrainingSchedule?
  /// Bits of a stored weight.
  public var weightBits = 16
  /// Latents by the magnitudes around them, or each for itself.
  public var contexts = true
  public var epochs = 40
  /// Blocks per step of the optimiser over all ranks.
  public var batch = 8
  public var learningRate = 2e-3
  public var patience = 8
  /// lambda_D, and lambda_P by name of the observable.
  public var distortion = TrainingSchedule(1)
  public var physics: [String: TrainingSchedule] = [:]
  /// Edge of averaged boxes.
  public var box = 8
  public var seed = 1
  public var checkpoint: String?
  /// -1: CPU; else the number of a CUDA device.
  public var device = -1
  public var licence = "unstated"
  public var reading = InputOptions()
  public var report: String?
  public var quiet = false
  /// A model whose forward pass is timed; nothing is trained.
  public var timed: String?

  public init(input: String, output: String, field: String) { self.input = input; self.output = output; self.field = field }

  /// Observables with a derivative in the trainer, in its order.
  public static let observables = ["box", "gradient", "vorticity", "energy", "spectrum"]

  /// lambda_D, lambda_P of each observable.
  ///
  /// - Parameter t: updates done over all, 0 ... 1.
  public func weights(at t: Double) -> [Double] { [distortion.value(at: t)] + TrainOptions.observables.map { physics[$0]?.value(at: t) ?? 0 } }

  /// The options as JSON, keys sorted.
  public var text: String {
    let e = JSONEncoder()
    e.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try! e.encode(self), as: UTF8.self)
  }
  /// `nil` for text that `text` did not give.
  public init?(_ text: String) {
    guard let o = try? JSONDecoder().decode(TrainOptions.self, from: Data(text.utf8)) else { return nil }
    self = o
  }
}
