import Codecs
import Glibc
import MPI

extension FieldEncoder {
  /// Whether coding on a coarser grid takes part in the choice.
  var weighsResampled: Bool { forced == nil && globalTransforms && shaping == nil && history == nil && suitsSpectral }

  /// `nil` where the field has too many waves.
  ///
  /// - Collective: all ranks.
  func coarserGrid(ranks: borrowing Communicator) throws -> ResampledEncoder? {
    guard weighsResampled else { return nil }
    if let coarser { return coarser }
    let trial = try bankTrial(ranks: ranks), wanted = aim(target.rmse ?? exp2(trial.score), bits: 0.6 * trial.score)
    let found = try phases.measure("transform") { try ResampledEncoder.make(self, wanted: wanted, ranks: ranks) }
    coarser = .some(found)
    return found
  }

  /// The field on a coarser grid, or `tiles` on its own, whichever is better. Where the trials are near, both code the field.
  ///
  /// - Collective: all ranks.
  func runResampled(_ coding: FieldCoding, ranks: borrowing Communicator, tiles: () throws -> EncodedField) throws -> EncodedField {
    if forced == .resampled {
      guard suitsSpectral, let wanted = target.rmse ?? target.rate.map({ survey.range * exp2(-$0 - 2) }),
            let coarser = try ResampledEncoder.make(self, wanted: aim(wanted, bits: 2), ranks: ranks), let encoded = try coarser.encode(coding, ranks: ranks)
      else { throw Failure(.usage, "--codec resampled: \(source.name) has missing values, does not wrap along every axis (--periodic), is coded by logarithms, or has too many waves") }
      return encoded
    }
    guard let coarser = try coarserGrid(ranks: ranks) else { return try tiles() }
    let trial = try bankTrial(ranks: ranks)
    // A score at a rate is no number of bits.
    let ratio = try target.rate == nil ? coarser.score(ranks: ranks) / max(trial.score, 1e-9) : 1
    if ratio > 1.1 { return try tiles() }
    guard let few = try coarser.encode(coding, ranks: ranks) else { return try tiles() }
    if ratio < 0.9, correctors.isEmpty { return few }
    // Both leave decoded values behind: those of the better one are wanted.
    let values = decoded?.array, tiled = try tiles()
    var better = storedBytes(few) < storedBytes(tiled)
    if target.rate != nil, let a = few.rmse, let b = tiled.rmse { better = a < b }
    if better, let values, let decoded { for i in values.indices { decoded[i] = values[i] } }
    return better ? few : tiled
  }

  /// Root mean square error to aim at: outliers cost least where the bound is so many times that.
  ///
  /// - Parameter bits: per value, roughly; about five times the share of coefficients that are not zero.
  private func aim(_ wanted: Double, bits: Double) -> Double {
    target.pointwise.map { $0 / SpectralEncoder.boundOverRmse(active: min(1, bits / 5)) } ?? wanted
  }
}
