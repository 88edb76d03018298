import Decomposition
import Fields
import MPI

/// Streams that ranks hold in several runs, brought into one contiguous range for each rank, in order of their numbers.
enum StreamOrder {
  /// - Parameter runs: first number and streams of each run here, the same number of runs on every rank; runs of one position follow
  ///   each other from rank to rank, and all of a position's come before those of the next.
  /// - Collective: all ranks.
  static func placed(_ runs: [(first: Int, streams: [[UInt8]])], total: Int, ranks: borrowing Communicator) throws -> (first: Int, lengths: [Int], bytes: [UInt8]) {
    let mine = ranks.share(of: total)
    if total == 0 { return (0, [], []) }
    func line(_ r: Range<Int>) -> Box { Box(lower: Index3(0, 0, r.lowerBound), upper: Index3(1, 1, r.upperBound)) }
    // Lengths first.
    let numbers = runs.map { line($0.first..<$0.first + $0.streams.count) }
    let lengths = zip(runs, numbers).map { run, box in
      let a = RawArray(box: box, elementSize: 8), p = a.bound(to: Int.self)
      for (i, s) in run.streams.enumerated() { p[i] = s.count }
      return a
    }
    let want = RawArray(box: line(mine), elementSize: 8)
    try Redistribution(have: numbers, want: [want.box], grid: Grid(shape: Index3(1, 1, total)), ranks: ranks).move(lengths, into: [want], ranks: ranks)
    let found = (0..<mine.count).map { want.bound(to: Int.self)[$0] }
    // Where the bytes of each run and of the wanted streams begin.
    var sums = [Int](repeating: 0, count: (runs.count + 1) * ranks.size)
    for (k, run) in runs.enumerated() { sums[k * ranks.size + ranks.rank] = run.streams.reduce(0) { $0 + $1.count } }
    sums[runs.count * ranks.size + ranks.rank] = found.reduce(0, +)
    sums = try ranks.allReduce(sums, .sum)
    func start(_ i: Int, from: Int) -> Int { sums[from..<i].reduce(0, +) }
    let bytes = start(runs.count * ranks.size, from: 0)
    if bytes == 0 { return (mine.lowerBound, found, []) }
    let have = runs.indices.map { k in
      let i = k * ranks.size + ranks.rank, at = start(i, from: 0)
      return line(at..<at + sums[i])
    }
    let packed = zip(runs, have).map { run, box in
      let a = RawArray(box: box, elementSize: 1)
      var at = a.pointer
      for s in run.streams {
        s.withUnsafeBytes { if $0.count > 0 { at.copyMemory(from: $0.baseAddress!, byteCount: $0.count) } }
        at += s.count
      }
      return a
    }
    let i = runs.count * ranks.size + ranks.rank, at = start(i, from: runs.count * ranks.size)
    let target = RawArray(box: line(at..<at + sums[i]), elementSize: 1)
    try Redistribution(have: have, want: [target.box], grid: Grid(shape: Index3(1, 1, bytes)), ranks: ranks).move(packed, into: [target], ranks: ranks)
    return (mine.lowerBound, found, Array(UnsafeBufferPointer(start: target.bound(to: UInt8.self), count: target.count)))
  }
}
