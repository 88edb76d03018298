import Codecs
import Fields
import LatentGeometry
import Observables
import Reduction

/// The lapped transform's decoder as the geometry sees it: fields on the boxes of a domain, latents on whole blocks, double precision.
///
/// x = T^T y with T orthonormal: the tangent is the synthesis, the adjoint the analysis. Latent f of a block that starts at b has the index
/// b + f on each axis.
/// - Collective: all methods, all ranks of the domain.
package struct LappedCodec: LatentCodec {
  package let transform: LappedOrthogonalTransform
  package let domain: RankDomain
  package let components: Int
  /// The domain's box with its faces moved down to faces of blocks: these boxes cover the grid as the domain's do.
  private let blocks: Box

  package init(_ transform: LappedOrthogonalTransform, components: Int, on domain: RankDomain) {
    self.transform = transform; self.domain = domain; self.components = components
    var b = domain.box
    for a in 0..<3 where !domain.box.isEmpty {
      let cuts = transform.blockStarts(axis: a)
      func snapped(_ i: Int) -> Int { cuts.last { $0 <= i }! }
      b.lower[a] = snapped(b.lower[a]); b.upper[a] = snapped(b.upper[a])
    }
    if b.isEmpty { b.upper = b.lower }
    blocks = b
  }

  package var latentBoxes: [Box] { [Box](repeating: blocks, count: components) }
  package var latentCount: Int { components * transform.grid.count }

  package func tangent(_ z: FieldParts) throws -> FieldParts {
    let inside = z.map { p in
      var p = p
      lend(&p) { transform.synthesiseInside($0, core: blocks) }
      return p
    }
    let near = try domain.fetched(inside, to: domain.box.isEmpty ? domain.box : transform.synthesisInput(for: domain.box))
    return near.map { p in
      var p = p, out = FieldPart(domain.box)
      lend(&p) { a in lend(&out) { transform.synthesise(a, core: domain.box, into: $0) } }
      return out
    }
  }

  package func adjoint(_ r: FieldParts) throws -> FieldParts {
    let wide = blocks.isEmpty ? blocks : blocks.dilated(by: transform.analysisHalo, in: transform.grid)
    return try domain.handed(r, to: [wide])[0].map { p in
      var p = p, out = FieldPart(blocks)
      lend(&p) { a in lend(&out) { transform.analyse(a, core: blocks, into: $0) } }
      return out
    }
  }
}
