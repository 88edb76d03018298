import Foundation
import MPI

extension Campaign {
  /// What became of one snapshot.
  public struct Record: Codable, Equatable, Sendable {
    public enum State: String, Codable, Sendable {
      case done
      /// `failure` says why; the next run tries again.
      case failed
    }
    /// `removing` is written before the first file goes.
    public enum Original: String, Codable, Sendable { case kept, removing, removed }
    /// What `campaign verify` has shown since the container was written.
    public enum Verified: String, Codable, Sendable {
      case no
      /// The bytes are those that were written, and they decode.
      case intact
      /// Also every bound holds against the original.
      case bounds
    }
    public var schema = Campaign.schema
    public var name: String
    public var state: State
    /// Those of the plan it was made by: other ones may give other bytes.
    public var options: [String]
    /// The original as it was read.
    public var input = Fingerprint()
    public var container = Fingerprint()
    /// Bytes of the fields coded, before and after.
    public var rawBytes = 0
    public var original = Original.kept
    public var verified = Verified.no
    public var failure: Failure?
    public var seconds = 0.0

    public init(name: String, state: State, options: [String]) { self.name = name; self.state = state; self.options = options }
    /// What the file system gains when the original goes.
    public var bytesSaved: Int { state == .done ? input.bytes - container.bytes : 0 }

    enum CodingKeys: String, CodingKey {
      case schema, name, state, options, input, container, rawBytes = "raw_bytes", original, verified, failure, seconds
    }
  }

  /// The record of a snapshot; `nil` where there is none that can be read: then the work is done again. Local.
  func load(_ s: Snapshot) -> Record? {
    guard let data = FileManager.default.contents(atPath: record(s)), let r = try? JSONDecoder().decode(Record.self, from: data),
          r.schema == Campaign.schema, r.name == s.name else { return nil }
    return r
  }
  /// The record of a snapshot that is done under this plan, rank 0's on all ranks; `nil` where it is not done.
  ///
  /// - Collective: all ranks.
  func finished(_ s: Snapshot, ranks: borrowing Communicator) throws -> Record? {
    guard let r = try Campaign.shared(ranks.rank == 0 ? load(s) : nil, ranks: ranks), r.state == .done, r.options == plan.options else { return nil }
    return r
  }
  /// Local.
  func save(_ r: Record, of s: Snapshot) throws { try replaceDurably(record(s), with: try text(r)) }
}
