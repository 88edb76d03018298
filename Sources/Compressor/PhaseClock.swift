public import Glibc
public import MPI

/// Time and messages per named phase of this rank, in the order the phases first ran.
public final class PhaseClock {
  public private(set) var names: [String] = []
  private var seconds: [String: Double] = [:]
  private var sent: [String: Traffic] = [:]
  private var paused = 0.0
  private let clock: clockid_t
  /// - Parameter clock: wall time; `CLOCK_PROCESS_CPUTIME_ID` counts the processor's.
  public init(clock: clockid_t = CLOCK_MONOTONIC) { self.clock = clock }
  public func measure<T>(_ name: String, _ body: () throws -> T) rethrows -> T {
    let start = PhaseClock.now(clock), before = Traffic.total, already = paused
    defer {
      if seconds[name] == nil { names.append(name) }
      seconds[name, default: 0] += PhaseClock.now(clock) - start - (paused - already)
      sent[name, default: Traffic()] += Traffic.total - before
    }
    return try body()
  }
  /// Time that no phase counts: this rank does something else.
  func pause(_ body: () -> Void) {
    let start = PhaseClock.now(clock)
    body()
    paused += PhaseClock.now(clock) - start
  }
  /// Adds the phases of another clock.
  func add(_ other: PhaseClock) {
    for n in other.names {
      if seconds[n] == nil { names.append(n) }
      seconds[n, default: 0] += other.seconds(of: n)
      sent[n, default: Traffic()] += other.traffic(of: n)
    }
  }
  public func seconds(of name: String) -> Double { seconds[name] ?? 0 }
  public func traffic(of name: String) -> Traffic { sent[name] ?? Traffic() }
  public static func now(_ clock: clockid_t = CLOCK_MONOTONIC) -> Double {
    var t = timespec()
    clock_gettime(clock, &t)
    return Double(t.tv_sec) + Double(t.tv_nsec) * 1e-9
  }
}
