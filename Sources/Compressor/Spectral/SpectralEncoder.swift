import CKernels
import Codecs
import Decomposition
import Fields
import Glibc
import MPI
import Reduction
import Statistics

/// The global spectral member on one field: its modes, held by the ranks as columns, and passes over them.
///
/// Every decision comes from integer sums over modes, so the bytes are the same for any ranks and threads.
final class SpectralEncoder {
  unowned let encoder: FieldEncoder
  let transform: SpectralTransform
  /// Basis, spacing and means; the set is that of a pass.
  let settings: SpectralSettings
  let frame: SpectralFrame
  /// Of each component the unitary numbers of this rank's modes.
  private(set) var coefficients: [RawArray]
  /// What is quantised: those, moved and weighted by `shaping`.
  private(set) var numbers: [RawArray]
  /// Steps of shells; `nil`: one for all.
  private(set) var shaping: SpectralShaping?
  /// The newest pass that was finished, where somebody will look at it.
  var last: Pass?
  /// `nil`: not used.
  private var symmetry: MirrorSymmetry?
  /// Values of the field.
  let count: Int
  private var metric: [Double] { SpectralModes.metric(transform.shape, spacing: settings.spacing) }
  let components: Int
  /// Whether modes are asked for when the field is coded.
  var isLookedAt: Bool { encoder.decoded != nil || isPreview }
  /// Whether only the choice is wanted, and modes to look at.
  private let isPreview: Bool
  /// Every mode of the field.
  var everything: SpectralModes {
    SpectralModes(shape: transform.shape, metric: metric, extent: transform.shape, radius: SpectralSettings.largestRadius)
  }

  /// What a pass coded, before it is decoded.
  struct Pass {
    var coding: FieldCoding
    var settings: SpectralSettings
    var chunks: [SpectralModes.Chunk]
    /// This rank's chunks and their streams.
    var mine: Range<Int>
    var payloads: [[UInt8]]
    let pieces: Pieces
    /// This rank's modes, where somebody will look at them.
    var integers: [RawArray]
    /// Of the streams over all ranks; with header and index.
    var streamBytes: Int, bytes: Int
    /// By the coefficients, without outliers.
    var rmse: Double
    /// `nil`: one step for all.
    var weights: ShellWeights?
  }

  /// Integers of this rank's chunks, by component, box after box; gone from all copies of a pass once one is decoded.
  final class Pieces {
    var components: [[RawArray]]
    init(_ components: [[RawArray]]) { self.components = components }
  }

  /// - Collective: all ranks.
  init(_ encoder: FieldEncoder, preview: Bool = false, ranks: borrowing Communicator) throws {
    self.encoder = encoder
    isPreview = preview
    let shape = encoder.layout.grid.shape
    count = encoder.layout.grid.count * encoder.source.components
    components = encoder.source.components
    let transform = try SpectralTransform(shape, modes: SpectralModes.all(shape), ranks: ranks)
    self.transform = transform
    coefficients = try encoder.modes(transform, ranks: ranks)
    var s = SpectralSettings()
    // One rank holds the mean, the others add zeros.
    let origin = Index3(0, 0, 0), place = transform.place(Box(lower: origin, upper: Index3(1, 1, 1))).lower
    let means = coefficients.map { transform.mine.contains(origin) ? $0.bound(to: Double.self)[$0.box.offset(of: place)] / Double(shape.product) : 0 }
    s.means = try ranks.allReduce(means, .sum)
    var frame: SpectralFrame
    (s, frame) = try SpectralEncoder.basis(s, encoder, transform, coefficients, ranks: ranks)
    let box = transform.mine, threads = encoder.threads
    SpectralEncoder.eachRow(box, coefficients, threads: threads) { z, y, rows in frame.forward(z, y, box, rows) }
    let symmetry = try MirrorSymmetry(transform, coefficients, ranks: ranks)
    s.faces = symmetry.faces
    if s.faces != 0 {
      frame = s.frame(shape)
      SpectralEncoder.eachRow(box, coefficients, threads: threads) { z, y, rows in frame.rotate(z, y, box, rows, back: false) }
    }
    self.symmetry = symmetry; settings = s; self.frame = frame
    numbers = coefficients
  }

