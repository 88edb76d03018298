import Codecs
import Fields

/// Steps of the bands for one pass.
struct Shaping {
  let weights: BandWeights
  let scaler: BandScaler
  /// Predicted step relative to the one without factors.
  let stepRatio: Double
}

extension FieldEncoder {
  /// Makes following passes leave their decoded values in `decoded`.
  func keepDecoded() { decoded = Slots<RawArray?>(layout.units.count, nil) }
}
