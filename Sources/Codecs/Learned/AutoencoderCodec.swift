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
    let s = model.shape, count = patches(of: box), n = count.product, u = Patches(Index3(1, 1, n), channels: s.values)
    let scale = 1 / normalisation.scale, last = box.upper - Index3(1, 1, 1), offsets = normalisation.offsets
    func gather<T: BinaryFloatingPoint>(_ type: T.Type) {
      let from = values.map { UnsafePointer($0.bound(to: type)) }, whole = values[0].box
      forEachRow(box, count) { patch, channel, cell, c in
        let row = from[c] + whole.offset(of: Index3(min(cell.z, last.z), min(cell.y, last.y), cell.x)), to = u.pointer + patch * u.stride + channel
        let offset = offsets[c], end = last.x - cell.x
        for i in 0..<s.patch.x { to[i] = Float((Double(row[min(i, end)]) - offset) * scale) }
      }
    }
    if values[0].elementSize == 4 { gather(Float.self) } else { gather(Double.self) }
    var rows = u, steps = [Float](repeating: 1, count: s.values)
    if sparse == nil {
      for p in 0..<n { for i in s.values..<u.stride { u.pointer[p * u.stride + i] = 0 } }
      (rows, steps) = (model.latents(u), model.numbers.steps)
    }
    return [Float](unsafeUninitializedCapacity: n * steps.count) { out, size in
      for p in 0..<n { for i in steps.indices { out[p * steps.count + i] = rows.pointer[p * rows.stride + i] / steps[i] } }
      size = n * steps.count
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

  /// Rounded latents; the zero bin is wider by `deadZone` on either side.
  public static func quantised(_ y: [Double], deadZone: Double) -> [Int32] {
    y.map { v in
      let m = Int32(min((abs(v) + 0.5).rounded(.down), 0x1p28))
      return abs(v) < 0.5 + deadZone ? 0 : v < 0 ? -m : m
    }
  }

  /// Decoded values of a tile, in the type of the arithmetic.
  ///
  /// - Parameter q: [patch][latent].
  public func values(_ q: UnsafePointer<Int32>, _ box: Box, type: ScalarType, factor: Double, shifts: [UInt8]) -> [RawArray] {
    let s = model.shape, count = patches(of: box), z = Patches(Index3(1, 1, count.product), channels: s.latents)
    let steps = model.numbers.steps.map { Float(factor * Double($0)) }, less = [0] + shifts.map(Int32.init)
    for p in 0..<count.product {
      let to = z.pointer + p * z.stride, from = q + p * s.latents
      for i in 0..<s.latents {
        let v = from[i], m = Float(256 * Int64(v.magnitude) - Int64(less[min(Int(v.magnitude), 3)])) * 0x1p-8
        to[i] = (v < 0 ? -m : m) * steps[i]
      }
      for i in s.latents..<z.stride { to[i] = 0 }
    }
    let u = model.values(z), out = (0..<s.components).map { _ in RawArray(box: box, type: type) }
    let offsets = normalisation.offsets, scale = normalisation.scale
    func scatter<T: BinaryFloatingPoint>(_ type: T.Type, _ rounded: (Double) -> T) {
      let to = out.map { $0.bound(to: type) }
      forEachRow(box, count) { patch, channel, cell, c in
        guard cell.z < box.upper.z, cell.y < box.upper.y else { return }
        let row = to[c] + box.offset(of: cell), from = u.pointer + patch * u.stride + channel, offset = offsets[c]
        for i in 0..<min(s.patch.x, box.upper.x - cell.x) { row[i] = rounded(offset + scale * Double(from[i])) }
      }
    }
    if type == .float32 { scatter(Float.self) { Float($0) } } else { scatter(Double.self) { $0 } }
    return out
  }

  /// Calls `body` with the values of each patch of a tile, component by component; 0 where it sticks out.
  ///
  /// - Parameter values: one list per component, of the box.
  public func forEachPatch(of box: Box, _ values: [[Double]], _ body: (_ patch: Int, _ values: [Double]) -> Void) {
    let n = model.shape.values, count = patches(of: box)
    var all = [Double](repeating: 0, count: count.product * n)
    forEachRow(box, count) { patch, channel, cell, c in
      guard cell.z < box.upper.z, cell.y < box.upper.y else { return }
      let from = box.offset(of: cell), to = patch * n + channel
      for i in 0..<min(model.shape.patch.x, box.upper.x - cell.x) { all[to + i] = values[c][from + i] }
    }
    for p in 0..<count.product { body(p, Array(all[p * n..<(p + 1) * n])) }
  }

  /// Rows along x of all patches, with their first channels and cells; those of patches that stick out may begin beyond the tile along z and y.
  private func forEachRow(_ box: Box, _ count: Index3, _ body: (_ patch: Int, _ channel: Int, _ cell: Index3, _ component: Int) -> Void) {
    let p = model.shape.patch
    var patch = 0
    for z in 0..<count.z { for y in 0..<count.y { for x in 0..<count.x {
      var channel = 0
      for c in 0..<model.shape.components { for dz in 0..<p.z { for dy in 0..<p.y {
        body(patch, channel, Index3(box.lower.z + z * p.z + dz, box.lower.y + y * p.y + dy, box.lower.x + x * p.x), c)
        channel += p.x
      } } }
      patch += 1
    } } }
  }
}
