import CKernels
import Fields
import Statistics

/// What can be put right in a decoded field from a few numbers of the original.
public enum RestorationKind: String, Sendable, Hashable, CaseIterable {
  /// The mean of each component, and with it every total.
  case totals
  /// The energy of each shell of wavenumbers.
  case spectrum
  /// div u = 0.
  case divergence
  /// Nothing above the highest wavenumbers of the original.
  case band
}

/// A decoded field put right: band limit, solenoidal projection, energies of the shells, then the means.
///
///     u^(k) <- 0 beyond the limits;  u^ <- u^ - k (k . u^) / |k|^2;  u^ <- g_b u^ in shell b;  u <- u + (mean* - mean)
///
/// All but the means need a grid that wraps along every axis, uniform spacing and no missing values. Shells are those of
/// `EnergySpectrum` and then the rest; the gains of a shell are the same for all components, so they keep div u = 0.
/// - Source: THEORY 3.5; the projection is Leray's.
package struct FieldRestoration: Equatable, Sendable {
  /// The derivative under which a field is solenoidal: i k, or that of centred differences, i sin(k h) / h.
  package enum Derivative: UInt8, Sendable, CaseIterable { case exact = 1, centred = 2 }

  /// One per component; empty: untouched.
  package var means: [Double] = []
  /// Highest |index| along each storage axis and highest shell; empty: none.
  package var limits: [Int] = []
  package var derivative: Derivative?
  /// Per shell, then the rest; empty: none.
  package var gains: [Float] = []
  /// Which component belongs to each storage axis that has more than one cell, axis 0 first.
  package var componentOfAxis: [Int] = []

  package init() {}
  package var isEmpty: Bool { means.isEmpty && !isSpectral }
  package var isSpectral: Bool { !limits.isEmpty || derivative != nil || !gains.isEmpty }
  package var kinds: [RestorationKind] {
    RestorationKind.allCases.filter {
      switch $0 {
      case .totals: !means.isEmpty
      case .spectrum: !gains.isEmpty
      case .divergence: derivative != nil
      case .band: !limits.isEmpty
      }
    }
  }

  // MARK: finding it

  /// Which of `kinds` the original allows: everything but the gains, and why the others do not.
  ///
  /// - Parameter precision: of the stored type, relative; what is smaller is rounding.
  /// - Parameter components: of each storage axis of more than one cell; empty where the field is no vector.
  /// - Collective: all participants.
  package init(
    of original: FieldParts, kinds: Set<RestorationKind>, componentOfAxis components: [Int], precision: Double, on domain: any Domain
  ) throws {
    componentOfAxis = components
    if kinds.contains(.totals) { means = try FieldRestoration.means(original, domain) }
    guard !kinds.isDisjoint(with: [.spectrum, .divergence, .band]) else { return }
    try Window.none.check("restoration", domain.grid, domain.coordinates)
    guard try domain.merged(IntegerSums([original.contains { $0.values.contains { !$0.isFinite } } ? 1 : 0])).values[0] == 0 else {
      throw ObservableError("restoration needs a field without missing values")
    }
    let spectra = try domain.transformed(original)
    if kinds.contains(.band) { limits = try FieldRestoration.limits(spectra, precision: precision, domain) }
    if kinds.contains(.divergence) { derivative = try solenoidal(spectra, domain) }
    // Until they are known; the number is what matters for the size of the stream.
    if kinds.contains(.spectrum) { gains = [Float](repeating: 1, count: EnergySpectrum.valueCount(domain.grid, domain.coordinates)) }
  }

  /// Takes the gains from the decoded field: sqrt(E / E^) after limits and projection; 1 where there is nothing to scale.
  ///
  /// - Collective: all participants.
  package mutating func setGains(original: FieldParts, decoded: FieldParts, on domain: any Domain) throws {
    if gains.isEmpty { return }
    let sums = ShellSums(shells: nil, window: .none, on: domain)
    func energies(_ s: [SpectralPart]) throws -> [Double] { try sums.sums(s.map { ($0, $0) }, on: domain) }
    let wanted = try energies(try domain.transformed(original))
    var spectra = try domain.transformed(decoded)
    limitAndProject(&spectra, domain)
    gains = zip(wanted, try energies(spectra)).map { $1 > 0 ? Float(($0 / $1).squareRoot()) : 1 }
  }

  private static func means(_ u: FieldParts, _ domain: any Domain) throws -> [Double] {
    var sums: [ExactSum] = [], counts: [Int] = []
    for p in u {
      var sum = ExactSum(), n = 0
      for v in p.values where v.isFinite { sum.add(v); n += 1 }
      sums.append(sum); counts.append(n)
    }
    let n = try domain.merged(IntegerSums(counts)).values
    return zip(try domain.sums(sums), n).map { $1 > 0 ? $0 / Double($1) : 0 }
  }

  /// The smallest box of indices and the lowest shell beyond which the mean square is at most (2 precision rms)^2.
  private static func limits(_ spectra: [SpectralPart], precision: Double, _ domain: any Domain) throws -> [Int] {
    let waves = Wavenumbers(domain.grid, domain.coordinates), n = domain.grid.shape
    let counts = (0..<3).map { n[$0] / 2 + 1 } + [waves.highest + 2]
    let starts = counts.indices.map { counts[..<$0].reduce(0, +) }
    var energy = [ExactSum](repeating: ExactSum(), count: counts.reduce(0, +))
    for s in spectra {
      var at = 0
      waves.each(in: s.box) { i, square, weight in
        let place = FieldRestoration.place(at, s.box)
        at += 1
        let e = weight * (s.values[2 * i] * s.values[2 * i] + s.values[2 * i + 1] * s.values[2 * i + 1])
        for a in 0..<3 { energy[starts[a] + min(place[a], n[a] - place[a])].add(e) }
        energy[starts[3] + min(Wavenumbers.shell(square), waves.highest + 1)].add(e)
      }
    }
    let e = try domain.sums(energy)
    let allowed = 4 * precision * precision * e[0..<counts[0]].reduce(0, +)
    return counts.indices.map { g in
      var tail = 0.0, k = counts[g] - 1
      while k > 0 && tail + e[starts[g] + k] <= allowed { tail += e[starts[g] + k]; k -= 1 }
      return k
    }
  }

  /// The derivative under which the original is solenoidal: |div u| is at most 1e-3 of |k| |u|, and the smaller of the two.
  private func solenoidal(_ spectra: [SpectralPart], _ domain: any Domain) throws -> Derivative {
    guard componentOfAxis.count == spectra.count, !componentOfAxis.isEmpty else {
      throw ObservableError("restoration of the divergence needs a vector with one component per axis")
    }
    var found: (Derivative, Double)?
    for d in Derivative.allCases {
      let waves = waveVectors(d, domain)
      var divergence = ExactSum(), all = ExactSum()
      FieldRestoration.each(spectra[0].box) { i, at in
        var re = 0.0, im = 0.0, square = 0.0, u = 0.0
        for (j, a) in axes(domain).enumerated() {
          let k = waves[a][at[a]], s = spectra[componentOfAxis[j]]
          re += k * s.values[2 * i]; im += k * s.values[2 * i + 1]
          square += k * k
          u += s.values[2 * i] * s.values[2 * i] + s.values[2 * i + 1] * s.values[2 * i + 1]
        }
        divergence.add(re * re + im * im)
        all.add(square * u)
      }
      let s = try domain.sums([divergence, all])
      let share = s[1] > 0 ? s[0] / s[1] : 0
      if share < found?.1 ?? 1e-6 { found = (d, share) }
    }
    guard let found else { throw ObservableError("restoration of the divergence needs a solenoidal field, which this one is not") }
    return found.0
  }

  // MARK: applying it

  /// The restored field, in double precision; cells that are not finite stay as they are.
  ///
  /// - Collective: all participants.
  package func applied(to u: FieldParts, on domain: any Domain) throws -> FieldParts {
    var out = u
    if isSpectral {
      var spectra = try domain.transformed(u)
      limitAndProject(&spectra, domain)
      let waves = Wavenumbers(domain.grid, domain.coordinates), n = 1 / Double(domain.grid.count)
      for c in spectra.indices {
        waves.each(in: spectra[c].box) { i, square, _ in
          let g = gains.isEmpty ? n : n * Double(gains[min(Wavenumbers.shell(square), waves.highest + 1)])
          spectra[c].values[2 * i] *= g; spectra[c].values[2 * i + 1] *= g
        }
      }
      out = try domain.inverse(spectra)
    }
    if !means.isEmpty {
      for (c, mean) in try FieldRestoration.means(out, domain).enumerated() {
        for i in out[c].values.indices { out[c].values[i] += means[c] - mean }
      }
    }
    return out
  }

  private func limitAndProject(_ s: inout [SpectralPart], _ domain: any Domain) {
    guard let box = s.first?.box else { return }
    let n = domain.grid.shape
    if !limits.isEmpty {
      let waves = Wavenumbers(domain.grid, domain.coordinates)
      for c in s.indices {
        var at = 0
        waves.each(in: box) { i, square, _ in
          let place = FieldRestoration.place(at, box)
          at += 1
          if (0..<3).contains(where: { min(place[$0], n[$0] - place[$0]) > limits[$0] })
            || min(Wavenumbers.shell(square), waves.highest + 1) > limits[3] { s[c].values[2 * i] = 0; s[c].values[2 * i + 1] = 0 }
        }
      }
    }
    guard let derivative else { return }
    let waves = waveVectors(derivative, domain), axes = axes(domain)
    FieldRestoration.each(box) { i, at in
      var re = 0.0, im = 0.0, square = 0.0
      for (j, a) in axes.enumerated() {
        let k = waves[a][at[a]], c = componentOfAxis[j]
        re += k * s[c].values[2 * i]; im += k * s[c].values[2 * i + 1]; square += k * k
      }
      if square == 0 { return }
      for (j, a) in axes.enumerated() {
        let k = waves[a][at[a]] / square, c = componentOfAxis[j]
        s[c].values[2 * i] -= k * re; s[c].values[2 * i + 1] -= k * im
      }
    }
  }

  private func axes(_ domain: any Domain) -> [Int] { (0..<3).filter { domain.grid.shape[$0] > 1 } }

  /// k by storage axis and index; 0 at the Nyquist index, whose derivative is not determined.
  private func waveVectors(_ d: Derivative, _ domain: any Domain) -> [[Double]] {
    (0..<3).map { a in
      let n = domain.grid.shape[a]
      guard n > 1, case .uniform(let h) = domain.coordinates.axes[a] else { return [Double](repeating: 0, count: n) }
      return (0..<n).map { i in
        if 2 * i == n || i == 0 { return 0 }
        switch d {
        case .exact: return 2 * Double.pi * Double(2 * i < n ? i : i - n) / (Double(n) * abs(h))
        case .centred:
          var c = 0.0, s = 0.0
          ald_fft_root(Int64(i), Int64(n), &c, &s)
          return s / abs(h)
        }
      }
    }
  }

  private static func place(_ offset: Int, _ box: Box) -> Index3 {
    let s = box.shape
    return Index3(box.lower.z + offset / (s.y * s.x), box.lower.y + offset / s.x % s.y, box.lower.x + offset % s.x)
  }
  private static func each(_ box: Box, _ body: (_ offset: Int, _ at: Index3) -> Void) {
    for i in 0..<box.count { body(i, place(i, box)) }
  }
}
