import Fields
import LatentCases
import MPI
import Observables
import Reduction
import Support

/// A number that changes with any bit of a list.
private func digest(_ words: [UInt64]) -> String {
  String(words.enumerated().reduce(UInt64(0)) { $0 &+ SplitMix64.hash($1.element, $1.offset) }, radix: 16)
}
/// - Collective: all ranks.
private func expectSame(_ text: String, _ ranks: borrowing Communicator) throws -> String {
  let all = try ranks.allGather([UInt8](text.utf8))
  try ranks.agree { try expect(all.allSatisfy { $0 == all[0] }, "results differ between ranks") }
  return text
}

/// Values, tangents and adjoints of the whole catalogue as bits; the adjoint identity holds.
func observables(_ ranks: borrowing Communicator) throws -> String {
  var lines: [String] = []
  for c in ObservableCase.all {
    let o = try withRankDomain(c.grid, coordinates: c.coordinates, ranks: ranks) { try c.outcome(on: $0) }
    try ranks.agree { try expect(o.dotError <= o.dotBound, "\(c): dot test \(o.dotError) > \(o.dotBound)") }
    let numbers = (o.differences + o.sizes + o.scales + [o.dotError, o.curvatureError]).map(\.bitPattern)
    lines.append("\(o.specification) \(digest(o.values + o.tangent + o.adjoint.joined() + o.fields.joined() + numbers))")
  }
  return try expectSame(lines.joined(separator: "\n"), ranks)
}

/// Everything matrix-free as bits.
func latentGeometry(_ ranks: borrowing Communicator) throws -> String {
  let numbers = try withRankDomain(LatentCases.grid, ranks: ranks) { try LatentCases.digest(on: $0) }
  return try expectSame(numbers.map { String($0.bitPattern, radix: 16) }.joined(separator: " "), ranks)
}
