import CAlidade
import Compressor
import Glibc
import MPI

/// The velocity as a series of containers, handed over as any simulation would: through the functions of `alidade.h`, from where the solver holds it.
final class SeriesOutput {
  private var writer: OpaquePointer?
  private var fields: [Int32] = []
  private let grid: SpectralGrid
  private let isBeside: Bool
  private var number: Int64 = 0, request: Int64 = 0, isOver: Int32 = 1
  /// Inside the library, on this rank.
  private(set) var seconds = 0.0

  /// - Collective: all ranks.
  init(_ path: String, _ s: Settings, _ grid: SpectralGrid, _ ranks: borrowing Communicator) throws {
    self.grid = grid
    isBeside = s.isBeside
    var options = ald_options(), writer: OpaquePointer?
    options.size = MemoryLayout<ald_options>.size
    options.opening = Int32(ALD_REPLACE.rawValue)
    options.key_interval = Int32(s.keyInterval)
    try must(ald_open(ranks.handle, path, &options, &writer))
    self.writer = writer
    let n = Int64(grid.n), spacing = 2 * Double.pi / Double(n)
    try must(ald_grid(writer, 3, [n, n, n], [1, 1, 1]))
    for axis in 0..<3 { try must(ald_uniform(writer, Int32(axis), 0, spacing)) }
    try must(ald_boxes(writer, grid.z.isEmpty ? 0 : 1, [Int64(grid.z.lowerBound), 0, 0], [Int64(grid.z.count), n, n]))
    for name in ["u", "v", "w"] {
      var o = ald_field_options(), field: Int32 = -1
      o.size = MemoryLayout<ald_field_options>.size
      o.centring = Int32(ALD_POINT.rawValue)
      o.bound = ald_bound(kind: Int32(ALD_PSNR.rawValue), value: s.psnr)
      try must(ald_field(writer, name, &o, &field))
      fields.append(field)
    }
    try must(ald_vector(writer, "velocity", 3, fields))
    try must(ald_commit(writer))
  }

  /// - Collective: all ranks.
  func write(_ velocity: VectorBlock, time: Double) throws {
    try timed {
      try must(ald_begin(writer, number, time))
      number += 1
      let row = Int64(2 * grid.row)
      if !grid.z.isEmpty { for (f, b) in zip(fields, velocity.all) { try must(ald_put(writer, f, 0, b.values, [Int64(grid.n) * row, row, 1])) } }
      if isBeside {
        isOver = 0
        try must(ald_end_async(writer, &request))
      } else { try must(ald_end(writer)) }
    }
  }

  /// Between two steps of the solver: goes on with what is coded beside it.
  ///
  /// - Collective: all ranks.
  func goOn() throws { if isOver == 0 { try timed { try must(ald_test(writer, request, &isOver)) } } }

  /// - Collective: all ranks.
  func close() throws { try timed { try must(ald_close(&writer)) } }

  private func timed(_ body: () throws -> Void) rethrows {
    let start = PhaseClock.now()
    defer { seconds += PhaseClock.now() - start }
    try body()
  }
  private func must(_ status: Int32) throws {
    if status != 0 { throw Failure(.inputOutput, "output: \(String(cString: ald_last_error(writer)))") }
  }
}
