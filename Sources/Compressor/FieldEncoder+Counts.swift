import Codecs
import Decomposition
import Fields
import MPI

extension FieldEncoder {
  /// A field of counts times a smooth response, coded as counts where that costs less than steps of the bank; else `nil`.
  ///
  /// What lies off the multiples is corrected to within the bound, of a PSNR to within its root mean square error.
  ///
  /// - Collective: all ranks.
  func runCounts(_ start: FieldCoding, ranks: borrowing Communicator) throws -> EncodedField? {
    guard forced == nil, history == nil, shaping == nil, reserved.isEmpty, target.rmse != nil, !target.logarithmic, special == nil,
          layout.components == 1, survey.minimum >= 0, let found = try phases.measure("survey", { try findResponse(ranks: ranks) })
    else { return nil }
    let steps = try bankTrial(ranks: ranks).score, own = workType
    response = found
    workType = source.type
    defer { response = nil; workType = own }
    var top = 0.0
    for a in source.arrays[0] where a.count > 0 {
      let k = found.counts(of: a, mask: nil)
      for i in 0..<k.count { top = max(top, k.elementSize == 4 ? Double(k.bound(to: Float.self)[i]) : k.bound(to: Double.self)[i]) }
    }
    top = try ranks.allReduce(top, .max)
    guard let plain = InterpolationSettings(lower: 0, upper: max(1, top), quantum: 1) else { return nil }
    var coding = start
    coding.response = found.serialised
    coding.bound = target.absolute
    let (encoded, _) = try codeIntegers(coding, plain, ranks: ranks) { InterpolationSettings(lower: 0, upper: max(1, top), quantum: 1, prediction: $0) }
    return bitsPerValue(encoded) < steps ? encoded : nil
  }

  /// The response told by at most 64 rows, looked for on one rank.
  ///
  /// - Collective: all ranks.
  private func findResponse(ranks: borrowing Communicator) throws -> CountResponse? {
    let grid = layout.grid, n = grid.shape
    func spread(_ count: Int, _ extent: Int) -> [Int] {
      let c = min(count, extent)
      return (0..<c).map { (2 * $0 + 1) * extent / (2 * c) }
    }
    let flat = n.z == 1
    let rows = spread(flat ? 1 : 8, n.z).flatMap { z in
      spread(flat ? 64 : 8, n.y).map { y in Box(lower: Index3(z, y, 0), upper: Index3(z + 1, y + 1, n.x)) }
    }
    let plan = try Redistribution(have: source.boxes, want: ranks.rank == 0 ? rows : [], grid: grid, ranks: ranks)
    let taken = plan.want.map { RawArray(box: $0, type: source.type) }
    try plan.move(source.arrays[0], into: taken, ranks: ranks)
    let told = try ranks.broadcast(taken.isEmpty ? [] : CountResponse(rows: taken, shape: n)?.serialised ?? [])
    return told.isEmpty ? nil : try CountResponse(serialised: told, shape: n)
  }
}
