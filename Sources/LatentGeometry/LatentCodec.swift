import Fields
import Observables

/// A decoder at an operating point: x = g(y), its tangent J_g and its adjoint, on this participant's cells.
///
/// Latents are held as `FieldParts`; each has a global index (component and cell), which keys random numbers, so that nothing depends on
/// the number of participants.
/// - Collective: all methods.
public protocol LatentCodec {
  /// Boxes of the latents on this participant, one per latent component.
  var latentBoxes: [Box] { get }
  /// Number of latents over all participants.
  var latentCount: Int { get }
  /// J_g z: from a change of the latents to the change of the field.
  func tangent(_ z: FieldParts) throws -> FieldParts
  /// J_g^T r.
  func adjoint(_ r: FieldParts) throws -> FieldParts
}
