import Fields
import Foundation
import Observables
import Statistics
import Support

/// Participants as threads of one process, each with a part of a grid; everything that is exchanged passes through one table.
///
/// Boxes are the grid cut along z, then y, then x; some are empty where there are more participants than cells.
final class SplitWorld: @unchecked Sendable {
  let grid: Grid, coordinates: Coordinates
  let boxes: [Box]
  private let condition = NSCondition()
  private var table: [Any?]
  private var complete: [Any] = []
  private var waiting = 0, round = 0

  init(_ grid: Grid, _ coordinates: Coordinates = .unit, participants: Int) {
    self.grid = grid; self.coordinates = coordinates
    var boxes = [grid.box], axis = 0
    while boxes.count < participants {
      boxes = boxes.flatMap { b -> [Box] in
        var lower = b, upper = b
        // Uneven on purpose.
        let cut = b.lower[axis] + (b.shape[axis] + 1) / 3
        lower.upper[axis] = cut; upper.lower[axis] = cut
        return [lower, upper]
      }
      axis = (axis + 1) % 3
    }
    self.boxes = boxes
    table = Array(repeating: nil, count: boxes.count)
  }

  /// What all participants deposit, in their order.
  func exchange<T>(_ mine: T, _ rank: Int) -> [T] {
    condition.lock()
    defer { condition.unlock() }
    table[rank] = mine
    waiting += 1
    if waiting == boxes.count {
      complete = table.map { $0! }
      waiting = 0; round += 1
      condition.broadcast()
    } else {
      let current = round
      while round == current { condition.wait() }
    }
    return complete.map { $0 as! T }
  }

  /// Runs `body` on every participant.
  func run<T: Sendable>(_ body: @escaping @Sendable (SplitDomain) throws -> T) throws -> [T] {
    let box = Results<T>(boxes.count)
    DispatchQueue.concurrentPerform(iterations: 1) { _ in
      let threads = boxes.indices.map { r in
        let thread = Thread { box.set(r, Result { try body(SplitDomain(self, r)) }) }
        thread.stackSize = 4 << 20
        return thread
      }
      for t in threads { t.start() }
    }
    return try box.wait().map { try $0.get() }
  }
  private final class Results<T>: @unchecked Sendable {
    private let condition = NSCondition()
    private var results: [Result<T, any Error>?]
    init(_ n: Int) { results = Array(repeating: nil, count: n) }
    func set(_ r: Int, _ result: Result<T, any Error>) {
      condition.lock(); results[r] = result; condition.broadcast(); condition.unlock()
    }
    func wait() -> [Result<T, any Error>] {
      condition.lock()
      defer { condition.unlock() }
      while results.contains(where: { $0 == nil }) { condition.wait() }
      return results.map { $0! }
    }
  }
}

final class SplitDomain: Domain {
  private let world: SplitWorld, rank: Int
  init(_ world: SplitWorld, _ rank: Int) { self.world = world; self.rank = rank }
  var grid: Grid { world.grid }
  var coordinates: Coordinates { world.coordinates }
  var box: Box { world.boxes[rank] }

  func merged<M: Mergeable>(_ part: M) throws -> M {
    let all = world.exchange(part, rank)
    return all.dropFirst().reduce(into: all[0]) { $0.merge($1) }
  }
  func gathered(_ part: [Double]) throws -> [[Double]] { world.exchange(part, rank) }

  /// The whole field, one array per component.
  func whole(_ parts: FieldParts) -> [[Double]] {
    let all = world.exchange(parts, rank)
    return parts.indices.map { c in
      var out = [Double](repeating: 0, count: grid.count)
      for p in all { Cells.forEach(p[c].box) { i, k in out[grid.box.offset(of: i)] = p[c].values[k] } }
      return out
    }
  }
  private func wrapped(_ i: Index3) -> Int {
    var j = i
    for a in 0..<3 where grid.periodic[a] { j[a] = ((i[a] % grid.shape[a]) + grid.shape[a]) % grid.shape[a] }
    return grid.box.offset(of: j)
  }
  func haloed(_ parts: FieldParts, width: Int) throws -> FieldParts {
    let to = box.isEmpty ? box : box.dilated(by: width, in: grid)
    return whole(parts).map { w in
      var out = FieldPart(to)
      Cells.forEach(to) { i, k in out.values[k] = w[wrapped(i)] }
      return out
    }
  }
  func handed(_ parts: FieldParts, to boxes: [Box]) throws -> [FieldParts] {
    let all = whole(parts)
    return boxes.map { to in
      all.map { w in
        var out = FieldPart(to)
        Cells.forEach(to) { i, k in out.values[k] = w[wrapped(i)] }
        return out
      }
    }
  }
  func accumulated(_ parts: FieldParts, width: Int) throws -> FieldParts {
    let all = world.exchange(parts, rank)
    return parts.indices.map { c in
      var sums = [Double](repeating: 0, count: grid.count), out = FieldPart(box)
      for p in all { Cells.forEach(p[c].box) { i, k in sums[wrapped(i)] += p[c].values[k] } }
      Cells.forEach(box) { i, k in out.values[k] = sums[wrapped(i)] }
      return out
    }
  }
  func shifted(_ parts: FieldParts, by offset: Index3) throws -> FieldParts {
    whole(parts).map { w in
      var out = FieldPart(box)
      Cells.forEach(box) { i, k in out.values[k] = w[wrapped(i + offset)] }
      return out
    }
  }
  func transformed(_ parts: FieldParts) throws -> [SpectralPart] { throw ObservableError("no Fourier transform here") }
  func inverse(_ spectra: [SpectralPart]) throws -> FieldParts { throw ObservableError("no Fourier transform here") }
}
