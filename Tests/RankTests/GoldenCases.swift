import Codecs
import Compressor
import Decomposition
import Fields
import Foundation
import MPI
import Observables
import SnapshotIO
import Support

/// The containers of Tests/Golden: what they were made from, and what they must decode to.
enum GoldenCases {
  struct Golden: Sendable {
    var name: String
    var shape: [Int]
    var type = ScalarType.float32
    var bound: ErrorBound
    var member: FieldCoding.Member?
    var periodic = Grid.Periodicity.none
    var components = 1
    var keep: [KeepTarget] = []
    var restoration: Set<RestorationKind> = []
    var filter = false
    /// From the smooth field to what is special about this one.
    var value: @Sendable (Double, Index3) -> Double = { v, _ in v }
  }

  static let all: [Golden] = [
    Golden(name: "interpolation", shape: [20, 24, 28], bound: .psnr(60), member: .interpolation),
    Golden(name: "lot16", shape: [33, 20, 37], bound: .psnr(55), member: .lapped16),
    Golden(name: "lot8", shape: [20, 24, 28], bound: .psnr(60), member: .lapped8, periodic: Grid.Periodicity(false, false, true)),
    Golden(name: "wavelet97", shape: [20, 24, 28], bound: .psnr(60), member: .wavelet97),
    Golden(name: "lossless", shape: [12, 13, 14], bound: .lossless, member: .lossless),
    Golden(name: "constant", shape: [9, 10, 11], bound: .absolute(1e-3), value: { _, _ in 1.25 }),
    Golden(name: "mask", shape: [20, 24, 28], bound: .absolute(2e-2),
           value: { v, i in (i.z - 10) * (i.z - 10) + (i.y - 9) * (i.y - 9) < 40 ? .nan : i.x == 27 ? -.infinity : v }),
    Golden(name: "outliers", shape: [20, 24, 28], bound: .absolute(4e-2), member: .lapped16,
           value: { v, i in (i.z * 5 + i.y * 7 + i.x * 3) % 97 == 0 ? v + 3 : v }),
    Golden(name: "pwrel", shape: [16, 17, 18], bound: .pointwiseRelative(1e-2), value: { v, i in i.z == 3 ? 0 : (v - 0.3) * 1e-6 }),
    Golden(name: "float64", shape: [16, 17, 18], type: .float64, bound: .relative(1e-3), member: .lapped8),
    Golden(name: "lattice", shape: [16, 17, 18], bound: .absolute(1e-9), value: { v, _ in ((v * 100).rounded() + 0) / 100 }),
    Golden(name: "plane", shape: [60, 75], bound: .psnr(65)),
    Golden(name: "line", shape: [4000], bound: .relative(1e-3)),
    Golden(name: "vector", shape: [2, 16, 20, 18], bound: .psnr(50), components: 2),
    Golden(name: "weights", shape: [36, 32, 32], bound: .psnr(45), member: .lapped8, keep: [KeepTarget(observable: "gradient", error: 0.04)]),
    Golden(name: "refinement", shape: [2, 32, 48, 32], bound: .psnr(45), member: .lapped16, periodic: Grid.Periodicity(true, true, true), components: 2,
           keep: [KeepTarget(observable: "box16", error: 1e-6)], restoration: [.totals, .spectrum, .band]),
    Golden(name: "spectral", shape: [3, 20, 24, 26], bound: .psnr(55), member: .spectral, periodic: Grid.Periodicity(true, true, true), components: 3),
    Golden(name: "spectral-plane", shape: [2, 35, 44], type: .float64, bound: .relative(1e-3), member: .spectral, periodic: Grid.Periodicity(true, true, true),
           components: 2),
    Golden(name: "shells", shape: [2, 32, 32, 32], bound: .psnr(45), member: .spectral, periodic: Grid.Periodicity(true, true, true), components: 2,
           keep: [KeepTarget(observable: "box16", error: 1e-6)]),
    Golden(name: "mirrors", shape: [24, 20, 26], bound: .psnr(70), member: .spectral, periodic: Grid.Periodicity(true, true, true),
           value: { _, i in
             // Odd along z and even along x about their first cells, even along y about the face before it.
             func hill(_ t: Double) -> Double { 16 * t * t * (1 - t) * (1 - t) }
             let z = Double(i.z) / 24, y = (Double(i.y) + 0.5) / 20, x = Double(i.x) / 26
             return hill(z) * (1 - 2 * z) * (1 + hill(y) * hill(x)) + 0.3 * hill(z) * hill(z) * (1 - 2 * z) * hill(y) * (2 + hill(x))
           }),
    Golden(name: "resampled", shape: [2, 40, 48, 32], bound: .relative(2e-3), member: .resampled, periodic: Grid.Periodicity(true, true, true), components: 2,
           value: { _, i in
             // Smooth across the faces, so of few waves.
             func hill(_ i: Int, _ n: Int) -> Double { let t = Double(i) / Double(n); return 16 * t * t * (1 - t) * (1 - t) }
             return hill(i.z, 40) * (1 + hill(i.x, 32)) + 0.5 * hill((i.y + 7) % 48, 48) * hill(i.x, 32)
           }),
    Golden(name: "counts", shape: [64, 72], bound: .psnr(100),
           value: { _, i in
             let q = Double(2 * i.y) / 63 - 1, r = Double(2 * i.x) / 71 - 1
             return Double(10 + SplitMix64.hash(3, i.y * 72 + i.x) % 30) * (271.3 + 9.1 * q * q + 8.7 * r * r + 1.3 * q * r - 0.9 * r)
           }),
    Golden(name: "filter", shape: [2, 48, 48, 48], bound: .psnr(45), member: .lapped16, components: 2, filter: true),
  ]

