import CKernels

/// Discrete Fourier transforms of lines of one length in double precision; the same bits for a line wherever it is transformed.
package final class FourierAxis: @unchecked Sendable {
  package let count: Int
  private let plan: OpaquePointer

  package init(_ count: Int) {
    guard let plan = ald_fft_create(Int64(count), 8) else { preconditionFailure("out of memory: transform of length \(count)") }
    self.count = count; self.plan = plan
  }
  deinit { ald_fft_free(plan) }

  /// Real rows, one after another, to rows of `count / 2 + 1` complex numbers.
  package func real(_ values: UnsafePointer<Double>, to half: UnsafeMutablePointer<Double>, rows: Int) {
    ald_fft_real(plan, values, Int64(count), half, Int64(count / 2 + 1), Int64(rows))
  }
  /// And back, times `count`.
  package func real(from half: UnsafePointer<Double>, to values: UnsafeMutablePointer<Double>, rows: Int) {
    ald_fft_half(plan, half, Int64(count / 2 + 1), values, Int64(count), Int64(rows))
  }
  /// `lines` complex lines side by side in each of `blocks` blocks, in place.
  package func complex(_ values: UnsafeMutablePointer<Double>, backward: Bool, lines: Int, blocks: Int) {
    if count == 1 { return }
    for b in 0..<blocks {
      let block = values + 2 * b * count * lines
      ald_fft_lines(plan, backward ? 1 : 0, block, Int64(lines), block, Int64(lines), Int64(lines))
    }
  }
}

/// cos(2 pi k / n), the same bits everywhere.
func cosine(_ k: Int, of n: Int) -> Double {
  var c = 0.0, s = 0.0
  ald_fft_root(Int64(k), Int64(n), &c, &s)
  return c
}
