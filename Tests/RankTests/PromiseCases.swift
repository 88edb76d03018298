import Codecs
import Compressor
import Decomposition
import Fields
import Foundation
import MPI
import SnapshotIO
import Support

/// How a simulation may hold its grid.
enum Cutting: CaseIterable {
  case slabs, pencils, blocks, several, lastOnly, unequal

  func boxes(of grid: Grid, rank: Int, of ranks: Int) -> [Box] {
    switch self {
    case .slabs: return Partition.slabs(of: grid, ranks: ranks).enumerated().filter { $0.offset == rank }.map(\.element)
    case .pencils: return [Partition.pencils(of: grid, ranks: ranks)[rank]]
    case .blocks: return [Partition.blocks(of: grid, ranks: ranks)[rank]]
    case .several:
      // Five blocks per rank, dealt out like cards.
      return Partition.blocks(of: grid, ranks: 5 * ranks).enumerated().filter { $0.offset % ranks == rank }.map(\.element)
    case .lastOnly: return rank == ranks - 1 ? [grid.box] : []
    case .unequal:
      // Along the fastest axis, shares growing as squares; the first is often empty.
      let n = grid.shape.x, total = ranks * ranks
      var b = grid.box
      b.lower.x = n * rank * rank / total
      b.upper.x = n * (rank + 1) * (rank + 1) / total
      return [b]
    }
  }
}

/// One digest of header and streams per field and request, the same for every cutting.
@Sendable func promiseCuttings(_ ranks: borrowing Communicator) throws -> String {
  let sea: @Sendable (Index3, Index3, Double) -> Double = { i, n, v in
    let d = Index3(i.z - n.z / 2, i.y - n.y / 3, i.x - n.x / 2)
    return d.z * d.z + d.y * d.y + d.x * d.x < 500 ? .nan : (i.x * 31 + i.y * 17 + i.z) % 501 == 0 ? .infinity : v
  }
  let fields: [(name: String, grid: Grid, components: Int, type: ScalarType, change: (@Sendable (Index3, Index3, Double) -> Double)?)] = [
    ("flow", Grid(shape: Index3(80, 80, 80), periodic: .init(true, true, true)), 2, .float32, nil),
    ("sea", Grid(shape: Index3(80, 66, 80)), 1, .float64, sea),
    ("odd", Grid(shape: Index3(91, 45, 77)), 1, .float32, nil),
    ("positive", Grid(shape: Index3(91, 45, 77)), 1, .float32, { _, _, v in 2.5 + v }),
  ]
  let requests: [(ErrorBound, FieldCoding.Member?)] = [
    (.psnr(70), nil), (.relative(1e-3), nil), (.lossless, nil), (.pointwiseRelative(1e-3), nil),
    (.psnr(60), .lapped8), (.psnr(60), .wavelet97), (.absolute(1e-3), .interpolation), (.rate(2), .lapped16),
  ]
  // Every field meets half of the requests, every request at least two cuttings, in turns.
  var lines: [String] = [], turn = 0
  for (f, field) in fields.enumerated() {
    for (q, request) in requests.enumerated() where (q + f) % 2 == 0 || field.name == "positive" && q == 3 {
      if field.name == "positive" && q != 3 && (q + f) % 2 != 0 { continue }
      var digests: [String] = []
      let others = Cutting.allCases.dropFirst()
      for cutting in [Cutting.slabs, others[others.startIndex + turn % others.count]] {
        let boxes = cutting.boxes(of: field.grid, rank: ranks.rank, of: ranks.size)
        let arrays = (0..<field.components).map { c in
          boxes.map { b -> RawArray in
            let a = SyntheticField.waves(seed: UInt64(3 + c)).array(b, of: field.grid, type: field.type)
            guard let change = field.change else { return a }
            for z in b.lower.z..<b.upper.z { for y in b.lower.y..<b.upper.y { for x in b.lower.x..<b.upper.x {
              let i = Index3(z, y, x), at = b.offset(of: i)
              if field.type == .float32 {
                a.bound(to: Float.self)[at] = Float(change(i, field.grid.shape, Double(a.bound(to: Float.self)[at])))
              } else { a.bound(to: Double.self)[at] = change(i, field.grid.shape, a.bound(to: Double.self)[at]) }
            } } }
            return a
          }
        }
        let source = FieldSource(name: field.name, grid: field.grid, type: field.type, components: field.components, boxes: boxes, arrays: arrays)
        let encoder = try FieldEncoder(source, bound: request.0, forced: request.1, threads: 1 + turn % 2, check: true, phases: PhaseClock(), ranks: ranks)
        let encoded = try encoder.encode(ranks: ranks)
        var h = Digest()
        h.add(encoded.coding.serialised)
        for part in try ranks.allGather(encoded.streams) { h.add(part) }
        for part in try ranks.allGather(encoded.lengths.flatMap { n in withUnsafeBytes(of: Int64(n)) { Array($0) } }) { h.add(part) }
        digests.append("\(encoded.coding.member.name) \(encoded.streamBytes) \(h.text)")
      }
      try ranks.agree { try expect(digests[0] == digests[1], "\(field.name) \(request): slabs \(digests[0]), turn \(turn) \(digests[1])") }
      lines.append("\(field.name) \(request.0) \(digests[0])")
      turn += 1
    }
  }
  return lines.joined(separator: "\n")
}

