import Foundation

/// Rows of named numbers and words, written as text with tabs: one kind of row per file.
struct Table {
  var columns: [String]
  var rows: [[String]] = []
  init(_ columns: [String]) { self.columns = columns }

  mutating func add(_ row: [Any]) {
    precondition(row.count == columns.count)
    rows.append(row.map { v in
      if let d = v as? Double { return d.isFinite ? String(format: "%.9g", d) : "nan" }
      return "\(v)"
    })
  }
  func write(_ path: String) throws {
    try ([columns] + rows).map { $0.joined(separator: "\t") + "\n" }.joined().write(toFile: path, atomically: true, encoding: .utf8)
  }
  /// All files of a kind in a folder, by name.
  init(reading kind: String, in folder: String) throws {
    let files = try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasPrefix("\(kind)-") }.sorted()
    columns = []
    for f in files {
      let lines = try String(contentsOfFile: "\(folder)/\(f)", encoding: .utf8).split(separator: "\n").map { $0.split(separator: "\t", omittingEmptySubsequences: false).map(String.init) }
      columns = lines.first ?? columns
      rows += lines.dropFirst()
    }
  }
  subscript(row: [String], column: String) -> String { row[columns.firstIndex(of: column)!] }
  func number(_ row: [String], _ column: String) -> Double { Double(self[row, column]) ?? .nan }
}
