import Foundation
import HDF5
import Support
import Testing

/// One command: what it is given, what it must say, and how it must end.
struct Case: Sendable, CustomTestStringConvertible {
  let command: String
  let code: Int32
  /// Fragments of standard output and error together.
  let says: [String]
  var environment: [String: String] = [:]
  init(_ command: String, _ code: Int32, _ says: String..., environment: [String: String] = [:]) {
    self.command = command; self.code = code; self.says = says; self.environment = environment
  }
  var testDescription: String { command }
  var words: [String] { command.split(separator: " ").map(String.init) }

  func check(ranks: Int = 1) throws {
    let words = words.map { $0.replacingOccurrences(of: "DIR", with: Workplace.shared.folder.path) }
    let tool = Launcher.product("alidade")
    let outcome = ranks == 1 ? try Launcher.run(tool, arguments: words, environment: environment)
      : try Launcher.mpirun(ranks: ranks, executable: tool, arguments: words, environment: environment)
    let text = outcome.stdout + outcome.stderr
    #expect(outcome.status == code, "\(command)\n\(text)")
    for fragment in says { #expect(text.contains(fragment), "\(command): '\(fragment)' is not in\n\(text)") }
    if code != 0 {
      let errors = text.components(separatedBy: "alidade: error: ").count - 1
      #expect(errors == 1, "\(command): \(errors) error lines in\n\(text)")
    }
  }
}

/// Words alone decide these; no file is opened.
let usage: [Case] = [
  Case("--help", 0, "usage: alidade", "compress", "Exit codes"),
  Case("compress --help", 0, "--psnr DB", "--no-clobber"),
  Case("decompress -h", 0, "--region"),
  Case("--version", 0, "alidade 0", "MPI: Open MPI", "HDF5: 1."),
  Case("", 1, "no sub-command"),
  Case("compres x", 1, "unknown sub-command 'compres'", "did you mean 'compress'?"),
  Case("frobnicate", 1, "unknown sub-command 'frobnicate'; see"),
  Case("align x --abs 1", 1, "alidade align needs --observe SPEC"),
  Case("align x --observe box16", 1, "no bound; give one of --abs"),
  Case("sweep x", 1, "alidade sweep needs --observe SPEC"),
  Case("sweep x --observe box16 --rates 1,0", 1, "--rates needs different positive numbers"),
  Case("align --help", 0, "--map FILE.h5", "--observe SPEC"),
  Case("train", 1, "missing argument IN"),
  Case("report -o y.html", 1, "at least one JSON report"),
  Case("report x.json", 1, "no output; give -o OUT.html"),
  Case("report x.json -o y.html --container x.ald", 1, "--container and --original together"),
  Case("compress x -o y --rel 1e-3 --observe box16,box16", 1, "observable 'box16' is given twice"),
  Case("compress x -o y --rel 1e-3 --observe box16,", 1, "has an empty name"),
  Case("compress x -o y --rel 1e-3 --window hamming", 1, "--window must be hann or none"),
  Case("decompress x -o y --resolution 1/3", 1, "--resolution knows 1/2 and 1/4, not '1/3'"),
  Case("decompress x -o y --resolution 1/2 --region 0:4,0:4,0:4", 1, "--resolution takes neither"),
  Case("compress x -o y --real 1", 1, "unknown option '--real'", "did you mean '--rel'?"),
  Case("compress x -o y --re 1", 1, "unknown option '--re'"),
  Case("compress x -o y", 1, "no bound; give one of --abs"),
  Case("compress x --abs 1", 1, "no output"),
  Case("compress -o y --abs 1", 1, "missing argument IN"),
  Case("compress a b -o y --abs 1", 1, "unexpected argument 'b'"),
  Case("compress x -o y --abs", 1, "option '--abs' needs a value"),
  Case("compress x -o y --abs 0", 1, "--abs must be positive, not 0"),
  Case("compress x -o y --abs -1e-3", 1, "--abs must be positive, not '-1e-3'"),
  Case("compress x -o y --abs=nan", 1, "--abs must not be NaN"),
  Case("compress x -o y --rel inf", 1, "--rel must be finite"),
  Case("compress x -o y --rel one", 1, "--rel needs a number, not 'one'"),
  Case("compress x -o y --rel 1e-3x", 1, "--rel needs a number"),
  Case("compress x -o y --pwrel 1", 1, "--pwrel must be smaller than 1"),
  Case("compress x -o y --rate 100", 1, "--rate must be at most 64"),
  Case("compress x -o y --rel 1 --psnr 80", 1, "two bounds given: --rel and --psnr"),
  Case("compress x -o y --rel 1 --rel 2", 1, "option '--rel' is given twice"),
  Case("compress x -o y --lossless=3", 1, "takes no value"),
  Case("compress x -o y --rel 1e-3 --bound u:abs", 1, "KIND=E must be one of"),
  Case("compress x -o y --rel 1e-3 --bound u", 1, "--bound needs NAME:KIND=E"),
  Case("compress x -o y --rel 1e-3 --bound a:b:abs=0", 1, "--bound a:b:abs must be positive"),
  Case("compress x -o y --rel 1e-3 --steps 3:3", 1, "--steps needs a:b"),
  Case("compress x -o y --rel 1e-3 --threads two", 1, "--threads needs a whole number"),
  Case("compress x -o y --rel 1e-3 --threads 0", 1, "--threads must be at least 1"),
  Case("compress x -o y --rel 1e-3 --raw", 1, "--raw needs --type f32|f64 and --shape"),
  Case("compress x -o y --rel 1e-3 --shape 2,2", 1, "give --raw with them"),
  Case("compress x -o y --rel 1e-3 --raw --type f32 --shape 4,0,4", 1, "--shape needs positive extents"),
  Case("compress x -o y --rel 1e-3 --raw --type f16 --shape 4,4", 1, "--type must be f32 or f64"),
  Case("compress x -o y --rel 1e-3 --raw --type f32 --shape 4,4 --axes x", 1, "names 1 dimensions"),
  Case("compress x -o y --rel 1e-3 --axes zyy", 1, "--axes needs different letters"),
  Case("compress x -o y --rel 1e-3 --periodic q", 1, "--periodic needs auto, none"),
  Case("compress x -o y --rel 1e-3 --vector velocity=u", 1, "--vector needs a name and two or more datasets"),
  Case("compress x -o y --rel 1e-3 --access row", 1, "--access knows only 'tile'"),
  Case("compress x -o y --rel 1e-3 -f u -f u", 1, "field 'u' is given twice"),
  Case("compress x -o y --rel 1e-3 -q -v", 1, "exclude each other"),
  Case("compress x -o y --rate 2 --keep box16", 1, "--keep needs SPEC:TARGET, such as box16:1e-6, not 'box16'"),
  Case("compress x -o y --rate 2 --keep box16:none", 1, "--keep needs SPEC:TARGET"),
  Case("compress x -o y --rate 2 --keep box16:-1", 1, "--keep box16 must be positive"),
  Case("compress x -o y --rate 2 --keep box16:1e-3 --keep box16:1e-4", 1, "--keep box16 has two targets, 0.001 and 0.0001"),
  Case("compress x -o y --rate 2 --max-psnr-loss 1", 1, "give --keep with it"),
  Case("compress x -o y --rate 2 --keep box16:1e-3 --max-psnr-loss 0", 1, "--max-psnr-loss must be positive"),
  Case("compress x -o y --rate 2 --restoration totals,spectra", 1, "knows totals, spectrum, divergence, band, not 'spectra'"),
  Case("decompress x -o y --restore --region 0:4,0:4,0:4", 1, "--restore needs the whole field"),
  Case("decompress x", 1, "no output"),
  Case("decompress x -o y --region 0:4,4:0,0:4", 1, "--region needs z0:z1"),
  Case("compare x", 1, "missing argument B"),
  Case("verify", 1, "missing argument IN.ald"),
  Case("inspect a b", 1, "unexpected argument 'b'"),
  Case("campaign --help", 0, "campaign plan", "campaign clean"),
  Case("campaign run -h", 0, "--lease SECONDS"),
  Case("campaign", 1, "needs one of plan, run, status, verify, clean"),
  Case("campaign rum x", 1, "unknown 'campaign rum'", "did you mean 'run'?"),
  Case("campaign run", 1, "missing argument FOLDER"),
  Case("campaign run x --rel 1", 1, "unknown option '--rel'"),
  Case("campaign run x --lease 0", 1, "--lease must be positive"),
  Case("campaign plan", 1, "missing argument FOLDER"),
  Case("campaign plan x in.h5 -o y", 1, "no bound; give one of --abs"),
  Case("campaign plan x in.h5 -o y --rel -1", 1, "--rel must be positive"),
]

/// A look at the paths decides these.
let paths: [Case] = [
  Case("compress DIR/missing.h5 -o DIR/y.ald --rel 1e-3", 2, "cannot open", "missing.h5", "No such file"),
  Case("compress DIR -o DIR/y.ald --rel 1e-3", 2, "is a directory"),
  Case("compress DIR/text.h5 -o DIR/none/y.ald --rel 1e-3", 2, "there is no directory", "none"),
  Case("compress DIR/text.h5 -o DIR/text.h5 --rel 1e-3", 1, "is both input and output"),
  Case("compress DIR/text.h5 -o DIR/../DIRNAME/text.h5 --rel 1e-3", 1, "is both input and output"),
  Case("compress DIR/text.h5 -o DIR/y.ald --report DIR/y.ald --rel 1e-3", 1, "have the same name"),
  Case("compress DIR/text.h5 -o DIR/other.txt --rel 1e-3 --no-clobber", 2, "exists and --no-clobber is given"),
  Case("verify DIR/missing.ald", 2, "cannot open"),
  Case("campaign run DIR", 2, "no campaign here"),
  Case("campaign plan DIR/no-output DIR/text.h5 --rel 1e-3", 1, "give -o FOLDER"),
  Case("campaign plan DIR/lost DIR/missing.h5 -o DIR/lost.out --rel 1e-3", 2, "cannot open", "missing.h5"),
  Case("campaign plan DIR/twins DIR/a/s.h5 DIR/b/s.nc -o DIR/twins.out --rel 1e-3", 1, "would both become s.ald"),
  Case("compare DIR/text.h5 DIR/missing.h5", 2, "cannot open", "missing.h5"),
  Case("report DIR/missing.json -o DIR/y.html", 2, "cannot open", "missing.json"),
  Case("report DIR/text.h5 -o DIR/y.html", 2, "text.h5' is no report of alidade"),
  Case("report DIR/text.h5 -o DIR/text.h5", 1, "is both input and output"),
]

/// A look into the input decides these: good ones stand between the bad ones.
let inputs: [Case] = [
  Case("compress DIR/text.h5 -o DIR/y.ald --rel 1e-3", 2, "text.h5", "neither HDF5 nor NetCDF-4"),
  Case("compress DIR/small.h5 -o DIR/y.ald --rel 1e-3 -f vel", 2, "vel: no such dataset; there is", "cube", "plane", "counts"),
  Case("compress DIR/small.h5 -o DIR/y.ald --rel 1e-3 -f counts", 2, "counts"),
  Case("compress DIR/small.h5 -o DIR/y.ald --rel 1e-3 -f empty", 2, "empty"),
  Case("compress DIR/small.h5 -o DIR/y.ald --rel 1e-3 --bound nope:abs=1", 1, "--bound nope: no such field"),
  Case("compress DIR/small.h5 -o DIR/y.ald --rel 1e-3 -f cube --steps 4:6", 1, "none of 4:6"),
  Case("compress DIR/small.h5 -o DIR/mixed.ald --rel 1e-3 -f cube -f plane", 0, "cube", "plane"),
  Case("compress DIR/numbers.raw -o DIR/y.ald --rel 1e-3 --raw --type f32 --shape 4,4,5", 2, "has 256 bytes", "needs 320"),
  Case("compress DIR/numbers.raw -o DIR/y.ald --rel 1e-3 --raw --type f64 --shape 4,4,4", 2, "has 256 bytes", "needs 512"),
  Case("compress DIR/none.raw -o DIR/y.ald --rel 1e-3 --raw --type f32 --shape 1", 2, "has 0 bytes"),
  Case("compress DIR/nan.raw -o DIR/nan.ald --rel 1e-3 --raw --type f32 --shape 4,4,4", 0, "64 of 64 values"),
  Case("compress DIR/one.raw -o DIR/one.ald --rel 1e-3 --raw --type f32 --shape 1", 0, "3.5 -> 3.5"),
  Case("compress DIR/numbers.raw -o DIR/tiny.ald --abs 1e-300 --raw --type f32 --shape 4,4,4", 0, "kept"),
  Case("verify DIR/tiny.ald --against DIR/numbers.raw --raw --type f32 --shape 4,4,4", 0, "kept"),
  Case("decompress DIR/tiny.ald -o DIR/y.h5 -f nope", 2, "no field nope; there are"),
  Case("decompress DIR/tiny.ald -o DIR/y.h5 --region 0:4,0:4,0:9", 1, "0:9", "not inside 0:4"),
  Case("compress DIR/small.h5 -o DIR/y.ald --rel 1e-3 -f cube --keep nonsense:1e-3", 1, "nonsense", "box", "vorticity", "spectrum"),
  Case("compress DIR/small.h5 -o DIR/y.ald --rel 1e-3 -f cube --keep cubes/mean:1e-3", 1, "no such field; there are cube"),
  Case("compress DIR/small.h5 -o DIR/y.ald --rel 1e-3 -f cube --keep box16:1e-3 --keep box(size=16):1e-4", 1, "has two targets, 0.001 and 0.0001"),
  Case("compress DIR/small.h5 -o DIR/y.ald --rel 1e-3 -f cube --keep-restored mean:1e-3", 1, "--keep-restored is for restored views; give --restoration with it"),
  Case("compress DIR/small.h5 -o DIR/y.ald --rel 1e-3 -f cube --keep vorticity:1e-3", 1, "--keep vorticity: ", "needs a vector"),
  Case("compress DIR/small.h5 -o DIR/y.ald --rel 1e-3 -f cube --keep spectrum:1e-3", 1, "needs periodic axes"),
  Case("compress DIR/small.h5 -o DIR/y.ald --lossless -f cube --keep mean:1e-3", 1, "--keep and --lossless exclude each other", "nothing is lost"),
  Case("compress DIR/small.h5 -o DIR/y.ald --pwrel 1e-3 -f cube --keep mean:1e-3", 1, "--keep and --pwrel exclude each other"),
  Case("compress DIR/small.h5 -o DIR/y.ald --rel 1e-3 -f cube --keep mean:1e-3 --max-psnr-loss 1", 1, "at a held --rate; --rel holds the fidelity"),
  Case("compress DIR/small.h5 -o DIR/y.ald --rel 1e-3 -f cube --restoration band", 1, "wraps along every axis"),
  Case("compress DIR/small.h5 -o DIR/y.ald --rel 1e-3 -f cube --periodic xyz --restoration divergence", 1, "a vector field, one component per axis"),
  Case("compress DIR/small.h5 -o DIR/y.ald --lossless -f cube --restoration totals", 1, "--restoration and --lossless exclude each other"),
  Case("decompress DIR/tiny.ald -o DIR/y.h5 --restore", 1, "holds nothing to restore"),
  Case("inspect DIR/tiny.ald --json", 0, "\"bound_kept\"", "\"stored_parts\"", "\"schema\" : 1"),
  Case("inspect DIR/text.h5", 2, "text.h5", "not an .ald container"),
]

/// A launch that went wrong.
let launches: [Case] = [
  Case("inspect DIR/text.h5", 6, "started 4 tasks", environment: ["SLURM_STEP_ID": "0", "SLURM_NTASKS": "4"]),
  Case("inspect DIR/missing.ald", 2, "cannot open", environment: ["SLURM_NTASKS": "4"]),
]

/// The example simulation against what is known exactly.
@Suite struct SolverTests {
  static func number(after label: String, in text: String) -> Double? {
    guard let at = text.range(of: label) else { return nil }
    return Double(text[at.upperBound...].prefix { !$0.isWhitespace })
  }

