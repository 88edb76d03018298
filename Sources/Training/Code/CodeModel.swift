import Codecs
import Compressor
import Fields
import Glibc

/// A trained code as the codec bank takes it.
struct CodeModel {
  let model: Autoencoder
  /// The same numbers, rounded as stored, in the layout of training: the coordinates are the values themselves.
  let shape: CodeShape, parameters: [Float]
  /// Number of each latent before unused ones were left out.
  let kept: [Int]

  /// - Parameter used: latents that are ever coded. Groups stay whole.
  /// - Throws: `Failure(.usage)`: none is used.
  init(_ o: TrainOptions, _ s: CodeShape, _ p: [Double], basis: [Float], dual: [Float] = [], costs: [Float], magnitudes: [Double], used: [Bool]) throws {
    let q = s.inputs, n = s.channels, g = s.group
    let dual = dual.isEmpty ? basis : dual
    let kept = (0..<s.latents).filter { i in (i / g * g..<i / g * g + g).contains { used[$0] } }, l = kept.count
    guard l > 0 else { throw Failure(.usage, "no latent carries anything at this rate; nothing was learned") }
    // rows [a][b] times the basis [b][channel].
    func turned(_ part: CodeShape.Part, rows: [Int], scale: [Double]) -> [Float] {
      let at = s.range(part).lowerBound
      var out = [Float](repeating: 0, count: rows.count * n), row = [Double](repeating: 0, count: n)
      for (r, i) in rows.enumerated() {
        for c in 0..<n { row[c] = 0 }
        for j in 0..<q {
          let w = p[at + i * q + j] * scale[r]
          if w != 0 { for c in 0..<n { row[c] += w * Double(basis[j * n + c]) } }
        }
        for c in 0..<n { out[r * n + c] = Float(row[c]) }
      }
      return out
    }
    // dual^T [channel][b] times columns [b][a].
    func spread(_ part: CodeShape.Part, columns: [Int], of width: Int, scale: [Double]) -> [Float] {
      let at = s.range(part).lowerBound, m = columns.count
      var out = [Double](repeating: 0, count: n * m), row = [Double](repeating: 0, count: m)
      for j in 0..<q {
        for (k, i) in columns.enumerated() { row[k] = p[at + j * width + i] * scale[k] }
        for c in 0..<n {
          let b = Double(dual[j * n + c])
          for k in 0..<m { out[c * m + k] += b * row[k] }
        }
      }
      return out.map(Float.init)
    }
    func plain(_ part: CodeShape.Part) -> [Float] { p[s.range(part)].map(Float.init) }
    // Columns of norm 1: latents keep their meaning whatever scale training left them in.
    let ones = [Double](repeating: 1, count: max(n, s.before, s.behind, s.latents)), columns = spread(.synthesis, columns: kept, of: s.latents, scale: ones)
    let norms = kept.indices.map { k -> Double in
      let v = (0..<n).reduce(0.0) { $0 + Double(columns[$1 * l + k]) * Double(columns[$1 * l + k]) }.squareRoot()
      return v > 0 ? v : 1
    }
    let less = norms.map { 1 / $0 }, at = (analysis: s.range(.offset).lowerBound, out: s.range(.beforeOut).lowerBound)
    var shape = Autoencoder.Shape(components: s.components, patch: Index3(s.dimensions == 3 ? s.patch : 1, s.patch, s.patch), latents: l)
    var all: [Float] = []
    if s.solve == 0 {
      shape.analysis = .init(width: s.before)
      all += turned(.analysis, rows: kept, scale: norms)
      for (k, i) in kept.enumerated() { all.append(Float(p[at.analysis + i] * norms[k])) }
      if s.before > 0 {
        all += turned(.before, rows: Array(0..<s.before), scale: ones) + plain(.beforeBias)
        for (k, i) in kept.enumerated() { for h in 0..<s.before { all.append(Float(p[at.out + i * s.before + h] * norms[k])) } }
      }
    }
    all += columns.enumerated().map { Float(Double($1) * less[$0 % l]) }
    all += spread(.mean, columns: [0], of: 1, scale: [1])
    if s.behind > 0 {
      shape.synthesis = .init(width: s.behind)
      let at = s.range(.behind).lowerBound
      for h in 0..<s.behind { for (k, i) in kept.enumerated() { all.append(Float(p[at + h * s.latents + i] * less[k])) } }
      all += plain(.behindBias) + spread(.behindOut, columns: Array(0..<s.behind), of: s.behind, scale: ones)
    }
    shape.coding = s.kind == .sparse ? .sparse : o.contexts ? .contextual : .factorized
    shape.bits = o.weightBits
    shape.structure = !costs.isEmpty ? .diagonal : g > 1 ? .groups(g) : .identity
    let first = s.range(.step).lowerBound
    var numbers = Autoencoder.Numbers(
      parameters: all, steps: kept.enumerated().map { Float(exp(p[first + $1]) * (s.solve > 0 ? 1 : norms[$0])) }, magnitudes: kept.map { Float(magnitudes[$0]) })
    numbers.penalties = costs.isEmpty ? [] : kept.map { costs[$0] }
    numbers.threshold = Float(o.threshold)
    guard all.allSatisfy(\.isFinite) else { throw Failure(.inputOutput, "the code's numbers are not finite") }
    let model = Autoencoder(shape, rounding: numbers)

    self.model = model; self.kept = kept
    var flat = s
    (flat.inputs, flat.latents) = (n, l)
    self.shape = flat
    parameters = flat.parameters(of: model)
  }
}

extension CodeShape {
  /// That of a model of one hidden layer at most on either side; its coordinates are the values themselves.
  init(_ a: Autoencoder, dimensions: Int) {
    let s = a.shape
    self.init(
      kind: .variational, components: s.components, dimensions: dimensions, patch: s.patch.x, inputs: s.values, latents: s.latents, before: s.analysis?.width ?? 0, behind: s.synthesis.width)
  }

  /// A model's numbers in the layout of training; of a tied one the transposed synthesis stands for the analysis, unless codes are solved for.
  func parameters(of model: Autoencoder) -> [Float] {
    var out = [Float](repeating: 0, count: parameterCount), next = 0
    let stored = model.numbers.parameters, isTied = model.shape.analysis == nil
    let parts: [Part] = (isTied ? [] : [.analysis, .offset] + (before > 0 ? [.before, .beforeBias, .beforeOut] : [])) + [.synthesis, .mean] + (behind > 0 ? [.behind, .behindBias, .behindOut] : [])
    for part in parts { for i in range(part) {
      out[i] = stored[next]
      next += 1
    } }
    if isTied, solve == 0 {
      let to = range(.analysis).lowerBound, bias = range(.offset).lowerBound, from = range(.synthesis).lowerBound, mean = range(.mean).lowerBound
      for j in 0..<inputs { for i in 0..<latents {
        out[to + i * inputs + j] = out[from + j * latents + i]
        out[bias + i] -= out[from + j * latents + i] * out[mean + j]
      } }
    }
    for (k, i) in range(.step).enumerated() { out[i] = log(model.numbers.steps[k]) }
    return out
  }
}
