import CTorch
@testable import Codecs
@testable import Compressor
import Fields
import Glibc
import MPI
import Support
import Testing
@testable import Training

/// Losses of codes of patches as libtorch computes them.
@Suite(.serialized) struct CodeTests {
  static func random(_ seed: Int, _ i: Int) -> Float { Float(SplitMix64.hash(UInt64(seed), i) >> 40) * 0x1p-23 - 1 }
  static func blocks(_ s: CodeShape, noise: Bool) -> CodeBlocks {
    let extents = s.dimensions == 3 ? Index3(8, 8, 8) : Index3(1, 16, 16)
    var e = CodeBlocks(extents: extents), stream = Shuffle(seed: 7, stream: 0)
    for b in 0..<2 {
      e.add((0..<s.components * extents.product).map { random(50 + b, $0) }[...])
      if noise { e.addNoise(s, &stream) }
    }
    return e
  }
  static func parameters(_ s: CodeShape) -> [Float] {
    var p = (0..<s.parameterCount).map { 0.3 * random(3, $0) }
    for (k, i) in s.range(.step).enumerated() { p[i] = -1.5 + 0.1 * Float(k % 5) }
    return p
  }

  /// Along directions, so that binary32 sums do not hide the difference.
  @Test(arguments: [(TrainOptions.Kind.autoencoder, 3), (.autoencoder, 2), (.variational, 3), (.sparse, 2)]) func gradientIsThatOfFiniteDifferences(kind: TrainOptions.Kind, dimensions: Int) throws {
    let s = CodeShape(kind: kind, components: dimensions, dimensions: dimensions, patch: 2, inputs: dimensions << dimensions, latents: 10, before: 6, behind: 5, group: kind == .sparse ? 2 : 1)
    var o = TrainOptions(input: "", output: "", field: "")
    for (k, name) in TrainOptions.observables.enumerated() { o.physics[name] = TrainingSchedule(0.3 + 0.2 * Double(k)) }
    o.box = 4
    var loss = CodeLoss(o, s, basis: [], axes: dimensions == 3 ? [2, 1, 0] : [-1, 1, 0])
    loss.threshold = 0.4
    if kind == .sparse { loss.costs = (0..<s.latents).map { 0.8 + 0.05 * Float($0 / 2) } }
    let b = CodeTests.blocks(s, noise: true), p = CodeTests.parameters(s), rate = 0.01
    let scale = try loss.evaluate(b, p)
    #expect(scale.allSatisfy { $0.isFinite && $0 > 0 }, "\(scale)")
    loss.normalise(by: Array(scale[1...]))
    func value(_ p: [Float]) throws -> Double {
      let n = try loss.evaluate(b, p)
      return rate * n[0] + zip(zip(n[1...], scale[1...]), o.weights(at: 1)).reduce(0) { $0 + $1.0.0 / $1.0.1 * $1.1 }
    }
    var gradient = [Float](repeating: 0, count: p.count)
    _ = try gradient.withUnsafeMutableBufferPointer { try loss.evaluate(b, p, rate: rate, gradient: $0.baseAddress) }
    let length = gradient.reduce(0) { max($0, abs($1)) }
    for seed in 0..<4 {
      let direction = gradient.indices.map { CodeTests.random(100 + seed, $0) + 2 * gradient[$0] / length }, h: Float = 2e-4
      let slope = try (value(zip(p, direction).map { $0 + h * $1 }) - value(zip(p, direction).map { $0 - h * $1 })) / Double(2 * h)
      let expected = zip(gradient, direction).reduce(0) { $0 + Double($1.0) * Double($1.1) }
      #expect(abs(slope - expected) < 0.02 * abs(expected), "\(slope), gradient says \(expected)")
    }
  }

