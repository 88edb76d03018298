import CKernels
import Fields

/// Weights of the band contexts and, for lapped transforms, the magnitude scale, a product over the axes.
public struct BandModel: Sendable, Equatable {
  public static let groups = Int(ALD_BAND_GROUPS), features = Int(ALD_BAND_FEATURES), scaleCount = Int(ALD_BAND_SCALES)
  public let transform: BandLayout.Transform
  /// `groups * features` codes; the last feature of a group is the constant (`WeightCode`).
  public internal(set) var weights: [UInt8]
  /// Half octaves by frequency, 16 per axis: 18 = 1 along z, 48 = 1 along y and x; empty for the wavelet.
  public internal(set) var scales: [UInt8]

  /// The built-in weights, all scales 1.
  public init(_ transform: BandLayout.Transform) {
    self.transform = transform
    weights = BandDefaults.weights(transform)
    scales = transform == .wavelet ? [] : (0..<BandModel.scaleCount).map { UInt8($0 < 16 ? ALD_BAND_SCALE_ONE : ALD_BAND_SCALE_RELATIVE) }
  }

  var kernel: ald_band_model {
    var m = ald_band_model()
    withUnsafeMutableBytes(of: &m.weight) { $0.copyBytes(from: weights) }
    if !scales.isEmpty { withUnsafeMutableBytes(of: &m.scale) { $0.copyBytes(from: scales) } }
    return m
  }

  /// Takes the scales from sums over any number of tiles (see `BandLayout.addScaleSums`).
  ///
  /// The product `a_z a_y a_x` has the sums of the mean magnitudes over each plane of frequencies: iterative proportional fitting.
  ///
  /// - Source: W. E. Deming, F. F. Stephan, Ann. Math. Statist. 11 (1940) 427.
  public mutating func setScales(_ sums: BandScaleSums) {
    guard transform != .wavelet else { return }
    var mean = [Double](repeating: 0, count: sums.sums.count)   // 0: no such frequency
    for k in mean.indices where sums.counts[k] > 0 { mean[k] = Double(sums.sums[k]) / Double(sums.counts[k]) + 2e-3 }
    var a = [Double](repeating: 1, count: 48), wanted = [Double](repeating: 0, count: 48)
    mean.withUnsafeBufferPointer { mean in
      a.withUnsafeMutableBufferPointer { a in
        /// Calls `body` with each frequency that there is.
        func each(_ body: (_ k: Int, _ z: Int, _ y: Int, _ x: Int) -> Void) {
          for z in 0..<16 { for y in 0..<16 { for x in 0..<16 where mean[256 * z + 16 * y + x] > 0 { body(256 * z + 16 * y + x, z, y, x) } } }
        }
        each { k, z, y, x in wanted[z] += mean[k]; wanted[16 + y] += mean[k]; wanted[32 + x] += mean[k] }
        for _ in 0..<6 {
          for axis in 0..<3 {
            withUnsafeTemporaryAllocation(of: Double.self, capacity: 16) { have in
              have.initialize(repeating: 0)
              each { _, z, y, x in have[axis == 0 ? z : axis == 1 ? y : x] += a[z] * a[16 + y] * a[32 + x] }
              for k in 0..<16 where have[k] > 0 { a[16 * axis + k] *= wanted[16 * axis + k] / have[k] }
            }
          }
        }
      }
    }
    // Bins without values continue those below them; y and x are relative to their lowest frequency.
    let known = (0..<3).map { axis in
      (0..<16).map { k in mean.indices.contains { mean[$0] > 0 && (axis == 0 ? $0 >> 8 : axis == 1 ? $0 >> 4 & 15 : $0 & 15) == k } }
    }
    for axis in 0..<3 {
      for k in 1..<16 where !known[axis][k] { a[16 * axis + k] = a[16 * axis + k - 1] }
    }
    let y0 = a[16], x0 = a[32]
    for k in 0..<16 { a[k] *= y0 * x0; a[16 + k] /= y0; a[32 + k] /= x0 }
    for k in 0..<48 { scales[k] = BandModel.scaleCode(a[k], one: Int(k < 16 ? ALD_BAND_SCALE_ONE : ALD_BAND_SCALE_RELATIVE)) }
  }
  /// The nearest half octave, by comparison with the codes' bounds.
  private static func scaleCode(_ value: Double, one: Int) -> UInt8 {
    let root = 1.4142135623730951
    var c = 0, bound = Double(sign: .plus, exponent: -one / 2, significand: 1.189207115002721)   // between codes 0 and 1
    while c < 63, value >= bound { bound *= root; c += 1 }
    return UInt8(c)
  }

  /// Takes the weights of the groups that have enough rows; the others stay.
  public mutating func setWeights(_ equations: NormalEquations, minimumRows: Int = 64) {
    for (g, w) in equations.solve(minimumRows: minimumRows).enumerated() {
      guard let w else { continue }
      for k in 0..<BandModel.features - 1 { weights[g * BandModel.features + k] = WeightCode.linear(w[k]) }
      weights[(g + 1) * BandModel.features - 1] = WeightCode.constant(w.last!)
    }
  }
  /// The weights as numbers, for the next round of a fit.
  public var realWeights: [Double] {
    weights.enumerated().map { k, c in k % BandModel.features == BandModel.features - 1 ? WeightCode.constantValue(c) : Double(c) / 64 }
  }

  // MARK: Bytes

  private static func used(_ t: BandLayout.Transform) -> [Int] { t == .wavelet ? [0, 1, 2, 3, 4, 6, 7, 9] : [0, 1, 2, 3, 4, 5, 6, 7, 9] }

  /// A byte, then 6 bits per scale, then a mask of the groups that differ from the built-in weights and 6 bits per weight of those.
  public var serialised: [UInt8] {
    let base = BandDefaults.weights(transform), n = BandModel.features
    let changed = (0..<BandModel.groups).filter { weights[$0 * n..<($0 + 1) * n] != base[$0 * n..<($0 + 1) * n] }
    var packer = BitPacker()
    for s in scales { packer.put(Int(s), 6) }
    if !changed.isEmpty {
      for k in 0..<4 { packer.put((0..<6).reduce(0) { $0 | (changed.contains(6 * k + $1) ? 1 << $1 : 0) }, 6) }
      for g in changed { for f in BandModel.used(transform) { packer.put(Int(weights[g * n + f]), 6) } }
    }
    return [changed.isEmpty ? 0 : 1] + packer.bytes
  }
  public init(serialised bytes: [UInt8], transform: BandLayout.Transform) throws {
    self.init(transform)
    guard let head = bytes.first else { throw StreamError(.truncated, offset: 0) }
    guard head < 2 else { throw StreamError(.invalid, offset: 0) }
    var bits = BitUnpacker(Array(bytes[1...]))
    func next() throws -> UInt8 {
      guard bits.remaining >= 6 else { throw StreamError(.truncated, offset: bytes.count) }
      return UInt8(bits.take(6))
    }
    for k in scales.indices { scales[k] = try next() }
    if head == 1 {
      var changed: [Int] = []
      for k in 0..<4 {
        let m = try next()
        for b in 0..<6 where m >> b & 1 == 1 { changed.append(6 * k + b) }
      }
      for g in changed { for f in BandModel.used(transform) { weights[g * BandModel.features + f] = try next() } }
    }
    guard bits.remaining < 8, bits.take(bits.remaining) == 0 else { throw StreamError(.invalid, offset: bytes.count) }
  }
}
