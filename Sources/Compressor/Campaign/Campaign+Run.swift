import Foundation
public import MPI
import SnapshotIO

/// What a pass over a campaign did.
public struct CampaignOutcome: Codable, Equatable, Sendable {
  /// Names of the snapshots done in this pass.
  public var done: [String] = []
  /// Already done and unchanged.
  public var skipped: [String] = []
  /// Other jobs are at work on them.
  public var busy: [String] = []
  public var failures: [String: Failure] = [:]
  public init() {}
  /// The exit code of the pass: that of the first snapshot, in the order of names, that failed.
  public var code: ExitCode { failures.min { $0.key < $1.key }?.value.code ?? .ok }
}

extension Campaign {
  private enum Choice: Codable { case skip, busy, work(id: String) }

  /// Compresses what is not done: takes one snapshot after the other that nobody else works on.
  ///
  /// Done is a snapshot with a record of the same options whose container is there and whole, and whose original is unchanged
  /// or gone. A snapshot that fails is recorded and the next one taken; what others seem to work on is
  /// watched at the end, and done here if they turn out to have died.
  ///
  /// - Parameter template: how to compress; input and output are filled in.
  /// - Parameter lease: seconds without a sign of life after which a claim is taken over.
  /// - Parameter progress: called with one line per snapshot, on every rank.
  /// - Throws: `Failure(.interrupted)` and what no other snapshot would escape (MPI); the same on all ranks.
  /// - Collective: all ranks, equal arguments.
  public func run(
    _ template: CompressOptions, only names: [String] = [], lease: Double, ranks: borrowing Communicator, progress: (String) -> Void
  ) throws -> CampaignOutcome {
    var out = CampaignOutcome()
    var waiting: [Snapshot] = []
    let all = try ranks.agree { try selected(names) }
    for s in all { if try !attempt(s, template, ranks, &out, progress) { waiting.append(s) } }
    try watch(waiting, template, lease, ranks, &out, progress)
    return out
  }

  /// Watches claims of others until each is free, has shown life, or has been silent for a lease.
  ///
  /// - Collective: all ranks.
  private func watch(
    _ snapshots: [Snapshot], _ template: CompressOptions, _ lease: Double, _ ranks: borrowing Communicator, _ out: inout CampaignOutcome,
    _ progress: (String) -> Void
  ) throws {
    let start = PhaseClock.now()
    var open = snapshots
    let seen = ranks.rank == 0 ? open.map { Claim.look(claim($0)) } : []
    var first = Dictionary(uniqueKeysWithValues: zip(open.map(\.name), seen))
    while !open.isEmpty {
      try checkInterruption(ranks)
      // Rank 0 judges: 0 still silent, 1 alive, 2 free or dead.
      var verdicts: [UInt8] = []
      if ranks.rank == 0 {
        let late = PhaseClock.now() - start > lease
        for s in open {
          let now = Claim.look(claim(s))
          guard let now, let before = first[s.name] ?? nil else { verdicts.append(2); continue }
          if now != before { verdicts.append(1) } else if late || now.holder?.isDead(seenBy: .current()) == true {
            _ = Claim.remove(claim(s), seen: now)
            verdicts.append(2)
          } else { verdicts.append(0) }
        }
      }
      verdicts = try ranks.broadcast(verdicts)
      let judged = Array(zip(open, verdicts))
      open = []
      for (s, v) in judged {
        switch v {
        case 0: open.append(s)
        case 1: out.busy.append(s.name)
        default:
          if try !attempt(s, template, ranks, &out, progress) { out.busy.append(s.name) }
          first[s.name] = nil
        }
      }
      if !open.isEmpty { usleep(200_000) }
    }
  }

