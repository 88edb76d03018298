import Compressor
import Foundation

/// The course of a training, for people and programs.
struct TrainingLog: Codable {
  struct Point: Codable { var psnr: Double, bits: Double }
  struct Epoch: Codable {
    var epoch: Int
    /// Mean of the loss over the batches; null before the first epoch.
    var loss: Double?
    var validation: Double
    /// D and P of the validation over those without a network.
    var terms: [Double]
    /// dB that the network takes from the squared error of the validation.
    var gain: Double
    var seconds: Double
  }
  let options: TrainOptions
  let ranks: Int, parameters: Int
  /// Blocks learned from.
  var blocks = 0
  /// Bits per value of the transform alone.
  var points: [Point] = []
  var epochs: [Epoch] = []
  var hash = ""
  var torch = ""

  var json: String {
    let e = JSONEncoder()
    e.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    e.nonConformingFloatEncodingStrategy = .convertToString(positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    return String(decoding: try! e.encode(self), as: UTF8.self) + "\n"
  }
}
