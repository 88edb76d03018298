import Decomposition
import Fields
import MPI
import Observables

/// The three-dimensional transform of a real field over all ranks: along x, y, z on pencils, with a transpose between.
///
/// Each line is transformed by one rank with the same operations whoever it is: the same bits for any number of ranks. Complex numbers
/// travel as two neighbours in x.
final class RankTransform {
  private let axes: [FourierAxis]
  /// This rank's cells in the domain, whole rows of it, and pencils of complex numbers along x, y, z.
  private let own: Box, rows: Box, pencils: [Box]
  /// nil where the domain's boxes are whole rows.
  private let toRows: (there: Redistribution, back: Redistribution)?
  /// Whether all ranks have the same cells of two neighbouring pencils: nothing moves.
  private let stays: (xy: Bool, yz: Bool)
  private let xy: Redistribution, yz: Redistribution, zy: Redistribution, yx: Redistribution

  /// - Collective: all ranks.
  init(_ grid: Grid, _ boxes: [Box], _ cuts: PencilCuts, _ ranks: borrowing Communicator) throws {
    let n = grid.shape, half = Index3(n.z, n.y, n.x / 2 + 1), me = ranks.rank
    axes = (0..<3).map { FourierAxis(n[$0]) }
    let whole = cuts.boxes(n, along: 2)
    own = boxes[me]; rows = whole[me]
    pencils = [2, 1, 0].map { cuts.boxes(half, along: $0)[me] }
    if whole == boxes { toRows = nil } else {
      toRows = (try Redistribution(have: [own], want: [rows], grid: Grid(shape: n), ranks: ranks),
                try Redistribution(have: [rows], want: [own], grid: Grid(shape: n), ranks: ranks))
    }
    stays = (cuts.boxes(half, along: 2) == cuts.boxes(half, along: 1), cuts.boxes(half, along: 1) == cuts.boxes(half, along: 0))
    let numbers = Grid(shape: Index3(n.z, n.y, 2 * half.x)), p = pencils.map(RankTransform.numbers)
    xy = try Redistribution(have: [p[0]], want: [p[1]], grid: numbers, ranks: ranks)
    yz = try Redistribution(have: [p[1]], want: [p[2]], grid: numbers, ranks: ranks)
    zy = try Redistribution(have: [p[2]], want: [p[1]], grid: numbers, ranks: ranks)
    yx = try Redistribution(have: [p[1]], want: [p[0]], grid: numbers, ranks: ranks)
  }

  /// The box of the real numbers of a box of complex ones.
  private static func numbers(_ b: Box) -> Box {
    Box(lower: Index3(b.lower.z, b.lower.y, 2 * b.lower.x), upper: Index3(b.upper.z, b.upper.y, 2 * b.upper.x))
  }
  private func array(_ pencil: Int) -> RawArray { RawArray(box: RankTransform.numbers(pencils[pencil]), elementSize: 8) }

  private func alongY(_ a: RawArray, backward: Bool) {
    axes[1].complex(a.bound(to: Double.self), backward: backward, lines: pencils[1].shape.x, blocks: pencils[1].shape.z)
  }
  private func alongZ(_ values: UnsafeMutablePointer<Double>, backward: Bool) {
    axes[0].complex(values, backward: backward, lines: pencils[2].shape.y * pencils[2].shape.x, blocks: 1)
  }

  /// - Collective: all ranks.
  func forward(_ part: FieldPart, _ ranks: borrowing Communicator) throws -> SpectralPart {
    func alongX(_ x: RawArray) throws {
      var whole = part
      if let toRows { whole = try lent(part) { a in try filled(rows) { try toRows.there.move([a], into: [$0], ranks: ranks) } } }
      if !rows.isEmpty { axes[2].real(whole.values, to: x.bound(to: Double.self), rows: rows.shape.z * rows.shape.y) }
    }
    /// Transforms along x and y, the latter in `y`.
    func alongXY(_ y: RawArray) throws {
      if stays.xy { try alongX(y) } else {
        let x = array(0)
        try alongX(x)
        try xy.move([x], into: [y], ranks: ranks)
      }
      alongY(y, backward: false)
    }
    let values = try filled(RankTransform.numbers(pencils[2])) { z in
      if stays.yz { try alongXY(z) } else {
        let y = array(1)
        try alongXY(y)
        try yz.move([y], into: [z], ranks: ranks)
      }
      alongZ(z.bound(to: Double.self), backward: false)
    }
    return SpectralPart(pencils[2], values.values)
  }

  /// - Collective: all ranks.
  func backward(_ spectrum: SpectralPart, _ ranks: borrowing Communicator) throws -> FieldPart {
    precondition(spectrum.box == pencils[2], "a spectrum of another domain")
    let y = array(1), x = array(0)
    do {
      var z = spectrum.values
      try z.withUnsafeMutableBufferPointer { b in
        let pointer = b.baseAddress ?? UnsafeMutablePointer(bitPattern: 64)!
        if !b.isEmpty { alongZ(pointer, backward: true) }
        try zy.move([RawArray(lending: pointer, box: RankTransform.numbers(pencils[2]), elementSize: 8)], into: [y], ranks: ranks)
      }
    }
    alongY(y, backward: true)
    try yx.move([y], into: [x], ranks: ranks)
    let whole = filled(rows) {
      if !rows.isEmpty { axes[2].real(from: x.bound(to: Double.self), to: $0.bound(to: Double.self), rows: rows.shape.z * rows.shape.y) }
    }
    guard let toRows else { return whole }
    return try lent(whole) { a in try filled(own) { try toRows.back.move([a], into: [$0], ranks: ranks) } }
  }
}
