import Decomposition
public import Fields
public import MPI
import Observables

/// The transform of a real field to a box of its modes and back over all ranks: pencils along x, y and z, of which only what the box
/// holds goes on to the next.
///
/// Every line is transformed by one rank with the same operations whoever it is: the same bits for any number of ranks, which may exceed
/// that of pencils. Indices of modes are signed, j_x from 0 on. Complex numbers are two neighbours in x.
public final class SpectralTransform {
  public let shape: Index3
  /// All modes, and those of this rank: whole columns along z.
  public let modes: Box, mine: Box
  /// This rank's cells: whole rows along x.
  public let rows: Box
  private let axes: [FourierAxis]
  /// Pencils of complex numbers: along x and y before and behind, in the coordinates of the transform at hand.
  private let alongX: Box, alongY: Box
  /// Memory of a transform that is over, for the next one.
  private var spare: [RawArray] = []
  /// nil where every rank has the same cells of both pencils: nothing moves.
  private let xy: Redistribution?, yz: Redistribution?, yx: Redistribution?, zy: Redistribution?

  /// - Parameter modes: within -(n - 1) / 2 ... n / 2, from 0 on along x; not empty.
  /// - Collective: all ranks.
  public init(_ shape: Index3, modes: Box, ranks: borrowing Communicator) throws {
    self.shape = shape; self.modes = modes
    axes = (0..<3).map { FourierAxis(shape[$0]) }
    let cuts = PencilCuts(shape, ranks: ranks.size), me = ranks.rank, m = modes.shape
    // Extents after the transforms along x, along y and along z.
    let x = Index3(shape.z, shape.y, m.x), y = Index3(shape.z, m.y, m.x), z = m
    rows = cuts.boxes(shape, along: 2)[me]
    let before = [cuts.boxes(x, along: 2), cuts.boxes(y, along: 1)], behind = [cuts.boxes(x, along: 1), cuts.boxes(y, along: 0)]
    let xs = before[0][me], wide = behind[0][me], ys = before[1][me], zs = behind[1][me]
    alongX = xs; alongY = ys
    var own = cuts.boxes(z, along: 0)[me]
    if !own.isEmpty { own = own.shifted(by: modes.lower) }
    mine = own
    let f = SpectralTransform.numbers, gx = Grid(shape: f(Box(shape: x)).upper), gy = Grid(shape: f(Box(shape: y)).upper)
    func plan(_ have: Box, _ want: Box, _ grid: Grid, needed: Bool) throws -> Redistribution? {
      needed ? try Redistribution(have: [f(have)], want: [f(want)], grid: grid, ranks: ranks) : nil
    }
    let moves = (0..<2).map { before[$0] != behind[$0] }
    xy = try plan(xs, wide, gx, needed: moves[0])
    yx = try plan(wide, xs, gx, needed: moves[0])
    yz = try plan(ys, zs, gy, needed: moves[1])
    zy = try plan(zs, ys, gy, needed: moves[1])
  }

  /// Bytes sent to other ranks by all transforms so far.
  public var bytesSent: Int { [xy, yx, yz, zy].reduce(0) { $0 + ($1?.bytesSent ?? 0) } }

  /// The box of the real numbers of a box of complex ones.
  public static func numbers(_ b: Box) -> Box {
    Box(lower: Index3(b.lower.z, b.lower.y, 2 * b.lower.x), upper: Index3(b.upper.z, b.upper.y, 2 * b.upper.x))
  }
  /// The numbers of a box of modes, counted from the first one of the set; what arrays of modes lie on.
  public func place(_ b: Box) -> Box { SpectralTransform.numbers(b.isEmpty ? Box(shape: Index3(0, 0, 0)) : b.shifted(by: Index3(0, 0, 0) - modes.lower)) }
  /// The grid of those numbers.
  public var grid: Grid { Grid(shape: place(modes).upper) }