  /// Orthonormal columns: t = sign(S^T y) max(|S^T y| - limit, 0); no penalty: no error; a large one: nothing.
  @Test func solvedCodesAreThoseOfTheory() throws {
    var s = CodeShape(kind: .sparse, components: 1, dimensions: 2, patch: 2, inputs: 4, latents: 4, before: 0, behind: 0)
    s.solve = 60
    var p = [Float](repeating: 0, count: s.parameterCount)
    // Rows of a Hadamard matrix; the norm of columns is taken out.
    for i in 0..<4 { for j in 0..<4 { p[s.range(.synthesis).lowerBound + i * 4 + j] = (i & j).nonzeroBitCount & 1 == 0 ? 3 : -3 } }
    for i in s.range(.step) { p[i] = -2.302585 }
    let step: Float = 0.1
    var loss = CodeLoss(TrainOptions(input: "", output: "", field: ""), s, basis: [], axes: [-1, -1, -1])
    var b = CodeBlocks(extents: Index3(1, 2, 2))
    b.add([0.31, -0.12, 0.52, 0.07])
    let y: [Float] = (0..<4).map { i in (0..<4).reduce(0) { $0 + ((i & $1).nonzeroBitCount & 1 == 0 ? 0.5 : -0.5) * [0.31, -0.12, 0.52, 0.07][$1] } }
    for limit in [0.0, 0.6, 2.2, 1000] {
      loss.threshold = limit
      var symbols = [Int32](repeating: 9, count: 4)
      let terms = try symbols.withUnsafeMutableBufferPointer { try loss.evaluate(b, p, symbols: $0.baseAddress) }
      let wanted = y.map { abs($0) / step > Float(limit) ? Int32(($0 / step).rounded()) : 0 }
      #expect(symbols == wanted, "limit \(limit)")
      let error = zip(y, wanted).reduce(0.0) { $0 + Double(($1.0 - Float($1.1) * step) * ($1.0 - Float($1.1) * step)) }
      #expect(abs(terms[1] - error) < 1e-5)
    }
    // Before debiasing what is decoded is shrunken: with noise of zero the loss sees it.
    loss.threshold = 0.6
    var quiet = Shuffle(seed: 1, stream: 1)
    b.addNoise(s, &quiet)
    let shrunken = y.map { max(abs($0) - 0.06, 0) * ($0 < 0 ? -1 : 1) }
    let noisy = zip(shrunken, b.noise).map { $0 + ($0 != 0 ? $1 * step : 0) }
    let error = zip(y, noisy).reduce(0.0) { $0 + Double(($1.0 - $1.1) * ($1.0 - $1.1)) }
    #expect(abs(try loss.evaluate(b, p)[1] - error) < 1e-4)
  }

  /// Twice as many columns as rows, the unit matrix beside Hadamard's: codes of one or two columns are found exactly, rounded to the planted integers (coherence
  /// 1/8, unique for fewer than 4.5). - Source: Donoho, Elad, Optimally sparse representation in general dictionaries (2003).
  @Test func plantedCodesAreFound() throws {
    let n = 64
    var s = CodeShape(kind: .sparse, components: 1, dimensions: 2, patch: 8, inputs: n, latents: 2 * n, before: 0, behind: 0)
    s.solve = 2 * CodeShape.solveSteps
    func column(_ k: Int, _ row: Int) -> Float { k < n ? (k == row ? 1 : 0) : (((k - n) & row).nonzeroBitCount & 1 == 0 ? 0.125 : -0.125) }
    var p = [Float](repeating: 0, count: s.parameterCount)
    for k in 0..<2 * n { for r in 0..<n { p[s.range(.synthesis).lowerBound + r * 2 * n + k] = column(k, r) } }
    for i in s.range(.step) { p[i] = -2.302585 }
    var loss = CodeLoss(TrainOptions(input: "", output: "", field: ""), s, basis: [], axes: [-1, -1, -1]), random = Shuffle(seed: 3, stream: 0)
    (loss.threshold, loss.costs) = (0.6, (0..<2 * n).map { $0 < n ? 1 : 1.5 })
    for count in 1...2 {
      var b = CodeBlocks(extents: Index3(1, 32, 32)), planted = [Int32](repeating: 0, count: 16 * 2 * n), v = [Float](repeating: 0, count: 1024)
      for patch in 0..<16 { for _ in 0..<count {
        let k = random.below(2 * n), q = Int32(8 + random.below(30)) * (random.below(2) == 0 ? 1 : -1)
        if planted[patch * 2 * n + k] != 0 { continue }
        planted[patch * 2 * n + k] = q
        for c in 0..<n { v[(patch / 4 * 8 + c / 8) * 32 + patch % 4 * 8 + c % 8] += 0.1 * Float(q) * column(k, c) }
      } }
      b.add(v[...])
      var symbols = [Int32](repeating: 0, count: planted.count)
      let terms = try symbols.withUnsafeMutableBufferPointer { try loss.evaluate(b, p, symbols: $0.baseAddress) }
      #expect(symbols == planted && terms[1] < 1e-4, "\(count) columns: error \(terms[1])")
      // No penalty: every column is used, and half of all directions say nothing.
      var free = loss
      free.threshold = 0
      #expect(try free.evaluate(b, p)[1] < 1024 * 0.1 * 0.1, "columns that depend on each other")
    }
  }

