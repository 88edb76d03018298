import Codecs
import Fields

/// Steps of the bands for one pass.
struct Shaping {
  let weights: BandWeights?
  /// Further bits of the carriers.
  let refinement: BandRefinement?
  let scaler: BandScaler
  /// Predicted step relative to the one without factors.
  let stepRatio: Double
  /// Share of the error asked for that is aimed at.
  var aim = 1.0
  /// Added to the coefficients of this rank's streams before they are rounded.
  var change: [RawArray]?
  /// Step and shifts of an earlier pass, to be taken as they are.
  var fixed: (step: Double, shifts: [UInt8])?

  init(weights: BandWeights, refinement: BandRefinement? = nil, _ transform: LappedOrthogonalTransform, stepRatio: Double) {
    self.weights = weights.isFlat ? nil : weights
    self.refinement = refinement
    scaler = BandScaler(self.weights, transform)
    self.stepRatio = stepRatio
  }
  /// Weight 0: nothing differs from a plain coding.
  var isPlain: Bool { weights == nil && refinement == nil && aim == 1 && change == nil && fixed == nil }
  var weighted: BandScaler? { weights != nil ? scaler : nil }
}

extension FieldEncoder {
  /// Makes following passes leave their decoded values in `decoded`.
  func keepDecoded() { decoded = Slots<RawArray?>(layout.units.count, nil) }
}
