import Foundation
import Glibc
public import SnapshotIO

/// A line of `steps.jsonl`: what became of one step.
public struct StepLine: Codable, Sendable {
  public let step: Int
  @Number public var time: Double
  public let fileBytes: Int
  public let fields: [FieldReport]
  /// Fields whose bound a trigger changed.
  public let triggered: [String]
  /// The step that decoding begins with.
  public let keyStep: Int?
  /// What time did not allow; see `StepPart`.
  public let leftOut: [String]?
  /// Rank 0's own, and what the run allows a step; 0: no limit.
  public let seconds: Double?, secondsPerStep: Double?, bytesPerStep: Double?

  enum CodingKeys: String, CodingKey {
    case step, time, fields, triggered, seconds
    case fileBytes = "file_bytes", keyStep = "key_step", leftOut = "left_out", bytesPerStep = "bytes_per_step", secondsPerStep = "seconds_per_step"
  }

  init(step: Int, time: Double, _ r: StepResult, bytesPerStep: Double, secondsPerStep: Double, seconds: Double) {
    self.step = step
    _time = Number(wrappedValue: time)
    fileBytes = r.fileBytes; fields = r.fields; triggered = r.triggered; keyStep = r.keyStep; leftOut = r.leftOut.map(\.rawValue)
    self.seconds = seconds; self.secondsPerStep = secondsPerStep; self.bytesPerStep = bytesPerStep
  }
}

extension SeriesFolder {
  /// Adds a line. A line that cannot be written is left out: the step itself is committed.
  func add(_ line: StepLine) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(line) else { return }
    let fd = open(reportPath, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o666)
    guard fd >= 0 else { return }
    let bytes = [UInt8](data) + [UInt8(ascii: "\n")]
    _ = Glibc.write(fd, bytes, bytes.count)
    _ = close(fd)
  }

  /// The lines of all steps so far, of each step the last one; what a running job has not finished writing is left out.
  ///
  /// - Throws: `Failure` (inputOutput) where there is no such file, or none of its lines can be read.
  public func lines() throws -> [StepLine] {
    guard let bytes = FileManager.default.contents(atPath: reportPath) else {
      throw Failure(.inputOutput, "\(reportPath): is not there; the run that writes the series asks for it with `report`")
    }
    let decoder = JSONDecoder()
    var lines: [Int: StepLine] = [:]
    for text in bytes.split(separator: UInt8(ascii: "\n")) {
      if let line = try? decoder.decode(StepLine.self, from: Data(text)) { lines[line.step] = line }
    }
    guard !lines.isEmpty else { throw Failure(.inputOutput, "\(reportPath): holds no step") }
    return lines.values.sorted { $0.step < $1.step }
  }
}
