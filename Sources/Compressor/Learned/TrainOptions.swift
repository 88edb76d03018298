import Foundation

/// What `train` is to do. Reaches the trainer, a program of its own, as one word of JSON.
public struct TrainOptions: Codable, Sendable {
  public var input: String
  public var output: String
  public var field: String
  /// Operating points of the transform.
  public var psnr: [Double] = []
  /// `nil`: all but the last.
  public var steps: Range<Int>?
  /// `nil`: the last.
  public var validation: Range<Int>?
  public var patch = 2, width = 32, blocks = 1
  public var epochs = 40
  /// Blocks per step of the optimiser over all ranks.
  public var batch = 8
  public var learningRate = 2e-3
  public var patience = 8
  /// lambda_D, and lambda_P by name of the observable.
  public var distortion = 1.0
  public var physics: [String: Double] = [:]
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

  public init(input: String, output: String, field: String) { self.input = input; self.output = output; self.field = field }

  /// Observables with a derivative in the trainer, in its order.
  public static let observables = ["box", "gradient", "vorticity", "energy", "spectrum"]

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
