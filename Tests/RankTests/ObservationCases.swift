import Codecs
import Fields
import LatentCases
import LatentGeometry
import MPI
import Observables
import Reduction
import Statistics
import Support
import Compressor

/// A number that changes with any bit of a list.
private func digest(_ words: [UInt64]) -> String {
  String(words.enumerated().reduce(UInt64(0)) { $0 &+ SplitMix64.hash($1.element, $1.offset) }, radix: 16)
}
/// - Collective: all ranks.
private func expectSame(_ text: String, _ ranks: borrowing Communicator) throws -> String {
  let all = try ranks.allGather([UInt8](text.utf8))
  try ranks.agree { try expect(all.allSatisfy { $0 == all[0] }, "results differ between ranks") }
  return text
}

/// Values, tangents and adjoints of the whole catalogue as bits; the adjoint identity holds.
func observables(_ ranks: borrowing Communicator) throws -> String {
  var lines: [String] = []
  for c in ObservableCase.all {
    let o = try withRankDomain(c.grid, coordinates: c.coordinates, ranks: ranks) { try c.outcome(on: $0) }
    try ranks.agree { try expect(o.dotError <= o.dotBound, "\(c): dot test \(o.dotError) > \(o.dotBound)") }
    let numbers = (o.differences + o.sizes + o.scales + [o.dotError, o.curvatureError]).map(\.bitPattern)
    lines.append("\(o.specification) \(digest(o.values + o.tangent + o.adjoint.joined() + o.fields.joined() + numbers))")
  }
  return try expectSame(lines.joined(separator: "\n"), ranks)
}

/// Everything matrix-free as bits.
func latentGeometry(_ ranks: borrowing Communicator) throws -> String {
  let numbers = try withRankDomain(LatentCases.grid, ranks: ranks) { domain in
    // Planted overlaps are found.
    for cosines in [[1.0, 1, 1], [0.9, 0.6, 0.3], [0, 0, 0]] {
      let s = try LatentCases.planted(cosines: cosines).sensitivities(on: domain), wanted = cosines.reduce(0) { $0 + $1 * $1 } / 3
      let found = try Comparison(space: s.latents, rank: 3, seed: LatentCases.seed, first: s.distortion, second: s.observable).overlap.value
      try domain.agree { try expect(abs(found - wanted) < 0.01, "overlap \(found), planted \(wanted)") }
    }
    return try LatentCases.digest(on: domain)
  }
  return try expectSame(numbers.map { String($0.bitPattern, radix: 16) }.joined(separator: " "), ranks)
}

/// The codec's own decoder in the matrix-free geometry: adjoint and orthonormal; what it says of an observable is what jobs take from the
/// bands' closed forms.
func lappedCodec(_ ranks: borrowing Communicator) throws -> String {
  var numbers: [Double] = []
  for (shape, edge) in [(Index3(40, 32, 48), 16), (Index3(24, 19, 33), 8)] {
    let grid = Grid(shape: shape, dimensions: 3, periodic: .init(false, shape.y % 16 == 0, shape.x % 16 == 0))
    let found = try withRankDomain(grid, ranks: ranks) { domain -> [Double] in
      let transform = LappedOrthogonalTransform(blockEdge: edge, grid: grid), codec = LappedCodec(transform, components: 3, on: domain)
      let latents = LatentSpace(boxes: codec.latentBoxes, count: codec.latentCount, reducer: domain)
      let values = LatentSpace(boxes: [Box](repeating: domain.box, count: 3), count: 3 * grid.count, reducer: domain)
      let z = latents.gaussians(seed: 5, stream: 1), r = values.gaussians(seed: 5, stream: 2)
      let x = try codec.tangent(latents.parts(z)), y = try codec.adjoint(values.parts(r))
      // <J z, r> = <z, J^T r>; J^T J = I.
      let left = try values.dot(values.flat(x), r), right = try latents.dot(z, latents.flat(y))
      let size = try values.dot(r, r), back = try latents.flat(codec.adjoint(x))
      let lost = try latents.dot(zip(back, z).map { $0 - $1 }, zip(back, z).map { $0 - $1 })
      try domain.agree {
        try expect(abs(left - right) < 1e-13 * size, "dot test: \(left) and \(right)")
        try expect(lost < 1e-28 * size, "J^T J z is not z: \(lost)")
      }

      // The diagonal of G_P by bands, from the whole factor of a short vector.
      let m = edge * edge * edge, bands = (0..<3).map { BandWeights.bands(transform, axis: $0) }
      func band(_ c: Int, _ i: Index3) -> Int { c * m + (bands[0][i.z] * edge + bands[1][i.y]) * edge + bands[2][i.x] }
      let places = latents.vector { Double(band($0, $1)) }.map { Int($0) }
      let counts = try domain.merged(IntegerSums(places.reduce(into: [Int](repeating: 0, count: 3 * m)) { $0[$1] += 1 })).values
      let u = values.parts(values.gaussians(seed: 6, stream: 1)), forms = BandForms(transform)
      let box = try ObservableCatalogue().observable("box(size=16)")
      let s = try Sensitivities(codec: codec, observable: box, field: u, domain: domain)
      var sums = [ExactSum](repeating: ExactSum(), count: 3 * m)
      for v in try s.factor() { for (k, g) in zip(places, v) where g != 0 { sums[k].add(g * g) } }
      let exact = try domain.merged(sums).map(\.value), value = try box.value(of: u, on: domain)
      let closed = forms.sensitivities(box as! any SeparableSensitivity, components: 3, coordinates: .unit, scales: try box.scales(of: value, on: domain))!.flatMap { $0 }
      let top = zip(exact, counts).reduce(0) { max($0, $1.1 > 0 ? $1.0 / Double($1.1) : 0) }
      try domain.agree {
        for b in counts.indices where counts[b] > 0 {
          try expect(abs(exact[b] / Double(counts[b]) - closed[b]) < 1e-10 * top, "band \(b): \(exact[b] / Double(counts[b])), closed form \(closed[b])")
        }
      }

      // Of a field: z^T G_P z of random signs in one band after the other.
      let vorticity = try ObservableCatalogue().observable("vorticity"), field = try Sensitivities(codec: codec, observable: vorticity, field: u, domain: domain)
      let g = forms.sensitivities(
        vorticity as! any SeparableSensitivity, components: 3, coordinates: .unit, scales: try vorticity.scales(of: vorticity.value(of: u, on: domain), on: domain))!.flatMap { $0 }
      var out = [left, right] + exact.enumerated().filter { $0.offset % 97 == 0 }.map(\.element)
      for b in [1, edge / 2, m / 2 + 3, m - 1, m + 2 * edge, 3 * m - 2] where counts[b] > 0 {
        let z = zip(places, latents.signs(seed: 7, stream: UInt64(b))).map { $0 == b ? $1 : 0 }, energy = try latents.dot(z, field.observable(z))
        try domain.agree { try expect(abs(energy / (Double(counts[b]) * g[b]) - 1) < 0.35, "band \(b): \(energy), closed form \(Double(counts[b]) * g[b])") }
        out.append(energy)
      }
      // The pencil's trace by probes on the real decoder is that of the bands.
      let total = zip(g, counts).reduce(0) { $0 + $1.0 * Double($1.1) }
      let traces = try field.pencil(distortionScale: 1 / Double(codec.latentCount)).traces(probes: 3, seed: 3)
      out += traces.first
      let trace = traces.first.reduce(0, +) / Double(traces.first.count) / Double(codec.latentCount)
      try domain.agree { try expect(abs(trace / total - 1) < 0.05, "trace \(trace), bands \(total)") }
      return out
    }
    numbers += found
  }
  return try expectSame(numbers.map { String($0.bitPattern, radix: 16) }.joined(separator: " "), ranks)
}

