import Foundation
import Synchronization

/// The right to work on one snapshot, held by one job until it is released or its holder is found dead.
///
/// A file made with O_CREAT | O_EXCL, which is atomic on local disks, NFS (version 3 on) and Lustre; no lock calls, which some
/// file systems do not pass on to other nodes. Its first line says who holds it; behind it the holder adds a dot every
/// `beat` seconds. Others judge by what they see, never by comparing clocks: a file that grows has a living holder, one that
/// does not for a whole lease has lost it. On the same machine, or for a requeued Slurm job, they know at once.
/// Taking over renames the dead claim away, which only one can do.
final class Claim: @unchecked Sendable {
  /// Who holds a claim.
  struct Holder: Codable, Equatable {
    /// Names the attempt, and its temporary files.
    var id = randomName()
    var host = ""
    /// Kernel and process space; process numbers mean something only within.
    var machine = ""
    var process = 0
    /// Tells a process from a later one of the same number.
    var started = ""
    /// Slurm's job and how often it was requeued; empty and 0 elsewhere.
    var job = ""
    var restarts = 0

    static func current() -> Holder {
      var h = Holder()
      func variable(_ name: String) -> String { ProcessInfo.processInfo.environment[name] ?? "" }
      h.host = ProcessInfo.processInfo.hostName
      h.machine = firstLine("/proc/sys/kernel/random/boot_id") + " "
        + ((try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/ns/pid")) ?? "")
      h.process = Int(getpid())
      h.started = startTime(h.process)
      h.job = variable("SLURM_JOB_ID")
      h.restarts = Int(variable("SLURM_RESTART_COUNT")) ?? 0
      return h
    }

    /// Certainly ended: no need to watch.
    func isDead(seenBy me: Holder) -> Bool {
      if machine == me.machine { return Holder.startTime(process) != started }
      return !job.isEmpty && job == me.job && restarts < me.restarts
    }

    private static func firstLine(_ path: String) -> String {
      (try? String(contentsOfFile: path, encoding: .utf8))?.split(separator: "\n").first.map(String.init) ?? ""
    }
    /// Clock ticks from boot to the start of a process; empty for none.
    private static func startTime(_ process: Int) -> String {
      // The second word is a name in brackets that may hold anything.
      let line = firstLine("/proc/\(process)/stat")
      guard let bracket = line.lastIndex(of: ")") else { return "" }
      let words = line[bracket...].split(separator: " ")
      // A zombie has ended.
      return words.count > 20 && words[1] != "Z" ? String(words[20]) : ""
    }
  }

  /// What can be seen of a claim: who, and how far.
  struct Sight: Equatable {
    var holder: Holder?
    var size: Int
  }

  static let beat = 5.0

  let holder: Holder
  private let path: String, file: Int32
  private let ended = Atomic<Bool>(false)

  /// Takes a free claim.
  ///
  /// - Returns: `nil` where somebody has it. Local.
  init?(_ path: String) throws {
    self.path = path
    holder = .current()
    file = open(path, O_CREAT | O_EXCL | O_WRONLY | O_APPEND | O_CLOEXEC, 0o666)
    if file < 0 {
      if errno == EEXIST { return nil }
      throw Failure(.inputOutput, "cannot create '\(path)': \(String(cString: strerror(errno)))")
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let line = Array(try encoder.encode(holder)) + [10]
    guard write(file, line, line.count) == line.count, fsync(file) == 0 else {
      let reason = String(cString: strerror(errno))
      close(file); unlink(path)
      throw Failure(.inputOutput, "cannot write '\(path)': \(reason)")
    }
    Thread.detachNewThread { [self] in
      while true {
        var left = Claim.beat
        while left > 0 { if ended.load(ordering: .acquiring) { close(file); return }; usleep(100_000); left -= 0.1 }
        // The descriptor, not the path: after a takeover that is another's.
        if write(file, ".", 1) == 1 { fsync(file) }
      }
    }
  }

  /// False once somebody took it over. Local.
  var isHeld: Bool { Claim.look(path)?.holder == holder }

  /// Gives the claim back, unless it was taken over. Local.
  func release() {
    if isHeld { unlink(path) }
    ended.store(true, ordering: .releasing)
  }

  /// - Returns: `nil` where nobody has it. Local.
  static func look(_ path: String) -> Sight? {
    guard let data = FileManager.default.contents(atPath: path) else { return nil }
    let line = data.prefix { $0 != 10 }
    return Sight(holder: try? JSONDecoder().decode(Holder.self, from: line), size: data.count)
  }

  /// Removes a claim whose holder is dead.
  ///
  /// - Returns: False where it was not the claim that was seen. Local.
  static func remove(_ path: String, seen: Sight) -> Bool {
    let aside = "\(path).\(randomName()).tmp"
    guard rename(path, aside) == 0 else { return false }
    defer { unlink(aside) }
    guard look(aside) == seen else {
      _ = link(aside, path)   // somebody's fresh claim: back under its name, unless that is taken
      return false
    }
    return true
  }
}
