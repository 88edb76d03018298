import Compressor

/// Seconds that a step may take on the slowest rank, and what is left out of steps to keep to it.
///
/// A step that took too long has the next one go without one thing more; where a step was so fast that the last thing left out would fit again, by
/// what it cost when it was left out, it comes back. All ranks are given the same seconds, so all decide alike.
struct TimeCap {
  let seconds: Double
  /// What can be left out, in this order.
  let rungs: [StepPart]
  private var level = 0
  /// Seconds of a step with the rung to those without.
  private var gains: [Double]
  /// Of the step before, where the last one was the first to go without a rung.
  private var before: Double?

  init(seconds: Double, rungs: [StepPart]) {
    self.seconds = seconds; self.rungs = rungs
    gains = rungs.map { _ in 2 }
  }

  /// What the next step goes without.
  var leftOut: [StepPart] { Array(rungs[..<level]) }

  /// - Parameter slowest: seconds that the step took on the slowest rank; the same on all ranks.
  mutating func account(slowest: Double) {
    guard seconds > 0 else { return }
    if let before { gains[level - 1] = max(1, before / slowest) }
    before = nil
    if slowest > seconds {
      if level < rungs.count { level += 1; before = slowest }
    } else if level > 0, slowest * gains[level - 1] <= 0.8 * seconds { level -= 1 }
  }
}
