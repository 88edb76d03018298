import Fields
import Foundation
import MPI
import SnapshotIO

/// Containers: bytes independent of ranks, damage always found, nothing left after a failure.
enum ContainerCases {
  /// One file name per job, the same on all ranks.
  static func path(_ name: String, _ ranks: borrowing Communicator) throws -> String {
    let mine = NSTemporaryDirectory() + "alidade-\(name)-\(ProcessInfo.processInfo.processIdentifier).ald"
    return String(decoding: try ranks.broadcast(Array(mine.utf8)), as: UTF8.self)
  }

  /// Stream `i` of a seeded set; some are empty.
  static func stream(_ i: Int, seed: UInt64) -> [UInt8] {
    var x = seed &+ UInt64(i) &* 0x9e37_79b9_7f4a_7c15
    func next() -> UInt64 { x ^= x << 13; x ^= x >> 7; x ^= x << 17; return x }
    for _ in 0..<4 { _ = next() }
    let n = i % 17 == 3 ? 0 : Int(next() % 200)
    return (0..<n).map { _ in UInt8(truncatingIfNeeded: next()) }
  }

  static func step(_ number: Int, count: Int, seed: UInt64, _ ranks: borrowing Communicator) -> ContainerStep {
    let mine = count * ranks.rank / ranks.size ..< count * (ranks.rank + 1) / ranks.size
    let streams = mine.map { stream($0, seed: seed) }
    return ContainerStep(step: number, header: Array("header \(number)".utf8), streams: Array(streams.joined()),
                         lengths: streams.map(\.count))
  }

  static func write(_ path: String, _ ranks: borrowing Communicator, counts: [Int] = [5, 10_000, 0, 1],
                    steps: Int = 2, noClobber: Bool = false) throws -> ContainerSizes {
    let w = try ContainerWriter(path: path, noClobber: noClobber, ranks: ranks)
    for (f, count) in counts.enumerated() {
      let n = try w.addField(name: "group/field \(f)", description: [1, 2, 3, UInt8(f)], ranks: ranks)
      for s in 0..<steps { _ = try w.append(step(10 + s, count: count, seed: UInt64(7 + f + 100 * s), ranks), to: n, ranks: ranks) }
    }
    return try w.commit(carry: (0..<999).map { UInt8(truncatingIfNeeded: $0 * $0) }, ranks: ranks)
  }

  static func remove(_ path: String, _ ranks: borrowing Communicator) throws {
    try ranks.barrier()
    if ranks.rank == 0 { try? FileManager.default.removeItem(atPath: path) }
  }

  /// The exit code of what `work` throws; 0 when it does not throw.
  static func exitCode(_ work: () throws -> Void) -> Int32 {
    do { try work(); return 0 } catch { return (error as? any ExitCoded)?.exitCode ?? -1 }
  }

  /// Same bytes for any number of ranks (digest in the result), streams come back, on ranks without streams too.
  static func roundTrip(_ ranks: borrowing Communicator) throws -> String {
    let path = try path("round", ranks)
    let sizes = try write(path, ranks)
    let r = try ContainerReader.open(path, ranks: ranks)
    try ranks.agree {
      try expect(r.fields.map(\.name) == (0..<4).map { "group/field \($0)" }, "names")
      try expect(r.fields.map(\.steps) == Array(repeating: [10, 11], count: 4), "steps")
      try expect(try r.header(field: 1, step: 1) == Array("header 11".utf8), "header")
      try expect(try r.carry().count == 999, "carry")
      for i in stride(from: ranks.rank, to: 10_000, by: 7) {
        let pair = [i, (i * 31) % 10_000]
        try expect(try r.readStreams(field: 1, step: 1, pair) == pair.map { stream($0, seed: 108) }, "streams \(pair)")
      }
      for f in 0..<4 { for s in 0..<2 { try r.verifyChecksums(field: f, step: s, 0..<r.streamCount(field: f, step: s)) } }
      try expect(exitCode { _ = try r.readStreams(field: 0, step: 0, [5]) } == 2, "a stream that does not exist")
    }
    var digest: UInt64 = 0xcbf2_9ce4_8422_2325
    if ranks.rank == 0 { for b in try Data(contentsOf: URL(fileURLWithPath: path)) { digest = (digest ^ UInt64(b)) &* 0x100_0000_01b3 } }
    let text = String(decoding: try ranks.broadcast(Array(String(digest, radix: 16).utf8)), as: UTF8.self)
    try remove(path, ranks)
    return "bytes \(sizes.file) overhead \(sizes.overhead) digest \(text)"
  }

