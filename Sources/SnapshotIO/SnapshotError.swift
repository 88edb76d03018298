public import MPI

/// What went wrong with a file: which file, which dataset, the value found, and what to do.
public struct SnapshotError: Error, Equatable, Sendable, Codable, CustomStringConvertible, ExitCoded {
  /// Pinned: crosses the C API. Negative codes mean corrupt bytes (exit code 4), positive ones input or output (2).
  public enum Code: Int32, Sendable, Codable {
    case cannotOpen = 1, notHDF5, noDataset, unsupportedType, packedInteger, emptyDataset, ambiguousAxes, badAxes
    case sizeMismatch, partsOverlap, partsGap, noParts, readFailed, writeFailed, exists, notContainer, newerVersion
    case temporaryName, outOfRange, badSeries
    case truncated = -1, badBlock = -2, badChecksum = -3, badDirectory = -4, badIndex = -5
  }
  public let code: Code
  public let file: String
  /// Dataset or field; empty where none is concerned.
  public let dataset: String
  /// The value found and the cure.
  public let detail: String

  public init(_ code: Code, file: String, dataset: String = "", _ detail: String) {
    self.code = code; self.file = file; self.dataset = dataset; self.detail = detail
  }
  public var exitCode: Int32 { code.rawValue < 0 ? 4 : 2 }
  public var description: String { dataset.isEmpty ? "\(file): \(detail)" : "\(file): \(dataset): \(detail)" }
}