  /// The file's numbers say what training said: rounded, in other coordinates, without latents that are never used.
  @Test(arguments: [TrainOptions.Kind.autoencoder, .variational, .sparse]) func modelsAreWhatWasTrained(kind: TrainOptions.Kind) throws {
    var s = CodeShape(kind: kind, components: 2, dimensions: 2, patch: 4, inputs: 20, latents: 12, before: kind == .sparse ? 0 : 5, behind: kind == .sparse ? 0 : 4)
    if kind == .sparse { s.solve = CodeShape.solveSteps }
    // Rows of a Hadamard matrix.
    let n = s.channels, basis = (0..<s.inputs * n).map { k in ((k / n) & (k % n)).nonzeroBitCount & 1 == 0 ? 1 / Float(n).squareRoot() : -1 / Float(n).squareRoot() }
    let o = TrainOptions(input: "", output: "", field: ""), p = CodeTests.parameters(s)
    var used = [Bool](repeating: true, count: s.latents)
    used[3] = false
    let made = try CodeModel(o, s, p.map(Double.init), basis: basis, costs: [], magnitudes: (0..<s.latents).map { 0.1 * Double($0 + 1) }, used: used)
    #expect(made.kept == [0, 1, 2] + Array(4..<12) && made.model.shape.latents == 11)
    #expect(abs(made.model.numbers.magnitudes[3] - 0.5) < 1e-6)
    let loss = CodeLoss(o, s, basis: basis, axes: [-1, 1, 0]), stored = CodeLoss(o, made.shape, basis: [], axes: [-1, 1, 0])
    let b = CodeTests.blocks(s, noise: false), patches = b.patches(s)
    var z = kind == .sparse ? (0..<patches * s.latents).map { CodeTests.random(1, $0) } : try loss.latents(b, p)
    for i in stride(from: 3, to: z.count, by: s.latents) { z[i] = 0 }
    // Latents over their steps are the same; so are the values they stand for.
    let t = z.indices.filter { $0 % s.latents != 3 }.map { z[$0] / exponential(p[s.range(.step).lowerBound + $0 % s.latents]) }
    let steps = made.model.numbers.steps
    if kind != .sparse {
      let theirs = try stored.latents(b, made.parameters)
      for (i, v) in theirs.enumerated() { #expect(abs(v / steps[i % 11] - t[i]) < 2e-3 * (1 + abs(t[i])), "latent \(i)") }
    }
    var scaled = s
    scaled.solve = 0
    var flat = p
    if kind == .sparse {
      // Columns of norm 1, as the solver takes them.
      let at = s.range(.synthesis).lowerBound
      for i in 0..<s.latents {
        let norm = (0..<s.inputs).reduce(Float(0)) { $0 + p[at + $1 * s.latents + i] * p[at + $1 * s.latents + i] }.squareRoot()
        for j in 0..<s.inputs { flat[at + j * s.latents + i] /= norm }
      }
    }
    let ours = try CodeLoss(o, scaled, basis: basis, axes: [-1, 1, 0]).values(b, z, flat)
    let values = try stored.values(b, t.enumerated().map { $1 * steps[$0 % 11] }, made.parameters)
    for (a, c) in zip(ours, values) { #expect(abs(a - c) < 2e-3) }
    #expect(try Autoencoder(serialised: made.model.serialised) == made.model)
  }

  /// The codec bank's kernels and solver say what libtorch says.
  @Test(arguments: [TrainOptions.Kind.autoencoder, .sparse]) func codecsSayWhatTrainingSays(kind: TrainOptions.Kind) throws {
    var s = CodeShape(kind: kind, components: 2, dimensions: 2, patch: 4, inputs: 32, latents: kind == .sparse ? 48 : 12, before: kind == .sparse ? 0 : 5, behind: kind == .sparse ? 0 : 4)
    if kind == .sparse { s.solve = 400 }
    var o = TrainOptions(input: "", output: "", field: "")
    o.threshold = 0.8
    let unit = (0..<32 * 32).map { Float($0 % 33 == 0 ? 1 : 0) }, p = CodeTests.parameters(s)
    let made = try CodeModel(o, s, p.map(Double.init), basis: unit, costs: [], magnitudes: [Double](repeating: 1, count: s.latents), used: [Bool](repeating: true, count: s.latents))
    var shape = made.shape
    shape.solve = s.solve
    var loss = CodeLoss(o, shape, basis: [], axes: [-1, 1, 0])
    loss.threshold = o.threshold
    var e = CodeBlocks(extents: Index3(1, 16, 16))
    e.add((0..<512).map { CodeTests.random(9, $0) }[...])
    var symbols = [Int32](repeating: 0, count: e.patches(shape) * shape.latents)
    _ = try symbols.withUnsafeMutableBufferPointer { try loss.evaluate(e, made.parameters, symbols: $0.baseAddress) }
    let box = Box(shape: e.extents), codec = AutoencoderCodec(made.model, PatchNormalisation(scale: 1, offsets: [0, 0]), encodes: true)
    let arrays = (0..<2).map { c -> RawArray in
      let a = RawArray(box: box, type: .float32)
      for i in 0..<256 { a.bound(to: Float.self)[i] = e.values[c * 256 + i] }
      return a
    }
    let t = codec.scaled(codec.input(arrays, box), factor: 1)
    #expect(t.count == symbols.count && symbols.contains { $0 != 0 } && (kind != .sparse || symbols.contains(0)))
    // Rounding may fall either way where a value lies in the middle.
    for (i, v) in t.enumerated() { #expect(abs(v - Double(symbols[i])) < 0.52, "latent \(i): \(v) and \(symbols[i])") }
    let ours = codec.values(symbols, box, type: .float32, factor: 1, shifts: [0, 0, 0])
    var plain = shape
    plain.solve = 0
    let theirs = try CodeLoss(o, plain, basis: [], axes: [-1, 1, 0]).values(e, symbols.enumerated().map { Float($1) * made.model.numbers.steps[$0 % shape.latents] }, made.parameters)
    for c in 0..<2 { for i in 0..<256 { #expect(abs(ours[c].bound(to: Float.self)[i] - theirs[c * 256 + i]) < 1e-4) } }
  }

  @Test func countsCostWhatTheirTablesSay() {
    var c = CodeCounts(latents: 2)
    c.add((0..<2000).map { $0 % 2 == 0 ? Int32($0 / 2 % 4) - 2 : 0 })
    // One of four values and nothing: two bits a patch but for what tables keep for values that did not occur.
    let bits = c.bits(of: c) / 1000
    #expect(bits > 2 && bits < 2.03, "\(bits)")
    #expect(c.activity(0) == 0.75 && c.activity(1) == 0 && c.magnitudes == [1, 0])
    var far = CodeCounts(latents: 2)
    far.add([1000, 0])
    #expect(c.bits(of: far) > 20)
  }

  @Test func schedules() throws {
    let ramp = try #require(TrainingSchedule("0:2")), cosine = try #require(TrainingSchedule("1:3:cosine"))
    #expect(ramp.value(at: 0) == 0 && ramp.value(at: 0.25) == 1 && ramp.value(at: 0.5) == 2 && ramp.value(at: 1) == 2)
    #expect(cosine.value(at: 0) == 1 && abs(cosine.value(at: 0.25) - 2) < 1e-12 && cosine.value(at: 0.9) == 3)
    #expect(TrainingSchedule("0.5") == TrainingSchedule(0.5))
    for wrong in ["", "a", "-1", "1:0", "1:2:square", "1:2:cosine:4", "nan"] { #expect(TrainingSchedule(wrong) == nil, "\(wrong)") }
  }
}

private func exponential(_ v: Float) -> Float { Float(Glibc.exp(Double(v))) }
