/// The derivative of an autoencoder's synthesis u^ = d(z), patch by patch, in double precision: J = D + V S_B (I + S_(B-1) K_(B-1)) ... S_0 K_0 with the slopes
/// S, 1 or 1/8, of the rectifiers at z.
public struct SynthesisDerivative: Sendable {
  private struct Matrix: Sendable {
    let inputs: Int, outputs: Int, weights: [Double], bias: [Double]

    /// W x + b.
    func applied(_ x: [Double]) -> [Double] {
      (0..<outputs).map { o in x.indices.reduce(bias.isEmpty ? 0 : bias[o]) { $0 + weights[o * inputs + $1] * x[$1] } }
    }
    /// W x.
    func linear(_ x: [Double]) -> [Double] { (0..<outputs).map { o in x.indices.reduce(0) { $0 + weights[o * inputs + $1] * x[$1] } } }
    /// W^T r.
    func transposed(_ r: [Double]) -> [Double] {
      var out = [Double](repeating: 0, count: inputs)
      weights.withUnsafeBufferPointer { w in
        out.withUnsafeMutableBufferPointer { to in
          for o in 0..<outputs where r[o] != 0 { for i in 0..<inputs { to[i] += w[o * inputs + i] * r[o] } }
        }
      }
      return out
    }
  }
  /// D, K_0, K_1, ..., V.
  private let layers: [Matrix]

  public init(_ model: Autoencoder) {
    var at = 0, all: [Matrix] = []
    let numbers = model.numbers.parameters
    for l in model.shape.layers {
      let n = l.inputs * l.outputs, b = l.biased ? l.outputs : 0
      all.append(Matrix(inputs: l.inputs, outputs: l.outputs, weights: numbers[at..<at + n].map(Double.init), bias: numbers[at + n..<at + n + b].map(Double.init)))
      at += n + b
    }
    layers = Array(all[model.shape.analysisLayers.count...])
  }
  private var hidden: Range<Int> { layers.count > 1 ? 1..<layers.count - 1 : 0..<0 }

  /// Of the rectifiers at z, layer by layer.
  private func slopes(at z: [Double]) -> [[Double]] {
    var h = z, out: [[Double]] = []
    for k in hidden {
      let a = layers[k].applied(h), s = a.map { $0 > 0 ? 1 : 0.125 }, r = zip(a, s).map { $0 * $1 }
      h = k == 1 ? r : zip(h, r).map { $0 + $1 }
      out.append(s)
    }
    return out
  }
  /// J v.
  public func tangent(_ v: [Double], at z: [Double]) -> [Double] {
    let direct = layers[0].linear(v)
    if hidden.isEmpty { return direct }
    var h = v
    for (k, s) in zip(hidden, slopes(at: z)) {
      let r = zip(layers[k].linear(h), s).map { $0 * $1 }
      h = k == 1 ? r : zip(h, r).map { $0 + $1 }
    }
    return zip(direct, layers[layers.count - 1].linear(h)).map { $0 + $1 }
  }
  /// J^T r.
  public func adjoint(_ r: [Double], at z: [Double]) -> [Double] {
    let direct = layers[0].transposed(r)
    if hidden.isEmpty { return direct }
    var t = layers[layers.count - 1].transposed(r)
    for (k, s) in zip(hidden, slopes(at: z)).reversed() {
      let through = layers[k].transposed(zip(t, s).map { $0 * $1 })
      t = k == 1 ? through : zip(t, through).map { $0 + $1 }
    }
    return zip(direct, t).map { $0 + $1 }
  }
}
