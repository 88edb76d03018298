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
    /// Runs `words` with one rank, interrupts it as soon as the file is there, and runs it again to its end.
    func interrupted(_ words: String, until file: String) throws {
      let process = Process()
      process.executableURL = Launcher.product("alidade")
      process.arguments = words.split(separator: " ").map { $0.first == "@" ? path(String($0.dropFirst())) : String($0) }
      process.environment = ProcessInfo.processInfo.environment.merging(["OMPI_MCA_btl": "self", "OMPI_MCA_ess_singleton_isolated": "1"]) { $1 }
      try process.run()
      while process.isRunning, !FileManager.default.fileExists(atPath: path(file)) { usleep(10_000) }
      kill(process.processIdentifier, SIGUSR1)
      process.waitUntilExit()
      #expect([75, 0].contains(process.terminationStatus))
      _ = try run(words)
    }
    func bytes(_ name: String) throws -> Data { try Data(contentsOf: folder.appendingPathComponent(name)) }
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
    try place.interrupted("\(TrainTests.words) --epochs 4 -o @d.aldm --report @d.json --checkpoint @d.ck", until: "d.ck")
    #expect(try place.bytes("a.aldm") == place.bytes("d.aldm"))
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
    let good = try place.bytes("good.ck")
    let o = try place.run("train @tg.h5 -f velocity --psnr 45 --steps 2:5 --validate 5:6 --patch 1 --width 8 --batch 2 --learning-rate 1e30 -q --epochs 3 -o @b.aldm --checkpoint @b.ck", ranks: 2, status: 2)
    #expect(o.stderr.contains("not finite") && !FileManager.default.fileExists(atPath: place.path("b.aldm")))
    #expect(try place.bytes("good.ck") == good)
    let none = try place.run("\(TrainTests.words) --epochs 1 -o @c.aldm --device cuda:99", status: 1)
    #expect(none.stderr.contains("--device cpu"))
    _ = try place.run("train @tg.h5 -f nothing --psnr 45 -o @c.aldm", status: 2)
    let lost = try place.run("\(TrainTests.words) --epochs 1 -o @nowhere/c.aldm", ranks: 2, status: 2)
    #expect(lost.stderr.contains("nowhere/': No such file or directory") && !lost.stderr.contains("epoch"), "\(lost.stderr)")
  }

  static let code = "train @tg.h5 -f velocity --steps 2:5 --validate 5:6 --patch 4 --batch 4 -q"

  @Test(.enabled(if: trainer, "alidade-train is not built: it needs libtorch (TORCH_ROOT)"), arguments: [
    "--kind autoencoder --psnr 40 --width 16 --epochs 3 --physics box=0:0.5", "--kind sparse --psnr 40 --epochs 5", "--kind variational --psnr 40 --width 8 --epochs 3",
  ]) func codesFromAnyNumberOfRanksAndAfterRestarts(kind: String) throws {
    let place = try Place()
    try place.snapshots()
    var values: [[Double]] = []
    for ranks in [1, 2, 4] {
      _ = try place.run("\(TrainTests.code) \(kind) -o @a\(ranks).aldm --report @a\(ranks).json", ranks: ranks)
      values.append(try place.validation("a\(ranks).json"))
    }
    #expect(values[0].count > 3 && values[0].allSatisfy { $0.isFinite && $0 > 0 }, "\(values[0])")
    for v in values[1...] { for (x, y) in zip(values[0], v) { #expect(abs(x - y) < 5e-3 * x, "\(x) on one rank, \(y) on more") } }
    try place.interrupted("\(TrainTests.code) \(kind) -o @d.aldm --checkpoint @d.ck", until: "d.ck")
    #expect(try place.bytes("a1.aldm") == place.bytes("d.aldm"))
    // What training ends at is no worse than where it began.
    if !kind.contains("sparse") { #expect(values[0].min()! <= values[0][0]) }
  }

  @Test(.enabled(if: trainer, "alidade-train is not built: it needs libtorch (TORCH_ROOT)")) func ratesAreReached() throws {
    let place = try Place()
    try place.snapshots()
    for kind in ["autoencoder --width 8 --epochs 4", "sparse --epochs 5", "variational --width 0 --epochs 4"] {
      _ = try place.run("\(TrainTests.code) --kind \(kind) --rate 0.6 -o @a.aldm --report @a.json")
      let root = try #require(try JSONSerialization.jsonObject(with: place.bytes("a.json")) as? [String: Any])
      let outcome = try #require(root["outcome"] as? String), rate = try #require(outcome.split(separator: " ").first.flatMap { Double($0) })
      #expect(abs(rate / 0.6 - 1) < 0.02, "\(kind): \(outcome)")
    }
  }

  /// More directions than values, at the same rate: no worse than as many.
  @Test(.enabled(if: trainer, "alidade-train is not built: it needs libtorch (TORCH_ROOT)")) func overcompleteCodesAreNoWorse() throws {
    let place = try Place()
    try place.snapshots()
    func psnr(_ words: String) throws -> Double {
      _ = try place.run("\(TrainTests.code) --kind sparse --epochs 5 --rate 0.4 \(words) -o @a.aldm --report @a.json")
      return try #require(try place.epochs("a.json").last?["psnr"] as? Double)
    }
    let complete = try psnr(""), twice = try psnr("--latents 300")
    #expect(twice > complete - 0.5, "\(complete) dB complete, \(twice) dB with more latents")
  }

  /// The law's code of a loss with an observable is where training begins, and what it says holds at the end.
  @Test(.enabled(if: trainer, "alidade-train is not built: it needs libtorch (TORCH_ROOT)")) func informedCodesDoWhatIsForetold() throws {
    let place = try Place()
    try place.snapshots()
    let words = "\(TrainTests.code) --kind autoencoder --width 0 --rate 0.6 --physics box=1 --epochs 2"
    _ = try place.run("\(words) -o @a.aldm --report @a.json")
    let root = try #require(try JSONSerialization.jsonObject(with: place.bytes("a.json")) as? [String: Any]), audit = try #require(root["audit"] as? [String: Any])
    let foretold = try #require(audit["foretold"] as? [Double]), reached = try #require(audit["reached"] as? [Double]), slack = try #require(audit["slack"] as? Double)
    #expect(foretold[0] < 0 && foretold[1] > 3 && slack >= 1 && slack < 1.05, "\(audit)")
    #expect(abs(reached[0] - foretold[0]) < 0.5 && abs(reached[1] - foretold[1]) < 2, "\(audit)")
    _ = try place.run("compress @tg.h5 -o @c.ald --psnr 35 --steps 5:6 --model @a.aldm --codec autoencoder", ranks: 2)
  }

  @Test(.enabled(if: trainer, "alidade-train is not built: it needs libtorch (TORCH_ROOT)")) func codesStopAtALossThatIsNoNumber() throws {
    let place = try Place()
    try place.snapshots()
    let words = "\(TrainTests.code) --kind autoencoder --psnr 40 --width 8 -o @b.aldm --checkpoint @b.ck"
    let o = try place.run("\(words) --learning-rate 1e30 --epochs 3", ranks: 2, status: 2)
    #expect(o.stderr.contains("not finite") && !FileManager.default.fileExists(atPath: place.path("b.aldm")))
    for wrong in ["--rate 1", "--kind autoencoder --psnr 40,50", "--kind code --psnr 40", "--kind sparse --psnr 40 --structure groups:1", "--psnr 40 --latents 4", "--kind sparse --psnr 40 --quantise round",
                  "--kind variational --psnr 40 --capacity 2:1:square", "--psnr 40 --physics box=1:0"] {
      _ = try place.run("\(TrainTests.code) \(wrong) -o @c.aldm", status: 1)
    }
  }
}
