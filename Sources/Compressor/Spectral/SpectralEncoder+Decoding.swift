import Codecs
import Decomposition
import Fields
import MPI
import Reduction
import Statistics

// What a pass has coded, decoded again.
extension SpectralEncoder {
  /// The transform of what a pass coded, as a decoder has it.
  ///
  /// - Collective: all ranks.
  private func codedTransform(_ pass: Pass, ranks: borrowing Communicator) throws -> (SpectralTransform, Redistribution) {
    let coded = try SpectralTransform(transform.shape, modes: pass.settings.modes(transform.shape).box, ranks: ranks)
    let have = pass.pieces.components[0].map(\.box)
    return (coded, try Redistribution(have: have, want: [transform.place(coded.mine)], grid: transform.grid, ranks: ranks, requireCover: !pass.chunks.isEmpty))
  }

  /// Numbers of all components, of which the basis makes modes. Unless the pass will be looked at its integers are let go of.
  ///
  /// - Collective: all ranks.
  private func decodedModes(_ pass: Pass, _ coded: SpectralTransform, _ plan: Redistribution, ranks: borrowing Communicator) throws -> [RawArray] {
    let k = quantiser(step: pass.coding.step, shifts: pass.coding.shifts)
    var numbers: [RawArray] = []
    for c in pass.pieces.components.indices {
      let q = RawArray(box: plan.want[0], elementSize: 4, zeroed: pass.chunks.isEmpty), a = coded.coefficients()
      try plan.move(pass.pieces.components[c], into: [q], ranks: ranks)
      if !isLookedAt { pass.pieces.components[c] = [] }
      dequantise(q, k, into: a)
      numbers.append(a)
    }
    let modes = everything
    SpectralEncoder.eachRow(coded.mine, numbers, threads: encoder.threads) { z, y, rows in
      pass.weights?.divide(modes, z, y, coded.mine, rows)
      frame.backward(z, y, coded.mine, rows)
    }
    return numbers
  }

  /// Decodes a pass, finds outliers, and puts the streams in order.
  ///
  /// - Collective: all ranks.
  private func finished(_ pass: Pass, ranks: borrowing Communicator) throws -> EncodedField {
    if isLookedAt { self.last = pass }
    let layout = encoder.layout, target = encoder.target, type = encoder.source.type
    var statistics = [ErrorStatistics](repeating: encoder.emptyStatistics(), count: layout.components), outliers: [[UInt8]] = []
    if encoder.check || target.pointwise != nil || encoder.decoded != nil {
      (statistics, outliers) = try encoder.phases.measure("verify") {
        let (coded, plan) = try codedTransform(pass, ranks: ranks), boxes = layout.regions.map(\.box)
        var modes = try decodedModes(pass, coded, plan, ranks: ranks)
        return try encoder.compared(ranks: ranks) { c in
          let values = try coded.backward(modes.removeFirst(), adding: pass.settings.means[c], as: type, ranks: ranks)
          coded.rest()
          let again = try Surroundings(have: [transform.rows], arrays: [[values]], elementSize: type.size, wanted: boxes, grid: layout.grid, ranks: ranks)
          return (again, { box, ranks in
            var cells: RawArray?
            try again.forEachComponent(of: box, ranks: ranks) { cells = $1.array(holding: box!) }
            return cells
          })
        }
      }
    }
    var out = EncodedField(coding: pass.coding, survey: encoder.survey, target: target)
    out.statistics = statistics
    let tiles = target.pointwise == nil ? 0 : layout.streamCount
    out.streamCount = pass.chunks.count + tiles
    let placed = try StreamOrder.placed(
      [(pass.mine.lowerBound, pass.payloads)] + (tiles > 0 ? [(pass.chunks.count + layout.units.lowerBound, outliers)] : []), total: out.streamCount!,
      ranks: ranks)
    out.firstStream = placed.first; out.lengths = placed.lengths; out.streams = placed.bytes
    out.streamBytes = try ranks.allReduce(placed.bytes.count, .sum)
    return out
  }

  /// Passes until the target is met.
  ///
  /// - Collective: all ranks.
  func encode(from first: consuming Pass, _ start: FieldCoding, ranks: borrowing Communicator) throws -> EncodedField {
    let once = encoder.target.pointwise != nil || encoder.target.rate != nil || shaping?.fixed != nil
    if once, !isLookedAt { letGo() }
    var pass = first, out = try finished(pass, ranks: ranks)
    guard !once, let wanted = encoder.target.rmse else { return out }
    // Rounding to the stored type adds to the error of the coefficients.
    for _ in 0..<6 {
      guard let rmse = out.rmse, rmse > wanted, let next = try code(start, step: pass.coding.step * wanted / rmse * 0.9997, .last, ranks: ranks) else { break }
      pass = next
      out = try finished(pass, ranks: ranks)
    }
    return out
  }
}
