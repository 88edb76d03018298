import CAlidade
import COpenMPI
import Compressor
import Glibc
import MPI

/// A step after `end`: what was put, and how far it is.
final class StepBeingCoded {
  let number: Int, time: Double
  let wanted: [CodedField]
  /// As they were declared then: the host may change bounds meanwhile.
  let fields: [DeclaredField]
  /// Arrays leave it field by field.
  var open: StepUnderWay
  let phases = PhaseClock()
  var step: SeriesStep!
  /// One per field where the host does not wait.
  var tasks: [CodingTask] = []
  /// Whether one task is all of the step.
  var isWhole = false
  /// How many of them were begun: the fields at once are as many as memory is meant to hold.
  var begun = 0
  /// How often the host has asked whether it is done.
  var questions = 0
  var request: Int64 = 0
  /// Seconds that the host's thread has spent on it.
  var seconds = 0.0
  let thread = pthread_self()

  init(_ open: StepUnderWay, _ wanted: [CodedField], _ fields: [DeclaredField]) {
    self.open = open; self.wanted = wanted; self.fields = fields
    number = open.number; time = open.time
  }
  var isCoded: Bool { tasks.allSatisfy(\.isFinished) }
}

/// What became of requests that are over.
struct Outcomes {
  private var failures: [Int64: any Error] = [:]
  private(set) var last: Int64 = 0
  /// Failures that nobody asks for are forgotten after so many others.
  private static let kept = 64

  mutating func next() -> Int64 { last += 1; return last }
  mutating func add(_ e: any Error, of request: Int64) {
    failures[request] = e
    if failures.count > Outcomes.kept { failures.removeValue(forKey: failures.keys.min()!) }
  }
  func result(of request: Int64) throws {
    guard (1...max(1, last)).contains(request), last > 0 else { throw InSituError(ALD_USAGE, "there is no request \(request)") }
    if let e = failures[request] { throw e }
  }
}

// Steps coded beside the host, one at most. Where MPI lets every thread communicate (or there is one rank) a worker codes all fields on its own thread.
// Else each field is encoded by a task on the host's thread: `endAsync` has it go as far as its tiles are to be coded, which the worker does without
// communicating, and `test` and `wait` go on. In both cases these two write.
extension Writer {
  /// - Returns: the request.
  /// - Throws: the same on all ranks; the step is over then.
  /// - Collective: all ranks.
  func endAsync() throws -> Int64 {
    let c = try closeStep(), start = PhaseClock.now()
    do {
      let worker = try self.worker ?? startWorker()
      if workerCommunicates {
        c.isWhole = true
        c.tasks = [CodingTask(whole: worker) { for i in c.wanted.indices { try self.encode(i, of: c, ranks: self.workerRanks) } }]
      } else {
        c.tasks = try ranks.agree {
          try c.wanted.indices.map { i in
            try CodingTask(worker, isAskedOften: isAskedOften) { task in try self.encode(i, of: c, background: task, ranks: self.ranks) }
          }
        }
      }
    } catch {
      c.step.abandon()
      throw error
    }
    c.request = outcomes.next()
    coding = c
    resume(c)
    c.seconds += PhaseClock.now() - start
    return c.request
  }

  /// A worker, which communicates where it may.
  ///
  /// - Collective: all ranks.
  private func startWorker() throws -> CodingWorker {
    let new = CodingWorker()
    worker = new
    var level = Int32(MPI_THREAD_MULTIPLE)
    if ranks.size > 1 { MPI_Query_thread(&level) }
    if try ranks.allReduce(Int(level), .min) >= Int(MPI_THREAD_MULTIPLE) { try letWorkerCommunicate(new) }
    return new
  }

  /// Whether the step of a request is over on all ranks; goes on with it where the workers of all ranks are done.
  ///
  /// - Throws: why it failed, on all ranks.
  /// - Collective: all ranks.
  func test(_ request: Int64) throws -> Bool {
    guard let c = coding, c.request == request else {
      try outcomes.result(of: request)
      return true
    }
    c.questions += 1
    try progress(c)
    if coding != nil { return false }
    try outcomes.result(of: request)
    return true
  }

  /// Returns when the step of a request is over.
  ///
  /// - Throws: why it failed, on all ranks.
  /// - Collective: all ranks.
  func wait(_ request: Int64) throws {
    if coding?.request == request { try finishCoding() } else { try outcomes.result(of: request) }
  }

  /// Finishes the step that is being coded, if there is one.
  ///
  /// - Throws: why it failed, on all ranks.
  /// - Collective: all ranks.
  func finishCoding() throws {
    guard let c = coding else { return }
    try checkThread(c)
    while coding != nil {
      worker!.wait()
      advance(c)
    }
    try outcomes.result(of: c.request)
  }

  /// Before a step: the one before is finished, or this one refused, as the host has chosen. What became of the one before its request tells.
  ///
  /// - Collective: all ranks.
  func makeRoom() throws {
    guard let c = coding else { return }
    if options.pressure == Int32(ALD_WAIT.rawValue) { try? finishCoding() } else { try progress(c) }
    if coding != nil { throw InSituError(ALD_BUSY, "step \(c.number) is still being coded") }
  }

  /// Portions of work of a field, where it takes one pass and its caller asks often.
  private static let portions = 4

  /// Goes on with the fields under way, and begins further ones as far as a third of the step's bytes goes, one at least: coefficients take as much as
  /// the values, modes of a field that wraps with what is made of them three times that.
  ///
  /// - Collective: all ranks.
  private func resume(_ c: StepBeingCoded) {
    func bytes(_ i: Int) -> Int { c.wanted[i].fields.reduce(0) { $0 + fields[$1].grid.count * fields[$1].type.size } }
    func working(_ i: Int) -> Int { bytes(i) * (fields[c.wanted[i].fields[0]].wraps ? 3 : 1) }
    let most = c.wanted.indices.reduce(0) { $0 + bytes($1) } / 3
    for t in c.tasks[..<c.begun] { t.resume() }
    while c.begun < c.tasks.count {
      let now = c.tasks.indices.prefix(c.begun).reduce(0) { $0 + (c.tasks[$1].isFinished ? 0 : working($1)) }
      if now > 0 && now + working(c.begun) > most { return }
      c.begun += 1
      c.tasks[c.begun - 1].resume()
    }
  }

  /// - Collective: all ranks.
  private func progress(_ c: StepBeingCoded) throws {
    try checkThread(c)
    if try ranks.allReduce(worker!.isIdle ? 1 : 0, .min) == 1 { advance(c) }
  }

  /// Goes on with every task; with the last one the step is written.
  ///
  /// - Collective: all ranks.
  private func advance(_ c: StepBeingCoded) {
    let start = PhaseClock.now()
    resume(c)
    c.seconds += PhaseClock.now() - start
    guard c.isCoded else { return }
    coding = nil
    isAskedOften = c.questions > Writer.portions * c.tasks.count
    do { try commit(c) } catch { outcomes.add(error, of: c.request) }
  }

  /// - Collective: all ranks.
  private func checkThread(_ c: StepBeingCoded) throws {
    try ranks.agree {
      guard pthread_equal(pthread_self(), c.thread) != 0 else { throw InSituError(ALD_MPI, "step \(c.number) is gone on with from another thread than it was ended on") }
    }
  }
}
