import Foundation

struct UsageError: Error, CustomStringConvertible { let description: String }

/// `command --name value ...`
struct Arguments {
  let command: String
  private var values: [String: String] = [:]

  init(_ words: [String]) throws {
    guard let first = words.first else { throw UsageError(description: Arguments.help) }
    command = first
    var i = 1
    while i < words.count {
      guard words[i].hasPrefix("--"), i + 1 < words.count else { throw UsageError(description: "\(words[i]): expected --name value\n\(Arguments.help)") }
      let name = String(words[i].dropFirst(2))
      guard Arguments.known.contains(name) else { throw UsageError(description: "--\(name) is not known\n\(Arguments.help)") }
      values[name] = words[i + 1]
      i += 2
    }
  }

  subscript(name: String) -> String? { values[name] }

  /// Cells per side of a generated cube.
  func edge(_ usual: Int) throws -> Int {
    let n = try integer("edge", usual)
    guard n >= 16, n & (n - 1) == 0 else { throw UsageError(description: "--edge \(n): a power of two of at least 16 is needed") }
    return n
  }

  func integer(_ name: String, _ standard: Int) throws -> Int {
    guard let text = values[name] else { return standard }
    guard let v = Int(text), v > 0 else { throw UsageError(description: "--\(name) \(text): a positive number is needed") }
    return v
  }
  func number(_ name: String, _ standard: Double) throws -> Double {
    guard let text = values[name] else { return standard }
    guard let v = Double(text), v.isFinite else { throw UsageError(description: "--\(name) \(text): a number is needed") }
    return v
  }

  static let known: Set = ["input", "raw-shape", "axes", "periodic", "field", "step", "psnr", "runs", "rounds", "csv", "edge", "seed", "output", "scratch", "operations", "label", "case", "cut", "phases", "access"]
  static let help = """
    alidade-bench field    --edge 256 --output FILE [--seed 1]                write a synthetic turbulent field (raw float32)
    alidade-bench speed    INPUT [--psnr 80] [--runs 5] [--operations fast,verified,decompress] [--scratch DIR] [--csv FILE]
    alidade-bench memory   INPUT --operations compress|decompress [--scratch DIR] [--csv FILE]     under mpirun
    alidade-bench weak     --edge 128 [--rounds 7] [--runs 5] [--scratch DIR] weak scaling: one cube per rank, together and each by itself in turns, under mpirun
    alidade-bench scaling  --edge 64 [--cut blocks|slabs] [--case even|nan|empty|rough] [--psnr 80] [--phases CSV]    one row, one such cube per rank, under mpirun
    alidade-bench network                                                     seconds of messages and of a reduction, under mpirun
    INPUT: --input FILE [--field NAME] [--step N] [--raw-shape 256,256,256 [--axes zyx]] [--periodic xyz] [--label NAME]
    """
}
