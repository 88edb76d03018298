import Fields
import Foundation
import MPI

@main struct Main {
  static func main() {
    do {
      let arguments = try Arguments(Array(CommandLine.arguments.dropFirst()))
      if arguments.command == "field" { return try writeField(arguments) }
      try MPIEnvironment.start()
      try measure(arguments)
      try MPIEnvironment.finish()
    } catch {
      FileHandle.standardError.write(Data("alidade-bench: \(error)\n".utf8))
      exit(1)
    }
  }

  /// - Collective: all ranks.
  static func measure(_ arguments: Arguments) throws {
    let world = try Communicator.world()
    switch arguments.command {
    case "speed": try speed(arguments, ranks: world)
    case "memory": try memory(arguments, ranks: world)
    case "weak": try weak(arguments, ranks: world)
    case "scaling": try scaling(arguments, ranks: world)
    case "network": try network(ranks: world)
    default: throw UsageError(description: "\(arguments.command): no such benchmark\n\(Arguments.help)")
    }
  }

  static func writeField(_ a: Arguments) throws {
    guard let output = a["output"] else { throw UsageError(description: "--output is missing\n\(Arguments.help)") }
    let edge = try a.edge(256)
    let values = Turbulence(edge: edge, seed: UInt64(try a.integer("seed", 1))).values()
    try values.withUnsafeBytes { try Data($0).write(to: URL(fileURLWithPath: output)) }
  }

  /// Appends rows to a file, with the header where it is new, and prints them.
  static func publish(_ rows: [Row], to path: String?) throws {
    for r in rows { print(r.line) }
    fflush(nil)
    guard let path else { return }
    let manager = FileManager.default
    var text = rows.map { $0.csv + "\n" }.joined()
    if !manager.fileExists(atPath: path) {
      text = Row.header + "\n" + text
      try text.write(toFile: path, atomically: true, encoding: .utf8)
      return
    }
    let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
    try file.seekToEnd()
    try file.write(contentsOf: Data(text.utf8))
    try file.close()
  }

  /// A path for scratch files: memory-backed unless told otherwise.
  static func scratch(_ a: Arguments, _ name: String) -> String { (a["scratch"] ?? "/dev/shm") + "/alidade-bench-\(name)" }
}