  static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("Golden")
  static func path(_ name: String) -> String { folder.appendingPathComponent(name + ".ald").path }

  /// Two octaves of random numbers on coarse lattices, joined by smooth polynomials: a counter and basic arithmetic only, so
  /// the same bits on every machine.
  static func smooth(_ i: Index3, component: Int) -> Double {
    var sum = 0.0
    for (octave, spacing) in [11, 5].enumerated() {
      var low = Index3(0, 0, 0), t = (0.0, 0.0, 0.0)
      func part(_ v: Int) -> (Int, Double) {
        let f = Double(v % spacing) / Double(spacing)
        return (v / spacing, f * f * (3 - 2 * f))
      }
      (low.z, t.0) = part(i.z); (low.y, t.1) = part(i.y); (low.x, t.2) = part(i.x)
      var value = 0.0
      for corner in 0..<8 {
        let z = corner >> 2, y = corner >> 1 & 1, x = corner & 1
        let key = (((octave * 8 + component) * 1024 + low.z + z) * 1024 + low.y + y) * 1024 + low.x + x
        let weight = (z == 1 ? t.0 : 1 - t.0) * (y == 1 ? t.1 : 1 - t.1) * (x == 1 ? t.2 : 1 - t.2)
        value += weight * (Double(SplitMix64.hash(7, key) >> 11) * 0x1p-52 - 1)
      }
      sum += octave == 0 ? value : value * 0.25
    }
    return sum
  }

  static func description(_ g: Golden) -> FieldDescription {
    let spatial = g.shape.count - (g.components > 1 ? 1 : 0)
    return FieldDescription(
      name: g.name, type: g.type, shape: g.shape, axes: (g.components > 1 ? "c" : "") + "zyx".suffix(spatial), periodic: g.periodic)
  }

  static func source(_ g: Golden, _ ranks: borrowing Communicator) -> FieldSource {
    let grid = description(g).grid, box = Partition.slabs(of: grid, ranks: ranks.size)[ranks.rank]
    let arrays = (0..<g.components).map { c in
      let a = RawArray(box: box, type: g.type)
      var at = 0
      for z in box.lower.z..<box.upper.z { for y in box.lower.y..<box.upper.y { for x in box.lower.x..<box.upper.x {
        let i = Index3(z, y, x), v = g.value(smooth(i, component: c), i)
        if g.type == .float32 { a.bound(to: Float.self)[at] = Float(v) } else { a.bound(to: Double.self)[at] = v }
        at += 1
      } } }
      return [a]
    }
    return FieldSource(name: g.name, grid: grid, type: g.type, components: g.components, boxes: [box], arrays: arrays)
  }

