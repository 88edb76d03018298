import Codecs
import Decomposition
import Fields
import MPI
import Reduction
import Statistics

// What members have in common that decode a field as a whole.

extension FieldEncoder {
  /// Coefficients of the modes of each component that are this rank's.
  ///
  /// - Collective: all ranks.
  func modes(_ transform: SpectralTransform, ranks: borrowing Communicator) throws -> [RawArray] {
    let plan = try Redistribution(have: source.boxes, want: [transform.rows], grid: Grid(shape: transform.shape), ranks: ranks)
    defer { transform.rest() }
    return try source.arrays.map { arrays in
      let values = RawArray(box: transform.rows, type: source.type)
      try plan.move(arrays, into: [values], ranks: ranks)
      return try transform.forward(values, ranks: ranks)
    }
  }

  /// Errors of decoded values over all ranks, and this rank's streams of outliers.
  ///
  /// - Parameter decoded: of each component values in the stored type that hold a region's box; `nil`: this rank has none in this round. Collective.
  /// - Collective: all ranks.
  func compared(ranks: borrowing Communicator, _ decoded: (Box?) throws -> [RawArray]) throws -> (statistics: [ErrorStatistics], outliers: [[UInt8]]) {
    var statistics = [ErrorStatistics](repeating: emptyStatistics(), count: layout.components), outliers: [[UInt8]] = []
    let boxes = layout.regions.map(\.box)
    let given = try Surroundings(have: source.boxes, arrays: source.arrays, elementSize: source.type.size, wanted: boxes, grid: layout.grid, ranks: ranks)
    for round in 0..<layout.rounds {
      let box = round < boxes.count ? boxes[round] : nil
      let again = try decoded(box)
      var original: [RawArray] = []
      try given.forEachComponent(of: box, ranks: ranks) { _, cells in original.append(cells.array(holding: box!)) }
      try ranks.agree {
        guard box != nil else { return }
        let units = layout.regions[round].tiles.flatMap { t in (0..<layout.components).map { t * layout.components + $0 } }
        let results = Slots<ErrorStatistics?>(units.count, nil), streams = Slots<[UInt8]>(units.count, []), failures = Slots<(any Error)?>(units.count, nil)
        parallelFor(units.count, threads: threads) { i in
          let c = layout.component(of: units[i])
          do {
            let u = try makeUnit(units[i], from: original[c]), d = RawArray(box: u.box, type: source.type)
            d.copy(d.box, from: again[c])
            u.decoded = d
            var s = emptyStatistics()
            finish(u, statistics: &s)
            results[i] = s
            streams[i] = u.stream.bytes
          } catch { failures[i] = error }
        }
        for i in units.indices {
          if let e = failures[i] { throw e }
          statistics[layout.component(of: units[i])].merge(results[i]!)
        }
        outliers += streams.array
      }
    }
    return (try reduce(statistics, ranks: ranks), outliers)
  }
}
