import Compressor
import Glibc
import MPI

/// What the launcher says about this process, read before MPI starts (MPI libraries add such variables themselves).
struct Launch {
  /// Tasks the launcher started, where it says so.
  let tasks: Int?
  /// Variable that says so.
  let source: String
  /// This task's number; 0 when nobody says.
  let rank: Int

  init() {
    func number(_ name: String) -> Int? { getenv(name).flatMap { Int(String(cString: $0)) } }
    // mpirun inside a scheduler's allocation inherits the scheduler's variables: its own come first.
    if let n = number("OMPI_COMM_WORLD_SIZE") {
      tasks = n; source = "OMPI_COMM_WORLD_SIZE"; rank = number("OMPI_COMM_WORLD_RANK") ?? 0
    } else if let n = number("PMI_SIZE") {
      tasks = n; source = "PMI_SIZE"; rank = number("PMI_RANK") ?? 0
    } else if getenv("SLURM_STEP_ID") != nil, let n = number("SLURM_STEP_NUM_TASKS") {
      tasks = n; source = "SLURM_STEP_NUM_TASKS"; rank = number("SLURM_PROCID") ?? 0
    } else if getenv("SLURM_STEP_ID") != nil, let n = number("SLURM_NTASKS") {
      tasks = n; source = "SLURM_NTASKS"; rank = number("SLURM_PROCID") ?? 0
    } else {
      tasks = nil; source = ""; rank = 0
    }
  }

  var isParallel: Bool { (tasks ?? 1) > 1 }

  /// - Throws: `Failure(.launch)` when the launcher started another number of tasks than MPI sees, or when the ranks
  ///   were given different command lines; on all ranks that can know.
  /// - Collective: all ranks.
  func check(_ words: [String], on ranks: borrowing Communicator) throws {
    if let tasks, tasks != ranks.size {
      throw Failure(.launch, "the launcher started \(tasks) tasks (\(source)) but MPI sees \(ranks.size)"
        + "; under Slurm use 'srun --mpi=pmix' or mpirun")
    }
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for word in words { for byte in word.utf8 + [0] { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 } }
    let least = try ranks.allReduce(hash, .min), greatest = try ranks.allReduce(hash, .max)
    if least != greatest { throw Failure(.launch, "the ranks were given different command lines") }
  }
}

/// Makes USR1, TERM and INT ask for an end at the next agreed point instead of killing the process.
func handleSignals() {
  Interruption.prepare()
  for s in [SIGUSR1, SIGTERM, SIGINT] { signal(s) { _ in Interruption.request() } }
  signal(SIGPIPE, SIG_IGN)
}
