import CKernels
public import Fields

/// The derivative of a network's correction at decoded values w: x^ = w + s N(w/s) has dx^ = dw + N'(w/s) dw.
///
/// N' is linear with the slopes, 1 or 1/8, that the primal's rectifiers have at w; kinks count as 1/8. Sums are those of the kernels, in binary32: tangent and
/// adjoint agree within 1e-5 of |N' v| |r|.
public final class NetworkDerivative {
  private let shape: Network.Shape
  /// Cells whose correction this is, and those that it depends on.
  public let core: Box, wide: Box
  private let patches: Index3
  private let forward: [Convolution], backward: [Convolution]
  /// Of the rectifiers, per layer K_b.
  private let slopes: [Patches]

  /// - Parameter values: one array per component, of one floating type, on one box that holds `core.dilated(by: shape.reach, in: grid)`; beyond it cells repeat.
  /// - Parameter core: begins at a multiple of the patch on every axis.
  /// - Parameter unit: the step the values were decoded with.
  public init(_ network: Network, at values: [RawArray], core: Box, unit: Double) {
    shape = network.shape
    self.core = core
    wide = values[0].box
    let one = shape.one, margin = one * shape.radius, u = shape.patches(of: values, core: core, margin: margin, unit: unit)
    patches = u.extents - margin * 2
    var forward: [Convolution] = [], backward: [Convolution] = [], at = 0
    for l in shape.layers {
      let n = shape.weightCount(l), w = Array(network.parameters[at..<at + n]), cells = n / (l.inputs * l.outputs)
      at += n + (l.biased ? l.outputs : 0)
      forward.append(Convolution(l, dimensions: shape.dimensions, weights: w, bias: []))
      var turned = w
      for o in 0..<l.outputs { for i in 0..<l.inputs { for t in 0..<cells { turned[(i * l.outputs + o) * cells + cells - 1 - t] = w[(o * l.inputs + i) * cells + t] } } }
      backward.append(Convolution(.init(taps: l.taps, inputs: l.outputs, outputs: l.inputs, biased: false), dimensions: shape.dimensions, weights: turned, bias: []))
    }
    self.forward = forward; self.backward = backward
    var slopes: [Patches] = [], h = u
    if shape.width > 0 {
      for b in 0...shape.blocks {
        let next = Patches(h.extents - one * 2, channels: shape.width)
        network.convolutions[1 + b].apply(h.pointer, h.extents, next.pointer, next.extents)
        let slope = Patches(next.extents, channels: shape.width)
        for i in 0..<slope.count { slope.pointer[i] = next.pointer[i] > 0 ? 1 : 0.125 }
        slopes.append(slope)
        if b < shape.blocks {
          next.multiply(by: slope)
          if b > 0 { next.add(h.inner(one)) }
        }
        h = next
      }
    }
    self.slopes = slopes
  }

  /// N' v on `core`.
  ///
  /// - Parameter v: doubles on `wide`, one array per component.
  public func tangent(_ v: [RawArray]) -> [RawArray] {
    let one = shape.one, margin = one * shape.radius, u = shape.patches(of: v, core: core, margin: margin, unit: 1)
    let change = Patches(patches, channels: shape.channels)
    forward[0].apply(u.pointer + u.offset(margin - one), u.extents, change.pointer, patches)
    if shape.width > 0 {
      var h = u
      for b in 0...shape.blocks {
        let next = Patches(h.extents - one * 2, channels: shape.width)
        forward[1 + b].apply(h.pointer, h.extents, next.pointer, next.extents)
        next.multiply(by: slopes[b])
        if b > 0 { next.add(h.inner(one)) }
        h = next
      }
      forward[forward.count - 1].apply(h.pointer, patches, change.pointer, patches, adding: true)
    }
    let out = v.map { _ in RawArray(box: core, elementSize: 8, zeroed: true) }
    let wanted = (0..<3).map { a in (0..<patches[a] * shape.patches[a]).map { i in i < core.shape[a] ? Int32(i) : -1 } }
    change.with(shape, wanted, core.shape) { ald_patches_add_f64($0, change.pointer, 1, out.map { $0.bound(to: Double.self) }) }
    return out
  }

