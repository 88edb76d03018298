import Codecs
import Fields
import Glibc
import MPI
import Observables
import Reduction
import Statistics

/// Observables of a field and of its coding by the spectral member, from coefficients alone (Parseval).
///
/// For operators that commute with shifts, ||L u||^2 = N sum over k of |L(k) u^(k)|^2 with the symbol of the observable's own stencil: gradients,
/// divergence, vorticity, strain and filters as L2 norms, means of their squares (enstrophy, dissipation, kinetic energy), second moments and structure
/// functions, spectra. What outliers and rounding to the stored type add is not in the coefficients.
struct SpectralObservation {
  /// The original's value (root mean square of several, the value of one), what of the relative L2 error the coefficients tell, and spectra.
  struct Known {
    var size: Double
    var error: Double
    var value: ObservableValue?
  }
  /// By observable; nil: not to be had from coefficients.
  let known: [Known?]
  /// Of each observable with a second-order term: what it makes of change and noise, as a sum of squares over their number.
  let biases: [Double?]

  /// - Parameter pass: its coding is compared; `nil`: the original alone, errors are NaN.
  /// - Parameter order: which component of the field each component of the observables is.
  /// - Parameter all: whether every mode is looked at, else those of `ModeRows`.
  /// - Parameter values: of the original, where at hand.
  /// - Collective: all ranks.
  init(
    _ s: SpectralEncoder, _ pass: SpectralEncoder.Pass, _ observables: [any Observable], values: [ObservableValue?], order: [Int], all: Bool = false, on domain: RankDomain
  ) throws {
    let grid = domain.grid, coordinates = domain.coordinates, count = s.components, forms = ModeForms(grid.shape)
    func form(_ list: [SeparableTerm]) -> ModeForms.Form? { list.isEmpty ? nil : forms.form(list.map { $0.renumbered(order) }, exact: true) }
    let linear = observables.map { o -> ModeForms.Form? in
      guard let l = o as? any SeparableSensitivity else { return nil }
      return form(l.sensitivity(components: count, grid: grid, coordinates: coordinates, scales: [Double](repeating: 1, count: max(Averages.limit, 16))))
    }
    let filters = observables.map { o -> SpectralSymbol? in
      guard let f = o as? SpectralFilter, f.window == .none else { return nil }
      return f.symbol(of: .vector([]), scale: 1, components: count, grid: grid, coordinates: coordinates)
    }
    let responses = zip(observables, values).map { o, v in
      (o as? any NoiseBiased)?.noiseResponse(of: v, components: count, grid: grid, coordinates: coordinates)
    }
    let quadratic = responses.map { r in r.map { $0.forms.map { form($0) } } }
    let sums = try ModeSums(
      s, pass, forms, filters.compactMap { $0 }, spectra: observables.contains { $0 is any ShellBiased }, rows: ModeRows(grid.shape, all: all), on: domain)
    func value(_ f: ModeForms.Form, _ v: [Double]) -> Double { f.reduce(0) { $0 + $1.weight * v[$1.term] } }
    var known = [Known?](repeating: nil, count: observables.count), biases = [Double?](repeating: nil, count: observables.count), filter = 0
    for (j, o) in observables.enumerated() {
      if let f = linear[j] {
        let whole = value(f, sums.original), parts = f.reduce(0) { $0 + abs($1.weight * sums.original[$1.term]) }
        // What cancels between components, such as the divergence of a flow that has none, is left to rounding: the cells tell more.
        if whole > 1e-12 * parts { known[j] = Known(size: whole.squareRoot(), error: (max(0, value(f, sums.noise)) / whole).squareRoot()) }
      } else if filters[j] != nil {
        let (whole, noise) = sums.filtered[filter]
        filter += 1
        known[j] = Known(size: whole.squareRoot(), error: whole > 0 ? (noise / whole).squareRoot() : .nan)
      } else if let r = responses[j], let list = quadratic[j], list.allSatisfy({ $0 != nil }) {
        func each(_ v: [Double]) -> [Double] { list.map { value($0!, v) } }
        let zero = [Double](repeating: 0, count: list.count), shift = max(0, r.meanSquare(each(sums.change), each(sums.noise)))
        biases[j] = shift
        if r.isComplete, o is QuadraticDensity {
          // Its one value is what its forms make of the field itself.
          let size = max(0, r.meanSquare(each(sums.original), zero)).squareRoot()
          known[j] = Known(size: size, error: size > 0 ? shift.squareRoot() / size : .nan)
        } else if r.isComplete {
          var v = each(sums.original)
          if o is Averages { v = zip(order, v).flatMap { [s.settings.means[$0], $1] } }
          let size = (v.reduce(0) { $0 + $1 * $1 } / Double(v.count)).squareRoot()
          known[j] = Known(size: size, error: size > 0 ? shift.squareRoot() / size : .nan)
        }
      } else if let e = o as? EnergySpectrum, let v = e.values(of: sums.shells) {
        let size = (v.reduce(0) { $0 + $1 * $1 } / Double(v.count)).squareRoot()
        let shift = e.meanSquare(of: .vector(v), shellEnergies: sums.shellChange).squareRoot()
        known[j] = Known(size: size, error: size > 0 ? shift / size : .nan, value: .vector(v))
      }
    }
    self.known = known; self.biases = biases
  }
}