  /// Modes are made again where they are needed once more.
  func letGo() { coefficients = []; numbers = [] }

  /// Where this rank's numbers have the place of the mean, which is none of them.
  var meanOffset: Int? {
    let origin = Index3(0, 0, 0)
    return transform.mine.contains(origin) ? coefficients[0].box.offset(of: transform.place(Box(lower: origin, upper: Index3(1, 1, 1))).lower) : nil
  }

  /// Sets the steps of shells for the passes that follow.
  func shape(_ s: SpectralShaping?) {
    shaping = s
    numbers = coefficients
    guard let s else { return }
    numbers = coefficients.map(\.duplicate)
    if let change = s.change {
      for (a, d) in zip(numbers, change) {
        let p = a.bound(to: Double.self), q = d.bound(to: Double.self)
        for i in 0..<a.count { p[i] += q[i] }
        // That of the mean goes to the settings.
        if let mean = meanOffset { p[mean] = 0 }
      }
    }
    let modes = everything
    SpectralEncoder.eachRow(transform.mine, numbers, threads: encoder.threads) { z, y, rows in s.weights.multiply(modes, z, y, transform.mine, rows) }
  }

  /// Calls `body` for each row (z, y) of this rank's modes with the place of its numbers in each array.
  static func eachRow(_ box: Box, _ arrays: [RawArray], threads: Int, _ body: (Int, Int, [UnsafeMutablePointer<Double>]) -> Void) {
    let n = box.shape
    if box.isEmpty { return }
    parallelFor(n.z, threads: threads) { z in
      for y in 0..<n.y { body(box.lower.z + z, box.lower.y + y, arrays.map { $0.bound(to: Double.self) + (z * n.y + y) * 2 * n.x }) }
    }
  }
  private func eachRow(_ body: (Int, Int, [UnsafeMutablePointer<Double>]) -> Void) {
    SpectralEncoder.eachRow(transform.mine, coefficients, threads: encoder.threads, body)
  }

  /// The basis and the spacing under which some rows of modes, fixed ones, cost least.
  ///
  /// - Collective: all ranks.
  private static func basis(
    _ start: SpectralSettings, _ encoder: FieldEncoder, _ transform: SpectralTransform, _ coefficients: [RawArray], ranks: borrowing Communicator
  ) throws -> (SpectralSettings, SpectralFrame) {
    let shape = transform.shape, geometry = encoder.source.geometry
    let even = (0..<3).map { shape[$0] > 1 ? 1 / Double(shape[$0]) : 1 }
    // Cells as given, else cubes; boxes of equal edges where cells tell wavenumbers too far apart, or nothing is known.
    var spacings = [geometry.spacing ?? [1, 1, 1]].filter { SpectralSettings.accepts($0, shape) }
    if geometry.spacing == nil || spacings.isEmpty, SpectralModes.metric(shape, spacing: even) != spacings.first.map({ SpectralModes.metric(shape, spacing: $0) }) {
      spacings.append(even)
    }
    var candidates: [SpectralSettings] = []
    for h in spacings {
      for b in SpectralBasis.allCases where b == .plain ? h == spacings[0] : geometry.axes.count == coefficients.count {
        var s = start
        s.basis = b; s.spacing = h
        s.axes = b == .plain ? [] : geometry.axes
        candidates.append(s)
      }
    }
    let frames = candidates.map { $0.frame(shape) }
    if frames.count == 1 { return (candidates[0], frames[0]) }
    let box = transform.mine, width = 2 * box.shape.x
    let step = encoder.target.rmse.map { $0 * 12.0.squareRoot() } ?? encoder.survey.range * exp2(-encoder.target.rate! - 1)
    // All rows of small fields, a sixteenth of those of large ones.
    let every = shape.z * shape.y > 1 << 11 ? 15 : 0
    let slots = Slots<[UInt64]>(max(1, box.shape.z), [UInt64](repeating: 0, count: frames.count))
    eachRow(box, coefficients, threads: encoder.threads) { z, y, rows in
      guard isSampled(z, y, every) else { return }
      let copy = RawArray(box: Box(shape: Index3(1, rows.count, width)), elementSize: 8)
      let places = rows.indices.map { copy.bound(to: Double.self) + $0 * width }
      var sums = slots[z - box.lower.z]
      for (i, f) in frames.enumerated() {
        for (p, r) in zip(places, rows) { p.update(from: r, count: width) }
        f.forward(z, y, box, places)
        sums[i] += ald_log_cost_f64(copy.bound(to: Double.self), copy.count, 2 / step)
      }
      slots[z - box.lower.z] = sums
    }
    var costs = [UInt64](repeating: 0, count: frames.count)
    for s in slots.array { for i in costs.indices { costs[i] += s[i] } }
    costs = try ranks.allReduce(costs, .sum)
    let best = costs.indices.min { (costs[$0], $0) < (costs[$1], $1) }!
    return (candidates[best], frames[best])
  }

