import Codecs
import Fields
import LatentGeometry
import Observables
import Reduction

/// A lapped transform or the 9/7 wavelet over the ranks of a domain: tangent = synthesis, adjoint = its transpose, in double precision.
///
/// Lapped transforms are orthonormal, so that the transpose is the analysis. The wavelet's transpose correlates with its basis functions.
/// Latents lie where the container's layout has them; this rank's are those of the whole blocks that begin in the domain's box.
/// - Collective: both maps, all ranks.
struct TransformLatentCodec: LatentCodec {
  let domain: RankDomain
  let member: FieldCoding.Member
  let components: Int
  let bases: [AxisBasis]
  private let transform: any HaloTransform
  private let latentBox: Box

  /// - Parameter member: `lapped16`, `lapped8` or `wavelet97`.
  init(_ member: FieldCoding.Member, components: Int, on domain: RankDomain) {
    self.domain = domain; self.member = member; self.components = components
    transform = member.transform(domain.grid)!
    bases = (0..<3).map { AxisBasis(member, domain.grid, axis: $0) }
    var box = domain.box
    if let lapped = transform as? LappedOrthogonalTransform, !box.isEmpty {
      for a in 0..<3 {
        let starts = lapped.blockStarts(axis: a)
        func aligned(_ i: Int) -> Int { starts.last { $0 <= i }! }
        box.lower[a] = aligned(box.lower[a]); box.upper[a] = aligned(box.upper[a])
      }
    }
    latentBox = box
  }
  var latentBoxes: [Box] { [Box](repeating: latentBox, count: components) }
  var latentCount: Int { components * domain.grid.count }

  func tangent(_ z: FieldParts) throws -> FieldParts {
    let local = z.map { part in
      var p = part
      lend(&p) { transform.synthesiseInside($0, core: latentBox) }
      return p
    }
    let input = try domain.fetched(local, to: domain.box.isEmpty ? domain.box : transform.synthesisInput(for: domain.box))
    return input.map { p in
      var from = p, out = FieldPart(domain.box)
      lend(&from) { a in lend(&out) { transform.synthesise(a, core: domain.box, into: $0) } }
      return out
    }
  }

  func adjoint(_ r: FieldParts) throws -> FieldParts {
    let halo = member == .wavelet97 ? AxisBasis.reach : transform.analysisHalo
    let wanted = latentBox.isEmpty ? latentBox : latentBox.dilated(by: halo, in: domain.grid)
    return try domain.fetched(r, to: wanted).map { adjoint($0, core: latentBox) }
  }

  /// The latents of `core` (whole blocks) from cells that hold it and its halo.
  func adjoint(_ r: FieldPart, core: Box) -> FieldPart {
    if member == .wavelet97 { return correlated(r, bases, core: core) }
    var from = r, out = FieldPart(core)
    lend(&from) { a in lend(&out) { transform.analyse(a, core: core, into: $0) } }
    return out
  }
  /// The coefficients that the codec quantises, of `core` (whole blocks).
  func analysed(_ u: FieldPart, core: Box) -> FieldPart {
    var from = u, out = FieldPart(core)
    lend(&from) { a in lend(&out) { transform.analyse(a, core: core, into: $0) } }
    return out
  }
  /// Cells around the core that `adjoint` and `analysed` need.
  var halo: Int { member == .wavelet97 ? AxisBasis.reach : transform.analysisHalo }
}

extension AxisBasis {
  /// Cells from a latent to the farthest one its function changes; the wavelet's three levels.
  static let reach = 32
}

/// Lends a part's values as an array that may be written.
func lend(_ part: inout FieldPart, _ body: (RawArray) -> Void) {
  let box = part.box
  if box.isEmpty { return }
  part.values.withUnsafeMutableBytes { body(RawArray(lending: $0.baseAddress!, box: box, elementSize: 8)) }
}
