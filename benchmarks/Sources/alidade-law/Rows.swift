import Fields
import Foundation
import LatentGeometry
import Observables

/// The rows of THEORY's table 8 that are not read from the cells.
struct Rows {
  /// Named numbers of a row.
  var facts = Table(["row", "case", "quantity", "value"])
  /// GL-7: relative errors of tr(G Sigma) by step.
  var radius = Table(["field", "observable", "psnr", "relstep", "predicted", "measured", "error", "sampling"])
  /// GL-12: spectra.
  var spectra = Table(["field", "psnr", "shell", "energy", "noise", "measured", "linear", "modes"])

  mutating func add(_ row: String, _ what: String, _ quantity: String, _ value: Double) { facts.add([row, what, quantity, value]) }

  // MARK: without data

  mutating func limits() throws {
    for (name, c) in [("orthogonal spaces", [0.0, 0, 0]), ("angles 0.2, 0.7, 1.3", [cos(0.2), cos(0.7), cos(1.3)]), ("aligned spaces", [1.0, 1, 1])] {
      let r = try Limits.search(cosines: c, weight: 1.7, starts: 20, seed: 5)
      add("GL-5", name, "least", r.least)
      add("GL-5", name, "most", r.most)
    }
  }

  /// GL-6: Gaussian latents in bands of a lapped transform, an observable that feels band b with a_b, steps ~ a_b^-1/2 alone.
  mutating func largestGains() throws {
    let grid = Grid(shape: Index3(repeating: 64), periodic: .init(true, true, true)), codec = TransformCodec(.lot8, grid: grid, components: 1)
    let members = codec.members(), random = CounterRandom(seed: 11)
    func frequency(_ b: Int) -> Double { Double(b / 64 * (b / 64) + b / 8 % 8 * (b / 8 % 8) + b % 8 * (b % 8)).squareRoot() }
    var z = FieldPart(grid.box)
    for (i, at) in grid.box.indices.enumerated() { z.values[i] = random.gaussian(component: 0, at: at) / pow(1 + frequency(Int(members[i])), 2) }
    let quantiser = try Quantiser(codec, codec.tangent([z])), n = codec.bandCount, flat = [Double](repeating: 1, count: n), step = 2e-5
    var counts = [Double](repeating: 0, count: n)
    for b in members { counts[Int(b)] += 1 }
    let deviations = (0..<n).map { pow(1 + frequency($0), -2) }
    /// Bits per latent of the ideal code: -log2 of the probability that a Gaussian of its band falls into the latent's bin.
    func ideal(_ c: Quantiser.Coded, _ factors: [Double], _ step: Double) -> Double {
      var nats = 0.0
      for (i, q) in c.integers.enumerated() {
        let b = Int(members[i]), unit = step / (factors[b] * deviations[b] * 2.0.squareRoot()), a = abs(Double(q))
        nats -= log(max(0.5 * (erfc((a - 0.5) * unit) - erfc((a + 0.5) * unit)), 1e-300))
      }
      return nats / log(2) / Double(c.integers.count)
    }
    let base = quantiser.coded(factors: flat, step: step), noise0 = quantiser.noise(base)
    let bits = ideal(base, flat, step), rate = quantiser.rate(base, factors: flat)
    add("GL-6", "rate", "bits", bits)
    for power in [0.0, 0.5, 1, 2, 3] {
      let a = (0..<n).map { pow(1 + frequency($0), -power) }, law = TradeSpectrum(a, weights: counts), factors = a.map { $0.squareRoot() }
      // The step of the same rate: of the ideal code, and of the coder.
      let start = step * exp(0.5 * law.mean { log($0) })
      let equal = Quantiser.solved(from: start, slope: -1, target: bits, tolerance: 1e-6) { ideal(quantiser.coded(factors: factors, step: $0), factors, $0) }
      let matched = Quantiser.solved(from: start, slope: -1, target: rate, tolerance: 1e-4) { quantiser.rate(quantiser.coded(factors: factors, step: $0), factors: factors) }
      func error(_ noise: [Double]) -> Double { a.indices.reduce(0) { $0 + a[$1] * noise[$1] * counts[$1] } }
      let name = power == 0 ? "flat" : "power \(power)"
      add("GL-6", name, "law", law.logMaximumGain * 10 / log(10))
      for (quantity, s) in [("ideal", equal), ("coder", matched)] {
        add("GL-6", name, quantity, 10 * log10(error(noise0) / error(quantiser.noise(quantiser.coded(factors: factors, step: s)))))
      }
    }
  }

