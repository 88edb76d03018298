import Compressor
import MPI

extension Main {
  /// What a message costs here: rank 0 and the last rank send one another equal messages at the same time, as exchanges do; one line per size,
  /// bytes and the median seconds of an exchange. The line `reduce`: an allreduce of 64 doubles over all ranks.
  ///
  /// - Collective: all ranks.
  static func network(ranks: borrowing Communicator) throws {
    let last = ranks.size - 1
    func median(_ times: [Double]) -> Double { times.sorted()[times.count / 2] }
    if last > 0 {
      for size in (3...23).map({ 1 << $0 }) {
        var times: [Double] = []
        for _ in 0..<(size < 1 << 18 ? 200 : 30) {
          _ = try ranks.allReduce(0, .max)
          guard ranks.rank == 0 || ranks.rank == last else { continue }
          let start = PhaseClock.now(), other = ranks.rank == 0 ? last : 0
          var exchange = Exchange(ranks)
          try exchange.receive(size, from: other)
          try exchange.send(size, to: other) { $0.initializeMemory(as: UInt8.self, repeating: 1) }
          try exchange.finish()
          times.append(PhaseClock.now() - start)
        }
        if ranks.rank == 0 { print("\(size) \(median(times))") }
      }
    }
    var times: [Double] = []
    let values = [Double](repeating: 1, count: 64)
    for _ in 0..<300 {
      let start = PhaseClock.now()
      _ = try ranks.allReduce(values, .max)
      times.append(PhaseClock.now() - start)
    }
    if ranks.rank == 0 { print("reduce \(median(times))") }
  }
}
