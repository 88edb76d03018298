import Fields
import Foundation
import Observables
import Statistics

/// Participants on threads that share one meeting place.
final class Meeting: @unchecked Sendable {
  private let condition = NSCondition()
  private var slots: [Any?]
  private var arrived = 0, leaving = 0
  init(_ count: Int) { slots = Array(repeating: nil, count: count) }

  /// Everybody's items, in order.
  func exchanged<T>(_ item: T, by index: Int) -> [T] {
    condition.lock()
    defer { condition.unlock() }
    while leaving > 0 { condition.wait() }
    slots[index] = item
    arrived += 1
    if arrived == slots.count { leaving = slots.count; condition.broadcast() } else { while leaving == 0 { condition.wait() } }
    let all = slots.map { $0 as! T }
    leaving -= 1
    if leaving == 0 { arrived = 0; condition.broadcast() }
    return all
  }
}

/// A participant with uneven boxes of the grid, cut along y and x; some are empty.
final class Participant: Domain {
  let grid: Grid, box: Box, coordinates = Coordinates.unit
  let index: Int
  private let meeting: Meeting
  init(_ index: Int, of count: Int, grid: Grid, meeting: Meeting) {
    self.index = index; self.grid = grid; self.meeting = meeting
    // Even numbers: two columns cut at 3; along y in proportion to squares, so the first may be empty.
    let columns = count % 2 == 0 ? 2 : 1, rows = count / columns, r = index / columns
    func cut(_ i: Int) -> Int { grid.shape.y * i * i / (rows * rows) }
    let x = columns == 1 ? 0..<grid.shape.x : index % 2 == 0 ? 0..<3 : 3..<grid.shape.x
    box = Box(lower: Index3(0, cut(r), x.lowerBound), upper: Index3(grid.shape.z, cut(r + 1), x.upperBound))
  }

  func merged<M: Mergeable>(_ part: M) throws -> M {
    var message = PackedAccumulators()
    part.pack(into: &message)
    let all = meeting.exchanged(message, by: index)
    var sum = all[0]
    for m in all.dropFirst() { sum.merge(m) }
    var out = part, reader = PackedAccumulators.Reader(sum)
    out.unpack(from: &reader)
    return out
  }
  func gathered(_ part: [Double]) throws -> [[Double]] { meeting.exchanged(part, by: index) }

  // The observables of these cases are dense: they ask for no neighbours and no waves.
  private static let dense = ObservableError("participants of these tests have no neighbours")
  func haloed(_ parts: FieldParts, width: Int) throws -> FieldParts { throw Participant.dense }
  func handed(_ parts: FieldParts, to boxes: [Box]) throws -> [FieldParts] { throw Participant.dense }
  func accumulated(_ parts: FieldParts, width: Int) throws -> FieldParts { throw Participant.dense }
  func shifted(_ parts: FieldParts, by offset: Index3) throws -> FieldParts { throw Participant.dense }
  func transformed(_ parts: FieldParts) throws -> [SpectralPart] { throw Participant.dense }
  func inverse(_ spectra: [SpectralPart]) throws -> FieldParts { throw Participant.dense }

  /// Runs `body` on every participant at once; their results in order.
  static func run<T: Sendable>(_ count: Int, grid: Grid, _ body: @escaping @Sendable (Participant) throws -> T) throws -> [T] {
    let meeting = Meeting(count), lock = NSLock(), group = DispatchGroup()
    nonisolated(unsafe) var results = [Result<T, any Error>?](repeating: nil, count: count)
    for i in 0..<count {
      group.enter()
      Thread.detachNewThread {
        let r = Result { try body(Participant(i, of: count, grid: grid, meeting: meeting)) }
        lock.withLock { results[i] = r }
        group.leave()
      }
    }
    group.wait()
    return try results.map { try $0!.get() }
  }
}
