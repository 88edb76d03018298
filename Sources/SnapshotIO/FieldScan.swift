import Fields
import HDF5

/// Finds the fields of one HDF5 or NetCDF-4 file; runs on one rank.
struct FieldScan {
  let path: String
  let file: File
  let options: SnapshotOptions
  let found: [FoundDataset]

  init(_ path: String, _ options: SnapshotOptions) throws {
    self.path = path; self.options = options
    file = try FieldScan.open(path)
    do { found = try datasets(in: file) } catch let e as UnreadableObject {
      throw SnapshotError(.readFailed, file: path, dataset: e.path, "cannot be opened: damaged, or written in a format newer than this HDF5 library; rewrite it with h5repack")
    } catch { throw SnapshotError(.readFailed, file: path, "cannot be listed: \(error)") }
  }

  static func open(_ path: String) throws -> File {
    let size = try PosixFile(path, 0).size            // names a missing or unreadable file
    guard File.isHDF5(path) else {
      throw SnapshotError(.notHDF5, file: path, size == 0 ? "is empty"
        : "is neither HDF5 nor NetCDF-4; for plain numbers give --raw --type f32|f64 --shape nz,ny,nx")
    }
    do { return try File.open(path) } catch {
      throw SnapshotError(.cannotOpen, file: path, "is HDF5, but cannot be opened (damaged, or still being written)")
    }
  }

  /// Names of datasets that describe positions rather than values: scales, CF `coordinates` and `bounds`.
  private var coordinateNames: Set<String> {
    var names = Set<String>()
    for d in found {
      let folder = d.path.lastIndex(of: "/").map { String(d.path[...$0]) } ?? ""
      for a in ["coordinates", "bounds", "climatology", "formula_terms"] {
        for n in (d.handle.string(a) ?? "").split(separator: " ") { names.insert(folder + n); names.insert(String(n)) }
      }
    }
    return names
  }

  /// - Throws: `SnapshotError` naming the dataset and the cure.
  func fields() throws -> [FieldDescription] {
    if let a = options.axes { try FieldScan.validate(axes: a, file: path) }
    if !options.fields.isEmpty { return try options.fields.map { try describe(requested: $0) } }
    var out: [FieldDescription] = []
    for d in unasked {
      let shape = d.shape!
      let axes: String
      if let a = options.axes, a.count == shape.count { axes = a } else { axes = try self.axes(of: d, shape) }
      // A series of numbers without a spatial axis is carried, not coded.
      if !axes.contains(where: { "xyz".contains($0) }) { continue }
      out.append(describe(d, shape, axes))
    }
    if out.isEmpty {
      throw SnapshotError(.noDataset, file: path, "holds no floating dataset with values; it holds \(listing)")
    }
    return out
  }

  /// Floating datasets with values that are neither scales nor coordinates.
  private var unasked: [FoundDataset] {
    let coordinates = coordinateNames
    return found.filter { d in
      guard case .float(let bytes, _) = d.elementClass, bytes == 4 || bytes == 8, let shape = d.shape else { return false }
      return (1...5).contains(shape.count) && shape.allSatisfy { $0 > 0 } && !d.isScale && !coordinates.contains(d.path)
    }
  }
  /// Of those, the ones with a spatial axis.
  var candidates: [String] {
    unasked.filter { d in (try? axes(of: d, d.shape!))?.contains { "xyz".contains($0) } ?? true }.map(\.path)
  }

  private var listing: String {
    found.isEmpty ? "no dataset at all" : found.prefix(40).map(\.summary).joined(separator: ", ") + (found.count > 40 ? ", ..." : "")
  }

