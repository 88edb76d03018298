import Codecs
import Fields
import Foundation
import LatentGeometry
import Observables

/// A transform of the codec bank on a whole grid: tangent = synthesis, adjoint = its transpose, latents where the container has them.
struct TransformCodec: LatentCodec {
  enum Kind: String { case lot16, lot8, wavelet97 }
  let kind: Kind
  let grid: Grid
  let components: Int
  private let transform: any HaloTransform
  /// Of the wavelet, by axis and level: one level of synthesis on the lattice of that level.
  private let levels: [[DenseMatrix]]
  /// One-dimensional basis functions by axis, grouped in classes that share their shape; a latent's function is the product over the axes.
  private let functions: [[[Flat]]]
  /// The classes along z, y, x of each band.
  let triples: [[Int]]
  /// Bands of the cells of one component.
  private let cells: [Int32]

  init(_ kind: Kind, grid: Grid, components: Int) {
    self.kind = kind; self.grid = grid; self.components = components
    if kind == .wavelet97 {
      let w = Wavelet97(grid: grid)
      transform = w
      let levels = (0..<3).map { a in (0..<3).map { oneLevel((grid.shape[a] + (1 << $0) - 1) >> $0, periodic: w.periodicAxes[a]) } }
      self.levels = levels
      // What has l trailing zeros in every index, l as small as it may be, is a function of the first l + 1 levels: class 2 l along
      // axes where it is smooth, 2 l + 1 along the others.
      functions = (0..<3).map { a in
        (0..<3).flatMap { l -> [[Flat]] in
          let b = synthesis(levels[a][...l]), n = grid.shape[a], step = 2 << l
          let smooth = stride(from: 0, to: n, by: step).map { b.column($0) }, rough = stride(from: step / 2, to: n, by: step).map { b.column($0) }
          return [smooth, rough]
        }
      }
      triples = (0..<3).flatMap { l in (1..<8).map { p in [2 * l + (p >> 2 & 1), 2 * l + (p >> 1 & 1), 2 * l + (p & 1)] } } + [[4, 4, 4]]
      cells = grid.box.indices.map { i in
        let l = min(3, (0..<3).map { i[$0] == 0 ? 3 : i[$0].trailingZeroBitCount }.min()!)
        if l == 3 { return 21 }
        return Int32(7 * l - 1 + (0..<3).reduce(0) { 2 * $0 + (i[$1] >> l & 1) })
      }
    } else {
      let m = kind == .lot8 ? 8 : 16, t = LappedOrthogonalTransform(blockEdge: m, grid: grid)
      transform = t
      levels = []
      // Blocks of another width at the end count by frequency.
      let classes = (0..<3).map { axis in
        let starts = t.blockStarts(axis: axis)
        return zip(starts, starts.dropFirst()).flatMap { a, b in (0..<b - a).map { min(m - 1, (2 * $0 * m + b - a) / (2 * (b - a))) } }
      }
      functions = (0..<3).map { axis in
        let n = grid.shape[axis], line = Grid(shape: Index3(1, 1, n), dimensions: 1, periodic: .init(false, false, grid.periodic[axis]))
        let t = LappedOrthogonalTransform(blockEdge: m, grid: line)
        var list = [[Flat]](repeating: [], count: classes[axis].max()! + 1)
        for j in 0..<n {
          var z = FieldPart(line.box)
          z.values[j] = 1
          list[classes[axis][j]].append(synthesised(z, t, line).values)
        }
        return list
      }
      let counts = functions.map(\.count)
      triples = (0..<counts[0]).flatMap { z in (0..<counts[1]).flatMap { y in (0..<counts[2]).map { [z, y, $0] } } }
      cells = grid.box.indices.map { i in Int32((classes[0][i.z] * counts[1] + classes[1][i.y]) * counts[2] + classes[2][i.x]) }
    }
  }

  var latentBoxes: [Box] { [Box](repeating: grid.box, count: components) }
  var latentCount: Int { components * grid.count }

  func tangent(_ z: FieldParts) -> FieldParts { z.map { synthesised($0, transform, grid) } }

