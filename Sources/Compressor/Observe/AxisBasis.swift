import Codecs
import Fields
import Observables

/// The one-dimensional basis functions of a separable transform along one axis: phi_j is what latent j alone decodes to.
///
/// Found by decoding unit latents with the transform's own kernels. Latents are grouped in classes that share their sensitivity:
/// frequencies of lapped blocks, levels of the wavelet.
final class AxisBasis {
  struct Function {
    /// Index of the first value, which may be below 0 or beyond the extent where the axis wraps.
    let start: Int
    let values: [Double]
  }
  let extent: Int
  /// Class of each latent.
  let classes: [Int]
  let classCount: Int
  /// Latents of each class.
  let counts: [Int]
  private let transform: any HaloTransform, periodic: Bool
  private var known: [Int: Function] = [:]

  /// - Parameter grid: of the field; `axis` one of its storage axes.
  init(_ member: FieldCoding.Member, _ grid: Grid, axis: Int) {
    let n = grid.shape[axis]
    extent = n
    periodic = grid.periodic[axis]
    let line = Grid(shape: Index3(1, 1, n), dimensions: 1, periodic: .init(false, false, grid.periodic[axis]))
    transform = member.transform(line)!
    if let lapped = transform as? LappedOrthogonalTransform {
      let starts = lapped.blockStarts(axis: 2)
      classes = zip(starts, starts.dropFirst()).flatMap { Array(0..<$1 - $0) }
    } else {
      classes = (0..<n).map { min(3, $0 == 0 ? 3 : $0.trailingZeroBitCount) }
    }
    classCount = classes.max()! + 1
    var counts = [Int](repeating: 0, count: classCount)
    for c in classes { counts[c] += 1 }
    self.counts = counts
  }

  /// phi_j. Short axes are decoded whole; of long ones the surroundings of j.
  func function(_ j: Int) -> Function {
    if let f = known[j] { return f }
    // Windows end at whole blocks and reach three halos beyond the function.
    var window = 0..<extent
    if extent > AxisBasis.long {
      let a = max(0, 16 * ((j - 112) / 16)), b = a + 240
      if b + 32 < extent { window = a..<b } else { window = 16 * ((extent - 272) / 16)..<extent }
      if periodic && (j < 64 || j + 64 >= extent) { window = 0..<extent }
    }
    func box(_ r: Range<Int>) -> Box { Box(lower: Index3(0, 0, r.lowerBound), upper: Index3(1, 1, r.upperBound)) }
    let whole = window == 0..<extent
    let core = whole ? window
      : (window.lowerBound == 0 ? 0 : window.lowerBound + 48)..<(window.upperBound == extent ? extent : window.upperBound - 48)
    let latent = RawArray(box: box(window), elementSize: 8, zeroed: true)
    latent.bound(to: Double.self)[j - window.lowerBound] = 1
    transform.synthesiseInside(latent, core: latent.box)
    let needed = transform.synthesisInput(for: box(core)), input: RawArray
    if latent.box.contains(needed) { input = latent } else {
      input = RawArray(box: needed, elementSize: 8)
      for i in needed.lower.x..<needed.upper.x {
        input.bound(to: Double.self)[i - needed.lower.x] = latent.bound(to: Double.self)[((i % extent) + extent) % extent]
      }
    }
    let out = RawArray(box: box(core), elementSize: 8)
    transform.synthesise(input, core: out.box, into: out)
    var values = [Double](UnsafeBufferPointer(start: out.bound(to: Double.self), count: out.count)), start = core.lowerBound
    // Around the wrap the function is one piece that begins before 0.
    if whole, periodic, extent > 2 * AxisBasis.widest, j < AxisBasis.widest || j + AxisBasis.widest >= extent {
      let turn = j < AxisBasis.widest ? extent - AxisBasis.widest : AxisBasis.widest
      values = Array(values[turn...] + values[..<turn])
      start = turn == AxisBasis.widest ? turn : turn - extent
    }
    let first = values.firstIndex { $0 != 0 } ?? 0, last = values.lastIndex { $0 != 0 } ?? 0
    let f = Function(start: start + first, values: Array(values[first...last]))
    known[j] = f
    return f
  }
  private static let long = 1024, widest = 64

  /// Up to 96 latents of a class, evenly spread: all of them on short axes.
  private func places(_ c: Int) -> [Int] {
    let all = classes.indices.filter { classes[$0] == c }
    return all.count <= 96 ? all : (0..<96).map { all[(2 * $0 + 1) * all.count / 192] }
  }
  private lazy var samples = (0..<classCount).map { places($0) }

  /// Mean of phi^T T phi over the latents of each class.
  func means(_ op: AxisOperator) -> [Double] {
    samples.map { list in
      list.isEmpty ? 0 : list.reduce(0) { sum, j in
        let f = function(j)
        switch op {
        // Ranges do not wrap: what lies beyond the ends is brought back.
        case .averages where f.start < 0 || f.start + f.values.count > extent:
          var whole = [Double](repeating: 0, count: extent)
          for (i, v) in f.values.enumerated() { whole[((f.start + i) % extent + extent) % extent] += v }
          return sum + op.form(whole, whole, start: 0)
        default: return sum + op.form(f.values, f.values, start: f.start)
        }
      } / Double(list.count)
    }
  }
}

/// <phi_j, r> for all latents j of `core`: the transpose of a separable synthesis, in the order of each axis' values.
///
/// - Parameter r: on a box that holds the supports of the functions, wrapped cells included.
func correlated(_ r: FieldPart, _ bases: [AxisBasis], core: Box) -> FieldPart {
  var part = r
  for axis in [2, 1, 0] {
    var box = part.box
    box.lower[axis] = core.lower[axis]; box.upper[axis] = core.upper[axis]
    if core.isEmpty { return FieldPart(core) }
    var next = FieldPart(box)
    let from = part.box
    for j in core.lower[axis]..<core.upper[axis] {
      let f = bases[axis].function(j)
      for (k, v) in f.values.enumerated() where v != 0 {
        let i = f.start + k
        precondition(i >= from.lower[axis] && i < from.upper[axis], "a basis function reaches beyond the halo")
        // One plane of the box across the axis.
        var plane = box
        plane.lower[axis] = j; plane.upper[axis] = j + 1
        for z in plane.lower.z..<plane.upper.z { for y in plane.lower.y..<plane.upper.y {
          var at = Index3(z, y, plane.lower.x)
          let to = box.offset(of: at)
          at[axis] = i
          let source = from.offset(of: at), n = plane.shape.x
          for x in 0..<n { next.values[to + x] += v * part.values[source + x] }
        } }
      }
    }
    part = next
  }
  return part
}
