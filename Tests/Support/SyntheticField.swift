import Fields
import Foundation

/// Fields whose value at a cell depends on the cell only, not on the box it is asked for.
public enum SyntheticField: Sendable {
  /// The number of the cell in storage order: linear, exact (in float32 up to 2^24 cells).
  case linear
  /// Waves and a little noise; smooth, range about 2.
  case waves(seed: UInt64)
  /// Independent numbers in -1 ..< 1.
  case noise(seed: UInt64)
  case constant(Double)

  public func value(_ i: Index3, _ shape: Index3) -> Double {
    switch self {
    case .linear: return Double((i.z * shape.y + i.y) * shape.x + i.x)
    case .waves(let seed):
      let t = 2 * Double.pi
      let a = t * Double(i.z) / Double(shape.z), b = t * Double(i.y) / Double(shape.y), c = t * Double(i.x) / Double(shape.x)
      let cell = (i.z * shape.y + i.y) * shape.x + i.x
      let noise = Double(SplitMix64.hash(seed, cell) >> 11) * 0x1p-53 - 0.5
      return sin(a + 2 * b) * cos(c) + 0.3 * sin(3 * c - 2 * a) * cos(4 * b) + 1e-3 * noise
    case .noise(let seed):
      let cell = (i.z * shape.y + i.y) * shape.x + i.x
      return Double(SplitMix64.hash(seed, cell) >> 11) * 0x1p-52 - 1
    case .constant(let v): return v
    }
  }

  /// The cells of `box`; cells beyond the grid are those wrapped around.
  public func array(_ box: Box, of grid: Grid, type: ScalarType) -> RawArray {
    let out = RawArray(box: box, type: type), n = grid.shape, part = box.shape
    if box.isEmpty { return out }
    func wrap(_ v: Int, _ n: Int) -> Int { ((v % n) + n) % n }
    let floats = out.bound(to: Float.self), doubles = out.bound(to: Double.self)
    var at = 0
    for z in 0..<part.z {
      for y in 0..<part.y {
        let row = Index3(wrap(box.lower.z + z, n.z), wrap(box.lower.y + y, n.y), 0), first = (row.z * n.y + row.y) * n.x
        var x = wrap(box.lower.x, n.x), k = 0
        while k < part.x {
          let v: Double
          if case .linear = self { v = Double(first + x) } else { v = value(Index3(row.z, row.y, x), n) }
          if type == .float32 { floats[at] = Float(v) } else { doubles[at] = v }
          at += 1; k += 1; x += 1
          if x == n.x { x = 0 }
        }
      }
    }
    return out
  }
}
