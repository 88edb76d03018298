import CKernels
import Codecs
import Fields
import Foundation
import Support

/// Reproducible noise in -1 ..< 1; prints its seed.
struct NoiseSource {
  private var numbers: SplitMix64
  init(seed: UInt64) { numbers = SplitMix64(seed: seed); print("seed \(seed)") }
  mutating func next() -> Double { Double(Int64(bitPattern: numbers.next())) * 0x1p-63 }
}

extension RawArray {
  func value(_ i: Int) -> Double { elementSize == 4 ? Double(bound(to: Float.self)[i]) : bound(to: Double.self)[i] }
  func set(_ i: Int, _ v: Double) { if elementSize == 4 { bound(to: Float.self)[i] = Float(v) } else { bound(to: Double.self)[i] = v } }
  var values: [Double] { (0..<count).map(value) }
  func fill(_ noise: inout NoiseSource) { for i in 0..<count { set(i, noise.next()) } }
  /// This whole-domain array with `halo` cells around `core`, wrapped where the grid is periodic.
  func surroundings(of core: Box, halo: Int, grid: Grid) -> RawArray { cells(core.dilated(by: halo, in: grid), grid: grid) }
  func cells(_ b: Box, grid: Grid) -> RawArray {
    let r = RawArray(box: b, elementSize: elementSize), n = grid.shape
    var k = 0
    func wrap(_ i: Int, _ n: Int) -> Int { ((i % n) + n) % n }
    for z in b.lower.z..<b.upper.z { for y in b.lower.y..<b.upper.y { for x in b.lower.x..<b.upper.x {
      let o = box.offset(of: Index3(wrap(z, n.z), wrap(y, n.y), wrap(x, n.x)))
      if elementSize == 4 { r.bound(to: Float.self)[k] = bound(to: Float.self)[o] }
      else { r.bound(to: Double.self)[k] = bound(to: Double.self)[o] }
      k += 1
    } } }
    return r
  }
  func sameBits(_ o: RawArray) -> Bool { byteCount == o.byteCount && memcmp(pointer, o.pointer, byteCount) == 0 }
  func maxDifference(_ o: RawArray) -> Double { (0..<count).reduce(0) { max($0, abs(value($1) - o.value($1))) } }
}

extension HaloTransform {
  func analyseWhole(_ x: RawArray, grid: Grid) -> RawArray {
    let out = RawArray(box: grid.box, elementSize: x.elementSize)
    analyse(x.surroundings(of: grid.box, halo: analysisHalo, grid: grid), core: grid.box, into: out)
    return out
  }
  func synthesiseWhole(_ c: RawArray, grid: Grid) -> RawArray {
    let inside = RawArray(box: grid.box, elementSize: c.elementSize), out = RawArray(box: grid.box, elementSize: c.elementSize)
    inside.copy(grid.box, from: c)
    synthesiseInside(inside, core: grid.box)
    synthesise(inside.surroundings(of: grid.box, halo: synthesisHalo, grid: grid), core: grid.box, into: out)
    return out
  }
}

func shaped(_ z: Int, _ y: Int, _ x: Int, _ p: Grid.Periodicity = .none) -> Grid { Grid(shape: Index3(z, y, x), periodic: p) }
let wrapped = Grid.Periodicity(true, true, true)
/// Shapes that differ per axis, with every size of end block, thin axes, and fewer dimensions.
let transformGrids: [Grid] = [
  shaped(32, 48, 64, wrapped), shaped(45, 37, 29), shaped(24, 25, 31, wrapped), shaped(1, 91, 77), shaped(1, 1, 403, wrapped),
  shaped(1, 1, 27), shaped(1, 40, 1, wrapped), shaped(17, 1, 33, .init(true, false, false)), shaped(3, 7, 50), shaped(2, 5, 13, wrapped),
  shaped(16, 8, 40, .init(false, true, false)), shaped(23, 9, 21), shaped(1, 1, 1),
]
