import Fields
import Observables
import Statistics

/// The sensitivities of distortion, observable and rate to the latents, as operators: no matrix is formed.
///
///     G_D = J_g^T W J_g              W = diag(w_c)/N: D is a mean of squares over the N values of the field, times w_c = 1/scale_c^2
///     G_P = J_g^T J_o^T M J_o J_g    M = diag(1/(m s_j^2)): P is a mean of squares of the m values of the observable in their scales s
///     G_R = diag(1/sigma^2)          Fisher information of a Gaussian prior of the latents, where variances are given
///
/// - Collective: all methods, on all participants of the domain.
/// - Source: Segui, Armour (2026), arXiv:2606.03279, for the three geometries.
public struct Sensitivities {
  public let codec: any LatentCodec
  public let observable: any Observable
  public let domain: any Domain
  /// The field where everything is evaluated: the decoded one.
  public let field: FieldParts
  /// Latents and field values.
  public let latents: LatentSpace, values: LatentSpace
  /// Of each field component: w_c/N.
  let fieldWeights: [Double]
  /// Diagonal of M: per value of a vector, per component of a field.
  let observableWeights: [Double]
  /// Whether the observable is a short vector.
  public let isVector: Bool

  /// - Parameter componentScales: natural scale of each field component (its rms); default 1: D in field units.
  public init(codec: any LatentCodec, observable: any Observable, field: FieldParts, domain: any Domain,
              componentScales: [Double]? = nil) throws {
    self.codec = codec; self.observable = observable; self.domain = domain; self.field = field
    latents = LatentSpace(boxes: codec.latentBoxes, count: codec.latentCount, reducer: domain)
    values = LatentSpace(boxes: field.map(\.box), count: field.count * domain.grid.count, reducer: domain)
    let n = Double(values.count), s = componentScales ?? [Double](repeating: 1, count: field.count)
    precondition(s.count == field.count)
    fieldWeights = s.map { 1 / (n * $0 * $0) }
    let value = try observable.value(of: field, on: domain), scales = try observable.scales(of: value, on: domain)
    switch value {
    case .vector(let v):
      isVector = true
      observableWeights = scales.map { 1 / (Double(v.count) * $0 * $0) }
    case .field(let parts):
      isVector = false
      observableWeights = scales.map { 1 / (Double(parts.count * domain.grid.count) * $0 * $0) }
    }
  }

  private func weighted(_ parts: FieldParts, _ w: [Double]) -> FieldParts {
    zip(parts, w).map { FieldPart($0.box, scaled($0.values, $1)) }
  }
  /// G_D z.
  public func distortion(_ z: Flat) throws -> Flat {
    try latents.flat(codec.adjoint(weighted(codec.tangent(latents.parts(z)), fieldWeights)))
  }
  /// G_P z.
  public func observable(_ z: Flat) throws -> Flat {
    let v = try codec.tangent(latents.parts(z)), w: ObservableValue
    switch try observable.tangent(at: field, along: v, on: domain) {
    case .vector(let x): w = .vector(product(x, observableWeights))
    case .field(let parts): w = .field(weighted(parts, observableWeights))
    }
    return try latents.flat(codec.adjoint(observable.adjoint(at: field, of: w, on: domain)))
  }
  /// W^1/2 J_g z: its squares sum to z^T G_D z.
  public func weightedField(_ z: Flat) throws -> FieldParts {
    try weighted(codec.tangent(latents.parts(z)), fieldWeights.map { $0.squareRoot() })
  }
  /// M^1/2 J_o J_g z: its squares sum to z^T G_P z.
  public func weightedValue(_ z: Flat) throws -> ObservableValue {
    switch try observable.tangent(at: field, along: codec.tangent(latents.parts(z)), on: domain) {
    case .vector(let x): .vector(product(x, observableWeights.map { $0.squareRoot() }))
    case .field(let parts): .field(weighted(parts, observableWeights.map { $0.squareRoot() }))
    }
  }
  /// J_g^T W^1/2 r for a random r of independent signs: covariance G_D.
  func distortionNoise(seed: UInt64, stream: UInt64) throws -> Flat {
    let r = values.parts(values.signs(seed: seed, stream: stream))
    return try latents.flat(codec.adjoint(weighted(r, fieldWeights.map { $0.squareRoot() })))
  }

  /// V = J_g^T J_o^T M^1/2, the whole factor of G_P = V V^T for a vector observable of m values: m adjoints.
  ///
  /// Memory: m vectors of latents; use up to m of about 512.
  public func factor() throws -> [Flat] {
    precondition(isVector)
    return try observableWeights.indices.map { j in
      var w = [Double](repeating: 0, count: observableWeights.count)
      w[j] = observableWeights[j].squareRoot()
      return try latents.flat(codec.adjoint(observable.adjoint(at: field, of: .vector(w), on: domain)))
    }
  }

  /// The pencil of G_P and G_D.
  /// - Parameter scale: d where G_D = d I (an orthonormal transform: 1/N for unit scales); nil: solves with conjugate gradients.
  public func pencil(distortionScale scale: Double? = nil) -> Pencil {
    Pencil(space: latents, observable: observable(_:),
           metric: scale.map(Pencil.Metric.identity) ?? .general(apply: distortion(_:), noise: distortionNoise(seed:stream:)))
  }

  /// Exact eigenvalues for a vector observable: the m of V^T G_D^-1 V and n - m zeros. One reduction of m (m + 1)/2 products.
  public func dualSpectrum(distortionScale scale: Double? = nil) throws -> TradeSpectrum {
    let v = try factor(), p = pencil(distortionScale: scale)
    let gram = try InnerProducts.gram(v, v.map(p.solved), symmetric: scale != nil, reducer: domain)
    let a = try domain.agreed(gram.eigen().values)
    let m = min(a.count, latents.count)
    return TradeSpectrum(Array(a.prefix(m)) + [0], weights: [Double](repeating: 1, count: m) + [Double(latents.count - m)])
  }
}
