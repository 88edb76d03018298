import Compressor
import MPI
import SnapshotIO

/// Steps of a series that are to go.
struct RemoveOptions {
  let series: String, steps: [Int]
  var dryRun = false, verbosity = Verbosity.normal

  /// - Collective: all ranks; the first does the work.
  func perform(on ranks: borrowing Communicator, _ output: Output) throws {
    let isFirst = ranks.rank == 0
    try ranks.agree { if isFirst { try SeriesFolder(series).remove(steps, dryRun: dryRun) } }
    let names = steps.map(String.init).joined(separator: ", ")
    if output.verbosity != .quiet { output.say("\(series): \(dryRun ? "would remove" : "removed") step\(steps.count == 1 ? "" : "s") \(names)\n") }
  }
}

extension Command {
  static let remove = Command(
    name: "remove", summary: "Delete steps of a series that no other step needs.",
    operands: "RUN.alds STEP... [OPTIONS]",
    options: [
      .flag("dry-run", "only say what would be done"),
      .flag("quiet", short: "q", "say nothing but errors"),
      .flag("help", short: "h", "this text"),
    ]
  ) { a throws(Failure) in
    let steps = a.operands.dropFirst().compactMap { Int($0) }
    guard steps.count > 0, steps.count == a.operands.count - 1 else { throw Failure(.usage, "alidade remove takes a series and numbers of steps, not '\(a.operands.joined(separator: " "))'") }
    var o = RemoveOptions(series: a.operands[0], steps: steps)
    o.dryRun = a.has("dry-run")
    if a.has("quiet") { o.verbosity = .quiet }
    return .remove(o)
  }
}
