import Fields
import Foundation
import HDF5
import MPI
import SnapshotIO
import Support

/// Snapshots: what is found in a file, what comes back after the carried file and the fields are written again.
enum ContainerSnapshotCases {
  static func folder(_ name: String, _ ranks: borrowing Communicator) throws -> String {
    let mine = NSTemporaryDirectory() + "alidade-\(name)-\(ProcessInfo.processInfo.processIdentifier)"
    let path = String(decoding: try ranks.broadcast(Array(mine.utf8)), as: UTF8.self)
    let isFirst = ranks.rank == 0
    try ranks.agree { if isFirst { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) } }
    return path
  }
  static func remove(_ path: String, _ ranks: borrowing Communicator) throws {
    try ranks.barrier()
    if ranks.rank == 0 { try? FileManager.default.removeItem(atPath: path) }
  }

  static func value(_ f: FieldDescription, _ step: Int, _ component: Int, _ i: Index3) -> Double {
    Double(((step * 10 + component) * 100 + i.z) * 10_000 + i.y * 100 + i.x)
  }
  static func filled(_ f: FieldDescription, _ step: Int, _ component: Int, _ box: Box) -> RawArray {
    let a = RawArray(box: box, type: f.type)
    var at = 0
    for z in box.lower.z..<box.upper.z { for y in box.lower.y..<box.upper.y { for x in box.lower.x..<box.upper.x {
      let v = value(f, step, component, Index3(z, y, x))
      if f.type == .float32 { a.bound(to: Float.self)[at] = Float(v) } else { a.bound(to: Double.self)[at] = v }
      at += 1
    } } }
    return a
  }
  static func same(_ a: RawArray, _ b: RawArray) -> Bool {
    a.byteCount == b.byteCount && memcmp(a.pointer, b.pointer, a.byteCount) == 0
  }

  /// Every axis order that files use; sizes differ per axis and include 1.
  static let fields: [FieldDescription] = [
    FieldDescription(name: "plain", type: .float32, shape: [5, 6, 7], axes: "zyx", periodic: .init(false, true, true), units: "m/s"),
    FieldDescription(name: "group/vector", type: .float64, shape: [2, 3, 4, 1, 9], axes: "tczyx", times: [0.5, 1.5]),
    FieldDescription(name: "interleaved", type: .float32, shape: [4, 9, 3], axes: "yxc"),
    FieldDescription(name: "backwards", type: .float32, shape: [3, 4, 5], axes: "xyz", periodic: .init(true, false, false)),
    FieldDescription(name: "late", type: .float64, shape: [6, 5, 2, 3], axes: "yxct"),
    FieldDescription(name: "line", type: .float32, shape: [11], axes: "x"),
  ]

  static func write(_ path: String, _ outputs: [OutputField], carry: [UInt8] = [], all: [FieldDescription]? = nil,
                    xdmf: Bool = false, _ ranks: borrowing Communicator) throws {
    let out = try OutputFile(path: path, fields: outputs, all: all ?? outputs.map(\.description), carry: carry, ranks: ranks)
    try ranks.agree {
      for (n, o) in outputs.enumerated() {
        let f = o.description, b = f.grid.box
        for s in o.steps { for c in 0..<f.components {
          // Slabs along y, from arrays with a halo; some ranks have none.
          let mine = b.shape.y * ranks.rank / ranks.size ..< b.shape.y * (ranks.rank + 1) / ranks.size
          let box = Box(lower: Index3(0, mine.lowerBound, 0), upper: Index3(b.upper.z, mine.upperBound, b.upper.x))
          var wide = box
          wide.lower.y = max(0, wide.lower.y - 1); wide.upper.y = min(b.upper.y, wide.upper.y + 1)
          try out.write(field: n, step: s, component: c, box: box, from: filled(f, s, c, wide))
        } }
      }
    }
    try out.commit(xdmf: xdmf, ranks: ranks)
  }

  static func check(_ input: SnapshotInput, _ field: Int, _ f: FieldDescription, steps: Range<Int>, region: Box,
                    _ ranks: borrowing Communicator) throws {
    try ranks.agree {
      for s in steps { for c in 0..<f.components {
        let box = region.shifted(by: Index3(0, 0, 0) - region.lower)
        let a = RawArray(box: box, type: f.type)
        try input.read(field: field, step: s - steps.lowerBound, component: c, box: box, into: a)
        try expect(same(a, filled(f, s, c, region)), "\(f.name), step \(s), component \(c), \(region)")
      } }
    }
  }

  /// Fields written, found again with the same meaning, carried, written once more whole and in part.
  static func roundTrip(_ ranks: borrowing Communicator) throws -> String {
    let folder = try folder("snapshot", ranks)
    try write(folder + "/a.h5", fields.map { OutputField($0) }, xdmf: true, ranks)
    let input = try SnapshotInput.open(folder + "/a.h5", ranks: ranks)
    for f in fields {
      guard let n = input.fields.firstIndex(where: { $0.name == f.name }) else { throw Failed(description: "\(f.name) not found") }
      let g = input.fields[n]
      try ranks.agree {
        try expect(g.axes == f.axes && g.shape == f.shape && g.type == f.type && g.grid == f.grid && g.units == f.units, "\(g)")
        try expect(FieldDescription(g.encode()) == g, "description bytes of \(g)")
      }
      try check(input, n, f, steps: 0..<f.steps, region: f.grid.box, ranks)
    }
    let carry = try input.carry(ranks: ranks)
    try write(folder + "/b.h5", input.fields.map { OutputField($0) }, carry: carry, ranks)
    let again = try SnapshotInput.open(folder + "/b.h5", ranks: ranks)
    try ranks.agree { try expect(again.fields == input.fields, "fields after a round trip") }
    for (n, f) in again.fields.enumerated() { try check(again, n, f, steps: 0..<f.steps, region: f.grid.box, ranks) }

    let v = input.fields.first { $0.name == "group/vector" }!
    let region = Box(lower: Index3(1, 0, 2), upper: Index3(3, 1, 8))
    try write(folder + "/c.h5", [OutputField(v, steps: 1..<2, region: region)], carry: carry, all: input.fields, ranks)
    let part = try SnapshotInput.open(folder + "/c.h5", ranks: ranks)
    try ranks.agree { try expect(part.fields.map(\.shape) == [[1, 3, 2, 1, 6]], "\(part.fields)") }
    try check(part, 0, v, steps: 1..<2, region: region, ranks)
    try ranks.agree { try expect(FileManager.default.fileExists(atPath: folder + "/a.xdmf"), "no XDMF") }
    try remove(folder, ranks)
    return input.fields.map(\.description).joined(separator: "\n") + "\ncarry \(try ranks.allReduce(carry.count, .sum))"
  }

  /// Wrong input is one named error on all ranks, exit code 2.
  static func errors(_ ranks: borrowing Communicator) throws -> String {
    let folder = try folder("errors", ranks), path = folder + "/e.h5"
    let isFirst = ranks.rank == 0
    try ranks.agree {
      guard isFirst else { return }
      let h = try File.create(path)
      _ = try createRaw(in: try h.object("/"), "ids", bytes: 12)
      let packed = try createNumbers(in: h, "four", shape: [2, 3, 4, 5], double: false)
      try packed.write("units", "K")
      try createNumbers(in: h, "none", shape: [0, 3], double: true)
      try createNumbers(in: h, "six", shape: [1, 1, 1, 1, 1, 2], double: true)
      try h.close()
      try Data("no HDF5 here".utf8).write(to: URL(fileURLWithPath: folder + "/text.h5"))
      try Data(count: 100).write(to: URL(fileURLWithPath: folder + "/x.f32"))
    }
    var log: [String] = []
    func attempt(_ file: String, _ ranks: borrowing Communicator, _ set: (inout SnapshotOptions) -> Void) throws {
      var o = SnapshotOptions()
      set(&o)
      do {
        let i = try SnapshotInput.open(folder + "/" + file, o, ranks: ranks)
        log.append("\(file): \(i.fields)")
      } catch let e as AgreedError { log.append("\(e.exitCode) " + e.message.replacing(folder + "/", with: "")) }
    }
    try attempt("missing.h5", ranks) { _ in }
    try attempt("text.h5", ranks) { _ in }
    try attempt("e.h5", ranks) { _ in }
    try attempt("e.h5", ranks) { $0.fields = ["nothing"] }
    try attempt("e.h5", ranks) { $0.fields = ["ids"] }
    try attempt("e.h5", ranks) { $0.fields = ["none"] }
    try attempt("e.h5", ranks) { $0.fields = ["six"] }
    try attempt("e.h5", ranks) { $0.fields = ["four"]; $0.axes = "zyx" }
    try attempt("e.h5", ranks) { $0.fields = ["four"]; $0.axes = "tzzx" }
    try attempt("e.h5", ranks) { $0.fields = ["four"]; $0.axes = "czyx" }
    try attempt("x.f32", ranks) { $0.raw = .init(type: .float32, shape: [5, 6]) }
    try attempt("x.f32", ranks) { $0.raw = .init(type: .float32, shape: [5, 5]); $0.periodic = "x" }
    try remove(folder, ranks)
    try ranks.agree { try expect(log.filter { $0.hasPrefix("2 ") }.count == 10, log.joined(separator: "\n")) }
    return log.joined(separator: "\n")
  }

  /// A field cut into files with and without positions; gaps and overlaps are named.
  static func parts(_ ranks: borrowing Communicator) throws -> String {
    let folder = try folder("parts", ranks), f = FieldDescription(name: "u", type: .float64, shape: [5, 6, 7], axes: "zyx")
    let isFirst = ranks.rank == 0
    func part(_ name: String, _ box: Box, position: Bool) throws {
      let d = FieldDescription(name: "u", type: .float64, shape: [box.shape.z, box.shape.y, box.shape.x], axes: "zyx")
      let h = try File.create(folder + "/" + name)
      let set = try createNumbers(in: h, "u", shape: d.shape, double: true)
      if position {
        try set.write("offset", [box.lower.z, box.lower.y, box.lower.x].map(Double.init))
        try set.write("global_shape", f.shape.map(Double.init))
      }
      let at = try allocate(set)
      try h.close()
      let cells = filled(f, 0, 0, box)
      let bytes = withExtendedLifetime(cells) { Data(bytes: cells.pointer, count: cells.byteCount) }
      let file = try FileHandle(forUpdating: URL(fileURLWithPath: folder + "/" + name))
      try file.seek(toOffset: UInt64(at))
      try file.write(contentsOf: bytes)
      try file.close()
    }
    try ranks.agree {
      guard isFirst else { return }
      for (n, (y, x)) in [(0..<2, 0..<7), (2..<6, 0..<3), (2..<6, 3..<7)].enumerated() {
        try part("p_\(n).h5", Box(lower: Index3(0, y.lowerBound, x.lowerBound), upper: Index3(5, y.upperBound, x.upperBound)), position: true)
      }
      for (n, z) in [0..<1, 1..<4, 4..<5].enumerated() {
        try part("slab\(8 + n).h5", Box(lower: Index3(z.lowerBound, 0, 0), upper: Index3(z.upperBound, 6, 7)), position: false)
      }
    }
    for pattern in ["p_*.h5", "p_%d.h5", "slab%d.h5"] {
      let input = try SnapshotInput.open(folder + "/" + pattern, ranks: ranks)
      try ranks.agree { try expect(input.fields.map(\.shape) == [[5, 6, 7]], "\(pattern): \(input.fields)") }
      try check(input, 0, f, steps: 0..<1, region: f.grid.box, ranks)
    }
    try ranks.barrier()
    var log: [String] = []
    if isFirst { try FileManager.default.moveItem(atPath: folder + "/p_1.h5", toPath: folder + "/q") }
    try ranks.barrier()
    do { _ = try SnapshotInput.open(folder + "/p_*.h5", ranks: ranks) } catch let e as AgreedError { log.append("\(e.exitCode) \(e.message)") }
    try ranks.barrier()
    if isFirst { try FileManager.default.copyItem(atPath: folder + "/p_0.h5", toPath: folder + "/p_1.h5") }
    try ranks.barrier()
    do { _ = try SnapshotInput.open(folder + "/p_*.h5", ranks: ranks) } catch let e as AgreedError { log.append("\(e.exitCode) \(e.message)") }
    try remove(folder, ranks)
    try ranks.agree { try expect(log.count == 2 && log.allSatisfy { $0.hasPrefix("2 ") }, "\(log)") }
    return log.joined(separator: "\n").replacing(folder + "/", with: "")
  }
}
