import Foundation
import Support
import Testing

/// The shipped job scripts on a real Slurm that the script starts and ends; see `scenarios.sh`.
@Suite struct SlurmTests {
  @Test func jobScriptsUnderSlurm() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("alidade-slurm-\(ProcessInfo.processInfo.processIdentifier)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
    defer { try? FileManager.default.removeItem(at: folder) }
    let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("scenarios.sh")
    let o = try Launcher.run(script, arguments: [Launcher.productFolder.path, folder.path], timeout: 420)
    print(o.stdout.split(separator: "\n").filter { $0.contains(/^ *\d+s |^skipped/) }.joined(separator: "\n"))
    if o.status == 77 { print("Slurm: SKIPPED, nothing was tested"); return }
    #expect(!o.timedOut && o.status == 0, "\(o.stdout)\n\(o.stderr)")
  }
}
