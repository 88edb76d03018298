import CHDF5
import CHDF5Parallel

/// Copies what a file holds into another one, except the bytes of chosen datasets.
///
/// Those become placeholders: same type, fill value and attributes, contiguous, no storage yet. Object references,
/// dimension scales included, are translated by path. Attributes and links come in the order of the source.
public struct ObjectCopy {
  public struct Placeholder {
    /// Extents in the copy.
    public var shape: [Int]
    /// Per axis: keep the dimension scales attached to it.
    public var keepsScale: [Bool]
    public init(shape: [Int], keepsScale: [Bool]? = nil) { self.shape = shape; self.keepsScale = keepsScale ?? shape.map { _ in true } }
  }
  let source: File, target: File
  /// Paths without the leading slash.
  let placeholders: [String: Placeholder]
  let dropped: Set<String>
  /// Index ranges per axis that are kept of other datasets.
  let cropped: [String: [Range<Int>]]
  /// Attributes that make no sense in the copy.
  let droppedAttributes: Set<String>
  private var known: [ObjectIdentity: String] = [:]
  private var transfers: [(source: Handle, target: Handle, shape: [Int])] = []
  private var copied: [(source: Handle, target: Handle, path: String)] = []

  public init(from source: File, to target: File, placeholders: [String: Placeholder], dropped: Set<String> = [],
              cropped: [String: [Range<Int>]] = [:], droppedAttributes: Set<String> = []) {
    self.source = source; self.target = target; self.placeholders = placeholders; self.dropped = dropped; self.cropped = cropped
    self.droppedAttributes = droppedAttributes
  }

  public mutating func run() throws {
    let from = try source.object("/"), to = try target.object("/")
    known[try from.info().identity] = "/"
    copied.append((from, to, ""))
    try copy(from, to, "")
    // References need their targets to exist.
    for t in transfers { try transfer(t.source, t.target, t.shape.map { _ in 0 }, t.shape) }
    for c in copied { try copyAttributes(c.source, c.target, c.path) }
  }

  private mutating func copy(_ from: Handle, _ to: Handle, _ prefix: String) throws {
    for link in try links(of: from) {
      let path = prefix + link.name
      switch link.kind {
      case .soft(let value): _ = H5Lcreate_soft(value, to.id, link.name, 0, 0); continue
      case .other: continue
      default: break
      }
      guard let object = try? source.object("/" + path), let info = try? object.info() else {
        guard case .external(let file, let inner) = link.kind else { throw HDF5Error(call: "H5Oopen (\(path))", status: -1) }
        _ = H5Lcreate_external(file, inner, to.id, link.name, 0, 0)
        continue
      }
      if dropped.contains(path) { continue }
      if let first = known[info.identity] { _ = H5Lcreate_hard(target.id, first, to.id, link.name, 0, 0); continue }
      known[info.identity] = "/" + path
      switch info.kind {
      case .group:
        let g = try createGroup(in: to, link.name, creationOrder: tracksCreationOrder(object))
        copied.append((object, g, path))
        try copy(object, g, path + "/")
      case .dataset: try copyDataset(object, to, link.name, path)
      case .type: try copyWhole(object, to, link.name, path)
      case .unknown: continue
      }
    }
  }

  private mutating func copyDataset(_ object: Handle, _ to: Handle, _ name: String, _ path: String) throws {
    let plist = try Handle("H5Dget_create_plist", H5Dget_create_plist(object.id))
    let layout = H5Pget_layout(plist.id)
    if let p = placeholders[path] {
      copied.append((object, try create(like: object, plist, to, name, p.shape), path))
    } else if let ranges = cropped[path] {
      let new = try create(like: object, plist, to, name, ranges.map(\.count))
      try transfer(object, new, ranges.map(\.lowerBound), ranges.map(\.count))
      copied.append((object, new, path))
    } else if let shape = try object.shape(), try hasPointers(object) {
      // H5Ocopy leaves fill values of variable length pointing into the old file, and references to nothing.
      let new = try create(like: object, plist, to, name, shape)
      transfers.append((object, new, shape))
      copied.append((object, new, path))
    } else if layout == H5D_VIRTUAL || H5Pget_external_count(plist.id) > 0, let shape = try object.shape() {
      // What lies in other files is brought in.
      let new = try create(like: object, plist, to, name, shape)
      try transfer(object, new, shape.map { _ in 0 }, shape)
      copied.append((object, new, path))
    } else { try copyWhole(object, to, name, path) }
  }

