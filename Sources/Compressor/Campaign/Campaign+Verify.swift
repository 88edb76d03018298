import Foundation
import MPI

extension Campaign {
  /// Checks what was done: the container's bytes against their checksum, every stream, and every bound against the original where that
  /// is still there. A container that fails is recorded as failed, so that the next `run` makes it again.
  ///
  /// - Parameter again: also those that were verified since they were written.
  /// - Returns: `failures` also names snapshots that are not done or that other jobs work on.
  /// - Throws: `Failure(.interrupted)` and what no other snapshot would escape; the same on all ranks.
  /// - Collective: all ranks, equal arguments.
  public func verify(
    _ template: CompressOptions, only names: [String] = [], again: Bool, ranks: borrowing Communicator, progress: (String) -> Void
  ) throws -> CampaignOutcome {
    var out = CampaignOutcome()
    for s in try ranks.agree({ try selected(names) }) {
      try checkInterruption(ranks)
      var held: Claim?
      defer { held?.release() }
      try ranks.agree { if ranks.rank == 0 { held = try take(s) } }
      // What cannot be shown has not been: others may wait for an exit code of 0 to remove originals.
      let free = try Campaign.shared(held != nil, ranks: ranks)
      guard free, var r = try finished(s, ranks: ranks) else {
        let failure = Failure(.inputOutput, free ? "is not done" : "another job works on it")
        out.failures[s.name] = failure
        progress("\(s.name)  \(failure.message)")
        continue
      }
      if !again, r.verified == .bounds, try holds(r.container, [container(s)], ranks) { out.skipped.append(s.name); continue }
      do {
        let files = try Campaign.files(of: s, ranks: ranks)
        try check(&r, s, files, template, ranks)
        try ranks.agree { if ranks.rank == 0 { try save(r, of: s) } }
        out.done.append(s.name)
        progress("\(s.name)  \(r.verified == .bounds ? "bounds kept" : "intact")")
      } catch {
        let failure = Failure(campaign: error)
        if failure.code == .interrupted || failure.code == .launch { throw failure }
        // What the container is to blame for; an original that changed is the next run's business anyway.
        if failure.code == .corrupt || failure.code == .boundViolated {
          r.state = .failed; r.failure = failure; r.verified = .no
          try ranks.agree { if ranks.rank == 0 { try save(r, of: s) } }
        }
        out.failures[s.name] = failure
        progress("\(s.name)  FAILED  \(failure.message)")
      }
    }
    return out
  }

  /// - Collective: all ranks.
  private func check(_ r: inout Record, _ s: Snapshot, _ files: [String], _ template: CompressOptions, _ ranks: borrowing Communicator) throws {
    guard try Campaign.fingerprint([container(s)], ranks: ranks).checksum == r.container.checksum else {
      throw Failure(.corrupt, "\(container(s)): not the bytes that were written (checksum)")
    }
    var o = VerifyOptions(input: container(s))
    o.threads = template.threads
    let whole = r.original == .kept && !files.isEmpty
    if whole {
      guard try Campaign.fingerprint(files, ranks: ranks).checksum == r.input.checksum else {
        throw Failure(.inputOutput, "'\(s.input)' is not what was compressed")
      }
      o.against = s.input
      o.reading = template.reading
    }
    _ = try Compressor.verify(o, ranks: ranks) { _ in }
    // Once shown against the original, it holds as long as the bytes do.
    if whole { r.verified = .bounds } else if r.verified == .no { r.verified = .intact }
  }
}
