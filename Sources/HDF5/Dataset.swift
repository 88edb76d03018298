import CHDF5
import CHDF5Parallel

extension Handle {
  /// Extents of a dataset or attribute; nil for a null dataspace, empty for a scalar.
  public func shape(attribute: Bool = false) throws -> [Int]? {
    let space = try Handle("H5Dget_space", attribute ? H5Aget_space(id) : H5Dget_space(id))
    if H5Sget_simple_extent_type(space.id) == H5S_NULL { return nil }
    let n = try check("H5Sget_simple_extent_ndims", H5Sget_simple_extent_ndims(space.id))
    var dims = [hsize_t](repeating: 0, count: Int(n))
    if n > 0 { try check("H5Sget_simple_extent_dims", H5Sget_simple_extent_dims(space.id, &dims, nil)) }
    return dims.map { Int($0) }
  }

  public func elementClass(attribute: Bool = false) throws -> ElementClass {
    let type = try Handle("H5Dget_type", attribute ? H5Aget_type(id) : H5Dget_type(id))
    return HDF5.elementClass(of: type)
  }
}

public func elementClass(of type: Handle) -> ElementClass {
  switch H5Tget_class(type.id) {
  case H5T_FLOAT: .float(bytes: H5Tget_size(type.id), bigEndian: H5Tget_order(type.id) == H5T_ORDER_BE)
  case H5T_INTEGER, H5T_ENUM, H5T_BITFIELD: .integer
  case H5T_STRING: .string
  default: .other
  }
}

/// How an array in memory receives a hyperslab: its own extents and where in it the slab goes.
public struct MemoryLayout3 {
  public var shape: [Int], start: [Int], count: [Int]
  public init(shape: [Int], start: [Int], count: [Int]) { self.shape = shape; self.start = start; self.count = count }
}

/// A dataset opened for reading hyperslabs.
public final class Dataset {
  public let handle: Handle
  public let shape: [Int]
  public let elementClass: ElementClass

  /// The chunk cache is sized to hold the chunks along one face, so that boxes read one after the other decode a
  /// chunk once.
  public init(in file: File, _ path: String, cacheBytes: Int = 64 << 20) throws {
    let dapl = try Handle("H5Pcreate", H5Pcreate(ald_H5P_DATASET_ACCESS()))
    try check("H5Pset_chunk_cache", H5Pset_chunk_cache(dapl.id, 12421, cacheBytes, 0.75))
    handle = try Handle("H5Dopen2", H5Dopen2(file.id, path, dapl.id))
    shape = try handle.shape() ?? []
    elementClass = try handle.elementClass()
  }

  /// Reads the slab at `start` of extents `count` (one entry per dataset axis) as native float or double.
  ///
  /// Counts are 64-bit throughout; HDF5 splits large POSIX reads itself.
  public func read(start: [Int], count: [Int], double: Bool, memory: MemoryLayout3,
                   into pointer: UnsafeMutableRawPointer) throws {
    let file = try select(shape, start, count), mem = try select(memory.shape, memory.start, memory.count)
    let type = double ? ald_H5T_NATIVE_DOUBLE() : ald_H5T_NATIVE_FLOAT()
    try check("H5Dread", H5Dread(handle.id, type, mem.id, file.id, 0, pointer))
  }

  /// Chunk extents, nil when not chunked.
  public func chunk() throws -> [Int]? {
    let plist = try Handle("H5Dget_create_plist", H5Dget_create_plist(handle.id))
    guard H5Pget_layout(plist.id) == H5D_CHUNKED else { return nil }
    var dims = [hsize_t](repeating: 0, count: shape.count)
    try check("H5Pget_chunk", H5Pget_chunk(plist.id, Int32(shape.count), &dims))
    return dims.map { Int($0) }
  }
}

func select(_ shape: [Int], _ start: [Int], _ count: [Int]) throws -> Handle {
  let space = try Handle("H5Screate_simple", H5Screate_simple(Int32(shape.count), shape.map { hsize_t($0) }, nil))
  if start.contains(where: { $0 != 0 }) || count != shape {
    try check("H5Sselect_hyperslab", H5Sselect_hyperslab(space.id, H5S_SELECT_SET, start.map { hsize_t($0) }, nil,
                                                         count.map { hsize_t($0) }, nil))
  }
  return space
}

/// Creates a dataset whose bytes are written outside HDF5: contiguous, allocated now, never filled.
///
/// - Returns: The dataset and the file offset of its first byte (nil when it has none).
public func createRaw(in parent: Handle, _ name: String, bytes: Int) throws -> Int? {
  let plist = try Handle("H5Pcreate", H5Pcreate(ald_H5P_DATASET_CREATE()))
  try check("H5Pset_obj_track_times", H5Pset_obj_track_times(plist.id, false))
  try check("H5Pset_layout", H5Pset_layout(plist.id, H5D_CONTIGUOUS))
  try check("H5Pset_alloc_time", H5Pset_alloc_time(plist.id, H5D_ALLOC_TIME_EARLY))
  try check("H5Pset_fill_time", H5Pset_fill_time(plist.id, H5D_FILL_TIME_NEVER))
  try check("H5Pset_dset_no_attrs_hint", H5Pset_dset_no_attrs_hint(plist.id, true))
  let space = try Handle("H5Screate_simple", H5Screate_simple(1, [hsize_t(bytes)], nil))
  let set = try Handle("H5Dcreate2", H5Dcreate2(parent.id, name, ald_H5T_STD_U8LE(), space.id, 0, plist.id, 0))
  return offset(of: set)
}

/// File offset of a contiguous dataset's first byte, nil when no bytes are allocated. (`H5Dget_offset` counts from
/// the start of the file, user block included.)
public func offset(of dataset: Handle) -> Int? {
  let at = H5Dget_offset(dataset.id)
  return at == haddr_t.max ? nil : Int(at)
}

extension Handle {
  /// All values of a small integer or floating dataset.
  public func values() -> [Double]? {
    guard let c = try? elementClass(), let shape = try? shape() else { return nil }
    switch c { case .float, .integer: break; default: return nil }
    var v = [Double](repeating: 0, count: max(1, shape.reduce(1, *)))
    return H5Dread(id, ald_H5T_NATIVE_DOUBLE(), 0, 0, 0, &v) < 0 ? nil : Array(v.prefix(shape.reduce(1, *)))
  }
}
