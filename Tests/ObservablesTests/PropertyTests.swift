import Fields
import Foundation
import Observables
import Support
import Testing

@Suite struct Properties {
  /// Adjoint, differences, bits on 1, 2, 4 and 8 participants, positive scales, canonical names.
  @Test(arguments: ObservableCase.all)
  func holds(_ c: ObservableCase) throws {
    let alone = try SplitWorld(c.grid, c.coordinates, participants: 1).run { try c.outcome(on: $0) }[0]
    try check(alone, c)
    for participants in [2, 4, 8] {
      for part in try SplitWorld(c.grid, c.coordinates, participants: participants).run({ try c.outcome(on: $0) }) {
        #expect(part == alone, "\(c) on \(participants) participants")
      }
    }
    // The canonical text gives the same observable, which needs no calibration.
    let again = try ObservableCatalogue().observable(alone.specification)
    #expect(again.specification == alone.specification)
  }

  func check(_ o: ObservableCase.Outcome, _ c: ObservableCase) throws {
    #expect(o.dotError <= o.dotBound, "\(c): dot test \(o.dotError) > \(o.dotBound)")
    if c.linear {
      #expect(o.differences[0] <= 1e-14 * max(o.sizes[0], 1e-300), "\(c): differences \(o.differences)")
    } else if o.differences[1] > 1e-11 * o.sizes[1] {
      // Quadratic observables leave nothing but rounding.
      let slope = log10(o.differences[0] / o.differences[1])
      #expect(abs(slope - 3) <= 0.2, "\(c): differences \(o.differences), slope \(slope)")
    } else {
      #expect(o.differences[0] <= 1e-4 * o.sizes[0], "\(c): differences \(o.differences)")
    }
    #expect(o.curvatureError < 1e-5, "\(c): curvature \(o.curvatureError)")
    #expect(o.scales.allSatisfy { $0.isFinite && $0 > 0 }, "\(c)")
    #expect(o.values.contains { $0 != 0 } || o.fields.joined().contains { $0 != 0 }, "\(c): all values are 0")
  }
}
