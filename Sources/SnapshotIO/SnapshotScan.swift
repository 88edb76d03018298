import Fields
import Foundation
import HDF5

/// One file's share of a field: its position and extents along all storage axes.
struct FieldPart: Equatable {
  var file: Int
  var offset: [Int], shape: [Int]
}

/// What rank 0 finds out about an input and tells the others.
struct SnapshotScan {
  var files: [String] = [], fields: [FieldDescription] = [], parts: [[FieldPart]] = []
  /// Per field, cell positions along each spatial axis in storage order; empty where nothing gives them.
  var positions: [[[Double]]] = []
  var raw = false

  init(_ path: String, _ options: SnapshotOptions) throws {
    defer { if positions.isEmpty { positions = fields.map { $0.spatialPositions.map { _ in [] } } } }
    if let layout = options.raw { try scanRaw(path, layout, options); return }
    files = try SnapshotScan.files(path)
    let first = try FieldScan(files[0], options.naming(options.datasets))
    fields = try first.fields()
    if files.count == 1 {
      parts = fields.map { [FieldPart(file: 0, offset: $0.shape.map { _ in 0 }, shape: $0.shape)] }
    } else { try scanSet(first, options) }
    positions = fields.map(first.positions)
  }

  // MARK: which files

  /// The files a path stands for: itself, a directory's, or those of a `*` or `%d` pattern.
  static func files(_ path: String) throws -> [String] {
    var isFolder: ObjCBool = false
    if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) {
      guard isFolder.boolValue else { return [path] }
      let all = ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted()
      let hits = all.filter { n in [".h5", ".hdf5", ".nc", ".nc4", ".hdf", ".he5"].contains { n.hasSuffix($0) } }.map { path + "/" + $0 }
      if hits.isEmpty { throw SnapshotError(.noParts, file: path, "is a directory without .h5, .hdf5 or .nc files") }
      return hits
    }
    let cut = path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex
    let folder = path[..<cut], pattern = String(path[cut...])
    guard pattern.contains("*") || pattern.contains("%") else { return [path] }
    // Literal text, with "*" for any text and "%d", "%04d" for digits.
    var expression = "^", numbered = false, rest = Substring(pattern)
    while let ch = rest.first {
      rest = rest.dropFirst()
      if ch == "*" { expression += ".*" } else
      if ch == "%", let d = rest.firstIndex(of: "d"), rest[..<d].allSatisfy({ $0.isNumber }) {
        expression += "([0-9]+)"; numbered = true; rest = rest[rest.index(after: d)...]
      } else { expression += NSRegularExpression.escapedPattern(for: String(ch)) }
    }
    let matcher = try NSRegularExpression(pattern: expression + "$")
    var hits: [(number: Int, name: String)] = []
    for n in try FileManager.default.contentsOfDirectory(atPath: folder.isEmpty ? "." : String(folder)).sorted() {
      guard let m = matcher.firstMatch(in: n, range: NSRange(n.startIndex..., in: n)) else { continue }
      let digits = numbered && m.numberOfRanges > 1 ? Range(m.range(at: 1), in: n).map { String(n[$0]) } ?? "" : ""
      hits.append((Int(digits) ?? 0, n))
    }
    if hits.isEmpty { throw SnapshotError(.noParts, file: path, "matches no file") }
    hits.sort { ($0.number, $0.name) < ($1.number, $1.name) }
    return hits.map { folder + $0.name }
  }

  // MARK: parts

  private static let offsetNames = ["offset", "_offset", "global_offset", "_global_offset", "globalOffset", "start", "_start"]
  private static let shapeNames = ["global_shape", "_global_shape", "globalShape", "shape_global", "global_dimensions", "_global_extent", "global_extent"]

  /// What says where a part lies; wrong for the whole.
  static var positionAttributes: Set<String> { Set(offsetNames + shapeNames) }

  private static func integers(_ names: [String], _ d: Handle, _ root: Handle) -> [Int]? {
    for h in [d, root] { for n in names { if let v = h.numbers(n) { return v.map { Int($0) } } } }
    return nil
  }

  /// Values given per storage axis, or per spatial axis (then `others` fills time and component).
  private static func spread(_ v: [Int], _ f: FieldDescription, others: [Int]) -> [Int]? {
    if v.count == f.shape.count { return v }
    let s = f.spatialPositions
    guard v.count == s.count else { return nil }
    var out = others
    for (i, p) in s.enumerated() { out[p] = v[i] }
    return out
  }

  private mutating func scanSet(_ first: FieldScan, _ options: SnapshotOptions) throws {
    parts = fields.map { _ in [] }
    var global: [[Int]?] = fields.map { _ in nil }
    var next = fields.map { _ in 0 }                 // along the slowest spatial axis, where nothing gives positions
    for (n, file) in files.enumerated() {
      let h = n == 0 ? first.file : try FieldScan.open(file)
      let root = try h.object("/")
      for (i, f) in fields.enumerated() {
        guard let d = try? h.object("/" + f.name), (try? d.info().kind) == .dataset, let shape = try? d.shape(), let c = try? d.elementClass() else {
          throw SnapshotError(.noDataset, file: file, dataset: f.name, "is missing, though \(files[0]) has it; every file of a set holds a part of each field")
        }
        guard case .float(let bytes, _) = c, bytes == f.type.size, shape.count == f.shape.count else {
          throw SnapshotError(.sizeMismatch, file: file, dataset: f.name, "differs in type or number of dimensions from \(files[0])")
        }
        let own = f.shape.map { _ in 0 }
        if let o = SnapshotScan.integers(SnapshotScan.offsetNames, d, root) {
          guard let offset = SnapshotScan.spread(o, f, others: own), offset.allSatisfy({ $0 >= 0 }) else {
            throw SnapshotError(.sizeMismatch, file: file, dataset: f.name, "its offset \(o) does not fit \(shape.count) dimensions")
          }
          parts[i].append(FieldPart(file: n, offset: offset, shape: shape))
        } else {
          var offset = own
          let axis = f.spatialPositions[0]
          offset[axis] = next[i]; next[i] += shape[axis]
          parts[i].append(FieldPart(file: n, offset: offset, shape: shape))
        }
        if let g = SnapshotScan.integers(SnapshotScan.shapeNames, d, root) { global[i] = SnapshotScan.spread(g, f, others: shape) }
      }
    }
    for i in fields.indices {
      var shape = fields[i].shape.map { _ in 0 }
      for p in parts[i] { for a in shape.indices { shape[a] = max(shape[a], p.offset[a] + p.shape[a]) } }
      if let g = global[i] {
        guard zip(shape, g).allSatisfy(<=) else {
          throw SnapshotError(.sizeMismatch, file: path(of: parts[i]), dataset: fields[i].name, "parts reach \(shape), beyond the global shape \(g) the files give")
        }
        shape = g
      }
      try checkCover(parts[i], shape, fields[i].name)
      let f = fields[i]
      fields[i] = FieldDescription(name: f.name, type: f.type, shape: shape, axes: f.axes, periodic: f.grid.periodic,
                                   times: f.times?.count == (f.timeAxis.map { shape[$0] } ?? 1) ? f.times : nil,
                                   fillValues: f.fillValues, units: f.units)
    }
  }

  private func path(of parts: [FieldPart]) -> String { parts.last.map { files[$0.file] } ?? "" }

  /// Parts must cover every cell exactly once.
  private func checkCover(_ parts: [FieldPart], _ shape: [Int], _ name: String) throws {
    // Sorted along the first axis, only neighbours can overlap.
    let order = parts.filter { !$0.shape.contains(0) }.sorted { $0.offset[0] < $1.offset[0] }
    for i in order.indices {
      let p = order[i]
      for q in order[(i + 1)...] {
        if q.offset[0] >= p.offset[0] + p.shape[0] { break }
        if shape.indices.allSatisfy({ q.offset[$0] < p.offset[$0] + p.shape[$0] && p.offset[$0] < q.offset[$0] + q.shape[$0] }) {
          throw SnapshotError(.partsOverlap, file: files[q.file], dataset: name,
            "covers \(q.offset) + \(q.shape), which overlaps \(p.offset) + \(p.shape) of \(files[p.file]); are ghost cells stored?")
        }
      }
    }
    let covered = order.reduce(0) { $0 + $1.shape.reduce(1, *) }, total = shape.reduce(1, *)
    if covered != total {
      throw SnapshotError(.partsGap, file: path(of: parts), dataset: name,
        "\(order.count) parts hold \(covered) of the \(total) values of shape \(shape); a file of the set is missing, or its offset attribute is wrong")
    }
  }

  // MARK: raw

  private mutating func scanRaw(_ path: String, _ layout: SnapshotOptions.RawLayout, _ options: SnapshotOptions) throws {
    let size = try PosixFile(path, 0).size, shape = layout.shape
    guard !shape.isEmpty, shape.count <= 5, shape.allSatisfy({ $0 > 0 }) else {
      throw SnapshotError(.badAxes, file: path, "--shape \(shape): one to five positive extents, last axis fastest")
    }
    let wanted = shape.reduce(layout.type.size) { $0.multipliedReportingOverflow(by: $1).partialValue }
    guard size == wanted else {
      throw SnapshotError(.sizeMismatch, file: path,
        "has \(size) bytes; \(layout.type.name) of shape \(shape.map(String.init).joined(separator: ",")) needs \(wanted). Check --shape and --type")
    }
    if let a = options.axes {
      try FieldScan.validate(axes: a, file: path)
      guard a.count == shape.count else { throw SnapshotError(.badAxes, file: path, "--axes \(a) names \(a.count) axes, --shape has \(shape.count)") }
    }
    guard let axes = options.axes ?? AxisLetters.byRank(shape.count) else {
      throw SnapshotError(.ambiguousAxes, file: path, "--shape has \(shape.count) extents; give --axes too, one letter of t,c,z,y,x each, e.g. \(shape.count == 4 ? "tzyx or czyx" : "tczyx")")
    }
    let spatial = axes.filter { $0 != "t" && $0 != "c" }
    let periodic = options.periodic.flatMap { AxisLetters.periodicity($0, spatial: spatial) } ?? .none
    if let v = options.vectors.first { throw SnapshotError(.noDataset, file: path, dataset: v.name, "--vector names datasets; a raw file has none") }
    raw = true; files = [path]
    fields = [FieldDescription(name: options.fields.first ?? "data", type: layout.type, shape: shape, axes: axes, periodic: periodic)]
    parts = [[FieldPart(file: 0, offset: shape.map { _ in 0 }, shape: shape)]]
  }

  // MARK: to the other ranks

  func encode() -> [UInt8] {
    var w = ByteWriter()
    w.number(raw ? 1 : 0); w.number(files.count)
    for f in files { w.text(f) }
    w.number(fields.count)
    for (f, p) in zip(fields, parts) {
      w.blob(f.encode()); w.number(p.count)
      for q in p { w.number(q.file); for v in q.offset + q.shape { w.number(v) } }
    }
    for axes in positions {
      w.number(axes.count)
      for a in axes { w.number(a.count); for v in a { w.fixed(v.bitPattern) } }
    }
    return w.bytes
  }
  /// - Precondition: Bytes of `encode` in the same job.
  init(_ bytes: [UInt8]) {
    var r = ByteReader(bytes)
    raw = r.number()! == 1
    files = (0..<r.number()!).map { _ in r.text()! }
    for _ in 0..<r.number()! {
      let f = FieldDescription(r.blob()!)!, n = r.number()!
      fields.append(f)
      parts.append((0..<n).map { _ in
        let file = r.number()!, v = (0..<2 * f.shape.count).map { _ in r.number()! }
        return FieldPart(file: file, offset: Array(v[0..<f.shape.count]), shape: Array(v[f.shape.count...]))
      })
    }
    positions = fields.map { _ in
      (0..<r.number()!).map { _ in (0..<r.number()!).map { _ in Double(bitPattern: r.fixed(UInt64.self)!) } }
    }
  }
}

