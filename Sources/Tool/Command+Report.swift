import Compressor
import Foundation
import MPI
import Pages
import SnapshotIO

extension Command {
  static let report = Command(
    name: "report", summary: "Show reports of other commands, and how a run goes, as one page for a browser.",
    operands: "R.json|RUN.alds... -o OUT.html [OPTIONS]",
    options: [
      .value("output", short: "o", "OUT.html", "the page to write"),
      .value("container", "IN.ald", "show slices of the error of these fields,"),
      .value("original", "SNAPSHOT", "of which this is the original"),
      .value("map", "MAP.h5", "show what align --map wrote"),
      .flag("quiet", short: "q", "say nothing but errors"),
      .flag("help", short: "h", "this text"),
    ] + reading
  ) { a throws(Failure) in
    if a.operands.isEmpty { throw Failure(.usage, "alidade report needs at least one JSON report, as --report writes it, or the series of a run that reports its steps") }
    guard let output = a.last("output") else { throw Failure(.usage, "no output; give -o OUT.html") }
    var o = ReportOptions(reports: a.operands, output: output)
    o.container = a.last("container")
    o.original = a.last("original")
    if (o.container == nil) != (o.original == nil) { throw Failure(.usage, "slices need --container and --original together") }
    o.map = a.last("map")
    o.reading = try a.reading()
    if a.has("quiet") { o.verbosity = .quiet }
    return .report(o)
  }
}

extension ReportOptions {
  /// Rows and columns of a picture at most.
  private static let picture = 256

  /// Writes the page.
  ///
  /// - Collective: all ranks; the first does the work.
  func perform(on ranks: borrowing Communicator, _ output: Output) throws {
    if ranks.size > 1 { throw Failure(.usage, "alidade report works on one rank, not on \(ranks.size)") }
    let runs = reports.filter { SeriesFolder($0).exists }
    let named = try reports.filter { !runs.contains($0) }.map { path in NamedReport(name: Self.label(of: path), report: try Self.read(path)) }
    let series = try runs.map { NamedSeries(name: Self.label(of: SeriesFolder($0).path), lines: try SeriesFolder($0).lines()) }
    var shown: [Slice] = [], maps: [Slice] = []
    if let container, let original { shown = try slices(of: container, original: original, reading: reading, largest: Self.picture, ranks: ranks) }
    if let map { maps = try planes(of: map, largest: Self.picture, ranks: ranks) }
    try replaceFile(self.output, with: ReportPage(named, slices: shown, maps: maps, series: series).html())
    if output.verbosity != .quiet { output.say("\(self.output): \(reports.count) report\(reports.count == 1 ? "" : "s")\n") }
  }

  private static func label(of path: String) -> String {
    let name = path.split(separator: "/").last.map(String.init) ?? path
    return name.hasSuffix(".json") ? String(name.dropLast(5)) : name
  }

  private static func read(_ path: String) throws -> Report {
    guard let data = FileManager.default.contents(atPath: path) else { throw Failure(.inputOutput, "cannot read '\(path)'") }
    let report: Report
    do { report = try Report(json: String(decoding: data, as: UTF8.self)) } catch {
      throw Failure(.inputOutput, "'\(path)' is no report of alidade; --report of compress, verify, compare, align and sweep writes them")
    }
    guard report.schema == Report.currentSchema else {
      throw Failure(.inputOutput, "'\(path)' has schema \(report.schema), this version reads \(Report.currentSchema)")
    }
    return report
  }
}
