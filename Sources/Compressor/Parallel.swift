import Dispatch

/// Runs `body(0 ..< count)` on `threads` threads; plain loop for one.
///
/// Iterations must write to disjoint memory only; nothing they produce may depend on their order.
func parallelFor(_ count: Int, threads: Int, _ body: (Int) -> Void) {
  if threads <= 1 || count <= 1 {
    for i in 0..<count { body(i) }
    return
  }
  let lanes = min(threads, count)
  withoutActuallyEscaping(body) { body in
    let shared = Unchecked(body)
    DispatchQueue.concurrentPerform(iterations: lanes) { lane in
      var i = lane
      while i < count { shared.value(i); i += lanes }
    }
  }
}

/// Carries a value into a concurrent closure whose safety the caller has argued.
struct Unchecked<Value>: @unchecked Sendable {
  let value: Value
  init(_ value: Value) { self.value = value }
}

/// Results of a parallel loop, one slot per iteration, written without locks.
final class Slots<Element>: @unchecked Sendable {
  private let pointer: UnsafeMutablePointer<Element>
  let count: Int
  init(_ count: Int, _ value: Element) {
    self.count = count
    pointer = .allocate(capacity: max(1, count))
    pointer.initialize(repeating: value, count: count)
  }
  deinit { pointer.deinitialize(count: count); pointer.deallocate() }
  subscript(i: Int) -> Element {
    get { pointer[i] }
    set { pointer[i] = newValue }
  }
  var array: [Element] { Array(UnsafeBufferPointer(start: pointer, count: count)) }
}
