import Codecs
import Fields

/// The decoded coefficients that the next step of a series may be predicted from, on this rank: of each field those of its last two
/// committed steps, never from before the last key step.
///
/// Given to the encoder of every field of every step in turn; then the step is committed, or discarded, or the series is interrupted:
///
///     let encoded = try encodeField(source, bound: bound, temporal: series, ranks: ranks)    // for every field
///     // ... write the container ...
///     series.commit(step: step, file: name, root: root)
///
/// After a restart, or where boxes, grid or fields change, use a new one or call `reset`: the next step is a key step. The same calls on every
/// rank. Memory: up to two sets of coefficients in the type of the arithmetic, a third while a step is coded.
public final class TemporalSeries {
  /// Every so many steps one stands alone.
  public let keyInterval: Int
  private var histories: [String: FieldHistory] = [:]
  /// Number of the last key step, and steps committed since.
  private var last: (key: Int, position: Int)?

  /// - Precondition: `keyInterval` >= 1; 1: nothing is predicted.
  public init(keyInterval: Int) {
    precondition(keyInterval >= 1)
    self.keyInterval = keyInterval
  }

  /// Of the field of this name.
  func history(of name: String) -> FieldHistory {
    if let h = histories[name] { return h }
    let h = FieldHistory()
    histories[name] = h
    return h
  }

  /// What the step just coded builds on: its key step (`nil`: itself) and the steps that it is predicted from, ascending.
  public var pending: (key: Int?, references: [Int]) {
    let steps = Set(histories.values.flatMap { $0.pending?.prediction?.references.map(\.step) ?? [] })
    return steps.isEmpty ? (nil, []) : (last!.key, steps.sorted())
  }

  /// The step just coded is committed and becomes a reference.
  ///
  /// - Parameter file: Name of its container; empty where later steps go into the same container.
  /// - Parameter root: XXH3-64 of the container's first 512 bytes; see `ContainerReader.root`.
  public func commit(step: Int, file: String = "", root: UInt64 = 0) {
    let isKey = pending.key == nil
    let position = isKey ? 0 : last!.position + 1
    last = (isKey ? step : last!.key, position)
    for h in histories.values { h.commit(.init(file: file, root: root, step: step)) }
    // The next one is a key step: nothing is needed any more.
    if position + 1 >= keyInterval { for h in histories.values { h.reset() } }
  }

  /// The step just coded is not committed: the next one is predicted from those before it.
  public func discard() { for h in histories.values { h.pending = nil } }

  /// Takes decoded steps of a field as if they had been committed.
  func resume(_ name: String, _ steps: [FieldHistory.Step], position: Int) {
    history(of: name).resume(steps)
    last = (steps[0].key, position)
  }

  /// The next step is a key step.
  public func reset() {
    histories = [:]
    last = nil
  }
}

/// The references of one field.
final class FieldHistory {
  /// A step's decoded coefficients, one array per stream of this rank, and what they mean.
  struct Step {
    var member: FieldCoding.Member, workType: ScalarType, logarithmic: Bool
    var grid: Grid, components: Int, firstStream: Int
    var offset: Double
    /// Largest of the values.
    var magnitude: Double
    var coefficients: [RawArray]
    var prediction: Prediction?
    var reference = Prediction.Reference(file: "", root: 0, step: 0)
    /// Number of its key step.
    var key: Int { prediction?.key ?? reference.step }
  }
  /// Newest first, at most two.
  private(set) var steps: [Step] = []
  var pending: Step?

  func commit(_ r: Prediction.Reference) {
    defer { pending = nil }
    guard var p = pending else { return reset() }
    p.reference = r
    steps = p.prediction == nil ? [p] : [p, steps[0]]
  }
  func reset() { steps = []; pending = nil }
  func resume(_ steps: [Step]) { self.steps = steps; pending = nil }
}
