import Codecs
import Fields
import LatentGeometry
import Observables
import Reduction

/// What a network does to decoded values, and its derivative there, on the cells of a domain.
///
/// J v = v + N'(w/s) v, as if every tile were corrected. Beyond walls cells repeat, periodic axes wrap.
/// - Collective: all methods, all ranks of the domain.
package struct NetworkCorrection {
  private let domain: RankDomain
  /// Cells whose corrected values depend on the domain's, from faces of patches on; those that these depend on.
  private let outer: Box, wide: Box
  private let derivative: NetworkDerivative?
  /// Which component of the network each of the parts is.
  private let order: [Int]
  /// x^ on the domain's cells.
  package let corrected: FieldParts

  private static func patches(_ s: Network.Shape) -> [Int] { s.dimensions == 3 ? [s.patch, s.patch, s.patch] : [1, s.patch, s.patch] }
  /// Whether periodic axes are whole numbers of patches.
  package static func takes(_ grid: Grid, _ n: Network) -> Bool { (0..<3).allSatisfy { !grid.periodic[$0] || grid.shape[$0] % patches(n.shape)[$0] == 0 } }

  /// - Parameter decoded: w, on the domain's cells. - Parameter unit: the step s. - Parameter order: which component of the network each of the parts
  ///   is, here and in what the methods take and give; `nil`: the same.
  /// - Throws: `Failure(.usage)`, on all ranks: a periodic axis that is no whole number of patches, or a field of another kind.
  package init(_ network: Network, decoded: FieldParts, unit: Double, order: [Int]? = nil, on domain: RankDomain) throws {
    self.domain = domain
    self.order = order ?? Array(decoded.indices)
    let grid = domain.grid, shape = network.shape, p = NetworkCorrection.patches(shape)
    guard shape.suits(grid, components: decoded.count) else { throw Failure(.usage, "the model is made for \(shape.components) components in \(shape.dimensions) dimensions") }
    guard NetworkCorrection.takes(grid, network) else {
      throw Failure(.usage, "the derivative of a network of patches of \(shape.patch) cells takes periodic axes of whole patches only")
    }
    var o = domain.box
    if !o.isEmpty {
      o = o.dilated(by: shape.reach, in: grid)
      for a in 0..<3 { o.lower[a] -= ((o.lower[a] % p[a]) + p[a]) % p[a] }
    }
    outer = o
    wide = o.isEmpty ? o : o.dilated(by: shape.reach, in: grid)
    var values = try domain.handed(decoded, to: [wide])[0]
    if o.isEmpty {
      derivative = nil
      corrected = decoded
      return
    }
    let arrays = arrays(&values, self.order), core = outer
    derivative = NetworkDerivative(network, at: arrays, core: core, unit: unit)
    let all = network.corrected(arrays, core: core, unit: unit)
    corrected = self.order.map { part(all[$0]).cut(domain.box) }
  }

  /// J v.
  package func tangent(_ v: FieldParts) throws -> FieldParts {
    var near = try domain.handed(v, to: [wide])[0]
    guard let derivative else { return v }
    return sums(v, derivative.tangent(arrays(&near, order)))
  }
  /// J^T r.
  package func adjoint(_ r: FieldParts) throws -> FieldParts {
    var near = try domain.handed(r, to: [outer])[0]
    guard let derivative else { return r }
    return sums(r, derivative.adjoint(arrays(&near, order)))
  }
  /// - Parameter changes: by component of the network.
  private func sums(_ a: FieldParts, _ changes: [RawArray]) -> FieldParts {
    zip(a, order).map { p, c in FieldPart(p.box, zip(p.values, part(changes[c]).cut(domain.box).values).map { $0 + $1 }) }
  }
}

/// Copies, which outlive the parts; part k is number `order[k]` of them.
private func arrays(_ parts: inout FieldParts, _ order: [Int]) -> [RawArray] {
  order.indices.map { c in
    let p = parts[order.firstIndex(of: c)!], a = RawArray(box: p.box, elementSize: 8)
    a.bound(to: Double.self).update(from: p.values, count: a.count)
    return a
  }
}
private func part(_ a: RawArray) -> FieldPart { FieldPart(a.box, Array(UnsafeBufferPointer(start: a.bound(to: Double.self), count: a.count))) }

/// The learned decoder as the geometry sees it: the transform's synthesis, then the network's correction at an operating point.
///
/// J = (I + N') T^T; tangent and adjoint agree to the accuracy of `NetworkDerivative`.
/// - Collective: all methods, all ranks of the domain.
package struct NetworkCodec: LatentCodec {
  package let lapped: LappedCodec
  package let correction: NetworkCorrection
  package init(_ lapped: LappedCodec, _ correction: NetworkCorrection) { self.lapped = lapped; self.correction = correction }

  package var latentBoxes: [Box] { lapped.latentBoxes }
  package var latentCount: Int { lapped.latentCount }
  package func tangent(_ z: FieldParts) throws -> FieldParts { try correction.tangent(lapped.tangent(z)) }
  package func adjoint(_ r: FieldParts) throws -> FieldParts { try lapped.adjoint(correction.adjoint(r)) }
}
