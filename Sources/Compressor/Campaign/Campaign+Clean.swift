import Foundation
import MPI

extension Campaign {
  /// Removes what killed jobs left: claims without a holder, containers that were never finished.
  ///
  /// - Parameter lease: seconds without a sign of life after which a claim counts as left.
  /// - Returns: The paths removed, or that would be.
  /// - Collective: all ranks; rank 0 works.
  public func cleanLeftovers(lease: Double, dryRun: Bool, ranks: borrowing Communicator) throws -> [String] {
    try ranks.agree {
      guard ranks.rank == 0 else { return [] }
      let manager = FileManager.default
      func names(_ folder: String) -> [String] { ((try? manager.contentsOfDirectory(atPath: folder)) ?? []).sorted() }
      // Files first: whatever is among them had its claim before, so a claim not seen below is gone.
      let attempts: [(path: String, id: String)] = names(plan.output).compactMap { n in
        guard let m = n.wholeMatch(of: /\.(.+)\.([0-9a-f]{16})\.ald(\.tmp)?/), plan.snapshots.contains(where: { $0.name == m.output.1 }) else { return nil }
        return ("\(plan.output)/\(n)", String(m.output.2))
      }
      let claims = plan.snapshots.map { claim($0) }
      let seen = claims.map { Claim.look($0) }
      var alive = Set<String>(), removed: [String] = []
      var open = claims.indices.filter { seen[$0] != nil }
      let start = PhaseClock.now()
      while !open.isEmpty {
        let late = PhaseClock.now() - start > lease
        open.removeAll { i in
          guard let now = Claim.look(claims[i]) else { return true }
          if now != seen[i] { alive.insert(now.holder?.id ?? ""); return true }
          guard late || now.holder?.isDead(seenBy: .current()) == true else { return false }
          if dryRun || Claim.remove(claims[i], seen: now) { removed.append(claims[i]) }
          return true
        }
        if !open.isEmpty { usleep(200_000) }
      }
      for a in attempts where !alive.contains(a.id) {
        if !dryRun { try removeDurably(a.path) }
        removed.append(a.path)
      }
      if alive.isEmpty {
        for p in Campaign.parts.map({ "\(folder)/\($0)" }) { for n in names(p) where n.hasSuffix(".tmp") {
          if !dryRun { try removeDurably("\(p)/\(n)") }
          removed.append("\(p)/\(n)")
        } }
      }
      return removed
    }
  }

  /// Removes originals that are no longer needed: container and original are, read again, what was recorded, and the bounds have been
  /// verified against that original.
  ///
  /// - Returns: `done`: removed (or would be); `skipped`: gone before; `failures`: kept, and why.
  /// - Collective: all ranks.
  public func cleanOriginals(
    only names: [String] = [], dryRun: Bool, ranks: borrowing Communicator, progress: (String) -> Void
  ) throws -> CampaignOutcome {
    var out = CampaignOutcome()
    for s in try ranks.agree({ try selected(names) }) {
      try checkInterruption(ranks)
      var held: Claim?
      defer { held?.release() }
      try ranks.agree { if ranks.rank == 0 { held = try take(s) } }
      guard try Campaign.shared(held != nil, ranks: ranks) else { out.busy.append(s.name); continue }
      do {
        guard var r = try finished(s, ranks: ranks) else { throw Failure(.inputOutput, "is not done") }
        let files = try Campaign.files(of: s, ranks: ranks)
        if files.isEmpty, r.original == .removed { out.skipped.append(s.name); continue }
        guard r.verified == .bounds else { throw Failure(.inputOutput, "is not verified against its original; run 'campaign verify' first") }
        guard try Campaign.fingerprint([container(s)], ranks: ranks).checksum == r.container.checksum else {
          throw Failure(.corrupt, "\(container(s)): not the bytes that were written (checksum)")
        }
        if r.original != .removing {
          guard !files.isEmpty, try Campaign.fingerprint(files, ranks: ranks).checksum == r.input.checksum else {
            throw Failure(.inputOutput, "'\(s.input)' is not what was compressed")
          }
        }
        if !dryRun {
          try ranks.agree {
            guard ranks.rank == 0 else { return }
            r.original = .removing
            try save(r, of: s)
            // Younger files are somebody's new data, whatever their names.
            for f in files where try Campaign.glance([f]).modified <= r.input.modified { try removeDurably(f) }
            r.original = .removed
            try save(r, of: s)
          }
        }
        out.done.append(s.name)
        progress("\(s.name)  \(dryRun ? "would remove" : "removed") \(s.input), \(r.input.bytes) bytes")
      } catch {
        let failure = Failure(campaign: error)
        if failure.code == .interrupted || failure.code == .launch { throw failure }
        out.failures[s.name] = failure
        progress("\(s.name)  kept  \(failure.message)")
      }
    }
    return out
  }
}
