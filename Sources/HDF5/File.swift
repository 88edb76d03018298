public import CHDF5
import CHDF5Parallel

/// An HDF5 file opened by this process alone (POSIX or in-memory driver, never MPI-IO).
///
/// Reading: every rank opens the file read-only by itself. Independent POSIX reads of hyperslabs need no
/// collective calls, so a failing rank cannot hang the others, and a filtered or virtual dataset is read like
/// any other. Writing: one rank writes metadata, all ranks write bulk bytes by `pwrite` at known offsets.
public final class File {
  public let handle: Handle
  public var id: hid_t { handle.id }
  init(_ handle: Handle) { self.handle = handle }

  /// Turns HDF5's own error printing off; every factory below does so.
  public static func silence() { _ = H5open(); _ = ald_silence() }

  enum Versions { case any, modern, latest }
  static func access(_ versions: Versions) throws -> Handle {
    silence()
    let fapl = try Handle("H5Pcreate", H5Pcreate(ald_H5P_FILE_ACCESS()))
    try check("H5Pset_fclose_degree", H5Pset_fclose_degree(fapl.id, H5F_CLOSE_STRONG))
    // Many ranks open the same file, often on file systems without locks.
    _ = H5Pset_file_locking(fapl.id, false, true)
    switch versions {
    case .any: break
    case .modern: try check("H5Pset_libver_bounds", ald_libver_modern(fapl.id))
    case .latest: try check("H5Pset_libver_bounds", ald_libver_latest(fapl.id))
    }
    return fapl
  }

  public static func open(_ path: String, writable: Bool = false) throws -> File {
    let fapl = try access(.any)
    return File(try Handle("H5Fopen", H5Fopen(path, writable ? ald_H5F_ACC_RDWR() : ald_H5F_ACC_RDONLY(), fapl.id)))
  }

  /// Whether `path` starts like an HDF5 file.
  public static func isHDF5(_ path: String) -> Bool { silence(); return H5Fis_hdf5(path) > 0 }

  /// A new file behind a user block, allocating exactly what is asked for, so that small files stay small.
  ///
  /// In memory it is one for other programs to read: any library since 1.8 can.
  public static func create(_ path: String, userBlock: Int = 0, inMemory: Bool = false,
                            creationOrder: Bool = false) throws -> File {
    let fapl = try access(inMemory ? .modern : .latest)
    if inMemory { try check("H5Pset_fapl_core", H5Pset_fapl_core(fapl.id, 1 << 16, false)) }
    try check("H5Pset_meta_block_size", H5Pset_meta_block_size(fapl.id, inMemory ? 2048 : 0))
    try check("H5Pset_small_data_block_size", H5Pset_small_data_block_size(fapl.id, 0))
    let fcpl = try Handle("H5Pcreate", H5Pcreate(ald_H5P_FILE_CREATE()))
    if userBlock > 0 { try check("H5Pset_userblock", H5Pset_userblock(fcpl.id, hsize_t(userBlock))) }
    try check("H5Pset_obj_track_times", H5Pset_obj_track_times(fcpl.id, false))
    try check("H5Pset_link_phase_change", H5Pset_link_phase_change(fcpl.id, 512, 256))
    if creationOrder {
      let both = UInt32(H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED)
      try check("H5Pset_link_creation_order", H5Pset_link_creation_order(fcpl.id, both))
      try check("H5Pset_attr_creation_order", H5Pset_attr_creation_order(fcpl.id, both))
    }
    return File(try Handle("H5Fcreate", H5Fcreate(path, ald_H5F_ACC_TRUNC(), fcpl.id, fapl.id)))
  }

  /// Opens a file image; changes stay in memory.
  public static func open(image: [UInt8]) throws -> File {
    let fapl = try access(.modern)
    try check("H5Pset_fapl_core", H5Pset_fapl_core(fapl.id, 1 << 16, false))
    try image.withUnsafeBytes { b in
      _ = try check("H5Pset_file_image",
                    H5Pset_file_image(fapl.id, UnsafeMutableRawPointer(mutating: b.baseAddress), b.count))
    }
    return File(try Handle("H5Fopen", H5Fopen("image", ald_H5F_ACC_RDWR(), fapl.id)))
  }

  /// The bytes of the file as they would be on disk.
  public func image() throws -> [UInt8] {
    try flush()
    let n = try check("H5Fget_file_image", H5Fget_file_image(id, nil, 0))
    var bytes = [UInt8](repeating: 0, count: Int(n))
    try bytes.withUnsafeMutableBytes { b in
      _ = try check("H5Fget_file_image", H5Fget_file_image(id, b.baseAddress, b.count))
    }
    // The call clears the "open for writing" flag of the superblock, but leaves the old checksum.
    if bytes.count >= 48, bytes[8] >= 2, bytes[9] == 8 {
      let sum = lookup3(bytes[0..<44])
      for i in 0..<4 { bytes[44 + i] = UInt8(truncatingIfNeeded: sum >> UInt32(8 * i)) }
    }
    return bytes
  }

  public func flush() throws { try check("H5Fflush", H5Fflush(id, H5F_SCOPE_LOCAL)) }

  /// Writes everything, closes all objects of the file and the file.
  public func close() throws { try flush(); try handle.close() }

  /// Opens a group, dataset or named type.
  public func object(_ path: String) throws -> Handle {
    try Handle("H5Oopen", H5Oopen(id, path.isEmpty ? "/" : path, 0))
  }
}

/// The checksum of HDF5 metadata: Bob Jenkins' lookup3 (hashlittle, initial value 0).
func lookup3(_ k: ArraySlice<UInt8>) -> UInt32 {
  func rot(_ x: UInt32, _ n: UInt32) -> UInt32 { x << n | x >> (32 - n) }
  var a = 0xdead_beef &+ UInt32(k.count), b = a, c = a, i = k.startIndex
  func word(_ at: Int) -> UInt32 {
    (0..<4).reduce(0) { $0 | (at + $1 < k.endIndex ? UInt32(k[at + $1]) << UInt32(8 * $1) : 0) }
  }
  while k.endIndex - i > 12 {
    a &+= word(i); b &+= word(i + 4); c &+= word(i + 8)
    a = (a &- c) ^ rot(c, 4); c &+= b
    b = (b &- a) ^ rot(a, 6); a &+= c
    c = (c &- b) ^ rot(b, 8); b &+= a
    a = (a &- c) ^ rot(c, 16); c &+= b
    b = (b &- a) ^ rot(a, 19); a &+= c
    c = (c &- b) ^ rot(b, 4); b &+= a
    i += 12
  }
  if i == k.endIndex { return c }
  a &+= word(i); b &+= word(i + 4); c &+= word(i + 8)
  c = (c ^ b) &- rot(b, 14)
  a = (a ^ c) &- rot(c, 11)
  b = (b ^ a) &- rot(a, 25)
  c = (c ^ b) &- rot(b, 16)
  a = (a ^ c) &- rot(c, 4)
  b = (b ^ a) &- rot(a, 14)
  return (c ^ b) &- rot(b, 24)
}
