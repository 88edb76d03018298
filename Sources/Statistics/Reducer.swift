/// Joins what several participants (ranks) have computed. Science modules take one and never see a communicator.
///
/// - Collective: every member, with the same types and counts on all participants.
public protocol Reducer: AnyObject {
  /// Merges an accumulator over all participants; the same bits on all and for any number of them.
  func merged<M: Mergeable>(_ part: M) throws -> M
  /// Every participant's numbers (any count, also none), in the participants' order.
  func gathered(_ part: [Double]) throws -> [[Double]]
  /// The first participant's numbers, equal counts on all: after a computation that everybody repeats but that machines of different
  /// kinds may round differently.
  func agreed(_ part: [Double]) throws -> [Double]
}

extension Reducer {
  public func agreed(_ part: [Double]) throws -> [Double] { try gathered(part)[0] }
}

/// The only participant.
public final class SoleReducer: Reducer {
  public init() {}
  public func merged<M: Mergeable>(_ part: M) throws -> M { part }
  public func gathered(_ part: [Double]) throws -> [[Double]] { [part] }
}
