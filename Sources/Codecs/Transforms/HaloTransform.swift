import CKernels
public import Fields

/// A separable transform of one component that may be run on any region of the grid with the same bits.
///
/// Every value is made by the same IEEE operations in the same order whatever region it is computed in and
/// whatever instruction set is used. Element size 4 is float arithmetic, 8 double arithmetic.
/// Boxes may reach outside the grid across periodic faces; those cells hold the wrapped values.
public protocol HaloTransform: Sendable {
  /// Cells of input needed around the core.
  var analysisHalo: Int { get }
  /// Cells of (locally synthesised) coefficients needed around the core.
  var synthesisHalo: Int { get }
  /// Coefficients of `core`.
  ///
  /// `input.box` contains `core.dilated(by: analysisHalo, in: grid)`, `output.box` contains `core`. Lattice layout:
  /// coefficient f of the lapped block that starts at b sits at b + f on each axis; the wavelet is in place, its
  /// level l on multiples of 2^l of the global index.
  func analyse(_ input: RawArray, core: Box, into output: RawArray)
  /// The same from a mosaic that holds `core.dilated(by: analysisHalo, in: grid)`, into unions of whole blocks that make up `core`.
  func analyse(_ input: Mosaic, core: Box, into parts: [RawArray])
  /// Tile-local half of the synthesis, in place on `core`, a union of whole blocks.
  func synthesiseInside(_ a: RawArray, core: Box)
  /// Cells the second half needs for `core`, any box inside the grid.
  ///
  /// Lies within `core.dilated(by: synthesisHalo, in: grid)` when the faces of `core` are block faces; a lapped
  /// core that begins elsewhere may need up to M - 1 cells on a side, as a filter mixes M cells.
  func synthesisInput(for core: Box) -> Box
  /// Second half of the synthesis: values of `core`, any box inside the grid.
  ///
  /// `input.box` contains `synthesisInput(for: core)` and holds locally synthesised data; `output.box` contains
  /// `core`; the arrays are distinct.
  func synthesise(_ input: RawArray, core: Box, into output: RawArray)
  /// The same from a mosaic that holds `synthesisInput(for: core)`.
  func synthesise(_ input: Mosaic, core: Box, into output: RawArray)
}

extension RawArray {
  /// The array as the kernels see it.
  var view: ald_view {
    let s = box.shape, l = box.lower
    return ald_view(base: pointer, lower: (Int64(l.z), Int64(l.y), Int64(l.x)), shape: (Int64(s.z), Int64(s.y), Int64(s.x)))
  }
}

/// Calls `body` with the three components as a C array.
func withAxes<R>(_ i: Index3, _ body: (UnsafePointer<Int64>) -> R) -> R {
  withUnsafeTemporaryAllocation(of: Int64.self, capacity: 3) {
    for a in 0..<3 { $0[a] = Int64(i[a]) }
    return body($0.baseAddress!)
  }
}
