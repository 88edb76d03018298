import Fields
import Foundation
@testable import Observables
import Support
import Testing

/// Restored fields are projections: what is asked for is there after one step, what needed nothing is left alone (THEORY 3).
@Suite struct RestorationTests {
  static let grid = Grid(shape: Index3(12, 16, 10), periodic: .init(true, true, true))

  private func largest(_ a: FieldParts, _ b: FieldParts) -> Double {
    zip(a, b).reduce(0) { m, p in zip(p.0.values, p.1.values).reduce(m) { max($0, abs($1.0 - $1.1)) } }
  }

  @Test(arguments: [1, 2, 4]) func meansAreThoseOfTheOriginal(participants: Int) throws {
    for masked in [0, 7] {
      _ = try SplitWorld(Self.grid, participants: participants).run { d in
        let c = ObservableCase(text: "", components: 2, grid: Self.grid), u = c.field(1, d, offset: 3, masked: masked), v = c.field(2, d, offset: 2, masked: masked)
        let r = try FieldRestoration(of: u, kinds: [.totals], componentOfAxis: [], precision: 0x1p-50, on: d), w = try r.applied(to: v, on: d)
        let o = try ObservableCatalogue().observable("mean")
        guard case .vector(let wanted) = try o.value(of: u, on: d), case .vector(let found) = try o.value(of: w, on: d) else { return }
        for (a, b) in zip(found, wanted) { #expect(abs(a - b) <= 1e-12 * abs(b), "\(a) for \(b)") }
        // Only the mean has moved, and where it is right nothing does.
        for (p, q) in zip(w, v) {
          let moves = zip(p.values, q.values).filter { $0.0.isFinite }.map { $0.0 - $0.1 }
          #expect((moves.max() ?? 0) - (moves.min() ?? 0) <= 4e-15)
          #expect(zip(p.values, q.values).allSatisfy { $0.isFinite == $1.isFinite })
        }
        let again = try r.applied(to: w, on: d)
        #expect(zip(again, w).allSatisfy { zip($0.values, $1.values).allSatisfy { !$0.isFinite || abs($0 - $1) <= 1e-15 * 4 } })
      }
    }
  }

  /// Both derivatives: the divergence is 0 to rounding after one step, a solenoidal field stays.
  @Test(arguments: FieldRestoration.Derivative.allCases) func divergenceVanishes(derivative: FieldRestoration.Derivative) throws {
    let d = SoleDomain(Self.grid), c = ObservableCase(text: "", components: 3, grid: Self.grid), v = c.field(2, d)
    var r = FieldRestoration()
    r.derivative = derivative
    r.componentOfAxis = [2, 1, 0]
    let w = try r.applied(to: v, on: d), again = try r.applied(to: w, on: d)
    #expect(largest(w, again) <= 1e-14)
    #expect(largest(w, v) > 0.1)
    if derivative == .centred {
      let o = try ObservableCatalogue().observable("divergence")
      func size(_ u: FieldParts) throws -> Double { if case .field(let f) = try o.value(of: u, on: d) { f[0].values.reduce(0) { max($0, abs($1)) } } else { .nan } }
      #expect(try size(w) <= 1e-12 * size(v))
    }
  }

  /// E(k) up to the rounding of the stored gains, one step; twice is once.
  @Test func spectrumIsThatOfTheOriginal() throws {
    let d = SoleDomain(Self.grid), c = ObservableCase(text: "", components: 3, grid: Self.grid), u = c.field(1, d), v = c.field(at: u, plus: 0.3, c.field(2, d))
    var r = try FieldRestoration(of: u, kinds: [.spectrum], componentOfAxis: [], precision: 0x1p-50, on: d)
    try r.setGains(original: u, decoded: v, on: d)
    let o = EnergySpectrum(), w = try r.applied(to: v, on: d)
    guard case .vector(let wanted) = try o.value(of: u, on: d), case .vector(let found) = try o.value(of: w, on: d) else { return }
    for (a, b) in zip(found, wanted) { #expect(abs(a / b - 1) <= 1.3e-7, "\(a) for \(b)") }
    var second = r
    try second.setGains(original: u, decoded: w, on: d)
    #expect(second.gains.allSatisfy { abs($0 - 1) <= 2e-7 })
  }
}
