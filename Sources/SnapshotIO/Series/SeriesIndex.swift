/// The steps of a series and how they hang together; docs/format.md section 9.
public struct SeriesIndex: Equatable, Sendable {
  public static let fileName = "index"

  /// One committed step.
  public struct Entry: Equatable, Sendable {
    public var step: Int
    public var time: Double
    /// Name inside the series' directory.
    public var file: String
    /// Length of the file, and the XXH3-64 of its first block, which pins all else.
    public var bytes: Int, root: UInt64
    /// The key step that decoding begins with; `step` itself where nothing is predicted from other steps.
    public var key: Int
    /// Steps whose decoded values this one is predicted from, ascending, at most two.
    public var references: [Int]
    public init(step: Int, time: Double, file: String, bytes: Int, root: UInt64, key: Int, references: [Int]) {
      self.step = step; self.time = time; self.file = file; self.bytes = bytes; self.root = root
      self.key = key; self.references = references
    }
  }

  /// Ascending in `step`.
  public private(set) var entries: [Entry] = []
  public init() {}

  public func position(of step: Int) -> Int? {
    var low = 0, high = entries.count
    while low < high {
      let middle = (low + high) / 2
      if entries[middle].step < step { low = middle + 1 } else { high = middle }
    }
    return low < entries.count && entries[low].step == step ? low : nil
  }

  /// Steps that decoding `step` needs, ascending, itself last; nil where one is not there.
  public func chain(of step: Int) -> [Int]? {
    var needed: Set<Int> = [], next = [step]
    while let s = next.popLast() {
      guard let i = position(of: s) else { return nil }
      if needed.insert(s).inserted { next += entries[i].references }
    }
    return needed.sorted()
  }

  /// Why `e` cannot be the next entry; nil when it can.
  func refusal(of e: Entry) -> String? {
    if e.step < 0 { return "step \(e.step) is negative" }
    if !e.time.isFinite { return "step \(e.step) has the time \(e.time)" }
    if let last = entries.last {
      if e.step <= last.step { return "step \(e.step) comes after step \(last.step)" }
      if e.time < last.time { return "time \(e.time) of step \(e.step) lies before \(last.time) of step \(last.step)" }
    }
    if e.file.isEmpty || e.file.utf8.contains(where: { $0 == UInt8(ascii: "/") || $0 <= 32 }) { return "step \(e.step) has the file name '\(e.file)'" }
    if e.references.isEmpty { return e.key == e.step ? nil : "step \(e.step) has key step \(e.key), but no reference" }
    guard e.references.count <= 2, zip(e.references, e.references.dropFirst()).allSatisfy(<) else { return "step \(e.step) has references \(e.references)" }
    for r in e.references {
      guard let i = position(of: r), entries[i].key == e.key else { return "step \(e.step) refers to step \(r), which is not there or has another key step" }
    }
    return nil
  }

  /// - Throws: `SnapshotError.badSeries` where the entry cannot follow those there are.
  public mutating func append(_ e: Entry, of folder: String) throws {
    if let why = refusal(of: e) { throw SnapshotError(.badSeries, file: folder, why) }
    entries.append(e)
  }

  /// - Throws: `SnapshotError.badSeries` for steps that are not there, and such that a step which stays is predicted from.
  func without(_ steps: [Int], of folder: String) throws -> SeriesIndex {
    let gone = Set(steps)
    for s in steps where position(of: s) == nil { throw SnapshotError(.badSeries, file: folder, "has no step \(s)") }
    var left = self
    left.entries = entries.filter { !gone.contains($0.step) }
    for e in left.entries {
      if let r = e.references.first(where: { gone.contains($0) }) {
        throw SnapshotError(.badSeries, file: folder, "step \(r) stays: step \(e.step) in \(e.file) is predicted from it")
      }
    }
    return left
  }

  public func encode() -> [UInt8] {
    var text = "alidade-series 1\n"
    for e in entries {
      text += "step \(e.step) \(e.time) \(e.file) \(e.bytes) \(SeriesIndex.hex(e.root)) \(e.key)"
      for r in e.references { text += " \(r)" }
      text += "\n"
    }
    let sum = Checksum.of(Array(text.utf8))
    return Array((text + "end \(entries.count) \(SeriesIndex.hex(sum))\n").utf8)
  }

  /// - Throws: `SnapshotError.badIndex` (exit code 4) for anything that `encode` did not write, `newerVersion`.
  public init(_ bytes: [UInt8], file: String) throws {
    func damaged(_ what: String) -> SnapshotError { SnapshotError(.badIndex, file: file, "\(what); the index is damaged") }
    guard bytes.last == UInt8(ascii: "\n") else { throw damaged("it does not end in a line") }
    let lines = bytes.dropLast().split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    func words(_ line: ArraySlice<UInt8>) -> [String] {
      line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false).map { String(decoding: $0, as: UTF8.self) }
    }
    let head = words(lines[0])
    guard head.count == 2, head[0] == "alidade-series" else { throw SnapshotError(.notContainer, file: file, "is not the index of a series") }
    guard head[1] == "1" else { throw SnapshotError(.newerVersion, file: file, "has series version \(head[1]); this program reads 1") }
    let end = words(lines[lines.count - 1])
    guard lines.count >= 2, end.count == 3, end[0] == "end", Int(end[1]) == lines.count - 2,
          end[2] == SeriesIndex.hex(Checksum.of(bytes[..<lines[lines.count - 1].startIndex])) else { throw damaged("its last line does not fit the others (checksum)") }
    for line in lines[1..<lines.count - 1] {
      let w = words(line)
      guard w.count >= 7, w[0] == "step", let step = Int(w[1]), let time = Double(w[2]), let size = Int(w[4]), let root = UInt64(w[5], radix: 16),
            let key = Int(w[6]) else { throw damaged("line '\(w.joined(separator: " "))'") }
      let references = w.dropFirst(7).compactMap { Int($0) }
      guard references.count == w.count - 7 else { throw damaged("line '\(w.joined(separator: " "))'") }
      let e = Entry(step: step, time: time, file: w[3], bytes: size, root: root, key: key, references: references)
      if let why = refusal(of: e) { throw damaged(why) }
      entries.append(e)
    }
  }

  private static func hex(_ v: UInt64) -> String {
    let digits = String(v, radix: 16)
    return String(repeating: "0", count: 16 - digits.utf8.count) + digits
  }
}