  /// Rows of modes spread over all of them: one of `every` + 1, a power of two.
  private static func isSampled(_ z: Int, _ y: Int, _ every: Int) -> Bool { (z + 5 * y) & every == 0 }

  // MARK: the step

  /// What rounding to multiples of a step does.
  struct StepError {
    var rmse = 0.0
    var shifts: [UInt8] = [0, 0, 0]
    /// Numbers that are not zero, of all.
    var active = 0.0
    var largest = 0.0
  }

  /// - Parameter sampled: on a sixteenth of the rows alone.
  /// - Collective: all ranks.
  func error(_ step: Double, sampled: Bool = false, ranks: borrowing Communicator) throws -> StepError {
    if let shaping {
      let e = try shellErrors(step, ranks: ranks)
      return e.stepError(shaping, values: count)
    }
    let box = transform.mine, planes = box.isEmpty ? 0 : box.shape.z
    let slots = Slots<([Int64], Double)>(planes, ([Int64](repeating: 0, count: Int(ALD_SPECTRAL_SUMS)), 0))
    parallelFor(planes, threads: encoder.threads) { z in
      var (sums, largest) = slots[z]
      for c in coefficients {
        let n = c.count / planes, row = n / box.shape.y, p = c.bound(to: Double.self) + z * n
        if !sampled { ald_spectral_error(p, n, 1 / step, &sums, &largest) } else {
          for y in 0..<box.shape.y where SpectralEncoder.isSampled(box.lower.z + z, box.lower.y + y, 15) {
            ald_spectral_error(p + y * row, row, 1 / step, &sums, &largest)
          }
        }
      }
      slots[z] = (sums, largest)
    }
    var sums = [Int](repeating: 0, count: Int(ALD_SPECTRAL_SUMS)), largest = 0.0
    for (s, l) in slots.array {
      for i in sums.indices { sums[i] += Int(s[i]) }
      largest = max(largest, l)
    }
    sums = try ranks.allReduce(sums, .sum)
    var out = StepError()
    out.largest = try ranks.allReduce(largest, .max)
    var e = Double(sums[0]) * 0x1p-32
    for j in 0..<3 {
      let n = Double(sums[1 + 2 * j]), s = Double(sums[2 + 2 * j]) * 0x1p-16
      // |c|/step - |q| averages to -shift.
      let code = n > 0 ? min(max((-s / n * 256).rounded(), 0), 120) : 0, shift = code / 256
      out.shifts[j] = UInt8(code)
      e += 2 * shift * s + n * shift * shift
    }
    out.rmse = (max(0, e) / Double(count) * (sampled ? 16 : 1)).squareRoot() * step
    out.active = Double(sums[7]) / Double(count)
    return out
  }

  /// Steps beyond which integers leave the coder's range.
  private static let most = 0x1p28

  /// bound / rmse that costs fewest bytes: few numbers to code let outliers be few as well. Source: measured on turb3d_kolmogorov_64,
  /// docs/results/spectral.md.
  static func boundOverRmse(active p: Double) -> Double {
    let points = [(0.0, 3.6), (0.05, 3.4), (0.15, 3.02), (0.4, 2.52), (1.0, 2.0)]
    let i = points.dropLast().lastIndex { $0.0 <= p } ?? 0, a = points[i], b = points[i + 1]
    return a.1 + (b.1 - a.1) * min(1, (p - a.0) / (b.0 - a.0))
  }

