import Compressor
import Decomposition
import Fields
import Foundation
import MPI
import SnapshotIO

/// One field of cubes, and a container of it: what `weak` codes and decodes, together or each rank by itself.
private struct Cubes {
  let source: FieldSource
  let path: String
  let bound: ErrorBound
  let tileAccess: Bool
  let phases = PhaseClock()

  /// - Parameter cube: this rank's values, `edge³`; the ranks' cubes are stacked along the slowest axis.
  /// - Collective: all ranks; writes the container.
  init(_ cube: RawArray, edge: Int, path: String, bound: ErrorBound, tileAccess: Bool, ranks: borrowing Communicator) throws {
    let grid = Grid(shape: Index3(edge * ranks.size, edge, edge))
    let box = Partition.slabs(of: grid, ranks: ranks.size)[ranks.rank]
    let array = RawArray(box: box, type: .float32)
    array.pointer.copyMemory(from: cube.pointer, byteCount: cube.byteCount)
    source = FieldSource(name: "cube", grid: grid, type: .float32, components: 1, boxes: [box], arrays: [[array]])
    self.path = path
    self.bound = bound
    self.tileAccess = tileAccess
    let description = FieldDescription(name: "cube", type: .float32, shape: [grid.shape.z, edge, edge], axes: "zyx")
    try writeContainer(encodeField(source, bound: bound, tileAccess: tileAccess, ranks: ranks), as: description, to: path, ranks: ranks)
  }

  /// Wall seconds of this rank for compressing (checked) and decompressing once.
  /// - Collective: all ranks.
  func run(_ ranks: borrowing Communicator) throws -> (compress: Double, decompress: Double) {
    let start = PhaseClock.now()
    _ = try encodeField(source, bound: bound, tileAccess: tileAccess, phases: phases, ranks: ranks)
    let coded = PhaseClock.now()
    try decodeContainer(path, ranks: ranks) { _ in }
    return (coded - start, PhaseClock.now() - coded)
  }
}

extension Main {
  /// Weak scaling: one cube per rank coded by all ranks together, in turns with every rank coding its own cube by itself at
  /// the same time, as independent runs of one rank would. A round is `--runs` of each; prints the median seconds of both (the
  /// slowest rank of the joint runs, the mean over ranks of the independent ones), their ratio, and the medians over rounds.
  /// - Collective: all ranks.
  static func weak(_ a: Arguments, ranks: borrowing Communicator) throws {
    let edge = try a.edge(128), rounds = try a.integer("rounds", 7), runs = try a.integer("runs", 5)
    let bound = ErrorBound.psnr(try a.number("psnr", 80)), tileAccess = a["access"] != "any"
    let cube = RawArray(box: Box(lower: Index3(0, 0, 0), upper: Index3(edge, edge, edge)), type: .float32)
    Turbulence(edge: edge, seed: 1).values().withUnsafeBytes { cube.pointer.copyMemory(from: $0.baseAddress!, byteCount: cube.byteCount) }
    let job = try ranks.allReduce(Int(ProcessInfo.processInfo.processIdentifier), .max)
    let alone = Communicator.alone()
    let joint = try Cubes(cube, edge: edge, path: scratch(a, "weak-\(job).ald"), bound: bound, tileAccess: tileAccess, ranks: ranks)
    let own = try Cubes(cube, edge: edge, path: scratch(a, "weak-\(job)-\(ranks.rank).ald"), bound: bound, tileAccess: tileAccess, ranks: alone)
    let print = { (line: String) in if joint.source.boxes[0].lower.z == 0 { Swift.print(line) } }
    print("round  alone  joint  ratio | alone  joint  ratio   (compress | decompress, seconds, median of \(runs), ranks \(ranks.size))")
    var ratios: (compress: [Double], decompress: [Double]) = ([], [])
    for round in 0...rounds {
      var together: [(Double, Double)] = [], apart: [(Double, Double)] = []
      for _ in 0..<runs {
        _ = try ranks.allReduce(0, .max)
        let t = try joint.run(ranks)
        together.append((try ranks.allReduce(t.compress, .max), try ranks.allReduce(t.decompress, .max)))
        let s = try own.run(alone)
        apart.append((try ranks.allReduce(s.compress, .sum) / Double(ranks.size), try ranks.allReduce(s.decompress, .sum) / Double(ranks.size)))
      }
      if round == 0 { continue }  // warms up
      let (jc, jd) = (median(together.map(\.0)), median(together.map(\.1)))
      let (ac, ad) = (median(apart.map(\.0)), median(apart.map(\.1)))
      ratios.compress.append(ac / jc)
      ratios.decompress.append(ad / jd)
      print(String(format: "%5d %.4f %.4f  %.3f | %.4f %.4f  %.3f", round, ac, jc, ac / jc, ad, jd, ad / jd))
    }
    print(String(format: "median of %d rounds: compress %.3f, decompress %.3f", rounds, median(ratios.compress), median(ratios.decompress)))
    for name in joint.phases.names {
      let j = try ranks.allReduce([joint.phases.seconds(of: name)], .sum)[0], o = try ranks.allReduce([own.phases.seconds(of: name)], .sum)[0]
      let scale = 1000 / Double(ranks.size * runs * (rounds + 1))
      print(String(format: "%9@ alone %7.2f ms, joint %7.2f ms", name as NSString, o * scale, j * scale))
    }
    unlink(own.path)
    if ranks.rank == 0 { unlink(joint.path) }
  }
}
