import Fields
import Observables

/// What rounding with one step does to the latents of each component and band, on average: to second order noise biases means of squares.
struct BandRounding {
  /// Variance of the noise of an active latent, step^2/12.
  let noise: Double
  /// Mean of y'^2 - y^2: uniform rounding adds energy where latents are far above the step, and takes it where they round to 0.
  let change: [Double]
  /// Mean of (y' - y)^2.
  let error: [Double]
}

extension BandAlignment {
  /// From the latents of the samples, with shifts of the decoded magnitudes as the encoder takes them.
  ///
  /// - Collective: all ranks.
  func rounding(noise theta: Double) throws -> BandRounding {
    let step = (12 * theta).squareRoot(), size = counts.count / components
    func level(_ y: Double) -> Double { (abs(y) / step + 0.5).rounded(.down) }
    // |y|/step - |q| of levels 1, 2, 3 and above: how many, and their sum.
    let levels = latents.map { parts in
      var n = [Double](repeating: 0, count: 6)
      for p in parts { for y in p.values {
        let q = level(y)
        if q > 0 { let k = 2 * (min(Int(min(q, 3)), 3) - 1); n[k] += 1; n[k + 1] += abs(y) / step - q }
      } }
      return n
    }
    var sums = [Double](repeating: 0, count: 6)
    for list in try blocks.gathered(levels, on: domain) where !list.isEmpty { for i in 0..<6 { sums[i] += list[i] } }
    let shift = [0] + (0..<3).map { k in sums[2 * k] > 0 ? min(max((-sums[2 * k + 1] / sums[2 * k] * 256).rounded(), 0), 120) / 256 : 0 }
    let changes = zip(blocks.mine, latents).map { i, parts in
      parts.indices.flatMap { c -> [Double] in
        var change = [Double](repeating: 0, count: size), error = change
        blocks.eachBand(of: i) { at, band in
          let y = abs(parts[c].values[at]), q = level(y), decoded = (q - shift[min(Int(min(q, 3)), 3)]) * step
          change[band] += decoded * decoded - y * y
          error[band] += (decoded - y) * (decoded - y)
        }
        return change + error
      }
    }
    var change = [Double](repeating: 0, count: counts.count), error = change, n = change
    for (t, list) in try blocks.gathered(changes, on: domain).enumerated() where !list.isEmpty {
      for c in 0..<components { for b in 0..<size {
        let i = c * size + b
        change[i] += list[2 * c * size + b]; error[i] += list[(2 * c + 1) * size + b]; n[i] += sampledCounts[t][i]
      } }
    }
    func mean(_ s: [Double]) -> [Double] { zip(s, n).map { $1 > 0 ? $0 / $1 : 0 } }
    return BandRounding(noise: theta, change: mean(change), error: mean(error))
  }

  /// Square of the relative error that observable j has to second order.
  ///
  /// - Collective: all ranks.
  private func bias(_ j: Int, _ r: BandRounding) throws -> Double {
    let s = sensitivities[j]
    guard s.meanSquare > 0 else { return 0 }
    if let response = s.response {
      func sums(_ v: [Double]) -> [Double] { s.forms.map { f in f.indices.reduce(0) { $0 + counts[$1] * f[$1] * v[$1] } } }
      return max(0, response.meanSquare(sums(r.change), sums(r.error))) / s.meanSquare
    }
    guard let o = s.shells, let value = s.value, let tones else { return 0 }
    let size = counts.count / components
    var energy = [Double](repeating: 0, count: size)
    for i in counts.indices { energy[i % size] += counts[i] * r.change[i] }
    let e = try domain.agreed(try tones.shellEnergies(energy, count: EnergySpectrum.valueCount(blocks.grid, domain.coordinates), on: domain))
    return o.meanSquare(of: value, shellEnergies: e) / s.meanSquare
  }

  /// Relative error of observable j: the tangent's, every coefficient having noise of variance min(theta, its variance), and the bias.
  ///
  /// - Collective: all ranks.
  func error(_ j: Int, _ r: BandRounding) throws -> Double {
    var p = try bias(j, r)
    for i in counts.indices { p += counts[i] * sensitivities[j].mean[i] * min(r.noise, variances[i]) }
    return p.squareRoot()
  }
}
