import Glibc

/// One thread that does what it is handed, in order, and never communicates.
///
/// It catches no signals. Where no thread can be had the work is done by whoever hands it over.
public final class CodingWorker: @unchecked Sendable {
  private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private var jobs: [() -> Void] = []
  /// Handed over and not yet done.
  private var unfinished = 0
  private var busy = 0.0
  private var stopping = false
  private var thread: pthread_t?

  public init() {
    pthread_mutex_init(lock, nil)
    pthread_cond_init(changed, nil)
    var all = sigset_t(), before = sigset_t(), attributes = pthread_attr_t(), t = pthread_t()
    sigfillset(&all)
    pthread_sigmask(SIG_SETMASK, &all, &before)
    pthread_attr_init(&attributes)
    pthread_attr_setstacksize(&attributes, 8 << 20)
    // Unretained: `stop` joins the thread before the worker goes.
    let made = pthread_create(&t, &attributes, { p in
      Unmanaged<CodingWorker>.fromOpaque(p!).takeUnretainedValue().loop()
      return nil
    }, Unmanaged.passUnretained(self).toOpaque())
    pthread_attr_destroy(&attributes)
    pthread_sigmask(SIG_SETMASK, &before, nil)
    if made == 0 { thread = t }
  }
  deinit {
    stop()
    pthread_cond_destroy(changed); changed.deallocate()
    pthread_mutex_destroy(lock); lock.deallocate()
  }

  private func locked<T>(_ body: () -> T) -> T {
    pthread_mutex_lock(lock)
    defer { pthread_mutex_unlock(lock) }
    return body()
  }

  private func loop() {
    while true {
      var job = locked { () -> (() -> Void)? in
        while jobs.isEmpty && !stopping { pthread_cond_wait(changed, lock) }
        return jobs.isEmpty ? nil : jobs.removeFirst()
      }
      guard job != nil else { return }
      let start = PhaseClock.now()
      job!()
      // Nothing of it is held any more once it counts as done.
      job = nil
      locked {
        busy += PhaseClock.now() - start
        unfinished -= 1
        pthread_cond_broadcast(changed)
      }
    }
  }

  func submit(_ job: @escaping () -> Void) {
    guard thread != nil else { return job() }
    locked {
      jobs.append(job)
      unfinished += 1
      pthread_cond_broadcast(changed)
    }
  }

  /// Whether all that was handed over is done.
  public var isIdle: Bool { locked { unfinished == 0 } }
  /// Returns when it is.
  public func wait() { locked { while unfinished > 0 { pthread_cond_wait(changed, lock) } } }
  /// Seconds worked since the last call.
  public func takeSeconds() -> Double {
    locked {
      defer { busy = 0 }
      return busy
    }
  }

  /// Ends the thread after what it has to do.
  public func stop() {
    guard let t = thread else { return }
    locked {
      stopping = true
      pthread_cond_broadcast(changed)
    }
    pthread_join(t, nil)
    thread = nil
  }
}
