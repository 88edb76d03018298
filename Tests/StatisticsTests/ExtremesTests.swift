import Statistics
import Support
import Testing

@Suite struct ExtremesTests {
  /// Equal minima are the same bits, and the grouping of parts does not matter.
  @Test func zerosArePositive() {
    var a = Extremes(minima: [-0.0], maxima: [-0.0])
    a.merge(Extremes(minima: [0], maxima: [0]))
    #expect(a.minima[0].sign == .plus && a.maxima[0].sign == .plus)
  }

  @Test func partsMerge() {
    var g = SplitMix64(seed: 2)
    let v = (0..<100).map { _ in 2 * g.uniform() - 1 }
    var whole = Extremes(minima: [.infinity], maxima: [-.infinity])
    for x in v.shuffled(using: &g) { whole.merge(Extremes(minima: [x], maxima: [x])) }
    var halves = Extremes(minima: [v[..<50].min()!], maxima: [v[..<50].max()!])
    halves.merge(Extremes(minima: [v[50...].min()!], maxima: [v[50...].max()!]))
    #expect(whole == halves && whole.minima[0] == v.min()! && whole.maxima[0] == v.max()!)
  }
}