  /// N'^T r on `wide`.
  ///
  /// - Parameter r: doubles on `core`, one array per component.
  public func adjoint(_ r: [RawArray]) -> [RawArray] {
    let one = shape.one, whole = Box(lower: core.lower, upper: core.lower + Index3(patches.z * shape.patches.z, patches.y * shape.patches.y, patches.x * shape.patches.x))
    let padded = r.map { p in
      let a = RawArray(box: whole, elementSize: 8, zeroed: true)
      a.copy(core, from: p)
      return a
    }
    let c = shape.patches(of: padded, core: whole, margin: Index3(0, 0, 0), unit: 1)
    func turned(_ k: Int, _ p: Patches, to channels: Int) -> Patches {
      let t = shape.layers[k].taps == 3 ? one : Index3(0, 0, 0), out = Patches(p.extents + t * 2, channels: channels), from = p.surrounded(by: t * 2)
      backward[k].apply(from.pointer, from.extents, out.pointer, out.extents)
      return out
    }
    var sum = turned(0, c, to: shape.channels).surrounded(by: one * (shape.radius - 1))
    if shape.width > 0 {
      var h = turned(shape.layers.count - 1, c, to: shape.width)
      for b in (0...shape.blocks).reversed() {
        let skip = h.surrounded(by: one)
        h.multiply(by: slopes[b])
        h = turned(1 + b, h, to: b > 0 ? shape.width : shape.channels)
        if b > 0 { h.add(skip) }
      }
      h.add(sum)
      sum = h
    }
    let out = r.map { _ in RawArray(box: wide, elementSize: 8, zeroed: true) }
    let margin = one * shape.radius, at = shape.cells(core: core, patches: sum.extents, margin: margin, in: wide)
    sum.with(shape, at, wide.shape) { ald_patches_add_f64($0, sum.pointer, 1, out.map { $0.bound(to: Double.self) }) }
    return out
  }
}

extension Network.Shape {
  /// One patch along each axis that there is.
  var one: Index3 { Index3(dimensions == 3 ? 1 : 0, 1, 1) }
}

extension Patches {
  var count: Int { extents.product * stride }
  /// Of the first channel of a patch.
  func offset(_ i: Index3) -> Int { ((i.z * extents.y + i.y) * extents.x + i.x) * stride }

  func multiply(by other: Patches) { for i in 0..<count { pointer[i] *= other.pointer[i] } }
  func add(_ other: Patches) { for i in 0..<count { pointer[i] += other.pointer[i] } }
  /// Without `margin` on each side.
  func inner(_ margin: Index3) -> Patches {
    let out = Patches(extents - margin * 2, width: stride)
    out.eachRow { z, y in (out.pointer + out.offset(Index3(z, y, 0)), self.pointer + self.offset(Index3(z, y, 0) + margin), out.extents.x * out.stride) }
    return out
  }
  /// With zeros around.
  func surrounded(by margin: Index3) -> Patches {
    let out = Patches(extents + margin * 2, width: stride)
    out.pointer.initialize(repeating: 0, count: out.count)
    eachRow { z, y in (out.pointer + out.offset(Index3(z, y, 0) + margin), self.pointer + self.offset(Index3(z, y, 0)), self.extents.x * self.stride) }
    return out
  }
  private func eachRow(_ row: (Int, Int) -> (to: UnsafeMutablePointer<Float>, from: UnsafeMutablePointer<Float>, count: Int)) {
    for z in 0..<extents.z { for y in 0..<extents.y {
      let r = row(z, y)
      r.to.update(from: r.from, count: r.count)
    } }
  }
}
