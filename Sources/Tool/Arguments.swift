import Compressor

/// One option of a sub-command.
struct Option: Sendable {
  enum Kind: Sendable { case flag, value(String) }
  let long: String
  var short: Character?
  var kind = Kind.flag
  var help = ""
  /// May be given several times.
  var repeats = false
  /// Left out of the help.
  var hidden = false

  var takesValue: Bool { if case .value = kind { true } else { false } }

  static func flag(_ long: String, short: Character? = nil, _ help: String) -> Option {
    Option(long: long, short: short, help: help)
  }
  static func value(_ long: String, short: Character? = nil, _ argument: String, _ help: String, repeats: Bool = false) -> Option {
    Option(long: long, short: short, kind: .value(argument), help: help, repeats: repeats)
  }
}

/// The words after the sub-command, sorted into options and operands.
///
/// A strict parser rather than getopt_long: no abbreviations (an option added later would change what an old script
/// means), no global state, repeated options are errors unless meant to repeat, a value may start with '-' (so a negative
/// bound is reported as such), and a misspelt option gets the nearest real one.
struct Arguments {
  private(set) var operands: [String] = []
  private var found: [(name: String, value: String)] = []

  init(_ words: ArraySlice<String>, command: Command) throws(Failure) {
    var rest = words
    var onlyOperands = false
    while let word = rest.popFirst() {
      if onlyOperands || word == "-" || !word.hasPrefix("-") { operands.append(word); continue }
      if word == "--" { onlyOperands = true; continue }
      var name = word, attached: String?
      var option: Option?
      if word.hasPrefix("--") {
        let parts = word.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        name = "--" + parts[0]
        if parts.count == 2 { attached = String(parts[1]) }
        option = command.options.first { $0.long == parts[0] }
      } else {
        let letter = word[word.index(after: word.startIndex)]
        option = command.options.first { $0.short == letter }
        name = "-\(letter)"
        let tail = word.dropFirst(2)
        if !tail.isEmpty { attached = tail.hasPrefix("=") ? String(tail.dropFirst()) : String(tail) }
      }
      guard let option else {
        let known = command.options.filter { !$0.hidden }.map { "--" + $0.long }
        throw Failure(.usage, "unknown option '\(name)'" + suggestion(for: name, among: known)
          + "; see 'alidade \(command.name) --help'")
      }
      var value = ""
      if option.takesValue {
        if let attached { value = attached } else if let next = rest.popFirst() { value = next } else {
          throw Failure(.usage, "option '\(name)' needs a value")
        }
        if value.isEmpty { throw Failure(.usage, "option '\(name)' needs a value") }
      } else if let attached {
        throw Failure(.usage, "option '\(name)' takes no value (got '\(attached)')")
      }
      if !option.repeats, found.contains(where: { $0.name == option.long }) {
        throw Failure(.usage, "option '--\(option.long)' is given twice")
      }
      found.append((option.long, value))
    }
    if operands.contains("") { throw Failure(.usage, "a file name is empty") }
  }

  func has(_ long: String) -> Bool { found.contains { $0.name == long } }
  func last(_ long: String) -> String? { found.last { $0.name == long }?.value }
  func all(_ long: String) -> [String] { found.filter { $0.name == long }.map(\.value) }

  /// The options as given, each in one word, without those named.
  func words(without names: [String]) -> [String] {
    found.filter { !names.contains($0.name) }.map { $0.value.isEmpty ? "--" + $0.name : "--\($0.name)=\($0.value)" }
  }

  /// Exactly these operands, in order.
  func operands(_ names: String...) throws(Failure) -> [String] {
    if operands.count < names.count { throw Failure(.usage, "missing argument \(names[operands.count])") }
    if operands.count > names.count { throw Failure(.usage, "unexpected argument '\(operands[names.count])'") }
    return operands
  }
}

/// `; did you mean 'x'?` when a known word is near, else nothing.
func suggestion(for word: String, among known: [String]) -> String {
  let near = known.map { ($0, distance($0, word)) }.min { $0.1 < $1.1 }
  guard let near, near.1 <= max(1, min(3, word.count / 2)) else { return "" }
  return "; did you mean '\(near.0)'?"
}

/// Edits (insert, remove, replace, swap neighbours) that turn one word into the other.
func distance(_ a: String, _ b: String) -> Int {
  let a = Array(a), b = Array(b)
  var d = [[Int]](repeating: [Int](repeating: 0, count: b.count + 1), count: a.count + 1)
  for i in 0...a.count { d[i][0] = i }
  for j in 0...b.count { d[0][j] = j }
  for i in a.indices {
    for j in b.indices {
      d[i + 1][j + 1] = min(d[i][j + 1] + 1, d[i + 1][j] + 1, d[i][j] + (a[i] == b[j] ? 0 : 1))
      if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { d[i + 1][j + 1] = min(d[i + 1][j + 1], d[i - 1][j - 1] + 1) }
    }
  }
  return d[a.count][b.count]
}