  // MARK: on fields

  /// GL-7: D and P at ten uniform steps over two decades against tr(G Sigma), Sigma = step^2/12.
  mutating func validity(_ study: Study, _ snapshot: Snapshot, draws: Int) throws {
    let codec = TransformCodec(study.codecs[0], grid: snapshot.grid, components: snapshot.components), q = try Quantiser(codec, snapshot.values)
    let observables = try study.observables.map { try Study.observable($0) }
    let truths = try observables.map { try $0.value(of: snapshot.values, on: snapshot.domain) }
    let scales = try zip(observables, truths).map { try $0.scales(of: $1, on: snapshot.domain) }
    let spectra = try observables.map { try BandSensitivities($0, codec, snapshot, members: q.members).spectrum(variances: q.variances()).spectrum }
    let flat = [Double](repeating: 1, count: codec.bandCount), finest = snapshot.range * pow(10, -135.0 / 20) * sqrt(12)
    for k in 0..<10 {
      let step = finest * pow(10, 2 * Double(k) / 9), theta = step * step / 12, psnr = 20 * log10(snapshot.range / theta.squareRoot())
      var d: [Double] = [], p = [[Double]](repeating: [], count: observables.count)
      for draw in 0..<draws {
        let field = q.field(q.coded(factors: flat, step: step, draw: draw).decoded)
        d.append(meanSquare(field, snapshot.values))
        for (j, o) in observables.enumerated() { p[j].append(try error(o, field, truths[j], scales[j], snapshot)) }
      }
      let relative = step / finest
      radius.add([study.field, "PSNR", psnr, relative, theta, mean(d), theta / mean(d) - 1, 0.0])
      for j in observables.indices {
        let predicted = spectra[j].mean * theta
        radius.add([study.field, study.observables[j], psnr, relative, predicted, mean(p[j]), predicted / mean(p[j]) - 1, relativeError(p[j][...])])
      }
    }
  }

