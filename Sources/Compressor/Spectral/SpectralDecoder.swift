import Codecs
import Decomposition
import Fields
import MPI
import Reduction
import SnapshotIO

/// The values of a spectral field over all ranks: whole, or band-limited on a coarser grid.
final class SpectralDecoder {
  /// Number of streams before those of the tiles.
  let chunkCount: Int
  /// In the stored type, on `rows`; outliers are not yet put right.
  let values: [RawArray]
  let rows: Box
  let shape: Index3

  /// - Parameter level: as of `SpectralModes`; below the highest only its chunks are read.
  /// - Parameter check: is told the number of chunks.
  /// - Parameter read: the bytes of streams.
  /// - Parameter named: says of an error which chunk it is in, `nil`: the header.
  /// - Throws: `StreamError` by way of `named`, on all ranks.
  /// - Collective: all ranks.
  init(
    _ coding: FieldCoding, _ settings: SpectralSettings, type: ScalarType, shape whole: Index3, level: Int, threads: Int, ranks: borrowing Communicator,
    check: (Int) throws -> Void, read: ([Int]) throws -> [[UInt8]], named: (Int?, () throws -> Void) throws -> Void
  ) throws {
    let all = settings.modes(whole), components = settings.means.count
    let chunks = all.chunks(components: components), wanted = chunks.prefix { $0.level <= level }
    chunkCount = chunks.count
    let shape = SpectralModes.coarse(whole, level: level)
    self.shape = shape
    let mine = ranks.share(of: wanted.count)
    // No chunk: only the mean is left, of an empty set.
    let set = wanted.isEmpty ? SpectralModes.box(whole, extent: Index3(0, 0, 0)) : all.box(level: level)
    let transform = try SpectralTransform(shape, modes: set, ranks: ranks)
    rows = transform.rows
    try ranks.agree { try check(chunks.count) }
    let boxes = wanted[mine].map(\.boxes), flat = boxes.flatMap { $0 }
    let pieces = flat.map { b in (0..<components).map { _ in RawArray(box: transform.place(b), elementSize: 4) } }
    var weights: ShellWeights?
    try ranks.agree {
      var header: (ClassTables, SpectralScales)?
      try named(nil) {
        if !coding.shellWeights.isEmpty { weights = try ShellWeights(serialised: coding.shellWeights, components: components, radius: all.radius) }
      }
      try named(nil) { header = (try ClassTables(serialised: coding.tables), try SpectralScales(serialised: coding.model, components: components, radius: all.radius)) }
      let (tables, scales) = header!
      let coder = SpectralCoder(all, components: components, scales: scales, symmetries: settings.symmetries)
      let bytes = try read(Array(mine)), failures = Slots<(any Error)?>(mine.count, nil)
      var starts = [0]
      for b in boxes { starts.append(starts.last! + b.count) }
      parallelFor(mine.count, threads: threads) { i in
        do { try coder.decode(wanted[mine.lowerBound + i], bytes[i], tables, into: Array(pieces[starts[i]..<starts[i + 1]])) } catch { failures[i] = error }
      }
      for (i, e) in failures.array.enumerated() { if let e { try named(mine.lowerBound + i) { throw e } } }
    }
    let k = quantiser(step: coding.step, shifts: coding.shifts)
    let box = transform.mine, place = transform.place(box)
    let some = !wanted.isEmpty
    let plan = try Redistribution(have: flat.map { transform.place($0) }, want: [place], grid: transform.grid, ranks: ranks, requireCover: some)
    let numbers = try (0..<components).map { c in
      let q = RawArray(box: place, elementSize: 4, zeroed: !some), a = transform.coefficients()
      try plan.move(pieces.map { $0[c] }, into: [q], ranks: ranks)
      dequantise(q, k, into: a)
      return a
    }
    let frame = settings.frame(whole), n = box.shape
    if !box.isEmpty {
      parallelFor(n.z, threads: threads) { z in
        for y in 0..<n.y {
          let rows = numbers.map { $0.bound(to: Double.self) + (z * n.y + y) * 2 * n.x }
          weights?.divide(all, box.lower.z + z, box.lower.y + y, box, rows)
          frame.backward(box.lower.z + z, box.lower.y + y, box, rows)
        }
      }
    }
    values = try zip(numbers, settings.means).map { try transform.backward($0, adding: $1, as: type, ranks: ranks) }
  }
}
