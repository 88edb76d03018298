import Foundation
public import MPI
import SnapshotIO

/// Many snapshots compressed with the same options, by any number of jobs at the same time.
///
/// A folder holds everything that is known:
///
///     plan.json           the snapshots, the folder for containers, the options
///     records/NAME.json   what became of one snapshot: done or failed, sizes, checksums
///     reports/NAME.json   the report of its compression
///     claims/NAME         which job works on it
///
/// Every file is written under another name, synced and renamed: whatever is there is whole, on NFS and Lustre too, and no file
/// has two writers that could mix. A container appears under its name by a rename as well, from a name that no other attempt has.
/// So a claim only saves work: two jobs that both did a snapshot would leave the same bytes twice.
public struct Campaign: Sendable {
  public let folder: String
  public let plan: Plan

  public struct Plan: Codable, Equatable, Sendable {
    public var schema = Campaign.schema
    /// Folder of the containers, absolute.
    public var output: String
    /// The words of the command line that say how to compress.
    public var options: [String]
    /// In the order of their names.
    public var snapshots: [Snapshot]
    public init(output: String, options: [String], snapshots: [Snapshot]) {
      self.output = output; self.options = options; self.snapshots = snapshots
    }
  }

  public struct Snapshot: Codable, Equatable, Hashable, Sendable {
    /// Name of the input without folder and ending; one of a kind in a campaign.
    public var name: String
    /// Absolute path, as `compress` takes it: a file, a folder of parts, or a pattern.
    public var input: String
    public init(name: String, input: String) { self.name = name; self.input = input }
  }

  static let schema = 1
  static let parts = ["records", "reports", "claims"]

  public init(folder: String, plan: Plan) { self.folder = folder; self.plan = plan }

  /// - Throws: `Failure(.inputOutput)` where there is no plan that can be read. Local.
  public init(folder: String) throws {
    self.folder = folder
    let path = folder + "/plan.json"
    guard let data = FileManager.default.contents(atPath: path) else {
      throw Failure(.inputOutput, "\(folder): no campaign here; begin with 'alidade campaign plan'")
    }
    guard let plan = try? JSONDecoder().decode(Plan.self, from: data), plan.schema == Campaign.schema else {
      throw Failure(.inputOutput, "\(path): not a plan of this version")
    }
    self.plan = plan
  }

  /// - Collective: all ranks; rank 0 reads.
  public static func open(_ folder: String, ranks: borrowing Communicator) throws -> Campaign {
    let plan = try ranks.agree { ranks.rank == 0 ? try Campaign(folder: folder).plan : nil }
    return Campaign(folder: folder, plan: try shared(plan, ranks: ranks)!)
  }

  public func container(_ s: Snapshot) -> String { "\(plan.output)/\(s.name).ald" }
  func record(_ s: Snapshot) -> String { "\(folder)/records/\(s.name).json" }
  func report(_ s: Snapshot) -> String { "\(folder)/reports/\(s.name).json" }
  func claim(_ s: Snapshot) -> String { "\(folder)/claims/\(s.name)" }
  /// Where one attempt writes until its container is whole.
  func unfinished(_ s: Snapshot, _ id: String) -> String { "\(plan.output)/.\(s.name).\(id).ald" }

  /// The snapshots of these names, all for none.
  ///
  /// - Throws: `Failure(.usage)` for an unknown name.
  public func selected(_ names: [String]) throws -> [Snapshot] {
    for n in names where !plan.snapshots.contains(where: { $0.name == n }) {
      throw Failure(.usage, "\(folder): no snapshot '\(n)' in this campaign")
    }
    return names.isEmpty ? plan.snapshots : plan.snapshots.filter { names.contains($0.name) }
  }

  // MARK: planning

  /// Creates a campaign, or adds snapshots to one.
  ///
  /// - Parameter replace: allows other options than the existing plan's; what was done with the old ones will be done again.
  /// - Throws: `Failure`: usage where two inputs would have the same container or the options differ, inputOutput. Local.
  public static func plan(_ folder: String, output: String, options: [String], inputs: [String], replace: Bool) throws -> Campaign {
    var old: [Snapshot] = [], output = output
    if FileManager.default.fileExists(atPath: folder + "/plan.json") {
      let plan = try Campaign(folder: folder).plan
      if output.isEmpty { output = plan.output }
      if !replace, plan.options != options || plan.output != absolute(output) {
        throw Failure(.usage, "\(folder): planned with '\(plan.options.joined(separator: " "))' into \(plan.output); other options need --replace or another folder")
      }
      old = plan.snapshots
    }
    if output.isEmpty { throw Failure(.usage, "no folder for the containers; give -o FOLDER") }
    var snapshots = old
    for path in inputs {
      let input = absolute(path), name = try stem(of: input)
      if let same = snapshots.first(where: { $0.name == name }) {
        if same.input == input { continue }
        throw Failure(.usage, "'\(same.input)' and '\(input)' would both become \(name).ald")
      }
      snapshots.append(Snapshot(name: name, input: input))
    }
    let known = Set(old.map(\.name))
    for s in snapshots where !known.contains(s.name) {
      guard try SnapshotInput.files(s.input).contains(where: { FileManager.default.fileExists(atPath: $0) }) else {
        throw Failure(.inputOutput, "cannot open '\(s.input)'")
      }
    }
    snapshots.sort { $0.name < $1.name }
    let c = Campaign(folder: folder, plan: Plan(output: absolute(output), options: options, snapshots: snapshots))
    for path in [folder, c.plan.output] + parts.map({ folder + "/" + $0 }) { try makeFolder(path) }
    try replaceDurably(folder + "/plan.json", with: try text(c.plan))
    return c
  }

  private static func stem(of input: String) throws -> String {
    var name = input.split(separator: "/").last.map(String.init) ?? ""
    if let dot = name.lastIndex(of: "."), dot != name.startIndex { name = String(name[..<dot]) }
    // A pattern names its parts by `*` or `%04d`: what is left names the snapshot.
    name = name.replacing(/%[0-9]*d|\*/, with: "")
    while let c = name.last, "._-".contains(c) { name.removeLast() }
    while let c = name.first, "._-".contains(c) { name.removeFirst() }
    if name.isEmpty { throw Failure(.usage, "'\(input)' gives no name for a container") }
    return name
  }
}