  @Test(arguments: [1, 3]) func sheetDecaysExactly(ranks: Int) throws {
    let out = try Launcher.mpirun(ranks: ranks, executable: Launcher.product("alidade-taylorgreen"),
                                  arguments: ["--n", "12", "--re", "100", "--time", "1", "--initial", "2d", "--quiet"])
    #expect(out.status == 0, "\(out.stderr)")
    let worst = try #require(SolverTests.number(after: "exact solution: ", in: out.stdout))
    #expect(worst < 1e-13)
  }

  @Test func energyBalances() throws {
    let out = try Launcher.mpirun(ranks: 2, executable: Launcher.product("alidade-taylorgreen"),
                                  arguments: ["--n", "24", "--re", "100", "--time", "4", "--perturb", "0.01", "--quiet"])
    #expect(out.status == 0, "\(out.stderr)")
    let residual = try #require(SolverTests.number(after: "residual ", in: out.stdout))
    #expect(residual < 1e-3)
  }

  @Test func filesDoNotShowRanks() throws {
    var bytes: [Data] = []
    for ranks in [1, 2, 3] {
      let path = Workplace.shared.folder.appendingPathComponent("tg\(ranks).h5")
      let out = try Launcher.mpirun(ranks: ranks, executable: Launcher.product("alidade-taylorgreen"), arguments: [
        "--n", "16", "--time", "1", "--perturb", "0.01", "--every", "0.5", "--single-file", "--quiet", "--output", path.path])
      #expect(out.status == 0, "\(out.stderr)")
      bytes.append(try Data(contentsOf: path))
    }
    #expect(bytes[0] == bytes[1] && bytes[0] == bytes[2])
  }

