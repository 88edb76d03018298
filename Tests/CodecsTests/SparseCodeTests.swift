@testable import Codecs
import Support
import Testing

@Suite struct SparseCodeTests {
  @Test func comesBack() throws {
    var g = SplitMix64(seed: 4)
    let large = (0..<64).map { _ in g.uniform() < 0.2 ? Int32(truncatingIfNeeded: Int(g.uniform() * 0x1p30)) - (1 << 29) : 0 }
    let full = (0..<64).map { Int32($0 % 7) - 8 }, last = (0..<64).map { Int32($0 == 63 ? Int32.max : 0) }
    for (vectors, channels) in [([[Int32](repeating: 0, count: 64), full, last, large], 4), ([[5], [0], [-1]], 1), ([[], []], 3), ([], 1)] {
      #expect(try SparseCode.decoded(SparseCode.encoded(vectors, channels: channels)) == vectors)
    }
  }

  /// Bits per non-zero place of a Bernoulli(0.03) support: H_2(rho) / rho = 6.48; a sign and a magnitude that is always 1 add one bit and next to nothing.
  @Test func gapsCostTheirEntropy() throws {
    var g = SplitMix64(seed: 1)
    let v = (0..<2_000_000).map { _ -> Int32 in g.uniform() < 0.03 ? 1 : 0 }, k = v.reduce(0) { $0 + Int($1) }
    let bits = 8 * Double(SparseCode.encoded([v], channels: 1).count) / Double(k) - 1
    #expect(abs(bits / 6.4797 - 1) < 0.02, "\(bits)")
  }

  @Test func damageIsAnError() throws {
    let bytes = SparseCode.encoded([(0..<256).map { Int32($0 % 9 == 0 ? $0 - 100 : 0) }], channels: 8)
    for i in bytes.indices { for bit in 0..<8 {
      var b = bytes
      b[i] ^= 1 << UInt8(bit)
      // Anything but a trap: other numbers, or the error.
      _ = try? SparseCode.decoded(b, limit: 1 << 14)
    } }
    #expect(throws: StreamError.self) { try SparseCode.decoded([]) }
    #expect(throws: StreamError.self) { try SparseCode.decoded([0xFF, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0x7F, 1]) }
  }
}
