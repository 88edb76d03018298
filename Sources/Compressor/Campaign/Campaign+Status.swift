import Foundation

extension Campaign {
  /// How far a campaign is.
  public struct Status: Codable, Sendable {
    public var schema = Campaign.schema
    public var output = ""
    public var options: [String] = []
    public var snapshots = 0, done = 0, atWork = 0, failed = 0, toDo = 0
    public var verifiedBounds = 0, verifiedIntact = 0, originalsRemoved = 0
    /// Of what is done: originals, containers, and the originals that were removed.
    public var originalBytes = 0, containerBytes = 0, removedBytes = 0
    public var bytesSaved: Int { originalBytes - containerBytes }
    public var records: [Record] = []

    enum CodingKeys: String, CodingKey {
      case schema, output, options, snapshots, done, atWork = "at_work", failed, toDo = "to_do", verifiedBounds = "verified_bounds"
      case verifiedIntact = "verified_intact", originalsRemoved = "originals_removed", originalBytes = "original_bytes"
      case containerBytes = "container_bytes", removedBytes = "removed_bytes", records
    }
    public func json() throws -> String { try Compressor.text(self) }

    /// For people.
    public func text() -> String {
      var lines = [
        "options     \(options.joined(separator: " "))",
        "containers  \(output)",
        "snapshots   \(snapshots): \(done) done, \(atWork) at work, \(failed) failed, \(toDo) to do",
        "verified    \(verifiedBounds) against the original, \(verifiedIntact) without",
        "originals   \(originalsRemoved) removed",
      ]
      if containerBytes > 0 {
        lines.append("bytes       \(originalBytes) -> \(containerBytes)  ratio \(short(Double(originalBytes) / Double(containerBytes)))"
          + "  saved \(bytesSaved) once all originals are gone; \(removedBytes) removed so far")
      }
      for r in records where r.state == .failed { lines.append("failed      \(r.name): \(r.failure?.message ?? "")") }
      return lines.joined(separator: "\n") + "\n"
    }
  }

  /// Records and claims as they stand; nothing is checked against the files. Local.
  public func status() -> Status {
    var t = Status()
    t.output = plan.output
    t.options = plan.options
    t.snapshots = plan.snapshots.count
    for s in plan.snapshots {
      let record = load(s).flatMap { $0.options == plan.options ? $0 : nil }
      if let record { t.records.append(record) }
      if Claim.look(claim(s)) != nil { t.atWork += 1 } else {
        switch record?.state {
        case .done: t.done += 1
        case .failed: t.failed += 1
        case nil: t.toDo += 1
        }
      }
      guard let r = record, r.state == .done else { continue }
      t.verifiedBounds += r.verified == .bounds ? 1 : 0
      t.verifiedIntact += r.verified == .intact ? 1 : 0
      t.originalBytes += r.input.bytes
      t.containerBytes += r.container.bytes
      if r.original == .removed { t.originalsRemoved += 1; t.removedBytes += r.input.bytes }
    }
    return t
  }
}
