public import CHDF5
import CHDF5Parallel

/// Attributes in the few shapes that snapshot files use; anything else reads as nil.
extension Handle {
  public func hasAttribute(_ name: String) -> Bool { H5Aexists(id, name) > 0 }

  func attribute(_ name: String) -> Handle? {
    guard hasAttribute(name) else { return nil }
    return try? Handle("H5Aopen", H5Aopen(id, name, 0))
  }

  /// Names of all attributes, ascending.
  public func attributeNames() -> [String] {
    guard let n = try? info().attributes else { return [] }
    return (0..<n).compactMap { i in
      let length = H5Aget_name_by_idx(id, ".", H5_INDEX_NAME, H5_ITER_INC, hsize_t(i), nil, 0, 0)
      guard length > 0 else { return nil }
      var buffer = [CChar](repeating: 0, count: length + 1)
      return H5Aget_name_by_idx(id, ".", H5_INDEX_NAME, H5_ITER_INC, hsize_t(i), &buffer, buffer.count, 0) > 0 ? HDF5.string(buffer) : nil
    }
  }

  /// Numbers of an integer, enum or floating attribute (scalar or array).
  public func numbers(_ name: String) -> [Double]? {
    guard let a = attribute(name), let c = try? a.elementClass(attribute: true), let shape = try? a.shape(attribute: true)
    else { return nil }
    let n = shape.reduce(1, *)
    switch c {
    case .float:
      var v = [Double](repeating: 0, count: max(1, n))
      return H5Aread(a.id, ald_H5T_NATIVE_DOUBLE(), &v) < 0 ? nil : Array(v.prefix(n))
    case .integer:
      guard let type = try? Handle("H5Aget_type", H5Aget_type(a.id)) else { return nil }
      if H5Tget_class(type.id) == H5T_INTEGER {
        var v = [Int64](repeating: 0, count: max(1, n))
        return H5Aread(a.id, ald_H5T_NATIVE_INT64(), &v) < 0 ? nil : v.prefix(n).map { Double($0) }
      }
      // Booleans are one-byte enums.
      guard H5Tget_size(type.id) == 1 else { return nil }
      var v = [UInt8](repeating: 0, count: max(1, n))
      return H5Aread(a.id, type.id, &v) < 0 ? nil : v.prefix(n).map { Double($0) }
    default: return nil
    }
  }

  /// Bit patterns of a floating attribute in the given width (4 or 8 bytes), as fill values are compared.
  public func patterns(_ name: String, bytes: Int) -> [UInt64]? {
    guard let a = attribute(name), let c = try? a.elementClass(attribute: true), let shape = try? a.shape(attribute: true)
    else { return nil }
    switch c { case .float, .integer: break; default: return nil }
    let n = shape.reduce(1, *)
    if bytes == 4 {
      var v = [Float](repeating: 0, count: max(1, n))
      return H5Aread(a.id, ald_H5T_NATIVE_FLOAT(), &v) < 0 ? nil : v.prefix(n).map { UInt64($0.bitPattern) }
    }
    var v = [Double](repeating: 0, count: max(1, n))
    return H5Aread(a.id, ald_H5T_NATIVE_DOUBLE(), &v) < 0 ? nil : v.prefix(n).map(\.bitPattern)
  }

  /// Strings of a fixed- or variable-length string attribute (scalar or array).
  public func strings(_ name: String) -> [String]? {
    guard let a = attribute(name), (try? a.elementClass(attribute: true)) == .string,
          let shape = try? a.shape(attribute: true), let type = try? Handle("H5Aget_type", H5Aget_type(a.id)) else { return nil }
    let n = shape.reduce(1, *)
    if n == 0 { return [] }
    if H5Tis_variable_str(type.id) > 0 {
      var v = [UnsafeMutablePointer<CChar>?](repeating: nil, count: n)
      guard H5Aread(a.id, type.id, &v) >= 0 else { return nil }
      defer { for p in v where p != nil { H5free_memory(p) } }
      return v.map { $0.map { String(cString: $0) } ?? "" }
    }
    let size = H5Tget_size(type.id)
    var v = [CChar](repeating: 0, count: n * size)
    guard H5Aread(a.id, type.id, &v) >= 0 else { return nil }
    return (0..<n).map { i in
      let s = HDF5.string(Array(v[i * size..<(i + 1) * size]))
      var end = s.endIndex                       // space-padded (Fortran) strings
      while end > s.startIndex, s[s.index(before: end)] == " " { end = s.index(before: end) }
      return String(s[..<end])
    }
  }

  public func string(_ name: String) -> String? { strings(name)?.joined(separator: ",") }

  /// Writes a short fixed-length string attribute.
  public func write(_ name: String, _ value: String) throws {
    let bytes = Array(value.utf8)
    let type = try Handle("H5Tcopy", H5Tcopy(ald_H5T_C_S1()))
    try check("H5Tset_size", H5Tset_size(type.id, max(1, bytes.count)))
    try check("H5Tset_strpad", H5Tset_strpad(type.id, H5T_STR_NULLPAD))
    try check("H5Tset_cset", H5Tset_cset(type.id, H5T_CSET_UTF8))
    let space = try Handle("H5Screate", H5Screate(H5S_SCALAR))
    let a = try Handle("H5Acreate2", H5Acreate2(id, name, type.id, space.id, 0, 0))
    try check("H5Awrite", H5Awrite(a.id, type.id, bytes.isEmpty ? [0] : bytes))
  }

  /// Paths of the dimension scales attached to each axis (`DIMENSION_LIST`), the first where there are several.
  public func scalePaths(rank: Int) -> [String?]? {
    guard let a = attribute("DIMENSION_LIST"), let shape = try? a.shape(attribute: true), shape == [rank],
          let type = try? Handle("H5Aget_type", H5Aget_type(a.id)), H5Tget_class(type.id) == H5T_VLEN else { return nil }
    var v = [hvl_t](repeating: hvl_t(), count: rank)
    guard H5Aread(a.id, type.id, &v) >= 0 else { return nil }
    defer { for e in v where e.p != nil { H5free_memory(e.p) } }
    return v.map { e in e.len > 0 && e.p != nil ? path(of: e.p!.assumingMemoryBound(to: hobj_ref_t.self).pointee) : nil }
  }

  /// Path of the object an object reference points to, resolved in this object's file.
  public func path(of reference: hobj_ref_t) -> String? {
    var r = reference
    let n = H5Rget_name(id, H5R_OBJECT, &r, nil, 0)
    guard n > 0 else { return nil }
    var buffer = [CChar](repeating: 0, count: n + 1)
    guard H5Rget_name(id, H5R_OBJECT, &r, &buffer, buffer.count) > 0 else { return nil }
    return HDF5.string(buffer)
  }
}