  /// Every flipped bit, lost tail and foreign byte is a named error with exit code 4; nothing crashes.
  static func damage(_ ranks: borrowing Communicator) throws -> String {
    let path = try path("damage", ranks)
    _ = try write(path, ranks, counts: [3, 40])
    var good: [UInt8] = []
    if ranks.rank == 0 { good = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path))) }
    good = try ranks.broadcast(good)
    func code(_ bytes: [UInt8], _ ranks: borrowing Communicator) throws -> Int32 {
      if ranks.rank == 0 { try Data(bytes).write(to: URL(fileURLWithPath: path)) }
      try ranks.barrier()
      do {
        let r = try ContainerReader.open(path, ranks: ranks)
        try ranks.agree {
          _ = try r.carry()
          for f in r.fields.indices {
            for s in r.fields[f].steps.indices {
              _ = try r.header(field: f, step: s)
              try r.verifyChecksums(field: f, step: s, 0..<r.streamCount(field: f, step: s))
            }
          }
        }
        return 0
      } catch let e as any ExitCoded { return e.exitCode }
    }
    try ranks.agree(expecting: 0, try code(good, ranks), "undamaged")
    var x: UInt64 = 42
    for trial in 0..<300 {
      x ^= x << 13; x ^= x >> 7; x ^= x << 17
      // Half of the trials hit the first block, the rest the whole file.
      let at = Int(x >> 8) % (trial % 2 == 0 ? 512 : good.count)
      var bad = good
      bad[at] ^= 1 << UInt8(x & 7)
      try ranks.agree(expecting: 4, try code(bad, ranks), "bit \(x & 7) of byte \(at)")
    }
    for n in [8, 100, 511, 512, 513, 1000, good.count - 1] {
      try ranks.agree(expecting: 4, try code(Array(good[0..<n]), ranks), "first \(n) bytes")
    }
    try ranks.agree(expecting: 4, try code(good + [0], ranks), "one byte more")
    try ranks.agree(expecting: 2, try code([], ranks), "empty file")
    try ranks.agree(expecting: 2, try code(Array("something else, long enough".utf8), ranks), "another kind of file")
    try remove(path, ranks)
    return "300 flips, 7 truncations"
  }

  /// Refusals and failures leave neither a target nor a temporary file, and are the same error everywhere.
  static func refusals(_ ranks: borrowing Communicator) throws -> String {
    let path = try path("refuse", ranks)
    var log: [String] = []
    func attempt(_ what: String, _ ranks: borrowing Communicator, _ work: (borrowing Communicator) throws -> Void) throws {
      do { try work(ranks); log.append("\(what): done") } catch let e as any ExitCoded { log.append("\(what): \(e.exitCode)") }
      try ranks.barrier()
      try ranks.agree { try expect(!FileManager.default.fileExists(atPath: path + ".tmp"), "\(what) left a temporary file") }
    }
    try attempt("missing", ranks) { _ = try ContainerReader.open(path, ranks: $0) }
    try attempt("first", ranks) { _ = try write(path, $0, counts: [2], noClobber: true) }
    try attempt("again", ranks) { _ = try write(path, $0, counts: [2], noClobber: true) }
    try attempt("replace", ranks) { _ = try write(path, $0, counts: [3]) }
    try attempt("directory", ranks) { _ = try write("/nonexistent/x.ald", $0, counts: [2]) }
    try attempt("tmp name", ranks) { _ = try ContainerReader.open(path + ".tmp", ranks: $0) }
    try attempt("bad lengths on the last rank", ranks) { r in
      let w = try ContainerWriter(path: path + "2", ranks: r)
      let n = try w.addField(name: "f", description: [], ranks: r)
      var s = step(0, count: 20, seed: 1, r)
      if r.rank == r.size - 1 { s.lengths.append(5) }
      _ = try w.append(s, to: n, ranks: r)
    }
    try ranks.agree { try expect(!FileManager.default.fileExists(atPath: path + "2.tmp"), "temporary file left") }
    try remove(path, ranks)
    return log.joined(separator: ", ")
  }
}

extension Communicator {
  borrowing func agree(expecting expected: Int32, _ found: Int32, _ what: String) throws {
    try agree { try expect(found == expected, "\(what): exit code \(found), not \(expected)") }
  }
}
