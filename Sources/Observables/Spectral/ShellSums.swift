import CKernels
import Fields
import Statistics

/// Sums over shells of products of transforms: what all spectra are made of.
///
/// S_b(a, c) = sum over modes of shell b of Re(conj(a^) c^) / (N^2 <window^2>). Values are shells 0 ... highest and then the rest, or the
/// shells that were asked for.
struct ShellSums {
  let waves: Wavenumbers
  let shells: ClosedRange<Int>?
  let window: Window
  private let scale: Double

  init(shells: ClosedRange<Int>?, window: Window, on domain: any Domain) {
    waves = Wavenumbers(domain.grid, domain.coordinates)
    self.shells = shells; self.window = window
    let n = Double(domain.grid.count)
    scale = 1 / (n * n * window.meanSquare(in: domain.grid))
  }

  var count: Int { shells?.count ?? waves.highest + 2 }

  private func index(_ square: Double) -> Int? {
    let b = Wavenumbers.shell(square)
    guard let shells else { return min(b, waves.highest + 1) }
    return shells.contains(b) ? b - shells.lowerBound : nil
  }

  /// Transforms of the windowed fields.
  ///
  /// - Collective: all participants.
  func transformed(_ parts: FieldParts, on domain: any Domain) throws -> [SpectralPart] {
    try domain.transformed(window.applied(to: parts, in: domain.grid))
  }

  /// The sum of S_b over pairs of transforms; exact sums of the modes' products.
  ///
  /// - Collective: all participants.
  func sums(_ pairs: [(SpectralPart, SpectralPart)], on domain: any Domain) throws -> [Double] {
    var sums = [ExactSum](repeating: ExactSum(), count: count)
    if let box = pairs.first?.0.box, !box.isEmpty {
      waves.each(in: box) { i, square, weight in
        guard let b = index(square) else { return }
        var t = 0.0
        for (a, c) in pairs { t += a.values[2 * i] * c.values[2 * i] + a.values[2 * i + 1] * c.values[2 * i + 1] }
        sums[b].add(weight * t)
      }
    }
    return try domain.merged(sums).map { $0.value * scale }
  }

  /// The sum of S_b(a, a) over transforms: what `sums` of equal pairs gives, row by row.
  ///
  /// - Collective: all participants.
  func powers(_ spectra: [SpectralPart], on domain: any Domain) throws -> [Double] {
    var sums = [ExactSum](repeating: ExactSum(), count: count)
    if let box = spectra.first?.box, !box.isEmpty {
      let n = box.upper.x - box.lower.x, most = 64
      var power = [Double](repeating: 0, count: n), shell = [Int32](repeating: 0, count: n)
      let squares = Array(waves.squares[2][box.lower.x..<box.upper.x])
      // Terms of a shell wait until there are enough of them.
      let waiting = UnsafeMutableBufferPointer<Double>.allocate(capacity: most * count), held = UnsafeMutableBufferPointer<Int>.allocate(capacity: count)
      defer { waiting.deallocate(); held.deallocate() }
      held.update(repeating: 0)
      func flush(_ b: Int) {
        sums[b].add(contentsOf: UnsafeBufferPointer(start: waiting.baseAddress! + b * most, count: held[b]))
        held[b] = 0
      }
      let first = shells?.lowerBound ?? 0, last = shells?.upperBound ?? .max, rest = shells == nil ? waves.highest + 1 : .max
      waves.eachRow(in: box) { offset, plane, weights in
        ald_shell_row(plane, squares, n, &shell)
        power.withUnsafeMutableBufferPointer { power in
          power.update(repeating: 0)
          for s in spectra { s.values.withUnsafeBufferPointer { ald_row_add_power(power.baseAddress!, $0.baseAddress! + 2 * offset, n) } }
          shell.withUnsafeBufferPointer { shell in
            weights.withUnsafeBufferPointer { weights in
              for i in 0..<n {
                let k = min(Int(shell[i]), rest)
                if k < first || k > last { continue }
                let b = k - first
                waiting[b * most + held[b]] = weights[i] * power[i]
                held[b] += 1
                if held[b] == most { flush(b) }
              }
            }
          }
        }
      }
      for b in 0..<count { flush(b) }
    }
    return try domain.merged(sums).map { $0.value * scale }
  }

  /// The derivative of sum_b w_b S_b(a, c) with respect to the field of a, given the transforms of c: window times
  /// F^-1[w c^] / (N <window^2>). The mirrored half comes from the inverse, so no mode counts twice.
  ///
  /// - Collective: all participants.
  func adjoint(_ spectra: [SpectralPart], weights w: [Double], on domain: any Domain) throws -> FieldParts {
    var weighted = spectra
    for c in spectra.indices {
      waves.each(in: spectra[c].box) { i, square, _ in
        let f = index(square).map { w[$0] * scale } ?? 0
        weighted[c].values[2 * i] *= f; weighted[c].values[2 * i + 1] *= f
      }
    }
    return window.applied(to: try domain.inverse(weighted), in: domain.grid)
  }
}

/// Positive scales of non-negative and signed spectra: the values themselves, and for small ones a share of the largest.
func spectrumScales(_ value: ObservableValue, floor: Double) -> [Double] {
  guard case .vector(let v) = value else { preconditionFailure("a spectrum is a vector") }
  let largest = v.reduce(0) { max($0, abs($1)) }
  return v.map { largest > 0 ? max(abs($0), floor * largest) : 1 }
}

/// The cotangent of a vector.
func vector(_ w: ObservableValue) -> [Double] {
  guard case .vector(let v) = w else { preconditionFailure("the cotangent of a vector is a vector") }
  return v
}

func text(_ shells: ClosedRange<Int>?) -> String { shells.map { "\($0.lowerBound):\($0.upperBound)" } ?? "all" }