/// The learned decoder in the matrix-free geometry: its adjoint, that it is the transform's for a network that does nothing, and what its derivative
/// says of two corrections near each other; the same bits on any ranks.
func networkCodec(_ ranks: borrowing Communicator) throws -> String {
  var numbers: [Double] = []
  for (shape, patch, blocks) in [(Index3(40, 32, 48), 2, 1), (Index3(24, 19, 33), 1, 0)] {
    let grid = Grid(shape: shape, dimensions: 3, periodic: .init(false, shape.y % 2 == 0, shape.x % 2 == 0))
    let form = Network.Shape(components: 2, dimensions: 3, patch: patch, width: 8, blocks: blocks)
    func network(_ size: Float) -> Network {
      Network(form, rounding: (0..<form.parameterCount).map { size * (Float(SplitMix64.hash(3, $0) >> 40) * 0x1p-23 - 1) })
    }
    numbers += try withRankDomain(grid, ranks: ranks) { domain -> [Double] in
      let lapped = LappedCodec(LappedOrthogonalTransform(blockEdge: 16, grid: grid), components: 2, on: domain)
      let latents = LatentSpace(boxes: lapped.latentBoxes, count: lapped.latentCount, reducer: domain)
      let values = LatentSpace(boxes: [Box](repeating: domain.box, count: 2), count: 2 * grid.count, reducer: domain)
      let w = values.parts(values.gaussians(seed: 9, stream: 1)), z = latents.gaussians(seed: 5, stream: 1), r = values.gaussians(seed: 5, stream: 2)
      let codec = NetworkCodec(lapped, try NetworkCorrection(network(0.05), decoded: w, unit: 0.5, on: domain))
      let x = try values.flat(codec.tangent(latents.parts(z))), y = try latents.flat(codec.adjoint(values.parts(r)))
      let left = try values.dot(x, r), right = try latents.dot(z, y), size = try values.dot(r, r)
      // Against the difference of two corrections.
      let h = 1e-4, direction = try values.flat(lapped.tangent(latents.parts(z)))
      func corrected(_ by: Double) throws -> [Double] {
        let moved = zip(values.flat(w), direction).map { $0 + by * $1 }
        return values.flat(try NetworkCorrection(network(0.05), decoded: values.parts(moved), unit: 0.5, on: domain).corrected)
      }
      let slopes = zip(try corrected(h), try corrected(-h)).map { ($0 - $1) / (2 * h) }, off = zip(slopes, x).map { $0 - $1 }
      let error = try values.dot(off, off), length = try values.dot(x, x)
      let idle = NetworkCodec(lapped, try NetworkCorrection(network(0), decoded: w, unit: 0.5, on: domain))
      let same = zip(try values.flat(idle.tangent(latents.parts(z))), direction).map { $0 - $1 }
      let none = try values.dot(same, same), learned = zip(x, direction).map { $0 - $1 }, share = try values.dot(learned, learned)
      try domain.agree {
        try expect(abs(left - right) < 1e-6 * size, "dot test: \(left) and \(right)")
        try expect(error < 1e-4 * length, "the tangent is off by \((error / length).squareRoot())")
        try expect(none == 0 && share > 1e-3 * length, "a network that does nothing: \(none); one that does: \(share)")
      }
      return [left, right, error]
    }
  }
  return try expectSame(numbers.map { String($0.bitPattern, radix: 16) }.joined(separator: " "), ranks)
}
