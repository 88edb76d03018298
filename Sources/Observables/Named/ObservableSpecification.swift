/// `[FIELD/]NAME[(argument,...)]` as the user writes it; an argument is `key=value` or a value whose place says what it is.
///
/// FIELD is all before the last `/` of what precedes the arguments, so that it may itself be a path. Names with a prefix (`lib:`,
/// `weights:`) take the rest of the text: FIELD is then what precedes `/lib:` or `/weights:`, and there are no arguments.
public struct ObservableSpecification: Hashable, Sendable, CustomStringConvertible {
  /// nil: every field that the observable can be evaluated on.
  public var field: String?
  public var name: String
  public var arguments: [Argument]

  public struct Argument: Hashable, Sendable, CustomStringConvertible {
    public var key: String?
    public var value: String
    public var description: String { key.map { "\($0)=\(value)" } ?? value }
  }

  /// - Parameter prefixes: names that take the rest of the text.
  /// - Throws: `ObservableError` for an empty name or parentheses that do not match.
  public init(_ text: String, prefixes: [String] = ["lib", "weights"]) throws {
    arguments = []
    for prefix in prefixes {
      if text.hasPrefix("\(prefix):") {
        name = text
        return
      }
      if let r = Self.range(of: "/\(prefix):", in: text), r != text.startIndex {
        field = String(text[..<r]); name = String(text[text.index(after: r)...])
        return
      }
    }
    let open = text.firstIndex(of: "(") ?? text.endIndex, head = text[..<open]
    if let slash = head.lastIndex(of: "/") {
      field = String(head[..<slash]); name = String(head[head.index(after: slash)...])
      if field!.isEmpty { throw ObservableError("'\(text)': the field before / is empty") }
    } else {
      name = String(head)
    }
    if name.isEmpty { throw ObservableError("'\(text)' names no observable; it is [FIELD/]NAME[(key=value,...)]") }
    if open == text.endIndex { return }
    guard text.last == ")" else { throw ObservableError("'\(text)' ends without ')'") }
    let inside = text[text.index(after: open)..<text.index(before: text.endIndex)]
    if inside.isEmpty { return }
    if inside.contains(where: { $0 == "(" || $0 == ")" }) { throw ObservableError("'\(text)' has parentheses inside parentheses") }
    arguments = try inside.split(separator: ",", omittingEmptySubsequences: false).map { part in
      let sides = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map { $0.filter { $0 != " " } }
      if sides.contains(where: \.isEmpty) { throw ObservableError("'\(text)': an argument is empty; give key=value") }
      return sides.count == 2 ? Argument(key: sides[0], value: sides[1]) : Argument(key: nil, value: sides[0])
    }
  }

  private static func range(of needle: String, in text: String) -> String.Index? {
    text.indices.first { text[$0...].hasPrefix(needle) }
  }

  public var description: String {
    (field.map { "\($0)/" } ?? "") + name + (arguments.isEmpty ? "" : "(\(arguments.map(\.description).joined(separator: ",")))")
  }
}

/// A kind of observable that can be named: its help and how one is made.
public struct ObservableKind: Sendable {
  public struct Parameter: Sendable {
    public let name: String, fallback: String, help: String
    public init(_ name: String, _ fallback: String, _ help: String) { self.name = name; self.fallback = fallback; self.help = help }
  }
  public let name: String
  /// One line.
  public let help: String
  public let parameters: [Parameter]
  /// What arguments without a key mean, such as `z0:z1,y0:y1,x0:x1`; nil: there must be none.
  public let positional: String?
  /// Vectors: `staggered=true` averages components that lie on faces to the centres.
  let staggered: Bool
  let make: @Sendable (ObservableArguments) throws -> any Observable

