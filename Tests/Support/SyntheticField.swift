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
    let out = RawArray(box: box, type: type)
    var n = 0
    func wrap(_ v: Int, _ n: Int) -> Int { ((v % n) + n) % n }
    for z in box.lower.z..<max(box.lower.z, box.upper.z) {
      for y in box.lower.y..<max(box.lower.y, box.upper.y) {
        for x in box.lower.x..<max(box.lower.x, box.upper.x) {
          let i = Index3(wrap(z, grid.shape.z), wrap(y, grid.shape.y), wrap(x, grid.shape.x))
          let v = value(i, grid.shape)
          if type == .float32 { out.bound(to: Float.self)[n] = Float(v) } else { out.bound(to: Double.self)[n] = v }
          n += 1
        }
      }
    }
    return out
  }
}
