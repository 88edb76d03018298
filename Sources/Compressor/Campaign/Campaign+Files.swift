import Foundation

// Small files that are whole or not there.

/// A path from the root; what it leads to need not exist.
func absolute(_ path: String) -> String {
  let p = path.hasPrefix("/") ? path : FileManager.default.currentDirectoryPath + "/" + path
  return (p as NSString).standardizingPath
}

func makeFolder(_ path: String) throws {
  do { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) } catch {
    throw Failure(.inputOutput, "cannot create the folder '\(path)'")
  }
}

private func systemText() -> String { String(cString: strerror(errno)) }

/// Makes the names in the folder of `path` durable.
func syncFolder(of path: String) {
  let fd = open((path as NSString).deletingLastPathComponent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
  if fd >= 0 { _ = fsync(fd); _ = close(fd) }
}

/// Writes a whole file or nothing, under a temporary name of its own.
func replaceDurably(_ path: String, with text: String) throws {
  let temporary = "\(path).\(randomName()).tmp"
  func fail() -> Failure {
    let reason = systemText()
    unlink(temporary)
    return Failure(.inputOutput, "cannot write '\(path)': \(reason)")
  }
  guard let file = fopen(temporary, "w") else { throw fail() }
  let written = fputs(text, file) >= 0 && fflush(file) == 0 && fsync(fileno(file)) == 0
  guard fclose(file) == 0, written, rename(temporary, path) == 0 else { throw fail() }
  syncFolder(of: path)
}

/// Gives a whole file its final name.
func renameDurably(_ from: String, to: String) throws {
  if rename(from, to) != 0 { throw Failure(.inputOutput, "cannot rename '\(from)' to '\(to)': \(systemText())") }
  syncFolder(of: to)
}

/// Removes a file; that there is none is as good.
func removeDurably(_ path: String) throws {
  if unlink(path) != 0, errno != ENOENT { throw Failure(.inputOutput, "cannot remove '\(path)': \(systemText())") }
  syncFolder(of: path)
}

/// 16 hexadecimal digits that nobody else has.
func randomName() -> String {
  let digits = String(UInt64.random(in: 0...UInt64.max), radix: 16)
  return String(repeating: "0", count: 16 - digits.count) + digits
}

/// Sorted keys, a newline at the end.
func text(_ value: some Encodable) throws -> String {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
  return String(decoding: try encoder.encode(value), as: UTF8.self) + "\n"
}
