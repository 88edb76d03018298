import Compressor
import Fields

/// A parsed command line.
enum Request {
  case compress(CompressOptions)
  case decompress(DecompressOptions)
  case verify(VerifyOptions)
  case compare(CompareOptions)
  case inspect(InspectOptions)
  case campaign(CampaignRequest)
  case align(AlignOptions)
  case sweep(SweepOptions)
  case audit(AuditOptions)
  case report(ReportOptions)
  case remove(RemoveOptions)
  case train(TrainOptions)
  /// Text for standard output, exit 0.
  case print(String)
  case version
}

/// A sub-command: what the help says and how words become options.
struct Command: Sendable {
  let name: String
  let summary: String
  let operands: String
  let options: [Option]
  /// Commands of its own, named by the next word; then the rest of this one is for the help only.
  var parts: [Command] = []
  let request: @Sendable (Arguments) throws(Failure) -> Request

  static let all = [compress, decompress, verify, compare, inspect, align, sweep, audit, report, remove, campaign, train]

  /// The whole command line without the program's name.
  static func parse(_ words: [String]) throws(Failure) -> Request {
    guard let first = words.first else { throw Failure(.usage, "no sub-command; see 'alidade --help'") }
    switch first {
    case "--help", "-h", "help":
      if words.count > 1, let c = all.first(where: { $0.name == words[1] }) { return .print(c.help) }
      return .print(overview)
    case "--version": return .version
    default: break
    }
    guard let command = all.first(where: { $0.name == first }) else {
      throw Failure(.usage, "unknown sub-command '\(first)'" + suggestion(for: first, among: all.map(\.name))
        + "; see 'alidade --help'")
    }
    let rest = words.dropFirst()
    return try command.parts.isEmpty ? command.parse(rest) : command.part(rest)
  }

  private func parse(_ rest: ArraySlice<String>) throws(Failure) -> Request {
    if rest.prefix(while: { $0 != "--" }).contains(where: { $0 == "--help" || $0 == "-h" }) { return .print(help) }
    return try request(Arguments(rest, command: self))
  }

  /// The part named by the first word.
  private func part(_ words: ArraySlice<String>) throws(Failure) -> Request {
    let known = parts.map { String($0.name.dropFirst(name.count + 1)) }
    guard let word = words.first else { throw Failure(.usage, "'alidade \(name)' needs one of \(known.joined(separator: ", "))") }
    if ["--help", "-h", "help"].contains(word) { return .print(help) }
    guard let i = known.firstIndex(of: word) else {
      throw Failure(.usage, "unknown '\(name) \(word)'; known are \(known.joined(separator: ", "))" + suggestion(for: word, among: known))
    }
    return try parts[i].parse(words.dropFirst())
  }

  static var overview: String {
    var s = """
      usage: alidade SUB-COMMAND ARGUMENTS        (alone or under mpirun / srun)

      Compresses simulation snapshots with guaranteed error bounds, in parallel.


      """
    for c in all { s += "  " + c.name.padded(to: 12) + c.summary + "\n" }
    return s + """

      'alidade SUB-COMMAND --help' lists its options; 'alidade --version' the libraries.

      Exit codes: 0 ok, 1 usage, 2 input or output, 3 bound violated (no container is
      left), 4 corrupt container, 5 model missing or another one, 6 inconsistent launch,
      75 interrupted (safe to requeue).

      """
  }

  var help: String {
    var s = "usage: alidade \(name) \(operands)\n\n\(summary)\n\n"
    for p in parts { s += "  " + p.name.padded(to: 18) + p.summary + "\n" }
    if !parts.isEmpty { s += "\n'alidade \(name) PART --help' lists the options of one.\n" }
    for o in options where !o.hidden {
      var left = "  " + (o.short.map { "-\($0), " } ?? "    ") + "--" + o.long
      if case .value(let argument) = o.kind { left += " " + argument }
      if left.count > 33 { s += left + "\n" + "".padded(to: 35) + o.help + "\n" } else { s += left.padded(to: 35) + o.help + "\n" }
    }
    return s
  }
}

extension String {
  func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}
