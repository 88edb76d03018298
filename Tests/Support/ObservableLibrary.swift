import Foundation

/// The example library of observables (Tests/ObservablesTests/moments.c) as compiled by cc.
public enum ObservableLibrary {
  /// nil without a compiler.
  public static let path: String? = {
    let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    let to = FileManager.default.temporaryDirectory.appendingPathComponent("moments-\(UUID().uuidString).so").path
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/cc")
    process.arguments = ["-O2", "-ffp-contract=off", "-shared", "-fPIC", "-I", tests.path + "/../Sources/CObservables/include", tests.path + "/ObservablesTests/moments.c", "-o", to]
    guard (try? process.run()) != nil else { return nil }
    process.waitUntilExit()
    return process.terminationStatus == 0 ? to : nil
  }()
}
