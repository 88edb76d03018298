import Fields

/// One component of a field, in double precision, on a box of the grid: `[z, y, x]`, C order.
///
/// Latent coefficients of transform codecs live on the cells of the grid too and are held the same way.
public struct FieldPart: Sendable {
  public let box: Box
  public var values: [Double]
  public init(_ box: Box, _ values: [Double]) {
    precondition(values.count == box.count)
    self.box = box; self.values = values
  }
  /// - Parameter fill: the value of every cell.
  public init(_ box: Box, filledWith fill: Double = 0) { self.init(box, [Double](repeating: fill, count: box.count)) }
}

/// All components of a field on one participant's box.
///
/// Component i belongs to axis letter i (x, y, z), that is storage axis `2 - i` of a 3-D grid.
public typealias FieldParts = [FieldPart]

/// Half of the discrete Fourier transform of a real field: `[kz, ky, kx]` with kx = 0 ... nx/2, on a box of these indices.
///
/// Index j of an axis of n points is wavenumber j for 2 j <= n and j - n above. Unnormalised, signs exp(-i k x).
public struct SpectralPart: Sendable {
  /// Box inside `(nz, ny, nx / 2 + 1)`; may be empty.
  public let box: Box
  /// Interleaved real and imaginary parts, two per coefficient.
  public var values: [Double]
  public init(_ box: Box, _ values: [Double]) {
    precondition(values.count == 2 * box.count)
    self.box = box; self.values = values
  }
}
