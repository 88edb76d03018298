import Compressor
import Decomposition
import Fields
import Foundation
import MPI
import SnapshotIO

extension Main {
  /// One compression to a container and one decompression, the same cells for every rank; one line of a table.
  ///
  /// The field is one periodic turbulent cube per rank, cut into blocks or slabs. Rank P/2 is the odd one: its cells are NaN (`nan`), belong to
  /// the rank below (`empty`), or one tile's worth of them is noise of the field's own strength (`rough`).
  /// Columns: case, cut, ranks, tile edge; seconds to compress, write and decompress; processor seconds of coding (transform,
  /// entropy, verify), mean over ranks and busiest rank; peak memory in MB, mean and largest.
  /// - Collective: all ranks.
  static func scaling(_ a: Arguments, ranks: borrowing Communicator) throws {
    let edge = try a.edge(64), kind = a["case"] ?? "even", slabs = a["cut"] == "slabs"
    guard ["even", "nan", "empty", "rough"].contains(kind) else { throw UsageError(description: "--case \(kind): even, nan, empty or rough\n\(Arguments.help)") }
    let unit = Grid(shape: Index3(1 << 20, 1 << 20, 1 << 20))
    let parts = slabs ? Index3(ranks.size, 1, 1) : {
      // As many cubes along each axis as blocks of a large cube.
      let first = Partition.blocks(of: unit, ranks: ranks.size)[0].shape
      return Index3(unit.shape.z / first.z, unit.shape.y / first.y, unit.shape.x / first.x)
    }()
    let grid = Grid(shape: Index3(edge * parts.z, edge * parts.y, edge * parts.x), periodic: .init(true, true, true))
    let all = slabs ? Partition.slabs(of: grid, ranks: ranks.size) : Partition.blocks(of: grid, ranks: ranks.size)
    let odd = ranks.size / 2
    var boxes = [all[ranks.rank]]
    if kind == "empty", ranks.size > 1 {
      if ranks.rank == odd { boxes = [] } else if ranks.rank == odd - 1 { boxes.append(all[odd]) }
    }
    var cube = Turbulence(edge: edge, seed: 1).values()
    if kind == "nan", ranks.rank == odd { cube = cube.map { _ in .nan } }
    if kind == "rough", ranks.rank == odd {
      let n = min(edge, TileGrid(shape: grid.shape).edge.z), strength = (cube.reduce(0) { $0 + $1 * $1 } / Float(cube.count)).squareRoot()
      var state: UInt64 = 1
      for z in 0..<n { for y in 0..<n { for x in 0..<n {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        cube[(z * edge + y) * edge + x] += strength * (Float(state >> 40) * 0x1p-23 - 1)
      } } }
    }
    let arrays = boxes.map { box in
      let array = RawArray(box: box, type: .float32)
      cube.withUnsafeBytes { array.pointer.copyMemory(from: $0.baseAddress!, byteCount: array.byteCount) }
      return array
    }
    cube = []
    let source = FieldSource(name: "cube", grid: grid, type: .float32, components: 1, boxes: boxes, arrays: [arrays])
    let description = FieldDescription(name: "cube", type: .float32, shape: [grid.shape.z, grid.shape.y, grid.shape.x], axes: "zyx")
    let path = scratch(a, "scaling.ald"), phases = PhaseClock(clock: CLOCK_PROCESS_CPUTIME_ID)
    let steps = ["survey", "trial", "step", "fit", "exchange", "transform", "entropy", "verify", "write", "decompress"]
    func seconds(_ body: () throws -> Void) throws -> Double {
      _ = try ranks.allReduce(0, .max)
      let start = PhaseClock.now()
      try body()
      return try ranks.allReduce(PhaseClock.now() - start, .max)
    }
    var encoded: EncodedField?
    let compress = try seconds { encoded = try encodeField(source, bound: .psnr(try a.number("psnr", 80)), tileAccess: a["access"] != "any", phases: phases, ranks: ranks) }
    let write = try seconds { try phases.measure("write") { _ = try writeContainer(encoded!, as: description, to: path, ranks: ranks) } }
    let decompress = try seconds { try phases.measure("decompress") { try decodeContainer(path, ranks: ranks) { _ in } } }
    if let file = a["phases"] { try publish(phases, steps, "\(kind),\(slabs ? "slabs" : "blocks"),\(ranks.size),\(edge)", to: file, ranks: ranks) }
    let coding = ["transform", "entropy", "verify"].reduce(0) { $0 + phases.seconds(of: $1) }
    let own = [coding, Double(Machine.peakMemory()) / 1e6]
    let table = try ranks.allGather(own.withUnsafeBytes { [UInt8]($0) }).map { row in row.withUnsafeBytes { [Double]($0.bindMemory(to: Double.self)) } }
    guard ranks.rank == 0 else { return }
    unlink(path)
    func spread(_ i: Int) -> (Double, Double) { let v = table.map { $0[i] }; return (v.reduce(0, +) / Double(v.count), v.max()!) }
    let (mean, busiest) = spread(0), (memory, most) = spread(1)
    print(String(format: "%@,%@,%d,%d,%.3f,%.3f,%.3f,%.3f,%.3f,%.0f,%.0f", kind, slabs ? "slabs" : "blocks", ranks.size, TileGrid(shape: grid.shape).edge.z,
                 compress, write, decompress, mean, busiest, memory, most))
  }

  /// Appends a row per phase: processor seconds (mean and largest over ranks), messages to other ranks and their bytes, collective calls and
  /// what a rank contributes to them, bytes gathered from all ranks; the largest over ranks.
  /// - Collective: all ranks.
  private static func publish(_ phases: PhaseClock, _ names: [String], _ label: String, to path: String, ranks: borrowing Communicator) throws {
    let traffic = names.map { phases.traffic(of: $0) }
    let counts = try ranks.allReduce(traffic.flatMap { [$0.messages, $0.bytes, $0.collectives, $0.collectiveBytes, $0.gatheredBytes] }, .max)
    let seconds = names.map { phases.seconds(of: $0) }
    let sum = try ranks.allReduce(seconds, .sum), most = try ranks.allReduce(seconds, .max)
    guard ranks.rank == 0 else { return }
    var text = FileManager.default.fileExists(atPath: path) ? try String(contentsOfFile: path, encoding: .utf8)
      : "case,cut,ranks,edge,phase,cpu_s,cpu_s_max,messages,bytes,collectives,collective_bytes,gathered_bytes\n"
    for (i, name) in names.enumerated() where most[i] > 0 {
      text += String(format: "%@,%@,%.5f,%.5f,", label, name, sum[i] / Double(ranks.size), most[i])
        + counts[5 * i..<5 * i + 5].map(String.init).joined(separator: ",") + "\n"
    }
    try text.write(toFile: path, atomically: true, encoding: .utf8)
  }
}
