import Glibc

/// A weight of the loss along a training: the same all the time, or on the way from one value to another.
public struct TrainingSchedule: Codable, Equatable, Sendable {
  public enum Course: String, Codable, Sendable { case linear, cosine }
  public var from: Double, to: Double
  public var course = Course.linear

  public init(_ value: Double) { from = value; to = value }
  /// `L`, `L:M` or `L:M:cosine`, numbers that are finite and not negative, the last one positive; else `nil`.
  public init?(_ text: String) {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    guard (1...3).contains(parts.count), let a = Double(parts[0]), let b = Double(parts.count > 1 ? parts[1] : parts[0]), a.isFinite, b.isFinite, a >= 0, b > 0 else { return nil }
    from = a; to = b
    if parts.count == 3 {
      guard let c = Course(rawValue: parts[2]) else { return nil }
      course = c
    }
  }
  /// Ramps end after this share of the updates.
  public static let ramp = 0.5

  /// - Parameter t: updates done over all, 0 ... 1.
  public func value(at t: Double) -> Double {
    let s = min(1, max(0, t / TrainingSchedule.ramp))
    return from + (to - from) * (course == .linear ? s : 0.5 * (1 - cos(.pi * s)))
  }
}