  /// The lines `first` ..< `first + count` of each block of n in its place, the negative ones first; the others are dropped.
  private func narrow(_ a: RawArray, blocks: Int, from n: Int, count: Int, first: Int, run: Int) {
    let line = 16 * run, scratch = RawArray(box: Box(shape: Index3(1, 1, line)), elementSize: 1)
    for k in 0..<blocks {
      let block = a.pointer + k * n * line
      rotate(block, n, by: (n + first) % n, line, scratch)
      if k > 0 && count < n { (a.pointer + k * count * line).copyMemory(from: block, byteCount: count * line) }
    }
  }
  /// And back, with zeros for the others.
  private func widen(_ a: RawArray, blocks: Int, to n: Int, count: Int, first: Int, run: Int) {
    let line = 16 * run, scratch = RawArray(box: Box(shape: Index3(1, 1, line)), elementSize: 1)
    for k in (0..<blocks).reversed() {
      let block = a.pointer + k * n * line
      if k > 0 && count < n { block.copyMemory(from: a.pointer + k * count * line, byteCount: count * line) }
      (block + count * line).initializeMemory(as: UInt8.self, repeating: 0, count: (n - count) * line)
      rotate(block, n, by: (n - first) % n, line, scratch)
    }
  }
  /// Line i + s mod n of n in the place of line i.
  private func rotate(_ p: UnsafeMutableRawPointer, _ n: Int, by s: Int, _ bytes: Int, _ scratch: RawArray) {
    if s == 0 || bytes == 0 { return }
    var first = 0, done = 0
    while done < n {
      scratch.pointer.copyMemory(from: p + first * bytes, byteCount: bytes)
      var i = first
      while true {
        done += 1
        let next = (i + s) % n
        if next == first { break }
        (p + i * bytes).copyMemory(from: p + next * bytes, byteCount: bytes)
        i = next
      }
      (p + i * bytes).copyMemory(from: scratch.pointer, byteCount: bytes)
      first += 1
    }
  }
  /// Some rows at a time, with room for all their coefficients and values.
  private func eachBatch(backwards: Bool = false, _ body: (_ first: Int, _ count: Int, UnsafeMutablePointer<Double>, UnsafeMutablePointer<Double>) -> Void) {
    let rows = rows.isEmpty ? 0 : rows.shape.z * rows.shape.y, half = shape.x / 2 + 1, batch = min(64, rows)
    let buffer = UnsafeMutablePointer<Double>.allocate(capacity: (2 * half + shape.x) * batch)
    defer { buffer.deallocate() }
    let batches = batch == 0 ? 0 : (rows + batch - 1) / batch
    for i in 0..<batches {
      let first = (backwards ? batches - 1 - i : i) * batch
      body(first, min(batch, rows - first), buffer, buffer + 2 * half * batch)
    }
  }
  /// Most numbers or values of any pencil.
  private var most: Int { max(rows.count, [alongX, whole(alongY, 1), columns].map { SpectralTransform.numbers($0).count }.max()!) }
  /// Memory for any pencil: one is all that a transform needs, and another, empty one where pencils are exchanged.
  private func memory() -> RawArray { spare.popLast() ?? RawArray(box: Box(shape: Index3(1, 1, most)), elementSize: 8) }
  /// The same complex numbers on the next pencil's box, in other memory where they move.
  private func moved(_ a: RawArray, _ here: inout RawArray, to box: Box, _ plan: Redistribution?, ranks: borrowing Communicator) throws -> RawArray {
    guard let plan else { return array(box, here) }
    let next = memory(), b = array(box, next)
    try plan.move([a], into: [b], emptying: true, ranks: ranks)
    spare.append(here)
    here = next
    return b
  }
  /// Complex numbers on a box.
  private func array(_ b: Box, _ memory: RawArray) -> RawArray { RawArray(inside: memory, box: SpectralTransform.numbers(b), elementSize: 8) }
  /// Lets go of the memory that transforms have worked in; the next one takes it anew.
  public func rest() { spare = [] }
  /// For the coefficients of the modes `mine`; `backward` works where they lie.
  public func coefficients() -> RawArray { RawArray(inside: memory(), box: place(mine), elementSize: 8) }
  private func whole(_ b: Box, _ axis: Int) -> Box {
    var w = b
    if !b.isEmpty { w.lower[axis] = 0; w.upper[axis] = shape[axis] }
    return w
  }

