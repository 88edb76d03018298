import Foundation
import Support
import Testing

/// Committed streams keep their meaning. Tests/Golden/regenerate.sh writes them anew after a change of the format.
@Suite struct GoldenTests {
  static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("Golden")

  @Test(arguments: [1, 3], ["golden-decode", "golden-encode"])
  func bothWays(ranks: Int, name: String) throws {
    let o = try Launcher.mpirun(ranks: ranks, executable: Launcher.product("RankTests"), arguments: [name], timeout: 180)
    #expect(o.status == 0 && !o.stdout.isEmpty, "\(name) on \(ranks) ranks\n\(o.stdout)\(o.stderr)")
  }

  /// Decoding with the narrowest vectors gives the same bits.
  @Test func narrowVectors() throws {
    let o = try Launcher.run(Launcher.product("RankTests"), arguments: ["golden-decode"], environment: ["ALIDADE_SIMD": "baseline"], timeout: 180)
    #expect(o.status == 0, "\(o.stdout)\(o.stderr)")
  }

  @Test func filesAreSmall() throws {
    for name in try FileManager.default.contentsOfDirectory(atPath: Self.folder.path) where name.hasSuffix(".ald") || name.hasSuffix(".bin") {
      let size = try Data(contentsOf: Self.folder.appendingPathComponent(name)).count
      #expect(size < 20_000, "\(name): \(size) bytes")
    }
  }

  struct Damage: Sendable, CustomTestStringConvertible {
    var name: String
    /// In the one error line.
    var says: String
    var status: Int32 = 4
    var change: @Sendable (inout Data) -> Void
    var testDescription: String { name }
  }
  static let damages = [
    Damage(name: "magic", says: "first block is damaged") { $0[0] ^= 1 },
    Damage(name: "version", says: "first block is damaged") { $0[8] ^= 64 },
    Damage(name: "metadata", says: "metadata is damaged") { $0[600] ^= 1 },
    Damage(name: "stream", says: "stream 0 of step 0 is damaged") { d in d[d.count - 1500] ^= 1 },
    Damage(name: "half", says: "bytes, not the") { $0 = Data($0.prefix($0.count / 2)) },
    Damage(name: "start only", says: "fewer than the 512") { $0 = Data($0.prefix(100)) },
    Damage(name: "empty", says: "is empty", status: 2) { $0 = Data() },
  ]

  @Test(arguments: damages)
  func damageIsNamed(_ damage: Damage) throws {
    var data = try Data(contentsOf: Self.folder.appendingPathComponent("interpolation.ald"))
    damage.change(&data)
    let place = FileManager.default.temporaryDirectory.appendingPathComponent("golden-\(UUID().uuidString).ald")
    try data.write(to: place)
    defer { try? FileManager.default.removeItem(at: place) }
    let o = try Launcher.run(Launcher.product("alidade"), arguments: ["verify", place.path])
    #expect(o.status == damage.status, "\(o.stdout)\(o.stderr)")
    #expect(o.stderr.components(separatedBy: "alidade: error: ").count == 2 && o.stderr.contains(damage.says), "\(o.stderr)")
  }

  /// The decoding kernels, built for another architecture, give the same bits.
  @Test(.timeLimit(.minutes(5))) func otherArchitecture() throws {
    let o = try Launcher.run(
      URL(fileURLWithPath: "/usr/bin/env"), arguments: ["bash", Self.folder.appendingPathComponent("aarch64.sh").path], timeout: 280)
    #expect(o.status == 0, "\(o.stdout)\(o.stderr)")
    for line in o.stdout.split(separator: "\n") where line.contains("skipped") { print("GoldenTests: \(line)") }
  }
}
