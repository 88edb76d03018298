import CKernels
import Codecs
import Fields
import Glibc
import MPI
import Reduction
import Statistics

extension FieldCoding.Member {
  /// The transform of this member on a grid; `nil` for the others.
  func transform(_ grid: Grid) -> (any HaloTransform)? {
    switch self {
    case .lapped16: LappedOrthogonalTransform(blockEdge: 16, grid: grid)
    case .lapped8: LappedOrthogonalTransform(blockEdge: 8, grid: grid)
    case .wavelet97: Wavelet97(grid: grid)
    default: nil
    }
  }
}

/// Sums over coefficients that give the error of a quantiser step; see `ald_quantise_error`.
struct QuantiserError {
  /// Mean squared error in coefficient units, with the shifts applied.
  var meanSquare = 0.0
  /// Reconstruction shifts in 1/256 of a step.
  var shifts: [UInt8] = [0, 0, 0]
  var largest = 0.0
  /// Share of the coefficients that are not zero.
  var active = 0.0

  /// - Collective: all ranks.
  init(_ coefficients: [RawArray], step: Double, deadZone: Double = 0, threads: Int, ranks: borrowing Communicator) throws {
    var k = ald_quantiser(step: step, inverse: 1 / step, dead_zone: deadZone, shift: (0, 0, 0))
    let slots = Slots<[Double]>(coefficients.count, [])
    withUnsafePointer(to: &k) { k in
      let k = Unchecked(k)
      parallelFor(coefficients.count, threads: threads) { i in
        let a = coefficients[i]
        var s = [Double](repeating: 0, count: Int(ALD_QUANTISE_SUMS))
        if a.elementSize == 4 { ald_quantise_error_f32(a.bound(to: Float.self), a.count, k.value, &s) } else {
          ald_quantise_error_f64(a.bound(to: Double.self), a.count, k.value, &s)
        }
        slots[i] = s
      }
    }
    var sums = [ExactSum](repeating: ExactSum(), count: 7)
    var cells = 0, top = 0.0
    for (i, a) in coefficients.enumerated() {
      for j in 0..<7 { sums[j].add(slots[i][j]) }
      cells += a.count
      top = max(top, slots[i][7])
    }
    let (s, n, m) = try reduce(sums, IntegerSums([cells]), Extremes(maxima: [top]), ranks: ranks)
    var e = s[0].value, coded = 0.0
    for j in 0..<3 {
      let count = s[1 + 2 * j].value, sum = s[2 + 2 * j].value
      // |c|/step - |q| averages to -shift.
      let code = count > 0 ? min(max((-sum / count * 256).rounded(), 0), 120) : 0
      coded += count
      let shift = code / 256
      shifts[j] = UInt8(code)
      e += 2 * shift * sum + count * shift * shift
    }
    largest = m.maxima[0]
    active = n.values[0] > 0 ? coded / Double(n.values[0]) : 0
    meanSquare = n.values[0] > 0 ? e * step * step / Double(n.values[0]) : 0
  }
}

extension QuantiserError {
  /// Of coefficients that were multiplied by the factors w of their bands: errors weigh 1/w^2, so that `meanSquare` is that of the
  /// field; the shifts are those of the weighted coefficients, of which all levels count alike.
  ///
  /// - Collective: all ranks.
  init(
    weighted coefficients: [RawArray], by scaler: BandScaler, components: Int, step: Double, threads: Int, ranks: borrowing Communicator
  ) throws {
    self = try QuantiserError(coefficients, step: step, threads: threads, ranks: ranks)
    let shift = [0] + shifts.map { Double($0) / 256 }, inverse = 1 / step
    let slots = Slots<Double>(coefficients.count, 0)
    parallelFor(coefficients.count, threads: threads) { i in
      let a = coefficients[i], factors = scaler.inverseSquares(component: i % components)
      var sum = 0.0
      func add(_ c: Double, _ band: Int) {
        let r = abs(c) * inverse, q = (r + 0.5).rounded(.down), d = r - q + shift[min(Int(q), 3)]
        sum += factors[band] * (d * d)
      }
      if a.elementSize == 4 {
        let v = a.bound(to: Float.self)
        scaler.eachBand(of: a.box) { add(Double(v[$0]), $1) }
      } else {
        let v = a.bound(to: Double.self)
        scaler.eachBand(of: a.box) { add(v[$0], $1) }
      }
      slots[i] = sum
    }
    var total = ExactSum(), cells = 0
    for (i, a) in coefficients.enumerated() { total.add(slots[i]); cells += a.count }
    let (s, n) = try reduce(total, IntegerSums([cells]), ranks: ranks)
    meanSquare = n.values[0] > 0 ? s.value * step * step / Double(n.values[0]) : 0
  }
}

func quantiser(step: Double, shifts: [UInt8], deadZone: Double = 0) -> ald_quantiser {
  ald_quantiser(step: step, inverse: 1 / step, dead_zone: deadZone,
                shift: (Double(shifts[0]) / 256, Double(shifts[1]) / 256, Double(shifts[2]) / 256))
}