  /// GL-12: P of the energy spectrum from its tangent alone, and with the energy that noise adds; dithered, and with plain rounding.
  mutating func spectrum(_ study: Study, _ snapshot: Snapshot, draws: Int) throws {
    let codec = TransformCodec(study.codecs[0], grid: snapshot.grid, components: snapshot.components), q = try Quantiser(codec, snapshot.values)
    let shells = 1...20, o = EnergySpectrum(shells: shells), domain = snapshot.domain
    let truth = try o.value(of: snapshot.values, on: domain), scales = try o.scales(of: truth, on: domain)
    guard case .vector(let energy) = truth else { preconditionFailure("a spectrum is a vector") }
    let flat = [Double](repeating: 1, count: codec.bandCount), space = LatentSpace(boxes: codec.latentBoxes, count: codec.latentCount, reducer: domain)
    for psnr in [60.0, 90] {
      let deviation = snapshot.range * pow(10, -psnr / 20), step = deviation * sqrt(12)
      var linear = [Double](repeating: 0, count: energy.count), added = linear, quadratic = linear, measured = linear, square = 0.0, plain = 0.0
      for draw in 0..<draws {
        let e = codec.tangent(space.parts(space.signs(seed: 2, stream: UInt64(draw)).map { $0 * deviation }))
        guard case .vector(let t) = try o.tangent(at: snapshot.values, along: e, on: domain), case .vector(let s) = try o.value(of: e, on: domain),
              case .vector(let v) = try o.value(of: q.field(q.coded(factors: flat, step: step, draw: draw, dithered: true).decoded), on: domain) else { return }
        for k in t.indices {
          linear[k] += t[k] * t[k] / Double(draws); added[k] += s[k] / Double(draws); quadratic[k] += s[k] * s[k] / Double(draws)
          measured[k] += v[k] / Double(draws)
          square += pow((v[k] - energy[k]) / scales[k], 2) / Double(draws * v.count)
        }
        plain += try error(o, q.field(q.coded(factors: flat, step: step, draw: draw).decoded), truth, scales, snapshot) / Double(draws)
      }
      let m = Double(energy.count)
      let first = energy.indices.reduce(0) { $0 + linear[$1] / (m * scales[$1] * scales[$1]) }
      let second = energy.indices.reduce(0) { $0 + quadratic[$1] / (m * scales[$1] * scales[$1]) }
      let name = "\(study.field), \(Int(psnr)) dB"
      add("GL-12", name, "measured", square)
      add("GL-12", name, "tangent", first)
      add("GL-12", name, "withbias", first + second)
      add("GL-12", name, "plain", plain)
      // Modes of a shell from the spectrum of white noise: E_k = N_k sigma^2/(2 N) per component.
      let white = try o.value(of: space.parts(space.gaussians(seed: 4, stream: 1)), on: domain)
      guard case .vector(let w) = white else { return }
      let modes = w.map { 2 * $0 * Double(snapshot.grid.count) / Double(snapshot.components) }
      add("GL-12", name, "biased", Double(energy.indices.filter { added[$0] > 4 * energy[$0] / (modes[$0] * Double(snapshot.components)) }.count) / m)
      for k in energy.indices { spectra.add([study.field, psnr, shells.lowerBound + k, energy[k], added[k], measured[k] - energy[k], linear[k].squareRoot(), modes[k]]) }
    }
  }

  /// GL-13: plain steps, steps by the diagonal, and nearest-plane rounding for blocks of 64 latents that all have the same G.
  mutating func shaping(_ study: Study, _ snapshot: Snapshot) throws {
    let codec = TransformCodec(.lot8, grid: snapshot.grid, components: snapshot.components), q = try Quantiser(codec, snapshot.values)
    let s = snapshot.grid.shape, n = Double(codec.latentCount), block = Box(lower: Index3(0, s.y / 2, s.x / 2), upper: Index3(1, s.y / 2 + 8, s.x / 2 + 8))
    for text in ["box(size=4)", "gradient"] {
      let o = try Study.observable(text), truth = try o.value(of: snapshot.values, on: snapshot.domain), scales = try o.scales(of: truth, on: snapshot.domain)
      let sensitivities = try Sensitivities(codec: codec, observable: o, field: snapshot.values, domain: snapshot.domain)
      let gp = try sensitivities.latents.tileBlocks([block], reach: 0, grid: snapshot.grid, operator: sensitivities.observable)[0]
      for w in [1.0, 16] {
        let weight = w / n / (gp.trace / Double(gp.rows)), g = .identity(gp.rows) + (n * weight) * gp
        let step = snapshot.range * pow(10, -110.0 / 20) * sqrt(12)
        for (name, shaping) in [("S0", NoiseShaping.uniform), ("S1", .diagonal), ("S2", .nearestPlane)] {
          let steps = try shaping.steps(g, step: step), plane = try NearestPlane(metric: name == "S2" ? g : .identity(g.rows), steps: steps)
          var symbols = [Int32](repeating: 0, count: q.coefficients.count), decoded = q.coefficients
          for y in stride(from: 0, to: s.y, by: 8) { for x in stride(from: 0, to: s.x, by: 8) {
            let places = (0..<64).map { (y + $0 / 8) * s.x + x + $0 % 8 }, k = plane.symbols(places.map { q.coefficients[$0] })
            for (i, at) in places.enumerated() { symbols[at] = Int32(k[i]); decoded[at] = Double(k[i]) * steps[i] }
          } }
          let field = q.field(decoded), felt: Double = try error(o, field, truth, scales, snapshot)
          let sum: Double = meanSquare(field, snapshot.values) + weight * felt
          let optimum = step * step / 12 * exp(try g.logDeterminant() / Double(g.rows))
          let what = "\(text), weight \(Int(w))"
          add("GL-13", what, "\(name) measured", sum / optimum)
          add("GL-13", what, "\(name) law", exp(try shaping.logExcess(g)))
          add("GL-13", what, "\(name) bits", q.rate(.init(integers: symbols, decoded: decoded), factors: steps.map { 1 / $0 }))
        }
      }
    }
  }