  /// The step whose error is `wanted` (a hair less), and the bound over it for pointwise bounds.
  ///
  /// - Collective: all ranks.
  private func solve(_ wanted: Double, from last: Double? = nil, ranks: borrowing Communicator) throws -> Double {
    // Numbers that are zero leave the others a larger step.
    var start = last ?? wanted * 12.0.squareRoot() * 1.5, slope = 1.0
    // Some rows of a large field bring the step near.
    if last == nil, shaping == nil, count > 1 << 20 {
      (start, _, slope) = try solveStep(wanted: wanted, start: start, tolerance: 0.01, limit: 8) { try error($0, sampled: true, ranks: ranks).rmse }
    }
    let found = try solveStep(wanted: wanted * 0.9998, start: start, slope: slope, tolerance: 1.9e-4, ceiling: wanted, limit: 12) { try error($0, ranks: ranks).rmse }
    return found.step
  }

  /// A pass that aims at the target; `nil` where integers would be too large, or a rate cannot be met.
  ///
  /// - Collective: all ranks.
  func aimed(_ start: FieldCoding, ranks: borrowing Communicator) throws -> Pass? {
    if let fixed = shaping?.fixed { return try code(start, step: fixed.step, ranks: ranks) }
    if let rate = encoder.target.rate { return try atRate(rate, start, ranks: ranks) }
    var wanted = encoder.target.rmse! * (shaping?.aim ?? 1)
    var step = try encoder.phases.measure("step") { try solve(wanted, ranks: ranks) }
    if let bound = encoder.target.pointwise {
      for _ in 0..<2 {
        wanted = bound / SpectralEncoder.boundOverRmse(active: try error(step, ranks: ranks).active) * (shaping?.aim ?? 1)
        step = try encoder.phases.measure("step") { try solve(wanted, from: step, ranks: ranks) }
      }
    }
    return try code(start, step: step, .last, ranks: ranks)
  }

  /// - Collective: all ranks.
  private func atRate(_ rate: Double, _ start: FieldCoding, ranks: borrowing Communicator) throws -> Pass? {
    var step = encoder.survey.range * exp2(-rate - 1), best: (step: Double, bytes: Int, symmetry: MirrorSymmetry?)?
    func bits(_ bytes: Int) -> Double { 8 * Double(bytes) / Double(count) }
    var last: (x: Double, bits: Double)?, slope = -1.0
    for _ in 0..<14 {
      guard let pass = try code(start, step: step, .measured, ranks: ranks) else {
        step *= 4
        continue
      }
      let found = bits(pass.bytes), x = log2(step)
      if best.map({ abs(bits($0.bytes) - rate) > abs(found - rate) }) ?? true { best = (step, pass.bytes, symmetry) }
      if abs(found / rate - 1) < 0.004 { break }
      if let l = last, abs(l.x - x) > 1e-6, (found - l.bits) / (x - l.x) < -0.02 { slope = (found - l.bits) / (x - l.x) }
      last = (x, found)
      step = exp2(x + min(max((rate - found) / slope, -3), 3))
    }
    // Few modes cannot use up many bits.
    guard let best, abs(bits(best.bytes) / rate - 1) < 0.015 || rate < 0.1 else { return nil }
    symmetry = best.symmetry
    return try code(start, step: best.step, .last, ranks: ranks)
  }

  /// Whether the logarithms of the modes already say that the members by tile are far better.
  ///
  /// - Collective: all ranks.
  func isHopeless(against trial: BankTrial, ranks: borrowing Communicator) throws -> Bool {
    guard let rmse = encoder.target.rmse else { return false }
    let slots = Slots<UInt64>(coefficients.count, 0)
    parallelFor(coefficients.count, threads: encoder.threads) { i in
      slots[i] = ald_log_cost_f64(coefficients[i].bound(to: Double.self), coefficients[i].count, 2 / (rmse * 12.0.squareRoot()))
    }
    let cost = Double(try ranks.allReduce(slots.array.reduce(0, +), .sum)) / 256 / Double(count)
    return cost > BankTrial.sparse && TransformTrial.roughBits(cost) > 1.7 * trial.score
  }

