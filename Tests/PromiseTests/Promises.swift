import Foundation
import Support
import Testing

/// The promises of the design, each shown by tests that use the built programs as a user would.
///
/// One test after the other: they start more processes than there are cores, and the HDF5 library they read with is
/// not thread-safe. Longer variants run where ALIDADE_LONG_TESTS is set.
@Suite(.serialized) struct Promises {
  static let long = ProcessInfo.processInfo.environment["ALIDADE_LONG_TESTS"] != nil
  static let rankCounts = [1, 2, 3, 4, 8]
}

/// A folder of its own for one test, removed at the end.
final class Workplace: @unchecked Sendable {
  let folder: URL

  init(_ name: String) throws {
    folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("alidade-\(name)-\(ProcessInfo.processInfo.processIdentifier)")
    try? FileManager.default.removeItem(at: folder)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  }
  deinit { try? FileManager.default.removeItem(at: folder) }

  /// A process without a launcher starts in 50 ms instead of 370 when Open MPI neither probes the network nor starts a daemon.
  static let alone = ["OMPI_MCA_btl": "self", "OMPI_MCA_pml": "ob1", "OMPI_MCA_ess_singleton_isolated": "1"]

  func path(_ name: String) -> String { folder.appendingPathComponent(name).path }
  func bytes(_ name: String) throws -> Data { try Data(contentsOf: folder.appendingPathComponent(name)) }
  func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: path(name)) }
  var names: [String] { get throws { try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() } }
  func remove(_ name: String) { try? FileManager.default.removeItem(atPath: path(name)) }

  /// Writes plain little-endian values; see `--raw`.
  func write(_ name: String, raw values: [Float]) throws {
    try values.withUnsafeBytes { try Data($0).write(to: folder.appendingPathComponent(name)) }
  }

  /// Runs `alidade` in words separated by spaces; words that begin with `@` are files of this folder. Zero ranks: no launcher.
  @discardableResult
  func run(_ words: String, ranks: Int = 0, status: Int32? = 0, environment: [String: String] = [:], timeout: Double = 120) throws -> Launcher.Outcome {
    let list = words.split(separator: " ").map { $0.first == "@" ? path(String($0.dropFirst())) : String($0) }
    let tool = Launcher.product("alidade")
    let o: Launcher.Outcome
    if ranks == 0 {
      // Without a daemon, processes that start at the same time would share one session folder.
      let session = FileManager.default.temporaryDirectory.appendingPathComponent("ald-\(SplitMix64.hash(UInt64(getpid()), Int.random(in: 0..<Int.max)))")
      try FileManager.default.createDirectory(at: session, withIntermediateDirectories: true)
      defer { try? FileManager.default.removeItem(at: session) }
      let alone = Workplace.alone.merging(["OMPI_MCA_orte_tmpdir_base": session.path]) { $1 }
      o = try Launcher.run(tool, arguments: list, environment: alone.merging(environment) { $1 }, timeout: timeout)
    } else { o = try Launcher.mpirun(ranks: ranks, executable: tool, arguments: list, environment: environment, timeout: timeout) }
    if let status {
      #expect(!o.timedOut && !o.crashed && o.status == status, "alidade \(words) on \(ranks) ranks: status \(o.status)\n\(o.stdout)\(o.stderr)")
    }
    return o
  }

  /// The text of `result` in a JSON report: everything that must not depend on ranks.
  func result(_ name: String) throws -> String {
    let text = String(decoding: try bytes(name), as: UTF8.self)
    let start = try #require(text.range(of: "\"result\"")), end = try #require(text.range(of: "\"run\""))
    return String(text[start.lowerBound..<end.lowerBound])
  }
  /// The fields of a JSON report.
  func reports(_ name: String) throws -> [[String: Any]] { try #require(try results(name)["fields"] as? [[String: Any]]) }
  /// What a report says beside how it ran.
  func results(_ name: String) throws -> [String: Any] {
    let root = try #require(try JSONSerialization.jsonObject(with: bytes(name)) as? [String: Any])
    return try #require(root["result"] as? [String: Any])
  }
}