  /// The coefficients of a field.
  func analysed(_ u: FieldParts) -> FieldParts {
    u.map { part in
      var u = part, out = FieldPart(grid.box)
      lend(&u) { a in lend(&out) { transform.analyse(Mosaic([a], grid: grid)!, core: grid.box, into: [$0]) } }
      return out
    }
  }
  func adjoint(_ r: FieldParts) -> FieldParts {
    if kind != .wavelet97 { return analysed(r) }   // orthonormal
    return r.map { part in
      var p = part
      for l in 0..<3 { for a in 0..<3 { transpose(&p.values, axis: a, level: l) } }
      return p
    }
  }
  /// The transpose of one level of synthesis along one axis, on that level's lattice.
  private func transpose(_ v: inout [Double], axis: Int, level: Int) {
    let b = levels[axis][level], s = grid.shape, step = 1 << level, strides = [s.y * s.x, s.x, 1]
    if b.rows == 1 { return }
    let columns = (0..<b.rows).map { j in (0..<b.rows).compactMap { i in b[i, j] != 0 ? (i, b[i, j]) : nil } }
    let along = strides[axis] * step, others = (0..<3).filter { $0 != axis }
    var line = [Double](repeating: 0, count: b.rows)
    v.withUnsafeMutableBufferPointer { v in
      for p in stride(from: 0, to: s[others[0]], by: step) { for q in stride(from: 0, to: s[others[1]], by: step) {
        let base = p * strides[others[0]] + q * strides[others[1]]
        for i in 0..<b.rows { line[i] = v[base + i * along] }
        for (j, c) in columns.enumerated() {
          var sum = 0.0
          for (i, w) in c { sum += w * line[i] }
          v[base + j * along] = sum
        }
      } }
    }
  }

  // MARK: bands

  /// Bands: those of one component after the other.
  var bandCount: Int { components * triples.count }
  func band(_ component: Int, _ i: Index3) -> Int { component * triples.count + Int(cells[grid.box.offset(of: i)]) }
  /// Band of each latent, component by component.
  func members() -> [Int32] { (0..<components).flatMap { c in cells.map { Int32(c * triples.count) + $0 } } }

  /// For every band of a component the product over the axes of the mean of `f` over its basis functions.
  func means(_ f: (_ axis: Int, Flat) -> Double) -> [Double] {
    let m = (0..<3).map { a in functions[a].map { list in list.isEmpty ? 0 : list.reduce(0) { $0 + f(a, $1) } / Double(list.count) } }
    return triples.map { m[0][$0[0]] * m[1][$0[1]] * m[2][$0[2]] }
  }

  /// Mean |phi(k)|^2 of each class along an axis, k = 0 ... n - 1, unnormalised.
  func powers(axis: Int) -> [[Double]] {
    let n = grid.shape[axis], circle = (0..<n).map { (cos(2 * Double.pi * Double($0) / Double(n)), sin(2 * Double.pi * Double($0) / Double(n))) }
    return functions[axis].map { list in
      var p = [Double](repeating: 0, count: n)
      for f in list { for k in 0..<n {
        var re = 0.0, im = 0.0
        for i in 0..<n where f[i] != 0 { let c = circle[i * k % n]; re += f[i] * c.0; im += f[i] * c.1 }
        p[k] += (re * re + im * im) / Double(list.count)
      } }
      return p
    }
  }
}

private func synthesised(_ z: FieldPart, _ t: any HaloTransform, _ grid: Grid) -> FieldPart {
  var z = z, out = FieldPart(grid.box)
  lend(&z) { a in
    t.synthesiseInside(a, core: grid.box)
    lend(&out) { t.synthesise(Mosaic([a], grid: grid)!, core: grid.box, into: $0) }
  }
  return out
}

/// One level of 9/7 synthesis on a line of n points: even places smooth, odd ones detail; ends mirror about the last sample.
private func oneLevel(_ n: Int, periodic: Bool) -> DenseMatrix {
  if n < 2 { return .identity(n) }
  func at(_ i: Int) -> Int { periodic ? (i + n) % n : i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i }
  let k = 1.1496043988602418, lifts = [0.4435068520439712, 0.8829110755309333, -0.05298011857296141, -1.586134342059924]
  var b = DenseMatrix(rows: n, columns: n)
  for j in 0..<n {
    var v = Flat(repeating: 0, count: n)
    v[j] = j % 2 == 0 ? 1 / k : k
    for (s, f) in lifts.enumerated() { for i in stride(from: s % 2, to: n, by: 2) { v[i] -= f * (v[at(i - 1)] + v[at(i + 1)]) } }
    for i in 0..<n { b[i, j] = v[i] }
  }
  return b
}
/// Several levels of synthesis along a line, finest first, in place.
private func synthesis(_ levels: ArraySlice<DenseMatrix>) -> DenseMatrix {
  var b = DenseMatrix.identity(levels[0].rows)
  for (l, one) in levels.enumerated().reversed() {
    for j in 0..<b.columns {
      let v = one * (0..<one.rows).map { b[$0 << l, j] }
      for i in v.indices { b[i << l, j] = v[i] }
    }
  }
  return b
}

extension Box {
  /// In C order.
  var indices: [Index3] {
    (lower.z..<upper.z).flatMap { z in (lower.y..<upper.y).flatMap { y in (lower.x..<upper.x).map { Index3(z, y, $0) } } }
  }
}

/// Lends a part's values as an array that may be written.
func lend(_ part: inout FieldPart, _ body: (RawArray) -> Void) {
  let box = part.box
  part.values.withUnsafeMutableBytes { body(RawArray(lending: $0.baseAddress!, box: box, elementSize: 8)) }
}