  /// Does one snapshot unless it is done, or another job has it.
  ///
  /// - Returns: False where another job has it.
  /// - Collective: all ranks.
  private func attempt(
    _ s: Snapshot, _ template: CompressOptions, _ ranks: borrowing Communicator, _ out: inout CampaignOutcome, _ progress: (String) -> Void
  ) throws -> Bool {
    try checkInterruption(ranks)
    if try isDone(s, ranks) { out.skipped.append(s.name); return true }
    var held: Claim?
    defer { held?.release() }
    let choice = try ranks.agree { () -> Choice in
      guard ranks.rank == 0 else { return .skip }
      held = try take(s)
      return held.map { .work(id: $0.holder.id) } ?? .busy
    }
    guard case .work(let id) = try Campaign.shared(choice, ranks: ranks) else { return false }
    // Somebody may have finished it between the look and the claim.
    if try isDone(s, ranks) { out.skipped.append(s.name); return true }
    let started = PhaseClock.now()
    let files = try Campaign.files(of: s, ranks: ranks)
    if files.isEmpty {
      // Not recorded: an older container's record is worth more.
      out.failures[s.name] = Failure(.inputOutput, "'\(s.input)' is not there")
      progress("\(s.name)  FAILED  '\(s.input)' is not there")
      return true
    }
    var record = Record(name: s.name, state: .done, options: plan.options)
    let unfinished = unfinished(s, id)
    do {
      record.input = try Campaign.fingerprint(files, ranks: ranks)
      var o = template
      o.input = s.input
      o.output = unfinished
      let report = try compress(o, ranks: ranks) { _ in }
      record.container = try Campaign.fingerprint([unfinished], ranks: ranks)
      record.rawBytes = report.result.fields.reduce(0) { $0 + $1.rawBytes }
      record.seconds = PhaseClock.now() - started
      try ranks.agree {
        guard ranks.rank == 0 else { return }
        guard try Campaign.glance(files).looksLike(record.input) else { throw Failure(.inputOutput, "'\(s.input)' changed while it was read; run again") }
        try replaceDurably(self.report(s), with: report.json())
        try renameDurably(unfinished, to: container(s))
        try save(record, of: s)
      }
      out.done.append(s.name)
      progress("\(s.name)  done  \(record.input.bytes) -> \(record.container.bytes) bytes  \(short(record.seconds)) s")
    } catch {
      if ranks.rank == 0 { for end in ["", ".tmp"] { unlink(unfinished + end) } }
      let failure = Failure(campaign: error)
      if failure.code == .interrupted || failure.code == .launch { throw failure }
      record = Record(name: s.name, state: .failed, options: plan.options)
      record.failure = failure
      // Whoever lost the claim meanwhile has no say.
      try ranks.agree { if let held, held.isHeld { try save(record, of: s) } }
      out.failures[s.name] = failure
      progress("\(s.name)  FAILED  \(failure.message)")
    }
    return true
  }

  /// Rank 0: the claim, after a dead holder's has been cleared away with what it left.
  func take(_ s: Snapshot) throws -> Claim? {
    if let mine = try Claim(claim(s)) { return mine }
    guard let seen = Claim.look(claim(s)) else { return try Claim(claim(s)) }
    guard let holder = seen.holder, holder.isDead(seenBy: .current()), Claim.remove(claim(s), seen: seen) else { return nil }
    for end in ["", ".tmp"] { unlink(unfinished(s, holder.id) + end) }
    return try Claim(claim(s))
  }

  /// Whether nothing is left to do for a snapshot.
  ///
  /// - Collective: all ranks.
  private func isDone(_ s: Snapshot, _ ranks: borrowing Communicator) throws -> Bool {
    guard let r = try finished(s, ranks: ranks) else { return false }
    guard try holds(r.container, [container(s)], ranks) else { return false }
    do { _ = try ContainerReader.open(container(s), ranks: ranks) } catch { return false }
    let files = try Campaign.files(of: s, ranks: ranks)
    // Gone is not changed; nor is half removed: a set of parts must not be done again from what is left of it.
    if r.original == .removing { return true }
    return try files.isEmpty || holds(r.input, files, ranks)
  }

  /// Whether files are what they were. The checksum decides where only the time differs.
  ///
  /// - Collective: all ranks.
  func holds(_ known: Fingerprint, _ files: [String], _ ranks: borrowing Communicator) throws -> Bool {
    let now = try Campaign.shared(ranks.rank == 0 ? try? Campaign.glance(files) : nil, ranks: ranks)
    guard let now, now.bytes == known.bytes else { return false }
    if now.modified == known.modified { return true }
    return try Campaign.fingerprint(files, ranks: ranks).checksum == known.checksum
  }
}

extension Failure {
  /// What an agreed error means to one snapshot.
  init(campaign error: any Error) {
    if let failure = error as? Failure { self = failure; return }
    self.init((error as? any ExitCoded).flatMap { ExitCode(rawValue: $0.exitCode) } ?? .inputOutput, String(describing: error))
  }
}
