import CKernels
public import Fields

/// CDF 9/7 wavelet by lifting, 3 levels, in place on the global lattice; axes z, y, x forward, x, y, z back.
///
/// Ends mirror about the last sample. A level needs 4 lattice cells on each side: 4 + 8 + 16 = 28. An axis stops at
/// the level where it has fewer than 2 lattice points. Scaling K = 1.1496 keeps the L2 norms of synthesis near 1.
///
/// - Source: Daubechies, Sweldens, J. Fourier Anal. Appl. 4 (1998) 247.
public struct Wavelet97: HaloTransform {
  public let grid: Grid
  /// Axes treated as periodic: those of the grid whose extent is a multiple of 8, so that all three lattices close.
  /// The others mirror at both ends.
  public let periodicAxes: Grid.Periodicity
  public var analysisHalo: Int { Int(ALD_WAVELET_HALO) }
  public var synthesisHalo: Int { Int(ALD_WAVELET_HALO) }

  public init(grid: Grid) {
    self.grid = grid
    var p = Grid.Periodicity.none
    for a in 0..<3 { p[a] = grid.periodic[a] && grid.shape[a] % 8 == 0 }
    periodicAxes = p
  }

  public func analyse(_ input: RawArray, core: Box, into output: RawArray) {
    run(ald_wavelet_analyse, input, core, output)
  }

  /// Nothing: the wavelet has no tile-local half.
  public func synthesiseInside(_ a: RawArray, core: Box) {}

  /// The core and 28 cells around it where the grid goes on.
  public func synthesisInput(for core: Box) -> Box {
    var g = grid
    g.periodic = periodicAxes
    return core.dilated(by: synthesisHalo, in: g)
  }

  public func synthesise(_ input: RawArray, core: Box, into output: RawArray) {
    run(ald_wavelet_synthesise, input, core, output)
  }

  public func analyse(_ input: Mosaic, core: Box, into parts: [RawArray]) {
    let whole = RawArray(box: core, elementSize: input.elementSize)
    analyse(input.array(holding: synthesisInput(for: core)), core: core, into: whole)
    for p in parts { p.copy(p.box, from: whole) }
  }

  public func synthesise(_ input: Mosaic, core: Box, into output: RawArray) {
    synthesise(input.array(holding: synthesisInput(for: core)), core: core, into: output)
  }

  private typealias Kernel = (
    Int32, UnsafePointer<ald_view>?, UnsafePointer<ald_view>?, UnsafePointer<Int64>?, UnsafePointer<Int32>?,
    UnsafePointer<Int64>?, UnsafePointer<Int64>?
  ) -> Void

  private func run(_ kernel: Kernel, _ input: RawArray, _ core: Box, _ output: RawArray) {
    if core.isEmpty { return }
    precondition(input.elementSize == output.elementSize)
    precondition(grid.box.contains(core) && output.box.contains(core) && input.box.contains(synthesisInput(for: core)))
    var from = input.view, to = output.view
    let periodic = (0..<3).map { Int32(periodicAxes[$0] ? 1 : 0) }
    withAxes(grid.shape) { extent in
      withAxes(core.lower) { lower in
        withAxes(core.upper) { upper in kernel(Int32(input.elementSize), &from, &to, extent, periodic, lower, upper) }
      }
    }
  }
}
