import Compressor
import Fields
import Foundation
import MPI

extension Main {
  /// Peak memory of one whole job, files included, against 2 x raw data per rank + 100 MB.
  ///
  /// One operation per process, because a peak does not go down again; `decompress` reads what `compress` left.
  /// - Collective: all ranks.
  static func memory(_ a: Arguments, ranks: borrowing Communicator) throws {
    guard let input = a["input"] else { throw UsageError(description: "--input is missing\n\(Arguments.help)") }
    let operation = a["operations"] ?? "compress"
    let container = scratch(a, "memory.ald"), output = scratch(a, "memory.h5")
    let report: Report
    if operation == "compress" {
      var o = CompressOptions(input: input, output: container, bound: .psnr(try a.number("psnr", 80)))
      if let name = a["field"] { o.fields = [name] }
      if let shape = a["raw-shape"] { o.reading.raw = RawLayout(type: .float32, shape: shape.split(separator: ",").compactMap { Int($0) }) }
      o.reading.axes = a["axes"]
      if let p = a["periodic"] { o.reading.periodic = p == "none" ? .none : .axes(p) }
      if let s = a["step"].flatMap({ Int($0) }) { o.steps = s..<s + 1 }
      report = try compress(o, ranks: ranks) { _ in }
    } else {
      report = try decompress(DecompressOptions(input: container, output: output), ranks: ranks) { _ in }
    }
    guard ranks.rank == 0 else { return }
    if operation != "compress" { unlink(output) }
    for f in report.result.fields {
      var r = Row()
      r.benchmark = "memory"; r.operation = operation; r.field = a["label"] ?? f.name; r.ranks = ranks.size
      r.shape = f.shape; r.bytes = f.rawBytes; r.bound = f.bound.map { "\($0.kind)=\($0.value)" } ?? ""
      r.runs = 1; r.fastest = report.run.seconds; r.median = r.fastest
      r.ratio = f.ratio; r.psnr = f.psnrDB; r.maxError = f.maxAbsError; r.codec = f.transform
      r.peakMemory = Int(report.run.peakMemory.maximum)
      try publish([r], to: a["csv"])
      let limit = 2 * f.rawBytes / ranks.size + 100_000_000
      print("  limit \(limit / 1_000_000) MB: \(r.peakMemory <= limit ? "kept" : "EXCEEDED")")
    }
  }
}
