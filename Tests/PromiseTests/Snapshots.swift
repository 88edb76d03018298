import CHDF5
import CHDF5Parallel
import Fields
import Foundation
import HDF5
import Support
import Testing

/// A dataset as the tests write and read it: bit patterns, C order.
struct Values: Equatable, Sendable {
  var type: ScalarType
  /// Extents as stored, components and time included.
  var shape: [Int]
  var bits: [UInt64]

  init(_ type: ScalarType, _ shape: [Int], bits: [UInt64]) { self.type = type; self.shape = shape; self.bits = bits }
  init(_ type: ScalarType, _ shape: [Int], _ values: [Double]) {
    self.init(type, shape, bits: values.map { type == .float32 ? UInt64(Float($0).bitPattern) : $0.bitPattern })
  }
  subscript(i: Int) -> Double {
    type == .float32 ? Double(Float(bitPattern: UInt32(truncatingIfNeeded: bits[i]))) : Double(bitPattern: bits[i])
  }
  var count: Int { bits.count }

  /// The cells of a region of the last three (or fewer) axes.
  func cropped(_ ranges: [Range<Int>]) -> Values {
    let lead = shape.count - ranges.count
    let outer = shape[..<lead].reduce(1, *)
    let all = [Range<Int>](repeating: 0..<1, count: 3 - ranges.count) + ranges
    let n = [Int](repeating: 1, count: 3 - ranges.count) + shape[lead...]
    var out: [UInt64] = []
    for o in 0..<outer {
      for z in all[0] { for y in all[1] { for x in all[2] { out.append(bits[((o * n[0] + z) * n[1] + y) * n[2] + x]) } } }
    }
    return Values(type, Array(shape[..<lead]) + ranges.map(\.count), bits: out)
  }
}

/// Snapshot files made and read with plain HDF5 calls, one test at a time.
enum Snapshot {
  /// A dataset and its text attributes.
  typealias Entry = (name: String, values: Values, attributes: [String: String])

  /// - Parameter chunk: extents of chunks with checksums; `nil`: contiguous.
  static func write(_ path: String, _ entries: [Entry], chunk: [Int]? = nil) throws {
    try write(File.create(path), entries, chunk: chunk)
  }
  static func write(_ file: File, _ entries: [Entry], chunk: [Int]? = nil) throws {
    for e in entries {
      let space = try Handle("H5Screate_simple", H5Screate_simple(Int32(e.values.shape.count), e.values.shape.map { hsize_t($0) }, nil))
      let plist = try Handle("H5Pcreate", H5Pcreate(ald_H5P_DATASET_CREATE()))
      if let chunk {
        try check("H5Pset_chunk", H5Pset_chunk(plist.id, Int32(chunk.count), chunk.map { hsize_t($0) }))
        try check("H5Pset_fletcher32", H5Pset_fletcher32(plist.id))
      }
      let single = e.values.type == .float32
      let stored = single ? ald_H5T_IEEE_F32LE() : ald_H5T_IEEE_F64LE()
      let set = try Handle("H5Dcreate2", H5Dcreate2(file.id, e.name, stored, space.id, 0, plist.id, 0))
      if single {
        try check("H5Dwrite", H5Dwrite(set.id, ald_H5T_NATIVE_FLOAT(), 0, 0, 0, e.values.bits.map { UInt32(truncatingIfNeeded: $0) }))
      } else { try check("H5Dwrite", H5Dwrite(set.id, ald_H5T_NATIVE_DOUBLE(), 0, 0, 0, e.values.bits)) }
      for (k, v) in e.attributes.sorted(by: { $0.key < $1.key }) { try set.write(k, v) }
    }
    try file.close()
  }

  static func read(_ path: String, _ names: [String]) throws -> [Values] {
    let file = try File.open(path)
    return try names.map { name in
      let set = try file.object("/" + name)
      let shape = try #require(try set.shape()), n = shape.reduce(1, *)
      guard case .float(let size, _) = try set.elementClass() else { throw HDF5Error(call: "element class of \(name)", status: -1) }
      if size == 4 {
        var v = [UInt32](repeating: 0, count: n)
        try check("H5Dread", H5Dread(set.id, ald_H5T_NATIVE_FLOAT(), 0, 0, 0, &v))
        return Values(.float32, shape, bits: v.map(UInt64.init))
      }
      var v = [UInt64](repeating: 0, count: n)
      try check("H5Dread", H5Dread(set.id, ald_H5T_NATIVE_DOUBLE(), 0, 0, 0, &v))
      return Values(.float64, shape, bits: v)
    }
  }
  static func read(_ path: String, _ name: String) throws -> Values { try read(path, [name])[0] }
}

/// Kinds of fields that have broken compressors.
enum Pattern: String, CaseIterable, Sendable {
  case waves, noise, spikes, steps, offset, tiny, plane

  /// - Parameter shape: at most three extents.
  func values(_ shape: [Int], seed: UInt64) -> [Double] {
    let n3 = [Int](repeating: 1, count: 3 - shape.count) + shape
    let n = Index3(n3[0], n3[1], n3[2])
    var out: [Double] = []
    out.reserveCapacity(n.product)
    let waves = Pattern.waves(n, seed)
    for z in 0..<n.z { for y in 0..<n.y { for x in 0..<n.x {
      let cell = (z * n.y + y) * n.x + x, smooth = waves.at(z, y, x)
      let random = Double(SplitMix64.hash(seed, cell) >> 11) * 0x1p-52 - 1
      switch self {
      case .waves: out.append(smooth + 1e-3 * random)
      case .noise: out.append(random)
      case .spikes: out.append(exp(12 * smooth + random))
      case .steps: out.append(smooth > 0.3 ? 100 : smooth > -0.2 ? 1 + random * 1e-2 : -7)
      case .offset: out.append(1e6 + smooth)
      case .tiny: out.append(1e-30 * smooth + 1e-33 * random)
      case .plane: out.append(3 * Double(z) - 2 * Double(y) + 0.5 * Double(x))
      }
    } } }
    return out
  }

  /// Sums of products of one-dimensional waves with random phases: cheap, smooth, full of sign changes.
  struct Waves {
    let tables: [[[Double]]]
    func at(_ z: Int, _ y: Int, _ x: Int) -> Double {
      var s = 0.0
      for t in tables { s += t[0][z] * t[1][y] * t[2][x] }
      return s
    }
  }
  static func waves(_ n: Index3, _ seed: UInt64, count: Int = 12) -> Waves {
    var g = SplitMix64(seed: seed)
    return Waves(tables: (0..<count).map { w in
      let amplitude = pow(Double(w + 1), -0.8)
      return (0..<3).map { a in
        let k = Double(1 + g.below(w + 3)), phase = 2 * Double.pi * g.uniform()
        return (0..<n[a]).map { i in (a == 0 ? amplitude : 1) * sin(2 * .pi * k * Double(i) / Double(max(2, n[a])) + phase) }
      }
    })
  }
}
