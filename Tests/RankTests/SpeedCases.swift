import Decomposition
import Fields
import MPI
import Observables
import Reduction
import Statistics
import Support

/// Prints rates; part of no test.
func redistributeSpeed(_ ranks: borrowing Communicator) throws -> String {
  let grid = Grid(shape: Index3(256, 256, 256), periodic: .init(true, true, true)), tiles = TileGrid(shape: grid.shape)
  let have = [Partition.slabs(of: grid, ranks: ranks.size)[ranks.rank]]
  var lines: [String] = []
  for halo in [0, 8] {
    let want = regions(of: tiles.range(rank: ranks.rank, of: ranks.size), in: tiles, maximumCells: 1 << 22).map { $0.box.dilated(by: halo, in: grid) }
    let source = have.map { RawArray(box: $0, type: .float32, zeroed: true) }
    let out = want.map { RawArray(box: $0, type: .float32, zeroed: true) }
    let clock = ContinuousClock()
    var plan: Redistribution?
    let t0 = try clock.measure { plan = try Redistribution(have: have, want: want, grid: grid, ranks: ranks) }
    var best = Duration.seconds(1e9)
    for _ in 0..<7 { best = min(best, try clock.measure { try plan!.move(source, into: out, ranks: ranks) }) }
    let bytes = try ranks.allReduce(want.reduce(0) { $0 + $1.count * 4 }, .sum)
    lines.append("halo \(halo): plan \(t0), move \(best), \(Int(Double(bytes) / 1e6 / (best / .seconds(1)))) MB/s, sent \(plan!.cellsSent * 4) of \(bytes) B, \(want.count) boxes")
  }
  let many = Grid(shape: Index3(160, 160, 160), periodic: .init(true, true, true)), fine = TileGrid(shape: many.shape, edge: Index3(16, 16, 16))
  let mine = fine.range(rank: ranks.rank, of: ranks.size).map { fine.box($0) }
  let t = try ContinuousClock().measure {
    _ = try Redistribution(have: mine, want: mine.map { $0.dilated(by: 4, in: many) }, grid: many, ranks: ranks)
  }
  lines.append("plan of \(fine.count) boxes each way: \(t)")
  return lines.joined(separator: "\n")
}

/// Prints rates on one tile of 64^3; part of no test.
func statisticsSpeed(_ ranks: borrowing Communicator) throws -> String {
  var lines: [String] = []
  for type in ScalarType.allCases {
    for shape in [Index3(64, 64, 64), Index3(1, 512, 512)] {
      let box = Box(shape: shape), grid = Grid(shape: shape), cells = box.count
      let a = SyntheticField.waves(seed: 1).array(box, of: grid, type: type), b = SyntheticField.waves(seed: 2).array(box, of: grid, type: type)
      let m = RawArray(box: box, elementSize: 1)
      for i in 0..<cells { m.bound(to: UInt8.self)[i] = 1 }
      func rate(_ work: () -> Void) -> Int {
        var best = Duration.seconds(1e9)
        for _ in 0..<15 { best = min(best, ContinuousClock().measure(work)) }
        return Int(Double(cells * type.size) / 1e6 / (best / .seconds(1)))
      }
      var s = ErrorStatistics(scale: 1e-3, minimum: -2, maximum: 2)
      let plain = rate { s.add(tile: box, original: a, decoded: b, type: type) }
      let masked = rate { s.add(tile: box, original: a, decoded: b, type: type, mask: m) }
      lines.append("\(type.name) \(shape): errors \(plain) MB/s, masked \(masked) MB/s")
    }
  }
  return lines.joined(separator: "\n")
}

/// Prints seconds for three components of 128^3; part of no test.
func spectraSpeed(_ ranks: borrowing Communicator) throws -> String {
  let grid = Grid(shape: Index3(128, 128, 128), periodic: .init(true, true, true))
  return try withRankDomain(grid, ranks: ranks) { domain in
    let checks = ObservableChecks(domain), u = checks.noise(components: 3, seed: 1), o = EnergySpectrum()
    var lines: [String] = []
    func best(_ name: String, _ work: () throws -> Void) throws {
      var best = Duration.seconds(1e9)
      for _ in 0..<5 { best = min(best, try ContinuousClock().measure(work)) }
      lines.append("\(name) \(best)")
    }
    var spectra: [SpectralPart] = [], value = ObservableValue.vector([])
    try best("transform") { spectra = try domain.transformed(u) }
    try best("inverse") { _ = try domain.inverse(spectra) }
    try best("halo 2") { _ = try domain.haloed(u, width: 2) }
    try best("spectrum") { value = try o.value(of: u, on: domain) }
    try best("its tangent") { _ = try o.tangent(at: u, along: u, on: domain) }
    try best("its adjoint") { _ = try o.adjoint(at: u, of: value, on: domain) }
    return lines.joined(separator: "\n")
  }
}
