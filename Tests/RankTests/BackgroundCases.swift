import Codecs
import Compressor
import Fields
import MPI
import Support

/// Fields whose tiles a worker codes while this thread does something else have the bytes that they have otherwise; what goes wrong in the worker of
/// one rank all ranks throw.
@Sendable func backgroundCoding(_ ranks: borrowing Communicator) throws -> String {
  let grid = Grid(shape: Index3(48, 40, 56), periodic: .init(true, true, true))
  let box = Cutting.slabs.boxes(of: grid, rank: ranks.rank, of: ranks.size)
  let source = FieldSource(
    name: "u", grid: grid, type: .float32, components: 1, boxes: box, arrays: [box.map { SyntheticField.waves(seed: 4).array($0, of: grid, type: .float32) }])
  let members: [FieldCoding.Member?] = [nil, .lapped16, .wavelet97, .interpolation, .spectral, .lossless]
  func digest(_ e: EncodedField) throws -> String {
    var h = Digest()
    h.add(e.coding.serialised)
    for part in try ranks.allGather(e.streams) { h.add(part) }
    return "\(e.coding.member.name) \(e.streamBytes) \(h.text)"
  }
  let expected = try members.map { m in try digest(try encodeField(source, bound: .psnr(60), member: m, ranks: ranks)) }

  let worker = CodingWorker(), own = try RankBox(ranks)
  final class Results { var fields: [EncodedField?] = [] }
  let results = Results()
  // In large portions and in small ones.
  let all = members + members
  results.fields = all.map { _ in nil }
  let tasks = try all.indices.map { i in
    try CodingTask(worker, isAskedOften: i >= members.count) { task in
      results.fields[i] = try encodeField(source, bound: .psnr(60), member: all[i], background: task, ranks: own.ranks)
    }
  }
  // One that fails on the last rank alone.
  let bad = try CodingTask(worker) { task in
    let encoder = try FieldEncoder(source, bound: .psnr(60), threads: 1, check: true, phases: PhaseClock(), ranks: own.ranks)
    encoder.background = task
    try encoder.compute(ranks: own.ranks) { if own.ranks.rank == own.ranks.size - 1 { throw Failure(.inputOutput, "out of paper") } }
  }
  var rounds = 0
  while !(tasks + [bad]).allSatisfy(\.isFinished) {
    worker.wait()
    for t in tasks + [bad] { t.resume() }
    rounds += 1
  }
  worker.stop()
  let found = try results.fields.indices.map { i in
    if let e = tasks[i].failure { throw e }
    return try digest(results.fields[i]!)
  }
  try own.close()
  let failure = bad.failure.map { "\($0)" } ?? "nothing"
  try ranks.agree {
    guard found == expected + expected else { throw Failure(.corrupt, "\(found) instead of \(expected)") }
    guard failure.contains("out of paper") else { throw Failure(.corrupt, "the failure of one rank became \(failure)") }
  }
  return expected.joined(separator: "\n") + "\nat least \(min(rounds, 2)) rounds"
}

/// A duplicate communicator that closures may hold.
private final class RankBox {
  private var communicator: Communicator?
  var ranks: Communicator { _read { yield communicator! } }
  init(_ ranks: borrowing Communicator) throws { communicator = try ranks.duplicated() }
  func close() throws { if let c = communicator.take() { try c.close() } }
}