  static func encoded(_ g: Golden, _ ranks: borrowing Communicator) throws -> EncodedField {
    try encodeField(source(g, ranks), as: description(g), bound: g.bound, keep: g.keep, restoration: g.restoration, filter: g.filter, member: g.member, ranks: ranks)
  }

  /// A number that depends on every bit of every value and its place, and not on the cutting.
  static func digest(_ path: String, _ g: Golden, _ ranks: borrowing Communicator) throws -> String {
    let grid = description(g).grid
    var sum: UInt64 = 0, cells = 0
    try decodeContainer(path, ranks: ranks) { arrays in
      for (c, a) in arrays.enumerated() {
        var at = 0
        for z in a.box.lower.z..<a.box.upper.z { for y in a.box.lower.y..<a.box.upper.y { for x in a.box.lower.x..<a.box.upper.x {
          let bits = g.type == .float32 ? UInt64(a.bound(to: UInt32.self)[at]) : a.bound(to: UInt64.self)[at]
          sum &+= SplitMix64.hash(bits, ((c * grid.shape.z + z) * grid.shape.y + y) * grid.shape.x + x)
          at += 1
        } } }
        cells += at
      }
    }
    let total = try ranks.allReduce(Int(bitPattern: UInt(sum)), .sum)
    try expect(try ranks.allReduce(cells, .sum) == grid.count * g.components, "\(g.name): cells missing or decoded twice")
    return String(UInt64(bitPattern: Int64(total)), radix: 16)
  }

  /// Writes the containers and digests anew; see Tests/Golden/regenerate.sh.
  static func write(_ ranks: borrowing Communicator) throws -> String {
    var lines: [String] = []
    for g in all {
      let encoded = try encoded(g, ranks)
      try writeContainer(encoded, as: description(g), to: path(g.name), ranks: ranks)
      lines.append("\(g.name) \(encoded.coding.member.name) \(try digest(path(g.name), g, ranks))")
    }
    let text = lines.joined(separator: "\n") + "\n"
    if ranks.rank == 0 { try text.write(to: folder.appendingPathComponent("digests.txt"), atomically: true, encoding: .utf8) }
    return text
  }

  /// Committed containers decode to the same bits.
  static func decode(_ ranks: borrowing Communicator) throws -> String {
    var text = ""
    for g in all {
      let reader = try ContainerReader.open(path(g.name), ranks: ranks)
      let member = try ranks.agree { try FieldCoding(serialised: try reader.header(field: 0, step: 0)).member.name }
      text += "\(g.name) \(member) \(try digest(path(g.name), g, ranks))\n"
    }
    let expected = try String(contentsOf: folder.appendingPathComponent("digests.txt"), encoding: .utf8)
    try expect(text == expected, "expected\n\(expected)found\n\(text)")
    return text
  }

  /// The same input gives the same header and streams.
  static func encode(_ ranks: borrowing Communicator) throws -> String {
    var names: [String] = []
    for g in all {
      let encoded = try encoded(g, ranks)
      let reader = try ContainerReader.open(path(g.name), ranks: ranks)
      try ranks.agree {
        try expect(try reader.header(field: 0, step: 0) == encoded.coding.serialised, "\(g.name): another header")
        let mine = Array(encoded.firstStream..<encoded.firstStream + encoded.lengths.count)
        let stored = try reader.readStreams(field: 0, step: 0, mine)
        try expect(stored.flatMap { $0 } == encoded.streams && stored.map(\.count) == encoded.lengths, "\(g.name): other streams")
      }
      names.append(g.name)
    }
    return names.joined(separator: " ")
  }
}