  private mutating func copyWhole(_ object: Handle, _ to: Handle, _ name: String, _ path: String) throws {
    let plist = try Handle("H5Pcreate", H5Pcreate(ald_H5P_OBJECT_COPY()))
    try check("H5Pset_copy_object", H5Pset_copy_object(plist.id, UInt32(H5O_COPY_WITHOUT_ATTR_FLAG | H5O_COPY_MERGE_COMMITTED_DTYPE_FLAG)))
    try check("H5Ocopy", H5Ocopy(object.id, ".", to.id, name, plist.id, 0))
    copied.append((object, try Handle("H5Oopen", H5Oopen(to.id, name, 0)), path))
  }

  /// A contiguous dataset without storage, of the type, fill value and attribute order of `object`.
  private func create(like object: Handle, _ old: Handle, _ to: Handle, _ name: String, _ shape: [Int]) throws -> Handle {
    let committed = try Handle("H5Dget_type", H5Dget_type(object.id))
    let type = try Handle("H5Tcopy", H5Tcopy(committed.id))
    let plist = try Handle("H5Pcreate", H5Pcreate(ald_H5P_DATASET_CREATE()))
    try check("H5Pset_obj_track_times", H5Pset_obj_track_times(plist.id, false))
    try check("H5Pset_layout", H5Pset_layout(plist.id, H5D_CONTIGUOUS))
    try check("H5Pset_alloc_time", H5Pset_alloc_time(plist.id, H5D_ALLOC_TIME_LATE))
    if try !hasPointers(object) { try check("H5Pset_fill_time", H5Pset_fill_time(plist.id, H5D_FILL_TIME_NEVER)) }
    var order: UInt32 = 0
    if H5Pget_attr_creation_order(old.id, &order) >= 0 { _ = H5Pset_attr_creation_order(plist.id, order) }
    var defined = H5D_FILL_VALUE_UNDEFINED
    if H5Pfill_value_defined(old.id, &defined) >= 0, defined == H5D_FILL_VALUE_USER_DEFINED {
      var value = [UInt8](repeating: 0, count: max(64, H5Tget_size(type.id)))
      if H5Pget_fill_value(old.id, type.id, &value) >= 0 { _ = H5Pset_fill_value(plist.id, type.id, value) }
    }
    let space = try shape.isEmpty ? Handle("H5Screate", H5Screate(H5S_SCALAR))
      : Handle("H5Screate_simple", H5Screate_simple(Int32(shape.count), shape.map { hsize_t($0) }, nil))
    return try Handle("H5Dcreate2", H5Dcreate2(to.id, name, type.id, space.id, 0, plist.id, 0))
  }

  /// Copies values of equal type, in slabs of bounded size.
  private func transfer(_ from: Handle, _ to: Handle, _ start: [Int], _ count: [Int]) throws {
    let type = try Handle("H5Dget_type", H5Dget_type(to.id)), size = H5Tget_size(type.id)
    guard let whole = try from.shape() else { return }
    if count.contains(0) { return }
    if count.isEmpty {
      let buffer = UnsafeMutableRawPointer.allocate(byteCount: max(16, size), alignment: 16)
      defer { buffer.deallocate() }
      try check("H5Dread", H5Dread(from.id, type.id, 0, 0, 0, buffer))
      if references(type) { translate(buffer, type, 1) }
      try check("H5Dwrite", H5Dwrite(to.id, type.id, 0, 0, 0, buffer))
      let space = try Handle("H5Screate", H5Screate(H5S_SCALAR))
      _ = H5Dvlen_reclaim(type.id, space.id, 0, buffer)
      return
    }
    let row = count.dropFirst().reduce(1, *) * size, rows = max(1, (32 << 20) / row)
    var at = 0
    while at < count[0] {
      let n = min(rows, count[0] - at)
      var s = start, c = count, t = start.map { _ in 0 }
      s[0] += at; c[0] = n; t[0] = at
      let fileSpace = try select(whole, s, c), targetSpace = try select(count, t, c), memory = try select(c, c.map { _ in 0 }, c)
      let buffer = UnsafeMutableRawPointer.allocate(byteCount: n * row, alignment: 16)
      defer { buffer.deallocate() }
      try check("H5Dread", H5Dread(from.id, type.id, memory.id, fileSpace.id, 0, buffer))
      if references(type) { translate(buffer, type, n * row / size) }
      try check("H5Dwrite", H5Dwrite(to.id, type.id, memory.id, targetSpace.id, 0, buffer))
      _ = H5Dvlen_reclaim(type.id, memory.id, 0, buffer)
      at += n
    }
  }

  // MARK: attributes