/// Sums over the modes of a field, u, of its coding's error, e, and of what the coding has more, exact and so the same for any ranks.
private struct ModeSums {
  /// By term of the forms: u^H T u, e^H T e, (u + e)^H T (u + e) - u^H T u.
  private(set) var original: [Double], noise: [Double], change: [Double]
  /// By filter: of u and e.
  private(set) var filtered: [(original: Double, noise: Double)] = []
  /// Half the mean square in the shells 0 ... highest and the rest: of u, and what the coding has more.
  private(set) var shells: [Double] = [], shellChange: [Double] = []

  /// - Collective: all ranks.
  init(
    _ s: SpectralEncoder, _ pass: SpectralEncoder.Pass, _ forms: ModeForms, _ filters: [SpectralSymbol], spectra: Bool, rows: ModeRows, on domain: RankDomain
  ) throws {
    let box = s.transform.mine, n = box.shape, count = s.components, terms = forms.terms, cells = Double(s.transform.shape.product)
    let squares = wavenumberSquares(domain.grid, domain.coordinates), k = quantiser(step: pass.coding.step, shifts: pass.coding.shifts), modes = s.everything
    let shellCount = spectra ? EnergySpectrum.valueCount(domain.grid, domain.coordinates) : 0, size = 3 * terms.count + 2 * filters.count + 2 * shellCount
    var sums = [ExactSum](repeating: ExactSum(), count: size)
    let row = 2 * n.x
    // Numbers of a row: of the field, of the error, of both with the field once more; products of components; factors.
    let memory = UnsafeMutablePointer<Double>.allocate(capacity: max(1, row * 3 * count + 3 * n.x * count * count + 4 * n.x))
    let integers = RawArray(box: Box(shape: Index3(1, 1, max(1, row))), elementSize: 4), decoded = RawArray(box: integers.box, elementSize: 8)
    defer { memory.deallocate() }
    let u = (0..<count).map { memory + row * $0 }, e = (0..<count).map { memory + row * (count + $0) }, t = (0..<count).map { memory + row * (2 * count + $0) }
    let products = memory + 3 * row * count, factor = products + 3 * n.x * count * count
    let pairs = Set(terms.map { min($0.row, $0.column) * count + max($0.row, $0.column) }).union((0..<count).map { $0 * (count + 1) }).sorted()
    func product(_ kind: Int, _ pair: Int) -> UnsafeMutablePointer<Double> { products + (kind * count * count + pair) * n.x }
    for z in box.lower.z..<max(box.lower.z, box.upper.z) { for y in box.lower.y..<max(box.lower.y, box.upper.y) {
      let w = rows.weight(z, y)
      if w == 0 { continue }
      let at = ((z - box.lower.z) * n.y + y - box.lower.y) * row
      for c in 0..<count {
        integers.pointer.copyMemory(from: pass.integers[c].pointer + 4 * at, byteCount: 4 * row)
        dequantise(integers, k, into: decoded)
        e[c].update(from: decoded.bound(to: Double.self), count: row)
        u[c].update(from: s.coefficients[c].bound(to: Double.self) + at, count: row)
      }
      pass.weights?.divide(modes, z, y, box, e)
      for c in 0..<count { for i in 0..<row { e[c][i] -= u[c][i] } }
      s.frame.unturn(z, y, box, u)
      s.frame.unturn(z, y, box, e)
      for c in 0..<count { for i in 0..<row { t[c][i] = 2 * u[c][i] + e[c][i] } }
      for pair in pairs {
        let a = pair / count, b = pair % count, p = product(0, pair), q = product(1, pair), r = product(2, pair)
        for i in 0..<n.x {
          let x = 2 * i
          p[i] = u[a][x] * u[b][x] + u[a][x + 1] * u[b][x + 1]
          q[i] = e[a][x] * e[b][x] + e[a][x + 1] * e[b][x + 1]
          r[i] = 0.5 * (e[a][x] * t[b][x] + e[a][x + 1] * t[b][x + 1] + (e[b][x] * t[a][x] + e[b][x + 1] * t[a][x + 1]))
        }
      }
      let weights = UnsafeBufferPointer(start: UnsafePointer(factor), count: n.x)
      for (i, term) in terms.enumerated() {
        forms.factors(i, z, y, box.lower.x, times: w, n.x, into: factor)
        let pair = min(term.row, term.column) * count + max(term.row, term.column)
        for kind in 0..<3 { sums[3 * i + kind].addProducts(weights, UnsafeBufferPointer(start: product(kind, pair), count: n.x)) }
      }
      if filters.isEmpty && !spectra { continue }
      let plane = squares[0][abs(z)] + squares[1][abs(y)]
      for i in 0..<n.x {
        let x = box.lower.x + i, kappa = plane + squares[2][x]
        var p = 0.0, q = 0.0, r = 0.0
        for c in 0..<count { let d = c * (count + 1); p += product(0, d)[i]; q += product(1, d)[i]; r += product(2, d)[i] }
        if p == 0 && q == 0 { continue }
        for (f, symbol) in filters.enumerated() {
          let a = w * SpectralBands.factor(symbol, kappa)
          sums[3 * terms.count + 2 * f].add(a * p); sums[3 * terms.count + 2 * f + 1].add(a * q)
        }
        if spectra {
          let b = 3 * terms.count + 2 * filters.count + min(Int(kappa.squareRoot() + 0.5), shellCount - 1)
          sums[b].add(w * p); sums[b + shellCount].add(w * r)
        }
      }
    } }
    let all = try domain.merged(sums).map(\.value), means = s.settings.means
    func zero(_ symbols: [[Double]]) -> Double { symbols.indices.reduce(1) { $0 * symbols[$1][(s.transform.shape[$1] - 1) / 2] } }
    // The mean is no number of the transform; aligned coding may move it.
    let moved = zip(pass.settings.means, means).map { $0 - $1 }
    func added(_ kind: Int, _ a: [Double], _ b: [Double]) -> [Double] {
      terms.indices.map { i in
        let t = terms[i]
        return all[3 * i + kind] + 0.5 * cells * zero(t.symbols) * (a[t.row] * b[t.column] + b[t.row] * a[t.column])
      }
    }
    original = added(0, means, means)
    noise = added(1, moved, moved)
    change = added(2, moved, zip(means, moved).map { 2 * $0 + $1 })
    func square(_ v: [Double]) -> Double { v.reduce(0) { $0 + $1 * $1 } }
    let base = 3 * terms.count
    filtered = filters.indices.map { f in
      let a = cells * SpectralBands.factor(filters[f], 0)
      return (all[base + 2 * f] + a * square(means), all[base + 2 * f + 1] + a * square(moved))
    }
    if spectra {
      let first = base + 2 * filters.count
      shells = (0..<shellCount).map { 0.5 * (all[first + $0] / cells + ($0 == 0 ? square(means) : 0)) }
      shellChange = (0..<shellCount).map { 0.5 * (all[first + shellCount + $0] / cells + ($0 == 0 ? square(pass.settings.means) - square(means) : 0)) }
    }
  }
}

extension SpectralBands {
  /// Of a mode with kappa^2.
  static func factor(_ symbol: SpectralSymbol, _ square: Double) -> Double {
    switch symbol {
    case .function(let f): f(square)
    case .shells(let list): list[min(Int(square.squareRoot() + 0.5), list.count - 1)]
    }
  }
}
