import Compressor
import Glibc
import MPI

/// `alidade-taylorgreen`: a small simulation whose output is worth compressing.
@main struct Main {
  static func main() {
    let words = Array(CommandLine.arguments.dropFirst())
    if words.contains("--help") || words.contains("-h") { print(Settings.help, terminator: ""); exit(0) }
    var code: Int32 = 0
    do { try MPIEnvironment.start() } catch { complain(error); exit(ExitCode.launch.rawValue) }
    do {
      let world = try Communicator.world()
      do {
        try run(try Settings(words), world)
      } catch {
        if world.rank == 0 { complain(error) }
        code = (error as? any ExitCoded)?.exitCode ?? ExitCode.inputOutput.rawValue
      }
    } catch { complain(error); code = ExitCode.launch.rawValue }
    do { try MPIEnvironment.finish() } catch { complain(error); exit(ExitCode.launch.rawValue) }
    exit(code)
  }

  static func complain(_ error: any Error) {
    let text = Array("alidade-taylorgreen: error: \(error)\n".utf8)
    _ = write(2, text, text.count)
  }

  /// - Collective: all ranks.
  static func run(_ s: Settings, _ ranks: borrowing Communicator) throws {
    let speaks = ranks.rank == 0
    let grid = SpectralGrid(s.n, ranks)
    let flow = NavierStokes(grid, viscosity: 1 / s.reynolds)
    switch s.start {
    case .taylorGreen: flow.setVelocity { z, y, x in (sin(x) * cos(y) * cos(z), -cos(x) * sin(y) * cos(z), 0) }
    case .sheet: flow.setVelocity { _, y, x in (sin(x) * cos(y), -cos(x) * sin(y), 0) }
    }
    if s.perturbation > 0 { flow.perturb(amplitude: s.perturbation, seed: s.seed) }

    let times = s.outputTimes
    var file: SnapshotFile?
    let series = try s.output.flatMap { try $0.hasSuffix(".alds") ? SeriesOutput($0, s, grid, ranks) : nil }, clock = PhaseClock.now()
    if s.singleFile, series == nil, let path = s.output { file = try open(path, times.count) }
    func open(_ path: String, _ count: Int) throws -> SnapshotFile {
      try SnapshotFile(path, type: s.type, snapshots: count, viscosity: flow.viscosity, grid: grid, ranks)
    }

    var (energy, dissipation) = try flow.energyAndDissipation(ranks)
    let initial = energy
    var dissipated = 0.0, steps = 0
    func line() {
      if speaks, !s.quiet {
        print("time \(fixed(flow.time, 4))  energy \(fixed(energy, 8))  dissipation \(fixed(dissipation, 8))")
      }
    }
    if speaks, !s.quiet { print("Taylor-Green vortex, \(s.n)^3 cells, Re \(s.reynolds), \(ranks.size) ranks") }
    line()
    var printed = 0.0
    for (i, target) in times.enumerated() {
      let start = flow.time
      let count = target > start ? max(1, Int(((target - start) / s.largestStep - 1e-9).rounded(.up))) : 0
      let dt = count > 0 ? (target - start) / Double(count) : 0
      for k in 0..<count {
        flow.step(dt)
        try series?.goOn()
        steps += 1
        let before = dissipation
        (energy, dissipation) = try flow.energyAndDissipation(ranks)
        if !energy.isFinite { throw Failure(.usage, "the flow became unstable at time \(flow.time); give a smaller --dt") }
        dissipated += dt / 2 * (before + dissipation)
        if flow.time - printed >= s.time / 20 || k == count - 1 { line(); printed = flow.time }
      }
      guard let path = s.output else { continue }
      if let series { try series.write(flow.realVelocity(), time: flow.time) } else if let file {
        try file.write(flow.realVelocity(), snapshot: i, time: flow.time, ranks)
      } else {
        let one = try open(times.count == 1 ? path : numbered(path, i + 1), 1)
        try one.write(flow.realVelocity(), snapshot: 0, time: flow.time, ranks)
        try one.finish(ranks)
      }
    }
    try file?.finish(ranks)
    try series?.close()
    if let series, speaks { print("\(times.count) outputs in \(fixed(series.seconds, 3)) s of \(fixed(PhaseClock.now() - clock, 3)) s") }

    // What must balance: the energy lost and the dissipation summed up (trapezoidal rule, so to second order in dt).
    let balance = abs(initial - energy - dissipated) / max(initial, .leastNormalMagnitude)
    if speaks { print("energy balance after \(steps) steps: relative residual \(balance)") }
    if s.start == .sheet, s.perturbation == 0 {
      let u = flow.realVelocity(), h = 2 * Double.pi / Double(s.n), decay = exp(-2 * flow.viscosity * flow.time)
      var worst = 0.0
      grid.forEachCell { at, _, j, i in
        let x = Double(i) * h, y = Double(j) * h
        worst = max(worst, abs(u.x.values[at] - decay * sin(x) * cos(y)), abs(u.y.values[at] + decay * cos(x) * sin(y)), abs(u.z.values[at]))
      }
      worst = try ranks.allReduce(worst, .max)
      if speaks { print("largest deviation from the exact solution: \(worst)") }
    }
  }

  /// `a.h5` to `a.0001.h5`.
  static func numbered(_ path: String, _ i: Int) -> String {
    let digits = String(i), number = String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    return path.hasSuffix(".h5") ? path.dropLast(3) + ".\(number).h5" : path + ".\(number)"
  }
}

/// A number with so many digits behind the point.
func fixed(_ v: Double, _ digits: Int) -> String {
  guard v.isFinite else { return "\(v)" }
  var scale = 1
  for _ in 0..<digits { scale *= 10 }
  let scaled = Int((abs(v) * Double(scale)).rounded())
  let tail = String(scaled % scale)
  return (v < 0 ? "-" : "") + "\(scaled / scale)." + String(repeating: "0", count: digits - tail.count) + tail
}
