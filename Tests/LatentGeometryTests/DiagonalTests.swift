import LatentGeometry
import Testing

@Suite struct Diagonal {
  /// Dominant sets that are equal, apart, and half in common.
  @Test func overlapsOfCoordinates() {
    let counts = [10.0, 10, 10, 10], strong = [8.0, 4, 0.1, 0.01]
    let same = Overlap(diagonal: strong, strong, counts: counts)
    #expect(same.value == 1 && same.rank == 20 && same.verdict == .defined && same.count == 40)
    #expect(Overlap(diagonal: strong, strong.reversed(), counts: counts).value == 0)
    let half = Overlap(diagonal: strong, [8, 0.1, 4, 0.01], counts: counts)
    #expect(half.value == 0.5 && half.chance == 0.5 && half.corrected == 0)
  }

  @Test func undefinedWhereFlatOrWithoutGap() {
    let counts = [Double](repeating: 4, count: 64)
    let flat = (0..<64).map { 1 + 0.001 * Double($0) }, steep = (0..<64).map { 1 / Double(1 + $0 * $0) }
    #expect(Overlap(diagonal: flat, steep, counts: counts).verdict == .undefinedFlat)
    // Gaps exist but are below what the values are known to.
    let slow = (0..<64).map { 1 / Double(10 + $0) }
    #expect(Overlap(diagonal: slow, slow.reversed(), counts: counts, errors: (slow, slow)).verdict == .undefinedGap)
    #expect(Overlap(diagonal: steep, steep, counts: counts).verdict == .defined)
  }

  /// Bands that stand for many latents give what the latents one by one give.
  @Test func countsStandForLatents() {
    let h = [5.0, 2, 1], g = [1.0, 6, 0.5], counts = [3.0, 2, 4]
    func spread(_ v: [Double]) -> [Double] { zip(v, counts).flatMap { x, n in [Double](repeating: x, count: Int(n)) } }
    let a = Overlap(diagonal: h, g, counts: counts), b = Overlap(diagonal: spread(h), spread(g), counts: spread(h).map { _ in 1 })
    #expect(a.rank == b.rank && abs(a.value - b.value) < 1e-15)
  }
}

@Suite struct Correlations {
  @Test func exactValues() {
    let line = Correlation(predicted: [1, 2, 3, 4], measured: [2, 4, 6, 8], clusters: [0, 0, 1, 1])
    #expect(abs(line.pearson.value - 1) < 1e-15 && abs(line.spearman.value - 1) < 1e-15 && line.slope.value == 2)
    #expect(line.slope.lower == 2 && line.slope.upper == 2)
    #expect(abs(line.rms.value - 7.5.squareRoot()) < 1e-15)
    // Ranks 0 1.5 1.5 3 against 3 2 1 0.
    let ties = Correlation(predicted: [1, 2, 2, 5], measured: [9, 5, 4, 1], clusters: [0, 1, 2, 3])
    #expect(abs(ties.spearman.value + 4.5 / 22.5.squareRoot()) < 1e-14)
    #expect(Correlation(predicted: [1, 1, 1], measured: [1, 2, 3], clusters: [0, 1, 2]).pearson.value.isNaN)
  }
  /// What is not known is left out.
  @Test func skipsUnknown() {
    let c = Correlation(predicted: [1, .nan, 2, 3], measured: [1, 5, 2, 3], clusters: [0, 0, 0, 0])
    #expect(c.count == 3 && abs(c.pearson.value - 1) < 1e-15 && c.pearson.lower.isNaN)
  }
}
