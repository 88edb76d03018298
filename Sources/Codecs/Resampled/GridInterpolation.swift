import CKernels
public import Fields

/// Values between the cells of a coarser grid from those around, axis by axis; those of a cell depend on nothing else.
public final class GridInterpolation: @unchecked Sendable {
  public let fine: Index3, coarse: Index3
  private let type: ScalarType
  private let halves: Index3
  /// Per axis `[phase][2 half]` in the type of the arithmetic; no phase: an axis that is as it was.
  private let weights: [(table: RawArray, phases: Int)]

  /// - Throws: `StreamError` where an axis has no weights.
  public init(_ grid: CoarserGrid, fine: Index3, type: ScalarType) throws {
    self.fine = fine; self.type = type
    coarse = grid.shape
    halves = Index3(grid.axes[0]?.half ?? 0, grid.axes[1]?.half ?? 0, grid.axes[2]?.half ?? 0)
    weights = try (0..<3).map { a in
      guard let x = grid.axes[a] else { return (RawArray(box: Box(shape: Index3(0, 0, 0)), type: type), 0) }
      let w = try x.weights(fine: fine[a], coarse: grid.shape[a]).weights
      let table = RawArray(box: Box(shape: Index3(1, 1, w.count)), type: type)
      for i in w.indices { if type == .float32 { table.bound(to: Float.self)[i] = Float(w[i]) } else { table.bound(to: Double.self)[i] = w[i] } }
      return (table, w.count / (2 * x.half))
    }
  }

  /// First of the coarse cells that cell `i` of an axis is made of.
  private func first(_ i: Int, _ axis: Int) -> Int { i * coarse[axis] / fine[axis] - halves[axis] + 1 }

  /// The coarse cells that those of `box` are made of; may reach beyond the grid, which wraps.
  public func source(of box: Box) -> Box {
    var b = box
    for a in 0..<3 where halves[a] > 0 && box.upper[a] > box.lower[a] {
      b.lower[a] = first(box.lower[a], a)
      b.upper[a] = first(box.upper[a] - 1, a) + 2 * halves[a]
    }
    return b
  }

  /// - Parameter cells: hold `source(of: box)`; both in the type of the arithmetic.
  public func interpolate(_ cells: RawArray, to box: Box) -> RawArray {
    type == .float32 ? interpolate(cells, box, Float.self) : interpolate(cells, box, Double.self)
  }

  private func interpolate<T: InterpolatedElement>(_ cells: RawArray, _ box: Box, _: T.Type) -> RawArray {
    var b = source(of: box), from = cells
    if halves.x > 0 {
      let s = b, n = box.shape.x, width = from.box.shape.x
      let starts = (box.lower.x..<box.upper.x).map { Int32(first($0, 2) - from.box.lower.x) }
      let phases = (box.lower.x..<box.upper.x).map { Int32($0 % weights[2].phases) }
      b.lower.x = box.lower.x; b.upper.x = box.upper.x
      let to = RawArray(box: b, type: type)
      for z in s.lower.z..<s.upper.z {
        T.rows(
          from.bound(to: T.self) + from.box.offset(of: Index3(z, s.lower.y, from.box.lower.x)), width, to.bound(to: T.self) + to.box.offset(of: Index3(z, s.lower.y, b.lower.x)), n,
          s.shape.y, n, starts, phases, weights[2].table.bound(to: T.self), 2 * halves.x)
      }
      from = to
    }
    for a in [1, 0] where halves[a] > 0 {
      b.lower[a] = box.lower[a]; b.upper[a] = box.upper[a]
      let to = RawArray(box: b, type: type), f = from.box.shape, t = b.shape
      // Along y plane by plane, rows of the box; along z whole planes, which are those of the box by now.
      let run = a == 1 ? t.x : t.y * t.x, stride = a == 1 ? f.x : f.y * f.x
      for outer in a == 1 ? b.lower.z..<b.upper.z : 0..<1 {
        for i in box.lower[a]..<box.upper[a] {
          let w = weights[a].table.bound(to: T.self) + i % weights[a].phases * 2 * halves[a]
          let lower = a == 1 ? Index3(outer, first(i, 1), b.lower.x) : Index3(first(i, 0), b.lower.y, b.lower.x)
          let p = from.bound(to: T.self) + from.box.offset(of: lower)
          let at = to.bound(to: T.self) + to.box.offset(of: a == 1 ? Index3(outer, i, b.lower.x) : Index3(i, b.lower.y, b.lower.x))
          if a == 1 || stride == run { T.lines(p, stride, at, run, w, 2 * halves[a]) } else {
            for y in 0..<t.y { T.lines(p + y * f.x, stride, at + y * t.x, t.x, w, 2 * halves[a]) }
          }
        }
      }
      from = to
    }
    return from
  }
}

/// What the sums can be done in.
private protocol InterpolatedElement {
  static func rows(_ from: UnsafePointer<Self>, _ width: Int, _ to: UnsafeMutablePointer<Self>, _ n: Int, _ rows: Int, _ count: Int, _ starts: [Int32], _ phases: [Int32],
                   _ weights: UnsafePointer<Self>, _ taps: Int)
  static func lines(_ from: UnsafePointer<Self>, _ stride: Int, _ to: UnsafeMutablePointer<Self>, _ count: Int, _ weights: UnsafePointer<Self>, _ taps: Int)
}
extension Float: InterpolatedElement {
  static func rows(_ from: UnsafePointer<Float>, _ width: Int, _ to: UnsafeMutablePointer<Float>, _ n: Int, _ rows: Int, _ count: Int, _ starts: [Int32], _ phases: [Int32],
                   _ weights: UnsafePointer<Float>, _ taps: Int) {
    ald_resample_rows_f32(from, Int64(width), to, Int64(n), Int64(rows), Int64(count), starts, phases, weights, Int32(taps))
  }
  static func lines(_ from: UnsafePointer<Float>, _ stride: Int, _ to: UnsafeMutablePointer<Float>, _ count: Int, _ weights: UnsafePointer<Float>, _ taps: Int) {
    ald_resample_lines_f32(from, Int64(stride), to, Int64(count), weights, Int32(taps))
  }
}
extension Double: InterpolatedElement {
  static func rows(_ from: UnsafePointer<Double>, _ width: Int, _ to: UnsafeMutablePointer<Double>, _ n: Int, _ rows: Int, _ count: Int, _ starts: [Int32], _ phases: [Int32],
                   _ weights: UnsafePointer<Double>, _ taps: Int) {
    ald_resample_rows_f64(from, Int64(width), to, Int64(n), Int64(rows), Int64(count), starts, phases, weights, Int32(taps))
  }
  static func lines(_ from: UnsafePointer<Double>, _ stride: Int, _ to: UnsafeMutablePointer<Double>, _ count: Int, _ weights: UnsafePointer<Double>, _ taps: Int) {
    ald_resample_lines_f64(from, Int64(stride), to, Int64(count), weights, Int32(taps))
  }
}