  /// Coefficients, not normalised, of the modes `mine`.
  ///
  /// - Parameter fill: puts the values into an array of `type` on `rows`, which lies where they are transformed; once.
  /// - Collective: all ranks.
  public func forward(of type: ScalarType = .float64, ranks: borrowing Communicator, _ fill: (RawArray) throws -> Void) throws -> RawArray {
    let half = shape.x / 2 + 1, m = modes.shape
    var here = memory()
    let x = array(alongX, here), p = x.bound(to: Double.self)
    do {
      // Rows grow as they are transformed: from the end of the memory to its beginning none meets the next.
      let values = RawArray(inside: here, box: rows, elementSize: type.size, atEnd: true)
      try fill(values)
      eachBatch { row, count, buffer, wide in
        if type == .float32 {
          let f = values.bound(to: Float.self) + row * shape.x
          for i in 0..<count * shape.x { wide[i] = Double(f[i]) }
        } else { wide.update(from: values.bound(to: Double.self) + row * shape.x, count: count * shape.x) }
        if m.x == half { return axes[2].real(wide, to: p + row * 2 * half, rows: count) }
        axes[2].real(wide, to: buffer, rows: count)
        for l in 0..<count { (p + (row + l) * 2 * m.x).update(from: buffer + l * 2 * half, count: 2 * m.x) }
      }
    }
    let wide = try moved(x, &here, to: whole(alongY, 1), xy, ranks: ranks)
    axes[1].complex(wide.bound(to: Double.self), backward: false, lines: alongY.shape.x, blocks: alongY.shape.z)
    narrow(wide, blocks: alongY.shape.z, from: shape.y, count: m.y, first: modes.lower.y, run: alongY.shape.x)
    let long = try moved(array(alongY, here), &here, to: columns, yz, ranks: ranks), lines = columns.shape.y * columns.shape.x, blocks = columns.isEmpty ? 0 : 1
    axes[0].complex(long.bound(to: Double.self), backward: false, lines: lines, blocks: blocks)
    narrow(long, blocks: blocks, from: shape.z, count: m.z, first: modes.lower.z, run: lines)
    return RawArray(inside: here, box: place(mine), elementSize: 8)
  }

  /// Values, not normalised, plus a constant, rounded to `type`, on `rows`, of coefficients of the modes `mine`.
  ///
  /// Of the planes j_x = 0 and n / 2 the real part of what stands along x is taken.
  ///
  /// - Parameter coefficients: not to be used any more: values replace them where their memory is large enough, as that of `forward` and `coefficients()` is.
  /// - Collective: all ranks.
  public func backward(_ coefficients: consuming RawArray, adding mean: Double = 0, as type: ScalarType = .float64, ranks: borrowing Communicator) throws -> RawArray {
    let half = shape.x / 2 + 1, m = modes.shape
    var here = coefficients.whole
    if coefficients.pointer != here.pointer || here.byteCount < 8 * most {
      here = memory()
      here.pointer.copyMemory(from: coefficients.pointer, byteCount: coefficients.byteCount)
    }
    // Often the last to hold them.
    _ = consume coefficients
    let long = array(columns, here), lines = columns.shape.y * columns.shape.x, blocks = columns.isEmpty ? 0 : 1
    widen(long, blocks: blocks, to: shape.z, count: m.z, first: modes.lower.z, run: lines)
    axes[0].complex(long.bound(to: Double.self), backward: true, lines: lines, blocks: blocks)
    _ = try moved(long, &here, to: alongY, zy, ranks: ranks)
    let wide = array(whole(alongY, 1), here)
    widen(wide, blocks: alongY.shape.z, to: shape.y, count: m.y, first: modes.lower.y, run: alongY.shape.x)
    axes[1].complex(wide.bound(to: Double.self), backward: true, lines: alongY.shape.x, blocks: alongY.shape.z)
    let x = try moved(wide, &here, to: alongX, yx, ranks: ranks)
    // Doubles stay where they are: rows that shrink meet none behind them, rows that grow none before.
    let out = type == .float64 ? RawArray(inside: here, box: rows, elementSize: 8) : RawArray(box: rows, type: type), p = x.bound(to: Double.self)
    eachBatch(backwards: 2 * m.x < shape.x) { row, count, buffer, values in
      for l in 0..<count {
        (buffer + l * 2 * half).update(from: p + (row + l) * 2 * m.x, count: 2 * m.x)
        (buffer + l * 2 * half + 2 * m.x).update(repeating: 0, count: 2 * (half - m.x))
      }
      axes[2].real(from: buffer, to: values, rows: count)
      if type == .float32 {
        let to = out.bound(to: Float.self) + row * shape.x
        for i in 0..<count * shape.x { to[i] = Float(values[i] + mean) }
      } else {
        let to = out.bound(to: Double.self) + row * shape.x
        for i in 0..<count * shape.x { to[i] = values[i] + mean }
      }
    }
    if type != .float64 { spare.append(here) }
    return out
  }

  /// This rank's columns before the transform along z.
  private var columns: Box {
    if mine.isEmpty { return Box(shape: Index3(0, 0, 0)) }
    var b = mine.shifted(by: Index3(0, 0, 0) - modes.lower)
    b.lower.z = 0; b.upper.z = shape.z
    return b
  }
}
