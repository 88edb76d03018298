import Fields
import Statistics
import Support
import Testing
@testable import Observables

/// Observables evaluated row by row are those evaluated field by field, bit by bit.
@Suite struct RowTests {
  static let texts = ["vorticity", "gradient", "divergence", "strain", "field", "enstrophy", "totalenstrophy", "dissipation(nu=0.1)", "totaldissipation",
                      "qcriterion", "kineticenergy", "pdf(of=vorticity)", "pdf(of=gradient,bins=7)", "histogram", "pdf(min=-0.5,max=0.25)"]
  static let grids = [Grid(shape: Index3(6, 7, 9), dimensions: 3, periodic: .init(true, true, true)), Grid(shape: Index3(5, 8, 6), dimensions: 3),
                      Grid(shape: Index3(4, 5, 11), dimensions: 3, periodic: .init(false, true, true)), Grid(shape: Index3(2, 3, 2), dimensions: 3),
                      Grid(shape: Index3(2, 1, 3), dimensions: 3, periodic: .init(true, true, true))]

  /// Sums and values as bits; `rows`: by rows, else by fields.
  private static func numbers(_ c: ObservableCase, rows: Bool, on domain: any Domain) throws -> [UInt64]? {
    let u = c.field(1, domain), v = c.field(2, domain, scale: 0.3, masked: c.masked), all = try texts.map { try ObservableCatalogue().observable($0) }
    let list = try RowComparison.calibrated(all, to: u, on: domain)
    guard rows else {
      return try list.flatMap { o -> [UInt64] in
        let o = try (o as? any CalibratedObservable)?.calibrated(to: u, on: domain) ?? o
        let a = try o.value(of: u, on: domain), b = try o.value(of: v, on: domain)
        guard case .field(let x) = a, case .field(let y) = b else { return (a.vector + b.vector).map(\.bitPattern) }
        var sums = [ExactSum](repeating: ExactSum(), count: 3)
        for (p, q) in zip(x, y) {
          for (s, t) in zip(p.values, q.values) { sums[0].add(s * s); sums[1].add(t * t); sums[2].add((t - s) * (t - s)) }
        }
        return try domain.sums(sums).map(\.bitPattern)
      }
    }
    return try RowComparison(list, [u, v], on: domain)?.compared(u, v).flatMap { c -> [UInt64] in
      switch c {
      case .squares(let a, let b, let d, _): [a, b, d].map(\.bitPattern)
      case .vectors(let a, let b): (a + b).map(\.bitPattern)
      }
    }
  }

  @Test(arguments: grids) func bits(grid: Grid) throws {
    for text in ["x"] {
      let c = ObservableCase(text: text, components: 3, grid: grid), expected = try RowTests.numbers(c, rows: false, on: SoleDomain(grid))
      #expect(try RowTests.numbers(c, rows: true, on: SoleDomain(grid)) == expected, "\(grid)")
      // Two participants are cut along z; eight also along x, where rows do not do.
      for n in [2, 4] {
        for part in try SplitWorld(grid, participants: n).run({ try RowTests.numbers(c, rows: true, on: $0) }) { #expect(part == expected, "\(grid) \(n)") }
      }
      #expect(try SplitWorld(grid, participants: 8).run { try RowTests.numbers(c, rows: true, on: $0) }.allSatisfy { $0 == nil })
    }
    var masked = ObservableCase(text: "x", components: 3, grid: grid)
    masked.masked = 2
    #expect(try RowTests.numbers(masked, rows: true, on: SoleDomain(grid)) == nil)
  }
}
