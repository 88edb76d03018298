import CKernels
import Fields

/// How the integer latents of a tile become values with classes of the entropy coder (`ald_entropy.h`), and back; docs/format.md section 7.21.
///
/// Latents lie as [patch][latent], patches in raster order.
public struct LatentCoding: Sendable {
  private let coding: Autoencoder.Coding
  public let latents: Int
  /// Mean magnitudes at the factor, with 12 fractional bits.
  private let expected: [Int]
  /// Of every latent before one: what it adds to the sum that magnitudes are compared with.
  private let known: [UInt32]

  public init(_ model: Autoencoder, factor: Double) { self.init(model.shape.coding, model.numbers.magnitudes, factor: factor) }
  public init(_ coding: Autoencoder.Coding, _ magnitudes: [Float], factor: Double) {
    self.coding = coding
    latents = magnitudes.count
    expected = magnitudes.map { Int(min(max((Double($0) * 4096 / factor).rounded(), 1), 0x1p30)) }
    var sums: [UInt32] = [0]
    for m in expected { sums.append(sums[sums.count - 1] &+ UInt32(min(m, 4096))) }
    known = sums
  }

  /// Most values that a tile may become.
  public func capacity(_ patches: Index3) -> Int { patches.product * (coding == .sparse ? 1 + 2 * latents : latents) }

  /// Values and their classes.
  ///
  /// - Parameter q: magnitudes below 2^29.
  /// - Returns: how many there are.
  public func symbols(_ q: UnsafePointer<Int32>, _ patches: Index3, classes: UnsafeMutablePointer<UInt8>, values: UnsafeMutablePointer<Int32>) -> Int {
    var n = 0
    func put(_ v: Int32, _ c: UInt8) {
      values[n] = v; classes[n] = c
      n += 1
    }
    switch coding {
    case .factorized:
      let own = expected.map { LatentCoding.scaleClass($0) }
      for p in 0..<patches.product { for i in 0..<latents { put(q[p * latents + i], own[i]) } }
    case .contextual:
      var context = Context(self, patches)
      for p in 0..<patches.product {
        context.begin(p)
        for i in 0..<latents {
          put(q[p * latents + i], context.next(i))
          context.take(q[p * latents + i], i)
        }
      }
    case .sparse:
      for p in 0..<patches.product {
        let own = q + p * latents
        var left = 0, from = 0
        for i in 0..<latents where own[i] != 0 { left += 1 }
        put(LatentCoding.folded(left), countClass)
        for i in 0..<latents where own[i] != 0 {
          put((own[i] < 0 ? -1 : 1) * Int32(i - from + 1), gapClass(from, left))
          put(LatentCoding.folded(Int(abs(own[i])) - 1), magnitudeClass(i))
          left -= 1
          from = i + 1
        }
      }
    }
    return n
  }

  /// - Throws: `StreamError` for more latents than there are.
  public func decode(_ d: inout ald_decoder, _ patches: Index3, into q: UnsafeMutablePointer<Int32>) throws {
    switch coding {
    case .factorized:
      let own = expected.map { Int32(LatentCoding.scaleClass($0)) }
      for p in 0..<patches.product { for i in 0..<latents { q[p * latents + i] = ald_decode(&d, own[i]) } }
    case .contextual:
      var context = Context(self, patches)
      for p in 0..<patches.product {
        context.begin(p)
        for i in 0..<latents {
          let v = ald_decode(&d, Int32(context.next(i)))
          q[p * latents + i] = v
          context.take(v, i)
        }
      }
    case .sparse:
      func require(_ c: Bool) throws { if !c { throw StreamError(.invalid, offset: 0) } }
      for p in 0..<patches.product {
        let own = q + p * latents
        for i in 0..<latents { own[i] = 0 }
        var left = LatentCoding.unfolded(ald_decode(&d, Int32(countClass))), from = 0
        try require(left <= latents)
        while left > 0 {
          let v = ald_decode(&d, Int32(gapClass(from, left)))
          from += Int(v.magnitude)
          try require(v != 0 && from <= latents)
          let m = LatentCoding.unfolded(ald_decode(&d, Int32(magnitudeClass(from - 1)))) + 1
          try require(m < 1 << 30)
          own[from - 1] = v < 0 ? -Int32(m) : Int32(m)
          left -= 1
        }
      }
    }
  }

  // MARK: classes

  private static func scaleClass(_ s: Int) -> UInt8 { UInt8(ald_class(UInt32(min(max(s, 1), 1 << 31)))) }
  /// 0, 1, 2, 3, ... as 0, -1, 1, -2, ...: numbers that are not negative would waste the coder's sign.
  private static func folded(_ n: Int) -> Int32 { Int32(n & 1 == 1 ? -(n + 1) / 2 : n / 2) }
  private static func unfolded(_ v: Int32) -> Int { v < 0 ? -2 * Int(v) - 1 : 2 * Int(v) }

  private var countClass: UInt8 { LatentCoding.scaleClass(latents << 9) | 1 }
  /// Of the mean gap where so many that are not zero lie among those from `from` on.
  private func gapClass(_ from: Int, _ left: Int) -> UInt8 { LatentCoding.scaleClass((latents - from) << 12 / (left + 1)) & ~1 }
  private func magnitudeClass(_ i: Int) -> UInt8 { LatentCoding.scaleClass((expected[i] - 4096) / 2) | 1 }

  /// How large latents came out against what was expected: those before one in its patch and those about it in the patches before along each axis.
  private struct Context {
    private let coding: LatentCoding, patches: Index3
    /// Per patch, sums over its latents so far of magnitude over the expected one, or magnitude where less than 1 is expected; 12 fractional bits.
    private var sums: [UInt32]
    private var own = 0, beside: [Int] = []

    /// Latents looked at before one, and on either side of it beside.
    private static let before = 64, around = 4
    /// Weight of the expectation.
    private static let prior = 2048

    init(_ coding: LatentCoding, _ patches: Index3) {
      self.coding = coding; self.patches = patches
      sums = [UInt32](repeating: 0, count: patches.product * (coding.latents + 1))
    }
    mutating func begin(_ p: Int) {
      let width = coding.latents + 1
      own = p * width
      beside = []
      if p % patches.x > 0 { beside.append(own - width) }
      if p / patches.x % patches.y > 0 { beside.append(own - patches.x * width) }
      if p / (patches.x * patches.y) > 0 { beside.append(own - patches.y * patches.x * width) }
    }
    func next(_ i: Int) -> UInt8 {
      let known = coding.known
      let first = max(0, i - Context.before), lower = max(0, i - Context.around), upper = min(coding.latents, i + Context.around + 1)
      var seen = Context.prior + Int(sums[own + i] &- sums[own + first]), expected = Context.prior + Int(known[i] &- known[first])
      for b in beside {
        seen += Int(sums[b + upper] &- sums[b + lower])
        expected += Int(known[upper] &- known[lower])
      }
      let ratio = min(max(seen << 8 / expected, 1), 1 << 20)
      return LatentCoding.scaleClass((coding.expected[i] * ratio) >> 8)
    }
    mutating func take(_ q: Int32, _ i: Int) {
      let share = min(Int(q.magnitude) * (1 << 24 / max(coding.expected[i], 4096)), 1 << 18)
      sums[own + i + 1] = sums[own + i] &+ UInt32(share)
    }
  }
}
