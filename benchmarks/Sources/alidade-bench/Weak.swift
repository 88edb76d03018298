import Compressor
import Decomposition
import Fields
import Foundation
import MPI
import SnapshotIO

extension Main {
  /// Wall seconds of compressing (checked) and decompressing one cube per rank, cubes stacked along the slowest axis.
  ///
  /// Prints the fastest of `--runs`; `scaling.sh` compares ranks of one job with independent jobs of one rank.
  /// - Collective: all ranks.
  static func weak(_ a: Arguments, ranks: borrowing Communicator) throws {
    let edge = try a.edge(128), runs = try a.integer("runs", 3)
    let grid = Grid(shape: Index3(edge * ranks.size, edge, edge))
    let box = Partition.slabs(of: grid, ranks: ranks.size)[ranks.rank]
    let array = RawArray(box: box, type: .float32)
    Turbulence(edge: edge, seed: UInt64(ranks.rank + 1)).values().withUnsafeBytes { array.pointer.copyMemory(from: $0.baseAddress!, byteCount: array.byteCount) }
    let source = FieldSource(name: "cube", grid: grid, type: .float32, components: 1, boxes: [box], arrays: [[array]])
    let description = FieldDescription(name: "cube", type: .float32, shape: [grid.shape.z, edge, edge], axes: "zyx")
    // One file per job: independent jobs run at the same time.
    let job = try ranks.allReduce(Int(ProcessInfo.processInfo.processIdentifier), .max)
    let path = scratch(a, "weak-\(job).ald")
    var compress: [Double] = [], decompress: [Double] = []
    for run in 0...runs {
      _ = try ranks.allReduce(0, .max)
      var start = PhaseClock.now()
      let encoded = try encodeField(source, bound: .psnr(try a.number("psnr", 80)), tileAccess: a["access"] != "any", ranks: ranks)
      let t = try ranks.allReduce(PhaseClock.now() - start, .max)
      if run == 0 { try writeContainer(encoded, as: description, to: path, ranks: ranks) }
      start = PhaseClock.now()
      try decodeContainer(path, ranks: ranks) { _ in }
      let d = try ranks.allReduce(PhaseClock.now() - start, .max)
      if run > 0 { compress.append(t); decompress.append(d) }
    }
    if ranks.rank == 0 {
      unlink(path)
      print(String(format: "%.4f %.4f", compress.min()!, decompress.min()!))
    }
  }
}
