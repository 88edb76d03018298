import Foundation
import Support
import Testing

/// Every case of `RankTests` on several numbers of ranks.
@Suite(.serialized) struct RankCases {
  static let counts = [1, 2, 3, 4, 8]

  @discardableResult
  func run(_ name: String, _ ranks: Int, status: Int32 = 0, timeout: Double = 180) throws -> Launcher.Outcome {
    let o = try Launcher.mpirun(ranks: ranks, executable: Launcher.product("RankTests"), arguments: [name], timeout: timeout)
    #expect(!o.timedOut && o.status == status, "\(name) on \(ranks) ranks: status \(o.status)\n\(o.stdout)\(o.stderr)")
    return o
  }

  @Test(arguments: ["collectives", "large-messages", "agree", "finish", "redistribute", "redistribute-wide", "redistribute-emptying", "domains"], counts)
  func holds(name: String, ranks: Int) throws { try run(name, ranks) }

  /// The text is that of one rank on any number of ranks.
  @Test(arguments: ["statistics", "spectra", "spectral", "observables", "own-observables", "latent-geometry", "lapped-codec", "network-codec", "redistribute-errors", "container-round-trip", "container-damage", "container-refusals",
                   "snapshot-round-trip", "snapshot-errors", "snapshot-parts"])
  func independentOfRanks(name: String) throws {
    let expected = try run(name, 1).stdout
    #expect(!expected.isEmpty)
    for n in RankCases.counts.dropFirst() { #expect(try run(name, n).stdout == expected, "\(name) on \(n) ranks") }
  }

  @Test(arguments: counts)
  func failureOfOneRankEndsAll(ranks: Int) throws {
    let o = try run("fail-on-one", ranks, status: 1, timeout: 60)
    #expect(o.stderr.contains("rank \(ranks - 1): disk of the last rank is full"))
    #expect(o.stderr.components(separatedBy: "disk of the last rank").count == 2, "one message only")
    #expect(!o.stdout.contains("not reached"))
  }

  @Test func hangsAreEnded() throws {
    let o = try Launcher.run(.init(fileURLWithPath: "/usr/bin/env"), arguments: ["sleep", "60"], timeout: 0.5)
    #expect(o.timedOut && o.status == SIGTERM)   // at the first, polite signal
  }
}