  private func copyAttributes(_ from: Handle, _ to: Handle, _ path: String) throws {
    let n = try from.info().attributes
    let ordered = H5Aopen_by_idx(from.id, ".", H5_INDEX_CRT_ORDER, H5_ITER_INC, 0, 0, 0)
    if ordered >= 0 { H5Aclose(ordered) }
    for i in 0..<n {
      let index = ordered >= 0 ? H5_INDEX_CRT_ORDER : H5_INDEX_NAME
      let a = try Handle("H5Aopen_by_idx", H5Aopen_by_idx(from.id, ".", index, H5_ITER_INC, hsize_t(i), 0, 0))
      var buffer = [CChar](repeating: 0, count: 1 + (try check("H5Aget_name", H5Aget_name(a.id, 0, nil))))
      try check("H5Aget_name", H5Aget_name(a.id, buffer.count, &buffer))
      if droppedAttributes.contains(string(buffer)) { continue }
      try copyAttribute(a, string(buffer), to, path)
    }
  }

  private func copyAttribute(_ a: Handle, _ name: String, _ to: Handle, _ path: String) throws {
    let stored = try Handle("H5Aget_type", H5Aget_type(a.id))
    let type = try Handle("H5Tcopy", H5Tcopy(stored.id))
    var space = try Handle("H5Aget_space", H5Aget_space(a.id))
    let shape = try a.shape(attribute: true), size = H5Tget_size(type.id), keep = placeholders[path]?.keepsScale
    var count = shape.map { $0.reduce(1, *) } ?? 0
    let buffer = UnsafeMutableRawPointer.allocate(byteCount: max(16, count * size), alignment: 16)
    buffer.initializeMemory(as: UInt8.self, repeating: 0, count: max(16, count * size))
    defer { buffer.deallocate() }
    let originalSpace = space
    if count > 0 { try check("H5Aread", H5Aread(a.id, type.id, buffer)) }
    defer { if count > 0 { _ = H5Dvlen_reclaim(type.id, originalSpace.id, 0, buffer) } }
    if references(type) {
      translate(buffer, type, count)
      if name == "DIMENSION_LIST", let keep, H5Tget_class(type.id) == H5T_VLEN, count == keep.count {
        let lists = buffer.assumingMemoryBound(to: hvl_t.self)
        // An axis cut otherwise than its scale loses it.
        for i in 0..<count where !keep[i] { lists[i].len = 0 }
        if !(0..<count).contains(where: { lists[$0].len > 0 }) { return }
      }
      if name == "REFERENCE_LIST", H5Tget_class(type.id) == H5T_COMPOUND, shape?.count == 1 {
        count = keepLive(buffer, type, count)
        if count == 0 { return }
        space = try Handle("H5Screate_simple", H5Screate_simple(1, [hsize_t(count)], nil))
      }
    }
    let plist = try Handle("H5Aget_create_plist", H5Aget_create_plist(a.id))
    let new = try Handle("H5Acreate2", H5Acreate2(to.id, name, type.id, space.id, plist.id, 0))
    if count > 0 { try check("H5Awrite", H5Awrite(new.id, type.id, buffer)) }
  }

  /// Whether values point elsewhere: variable length, or references.
  private func hasPointers(_ dataset: Handle) throws -> Bool {
    let type = try Handle("H5Dget_type", H5Dget_type(dataset.id))
    return H5Tdetect_class(type.id, H5T_VLEN) > 0 || H5Tis_variable_str(type.id) > 0 || references(type)
      || (H5Tget_class(type.id) == H5T_COMPOUND && H5Tdetect_class(type.id, H5T_STRING) > 0)
  }

  private func references(_ type: Handle) -> Bool { H5Tdetect_class(type.id, H5T_REFERENCE) > 0 }

  /// Replaces object references by those of the same paths in the target; null where the object is gone.
  private func translate(_ buffer: UnsafeMutableRawPointer, _ type: Handle, _ count: Int) {
    let size = H5Tget_size(type.id)
    switch H5Tget_class(type.id) {
    case H5T_REFERENCE where H5Tequal(type.id, ald_H5T_STD_REF_OBJ()) > 0:
      for i in 0..<count {
        let p = buffer + i * size
        let old = p.loadUnaligned(as: hobj_ref_t.self)
        var new: hobj_ref_t = 0
        if old != 0, let path = source.handle.path(of: old) {
          if H5Rcreate(&new, target.id, path, H5R_OBJECT, -1) < 0 { new = 0 }
        }
        p.storeBytes(of: new, as: hobj_ref_t.self)
      }
    case H5T_VLEN:
      guard let base = try? Handle("H5Tget_super", H5Tget_super(type.id)) else { return }
      for i in 0..<count {
        let v = (buffer + i * size).assumingMemoryBound(to: hvl_t.self).pointee
        if let p = v.p { translate(p, base, v.len) }
      }
    case H5T_COMPOUND:
      for m in 0..<UInt32(max(0, H5Tget_nmembers(type.id))) {
        guard let member = try? Handle("H5Tget_member_type", H5Tget_member_type(type.id, m)), references(member) else { continue }
        let at = H5Tget_member_offset(type.id, m)
        for i in 0..<count { translate(buffer + i * size + at, member, 1) }
      }
    case H5T_ARRAY:
      guard let base = try? Handle("H5Tget_super", H5Tget_super(type.id)) else { return }
      translate(buffer, base, count * size / H5Tget_size(base.id))
    default: break
    }
  }