  private func describe(requested name: String) throws -> FieldDescription {
    let wanted = name.hasPrefix("/") ? String(name.dropFirst()) : name
    var hits = found.filter { $0.path == wanted }
    if hits.isEmpty { hits = found.filter { $0.path.hasSuffix("/" + wanted) } }
    if hits.isEmpty, let object = try? file.object("/" + wanted), let info = try? object.info() {
      hits = found.filter { (try? $0.handle.info().identity) == info.identity }   // by way of a link
    }
    guard let d = hits.first else { throw SnapshotError(.noDataset, file: path, dataset: name, "no such dataset; there is \(listing)") }
    guard hits.count == 1 else {
      throw SnapshotError(.noDataset, file: path, dataset: name, "is the name of several datasets; give one of \(hits.map(\.path).joined(separator: ", "))")
    }
    func fail(_ code: SnapshotError.Code, _ text: String) -> SnapshotError { SnapshotError(code, file: path, dataset: d.path, text) }
    switch d.elementClass {
    case .float(let bytes, _) where bytes == 4 || bytes == 8: break
    case .float(let bytes, _):
      throw fail(.unsupportedType, "is float\(8 * bytes); float32 and float64 can be compressed. Convert it, or leave out -f and it is carried losslessly")
    case .integer where d.handle.hasAttribute("scale_factor") || d.handle.hasAttribute("add_offset"):
      throw fail(.packedInteger, "holds packed integers (scale_factor \(d.handle.numbers("scale_factor")?.first.map { String($0) } ?? "1"), add_offset \(d.handle.numbers("add_offset")?.first.map { String($0) } ?? "0")); unpack it to float32 first, e.g. with ncpdq -U, or leave out -f and it is carried losslessly")
    case .integer: throw fail(.unsupportedType, "holds integers; only floating values are compressed. Convert it to float32, or leave out -f and it is carried losslessly")
    default: throw fail(.unsupportedType, "does not hold real numbers; leave out -f and it is carried losslessly")
    }
    guard let shape = d.shape, !shape.isEmpty else { throw fail(.emptyDataset, "is a single value, not an array; leave out -f and it is carried losslessly") }
    guard shape.allSatisfy({ $0 > 0 }) else { throw fail(.emptyDataset, "is empty (shape \(shape)); there is nothing to compress") }
    guard shape.count <= 5 else { throw fail(.badAxes, "has \(shape.count) dimensions; at most 5 (t, c, z, y, x) can be compressed") }
    let axes: String
    if let a = options.axes {
      guard a.count == shape.count else {
        throw fail(.badAxes, "has \(shape.count) dimensions \(shape), but --axes \(a) names \(a.count)")
      }
      axes = a
    } else { axes = try self.axes(of: d, shape) }
    guard axes.contains(where: { "xyz".contains($0) }) else {
      throw fail(.badAxes, "has axes \(axes) and no spatial one; give --axes, e.g. --axes \(AxisLetters.byRank(min(3, shape.count))!)")
    }
    return describe(d, shape, axes)
  }

  static func validate(axes: String, file: String) throws {
    guard axes.allSatisfy({ "tczyx".contains($0) }), Set(axes).count == axes.count, axes.contains(where: { "xyz".contains($0) }) else {
      throw SnapshotError(.badAxes, file: file, "--axes \(axes): one letter of t, c, z, y, x per dimension, none twice, at least one of z, y, x")
    }
  }

  private func axes(of d: FoundDataset, _ shape: [Int]) throws -> String {
    if let scales = d.handle.scalePaths(rank: shape.count), let s = AxisLetters.letters(scales.map { $0.flatMap(letter(ofScale:)) }) { return s }
    for a in ["dims", "DIMENSION_LABELS", "axisLabels", "axes", "dimensions", "_ARRAY_DIMENSIONS"] {
      guard let list = d.handle.strings(a) else { continue }
      let names = list.count == shape.count ? list : AxisLetters.names(list.joined(separator: ","))
      guard names.count == shape.count else { continue }
      if let s = AxisLetters.letters(names.map { AxisLetters.names($0).first.flatMap(AxisLetters.letter) }) { return s }
    }
    if let s = AxisLetters.byRank(shape.count) { return s }
    throw SnapshotError(.ambiguousAxes, file: path, dataset: d.path,
      "has \(shape.count) dimensions \(shape) and nothing names them; give --axes, one letter of t,c,z,y,x per dimension, e.g. --axes \(shape.count == 4 ? "tzyx or czyx" : "tczyx")")
  }

  /// What a dimension scale stands for: CF `axis`, its name, CF `standard_name`, its units.
  private func letter(ofScale scale: String) -> Character? {
    guard let h = try? file.object(scale) else { return nil }
    if let a = h.string("axis")?.lowercased(), a.count == 1, "tzyx".contains(a) { return a.first }
    if let l = AxisLetters.letter(scale.split(separator: "/").last.map(String.init) ?? "") { return l }
    if let s = h.string("standard_name"), let l = AxisLetters.letter(s.split(separator: "_").last.map(String.init) ?? "") { return l }
    guard let u = h.string("units")?.lowercased() else { return nil }
    if u.contains(" since ") { return "t" }
    if u.hasPrefix("degrees_n") || u.hasPrefix("degree_n") { return "y" }
    if u.hasPrefix("degrees_e") || u.hasPrefix("degree_e") { return "x" }
    return nil
  }

