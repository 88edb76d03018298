import Compressor

/// What to simulate; parsed from the command line.
struct Settings {
  enum Start: String { case taylorGreen = "3d", sheet = "2d" }
  var n = 64
  var reynolds = 1600.0
  var time = 9.0
  /// `nil`: chosen for stability, so that outputs fall on whole steps.
  var dt: Double?
  var start = Start.taylorGreen
  var perturbation = 0.0
  var seed: UInt64 = 1
  var output: String?
  /// `nil`: only the end.
  var every: Double?
  var type = SnapshotFile.ScalarTypeName.f32
  var singleFile = false
  /// Of a series.
  var psnr = 60.0, keyInterval = 1, isBeside = false
  var quiet = false

  static let help = """
    usage: alidade-taylorgreen [OPTIONS]        (alone or under mpirun / srun)

    Simulates the Taylor-Green vortex (unit velocity and length) on [0, 2 pi)^3 and
    writes its velocity, a ready input for 'alidade compress'.

      --n N               cells per axis, even, at least 8 (64)
      --re R              Reynolds number, 1 / viscosity (1600)
      --time T            end time (9)
      --dt DT|auto        time step (auto)
      --initial 3d|2d     the vortex, or its two-dimensional sheet with a known solution
      --perturb A         random low modes of this rms per component (0)
      --seed S            of the random modes (1)
      --output FILE       HDF5 file to write, or NAME.alds: a series written through libalidade (none)
      --every T           write every T instead of only at the end
      --single-file       all of these in one file, not FILE.0001.h5, FILE.0002.h5, ...
      --type f32|f64      as written (f32; series: f64)
      --psnr DB           of a series (60)
      --keys K            steps of a series are predicted, but for every K-th (1)
      --beside            a series is coded while the simulation goes on
      --quiet             print only the summary

    """

  init(_ words: [String]) throws(Failure) {
    var rest = words[...]
    while let word = rest.popFirst() {
      let parts = word.split(separator: "=", maxSplits: 1).map(String.init)
      switch parts.first ?? "" {
      case "--single-file" where parts.count == 1: singleFile = true; continue
      case "--quiet" where parts.count == 1: quiet = true; continue
      case "--beside" where parts.count == 1: isBeside = true; continue
      default: break
      }
      let known = ["--n", "--re", "--time", "--dt", "--initial", "--perturb", "--seed", "--output", "--every", "--type", "--psnr", "--keys"]
      guard let name = parts.first, known.contains(name) else { throw Failure(.usage, "unknown option '\(word)'") }
      guard let value = parts.count == 2 ? parts[1] : rest.popFirst() else {
        throw Failure(.usage, "option '\(name)' needs a value")
      }
      func number(_ least: Double) throws(Failure) -> Double {
        guard let v = Double(value), v.isFinite, v >= least else { throw Failure(.usage, "\(name) cannot be '\(value)'") }
        return v
      }
      let wrong = Failure(.usage, "\(name) cannot be '\(value)'")
      switch name {
      case "--n":
        guard let v = Int(value), v >= 8, v % 2 == 0, v <= 8192 else { throw wrong }
        n = v
      case "--re": reynolds = try number(1e-6)
      case "--time": time = try number(0)
      case "--dt": dt = value == "auto" ? nil : try number(1e-9)
      case "--initial":
        guard let v = Start(rawValue: value) else { throw wrong }
        start = v
      case "--perturb": perturbation = try number(0)
      case "--seed":
        guard let v = UInt64(value) else { throw wrong }
        seed = v
      case "--output": output = value
      case "--every": every = try number(1e-9)
      case "--psnr": psnr = try number(1)
      case "--keys":
        guard let v = Int(value), v >= 1, v <= 1 << 20 else { throw wrong }
        keyInterval = v
      default:
        guard let v = SnapshotFile.ScalarTypeName(rawValue: value) else { throw wrong }
        type = v
      }
    }
  }

  /// Times at which a snapshot is written, ascending; the last is the end.
  var outputTimes: [Double] {
    guard let every, every < time else { return [time] }
    let whole = Int((time / every * (1 + 1e-12)).rounded(.down))
    var t = (1...whole).map { Double($0) * every }
    if time - t[whole - 1] > 1e-9 * time { t.append(time) } else { t[whole - 1] = time }
    return t
  }

  /// Largest stable and accurate step: the scheme's limit is 2.8 / (k |u|) with k = n/3 and |u| up to about 2 here.
  var largestStep: Double { dt ?? 2 / Double(n) }
}