  /// Moves the entries of a `REFERENCE_LIST` that still point somewhere, and whose axis keeps its scale, to the front.
  private func keepLive(_ buffer: UnsafeMutableRawPointer, _ type: Handle, _ count: Int) -> Int {
    let size = H5Tget_size(type.id), at = H5Tget_member_offset(type.id, 0)
    let axisAt = H5Tget_nmembers(type.id) > 1 ? H5Tget_member_offset(type.id, 1) : nil
    var kept = 0
    for i in 0..<count {
      let reference = (buffer + i * size + at).loadUnaligned(as: hobj_ref_t.self)
      if reference == 0 { continue }
      if let axisAt, let path = target.handle.path(of: reference), let keep = placeholders[String(path.dropFirst())]?.keepsScale {
        let axis = Int((buffer + i * size + axisAt).loadUnaligned(as: Int32.self))
        if axis < keep.count && !keep[axis] { continue }
      }
      (buffer + kept * size).copyMemory(from: buffer + i * size, byteCount: size)
      kept += 1
    }
    return kept
  }
}

/// A contiguous dataset of IEEE numbers without storage, with the groups on its path.
@discardableResult
public func createNumbers(in file: File, _ path: String, shape: [Int], double: Bool) throws -> Handle {
  var parent = try file.object("/")
  let names = path.split(separator: "/").map(String.init)
  for n in names.dropLast() {
    parent = H5Lexists(parent.id, n, 0) > 0 ? try Handle("H5Oopen", H5Oopen(parent.id, n, 0)) : try createGroup(in: parent, n)
  }
  let plist = try Handle("H5Pcreate", H5Pcreate(ald_H5P_DATASET_CREATE()))
  try check("H5Pset_obj_track_times", H5Pset_obj_track_times(plist.id, false))
  try check("H5Pset_layout", H5Pset_layout(plist.id, H5D_CONTIGUOUS))
  try check("H5Pset_alloc_time", H5Pset_alloc_time(plist.id, H5D_ALLOC_TIME_LATE))
  try check("H5Pset_fill_time", H5Pset_fill_time(plist.id, H5D_FILL_TIME_NEVER))
  let space = try Handle("H5Screate_simple", H5Screate_simple(Int32(shape.count), shape.map { hsize_t($0) }, nil))
  return try Handle("H5Dcreate2", H5Dcreate2(parent.id, names.last ?? "data", double ? ald_H5T_IEEE_F64LE() : ald_H5T_IEEE_F32LE(),
                                            space.id, 0, plist.id, 0))
}

/// Makes HDF5 allocate a contiguous dataset's storage by writing its first value.
///
/// - Returns: The file offset of its first byte.
public func allocate(_ dataset: Handle) throws -> Int {
  guard let shape = try dataset.shape(), !shape.contains(0) else { throw HDF5Error(call: "H5Dget_space", status: -1) }
  let one = shape.map { _ in 1 }, space = try select(shape, shape.map { _ in 0 }, one), memory = try select(one, one.map { _ in 0 }, one)
  var zero = 0.0
  try check("H5Dwrite", H5Dwrite(dataset.id, ald_H5T_NATIVE_DOUBLE(), memory.id, space.id, 0, &zero))
  guard let at = offset(of: dataset) else { throw HDF5Error(call: "H5Dget_offset", status: -1) }
  return at
}

extension Handle {
  /// Writes numbers as a 1-D attribute of doubles.
  public func write(_ name: String, _ values: [Double]) throws {
    let space = try Handle("H5Screate_simple", H5Screate_simple(1, [hsize_t(values.count)], nil))
    let a = try Handle("H5Acreate2", H5Acreate2(id, name, ald_H5T_IEEE_F64LE(), space.id, 0, 0))
    try check("H5Awrite", H5Awrite(a.id, ald_H5T_NATIVE_DOUBLE(), values))
  }
}

/// A contiguous dataset of doubles with its values; groups on the way are made.
public func writeNumbers(in file: File, _ path: String, shape: [Int], _ values: [Double]) throws {
  precondition(values.count == shape.reduce(1, *))
  let d = try createNumbers(in: file, path, shape: shape, double: true)
  try check("H5Dwrite", H5Dwrite(d.id, ald_H5T_NATIVE_DOUBLE(), 0, 0, 0, values))
}
