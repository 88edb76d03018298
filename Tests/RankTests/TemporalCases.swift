import Codecs
import Compressor
import Decomposition
import Fields
import Foundation
import MPI
import Support

/// A series in memory, as a simulation codes it: one line per step, the same for every cutting; steps that are not committed leave no trace, and
/// after a reset a step stands alone.
@Sendable func temporalSeries(_ ranks: borrowing Communicator) throws -> String {
  let grid = Grid(shape: Index3(48, 40, 56), periodic: .init(true, true, true))
  func source(_ step: Int, _ cutting: Cutting) -> FieldSource {
    let boxes = cutting.boxes(of: grid, rank: ranks.rank, of: ranks.size)
    let arrays = boxes.map { b -> RawArray in
      let a = SyntheticField.waves(seed: 4).array(b, of: grid, type: .float32), v = a.bound(to: Float.self)
      for z in b.lower.z..<b.upper.z { for y in b.lower.y..<b.upper.y { for x in b.lower.x..<b.upper.x {
        let t = 2 * Double.pi, phase = t * (3 * Double(z) / 48 + Double(y) / 40 - 5 * Double(x) / 56) - 0.2 * Double(step)
        v[b.offset(of: Index3(z, y, x))] += Float(sin(phase))
      } } }
      return a
    }
    return FieldSource(name: "u", grid: grid, type: .float32, components: 1, boxes: boxes, arrays: [arrays])
  }
  func encode(_ step: Int, _ cutting: Cutting, _ series: TemporalSeries) throws -> String {
    let e = try encodeField(source(step, cutting), bound: .psnr(60), tileAccess: true, temporal: series, ranks: ranks)
    var h = Digest()
    h.add(e.coding.serialised)
    for part in try ranks.allGather(e.streams) { h.add(part) }
    return "step \(step) from \(series.pending.references) key \(series.pending.key ?? step) \(e.coding.member.name) \(e.streamBytes) \(h.text)"
  }
  var all: [[String]] = []
  for cutting in [Cutting.slabs, .several] {
    let series = TemporalSeries(keyInterval: 4)
    var lines: [String] = []
    for step in 0..<6 {
      let line = try encode(step, cutting, series)
      if step == 2 {
        series.discard()
        _ = try encode(17, cutting, series)
        series.discard()
        let again = try encode(step, cutting, series)
        try ranks.agree { try expect(again == line, "after discarded steps: \(again), not \(line)") }
      }
      series.commit(step: step, file: "\(step).ald", root: UInt64(step))
      lines.append(line)
    }
    series.reset()
    lines.append(try encode(6, cutting, series))
    all.append(lines)
  }
  try ranks.agree { try expect(all[0] == all[1], "slabs \(all[0])\nseveral \(all[1])") }
  let references = ["[]", "[0]", "[0, 1]", "[1, 2]", "[]", "[4]", "[]"]
  try ranks.agree { try expect(zip(all[0], references).allSatisfy { $0.contains("from \($1) ") }, all[0].joined(separator: "\n")) }
  return all[0].joined(separator: "\n")
}
