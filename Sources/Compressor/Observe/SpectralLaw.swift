import Codecs
import Fields
import LatentGeometry
import MPI
import Observables
import Reduction
import Statistics

/// The law for a field that the spectral member codes: sensitivities and variances of shells, and what its coding does to each observable.
struct SpectralLaw {
  let bands: SpectralBands
  /// Noise variance of an active number.
  let noise: Double
  /// By observable: root mean square of the values, or the value where it is one.
  let sizes: [Double]
  /// Relative errors: from the coefficients where they tell, else noise of shells times sensitivities, and the second order.
  let predictions: [Double]

  /// - Parameter source: with components in the order of the observables.
  /// - Parameter order: which component of the encoder each of those is.
  /// - Parameter samples: boxes for observables without closed forms.
  /// - Collective: all ranks.
  init(
    _ s: SpectralEncoder, _ pass: SpectralEncoder.Pass, _ subjects: [BandAlignment.Subject], _ source: FieldSource, order: [Int], samples: Int,
    original: () throws -> FieldParts, on domain: RankDomain, ranks: borrowing Communicator
  ) throws {
    let grid = domain.grid, coordinates = domain.coordinates, components = source.components, edge = 16
    let seen = try SpectralObservation(s, pass, subjects.map(\.observable), values: subjects.map(\.value), order: order, on: domain)
    var squares = subjects.indices.map { j in subjects[j].meanSquare ?? seen.known[j].map { $0.size * $0.size } }
    let forms = ModeForms(grid.shape)
    var sources = [SpectralBands.Source?](repeating: nil, count: subjects.count)
    for (j, subject) in subjects.enumerated() {
      // The scale divides sensitivities; where it is not known yet it comes with the samples.
      let scale = (squares[j].map { $0 > 0 ? $0 : 1 } ?? 1).squareRoot()
      if let o = subject.observable as? any SeparableSensitivity {
        let list = o.sensitivity(components: components, grid: grid, coordinates: coordinates, scales: [Double](repeating: scale, count: max(Averages.limit, 16)))
        if !list.isEmpty, forms.form(list, exact: false) != nil { sources[j] = .form(list) }
      } else if let o = subject.observable as? any SpectralSensitivity, let known = seen.known[j] {
        sources[j] = .symbol(o.symbol(of: known.value ?? .vector([]), scale: scale, components: components, grid: grid, coordinates: coordinates))
      }
    }
    let rest = subjects.indices.filter { sources[$0] == nil || squares[$0] == nil }
    if !rest.isEmpty {
      let blocks = SampledBlocks(LappedOrthogonalTransform(blockEdge: edge, grid: grid), count: samples, ranks: ranks)
      let a = try BandAlignment(rest.map { subjects[$0] }, source, blocks, original: original, on: domain, ranks: ranks)
      for (i, j) in rest.enumerated() {
        squares[j] = a.sensitivities[i].meanSquare
        sources[j] = .bands(a.sensitivities[i].mean, edge: edge)
      }
    }
    let bands = try SpectralBands(s, sources.map { $0! }, order: order, on: domain), errors = try s.shellErrors(pass.coding.step, rows: ModeRows(s.transform.shape), ranks: ranks)
    self.bands = bands
    noise = pass.coding.step * pass.coding.step / 12
    sizes = squares.map { ($0 ?? 0).squareRoot() }
    predictions = subjects.indices.map { j in
      if let known = seen.known[j], known.error.isFinite { return known.error }
      var p = squares[j].map { $0 > 0 ? (seen.biases[j] ?? 0) / $0 : 0 } ?? 0
      let g = bands.sensitivity(j).mean
      for c in 0..<bands.components {
        for k in 0..<bands.shells {
          let i = c * bands.shells + k
          p += g[i] * errors.error(i, pass.coding.shifts) * (pass.weights?.inverseSquare(component: c, shell: k) ?? 1)
        }
      }
      return p.squareRoot()
    }
  }
}