  /// GL-14: E(k) and means sent as 4-byte numbers and put back: x + J^T (J J^T)^-1 (o* - o(x)).
  mutating func restoration(_ study: Study, _ snapshot: Snapshot) throws {
    let codec = TransformCodec(study.codecs[0], grid: snapshot.grid, components: snapshot.components), q = try Quantiser(codec, snapshot.values)
    let flat = [Double](repeating: 1, count: codec.bandCount), domain = snapshot.domain, mean = try Study.observable("mean"), spectrum = EnergySpectrum()
    for psnr in [60.0, 80] {
      let step = Quantiser.solved(from: snapshot.range * pow(10, -psnr / 20) * sqrt(12), slope: -6, target: psnr, tolerance: 0.02) {
        10 * log10(snapshot.range * snapshot.range / meanSquare(q.field(q.coded(factors: flat, step: $0).decoded), snapshot.values))
      }
      let coded = q.coded(factors: flat, step: step), start = q.field(coded.decoded)
      for (name, o) in [("E(k)", spectrum as any Observable), ("means", mean)] {
        guard case .vector(let truth) = try o.value(of: snapshot.values, on: domain) else { continue }
        let sent = truth.map { Double(Float($0)) }
        func misfit(_ field: FieldParts) throws -> [Double] {
          guard case .vector(let v) = try o.value(of: field, on: domain) else { preconditionFailure("a vector") }
          return zip(sent, v).map { $0 - $1 }
        }
        func relative(_ field: FieldParts) throws -> Double {
          let r = try misfit(field), largest = truth.map(abs).max()!
          // Against the values themselves, those below 1e-9 of the largest against that.
          return zip(zip(r, sent), truth).map { abs($0.0 + ($1 - $0.1)) / max(abs($1), 1e-9 * largest) }.max()!
        }
        var field = start, steps = 0.0
        while steps < 30, try relative(field) > 2e-7 {
          steps += 1
          // Shells and components are disjoint: J J^T is diagonal, its diagonal J J^T 1.
          let r = try misfit(field), ones = try o.adjoint(at: field, of: .vector(r.map { _ in 1 }), on: domain)
          guard case .vector(let diagonal) = try o.tangent(at: field, along: ones, on: domain) else { continue }
          let change = try o.adjoint(at: field, of: .vector(zip(r, diagonal).map { $1 > 0 ? $0 / $1 : 0 }), on: domain)
          field = zip(field, change).map { FieldPart($0.box, zip($0.values, $1.values).map { $0 + $1 }) }
        }
        let what = "\(study.field), \(Int(psnr)) dB, \(name)"
        add("GL-14", what, "before", try relative(start))
        add("GL-14", what, "after", try relative(field))
        add("GL-14", what, "steps", steps)
        add("GL-14", what, "dB", 10 * log10(meanSquare(field, snapshot.values) / meanSquare(start, snapshot.values)))
        add("GL-14", what, "bytes", Double(4 * truth.count))
        add("GL-14", what, "share", 32 * Double(truth.count) / (q.rate(coded, factors: flat) * Double(codec.latentCount)))
      }
    }
  }
}
