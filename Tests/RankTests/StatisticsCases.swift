import Decomposition
import Fields
import MPI
import Reduction
import Statistics
import Support

/// Prints everything that must not depend on the number of ranks, as bits.
func statistics(_ ranks: borrowing Communicator) throws -> String {
  var digest: [String] = []
  for type in ScalarType.allCases {
    let grid = Grid(shape: Index3(91, 45, 77)), tiles = TileGrid(shape: grid.shape, edge: Index3(16, 16, 16))
    var errors: [ErrorStatistics] = []
    let slab = Partition.slabs(of: grid, ranks: ranks.size)[ranks.rank]
    var range = Extremes(minima: [.infinity], maxima: [-.infinity])
    let waves = SyntheticField.waves(seed: 3).array(slab, of: grid, type: type)
    for i in 0..<waves.count {
      let v = type == .float32 ? Double(waves.bound(to: Float.self)[i]) : waves.bound(to: Double.self)[i]
      range = Extremes(minima: [min(range.minima[0], v)], maxima: [max(range.maxima[0], v)])
    }
    range = try reduce(range, ranks: ranks)
    var scattered = ExactSum()
    for masked in [false, true] {
      var s = ErrorStatistics(scale: 1e-3, minimum: range.minima[0], maximum: range.maxima[0])
      for region in regions(of: tiles.range(rank: ranks.rank, of: ranks.size), in: tiles, maximumCells: 50_000) {
        let a = SyntheticField.waves(seed: 3).array(region.box, of: grid, type: type)
        let b = SyntheticField.waves(seed: 4).array(region.box, of: grid, type: type)
        let m = RawArray(box: region.box, elementSize: 1)
        let noise = SyntheticField.noise(seed: 5).array(region.box, of: grid, type: .float32)
        withExtendedLifetime((m, noise)) {
          let v = noise.bound(to: Float.self)
          for i in 0..<m.count {
            m.bound(to: UInt8.self)[i] = v[i] > -0.99 ? 1 : 0
            scattered.add(Double(v[i]) * (v[i] > 0 ? 1e300 : 1e-300))
            scattered.add(Double(v[i]) * -1e300)
          }
        }
        for t in region.tiles { s.add(tile: tiles.box(t), original: a, decoded: b, type: type, mask: masked ? m : nil) }
      }
      errors.append(s)
    }
    let merged = try reduce(errors, scattered, IntegerSums([tiles.range(rank: ranks.rank, of: ranks.size).count]), ranks: ranks)
    try ranks.agree { try expect(merged.2.values == [tiles.count], "tiles") }
    digest.append("\(type.name) range \(range.minima[0].bitPattern) \(range.maxima[0].bitPattern)")
    digest.append("scattered \(String(merged.1.value.bitPattern, radix: 16))")
    for s in merged.0 { digest.append(describe(s)) }
  }
  // Every rank must have the same.
  let text = digest.joined(separator: "\n")
  let all = try ranks.allGather([UInt8](text.utf8))
  try ranks.agree { try expect(all.allSatisfy { $0 == all[0] }, "results differ between ranks") }
  return text
}

private func describe(_ s: ErrorStatistics) -> String {
  let values: [Double?] = [
    s.maximumError, s.rmse, s.nrmse, s.psnr, s.bias, s.ssim, s.autocorrelation(axis: 0), s.autocorrelation(axis: 1),
    s.autocorrelation(axis: 2), s.originalSum.value, s.decodedSum.value, s.originalSquares.value, s.decodedSquares.value,
  ]
  return "\(s.count) \(s.maskedCount) \(s.below) \(s.above) \(s.ssimCount) \(s.lagCounts) \(s.histogram) "
    + values.map { "\($0.map { String($0.bitPattern, radix: 16) } ?? "nil")" }.joined(separator: " ")
}
