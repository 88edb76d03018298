import Codecs
import Decomposition
import Fields
import MPI
import Reduction
import Statistics

// What members have in common that decode a field as a whole.

extension FieldEncoder {
  /// Coefficients of the modes of each component, or of `component` alone, that are this rank's.
  ///
  /// - Collective: all ranks.
  func modes(_ transform: SpectralTransform, of component: Int? = nil, ranks: borrowing Communicator) throws -> [RawArray] {
    let plan = try Redistribution(have: source.boxes, want: [transform.rows], grid: Grid(shape: transform.shape), ranks: ranks)
    defer {
      transform.rest()
      HostHeap.trim()
    }
    return try source.arrays[component.map { $0..<$0 + 1 } ?? 0..<source.arrays.count].map { a in try transform.forward(of: source.type, ranks: ranks) { try plan.move(a, into: [$0], ranks: ranks) } }
  }

  /// Errors of decoded values over all ranks, and this rank's streams of outliers: component after component, so that few values are held.
  ///
  /// - Parameter decoded: of a component what its values are made of, and how: values in the stored type that hold a region's box, none without one. Collective.
  /// - Collective: all ranks.
  func compared(
    ranks: borrowing Communicator, _ decoded: (_ component: Int) throws -> (from: Surroundings, values: (Box?, borrowing Communicator) throws -> RawArray?)
  ) throws -> (statistics: [ErrorStatistics], outliers: [[UInt8]]) {
    var statistics = [ErrorStatistics](repeating: emptyStatistics(), count: layout.components), outliers = [[UInt8]](repeating: [], count: layout.units.count)
    let boxes = layout.regions.map(\.box)
    for c in 0..<layout.components {
      let (from, values) = try decoded(c)
      let given = try Surroundings(have: source.boxes, arrays: [source.arrays[c]], elementSize: source.type.size, wanted: boxes, grid: layout.grid, ranks: ranks)
      try forEachRound(of: [from, given], ranks: ranks) { round in
        let box = round.map { boxes[$0] }, again = try values(box, ranks)
        var original: RawArray?
        try given.forEachComponent(of: box, ranks: ranks) { original = $1.array(holding: box!) }
        guard let round, let again, let original else { return }
        let units = layout.regions[round].tiles.map { $0 * layout.components + c }
        let results = Slots<ErrorStatistics?>(units.count, nil), streams = Slots<[UInt8]>(units.count, []), failures = Slots<(any Error)?>(units.count, nil)
        parallelFor(units.count, threads: threads) { i in
          do {
            let u = try makeUnit(units[i], from: original), d = RawArray(box: u.box, type: source.type)
            d.copy(d.box, from: again)
            u.decoded = d
            var s = emptyStatistics()
            finish(u, statistics: &s)
            results[i] = s
            streams[i] = u.stream.bytes
          } catch { failures[i] = error }
        }
        for i in units.indices {
          if let e = failures[i] { throw e }
          statistics[c].merge(results[i]!)
          outliers[units[i] - layout.units.lowerBound] = streams[i]
        }
      }
    }
    return (try reduce(statistics, ranks: ranks), outliers)
  }
}
