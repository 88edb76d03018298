import Foundation
import MPI

struct UsageError: Error, CustomStringConvertible { let description: String }

@main struct Main {
  static let help = """
    alidade-law cells --data DIR --study N --psnr DB --output DIR   predictions and measurements on the N-th field
    alidade-law rows --data DIR --output DIR                 the rows of THEORY's table that need one field or none
    alidade-law overlap                                      a planted overlap, under mpirun; prints all bits
    alidade-law report --output DIR --results FILE --setting TEXT        from what the others wrote
    """
  static func main() {
    do {
      let words = Array(CommandLine.arguments.dropFirst())
      guard let command = words.first else { throw UsageError(description: help) }
      func option(_ name: String) throws -> String {
        guard let i = words.firstIndex(of: "--\(name)"), i + 1 < words.count else { throw UsageError(description: "--\(name) is missing\n\(help)") }
        return words[i + 1]
      }
      try MPIEnvironment.start()
      let ranks = try Communicator.world()
      switch command {
      case "cells":
        guard let n = Int(try option("study")), Study.all.indices.contains(n) else { throw UsageError(description: "--study 0 ... \(Study.all.count - 1)") }
        guard let psnr = Double(try option("psnr")) else { throw UsageError(description: "--psnr: a number is needed") }
        try cells(n, psnr, data: option("data"), output: option("output"), ranks: ranks)
      case "rows": try rows(data: option("data"), output: option("output"), ranks: ranks)
      case "report":
        let folder = try option("output")
        var report = try Report(folder)
        try report.write(to: option("results"), setting: option("setting"))
        try report.cells.write("\(folder)/all-cells.tsv")
        try report.points.write("\(folder)/all-points.tsv")
      case "overlap":
        let found = try Limits.planted(ranks: ranks)
        if ranks.rank == 0 { for f in found { print("\(f.planted)\t\(f.found)\t\(String(f.found.bitPattern, radix: 16))") } }
      default: throw UsageError(description: "\(command): no such command\n\(help)")
      }
      try MPIEnvironment.finish()
    } catch {
      FileHandle.standardError.write(Data("alidade-law: \(error)\n".utf8))
      exit(1)
    }
  }

  static func cells(_ n: Int, _ psnr: Double, data: String, output: String, ranks: borrowing Communicator) throws {
    let study = Study.all[n]
    let path = "\(data)/\(study.file)"
    guard FileManager.default.fileExists(atPath: path) else { return print("skipped: \(study.field), there is no \(path)") }
    let snapshot = try Snapshot(path, field: study.dataset, axes: study.axes, step: -1, ranks: ranks)
    let c = try Cells(study, psnr, snapshot) { line in print(line); fflush(nil) }
    try c.cells.write("\(output)/cells-\(n)-\(Int(psnr)).tsv")
    try c.points.write("\(output)/points-\(n)-\(Int(psnr)).tsv")
  }

  static func rows(data: String, output: String, ranks: borrowing Communicator) throws {
    var r = Rows()
    try r.limits()
    try r.largestGains()
    for (n, draws) in [(0, 8), (1, 64)] {
      let study = Study.all[n], path = "\(data)/\(study.file)"
      guard FileManager.default.fileExists(atPath: path) else { print("skipped: rows on \(study.field), there is no \(path)"); continue }
      let snapshot = try Snapshot(path, field: study.dataset, axes: study.axes, step: -1, ranks: ranks)
      try r.validity(study, snapshot, draws: draws)
      try r.spectrum(study, snapshot, draws: draws)
      try r.restoration(study, snapshot)
      if n == 1 { try r.shaping(study, snapshot) }
      print("rows on \(study.field)")
    }
    try r.facts.write("\(output)/facts-0.tsv")
    try r.radius.write("\(output)/radius-0.tsv")
    try r.spectra.write("\(output)/spectra-0.tsv")
  }
}
