import Compressor
import Fields
import Foundation
import MPI

extension Main {
  /// Processor time of encoding arrays to bytes, with and without the check, and of decoding a container on a memory file
  /// system back into arrays; one warm-up run, then `--runs` measured ones.
  ///
  /// - Collective: all ranks.
  static func speed(_ a: Arguments, ranks: borrowing Communicator) throws {
    let input = try Input(a, ranks: ranks)
    let bound = ErrorBound.psnr(try a.number("psnr", 80)), runs = try a.integer("runs", 5)
    let wanted = (a["operations"] ?? "fast,verified,decompress").split(separator: ",")
    let path = scratch(a, "\(ProcessInfo.processInfo.processIdentifier).ald")
    defer { unlink(path) }

    // The reference: what it stores and how well.
    let reference = try encodeField(input.source, bound: bound, ranks: ranks)
    let report = try writeContainer(reference, as: input.description, to: path, ranks: ranks)
    var rows: [Row] = []
    func row(_ operation: String, _ seconds: [Double]) {
      var r = Row()
      r.benchmark = "speed"; r.operation = operation; r.field = input.label; r.ranks = ranks.size
      r.shape = input.shape; r.bytes = input.bytes; r.bound = "psnr=\(bound.value)"
      r.runs = seconds.count; r.fastest = seconds.min() ?? .nan; r.median = median(seconds)
      r.ratio = report.ratio; r.psnr = report.psnrDB; r.maxError = report.maxAbsError; r.codec = report.transform
      r.peakMemory = Machine.peakMemory()
      rows.append(r)
    }
    for (operation, verify) in [("fast", false), ("verified", true)] where wanted.contains(Substring(operation)) {
      var seconds: [Double] = [], phases = PhaseClock(), best = Double.infinity
      for run in 0...runs {
        let clock = PhaseClock(clock: CLOCK_PROCESS_CPUTIME_ID), start = Machine.processorTime()
        _ = try encodeField(input.source, bound: bound, verify: verify, phases: clock, ranks: ranks)
        let t = Machine.processorTime() - start
        if run > 0 { seconds.append(t) }
        if t < best { best = t; phases = clock }
      }
      row(verify ? "compress" : "compress --no-verify", seconds)
      let parts = phases.names.map { "\($0) \(String(format: "%.3f", phases.seconds(of: $0)))" }
      let rest = best - phases.names.reduce(0) { $0 + phases.seconds(of: $1) }
      print("  phases: " + parts.joined(separator: "  ") + "  other \(String(format: "%.3f", rest))")
    }
    if wanted.contains("decompress") {
      var seconds: [Double] = []
      for run in 0...runs {
        let start = Machine.processorTime()
        try decodeContainer(path, ranks: ranks) { _ in }
        if run > 0 { seconds.append(Machine.processorTime() - start) }
      }
      row("decompress", seconds)
    }
    if ranks.rank == 0 { try publish(rows, to: a["csv"]) }
  }
}
