import CKernels
import Codecs
import Fields
import LatentGeometry
import MPI
import Observables
import Reduction
import Statistics

/// Observables seen from the modes of the spectral member: their sensitivities per component of its basis and shell, and the modes' variances.
///
/// The numbers of a mode are unitary, so G_D = I/(C N). Observables that commute with shifts have the exact symbol of their stencil at every mode;
/// of averages over boxes the diagonal is taken, in closed form too. Those that are neither take what samples say of the bands of a lapped
/// transform, each at the mode in its middle. Nothing here is probed on modes.
struct SpectralBands: BandStatistics {
  let components: Int, shells: Int
  private let sensitivities: [[Double]]
  let variances: [Double], sampled: [[Double]], counts: [Double], sampledCounts: [[Double]], values: Double

  func sensitivity(_ j: Int) -> (mean: [Double], samples: [[Double]]) { (sensitivities[j], []) }

  /// What an observable multiplies the numbers of a mode with.
  enum Source {
    case form([SeparableTerm])
    case symbol(SpectralSymbol)
    /// By component as observables number them, and band of a lapped transform of that block edge.
    case bands([Double], edge: Int)
  }

  /// Samples that rows of modes are dealt to.
  private static let groups = 8

  /// - Parameter order: which component of the field each component of the observables is.
  /// - Collective: all ranks.
  init(_ s: SpectralEncoder, _ sources: [Source], order: [Int], on domain: RankDomain) throws {
    let shape = s.transform.shape, shells = s.shells, components = s.components, modes = s.everything, rows = ModeRows(shape), bands = components * shells
    self.components = components; self.shells = shells
    values = Double(components * shape.product)
    // Variances, of this rank's modes.
    var sums = [ExactSum](repeating: ExactSum(), count: bands * SpectralBands.groups), n = [Int](repeating: 0, count: shells * SpectralBands.groups)
    let box = s.transform.mine, width = box.shape.x
    var shell = [Int32](repeating: 0, count: max(1, width))
    for z in box.lower.z..<max(box.lower.z, box.upper.z) { for y in box.lower.y..<max(box.lower.y, box.upper.y) {
      let w = rows.weight(z, y), group = (3 * z + 5 * y) & (SpectralBands.groups - 1)
      if w == 0 { continue }
      let at = ((z - box.lower.z) * box.shape.y + y - box.lower.y) * width * 2
      let kept = modes.range(box, z, y)
      shell.withUnsafeMutableBufferPointer { modes.shells(z, y, box.lower.x + kept.lowerBound, kept.count, highest: shells - 1, into: $0.baseAddress! + kept.lowerBound) }
      for x in kept {
        let b = Int(shell[x]) * SpectralBands.groups + group
        n[b] += 2 * Int(w)
        for c in 0..<components {
          let p = s.coefficients[c].bound(to: Double.self) + at + 2 * x
          sums[c * shells * SpectralBands.groups + b].add(w * (p[0] * p[0] + p[1] * p[1]))
        }
      }
    } }
    let energy = try domain.merged(sums).map(\.value), number = try domain.merged(IntegerSums(n)).values
    func energies(_ i: Int, _ g: Int) -> Double { energy[i * SpectralBands.groups + g] }
    func numbers(_ i: Int, _ g: Int) -> Double { Double(number[(i % shells) * SpectralBands.groups + g]) }
    func quotient(_ a: Double, _ b: Double) -> Double { b > 0 ? a / b : 0 }
    let all = 0..<SpectralBands.groups
    counts = (0..<bands).map { i in all.reduce(0) { $0 + numbers(i, $1) } }
    variances = (0..<bands).map { i in quotient(all.reduce(0) { $0 + energies(i, $1) }, all.reduce(0) { $0 + numbers(i, $1) }) }
    sampledCounts = all.map { g in (0..<bands).map { numbers($0, g) } }
    sampled = all.map { g in (0..<bands).map { quotient(energies($0, g), numbers($0, g)) } }
    sensitivities = try SpectralBands.sensitivities(s, sources, order, rows, counts, on: domain)
  }

