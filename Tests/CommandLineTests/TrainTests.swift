import Foundation
import Support
import Testing

/// `alidade train` as a user runs it, on early steps of the repository's own solver.
@Suite(.serialized) struct TrainTests {
  static let trainer = FileManager.default.isExecutableFile(atPath: Launcher.product("alidade-train").path)

  final class Place {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("alidade-train-\(UUID().uuidString)")
    init() throws { try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true) }
    deinit { try? FileManager.default.removeItem(at: folder) }
    func path(_ name: String) -> String { folder.appendingPathComponent(name).path }

    func run(_ words: String, ranks: Int = 1, program: String = "alidade", status: Int32 = 0) throws -> Launcher.Outcome {
      let list = words.split(separator: " ").map { $0.first == "@" ? path(String($0.dropFirst())) : String($0) }
      let o = try Launcher.mpirun(ranks: ranks, executable: Launcher.product(program), arguments: list, timeout: 240)
      #expect(!o.timedOut && !o.crashed && o.status == status, "\(words) on \(ranks) ranks: status \(o.status)\n\(o.stdout)\(o.stderr)")
      return o
    }
    func epochs(_ name: String) throws -> [[String: Any]] {
      let root = try #require(try JSONSerialization.jsonObject(with: Data(contentsOf: folder.appendingPathComponent(name))) as? [String: Any])
      return try #require(root["epochs"] as? [[String: Any]])
    }
    func validation(_ name: String) throws -> [Double] { try epochs(name).map { try #require($0["validation"] as? Double) } }
    func snapshots() throws { _ = try run("--n 32 --re 400 --time 6 --every 1 --perturb 0.1 --single-file --quiet --output @tg.h5", program: "alidade-taylorgreen") }
  }
  static let words = "train @tg.h5 -f velocity --psnr 45 --steps 2:5 --validate 5:6 --patch 1 --width 8 --batch 2 --learning-rate 0.01 -q"

  @Test func withoutTheTrainerItSaysWhatIsMissing() throws {
    let place = try Place()
    // A copy of the program stands alone.
    try FileManager.default.copyItem(at: Launcher.product("alidade"), to: place.folder.appendingPathComponent("alidade"))
    let o = try Launcher.run(place.folder.appendingPathComponent("alidade"), arguments: ["train", "x.h5", "-o", "m.aldm", "-f", "u", "--psnr", "45"], timeout: 60)
    #expect(o.status == 2 && o.stderr.contains("libtorch") && o.stderr.contains("TORCH_ROOT"), "\(o.status) \(o.stderr)")
    for wrong in ["train", "train x.h5 -o m.aldm -f u", "train x.h5 -o m.aldm -f u --psnr 45 --physics colour=1", "train x.h5 -o m.aldm -f u --psnr 45 --device tpu"] {
      #expect(try Launcher.run(Launcher.product("alidade"), arguments: wrong.split(separator: " ").map(String.init), timeout: 60).status == 1, "\(wrong)")
    }
  }

  @Test(.enabled(if: trainer, "alidade-train is not built: it needs libtorch (TORCH_ROOT)")) func ranksAndRestartsAgree() throws {
    let place = try Place()
    try place.snapshots()
    _ = try place.run("\(TrainTests.words) --epochs 4 -o @a.aldm --report @a.json")
    let a = try place.validation("a.json")
    #expect(a.count == 5 && a.last! < a[0] && a[0] < 1, "\(a)")
    // Two ranks: the same loss but for rounding; and twice the same is the same.
    _ = try place.run("\(TrainTests.words) --epochs 4 -o @b.aldm --report @b.json", ranks: 2)
    _ = try place.run("\(TrainTests.words) --epochs 4 -o @c.aldm --report @c.json", ranks: 2)
    for (x, y) in zip(a, try place.validation("b.json")) { #expect(abs(x - y) < 1e-3 * x, "\(x) on one rank, \(y) on two") }
    #expect(try place.validation("b.json") == place.validation("c.json"))
    // Interrupted and continued, as if nothing had been.
    let process = Process()
    process.executableURL = Launcher.product("alidade")
    process.arguments = (TrainTests.words + " --epochs 4 -o @d.aldm --report @d.json --checkpoint @d.ck").split(separator: " ").map { $0.first == "@" ? place.path(String($0.dropFirst())) : String($0) }
    process.environment = ProcessInfo.processInfo.environment.merging(["OMPI_MCA_btl": "self", "OMPI_MCA_ess_singleton_isolated": "1"]) { $1 }
    try process.run()
    while process.isRunning, !FileManager.default.fileExists(atPath: place.path("d.ck")) { usleep(10_000) }
    kill(process.processIdentifier, SIGUSR1)
    process.waitUntilExit()
    #expect([75, 0].contains(process.terminationStatus))
    _ = try place.run("\(TrainTests.words) --epochs 4 -o @d.aldm --report @d.json --checkpoint @d.ck")
    #expect(try Data(contentsOf: place.folder.appendingPathComponent("a.aldm")) == Data(contentsOf: place.folder.appendingPathComponent("d.aldm")))
    let other = try place.run("\(TrainTests.words) --epochs 5 -o @d.aldm --checkpoint @d.ck", status: 1)
    #expect(other.stderr.contains("other options"))
    // What it made is of use.
    _ = try place.run("compress @tg.h5 -o @c.ald --psnr 45 --steps 5:6 --access tile --model @a.aldm --report @c.json", ranks: 3)
    _ = try place.run("verify @c.ald --against @tg.h5 --model @a.aldm", ranks: 2)
  }

  @Test(.enabled(if: trainer, "alidade-train is not built: it needs libtorch (TORCH_ROOT)")) func aLossThatIsNoNumberStops() throws {
    let place = try Place()
    try place.snapshots()
    _ = try place.run("\(TrainTests.words) --epochs 1 -o @a.aldm --checkpoint @good.ck")
    let good = try Data(contentsOf: place.folder.appendingPathComponent("good.ck"))
    let o = try place.run("train @tg.h5 -f velocity --psnr 45 --steps 2:5 --validate 5:6 --patch 1 --width 8 --batch 2 --learning-rate 1e30 -q --epochs 3 -o @b.aldm --checkpoint @b.ck", ranks: 2, status: 2)
    #expect(o.stderr.contains("not finite") && !FileManager.default.fileExists(atPath: place.path("b.aldm")))
    #expect(try Data(contentsOf: place.folder.appendingPathComponent("good.ck")) == good)
    let none = try place.run("\(TrainTests.words) --epochs 1 -o @c.aldm --device cuda:99", status: 1)
    #expect(none.stderr.contains("--device cpu"))
    _ = try place.run("train @tg.h5 -f nothing --psnr 45 -o @c.aldm", status: 2)
  }
}