extension SnapshotOptions {
  /// Datasets to look for: what was asked for, with the datasets of every vector; empty means all.
  var datasets: [String] {
    if fields.isEmpty { return [] }
    var out = fields.filter { f in !vectors.contains { $0.name == f } }
    for d in vectors.flatMap(\.datasets) where !out.contains(d) { out.append(d) }
    return out
  }
  func naming(_ datasets: [String]) -> SnapshotOptions { var o = self; o.fields = datasets; return o }
}

extension SnapshotScan {
  /// Fields as the user sees them, each with the datasets it consists of: vectors stand where their first dataset stood.
  func grouped(_ vectors: [SnapshotOptions.Vector], path: String) throws -> (fields: [FieldDescription], members: [[Int]]) {
    var owner: [Int: Int] = [:], members: [[Int]] = [], groups: [FieldDescription] = []
    for (v, vector) in vectors.enumerated() {
      let found = try vector.datasets.map { name in
        guard let i = fields.firstIndex(where: { $0.name == name }) else {
          throw SnapshotError(.noDataset, file: path, dataset: name, "(of --vector \(vector.name)) is no floating-point dataset; there are \(fields.map(\.name).joined(separator: ", "))")
        }
        return i
      }
      for i in found {
        guard owner.updateValue(v, forKey: i) == nil else {
          throw SnapshotError(.sizeMismatch, file: path, dataset: fields[i].name, "is named twice by --vector")
        }
      }
      groups.append(try FieldDescription(name: vector.name, components: found.map { fields[$0] }, file: path))
      members.append(found)
    }
    var out: (fields: [FieldDescription], members: [[Int]]) = ([], [])
    for i in fields.indices {
      guard let v = owner[i] else { out.fields.append(fields[i]); out.members.append([i]); continue }
      if members[v].min() == i { out.fields.append(groups[v]); out.members.append(members[v]) }
    }
    for (k, f) in out.fields.enumerated() where out.fields[..<k].contains(where: { $0.name == f.name }) {
      throw SnapshotError(.ambiguousAxes, file: path, dataset: f.name, "names a dataset and a vector; give --vector another name")
    }
    return out
  }
}
