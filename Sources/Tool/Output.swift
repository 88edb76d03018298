import Compressor
import Glibc

/// The only writer to the terminal: silent on all ranks but 0.
struct Output {
  let speaks: Bool
  let verbosity: Verbosity
  private let terminal = isatty(2) == 1

  /// Results, on standard output.
  func say(_ text: String) {
    guard speaks, !text.isEmpty else { return }
    emit(text, to: 1)
  }

  /// How far the work is, on standard error: one line in place on a terminal, a line each elsewhere.
  func progress(_ line: String) {
    guard speaks, verbosity != .quiet else { return }
    emit(terminal && verbosity == .normal ? "\r\(line)\u{1b}[K" : line + "\n", to: 2)
  }
  /// Ends the line that `progress` kept in place.
  func endProgress() {
    if speaks, terminal, verbosity == .normal { emit("\r\u{1b}[K", to: 2) }
  }

  func error(_ message: String) {
    guard speaks else { return }
    emit("alidade: error: \(message)\n", to: 2)
  }
}

/// Writes all of `text` to a descriptor; a closed pipe ends it silently.
func emit(_ text: String, to descriptor: Int32) {
  var rest = Array(text.utf8)[...]
  while !rest.isEmpty {
    let n = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
    if n < 0, errno == EINTR { continue }
    if n <= 0 { return }
    rest = rest.dropFirst(n)
  }
}

/// Writes a whole file or nothing: temporary name, sync, rename.
func replaceFile(_ path: String, with text: String) throws(Failure) {
  let temporary = path + ".tmp"
  func fail(_ what: String) -> Failure {
    let reason = String(cString: strerror(errno))
    unlink(temporary)
    return Failure(.inputOutput, "cannot \(what) '\(path)': \(reason)")
  }
  guard let file = fopen(temporary, "w") else { throw fail("create") }
  let written = fputs(text, file) >= 0 && fflush(file) == 0 && fsync(fileno(file)) == 0
  guard fclose(file) == 0, written else { throw fail("write") }
  if rename(temporary, path) != 0 { throw fail("replace") }
}

/// The directory part of a path, `.` where there is none.
func directory(of path: String) -> String {
  guard let slash = path.lastIndex(of: "/") else { return "." }
  return slash == path.startIndex ? "/" : String(path[..<slash])
}

/// Whether two paths lead to the same existing file.
func isSameFile(_ a: String, _ b: String) -> Bool {
  var x = stat(), y = stat()
  return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino
}
