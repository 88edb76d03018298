import Compressor
import Glibc
import HDF5
import MPI

/// The state of a training in an HDF5 file, replaced as a whole after every epoch.
enum Checkpoint {
  private static let names = ["parameters", "first", "second", "best"]

  /// Local; for one rank.
  static func write(_ s: TrainingState, _ o: TrainOptions, to path: String) throws {
    let temporary = path + ".tmp"
    do {
      let file = try File.create(temporary)
      try file.object("/").write("options", key(o))
      for (n, v) in zip(names, [s.parameters, s.first, s.second, s.best]) { try writeNumbers(in: file, n, shape: [v.count], v) }
      let rest = [Double(s.epoch), Double(s.updates), Double(s.sinceBest), s.bestValue, s.multiplier, s.divergence]
      try writeNumbers(in: file, "course", shape: [rest.count], rest)
      try file.close()
      guard rename(temporary, path) == 0 else { throw Failure(.inputOutput, String(cString: strerror(errno))) }
    } catch {
      unlink(temporary)
      throw Failure(.inputOutput, "cannot write checkpoint '\(path)': \(error)")
    }
  }

  /// The state in a file; `nil`: there is no file.
  ///
  /// - Throws: `Failure`, on all ranks: it is damaged, or of a training with other options.
  /// - Collective: all ranks.
  static func read(_ path: String, _ o: TrainOptions, like initial: TrainingState, ranks: borrowing Communicator) throws -> TrainingState? {
    try ranks.agree { () -> TrainingState? in
      guard access(path, F_OK) == 0 else { return nil }
      let damaged = Failure(.inputOutput, "checkpoint '\(path)' is damaged; remove it to begin anew")
      guard let file = try? File.open(path), let root = try? file.object("/"), let options = root.string("options") else { throw damaged }
      guard options == key(o) else { throw Failure(.usage, "checkpoint '\(path)' is of a training with other options; remove it to begin anew") }
      var s = initial, arrays: [[Double]] = []
      for n in names {
        guard let v = try? file.object("/" + n).values(), v.count == initial.parameters.count, v.allSatisfy(\.isFinite) else { throw damaged }
        arrays.append(v)
      }
      guard let course = try? file.object("/course").values(), course.count == 6, course[0] >= 0, course[0] < 0x1p31, course[1] >= 0, course[1] < 0x1p52, course[2] >= 0, course[2] < 0x1p31, course[4] > 0, course[4].isFinite, course[5].isFinite else { throw damaged }
      (s.parameters, s.first, s.second, s.best) = (arrays[0], arrays[1], arrays[2], arrays[3])
      (s.epoch, s.updates, s.sinceBest, s.bestValue) = (Int(course[0]), Int(course[1]), Int(course[2]), course[3])
      (s.multiplier, s.divergence) = (course[4], course[5])
      return s
    }
  }

  /// What decides the course.
  private static func key(_ o: TrainOptions) -> String {
    var k = o
    (k.output, k.checkpoint, k.report, k.quiet, k.licence, k.patience) = ("", nil, nil, false, "", 0)
    return k.text
  }
}
