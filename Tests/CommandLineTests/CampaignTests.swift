import Foundation
import Support
import Testing

/// Campaigns without a scheduler: killed, shared, changed, cleaned.
@Suite(.serialized) struct CampaignTests {
  /// Raw files of one small smooth field each, and the words of a plan for them.
  final class Place: Sendable {
    let folder: URL
    let count: Int
    static let edge = 28

    init(_ name: String, count: Int) throws {
      self.count = count
      folder = FileManager.default.temporaryDirectory.appendingPathComponent("alidade-\(name)-\(ProcessInfo.processInfo.processIdentifier)")
      try? FileManager.default.removeItem(at: folder)
      try FileManager.default.createDirectory(at: folder.appendingPathComponent("in"), withIntermediateDirectories: true)
      for k in 0..<count { try write(k, shift: 0) }
    }
    deinit { try? FileManager.default.removeItem(at: folder) }

    func write(_ k: Int, shift: Double) throws {
      let n = Place.edge
      var values: [Float] = []
      for z in 0..<n { for y in 0..<n { for x in 0..<n {
        let noise = Double(SplitMix64.hash(UInt64(k), (z * n + y) * n + x) % 1000) * 1e-5
        values.append(Float(sin(0.2 * Double(x) + 0.1 * Double(k)) * cos(0.15 * Double(y)) + 0.3 * sin(0.4 * Double(z) + shift) + noise))
      } } }
      try values.withUnsafeBytes { Data($0) }.write(to: folder.appendingPathComponent("in/s\(k).raw"))
    }
    func path(_ name: String) -> String { folder.appendingPathComponent(name).path }
    var inputs: [String] { (0..<count).map { path("in/s\($0).raw") } }

    @discardableResult
    func campaign(_ words: String, _ more: [String] = [], ranks: Int = 1, status: Int32? = 0) throws -> Launcher.Outcome {
      let list = ["campaign"] + words.split(separator: " ").map { $0.first == "@" ? path(String($0.dropFirst())) : String($0) } + more
      let o = try Launcher.mpirun(ranks: ranks, executable: Launcher.product("alidade"), arguments: list)
      if let status { #expect(!o.timedOut && o.status == status, "\(words): \(o.status)\n\(o.stdout)\(o.stderr)") }
      return o
    }
    func plan(_ name: String, _ bound: String = "--rel 1e-3", status: Int32 = 0) throws {
      let n = Place.edge
      try campaign("plan @\(name) -o @\(name).out \(bound) --raw --type f32 --shape \(n),\(n),\(n) --", inputs, status: status)
    }
    /// Names and bytes of all containers.
    func containers(_ name: String) throws -> [String: Data] {
      var out: [String: Data] = [:]
      for n in try FileManager.default.contentsOfDirectory(atPath: path("\(name).out")) where n.hasSuffix(".ald") && !n.hasPrefix(".") {
        out[n] = try Data(contentsOf: folder.appendingPathComponent("\(name).out/\(n)"))
      }
      return out
    }
    func records(_ name: String) -> Int {
      ((try? FileManager.default.contentsOfDirectory(atPath: path("\(name)/records"))) ?? []).filter { $0.hasSuffix(".json") }.count
    }
    /// Processes that work on a campaign, launchers included.
    func processes(_ name: String) -> [Int32] {
      ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).compactMap { Int32($0) }.filter { id in
        FileManager.default.contents(atPath: "/proc/\(id)/cmdline")?.split(separator: 0).contains { String(decoding: $0, as: UTF8.self) == path(name) } ?? false
      }
    }
  }

  /// Names that a run says it finished.
  static func finished(_ o: Launcher.Outcome) -> [String] {
    o.stderr.split(separator: "\n").filter { $0.contains("  done  ") }.map { String($0.prefix { $0 != " " }) }
  }

  /// Killed at five moments, with all its ranks: the same containers as undisturbed, nothing twice, nothing left.
  @Test func killedFiveTimes() throws {
    let place = try Place("campaign-kill", count: 20)
    try place.plan("calm")
    let began = ContinuousClock.now
    try place.campaign("run @calm", ranks: 2)
    let one = UInt64((ContinuousClock.now - began) / .microseconds(20))   // microseconds per snapshot
    let calm = try place.containers("calm")
    #expect(calm.count == 20)
    try place.plan("rough")
    var random = SplitMix64(seed: 20_260_101), finished: [String] = [], killed = 0
    for _ in 0..<5 {
      let before = place.records("rough"), steps = Int(random.next() % 3), pause = UInt32(random.next() % one)
      let job = Background { try place.campaign("run @rough", ranks: 2, status: nil) }
      while job.isRunning, place.records("rough") < before + steps { usleep(2000) }
      usleep(pause)
      let victims = place.processes("rough")
      killed += victims.isEmpty ? 0 : 1
      for v in victims { kill(v, SIGKILL) }
      finished += CampaignTests.finished(try job.end())
    }
    finished += CampaignTests.finished(try place.campaign("run @rough", ranks: 2))
    #expect(killed >= 4)
    #expect(Set(finished).count == finished.count, "done twice: \(finished)")
    // Killed between the record and the word of it: not said, but done.
    #expect(finished.count >= 20 - killed)
    #expect(try place.containers("rough") == calm)
    try place.campaign("clean @rough")
    #expect(try FileManager.default.contentsOfDirectory(atPath: place.path("rough.out")).allSatisfy { $0.hasSuffix(".ald") && !$0.hasPrefix(".") })
    #expect(try FileManager.default.contentsOfDirectory(atPath: place.path("rough/claims")).isEmpty)
  }

