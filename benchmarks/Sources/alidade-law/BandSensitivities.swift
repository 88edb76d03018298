import Fields
import Foundation
import LatentGeometry
import Observables

/// What each band of a transform feels: the mean diagonals of N G_D and N G_P over its latents, and their number.
struct BandSensitivities {
  let counts: [Int]
  let distortion: [Double]
  let observable: [Double]
  /// How `observable` was had.
  enum Source: String { case closedForm = "closed form", fourier = "Fourier", factor, probes }
  let source: Source

  /// Closed form where the observable has one, in space or by wavenumber; else the whole factor of a short vector; else random probes.
  init(_ observable: any Observable, _ codec: TransformCodec, _ snapshot: Snapshot, members: [Int32], probes: Int = 8, seed: UInt64 = 1) throws {
    let n = Double(codec.latentCount), bands = codec.bandCount
    var counts = [Int](repeating: 0, count: bands)
    for b in members { counts[Int(b)] += 1 }
    self.counts = counts
    let norms = codec.means { $1.reduce(0) { $0 + $1 * $1 } }
    distortion = (0..<codec.components).flatMap { _ in norms }
    let scales = try observable.scales(of: observable.value(of: snapshot.values, on: snapshot.domain), on: snapshot.domain)
    let terms = (observable as? any SeparableSensitivity)?.sensitivity(
      components: codec.components, grid: codec.grid, coordinates: snapshot.domain.coordinates, scales: scales) ?? []
    var g = [Double](repeating: 0, count: bands)
    if !terms.isEmpty {
      source = .closedForm
      for t in terms where t.row == t.column {
        let p = codec.means { t.axes[$0].form($1, $1, start: 0) }
        for (k, v) in p.enumerated() { g[t.row * p.count + k] += t.weight * v }
      }
    } else if observable is SpectralFilter {
      source = .fourier
      let p = try BandSensitivities.filtered(observable, codec, snapshot)
      for c in 0..<codec.components { for (k, v) in p.enumerated() { g[c * p.count + k] = v / (n * scales[c] * scales[c]) } }
    } else {
      let s = try Sensitivities(codec: codec, observable: observable, field: snapshot.values, domain: snapshot.domain)
      if s.isVector {
        source = .factor
        for v in try s.factor() { for (i, x) in v.enumerated() { g[Int(members[i])] += x * x } }
        for b in g.indices where counts[b] > 0 { g[b] /= Double(counts[b]) }
      } else {
        source = .probes
        let (means, _) = try s.latents.groupDiagonals(groups: bands, probes: probes, seed: seed, of: codec.band, operator: s.observable)
        for b in g.indices { g[b] = means.reduce(0) { $0 + $1[b] } / Double(probes) }
      }
    }
    self.observable = g.map { max(0, n * $0) }
  }

  /// |f phi|^2 for a filter f of a periodic grid, averaged over each band of one component: sum over k of f(k)^2 |phi(k)|^2 / N, where phi
  /// is a product over the axes.
  private static func filtered(_ f: any Observable, _ codec: TransformCodec, _ snapshot: Snapshot) throws -> [Double] {
    let grid = codec.grid, s = grid.shape, half = s.x / 2 + 1
    var impulse = snapshot.values.map { FieldPart($0.box) }
    impulse[0].values[0] = 1
    guard case .field(let response) = try f.value(of: impulse, on: snapshot.domain) else { preconditionFailure("a filter gives a field") }
    let symbol = try snapshot.domain.transformed([response[0]])[0].values
    var sum = (0..<s.product / s.x * half).map { i -> Double in
      let k = i % half, both = k == 0 || 2 * k == s.x ? 1.0 : 2
      return both * (symbol[2 * i] * symbol[2 * i] + symbol[2 * i + 1] * symbol[2 * i + 1]) / Double(grid.count)
    }
    // Contracted one axis after the other: [z, y, kx] -> [class x, z, y] -> ...
    var extents = [s.z, s.y, half]
    for axis in [2, 1, 0] {
      let power = codec.powers(axis: axis), n = extents[axis], rows = sum.count / n
      var next = [Double](repeating: 0, count: power.count * rows)
      for (c, p) in power.enumerated() { for r in 0..<rows { for k in 0..<n { next[c * rows + r] += p[k] * sum[r * n + k] } } }
      sum = next
      extents[axis] = power.count
    }
    let counts = (0..<3).map { extents[$0] }
    return codec.triples.map { t in sum[(t[0] * counts[1] + t[1]) * counts[2] + t[2]] }
  }

  /// With the variances of the coefficients: what the law is computed from.
  func spectrum(variances: [Double]) -> BandSpectrum {
    BandSpectrum(counts.indices.filter { counts[$0] > 0 }.map { b in
      .init(sensitivity: observable[b] / distortion[b], count: Double(counts[b]), variance: distortion[b] * variances[b])
    })
  }
  /// The same with latents of different activity apart: quiet places of a band are not coded where others are.
  func spectrum(_ q: Quantiser, activity: [Int]) -> BandSpectrum {
    let classes = activity.max()! + 1
    var squares = [Double](repeating: 0, count: counts.count * classes), n = squares
    for i in activity.indices {
      let k = Int(q.members[i]) * classes + activity[i]
      squares[k] += q.coefficients[i] * q.coefficients[i]
      n[k] += 1
    }
    // Alike ones together, within an eighth of a neper: the law is a sum over thousands of logarithms otherwise.
    struct Key: Hashable { let sensitivity: Int, variance: Int }
    func place(_ v: Double) -> Int { v > 0 ? Int((8 * log(v)).rounded()) : .min }
    var groups: [Key: BandSpectrum.Band] = [:]
    for k in n.indices where n[k] > 0 {
      let b = k / classes, g = observable[b] / distortion[b], v = distortion[b] * squares[k] / n[k]
      let key = Key(sensitivity: place(g), variance: place(v)), old = groups[key] ?? .init(sensitivity: 0, count: 0, variance: 0), m = old.count + n[k]
      groups[key] = .init(sensitivity: (old.count * old.sensitivity + n[k] * g) / m, count: m, variance: (old.count * old.variance + n[k] * v) / m)
    }
    return BandSpectrum(groups.sorted { ($0.key.sensitivity, $0.key.variance) < ($1.key.sensitivity, $1.key.variance) }.map(\.value))
  }
  /// Factors on the coefficients before a common step: steps are ~ (G_D + lambda G_P)^-1/2.
  func factors(weight: Double) -> [Double] {
    zip(distortion, observable).map { ($0 + weight * $1).squareRoot() }
  }
}
