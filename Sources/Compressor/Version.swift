import CHDF5Parallel
import MPI

/// Alidade's own version.
public let alidadeVersion = "0.1.0"

/// Alidade, MPI and HDF5 as they run, by name.
public var libraryVersions: [String: String] {
  var major: UInt32 = 0, minor: UInt32 = 0, release: UInt32 = 0
  H5get_libversion(&major, &minor, &release)
  return ["alidade": alidadeVersion, "mpi": MPIEnvironment.libraryVersion, "hdf5": "\(major).\(minor).\(release)"]
}