  private func describe(_ d: FoundDataset, _ shape: [Int], _ axes: String) -> FieldDescription {
    guard case .float(let bytes, _) = d.elementClass else { preconditionFailure("not a floating dataset") }
    let spatial = axes.filter { $0 != "t" && $0 != "c" }
    var fills: [UInt64] = []
    for a in ["_FillValue", "missing_value"] { fills += d.handle.patterns(a, bytes: bytes) ?? [] }
    if let root = try? file.object("/"), root.hasAttribute("_NCProperties"), fills.isEmpty {
      fills = [bytes == 4 ? UInt64(Float(9.9692099683868690e+36).bitPattern) : 9.9692099683868690e+36.bitPattern]  // NetCDF's default
    }
    var unique: [UInt64] = []
    for f in fills where !unique.contains(f) { unique.append(f) }
    var f = FieldDescription(name: d.path, type: bytes == 4 ? .float32 : .float64, shape: shape, axes: axes,
                             periodic: periodicity(d, spatial), fillValues: unique, units: d.handle.string("units") ?? "")
    f.times = times(d, f)
    return f
  }

  private func periodicity(_ d: FoundDataset, _ spatial: String) -> Grid.Periodicity {
    if let p = options.periodic, p != "auto" { return AxisLetters.periodicity(p, spatial: spatial) ?? .none }
    for h in [d.handle, try? file.object("/")] {
      guard let h, h.hasAttribute("periodic") else { continue }
      if let s = h.string("periodic"), let p = AxisLetters.periodicity(s, spatial: spatial) { return p }
      if let n = h.numbers("periodic"), n.count == 1 || n.count == spatial.count {
        let letters = Array(spatial).enumerated().filter { n[n.count == 1 ? 0 : $0.offset] != 0 }.map(\.element)
        return AxisLetters.flags(Set(letters), spatial)
      }
    }
    return .none
  }

  /// The time axis' scale, or a dataset named after time beside the field.
  private func times(_ d: FoundDataset, _ f: FieldDescription) -> [Double]? {
    guard let t = f.timeAxis else { return nil }
    var candidates: [String] = []
    if let s = d.handle.scalePaths(rank: f.shape.count)?[t] { candidates.append(s) }
    let folder = d.path.lastIndex(of: "/").map { String(d.path[...$0]) } ?? ""
    for n in ["time", "times", "t"] { candidates.append("/" + folder + n) }
    for c in candidates {
      guard let h = try? file.object(c), let info = try? h.info(), info.kind == .dataset, (try? h.shape()) == [f.steps],
            !(h.string("NAME") ?? "").hasPrefix("This is a netCDF dimension but not"), let v = h.values() else { continue }
      return v
    }
    return nil
  }

  /// Positions of the cells along each spatial axis of a field: its dimension scale, else a list of the extent's length beside it (or in the
  /// root) whose name means the axis' letter, as `dims` or the letter itself give it. Empty where there is none.
  func positions(of f: FieldDescription) -> [[Double]] {
    guard let d = found.first(where: { $0.path == f.name }) else { return f.spatialPositions.map { _ in [] } }
    let scales = d.handle.scalePaths(rank: f.shape.count), letters = Array(f.axes)
    let folder = d.path.lastIndex(of: "/").map { String(d.path[...$0]) } ?? ""
    return f.spatialPositions.map { p in
      if let scale = scales?[p] { return numbers(scale, f.shape[p]) ?? [] }
      let beside = found.filter { c in
        guard c.shape == [f.shape[p]] else { return false }
        let cut = c.path.lastIndex(of: "/").map { c.path.index(after: $0) } ?? c.path.startIndex
        return (c.path[..<cut] == folder || cut == c.path.startIndex) && AxisLetters.letter(String(c.path[cut...])) == letters[p]
      }
      return beside.first { $0.path.hasPrefix(folder) }.flatMap { numbers($0.path, f.shape[p]) }
        ?? beside.first.flatMap { numbers($0.path, f.shape[p]) } ?? []
    }
  }
  private func numbers(_ path: String, _ count: Int) -> [Double]? {
    guard let h = try? file.object(path.hasPrefix("/") ? path : "/" + path), let info = try? h.info(), info.kind == .dataset,
          (try? h.shape()) == [count], !(h.string("NAME") ?? "").hasPrefix("This is a netCDF dimension but not"),
          let v = h.values(), v.count == count else { return nil }
    return v
  }
}
