import Codecs
import Decomposition
import Fields
import MPI
import Reduction

/// How near the largest waves of a field are to mirror symmetry about planes through its first cell.
///
/// A field that is even or odd in y has numbers f(j_z, -j_y, j_x) = +-f(j); one that is even or odd along all axes together has
/// real or imaginary parts only. Initial states of many computations are so (Taylor-Green, Orszag-Tang), and stay so for long.
struct MirrorSymmetry {
  /// Waves looked at have |j| up to this along each axis.
  private static let highest = 4
  /// Of a component mean squares over the waves looked at: of the numbers, of differences from even and from odd in z and in y, of real and imaginary parts.
  private struct Component {
    var square = 0.0, z = (even: 0.0, odd: 0.0), y = (even: 0.0, odd: 0.0), parts = (real: 0.0, imaginary: 0.0)
  }
  private let components: [Component]

  /// - Parameter numbers: this rank's, per component, unitary and in the basis they are coded in.
  /// - Collective: all ranks.
  init(_ transform: SpectralTransform, _ numbers: [RawArray], ranks: borrowing Communicator) throws {
    let shape = transform.shape
    func top(_ n: Int) -> Int { min(MirrorSymmetry.highest, (n - 1) / 2) }
    // Of the plane j_x = 0 only one of each pair is kept.
    let waves = Box(lower: Index3(-top(shape.z), -top(shape.y), 1), upper: Index3(top(shape.z) + 1, top(shape.y) + 1, max(1, top(shape.x) + 1)))
    var values = [Double](repeating: 0, count: 2 * waves.count * numbers.count)
    let mine = transform.mine.isEmpty ? transform.mine : waves.intersection(transform.mine)
    for j in MirrorSymmetry.indices(mine) {
      let place = transform.place(Box(lower: j, upper: Index3(j.z + 1, j.y + 1, j.x + 1))).lower
      for (c, a) in numbers.enumerated() {
        let from = a.bound(to: Double.self) + a.box.offset(of: place), to = 2 * (c * waves.count + waves.offset(of: j))
        values[to] = from[0]; values[to + 1] = from[1]
      }
    }
    // Each number comes from one rank.
    let all = try ranks.allReduce(values, .sum)
    components = numbers.indices.map { c in
      var s = Component()
      func number(_ j: Index3, _ part: Int) -> Double { all[2 * (c * waves.count + waves.offset(of: j)) + part] }
      for j in MirrorSymmetry.indices(waves) {
        for part in 0..<2 {
          let v = number(j, part), z = number(Index3(-j.z, j.y, j.x), part), y = number(Index3(j.z, -j.y, j.x), part)
          s.square += v * v
          s.z.even += (v - z) * (v - z); s.z.odd += (v + z) * (v + z)
          s.y.even += (v - y) * (v - y); s.y.odd += (v + y) * (v + y)
          if part == 0 { s.parts.real += v * v } else { s.parts.imaginary += v * v }
        }
      }
      return s
    }
    count = Double(max(1, 2 * waves.count))
    flat = (shape.z == 1, shape.y == 1)
  }
  private static func indices(_ b: Box) -> [Index3] {
    if b.isEmpty { return [] }
    return (b.lower.z..<b.upper.z).flatMap { z in (b.lower.y..<b.upper.y).flatMap { y in (b.lower.x..<b.upper.x).map { Index3(z, y, $0) } } }
  }
  private let count: Double
  private let flat: (z: Bool, y: Bool)

  /// What is coded as told by mirrored modes, per component as in `ald_spectral.h`; empty: nothing.
  ///
  /// Differences have to be far below the step, and below the waves themselves.
  func told(step: Double) -> [UInt8] {
    let codes = components.map { s in
      let limit = min(step * step / 400 * count, 1e-3 * s.square)
      func code(_ first: Double, _ second: Double) -> UInt8 { first < limit ? 1 : second < limit ? 2 : 0 }
      return (flat.z ? 0 : code(s.z.even, s.z.odd)) | (flat.y ? 0 : code(s.y.even, s.y.odd)) << 2 | code(s.parts.real, s.parts.imaginary) << 4
    }
    return codes.contains { $0 != 0 } ? codes : []
  }
}