  @Test func badSettings() throws {
    for words in [["--n", "7"], ["--re", "0"], ["--tiem", "1"], ["--time"], ["--type", "f16"]] {
      let out = try Launcher.run(Launcher.product("alidade-taylorgreen"), arguments: words)
      #expect(out.status == 1 && out.stderr.contains("alidade-taylorgreen: error: "), "\(words)")
    }
  }
}

@Suite(.serialized) struct CommandLineTests {
  @Test(arguments: usage) func wordsAlone(_ c: Case) throws { try c.check() }

  @Test(arguments: paths) func pathsAlone(_ c: Case) throws {
    let name = Workplace.shared.folder.lastPathComponent
    let plain = c.command.replacingOccurrences(of: "DIRNAME", with: name)
    var copy = Case(plain, c.code)
    for fragment in c.says { copy = Case(plain, c.code, fragment); try copy.check() }
  }

  /// In this order: later ones read what earlier ones wrote.
  @Test func inputsInOrder() throws { for c in inputs { try c.check() } }

  @Test func inputsInOrderUnderMPI() throws { for c in inputs { try c.check(ranks: 2) } }

  @Test(arguments: launches) func launch(_ c: Case) throws { try c.check() }

  @Test(arguments: [usage[4], usage[5], usage[15], paths[0], paths[3]]) func underMPI(_ c: Case) throws { try c.check(ranks: 2) }

