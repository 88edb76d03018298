import MPI
import SnapshotIO

/// The series at a path; `nil` where there is something else.
///
/// - Throws: `AgreedError`: a damaged index (4).
/// - Collective: all ranks; the first looks.
func series(_ path: String, ranks: borrowing Communicator) throws -> (folder: SeriesFolder, index: SeriesIndex)? {
  let folder = SeriesFolder(path), isFirst = ranks.rank == 0
  let bytes = try ranks.broadcast(try ranks.agree { isFirst && folder.exists ? try folder.index().encode() : [] })
  return bytes.isEmpty ? nil : (folder, try SeriesIndex(bytes, file: folder.indexPath))
}

/// Checks every step of a series, each after those that it is predicted from.
///
/// - Throws: beside those of a container, `AgreedError` (2) where a container is missing, (4) where it is not the one that the index names.
/// - Collective: all ranks.
func verify(
  _ folder: SeriesFolder, _ index: SeriesIndex, _ o: VerifyOptions, into report: inout Report, _ phases: PhaseClock, ranks: borrowing Communicator,
  progress: (String) -> Void
) throws {
  guard o.against == nil else { throw Failure(.usage, "--against takes the container of one step, e.g. \(folder.path)/\(folder.fileName(of: index.entries.first?.step ?? 0))") }
  let isFirst = ranks.rank == 0
  // No chain is decoded twice.
  var decoded: [String: DecodedSteps] = [:]
  for e in index.entries {
    try ranks.agree { if isFirst { try folder.check(e) } }
    if e.references.isEmpty { decoded = [:] }
    try verify(container: folder.containerPath(of: e), o, into: &report, phases, history: { name in
      let d = decoded[name] ?? DecodedSteps()
      decoded[name] = d
      return d
    }, ranks: ranks, progress: progress)
  }
}
