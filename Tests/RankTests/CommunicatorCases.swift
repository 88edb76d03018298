import MPI

func collectives(_ ranks: borrowing Communicator) throws -> String {
  let r = ranks.rank, n = ranks.size
  let sum = try ranks.allReduce([r, 1, -r], .sum)
  let low = try ranks.allReduce(Double(r) + 0.5, .min), high = try ranks.allReduce(Double(r) + 0.5, .max)
  let bits = try ranks.allReduce(UInt64(1) << UInt64(r), .bitwiseOr)
  let and = try ranks.allReduce(~(UInt64(1) << UInt64(r)), .bitwiseAnd)
  let below = try ranks.exclusiveScan(r + 1)
  let nothing = try ranks.allReduce([Int](), .sum)
  let text = try ranks.broadcast(r == n - 1 ? [UInt8]("last".utf8) : [], from: n - 1)
  let mine = [UInt8](repeating: UInt8(r), count: r * 3)
  let all = try ranks.allGather(mine), root = try ranks.gather(mine, to: n - 1)
  let none = try ranks.allGather([])
  try ranks.barrier()
  try ranks.agree {
    let total = n * (n - 1) / 2
    try expect(sum == [total, n, -total], "sum \(sum)")
    try expect(low == 0.5 && high == Double(n) - 0.5, "range \(low) \(high)")
    try expect(bits == UInt64(1) << UInt64(n) - 1 && and == ~bits, "bits \(bits)")
    try expect(below == r * (r + 1) / 2, "scan \(below)")
    try expect(nothing.isEmpty && none.allSatisfy { $0.isEmpty }, "nothing")
    try expect(text == [UInt8]("last".utf8), "broadcast")
    let wanted = (0..<n).map { [UInt8](repeating: UInt8($0), count: $0 * 3) }
    try expect(all == wanted, "all gather")
    try expect(root == (r == n - 1 ? wanted : []), "gather")
    try expect(!MPIEnvironment.libraryVersion.isEmpty, "version")
  }
  try counts(ranks)
  try sparse(ranks)
  let copy = try Communicator(duplicating: ranks.fortranHandle)
  let size = try copy.allReduce(1, .sum)
  try copy.close()
  try ranks.agree { try expect(size == n, "duplicate") }
  return MPIEnvironment.libraryVersion
}

/// What is counted of the messages is what was sent.
private func counts(_ ranks: borrowing Communicator) throws {
  let r = ranks.rank, n = ranks.size, before = Traffic.total
  var exchange = Exchange(ranks)
  try exchange.receive(100, from: (r + n - 1) % n)
  try exchange.send(100, to: (r + 1) % n) { $0.initializeMemory(as: UInt8.self, repeating: 1) }
  try exchange.finish()
  let sent = Traffic.total - before, middle = Traffic.total
  _ = try ranks.allReduce([1.0, 2.0], .max)
  _ = try ranks.broadcast([UInt8](repeating: 1, count: 50), from: 0)
  let called = Traffic.total - middle
  try ranks.agree {
    try expect(sent.messages == 1 && sent.bytes == 100 && sent.collectives == 0, "messages \(sent)")
    // Length and contents of a broadcast come from its root.
    try expect(called == Traffic() || n > 1, "one rank needs nobody: \(called)")
    try expect(n == 1 || called.messages == 0 && called.collectives == 3 && called.collectiveBytes == 16 + (r == 0 ? 58 : 0), "collectives \(called)")
  }
}

/// What grows with the neighbours of a rank or the logarithm of the number of ranks only.
private func sparse(_ ranks: borrowing Communicator) throws {
  let r = ranks.rank, n = ranks.size, before = Traffic.total
  let joined = try ranks.merged((0..<r % 3).map { _ in UInt8(r) }) { $0 + $1 }
  // To itself, the next rank and the one after; nothing from the last one. Many rounds, so that none is taken for another.
  for round in 0..<50 {
    for kind in [Communicator.SparseRound.request, .answer] {
      let to = r == n - 1 ? [] : Set([r, (r + 1) % n, (r + 2) % n]).sorted()
      let got = try ranks.exchangeSparsely(to.map { (rank: $0, bytes: [UInt8](repeating: UInt8(round), count: r + $0)) }, kind)
      let wanted = (0..<max(0, n - 1)).filter { r == $0 || r == ($0 + 1) % n || r == ($0 + 2) % n }
      try ranks.agree {
        try expect(got.map(\.rank) == wanted, "messages from \(got.map(\.rank)), not \(wanted)")
        for m in got { try expect(m.bytes == [UInt8](repeating: UInt8(round), count: r + m.rank), "message of rank \(m.rank)") }
      }
    }
  }
  let traffic = Traffic.total - before
  try ranks.agree {
    try expect(joined == (0..<n).flatMap { k in (0..<k % 3).map { _ in UInt8(k) } }, "merged \(joined)")
    try expect(traffic.messages <= 201 && traffic.gatheredBytes == 0, "traffic \(traffic)")
  }
}

/// Messages beyond the limit of one piece, with a small limit.
func largeMessages(_ ranks: borrowing Communicator) throws -> String {
  var small = try ranks.duplicated()
  small.largestMessage = 1000
  let n = small.size, r = small.rank
  func bytes(_ rank: Int) -> [UInt8] { (0..<2345 * (rank + 1)).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ rank) } }
  let all = try small.allGather(bytes(r)), root = try small.gather(bytes(r), to: n / 2)
  let cast = try small.broadcast(bytes(n - 1), from: n - 1)
  let sums = try small.allReduce((0..<999).map { $0 * (r + 1) }, .sum)
  try small.agree {
    try expect(all == (0..<n).map(bytes), "all gather")
    try expect(root == (r == n / 2 ? (0..<n).map(bytes) : []), "gather")
    try expect(cast == bytes(n - 1), "broadcast")
    try expect(sums == (0..<999).map { $0 * n * (n + 1) / 2 }, "sum")
  }
  try moveAll(.small, small)
  try small.close()
  return "ok"
}

func agreement(_ ranks: borrowing Communicator) throws -> String {
  let v = try ranks.agree { ranks.rank * 2 }
  var seen: AgreedError?
  do {
    // All but rank 0 of several ranks fail; the lowest of them speaks.
    try ranks.agree { if ranks.rank > 0 || ranks.size == 1 { throw Failed(description: "rank \(ranks.rank) has no data") } }
  } catch { seen = error as? AgreedError }
  let culprit = ranks.size == 1 ? 0 : 1
  var again: AgreedError?
  do { try ranks.agree { if let seen { throw seen } } } catch { again = error as? AgreedError }
  try ranks.agree {
    try expect(v == ranks.rank * 2, "value")
    try expect(seen == AgreedError(rank: culprit, exitCode: 1, message: "rank \(culprit) has no data"), "\(String(describing: seen))")
    try expect(again == seen, "an agreed error stays as it is")
  }
  return "ok"
}

/// Ends with the same message and exit code 1 for any number of ranks.
func failOnOne(_ ranks: borrowing Communicator) throws -> String {
  try ranks.agree { if ranks.rank == ranks.size - 1 { throw Failed(description: "disk of the last rank is full") } }
  return "not reached"
}
