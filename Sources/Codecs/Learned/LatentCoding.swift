import CKernels
import Fields

/// How the integer latents of a tile become values with classes of the entropy coder (`ald_entropy.h`), and back; docs/format.md section 7.21.
///
/// Latents lie as [patch][latent], patches in raster order.
public struct LatentCoding: Sendable {
  private let coding: Autoencoder.Coding
  public let latents: Int
  /// Mean magnitudes at the factor, with 12 fractional bits.
  private let expected: [UInt32]

  public init(_ model: Autoencoder, factor: Double) { self.init(model.shape.coding, model.numbers.magnitudes, factor: factor) }
  public init(_ coding: Autoencoder.Coding, _ magnitudes: [Float], factor: Double) {
    self.coding = coding
    latents = magnitudes.count
    expected = magnitudes.map { UInt32(min(max((Double($0) * 4096 / factor).rounded(), 1), 0x1p30)) }
  }

  /// Most values that a tile may become.
  public func capacity(_ patches: Index3) -> Int { patches.product * (coding == .sparse ? 1 + 2 * latents : latents) }

  /// Values and their classes.
  ///
  /// - Parameter q: magnitudes below 2^29.
  /// - Returns: how many there are.
  public func symbols(_ q: UnsafePointer<Int32>, _ patches: Index3, classes: UnsafeMutablePointer<UInt8>, values: UnsafeMutablePointer<Int32>) -> Int {
    let all = patches.product * latents
    var n = 0
    func put(_ v: Int32, _ c: UInt8) {
      values[n] = v; classes[n] = c
      n += 1
    }
    switch coding {
    case .factorized:
      let own = ownClasses
      values.update(from: q, count: all)
      for p in 0..<patches.product { (classes + p * latents).update(from: own, count: latents) }
      return all
    case .contextual:
      values.update(from: q, count: all)
      withContexts(patches) { ald_contexts_classes($0, q, classes) }
      return all
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
      let own = ownClasses
      for p in 0..<patches.product { ald_decode_run(&d, own, latents, q + p * latents) }
    case .contextual:
      withContexts(patches) { ald_contexts_decode($0, &d, q) }
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
  private func magnitudeClass(_ i: Int) -> UInt8 { LatentCoding.scaleClass((Int(expected[i]) - 4096) / 2) | 1 }

  private var ownClasses: [UInt8] { expected.map { LatentCoding.scaleClass(Int($0)) } }

  private func withContexts(_ patches: Index3, _ body: (UnsafePointer<ald_contexts>) -> Void) {
    expected.withUnsafeBufferPointer { e in
      // Begins where 64-bit numbers may.
      withUnsafeTemporaryAllocation(byteCount: 4 * (patches.product + 11) * (latents + 1), alignment: 8) { room in
        var k = ald_contexts(
          patches: (Int64(patches.z), Int64(patches.y), Int64(patches.x)), latents: latents, expected: e.baseAddress,
          sums: room.baseAddress!.assumingMemoryBound(to: UInt32.self))
        body(&k)
      }
    }
  }
}
