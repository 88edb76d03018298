import Fields
import Observables

/// What rounding with one step does to the latents of each component and band, on average: to second order noise biases means of squares.
struct BandRounding {
  /// Mean of y'^2 - y^2: uniform rounding adds energy where latents are far above the step, and takes it where they round to 0.
  let change: [Double]
  /// Mean of (y' - y)^2.
  let error: [Double]
}

extension BandAlignment {
  /// From the latents of the samples, with the zero bin and shifts of the decoded magnitudes as the encoder takes them.
  ///
  /// - Collective: all ranks.
  func rounding(at point: OperatingPoint) throws -> BandRounding {
    let theta = point.noise, step = (12 * theta).squareRoot(), size = counts.count / components
    var zone = 0.0
    if point.widensZeroBin {
      let active = latents.map { [Double($0.reduce(0) { $0 + $1.values.count { abs($0) >= 0.5 * step } }), Double($0.reduce(0) { $0 + $1.values.count })] }
      let n = try blocks.gathered(active, on: domain).reduce(into: [0.0, 0.0]) { s, list in if !list.isEmpty { s[0] += list[0]; s[1] += list[1] } }
      zone = FieldEncoder.deadZone(active: n[1] > 0 ? n[0] / n[1] : 0, of: Int(values))
    }
    func level(_ y: Double) -> Double { max(0, (abs(y) / step + 0.5 - zone).rounded(.down)) }
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
    // The noise of bands far above the step is known better than samples of it, where these are not all there is.
    let whole = blocks.isWhole && blocks.boxes.count <= BandAlignment.keptSamples
    return BandRounding(
      change: zip(change, n).map { $1 > 0 ? $0 / $1 : 0 },
      error: error.indices.map { n[$0] > 0 && (whole || variances[$0] < 16 * theta) ? error[$0] / n[$0] : min(theta, variances[$0]) })
  }

  /// Square of the relative error that observable j has to second order.
  ///
  /// - Collective: all ranks.
  private func bias(_ j: Int, _ r: BandRounding) throws -> Double {
    let s = sensitivities[j]
    guard s.meanSquare > 0 else { return 0 }
    if let response = s.response {
      func sums(_ v: [Double]) -> [Double] { s.forms.map { f in f.indices.reduce(0) { $0 + counts[$1] * f[$1] * v[$1] } } }
      var change = r.change
      if response.isComplete, case .vector(let v) = s.value, v.count == 1 {
        // Forms are diagonal: products of components, such as those of the vorticity, are left out of them. What is lost of the field itself,
        // rho = -<y e> / <y^2> of a band, has them as the field has; noise has none.
        let diagonal = response.meanSquare(sums(variances), s.forms.map { _ in 0 }).squareRoot(), share = diagonal > 0 ? abs(v[0]) / diagonal : 1
        for i in change.indices where variances[i] > 0 {
          let cross = r.change[i] - r.error[i]
          change[i] = share * cross + (share - 1) * 0.25 * cross * cross / variances[i] + r.error[i]
        }
      }
      return max(0, response.meanSquare(sums(change), sums(r.error))) / s.meanSquare
    }
    guard let o = s.shells, let value = s.value, let tones else { return 0 }
    let size = counts.count / components
    var energy = [Double](repeating: 0, count: size)
    for i in counts.indices { energy[i % size] += counts[i] * r.change[i] }
    let e = try domain.agreed(try tones.shellEnergies(energy, count: EnergySpectrum.valueCount(blocks.grid, domain.coordinates), on: domain))
    return o.meanSquare(of: value, shellEnergies: e) / s.meanSquare
  }

  /// Relative error of observable j: the tangent's and the bias.
  ///
  /// - Collective: all ranks.
  func error(_ j: Int, _ r: BandRounding) throws -> Double {
    var p = try bias(j, r)
    for i in counts.indices { p += counts[i] * sensitivities[j].mean[i] * r.error[i] }
    return p.squareRoot()
  }
}