  /// Means over the modes of shells of e_i^H A e_i, e_i the vectors of the basis; planes of k_z are dealt to the ranks.
  ///
  /// - Collective: all ranks.
  private static func sensitivities(_ s: SpectralEncoder, _ sources: [Source], _ order: [Int], _ rows: ModeRows, _ counts: [Double], on domain: RankDomain) throws -> [[Double]] {
    let shape = s.transform.shape, all = SpectralModes.all(shape), shells = s.shells, components = s.components, modes = s.everything, nx = all.shape.x
    let forms = ModeForms(shape), squares = wavenumberSquares(domain.grid, domain.coordinates)
    let made = sources.map { source -> ModeForms.Form? in
      if case .form(let list) = source { return forms.form(list.map { $0.renumbered(order) }, exact: false) }
      return nil
    }
    let size = sources.count * components * shells
    var sums = [ExactSum](repeating: ExactSum(), count: size)
    let memory = UnsafeMutablePointer<Double>.allocate(capacity: nx * (2 * components + components * components + 2))
    defer { memory.deallocate() }
    let vectors = (0..<components).map { memory + 2 * nx * $0 }, products = memory + 2 * nx * components
    let factors = products + nx * components * components, g = factors + nx
    var shell = [Int32](repeating: 0, count: nx)
    for z in all.lower.z..<all.upper.z where (z - all.lower.z) % domain.boxes.count == domain.rank {
      var plane = [Double](repeating: 0, count: size)
      for y in all.lower.y..<all.upper.y {
        let w = rows.weight(z, y)
        if w == 0 { continue }
        let kept = modes.range(all, z, y)
        shell.withUnsafeMutableBufferPointer { modes.shells(z, y, kept.lowerBound, kept.count, highest: shells - 1, into: $0.baseAddress! + kept.lowerBound) }
        for i in 0..<components {
          for c in 0..<components { for x in 0..<nx { vectors[c][2 * x] = c == i ? 1 : 0; vectors[c][2 * x + 1] = 0 } }
          s.frame.unturn(z, y, all, vectors)
          for r in 0..<components { for c in r..<components {
            let p = products + (r * components + c) * nx, a = vectors[r], b = vectors[c]
            for x in 0..<nx { p[x] = a[2 * x] * b[2 * x] + a[2 * x + 1] * b[2 * x + 1] }
          } }
          for j in sources.indices {
            for x in kept { g[x] = 0 }
            switch sources[j] {
            case .form:
              for (t, weight) in made[j] ?? [] {
                let term = forms.terms[t], p = products + (min(term.row, term.column) * components + max(term.row, term.column)) * nx
                forms.factors(t, z, y, 0, times: weight, nx, into: factors)
                for x in kept { g[x] += factors[x] * p[x] }
              }
            case .symbol(let a):
              let row = squares[0][abs(z)] + squares[1][abs(y)]
              for x in kept { g[x] = factor(a, row + squares[2][x]) }
            case .bands(let list, let m):
              func band(_ j: Int, _ n: Int) -> Int { n == 1 ? 0 : min(m - 1, abs(j) * 2 * m / n) }
              let row = (band(z, shape.z) * m + band(y, shape.y)) * m
              for letter in 0..<components {
                let p = products + order[letter] * (components + 1) * nx, from = letter * m * m * m + row
                for x in kept { g[x] += p[x] * list[from + band(x, shape.x)] }
              }
            }
            let to = (j * components + i) * shells
            for x in kept { plane[to + Int(shell[x])] += w * g[x] }
          }
        }
      }
      for i in plane.indices where plane[i] != 0 { sums[i].add(plane[i]) }
    }
    let merged = try domain.merged(sums).map(\.value), bands = components * shells
    return sources.indices.map { j in
      // Two numbers a mode.
      (0..<bands).map { i in counts[i] > 0 ? max(0, 2 * merged[j * bands + i] / counts[i]) : 0 }
    }
  }
}
