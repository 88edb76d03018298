import MPI

// Placeholder until the pipeline is merged.

public func compress(_ o: CompressOptions, ranks: borrowing Communicator, progress: (String) -> Void) throws -> Report {
  throw Failure(.inputOutput, "not there yet")
}
public func decompress(_ o: DecompressOptions, ranks: borrowing Communicator, progress: (String) -> Void) throws -> Report {
  throw Failure(.inputOutput, "not there yet")
}
public func verify(_ o: VerifyOptions, ranks: borrowing Communicator, progress: (String) -> Void) throws -> Report {
  throw Failure(.inputOutput, "not there yet")
}
public func compare(_ o: CompareOptions, ranks: borrowing Communicator, progress: (String) -> Void) throws -> Report {
  throw Failure(.inputOutput, "not there yet")
}
public func inspect(_ o: InspectOptions, ranks: borrowing Communicator, progress: (String) -> Void) throws -> Report {
  throw Failure(.inputOutput, "not there yet")
}
