import Compressor
import Fields
@testable import InSitu
import Testing

/// What keeps a run within its bytes and seconds.
@Suite struct LimitTests {
  private func step(bytes: Int) -> StepResult {
    var f = FieldReport(name: "u", step: 0), r = StepResult()
    f.bound = .init(kind: "abs", value: 1, absolute: 1)
    f.validValues = 80_000
    r.fields = [f]
    r.fileBytes = bytes
    return r
  }

  /// Halving an error costs a bit per value: what is left of the budget becomes sixteenths of halvings, never a looser bound.
  @Test func bytesLeftMakeErrorsSmaller() {
    var b = Budget(bytesPerStep: 20_000)
    #expect(b.spent(on: .absolute(1)) == .absolute(1))
    b.account(for: step(bytes: 10_000))
    // 10000 bytes left, and a quarter of those saved: 12500 bytes are 1.25 bits per value.
    #expect(b.halvings == 1.25)
    guard case .absolute(let e) = b.spent(on: .absolute(1)) else { Issue.record("another bound"); return }
    #expect(e == 0.5 * 0.5.squareRoot().squareRoot())
    #expect(b.spent(on: .lossless) == .lossless)
    guard case .psnr(let db) = b.spent(on: .psnr(60)) else { Issue.record("another bound"); return }
    #expect(abs(db - 67.526) < 1e-3)
    for _ in 0..<50 { b.account(for: step(bytes: 1_000_000)) }
    #expect(b.halvings == 0 && b.spent(on: .absolute(1)) == .absolute(1))
    for _ in 0..<400 { b.account(for: step(bytes: 0)) }
    #expect(b.halvings == 24)
  }

  /// One thing more is left out after each step that was too slow; it comes back where it would fit, by what it had cost.
  @Test func secondsTakeOneThingAfterTheOther() {
    var c = TimeCap(seconds: 1, rungs: [.observables, .verification])
    #expect(c.leftOut.isEmpty)
    c.account(slowest: 2)
    #expect(c.leftOut == [.observables])
    c.account(slowest: 1.6)
    #expect(c.leftOut == [.observables, .verification])
    c.account(slowest: 0.8)
    // With verification it would be 1.6 again.
    #expect(c.leftOut == [.observables, .verification])
    c.account(slowest: 5)
    #expect(c.leftOut == [.observables, .verification])
    c.account(slowest: 0.39)
    #expect(c.leftOut == [.observables])
    // Observables cost a quarter more.
    c.account(slowest: 0.7)
    #expect(c.leftOut == [.observables])
    c.account(slowest: 0.6)
    #expect(c.leftOut.isEmpty)
    var none = TimeCap(seconds: 0, rungs: [.verification])
    none.account(slowest: 1e9)
    #expect(none.leftOut.isEmpty)
  }
}
