import CFibre

/// An encoding that can be left where only computing is to be done, and gone on with when that is done.
///
/// The body runs on a second stack of the caller's thread: all its messages are exchanged there, so MPI sees one thread alone
/// (`MPI_THREAD_FUNNELED` is enough). What it gives to `run` a worker does on its own thread; meanwhile `resume` has returned to the
/// caller. Tasks stop at the same places on all ranks, since a body gives away work only where all ranks do.
///
/// Or the worker does all of a body, messages included.
public final class CodingTask {
  private let worker: CodingWorker
  private var body: ((CodingTask) throws -> Void)?
  private var fibre: OpaquePointer?
  /// Until it was given to the worker.
  private var whole: (() throws -> Void)?
  public private(set) var isFinished = false
  public private(set) var failure: (any Error)?
  /// Whether the caller comes by often enough for work in smaller portions, of which more is done beside it.
  let isAskedOften: Bool

  /// - Throws: `Failure` (inputOutput) where there is no memory for a stack. Local.
  public init(_ worker: CodingWorker, isAskedOften: Bool = false, _ body: @escaping (CodingTask) throws -> Void) throws {
    self.worker = worker
    self.isAskedOften = isAskedOften
    self.body = body
    fibre = ald_fibre_create({ p in Unmanaged<CodingTask>.fromOpaque(p!).takeUnretainedValue().start() }, Unmanaged.passUnretained(self).toOpaque())
    if fibre == nil { throw Failure(.inputOutput, "no memory for coding beside the caller") }
  }

  /// All of it by the worker.
  ///
  /// - Parameter body: may communicate where MPI lets several threads do so, over a communicator that nobody else uses; or alone.
  public init(whole worker: CodingWorker, _ body: @escaping () throws -> Void) {
    self.worker = worker
    isAskedOften = false
    whole = body
  }
  deinit { if let fibre { ald_fibre_destroy(fibre) } }

  private func start() {
    do { try body!(self) } catch { failure = error }
    body = nil
  }

  /// Goes on until work was given to the worker, or to the end. What was given before must be done. Always from the same thread.
  ///
  /// - Collective: all ranks, unless the body does not communicate.
  public func resume() {
    if isFinished { return }
    if let fibre {
      isFinished = ald_fibre_resume(fibre) != 0
    } else if let whole {
      self.whole = nil
      worker.submit { do { try whole() } catch { self.failure = error } }
    } else { isFinished = true }
  }

  /// From inside the body: has `work` done by the worker.
  func run(_ work: () -> Void) {
    withoutActuallyEscaping(work) { work in
      let shared = Unchecked(work)
      worker.submit { shared.value() }
      ald_fibre_pause(fibre)
    }
  }
}
