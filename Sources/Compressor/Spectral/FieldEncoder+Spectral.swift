import Codecs
import Glibc
import MPI

extension FieldEncoder {
  /// Whether the spectral member takes part in the choice.
  var weighsSpectral: Bool { forced == nil && globalTransforms && !tileAccess && shaping == nil && suitsSpectral }

  /// The spectral member or the members by tile, whichever is better.
  ///
  /// One transform of the field gives the spectral member's bits; those of the other members come from their trial. Where the two are
  /// near, both code the field, those by tile also on a coarser grid.
  ///
  /// - Collective: all ranks.
  func runSpectral(_ coding: FieldCoding, ranks: borrowing Communicator, tiles: () throws -> EncodedField) throws -> EncodedField {
    if let s = spectral, s.shaping != nil {
      guard let pass = try s.aimed(coding, ranks: ranks) else { throw Failure(.boundViolated, "\(source.name): no steps of shells meet --\(target.bound.kind)") }
      return try s.encode(from: pass, coding, ranks: ranks)
    }
    spectral = nil
    coarser = nil
    func chosen(_ s: SpectralEncoder, _ e: EncodedField) -> EncodedField {
      if decoded != nil { spectral = s }
      return e
    }
    if forced == .spectral {
      guard suitsSpectral else {
        throw Failure(.usage, "--codec spectral: \(source.name) has missing values, does not wrap along every axis (--periodic), or is coded by logarithms")
      }
      let s = try phases.measure("transform") { try SpectralEncoder(self, ranks: ranks) }
      guard let pass = try s.aimed(coding, ranks: ranks) else { throw Failure(.usage, "--codec spectral cannot meet --\(target.bound.kind) on \(source.name): coefficients of more than 28 bits, or too few of them for the rate") }
      return chosen(s, try s.encode(from: pass, coding, ranks: ranks))
    }
    guard weighsSpectral else { return try runResampled(coding, ranks: ranks, tiles: tiles) }
    let trial = try bankTrial(ranks: ranks), bits = target.rate ?? trial.score
    guard let (s, pass) = try spectralPass(coding, against: trial, ranks: ranks) else { return try tiles() }
    // In bits per value; outliers are left out on both sides.
    let gain = trial.score - s.score(of: pass)
    // Prediction from earlier steps, which members by tile alone have, about halves their bits.
    if history != nil { return gain > 0.5 * bits ? chosen(s, try s.encode(from: pass, coding, ranks: ranks)) : try tiles() }
    if gain < -0.3 * bits { return try tiles() }
    var isBest = gain > 0.2 * bits
    if isBest, gain < 0.5 * bits, target.rate == nil, let c = try coarserGrid(ranks: ranks) { isBest = try c.score(ranks: ranks) > 1.05 * s.score(of: pass) }
    let modes = try s.encode(from: pass, coding, ranks: ranks)
    if isBest { return chosen(s, modes) }
    // Both leave decoded values behind: those of the better one are wanted.
    let values = decoded?.array
    let tiled = try runResampled(coding, ranks: ranks, tiles: tiles)
    var better = storedBytes(modes) < storedBytes(tiled)
    if target.rate != nil, let a = modes.rmse, let b = tiled.rmse { better = a < b }
    if better, let values, let decoded { for i in values.indices { decoded[i] = values[i] } }
    return better ? chosen(s, modes) : tiled
  }

  /// `nil` where it is of no use to try.
  ///
  /// - Collective: all ranks.
  private func spectralPass(_ coding: FieldCoding, against trial: BankTrial, preview: Bool = false, ranks: borrowing Communicator) throws -> (SpectralEncoder, SpectralEncoder.Pass)? {
    let s = try phases.measure("transform") { try SpectralEncoder(self, preview: preview, ranks: ranks) }
    if try s.isHopeless(against: trial, ranks: ranks) { return nil }
    guard let pass = try s.aimed(coding, ranks: ranks) else { return nil }
    return (s, pass)
  }

  /// The spectral member's pass where its bits say that it will be chosen.
  ///
  /// - Collective: all ranks.
  func spectralPreview(against trial: BankTrial, ranks: borrowing Communicator) throws -> SpectralEncoder.Pass? {
    guard weighsSpectral, let (s, pass) = try spectralPass(FieldCoding(member: .spectral, workType: .float64), against: trial, preview: true, ranks: ranks) else { return nil }
    guard s.score(of: pass) < trial.score else { return nil }
    s.last = pass
    spectral = s
    return pass
  }
}

extension SpectralEncoder {
  /// What `BankTrial.score` is for members by tile.
  func score(of pass: Pass) -> Double {
    let bits = 8 * Double(pass.bytes) / Double(count), t = encoder.target
    if t.rate == nil, let wanted = t.pointwise != nil ? t.rmse : nil {
      // Aimed at another error than they.
      return bits + min(1, bits) * log2(pass.rmse / wanted)
    }
    return t.rate.map { log2(max(pass.rmse, 1e-300)) + (bits - $0) } ?? bits
  }
}
