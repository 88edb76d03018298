import Compressor
import Glibc

/// First parameters of a code, and the paces of Adam: such that a pace moves what is decoded by about as much as rounding does, whatever the variance of the direction.
struct CodeStart {
  let parameters: [Double], pace: [Double]

  /// - Parameter scale: root mean square of a coordinate's values, per input.
  /// - Parameter atoms: directions beyond the coordinates themselves, [latent][input], for latents from `shape.inputs` on.
  init(_ s: CodeShape, step: Double, scale: [Double], atoms: [Double], seed: Int) {
    let q = s.inputs, l = s.latents
    var p = [Double](repeating: 0, count: s.parameterCount), pace = p, random = Shuffle(seed: UInt64(seed), stream: 0)
    func fill(_ part: CodeShape.Part, _ value: (Int) -> (Double, Double)) {
      for (i, at) in s.range(part).enumerated() { (p[at], pace[at]) = value(i) }
    }
    // A variational latent has unit variance: y over its scale.
    let variational = s.kind == .variational
    let unit = (0..<l).map { i -> Double in variational ? scale[i] : 1 }
    let widest = 12.0.squareRoot() * 0.999
    let steps = unit.map { (u: Double) -> Double in variational ? min(step / u, widest) : step }
    let spread = (0..<l).map { i -> Double in
      if i >= q { return step }
      let own = scale[i] / unit[i]
      return (own * own + steps[i] * steps[i]).squareRoot()
    }
    func atom(_ i: Int, _ j: Int) -> Double { i < q ? (i == j ? 1 : 0) : atoms[(i - q) * q + j] }
    let inputs = scale.map { (v: Double) -> Double in (v * v + step * step).squareRoot() }
    let root = Double(q).squareRoot(), hidden = Double(max(1, s.before)).squareRoot(), fixed: Double = s.solve > 0 ? 0 : 1
    fill(.analysis) { k in
      let i = k / q, j = k % q, size: Double = i < q ? 1 : 0.1
      return (fixed * size * atom(i, j) / unit[i], fixed * steps[i] / (inputs[j] * root))
    }
    fill(.offset) { k in (0, fixed * steps[k]) }
    fill(.before) { k in
      let size = 1 / (inputs[k % q] * root)
      return (random.normal() * size, size)
    }
    fill(.beforeBias) { _ in (0.5 * random.normal(), 1) }
    fill(.beforeOut) { k in (0, steps[k / s.before] / hidden) }
    let width = Double(l).squareRoot(), behind = Double(max(1, s.behind)).squareRoot()
    fill(.synthesis) { k in
      let i = k % l, wiener: Double = variational ? 1 - steps[i] * steps[i] / 12 : 1
      let size: Double = s.solve > 0 ? 0.1 : step / spread[i]
      return (atom(i, k / l) * unit[i] * wiener, size / width)
    }
    fill(.mean) { _ in (0, step) }
    fill(.behind) { k in
      let size = 1 / (spread[k % l] * width)
      return (random.normal() * size, size)
    }
    fill(.behindBias) { _ in (0.5 * random.normal(), 1) }
    fill(.behindOut) { _ in (0, step / behind) }
    fill(.step) { k in (log(steps[k]), s.kind == .sparse ? 0 : 1) }
    // Logistic distributions of three widths about zero; the mean magnitude of one is 2 ln 2 scales.
    let m = s.mixtures
    fill(.logits) { _ in (0, 3) }
    func deviation(_ k: Int) -> Double { max(0.3, scale[min(k / m, q - 1)] / step) }
    fill(.means) { k in (0, 0.3 * deviation(k)) }
    fill(.scales) { k in
      let factors: [Double] = [0.15, 0.4, 1]
      return (log(deviation(k) * factors[k % m]), 3)
    }
    (parameters, self.pace) = (p, pace)
  }
}
