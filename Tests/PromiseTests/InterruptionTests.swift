import Fields
import Foundation
import Support
import Testing

/// A program that runs while the test watches.
final class Job: @unchecked Sendable {
  private let done = DispatchSemaphore(value: 0)
  private var outcome: Result<Launcher.Outcome, any Error>?

  /// - Parameter mark: a word of the command line that no other process has.
  init(_ place: Workplace, _ words: String, ranks: Int, mark: String) {
    self.mark = mark
    Thread.detachNewThread { [self] in
      outcome = Result { try place.run(words, ranks: ranks, status: nil, timeout: 120) }
      done.signal()
    }
  }
  private let mark: String

  /// Ids of the ranks, or of the one process, or of the launcher.
  func processes(launcher: Bool = false) -> [Int32] {
    let all = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return all.compactMap { Int32($0) }.sorted().filter { id in
      guard let data = FileManager.default.contents(atPath: "/proc/\(id)/cmdline") else { return false }
      let words = data.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
      guard words.contains(where: { $0.hasSuffix(mark) }), let program = words.first else { return false }
      return launcher ? program.hasSuffix("mpirun") : program.hasSuffix("/alidade")
    }
  }
  var isRunning: Bool { outcome == nil }

  /// Waits until `condition`, or the end of the job.
  func wait(until condition: () -> Bool) {
    while isRunning && !condition() { usleep(500) }
  }
  func end() throws -> Launcher.Outcome {
    done.wait()
    return try outcome!.get()
  }
}

extension Promises {
  /// Promise 4: nothing half-written looks whole, whenever a process ends.
  @Suite struct Interruption {
    static func snapshot(_ place: Workplace) throws {
      let shape = [96, 96, 96]
      try Snapshot.write(place.path("in.h5"), (0..<4).map { i in
        ("field\(i)", Values(.float32, shape, Pattern.waves.values(shape, seed: UInt64(50 + i))), [:])
      })
    }
    static func size(_ place: Workplace, _ name: String) -> Int {
      ((try? FileManager.default.attributesOfItem(atPath: place.path(name)))?[.size] as? Int) ?? -1
    }

    /// The old file stays until the new one is complete; what is left of the new one never passes for a container.
    @Test(arguments: ["compress", "decompress"]) func killedRank(_ command: String) throws {
      let place = try Workplace("kill-\(command)")
      try Interruption.snapshot(place)
      let target = command == "compress" ? "kill.ald" : "kill.h5"
      let words: String
      if command == "compress" {
        words = "compress @in.h5 -o @\(target) --psnr 80 -q"
        try place.run("compress @in.h5 -o @old --psnr 40 -q")
        try place.run("compress @in.h5 -o @new --psnr 80 -q")
      } else {
        try place.run("compress @in.h5 -o @c.ald --psnr 80 -q")
        try place.run("compress @in.h5 -o @other.ald --psnr 40 -q")
        words = "decompress @c.ald -o @\(target) -q"
        try place.run("decompress @other.ald -o @old -q")
        try place.run("decompress @c.ald -o @new -q")
      }
      let old = try place.bytes("old"), new = try place.bytes("new")
      try place.run("compress @in.h5 -o @whole.ald --psnr 80 -q")
      #expect(old != new)
      var killed = 0, replaced = 0
      let moments = command == "compress" ? [0, 0.2, 0.6, 0.95, 1, 1] : [0, 1, 1]
      for (i, part) in moments.enumerated() {
        try old.write(to: place.folder.appendingPathComponent(target))
        place.remove(target + ".tmp")
        let job = Job(place, words, ranks: 3, mark: target)
        // The temporary file grows field by field; whole, it is synced, read back and renamed.
        let enough = Int(part * Double(new.count))
        job.wait { Interruption.size(place, target + ".tmp") >= enough }
        usleep(UInt32(3000 * (i % 4)))
        let victims = job.processes()
        if !victims.isEmpty { kill(victims[i % victims.count], SIGKILL) }
        let o = try job.end()
        #expect(!o.timedOut, "hang after a kill")
        let now = try place.bytes(target)
        #expect(now == old || now == new, "killed at \(part): neither the old nor the new file")
        if now == new { replaced += 1 }
        if o.status != 0 {
          killed += 1
          #expect(o.status == 137, "launcher said \(o.status)")
        }
        guard let rest = try? place.bytes(target + ".tmp") else { continue }
        // Refused by its name; under another name, good only if it is complete to the byte.
        if command == "compress" {
          let named = try place.run("verify @\(target).tmp -q", status: nil)
          #expect(named.status == 2 || named.status == 4, "a temporary file was accepted")
          try rest.write(to: place.folder.appendingPathComponent("copy.ald"))
          let copied = try place.run("verify @copy.ald -q", status: nil)
          #expect(!copied.crashed && (copied.status == 4 || copied.status == 2 || rest == new), "killed at \(part): \(copied.status) \(copied.stderr)")
        }
        // The next run is not disturbed by what was left.
        if i % 3 == 0 {
          try place.run(words, ranks: 2)
          #expect(try place.bytes(target) == new && !place.exists(target + ".tmp"))
        }
      }
      print("kill \(command): \(killed) of \(moments.count) jobs killed, \(replaced) had replaced the old file")
      #expect(killed >= moments.count / 2)
    }

    /// Asked to stop, a job ends with code 75, one message, and the old file.
    @Test(arguments: [SIGTERM, SIGINT, SIGUSR1]) func askedToStop(_ signal: Int32) throws {
      let place = try Workplace("stop")
      try Interruption.snapshot(place)
      try place.run("compress @in.h5 -o @c.ald --psnr 80 -q")
      for (words, target) in [("compress @in.h5 -o @stop.ald --psnr 80 -q", "stop.ald"), ("decompress @c.ald -o @stop.h5 -q", "stop.h5")] {
        // Under mpirun only USR1 reaches the ranks with their exit code kept.
        for ranks in signal == SIGUSR1 ? [0, 3] : [0] {
          place.remove(target)
          let job = Job(place, words, ranks: ranks, mark: target)
          job.wait { place.exists(target + ".tmp") }
          for p in job.processes(launcher: ranks > 0) { kill(p, signal) }
          let o = try job.end()
          #expect(!o.timedOut && !o.crashed && o.status == 75, "\(words), signal \(signal), \(ranks) ranks: \(o.status)\n\(o.stderr)")
          #expect(o.stderr.components(separatedBy: "alidade: error: ").count == 2, "\(o.stderr)")
          #expect(!place.exists(target) && !place.exists(target + ".tmp"))
        }
      }
    }

    /// TERM to the launcher: whatever its exit code, there is a whole file, and the old one unless the job was done already.
    @Test func launcherAskedToStop() throws {
      let place = try Workplace("stop-launcher")
      try Interruption.snapshot(place)
      try place.run("compress @in.h5 -o @new --psnr 80 -q")
      try place.run("compress @in.h5 -o @launch.ald --psnr 40 -q")
      let old = try place.bytes("launch.ald")
      let job = Job(place, "compress @in.h5 -o @launch.ald --psnr 80 -q", ranks: 3, mark: "launch.ald")
      job.wait { place.exists("launch.ald.tmp") }
      for p in job.processes(launcher: true) { kill(p, SIGTERM) }
      let o = try job.end()
      #expect(!o.timedOut)
      let now = try place.bytes("launch.ald"), new = try place.bytes("new")
      #expect(now == old || now == new)
    }
  }
}