  // MARK: coding

  /// Integers of a component, plane by plane; where they are let go of, the numbers leave memory meanwhile.
  private func quantised(_ a: RawArray, _ k: ald_quantiser, emptying: Bool) -> RawArray {
    let q = RawArray(box: a.box, elementSize: 4), planes = a.count == 0 ? 0 : a.box.shape.z, n = a.count / max(1, planes)
    parallelFor(planes, threads: encoder.threads) { z in
      withUnsafePointer(to: k) { ald_quantise_f64(a.bound(to: Double.self) + z * n, n, $0, q.bound(to: Int32.self) + z * n) }
      if emptying { a.empty(8 * z * n..<8 * (z + 1) * n) }
    }
    return q
  }

  /// What a pass is for. After the last one another is rare: the modes are let go of, and come back where it is needed. Of one that is measured nothing
  /// but its bytes is wanted; in a host it lets go of the modes too.
  enum Purpose { case measured, coded, last }

  /// - Collective: all ranks.
  func code(_ start: FieldCoding, step: Double, _ purpose: Purpose = .coded, ranks: borrowing Communicator) throws -> Pass? {
    if coefficients.isEmpty {
      coefficients = try encoder.modes(transform, ranks: ranks)
      numbers = coefficients
      eachRow { z, y, rows in frame.forward(z, y, transform.mine, rows) }
    }
    let e = try error(step, ranks: ranks)
    guard e.largest < SpectralEncoder.most, step > 0, step.isFinite else { return nil }
    let k = quantiser(step: step, shifts: e.shifts), box = transform.mine, shape = transform.shape
    let letsGo = (purpose == .last || purpose == .measured && HostHeap.isTight) && !isLookedAt && shaping == nil
    var given = numbers, integers: [RawArray] = []
    if letsGo { letGo() }
    while !given.isEmpty { integers.append(quantised(given.removeFirst(), k, emptying: letsGo)) }
    // The set: every mode up to the last one that is not zero.
    var s = settings
    if let change = shaping?.change {
      let moved = try ranks.allReduce(change.map { a in meanOffset.map { a.bound(to: Double.self)[$0] } ?? 0 }, .sum)
      for c in moved.indices { s.means[c] += moved[c] / Double(shape.product).squareRoot() }
    }
    if !box.isEmpty { for q in integers { everything.raise(&s.extent, &s.radius, q.bound(to: Int32.self), box) } }
    let limits = try ranks.allReduce([s.extent.z, s.extent.y, s.extent.x, s.radius], .max)
    s.extent = Index3(limits[0], limits[1], limits[2]); s.radius = limits[3]
    s.symmetries = symmetry?.told(step: step) ?? []
    let modes = s.modes(shape), shells = s.radius + 1
    var sums: [UInt64] = [], counts: [UInt64] = []
    let inside = box.isEmpty ? box : box.intersection(modes.box)
    for q in integers {
      var a = [UInt64](repeating: 0, count: shells), n = a
      for z in inside.lower.z..<max(inside.lower.z, inside.upper.z) where !inside.isEmpty {
        var plane = inside
        plane.lower.z = z; plane.upper.z = z + 1
        let part = RawArray(box: transform.place(plane), elementSize: 4)
        part.copy(part.box, from: q)
        modes.addScaleSums(part.bound(to: Int32.self), plane, &a, &n)
      }
      sums += a; counts += n
    }
    sums = try ranks.allReduce(sums, .sum); counts = try ranks.allReduce(counts, .sum)
    let scales = SpectralScales(sums: sums, counts: counts)
    let coder = SpectralCoder(modes, components: components, scales: scales, symmetries: s.symmetries)
    let chunks = modes.chunks(components: components)
    let mine = ranks.share(of: chunks.count)
    let boxes = chunks[mine].flatMap(\.boxes).map { transform.place($0) }
    let pieces = try encoder.phases.measure("exchange") {
      let plan = try Redistribution(have: [transform.place(box)], want: boxes, grid: transform.grid, ranks: ranks)
      return try Pieces(integers.indices.map { c in
        let arrays = boxes.map { RawArray(box: $0, elementSize: 4) }
        try plan.move([integers[c]], into: arrays, emptying: !isLookedAt, ranks: ranks)
        return arrays
      })
    }
    if !isLookedAt { integers = [] }
    var first = 0
    let parts = Slots<[[RawArray]]>(mine.count, [])
    for (i, c) in chunks[mine].enumerated() {
      parts[i] = c.boxes.indices.map { i in pieces.components.map { $0[first + i] } }
      first += c.boxes.count
    }
    if purpose == .measured { pieces.components = [] }
    let symbols = Slots<PackedSymbols?>(mine.count, nil), mirrored = Slots<[Int]>(mine.count, [0, 0])
    var histogram = [UInt32](repeating: 0, count: histogramSize)
    encoder.phases.measure("context") {
      let lanes = max(1, min(encoder.threads, mine.count)), sums = Slots<[UInt32]>(lanes, histogram)
      parallelFor(lanes, threads: lanes) { lane in
        for i in stride(from: lane, to: mine.count, by: lanes) {
          let chunk = chunks[mine.lowerBound + i], s = Symbols(capacity: coder.count(chunk))
          let (count, told, missed) = coder.symbols(chunk, parts[i], classes: s.classes, values: s.values)
          s.count = count
          s.add(to: &sums[lane])
          symbols[i] = PackedSymbols(s)
          mirrored[i] = [told, missed]
          if purpose == .measured { parts[i] = [] }
        }
      }
      for h in sums.array { for i in h.indices { histogram[i] += h[i] } }
    }
    if !s.symmetries.isEmpty {
      let told = try ranks.allReduce(mirrored.array.reduce(into: [0, 0]) { $0[0] += $1[0]; $0[1] += $1[1] }, .sum)
      // Only the largest waves are symmetric.
      if 8 * told[1] > told[0] {
        symmetry = nil
        return try code(start, step: step, purpose, ranks: ranks)
      }
    }
    let tables = ClassTables(histogram: try reducedHistogram(histogram, ranks: ranks), sampled: false)
    let payloads = Slots<[UInt8]>(mine.count, []), failures = Slots<(any Error)?>(mine.count, nil)
    try encoder.phases.measure("entropy") {
      try encoder.compute(ranks: ranks) {
        parallelFor(mine.count, threads: encoder.threads) { i in
          let bytes = symbols[i]!.encode(tables), chunk = chunks[mine.lowerBound + i]
          payloads[i] = bytes
          symbols[i] = nil
          if !encoder.check || purpose == .measured { return }
          let again = parts[i].map { $0.map { RawArray(box: $0.box, elementSize: 4) } }
          do {
            try coder.decode(chunk, bytes, tables, into: again)
            for (a, b) in zip(again.joined(), parts[i].joined()) where !sameBits(a, b, nil) { throw CompressorError.notReproduced(stream: mine.lowerBound + i) }
          } catch is StreamError { failures[i] = CompressorError.notReproduced(stream: mine.lowerBound + i) } catch { failures[i] = error }
        }
        for e in failures.array { if let e { throw e } }
      }
    }
    var coding = start
    coding.member = .spectral
    coding.workType = .float64
    coding.step = step
    coding.shifts = e.shifts
    coding.settings = s.serialised
    if let weights = shaping?.weights, !weights.isFlat, s.radius > 0 { coding.shellWeights = weights.serialised(radius: s.radius) }
    coding.model = scales.serialised(components: components)
    coding.tables = tables.serialised
    let bytes = try ranks.allReduce(payloads.array.reduce(0) { $0 + $1.count }, .sum)
    return Pass(
      coding: coding, settings: s, chunks: chunks, mine: mine, payloads: payloads.array, pieces: pieces, integers: integers, streamBytes: bytes,
      bytes: bytes + coding.serialised.count + 6 * chunks.count + 16, rmse: e.rmse, weights: shaping?.weights)
  }
}