/// A transform on the sampled tiles.
final class TransformTrial: MemberTrial {
  let member: FieldCoding.Member
  private let encoder: FieldEncoder
  /// Coefficients of each sampled tile.
  private var coefficients: [RawArray] = []
  private let shapes: BandShapes
  var statistics: [Int64] { [] }

  init(_ member: FieldCoding.Member, _ encoder: FieldEncoder) {
    self.member = member; self.encoder = encoder
    shapes = BandShapes(member, grid: encoder.layout.grid)
  }

  /// Transforms tiles, given with the halo of the trial.
  func take(_ wide: [RawArray], _ units: [Unit]) {
    let grid = encoder.layout.grid
    let slots = Slots<RawArray?>(units.count, nil)
    let lapped = member == .wavelet97 ? nil : member.transform(grid)!
    parallelFor(units.count, threads: encoder.threads) { i in
      let box = units[i].box
      let out = RawArray(box: box, elementSize: wide[i].elementSize)
      if let lapped { lapped.analyse(wide[i], core: box, into: out) } else {
        // Its true halo is wider than a tile; the sample treats its own surroundings as a domain with faces.
        let local = Box(shape: wide[i].box.shape)
        let moved = RawArray(box: local, elementSize: wide[i].elementSize)
        moved.pointer.copyMemory(from: wide[i].pointer, byteCount: wide[i].byteCount)
        let all = RawArray(box: local, elementSize: wide[i].elementSize)
        Wavelet97(grid: Grid(shape: local.shape)).analyse(moved, core: local, into: all)
        let zero = Index3(0, 0, 0)
        let shifted = RawArray(box: box.shifted(by: zero - wide[i].box.lower), elementSize: wide[i].elementSize)
        shifted.copy(shifted.box, from: all)
        out.pointer.copyMemory(from: shifted.pointer, byteCount: shifted.byteCount)
      }
      slots[i] = out
    }
    coefficients += slots.array.map { $0! }
  }

  /// Mean of log2(1 + 2 |c| / step), which ranks transforms as coding does; see `TransformTrial.roughBits`.
  ///
  /// - Collective: all ranks.
  func logCost(_ step: Double, _ count: Int, _ ranks: borrowing Communicator) throws -> Double {
    let slots = Slots<UInt64>(coefficients.count, 0)
    parallelFor(coefficients.count, threads: encoder.threads) { i in
      let c = coefficients[i]
      slots[i] = c.elementSize == 4
        ? ald_log_cost_f32(c.bound(to: Float.self), c.count, 2 / step) : ald_log_cost_f64(c.bound(to: Double.self), c.count, 2 / step)
    }
    return Double(try ranks.allReduce(slots.array.reduce(0, +), .sum)) / 256 / Double(max(1, count))
  }

  /// Bits per value that a transform's log cost comes to, within about a sixth. Source: fit to ten fields at 40 to 100 dB.
  static func roughBits(_ p: Double) -> Double { p + 1.95 * p * p * p / (p * p * p + 5.5) }

  func rmse(_ step: Double, _ count: Int, _ ranks: borrowing Communicator) throws -> Double {
    try QuantiserError(coefficients, step: step, threads: encoder.threads, ranks: ranks).meanSquare.squareRoot()
  }

  func cost(_ step: Double, _ count: Int, _ share: Double, _ ranks: borrowing Communicator) throws -> (bits: Double, rmse: Double) {
    let e = try QuantiserError(coefficients, step: step, threads: encoder.threads, ranks: ranks)
    let k = quantiser(step: step, shifts: e.shifts)
    let quantised = quantise(coefficients, k, threads: encoder.threads)
    let model = try shapes.model(of: quantised.map { ($0, 0) }, ranks: ranks)
    var histogram = [UInt32](repeating: 0, count: histogramSize)
    for q in quantised { shapes.symbols(q, component: 0, model).0.add(to: &histogram) }
    let h = try reducedHistogram(histogram, ranks: ranks)
    return (estimatedBits(h, share: share) / Double(max(1, count)), e.meanSquare.squareRoot())
  }
}

/// Quantised integers of each tile, in arrays of four-byte elements on the same boxes.
func quantise(_ coefficients: [RawArray], _ k: ald_quantiser, threads: Int) -> [RawArray] {
  let slots = Slots<RawArray?>(coefficients.count, nil)
  parallelFor(coefficients.count, threads: threads) { i in slots[i] = quantise(coefficients[i], k) }
  return slots.array.map { $0! }
}

func quantise(_ c: RawArray, _ k: ald_quantiser) -> RawArray {
  let q = RawArray(box: c.box, elementSize: 4)
  withUnsafePointer(to: k) { k in
    if c.elementSize == 4 { ald_quantise_f32(c.bound(to: Float.self), c.count, k, q.bound(to: Int32.self)) } else {
      ald_quantise_f64(c.bound(to: Double.self), c.count, k, q.bound(to: Int32.self))
    }
  }
  return q
}

func dequantise(_ q: RawArray, _ k: ald_quantiser, into c: RawArray) {
  withUnsafePointer(to: k) { k in
    if c.elementSize == 4 { ald_dequantise_f32(q.bound(to: Int32.self), q.count, k, c.bound(to: Float.self)) } else {
      ald_dequantise_f64(q.bound(to: Int32.self), q.count, k, c.bound(to: Double.self))
    }
  }
}
