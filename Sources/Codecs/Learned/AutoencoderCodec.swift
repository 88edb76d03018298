import CKernels
public import Fields

/// What the header of a field says of its normalisation: values x of component c are offset_c + scale u.
public struct PatchNormalisation: Equatable, Sendable {
  public var scale: Double
  public var offsets: [Double]
  public init(scale: Double, offsets: [Double]) { self.scale = scale; self.offsets = offsets }

  public var serialised: [UInt8] {
    var w = ByteWriter()
    for v in [scale] + offsets { w.put(v) }
    return w.bytes
  }
  /// - Throws: `StreamError` for bytes that are none for so many components.
  public init(serialised bytes: [UInt8], components: Int) throws {
    var r = ByteReader(bytes)
    scale = try r.double()
    offsets = try (0..<components).map { _ in try r.double() }
    guard r.remaining == 0, scale > 0, scale.isFinite, offsets.allSatisfy(\.isFinite) else { throw StreamError(.invalid, offset: 0) }
  }
}

/// An autoencoder on the tiles of a field; docs/format.md section 7.21.
///
/// Patches begin at the lower faces of a tile; where one sticks out, its cells beyond are the tile's outermost.
public final class AutoencoderCodec: Sendable {
  public let model: Autoencoder
  public let normalisation: PatchNormalisation
  private let sparse: SparseCode?

  /// - Parameter encodes: whether codes may have to be solved for.
  public init(_ model: Autoencoder, _ normalisation: PatchNormalisation, encodes: Bool) {
    self.model = model; self.normalisation = normalisation
    sparse = encodes && model.solvesCodes ? SparseCode(model) : nil
  }

  /// Patches along each axis of a tile.
  public func patches(of box: Box) -> Index3 {
    var n = box.shape
    for a in 0..<3 { n[a] = (n[a] + model.shape.patch[a] - 1) / model.shape.patch[a] }
    return n
  }

  /// What the latents of a tile are made of: the latents over their steps at factor 1, or values where codes are solved for; [patch][number].
  ///
  /// - Parameter values: one array per component, of one floating type, that hold the box.
  public func input(_ values: [RawArray], _ box: Box) -> [Float] {
    let s = model.shape, n = patches(of: box).product, u = Patches(Index3(1, 1, n), channels: s.values)
    withTiling(box, stride: u.stride, in: values[0].box) { t in
      let first = values[0].box.offset(of: box.lower), scale = 1 / normalisation.scale
      if values[0].elementSize == 4 {
        ald_patches_take_f32(t, values.map { Optional(UnsafePointer($0.bound(to: Float.self) + first)) }, normalisation.offsets, scale, u.pointer)
      } else {
        ald_patches_take_f64(t, values.map { Optional(UnsafePointer($0.bound(to: Double.self) + first)) }, normalisation.offsets, scale, u.pointer)
      }
    }
    if sparse != nil { return (0..<n).flatMap { UnsafeBufferPointer(start: u.pointer + $0 * u.stride, count: s.values) } }
    let z = model.latents(u)
    return [Float](unsafeUninitializedCapacity: n * s.latents) { out, size in
      ald_latents_over(z.pointer, n, z.stride, model.numbers.steps, s.latents, out.baseAddress!)
      size = n * s.latents
    }
  }

  /// Latents over their steps at a factor.
  ///
  /// - Parameter input: as above.
  public func scaled(_ input: [Float], factor: Double) -> [Double] {
    guard let sparse else { return input.map { Double($0) / factor } }
    let n = model.shape.values, steps = model.numbers.steps
    return stride(from: 0, to: input.count, by: n).flatMap { at in
      let z = sparse.code(input[at..<at + n].map(Double.init), factor: factor)
      return z.indices.map { z[$0] / (factor * Double(steps[$0])) }
    }
  }

  /// Rounded latents at a factor; the zero bin is wider by `deadZone` on either side.
  ///
  /// - Parameter input: as above.
  /// - Returns: [patch][latent], and of magnitudes 1, 2 and above how many there are, then by how much they lie above the latents, in 2^-20, at most 1 each.
  public func rounded(_ input: [Float], factor: Double, deadZone: Double) -> (q: [Int32], sums: [Int]) {
    let found = sparse == nil ? nil : scaled(input, factor: factor), count = found?.count ?? input.count
    var sums = [Int64](repeating: 0, count: 6)
    let q = [Int32](unsafeUninitializedCapacity: count) { q, size in
      if let found { ald_latents_round_f64(found, count, 1, deadZone, q.baseAddress!, &sums) } else {
        ald_latents_round_f32(input, count, factor, deadZone, q.baseAddress!, &sums)
      }
      size = count
    }
    return (q, sums.map { Int($0) })
  }

  /// Decoded values of a tile, in the type of the arithmetic.
  ///
  /// - Parameter q: [patch][latent].
  public func values(_ q: UnsafePointer<Int32>, _ box: Box, type: ScalarType, factor: Double, shifts: [UInt8]) -> [RawArray] {
    let s = model.shape, n = patches(of: box).product, z = Patches(Index3(1, 1, n), channels: s.latents)
    ald_latents_values(q, n, s.latents, [0] + shifts.map(Int32.init), model.numbers.steps.map { Float(factor * Double($0)) }, z.stride, z.pointer)
    let u = model.values(z), out = (0..<s.components).map { _ in RawArray(box: box, type: type) }
    withTiling(box, stride: u.stride, in: box) { t in
      if type == .float32 { ald_patches_put_f32(t, u.pointer, normalisation.offsets, normalisation.scale, out.map { Optional($0.bound(to: Float.self)) }) } else {
        ald_patches_put_f64(t, u.pointer, normalisation.offsets, normalisation.scale, out.map { Optional($0.bound(to: Double.self)) })
      }
    }
    return out
  }

  /// Calls `body` with the values of each patch of a tile, component by component; 0 where it sticks out.
  ///
  /// - Parameter values: one list per component, of the box.
  public func forEachPatch(of box: Box, _ values: [[Double]], _ body: (_ patch: Int, _ values: [Double]) -> Void) {
    let p = model.shape.patch, count = patches(of: box)
    for k in 0..<count.product {
      let corner = Index3(k / (count.y * count.x) * p.z, k / count.x % count.y * p.y, k % count.x * p.x), inside = min(p.x, box.shape.x - corner.x)
      var all: [Double] = []
      for v in values { for dz in 0..<p.z { for dy in 0..<p.y {
        let (z, y) = (corner.z + dz, corner.y + dy), from = (z * box.shape.y + y) * box.shape.x + corner.x
        let row = z < box.shape.z && y < box.shape.y ? Array(v[from..<from + inside]) : []
        all += row + [Double](repeating: 0, count: p.x - row.count)
      } } }
      body(k, all)
    }
  }

  /// Where the patches of a tile lie in arrays on `whole`.
  private func withTiling(_ box: Box, stride: Int, in whole: Box, _ body: (UnsafePointer<ald_tiling>) -> Void) {
    func axes(_ i: Index3) -> (Int64, Int64, Int64) { (Int64(i.z), Int64(i.y), Int64(i.x)) }
    let e = whole.shape
    var t = ald_tiling(
      patch: axes(model.shape.patch), count: axes(patches(of: box)), cells: axes(box.shape), row: Int64(e.x), plane: Int64(e.y * e.x),
      components: Int32(model.shape.components), stride: stride)
    body(&t)
  }
}