  @Test func helpUnderMPISpeaksOnce() throws {
    let out = try Launcher.mpirun(ranks: 2, executable: Launcher.product("alidade"), arguments: ["--help"])
    #expect(out.status == 0)
    #expect(out.stdout.components(separatedBy: "usage: alidade").count == 2)
  }
}

/// A folder of inputs, made once.
struct Workplace: Sendable {
  static let shared = Workplace()
  let folder: URL
  init() {
    folder = FileManager.default.temporaryDirectory.appendingPathComponent("alidade-cli-\(ProcessInfo.processInfo.processIdentifier)")
    try! FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    try! Data("not an HDF5 file\n".utf8).write(to: folder.appendingPathComponent("text.h5"))
    try! Data("something\n".utf8).write(to: folder.appendingPathComponent("other.txt"))
    func raw(_ name: String, _ values: [Float]) {
      try! values.withUnsafeBytes { Data($0) }.write(to: folder.appendingPathComponent(name))
    }
    raw("numbers.raw", (0..<64).map { Float($0) })
    raw("nan.raw", [Float](repeating: .nan, count: 64))
    raw("one.raw", [3.5])
    raw("none.raw", [])
    // A vector on 3 x 32^3 cells with energy on all scales: waves of falling amplitude and a little noise.
    var random = SplitMix64(seed: 7)
    let waves = (0..<40).map { k -> (at: [Int], phase: Double, size: Double) in
      let at = (0..<3).map { _ in random.below(2 + k / 3) - (1 + k / 3) / 2 }
      return (at, 6.28 * random.uniform(), 1 / Double(1 + at.reduce(0) { $0 + $1 * $1 }))
    }
    raw("velocity.raw", (0..<3 << 15).map { i -> Float in
      let place = [i >> 10 & 31, i >> 5 & 31, i & 31]
      let sum = waves.enumerated().reduce(0.0) { s, w in
        let angle = zip(w.element.at, place).reduce(0) { $0 + $1.0 * $1.1 }
        return s + w.element.size * sin(6.283185307179586 * Double(angle) / 32 + w.element.phase * Double(1 + (i >> 15) * (w.offset % 3)))
      }
      return Float(sum + 0.02 * (random.uniform() - 0.5))
    })
    // The same grid with a spectrum that falls without lines or floor: noise smoothed once and more, the rougher the weaker.
    raw("smooth.raw", (0..<3).flatMap { _ -> [Float] in
      var u = [Double](repeating: 0, count: 1 << 15)
      for (passes, size) in [(0, 0.002), (1, 0.05), (3, 0.4), (9, 2), (27, 8)] {
        var v = u.map { _ in random.uniform() - 0.5 }
        for _ in 0..<passes { for shift in [0, 5, 10] {
          func next(_ i: Int, _ d: Int) -> Int { (i & ~(31 << shift)) | ((i >> shift + d) & 31) << shift }
          v = v.indices.map { 0.25 * (v[next($0, -1)] + v[next($0, 1)]) + 0.5 * v[$0] }
        } }
        for i in u.indices { u[i] += size * v[i] }
      }
      return u.map { Float($0) }
    })
    let file = try! File.create(folder.appendingPathComponent("small.h5").path)
    let root = try! file.object("/")
    for (name, shape) in [("cube", [4, 5, 6]), ("plane", [7, 3])] {
      _ = try! allocate(createNumbers(in: file, name, shape: shape, double: false))
    }
    _ = try! createNumbers(in: file, "empty", shape: [0, 3], double: true)
    _ = try! createRaw(in: root, "counts", bytes: 8)
  }
}