  /// Three jobs at once share the work.
  @Test func sharedByThree() throws {
    let place = try Place("campaign-share", count: 9)
    try place.plan("c")
    let jobs = (0..<3).map { _ in Background { try place.campaign("run @c") } }
    let finished = try jobs.flatMap { CampaignTests.finished(try $0.end()) }
    #expect(finished.sorted() == (0..<9).map { "s\($0)" })
    #expect(try place.containers("c").count == 9)
  }

  /// Claims of another machine: one that goes on growing is left alone, one that is silent for a lease is taken over.
  @Test func othersAlive() throws {
    let place = try Place("campaign-lease", count: 3)
    try place.plan("c")
    let other = #"{"host":"elsewhere","id":"0123456789abcdef","job":"","machine":"another","process":1,"restarts":0,"started":"1"}"# + "\n"
    for name in ["s0", "s1"] { try Data(other.utf8).write(to: place.folder.appendingPathComponent("c/claims/\(name)")) }
    let job = Background { try place.campaign("run @c --lease 4", ranks: 2) }
    while job.isRunning {
      if let alive = FileHandle(forWritingAtPath: place.path("c/claims/s1")) {
        _ = try alive.seekToEnd()
        try alive.write(contentsOf: Data(".".utf8))
        try alive.close()
      }
      usleep(300_000)
    }
    let o = try job.end()
    #expect(CampaignTests.finished(o) == ["s2", "s0"])
    #expect(o.stdout.contains("2 done now, 0 before, 1 with other jobs, 0 failed"))
    // The silent one left a container behind; clean finds it when its claim has gone.
    try Data().write(to: place.folder.appendingPathComponent("c.out/.s0.0123456789abcdef.ald.tmp"))
    try place.campaign("clean @c --lease 1")
    #expect(try FileManager.default.contentsOfDirectory(atPath: place.path("c/claims")).isEmpty)
    #expect(try FileManager.default.contentsOfDirectory(atPath: place.path("c.out")).sorted() == ["s0.ald", "s2.ald"])
  }

  /// What is done stays done; what changed is done again, and only that.
  @Test func idempotent() throws {
    let place = try Place("campaign-again", count: 4)
    try place.plan("c")
    try place.campaign("run @c")
    #expect(CampaignTests.finished(try place.campaign("run @c")).isEmpty)
    // Touched: the checksum says it is the same.
    try FileManager.default.setAttributes([.modificationDate: Date(timeIntervalSince1970: 1e9)], ofItemAtPath: place.path("in/s0.raw"))
    // Changed, lost, damaged so that it is not whole.
    try place.write(1, shift: 0.5)
    try FileManager.default.removeItem(atPath: place.path("c.out/s2.ald"))
    let cut = try FileHandle(forWritingTo: place.folder.appendingPathComponent("c.out/s3.ald"))
    try cut.truncate(atOffset: 600)
    try cut.close()
    #expect(CampaignTests.finished(try place.campaign("run @c", ranks: 3)) == ["s1", "s2", "s3"])
    // Other options: refused, unless meant; then all of it.
    try place.plan("c", "--rel 1e-2", status: 1)
    try place.plan("c", "--rel 1e-2 --replace")
    #expect(CampaignTests.finished(try place.campaign("run @c")).count == 4)
    // Options that do not decide the bytes, and further snapshots, do not matter.
    #expect(try place.campaign("status @c").stdout.contains("4: 4 done, 0 at work, 0 failed, 0 to do"))
  }

  /// Originals go only when asked, only what is verified, and only while they are what was compressed.
  @Test func originals() throws {
    let place = try Place("campaign-clean", count: 4)
    try place.plan("c")
    try place.campaign("run @c")
    #expect(try place.campaign("clean @c --originals", status: 2).stderr.contains("run 'campaign verify' first"))
    // One byte of a stream: found, recorded, and made again.
    let flip = try FileHandle(forUpdating: place.folder.appendingPathComponent("c.out/s1.ald"))
    let middle = try flip.seekToEnd() / 2
    try flip.seek(toOffset: middle)
    let byte = try #require(try flip.read(upToCount: 1)?.first)
    try flip.seek(toOffset: middle)
    try flip.write(contentsOf: Data([byte ^ 0x10]))
    try flip.close()
    try place.campaign("verify @c", ranks: 2, status: 4)
    #expect(CampaignTests.finished(try place.campaign("run @c")) == ["s1"])
    #expect(try place.campaign("verify @c", ranks: 2).stdout.contains("1 verified now, 3 before"))
    try place.write(2, shift: 1)
    try place.campaign("clean @c --originals --dry-run", status: 2)
    #expect(place.inputs.allSatisfy { FileManager.default.fileExists(atPath: $0) })
    try place.campaign("clean @c --originals", ranks: 2, status: 2)
    #expect(place.inputs.map { FileManager.default.fileExists(atPath: $0) } == [false, false, true, false])
    // Nothing is lost: the removed ones count as done, the changed one is done again.
    #expect(CampaignTests.finished(try place.campaign("run @c")) == ["s2"])
    #expect(try place.containers("c").count == 4)
    #expect(try place.campaign("verify @c --again").stdout.contains("4 verified now"))
    #expect(try place.campaign("status @c --json").stdout.contains("\"originals_removed\" : 3"))
  }
}

/// A program that runs while the test goes on.
final class Background: @unchecked Sendable {
  private let done = DispatchSemaphore(value: 0), lock = NSLock()
  private var outcome: Result<Launcher.Outcome, any Error>?

  init(_ work: @escaping @Sendable () throws -> Launcher.Outcome) {
    Thread.detachNewThread { [self] in
      let o = Result { try work() }
      lock.withLock { outcome = o }
      done.signal()
    }
  }
  var isRunning: Bool { lock.withLock { outcome == nil } }
  func end() throws -> Launcher.Outcome {
    done.wait()
    return try outcome!.get()
  }
}
