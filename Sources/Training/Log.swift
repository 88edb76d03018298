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
    /// D and P of the validation over those without a network, or of the principal components.
    var terms: [Double]
    /// dB that has been taken from the squared error of the validation.
    var gain: Double
    /// Codes: bits per value of the validation, dB, the factor on D and P.
    var rate: Double?, psnr: Double?, multiplier: Double?
    var seconds: Double
  }
  let options: TrainOptions
  let ranks: Int, parameters: Int
  /// Blocks learned from.
  var blocks = 0
  /// Bits per value of the transform alone, or of the principal components.
  var points: [Point] = []
  /// Codes that learn for observables: dB of D, P_0, ... that the law's code wins (above 0) over the principal components at equal rate; of the trained one at the end.
  var foretold: [Double]?
  var audit: CodeAudit?
  var epochs: [Epoch] = []
  var hash = "", outcome = ""
  var torch = ""

  var json: String {
    let e = JSONEncoder()
    e.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    e.nonConformingFloatEncodingStrategy = .convertToString(positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    return String(decoding: try! e.encode(self), as: UTF8.self) + "\n"
  }
}
