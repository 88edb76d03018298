import Synchronization

/// What this process has handed to MPI since it started.
///
/// Messages are those to another rank; a collective call counts once with what this rank contributes (of a broadcast: what its root sends), however
/// many messages the library makes of it.
public struct Traffic: Sendable, Equatable {
  public var messages = 0, bytes = 0
  public var collectives = 0, collectiveBytes = 0
  /// What gathers of all ranks' contributions brought to this rank: the part that grows with their number.
  public var gatheredBytes = 0
  public init() {}

  /// Several threads may communicate, each over a communicator of its own.
  private static let sum = Mutex(Traffic())
  public static var total: Traffic { sum.withLock { $0 } }

  static func sent(_ bytes: Int) { sum.withLock { $0.messages += 1; $0.bytes += bytes } }
  static func contributed(_ bytes: Int) { sum.withLock { $0.collectives += 1; $0.collectiveBytes += bytes } }
  static func gathered(_ bytes: Int) { sum.withLock { $0.gatheredBytes += bytes } }

  public static func += (a: inout Traffic, b: Traffic) {
    a.messages += b.messages; a.bytes += b.bytes; a.collectives += b.collectives; a.collectiveBytes += b.collectiveBytes
    a.gatheredBytes += b.gatheredBytes
  }
  public static func - (a: Traffic, b: Traffic) -> Traffic {
    var d = a
    d.messages -= b.messages; d.bytes -= b.bytes; d.collectives -= b.collectives; d.collectiveBytes -= b.collectiveBytes
    d.gatheredBytes -= b.gatheredBytes
    return d
  }
}
