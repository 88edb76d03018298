import Glibc

/// Wall time per named phase of this rank, in the order the phases first ran.
public final class PhaseClock {
  public private(set) var names: [String] = []
  private var seconds: [String: Double] = [:]
  public init() {}
  public func measure<T>(_ name: String, _ body: () throws -> T) rethrows -> T {
    let start = PhaseClock.now()
    defer {
      if seconds[name] == nil { names.append(name) }
      seconds[name, default: 0] += PhaseClock.now() - start
    }
    return try body()
  }
  public func seconds(of name: String) -> Double { seconds[name] ?? 0 }
  public static func now() -> Double {
    var t = timespec()
    clock_gettime(CLOCK_MONOTONIC, &t)
    return Double(t.tv_sec) + Double(t.tv_nsec) * 1e-9
  }
}