/// FNV-1a.
struct Digest {
  private var hash: UInt64 = 0xcbf2_9ce4_8422_2325
  mutating func add(_ bytes: [UInt8]) { for b in bytes { hash = (hash ^ UInt64(b)) &* 0x100_0000_01b3 } }
  var text: String { String(hash, radix: 16) }
}

/// One rank of several gives boxes that overlap another's: the same error and exit code on all.
@Sendable func promiseBadBoxes(_ ranks: borrowing Communicator) throws -> String {
  let grid = Grid(shape: Index3(48, 40, 40))
  var box = Partition.slabs(of: grid, ranks: ranks.size)[ranks.rank]
  if ranks.rank == ranks.size - 1 { box.upper.z -= 1 }
  let a = SyntheticField.waves(seed: 1).array(box, of: grid, type: .float32)
  let source = FieldSource(name: "u", grid: grid, type: .float32, components: 1, boxes: [box], arrays: [[a]])
  _ = try FieldEncoder(source, bound: .psnr(60), threads: 1, check: true, phases: PhaseClock(), ranks: ranks).encode(ranks: ranks)
  return "not reached"
}

/// Streams and headers whose checksums fit but whose bytes no encoder wrote: an error or values, never a crash or a hang.
///
/// One rank. Prints each forgery before it is decoded, so that the last line names the one that ended the process.
@Sendable func promiseForged(_ ranks: borrowing Communicator) throws -> String {
  let environment = ProcessInfo.processInfo.environment
  let trials = environment["ALIDADE_FORGERIES"].flatMap { Int($0) } ?? 600
  let seed = environment["ALIDADE_SEED"].flatMap { UInt64($0) } ?? 7
  let path = try ContainerCases.path("forged", ranks)
  let small = Grid(shape: Index3(20, 24, 18)), wide = Grid(shape: Index3(48, 48, 48), periodic: .init(true, false, true))
  let wrapped = Grid(shape: Index3(20, 24, 18), periodic: .init(true, true, true))
  let requests: [(Grid, ScalarType, ErrorBound, FieldCoding.Member?, Int)] = [
    (wide, .float32, .psnr(50), .lapped16, 0), (small, .float64, .relative(1e-3), .lapped8, 0), (wide, .float32, .psnr(50), .wavelet97, 0),
    (small, .float32, .relative(1e-4), .interpolation, 0), (small, .float64, .relative(1e-3), .interpolation, 1), (small, .float32, .lossless, nil, 0),
    (small, .float64, .lossless, nil, 1), (small, .float32, .pointwiseRelative(1e-2), nil, 1), (small, .float64, .absolute(0.3), nil, 2),
    (small, .float32, .relative(1e-3), nil, 3), (wrapped, .float32, .psnr(60), .spectral, 0), (wrapped, .float64, .relative(1e-3), .spectral, 0),
  ]
  struct Coded { var description: [UInt8], header: [UInt8], streams: [[UInt8]] }
  var fields: [Coded] = []
  for (grid, type, bound, member, kind) in requests {
    let a = SyntheticField.waves(seed: 5).array(grid.box, of: grid, type: type)
    for i in 0..<a.count {
      var v = type == .float32 ? Double(a.bound(to: Float.self)[i]) : a.bound(to: Double.self)[i]
      switch kind {
      case 1: if i % 11 == 0 || i % 1000 < 100 { v = i % 2 == 0 ? .nan : 0 }
      case 2: if i % 97 == 0 { v *= 1e4 }
      case 3: v = i % 5 == 0 ? .nan : 1.5
      default: break
      }
      if type == .float32 { a.bound(to: Float.self)[i] = Float(v) } else { a.bound(to: Double.self)[i] = v }
    }
    let source = FieldSource(name: "f", grid: grid, type: type, components: 1, boxes: [grid.box], arrays: [[a]])
    let e = try FieldEncoder(source, bound: bound, forced: member, threads: 1, check: true, phases: PhaseClock(), ranks: ranks).encode(ranks: ranks)
    let n = grid.shape
    let d = FieldDescription(name: "f", type: type, shape: [n.z, n.y, n.x], axes: "zyx", periodic: grid.periodic)
    var streams: [[UInt8]] = [], at = 0
    for l in e.lengths { streams.append(Array(e.streams[at..<at + l])); at += l }
    fields.append(Coded(description: d.encode(), header: e.coding.serialised, streams: streams))
  }
  var g = SplitMix64(seed: seed), counts: [Int32: Int] = [:]
  func damage(_ bytes: inout [UInt8], _ g: inout SplitMix64) -> String {
    let n = bytes.count
    if n == 0 { bytes = [UInt8(g.below(256))]; return "one byte where there was none" }
    switch g.below(6) {
    case 0: let k = g.below(n); bytes.removeLast(n - k); return "cut to \(k)"
    case 1: let k = 1 + g.below(40); for _ in 0..<k { bytes.append(UInt8(g.below(256))) }; return "\(k) more"
    case 2: let at = g.below(n), k = min(n - at, 1 + g.below(16)); for i in at..<at + k { bytes[i] = 0xff }; return "\(k) of 0xff at \(at)"
    case 3: let at = g.below(min(n, 24)); bytes[at] = UInt8(g.below(256)); return "start byte \(at)"
    default: let at = g.below(n); bytes[at] ^= UInt8(1 + g.below(255)); return "byte \(at)"
    }
  }
  for t in 0..<trials {
    let f = g.below(fields.count)
    var c = fields[f]
    var what = "forgery \(t), seed \(seed), request \(f): "
    switch g.below(8) {
    case 0...2: what += "header \(c.header.count) bytes, " + damage(&c.header, &g)
    case 3: what += "description, " + damage(&c.description, &g)
    case 4 where c.streams.count > 1: c.streams.removeLast(); what += "one stream less"
    default: let s = g.below(c.streams.count); what += "stream \(s), \(c.streams[s].count) bytes, " + damage(&c.streams[s], &g)
    }
    FileHandle.standardError.write(Data((what + "\n").utf8))
    let w = try ContainerWriter(path: path, ranks: ranks)
    let slot = try w.addField(name: "f", description: c.description, ranks: ranks)
    _ = try w.append(ContainerStep(step: 0, header: c.header, streams: Array(c.streams.joined()), lengths: c.streams.map(\.count)), to: slot, ranks: ranks)
    _ = try w.commit(ranks: ranks)
    let code = ContainerCases.exitCode { _ = try verify(VerifyOptions(input: path), ranks: ranks) { _ in } }
    try expect(code == 0 || code == 4, "\(what): exit code \(code)")
    counts[code, default: 0] += 1
  }
  try ContainerCases.remove(path, ranks)
  return "decoded \(counts[0] ?? 0), refused \(counts[4] ?? 0)"
}
