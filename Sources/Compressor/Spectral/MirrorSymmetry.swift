import CKernels
import Codecs
import Decomposition
import Fields
import MPI
import Reduction

/// How near the largest waves of a field are to mirror symmetry, about planes through its first cell or half a cell before it.
///
/// A field that is even or odd in y has numbers f(j_z, -j_y, j_x) = +-f(j), with planes between cells once they are turned by
/// exp(-i pi j_y / n_y); one that is even or odd along all axes together has real or imaginary parts only. Initial states of many
/// computations are so (Taylor-Green, Orszag-Tang), and stay so for long.
struct MirrorSymmetry {
  /// Waves looked at have |j| up to this along each axis.
  private static let highest = 4
  /// Of a component, sums over the waves looked at: of squares, of squared differences from even and from odd in z and in y, of squared real and imaginary parts.
  private struct Component {
    var square = 0.0, z = (even: 0.0, odd: 0.0), y = (even: 0.0, odd: 0.0), parts = (real: 0.0, imaginary: 0.0)
    /// Whether smaller than the field by so much that it may be called none.
    static func isNone(_ a: Double, of s: Component) -> Bool { a < 1e-3 * s.square }
  }
  private let components: [Component]
  private let waves: Box
  private let shape: Index3
  /// Axes (1 z, 2 y, 4 x) whose planes go between cells.
  let faces: UInt8

  /// - Parameter numbers: this rank's, per component, unitary and in the basis they are coded in, without `faces`.
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
    self.waves = waves; self.shape = shape
    func measured(_ faces: UInt8) -> [Component] {
      numbers.indices.map { MirrorSymmetry.measure(Array(all[2 * waves.count * $0..<2 * waves.count * ($0 + 1)]), waves, shape, faces) }
    }
    // Axis by axis: the planes about which more components are even or odd. The parts need all axes, so x comes last.
    var faces: UInt8 = 0
    for (axis, found) in [
      (0, { s in Component.isNone(min(s.z.even, s.z.odd), of: s) }), (1, { s in Component.isNone(min(s.y.even, s.y.odd), of: s) }),
      (2, { s in Component.isNone(min(s.parts.real, s.parts.imaginary), of: s) }),
    ] as [(Int, (Component) -> Bool)] where shape[axis] > 1 {
      let between = faces | 1 << UInt8(axis)
      if measured(between).count(where: found) > measured(faces).count(where: found) { faces = between }
    }
    self.faces = faces
    components = measured(faces)
  }

  /// - Parameter numbers: of one component, real and imaginary parts of `waves`.
  private static func measure(_ numbers: [Double], _ waves: Box, _ shape: Index3, _ faces: UInt8) -> Component {
    var s = Component(), turned = numbers
    for j in indices(waves) {
      let i = 2 * waves.offset(of: j)
      for a in 0..<3 where faces >> a & 1 != 0 {
        var c = 1.0, s = 0.0
        ald_fft_root(Int64(abs(j[a])), Int64(2 * shape[a]), &c, &s)
        if j[a] < 0 { s = -s }
        (turned[i], turned[i + 1]) = (turned[i] * c + turned[i + 1] * s, turned[i + 1] * c - turned[i] * s)
      }
    }
    for j in indices(waves) {
      let i = 2 * waves.offset(of: j), z = 2 * waves.offset(of: Index3(-j.z, j.y, j.x)), y = 2 * waves.offset(of: Index3(j.z, -j.y, j.x))
      for part in 0..<2 {
        let v = turned[i + part], vz = turned[z + part], vy = turned[y + part]
        s.square += v * v
        s.z.even += (v - vz) * (v - vz); s.z.odd += (v + vz) * (v + vz)
        s.y.even += (v - vy) * (v - vy); s.y.odd += (v + vy) * (v + vy)
      }
      s.parts.real += turned[i] * turned[i]; s.parts.imaginary += turned[i + 1] * turned[i + 1]
    }
    return s
  }
  private static func indices(_ b: Box) -> [Index3] {
    if b.isEmpty { return [] }
    return (b.lower.z..<b.upper.z).flatMap { z in (b.lower.y..<b.upper.y).flatMap { y in (b.lower.x..<b.upper.x).map { Index3(z, y, $0) } } }
  }

  /// What is coded as told by mirrored modes, per component as in `ald_spectral.h`; empty: nothing.
  ///
  /// Differences have to be far below the step, and below the waves themselves.
  func told(step: Double) -> [UInt8] {
    let codes = components.map { s in
      func code(_ first: Double, _ second: Double) -> UInt8 {
        func isNone(_ a: Double) -> Bool { Component.isNone(a, of: s) && a < step * step / 400 * Double(2 * waves.count) }
        return isNone(first) ? 1 : isNone(second) ? 2 : 0
      }
      return (shape.z == 1 ? 0 : code(s.z.even, s.z.odd)) | (shape.y == 1 ? 0 : code(s.y.even, s.y.odd)) << 2 | code(s.parts.real, s.parts.imaginary) << 4
    }
    return codes.contains { $0 != 0 } ? codes : []
  }
}
