import Compressor
import MPI

/// A parsed `alidade campaign ...`.
struct CampaignRequest: Sendable {
  enum Part: Sendable {
    /// The words say how to compress; they parse.
    case plan(output: String, options: [String], inputs: [String], replace: Bool)
    case run
    case status(json: Bool)
    case verify(again: Bool)
    case clean(originals: Bool, dryRun: Bool)
  }
  var part: Part
  var folder: String
  var only: [String] = []
  var threads = 1
  /// Seconds.
  var lease = 120.0
  var verbosity = Verbosity.normal
}

private let only = Option.value("only", "NAME", "only this snapshot", repeats: true)
private let threads = Option.value("threads", "N", "threads per rank (default 1)")
private let lease = Option.value("lease", "SECONDS", "silence after which a job counts as dead (120)")
private let common: [Option] = [.flag("quiet", short: "q", "say nothing but errors"), .flag("help", short: "h", "this text")]
/// Options of `compress` that concern one run, not what comes out.
private let personal = ["output", "threads", "report", "quiet", "verbose", "help", "no-clobber", "dry-run"]

extension Command {
  static let campaign = Command(
    name: "campaign", summary: "Compress many snapshots, by many jobs, surviving their ends.",
    operands: "PART FOLDER ...", options: [],
    parts: [campaignPlan, campaignRun, campaignStatus, campaignVerify, campaignClean]
  ) { _ throws(Failure) in throw Failure(.usage, "no part given") }

  private static let campaignPlan = Command(
    name: "campaign plan", summary: "Create a campaign, or add snapshots to it.",
    operands: "FOLDER IN... -o CONTAINERS BOUND [OPTIONS]",
    options: [
      .value("output", short: "o", "FOLDER", "where the containers go: NAME.ald each"),
      .flag("replace", "other options than planned; what is done is redone"),
    ] + compress.options.filter { !personal.contains($0.long) } + common
  ) { a throws(Failure) in
    guard let folder = a.operands.first else { throw Failure(.usage, "missing argument FOLDER") }
    let words = a.words(without: ["output", "replace", "quiet"])
    _ = try compressOptions(words)
    let part = CampaignRequest.Part.plan(
      output: a.last("output") ?? "", options: words, inputs: Array(a.operands.dropFirst()), replace: a.has("replace"))
    return .campaign(CampaignRequest(part: part, folder: folder, verbosity: try a.verbosity()))
  }

  private static let campaignRun = Command(
    name: "campaign run", summary: "Compress what is not done and nobody else works on.",
    operands: "FOLDER [OPTIONS]", options: [only, threads, lease] + common
  ) { a throws(Failure) in try request(.run, a) }

  private static let campaignStatus = Command(
    name: "campaign status", summary: "Show what is done, at work, failed and to do.",
    operands: "FOLDER [--json]", options: [.flag("json", "all records, as JSON on standard output")] + common
  ) { a throws(Failure) in try request(.status(json: a.has("json")), a) }

  private static let campaignVerify = Command(
    name: "campaign verify", summary: "Check containers, and bounds against the originals.",
    operands: "FOLDER [OPTIONS]", options: [.flag("again", "also what has been verified"), only, threads] + common
  ) { a throws(Failure) in try request(.verify(again: a.has("again")), a) }

  private static let campaignClean = Command(
    name: "campaign clean", summary: "Remove what killed jobs left; if asked, originals.",
    operands: "FOLDER [OPTIONS]",
    options: [
      .flag("originals", "remove originals whose bounds are verified"),
      .flag("dry-run", "say what would go, remove nothing"), only, lease,
    ] + common
  ) { a throws(Failure) in try request(.clean(originals: a.has("originals"), dryRun: a.has("dry-run")), a) }

  private static func request(_ part: CampaignRequest.Part, _ a: Arguments) throws(Failure) -> Request {
    var c = CampaignRequest(part: part, folder: try a.operands("FOLDER")[0])
    c.only = a.all("only")
    c.threads = try a.threads()
    if let text = a.last("lease") { c.lease = try positive(text, for: "--lease") }
    c.verbosity = try a.verbosity()
    return .campaign(c)
  }

  /// How to compress, of words that `plan` accepted.
  static func compressOptions(_ words: [String]) throws(Failure) -> CompressOptions {
    guard case .compress(let o) = try parse(["compress"] + words + ["-o", "OUT", "--", "IN"]) else {
      throw Failure(.usage, "'\(words.joined(separator: " "))' does not say how to compress")
    }
    return o
  }
}

extension CampaignRequest {
  /// - Throws: one failure for all that went wrong, after all that could be done was.
  /// - Collective: all ranks.
  func perform(on ranks: borrowing Communicator, _ output: Output) throws {
    let first = ranks.rank == 0
    let progress = { (line: String) in output.progress(line) }
    if case .plan(let folder, let options, let inputs, let replace) = part {
      let c = try ranks.agree { first ? try Campaign.plan(self.folder, output: folder, options: options, inputs: inputs, replace: replace) : nil }
      if let c, verbosity != .quiet { output.say("\(c.plan.snapshots.count) snapshots planned in \(self.folder), containers in \(c.plan.output)\n") }
      return
    }
    let campaign = try Campaign.open(folder, ranks: ranks)
    var template = try Command.compressOptions(campaign.plan.options)
    template.threads = threads
    var outcome = CampaignOutcome(), verb = ""
    switch part {
    case .plan: break
    case .run:
      outcome = try campaign.run(template, only: only, lease: lease, ranks: ranks, progress: progress)
      verb = "done now"
    case .status(let json):
      try ranks.agree {
        guard first else { return }
        let status = campaign.status()
        output.say(json ? try status.json() : status.text())
      }
      return
    case .verify(let again):
      outcome = try campaign.verify(template, only: only, again: again, ranks: ranks, progress: progress)
      verb = "verified now"
    case .clean(let originals, let dryRun):
      for path in try campaign.cleanLeftovers(lease: lease, dryRun: dryRun, ranks: ranks) { progress((dryRun ? "would remove " : "removed ") + path) }
      if !originals { output.endProgress(); return }
      outcome = try campaign.cleanOriginals(only: only, dryRun: dryRun, ranks: ranks, progress: progress)
      verb = dryRun ? "would be removed" : "removed now"
    }
    output.endProgress()
    if verbosity != .quiet {
      output.say("\(outcome.done.count) \(verb), \(outcome.skipped.count) before, \(outcome.busy.count) with other jobs, \(outcome.failures.count) failed\n")
    }
    if let (name, failure) = outcome.failures.min(by: { $0.key < $1.key }) {
      throw Failure(failure.code, "\(outcome.failures.count) of the campaign's snapshots failed; \(name): \(failure.message)")
    }
  }
}
