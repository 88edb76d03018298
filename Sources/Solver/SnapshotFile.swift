import CHDF5
import CHDF5Parallel
import Compressor
import Glibc
import HDF5
import MPI

/// An HDF5 file of velocity snapshots, `velocity` (t, 3, z, y, x) and `time` (t), written by all ranks.
///
/// Rank 0 writes the metadata and reserves the disk space; every rank writes its planes at known offsets. The file has its
/// name only once it is complete.
struct SnapshotFile {
  let path: String
  let type: ScalarTypeName
  let snapshots: Int
  private let temporary: String
  private let velocityOffset: Int
  private let timeOffset: Int
  private let grid: SpectralGrid

  enum ScalarTypeName: String {
    case f32, f64
    var size: Int { self == .f32 ? 4 : 8 }
  }

  /// - Collective: all ranks.
  /// - Throws: the same error on all ranks.
  init(_ path: String, type: ScalarTypeName, snapshots: Int, viscosity: Double, grid: SpectralGrid,
       _ ranks: borrowing Communicator) throws {
    self.path = path; self.type = type; self.snapshots = snapshots; self.grid = grid
    let temporary = path + ".tmp"
    self.temporary = temporary
    let n = grid.n, rank = ranks.rank
    let offsets = try ranks.agree {
      rank == 0 ? try SnapshotFile.create(temporary, type, snapshots, viscosity, n) : [0, 0]
    }
    let known = try ranks.allReduce(offsets, .max)
    velocityOffset = known[0]; timeOffset = known[1]
  }

  /// Writes one snapshot from real-space blocks. Ends with an agreement: a full disk is an error on all ranks.
  ///
  /// - Collective: all ranks.
  func write(_ velocity: VectorBlock, snapshot: Int, time: Double, _ ranks: borrowing Communicator) throws {
    let rank = ranks.rank
    try ranks.agree {
      let fd = open(temporary, O_WRONLY | O_CLOEXEC)
      if fd < 0 { throw failure("open") }
      defer { close(fd) }
      let n = grid.n, plane = n * n
      for (c, block) in velocity.all.enumerated() {
        let at = velocityOffset + ((snapshot * 3 + c) * n + grid.z.lowerBound) * plane * type.size
        if type == .f32 {
          try write(packed(block) { Float($0) }, to: fd, at: at)
        } else {
          try write(packed(block) { $0 }, to: fd, at: at)
        }
      }
      if rank == 0 { try write([time], to: fd, at: timeOffset + 8 * snapshot) }
      if fsync(fd) != 0 { throw failure("sync") }
    }
  }

  /// Gives the file its name.
  ///
  /// - Collective: all ranks.
  func finish(_ ranks: borrowing Communicator) throws {
    let rank = ranks.rank
    try ranks.agree {
      if rank == 0, rename(temporary, path) != 0 { throw failure("rename") }
    }
  }

  private func packed<T>(_ block: Block, _ convert: (Double) -> T) -> [T] {
    var out: [T] = []
    out.reserveCapacity(grid.z.count * grid.n * grid.n)
    grid.forEachCell { at, _, _, _ in out.append(convert(block.values[at])) }
    return out
  }

  private func write<T: BitwiseCopyable>(_ values: [T], to fd: Int32, at offset: Int) throws {
    try values.withUnsafeBytes { bytes in
      var done = 0
      while done < bytes.count {
        let n = pwrite(fd, bytes.baseAddress! + done, min(bytes.count - done, 1 << 30), offset + done)
        if n < 0, errno == EINTR { continue }
        if n <= 0 { throw failure("write") }
        done += n
      }
    }
  }

  private func failure(_ what: String) -> Failure {
    Failure(.inputOutput, "cannot \(what) '\(path)': \(String(cString: strerror(errno)))")
  }

  /// - Returns: File offsets of the first byte of `velocity` and of `time`.
  private static func create(_ path: String, _ type: ScalarTypeName, _ snapshots: Int, _ viscosity: Double, _ n: Int) throws -> [Int] {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    if descriptor < 0 {
      throw Failure(.inputOutput, "cannot create '\(path)': \(String(cString: strerror(errno)))")
    }
    close(descriptor)
    let file = try File.create(path)
    let float = type == .f32 ? ald_H5T_IEEE_F32LE() : ald_H5T_IEEE_F64LE()
    let velocity = try dataset(file, "velocity", float, [snapshots, 3, n, n, n])
    try velocity.write("dims", "t,c,z,y,x")
    try velocity.write("periodic", "xyz")
    try velocity.write("units", "1")
    try velocity.write("description", "Taylor-Green vortex on [0, 2 pi)^3, kinematic viscosity \(viscosity)")
    let time = try dataset(file, "time", ald_H5T_IEEE_F64LE(), [snapshots])
    try time.write("CLASS", "DIMENSION_SCALE")
    try time.write("NAME", "time")
    try time.write("units", "1")
    guard let v = offset(of: velocity), let t = offset(of: time) else {
      throw Failure(.inputOutput, "cannot allocate '\(path)'")
    }
    return [v, t]
  }

  private static func dataset(_ file: File, _ name: String, _ type: hid_t, _ shape: [Int]) throws -> Handle {
    let plist = try Handle("H5Pcreate", H5Pcreate(ald_H5P_DATASET_CREATE()))
    try check("H5Pset_obj_track_times", H5Pset_obj_track_times(plist.id, false))
    try check("H5Pset_alloc_time", H5Pset_alloc_time(plist.id, H5D_ALLOC_TIME_EARLY))
    try check("H5Pset_fill_time", H5Pset_fill_time(plist.id, H5D_FILL_TIME_NEVER))
    let space = try Handle("H5Screate_simple", H5Screate_simple(Int32(shape.count), shape.map { hsize_t($0) }, nil))
    return try Handle("H5Dcreate2", H5Dcreate2(file.handle.id, name, type, space.id, 0, plist.id, 0))
  }
}