  public init(_ name: String, _ help: String, _ parameters: [Parameter] = [], positional: String? = nil, staggered: Bool = false,
              make: @escaping @Sendable (ObservableArguments) throws -> any Observable) {
    self.name = name; self.help = help; self.positional = positional; self.staggered = staggered; self.make = make
    self.parameters = parameters + (staggered ? [Parameter("staggered", "false", "components lie on the lower faces of cells")] : [])
  }

  /// Such as `structure(p=2,r=1,epsilon=1e-06)  structure functions ...`.
  public var line: String {
    let inside = (positional.map { [$0] } ?? []) + parameters.map { "\($0.name)=\($0.fallback)" }
    return name + (inside.isEmpty ? "" : "(\(inside.joined(separator: ",")))") + "  " + help
  }
}

/// The arguments of a specification, checked against the parameters of its kind.
public struct ObservableArguments: Sendable {
  let name: String
  private let values: [String: String]
  public let positional: [String]

  init(_ specification: ObservableSpecification, for kind: ObservableKind) throws {
    name = kind.name
    var values: [String: String] = [:], positional: [String] = []
    let allowed = kind.parameters.map(\.name)
    for a in specification.arguments {
      guard let key = a.key else {
        if kind.positional == nil { throw ObservableError("\(kind.name): '\(a.value)' needs a name; \(ObservableArguments.list(allowed))") }
        positional.append(a.value)
        continue
      }
      if !allowed.contains(key) { throw ObservableError("\(kind.name) has no parameter '\(key)'; \(ObservableArguments.list(allowed))") }
      if values.updateValue(a.value, forKey: key) != nil { throw ObservableError("\(kind.name): \(key) is given twice") }
    }
    self.values = values; self.positional = positional
  }
  private static func list(_ names: [String]) -> String {
    names.isEmpty ? "it takes none" : "allowed: \(names.joined(separator: ", "))"
  }

  public func text(_ key: String) -> String? { values[key] }
  /// All that have a key.
  var texts: [String: String] { values }
  public func number(_ key: String) throws -> Double? {
    guard let t = values[key] else { return nil }
    guard let v = Double(t), v.isFinite else { throw ObservableError("\(name): \(key) must be a finite number, not '\(t)'") }
    return v
  }
  public func positive(_ key: String) throws -> Double? {
    guard let v = try number(key) else { return nil }
    if v <= 0 { throw ObservableError("\(name): \(key) must be positive, not \(v)") }
    return v
  }
  public func count(_ key: String, _ range: ClosedRange<Int>) throws -> Int? {
    guard let t = values[key] else { return nil }
    return try count(t, key, range)
  }
  private func count(_ t: String, _ key: String, _ range: ClosedRange<Int>) throws -> Int {
    guard let v = Int(t), range.contains(v) else {
      throw ObservableError("\(name): \(key) must be a whole number from \(range.lowerBound) to \(range.upperBound), not '\(t)'")
    }
    return v
  }
  /// Several joined by colons.
  public func counts(_ key: String, _ range: ClosedRange<Int>) throws -> [Int]? {
    try values[key]?.split(separator: ":", omittingEmptySubsequences: false).map { try count(String($0), key, range) }
  }
  public func numbers(_ key: String) throws -> [Double]? {
    try values[key]?.split(separator: ":", omittingEmptySubsequences: false).map {
      guard let v = Double($0), v.isFinite else { throw ObservableError("\(name): \(key) must be numbers joined by colons, not '\($0)'") }
      return v
    }
  }
  public func choice<C: RawRepresentable & CaseIterable>(_ key: String, _: C.Type) throws -> C? where C.RawValue == String {
    guard let t = values[key] else { return nil }
    guard let c = C(rawValue: t) else {
      throw ObservableError("\(name): \(key) must be one of \(C.allCases.map(\.rawValue).joined(separator: ", ")), not '\(t)'")
    }
    return c
  }
  public func flag(_ key: String) throws -> Bool? {
    guard let t = values[key] else { return nil }
    guard let v = Bool(t) else { throw ObservableError("\(name): \(key) must be true or false, not '\(t)'") }
    return v
  }
}
