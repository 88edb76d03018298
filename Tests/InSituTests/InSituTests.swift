import Foundation
import Support
import Testing

/// The library inside programs in C, C++, Fortran and Python.
@Suite(.serialized) struct InSituTests {
  let hosts = Hosts.made

  @Test func everythingCompiles() { #expect(hosts.missing.isEmpty, "\(hosts.missing)") }

  /// One series with steps predicted from others, whatever the language, the number of ranks, the way of cutting the domain, and whether steps are
  /// coded beside the host; nothing on standard output.
  @Test func bytesDependOnTheValuesAlone() throws {
    var first: [String: Data]?
    for (language, ranks, mode) in [
      ("c", 1, ""), ("c", 3, "async"), ("c", 8, ""), ("c++", 2, "async"), ("c++", 4, ""), ("fortran", 1, "async"), ("fortran", 4, ""), ("python", 2, ""),
      ("python", 3, "async"),
    ] {
      if language == "python" && Hosts.python == nil { continue }
      let outcome = try hosts.run(language, ranks: ranks, [hosts.path("equal.alds"), mode])
      #expect(outcome.status == 0 && outcome.stdout.isEmpty && outcome.stderr.isEmpty, "\(language), \(ranks) ranks \(mode): \(outcome)")
      let found = try hosts.series("equal.alds")
      #expect(found.keys.sorted() == ["0000000000.ald", "0000000010.ald", "0000000020.ald", "index"])
      #expect(first == nil || first == found, "\(language), \(ranks) ranks: other bytes")
      first = first ?? found
    }
  }

  @Test(.enabled(if: Hosts.python != nil, "needs a python3 with numpy and mpi4py")) func pythonWasThere() {}

  /// Our own simulation through the C functions: the same bytes on any ranks, waiting or coded beside the solver.
  @Test func ownSolver() throws {
    var first: [String: Data]?
    for (ranks, more) in [(1, []), (2, ["--beside"]), (4, []), (3, ["--beside"])] {
      let outcome = try Launcher.mpirun(
        ranks: ranks, executable: Launcher.product("alidade-taylorgreen"),
        arguments: ["--n", "24", "--time", "0.6", "--every", "0.15", "--dt", "0.05", "--keys", "3", "--output", hosts.path("own-solver.alds"), "--quiet"] + more, timeout: 60)
      #expect(outcome.status == 0 && outcome.stderr.isEmpty && outcome.stdout.contains("4 outputs in"), "\(ranks) ranks: \(outcome)")
      let found = try hosts.series("own-solver.alds")
      #expect(found.count == 5 && (first == nil || first == found), "\(ranks) ranks: other bytes")
      first = first ?? found
    }
    #expect(try Launcher.run(Launcher.product("alidade"), arguments: ["verify", hosts.path("own-solver.alds"), "-q"]).status == 0)
  }

  /// h5py and netCDF4 bring HDF5 libraries of their own.
  @Test(.enabled(if: Hosts.pythonHas("h5py, netCDF4"), "needs h5py and netCDF4"), arguments: ["first", "last"])
  func otherHDF5InTheProcess(order: String) throws {
    let outcome = try hosts.run("python", ranks: 2, [hosts.path("hdf5.alds"), order])
    #expect(outcome.status == 0, "\(outcome)")
    _ = try hosts.run("c", ranks: 1, [hosts.path("equal.alds")])
    #expect(try hosts.series("hdf5.alds") == hosts.series("equal.alds"))
  }

  /// Steps of four fields, the first and a later one, take at most 1.5 times their bytes and 64 MB more of a rank.
  @Test(arguments: [["wraps", "scalars", "copied", "wait"], ["walls", "scalars", "copied", "async"], ["wraps", "vector", "borrowed", "async"]])
  func memoryOfSteps(how: [String]) throws {
    let outcome = try hosts.run("memory", ranks: 2, [hosts.path("memory.alds"), "128", "4"] + how + ["2"])
    #expect(outcome.status == 0, "\(outcome)")
  }

  /// The same where a vector that wraps is all of a step: its copies and modes are held at once, and little beside them.
  @Test(arguments: [(1, "wait"), (2, "wait"), (2, "async")])
  func memoryOfACopiedVector(ranks: Int, end: String) throws {
    let outcome = try hosts.run("memory", ranks: ranks, [hosts.path("vector.alds"), "128", "3", "wraps", "vector", "copied", end, "2"])
    #expect(outcome.status == 0, "\(outcome)")
  }

  /// What a run wrote as a data set of xarray.
  @Test(.enabled(if: Hosts.pythonHas("xarray"), "needs xarray")) func xarrayReadsASeries() throws {
    let outcome = try hosts.run("python", ranks: 1, [hosts.path("xarray.alds"), "xarray"])
    #expect(outcome.status == 0, "\(outcome)")
  }

  /// A host with a file open in a parallel HDF5 of its own, all the while.
  @Test func hostsOwnHDF5() throws {
    let outcome = try hosts.run("own-hdf5", ranks: 2, [hosts.path("own.alds")])
    #expect(outcome.status == 0 && outcome.stdout.isEmpty && outcome.stderr.isEmpty, "\(outcome)")
    _ = try hosts.run("c", ranks: 1, [hosts.path("equal.alds")])
    #expect(try hosts.series("own.alds") == hosts.series("equal.alds"))
  }

  @Test(arguments: ["puts", "steps", "opening", "watch"], [1, 3])
  func failuresAreAgreedOn(mode: String, ranks: Int) throws {
    let outcome = try hosts.run("failures", ranks: ranks, [mode, hosts.path("\(mode)\(ranks).alds")])
    #expect(outcome.status == 0 && outcome.stdout.isEmpty, "\(outcome)")
  }

  /// Key steps, references that are missing, steps coded beside the host, a cap on their seconds.
  @Test(arguments: ["keys", "async", "time"], [1, 2, 3, 4, 8])
  func seriesOfSteps(mode: String, ranks: Int) throws {
    let outcome = try hosts.run("series", ranks: ranks, [mode, hosts.path("\(mode)\(ranks).alds")])
    #expect(outcome.status == 0 && outcome.stdout.isEmpty, "\(outcome)")
  }

  /// The same with a host that lets the library communicate on its own thread; and closing forgotten while a step is coded.
  @Test(arguments: ["async", "forgotten"], [2, 3]) func libraryCommunicates(mode: String, ranks: Int) throws {
    for threads in [["multiple"], []] {
      let outcome = try hosts.run("series", ranks: ranks, [mode, hosts.path("multiple\(ranks).alds")] + threads)
      #expect(outcome.status == 0 && outcome.stdout.isEmpty, "\(threads): \(outcome)")
    }
  }

  /// A rank dies inside a step: what was committed stays, and the next run goes on.
  @Test func killedInsideAStep() throws {
    let path = hosts.path("killed.alds")
    #expect(try hosts.run("failures", ranks: 3, ["killed", path]).status != 0)
    let outcome = try hosts.run("failures", ranks: 2, ["after", path])
    #expect(outcome.status == 0, "\(outcome)")
  }

  @Test(.enabled(if: (try? Hosts.shell("d=$(mktemp -d); mount -t tmpfs -o size=64k tmpfs $d && umount $d"))?.status == 0, "needs the right to mount a small tmpfs"))
  func fullDisk() throws {
    let small = hosts.path("small")
    #expect(try Hosts.shell("mkdir -p \(small) && mount -t tmpfs -o size=200k tmpfs \(small)").status == 0)
    defer { _ = try? Hosts.shell("umount \(small)") }
    let outcome = try hosts.run("failures", ranks: 3, ["disk", "-", small + "/run.alds"])
    #expect(outcome.status == 0, "\(outcome)")
    #expect(try hosts.series("small/run.alds").keys.allSatisfy { !$0.hasSuffix(".tmp") })
  }

  /// The stub has the same functions and does nothing.
  @Test func stubHasTheSameABI() throws {
    func names(_ file: String) throws -> String { try Hosts.shell("nm -D --defined-only --extern-only \(hosts.path(file)) | cut -d' ' -f3 | sort").stdout }
    let real = try names("libalidade.so.0")
    #expect(real.contains("ald_open\n") && real.split(separator: "\n").allSatisfy { $0.hasPrefix("ald_") })
    #expect(try names("stub/libalidade.so.0") == real)
    let outcome = try hosts.run("fortran", ranks: 2, [hosts.path("stubbed.alds")], environment: ["LD_PRELOAD": hosts.path("stub/libalidade.so.0")])
    #expect(outcome.status == 0, "\(outcome)")
    #expect(!FileManager.default.fileExists(atPath: hosts.path("stubbed.alds")))
  }

  /// Nothing of Swift, HDF5 or LAPACK is left to the loader.
  @Test func libraryIsSelfContained() throws {
    let needed = try Hosts.shell("readelf -d \(hosts.path("libalidade.so.0")) | grep NEEDED").stdout
    #expect(needed.contains("libmpi") && !needed.contains("swift") && !needed.contains("hdf5") && !needed.contains("blas") && !needed.contains("Foundation"))
  }

  /// Codecs of all kinds, coded beside the caller: the bytes they have otherwise; what fails on one rank fails on all.
  @Test(arguments: [1, 3]) func codingBesideTheCaller(ranks: Int) throws {
    let outcome = try Launcher.mpirun(ranks: ranks, executable: Launcher.product("RankTests"), arguments: ["background-coding"], timeout: 100)
    #expect(outcome.status == 0, "\(outcome)")
  }

  /// Every step is checked in one go; what others need stays, and what is missing is named.
  @Test func seriesIsCheckedAndThinnedOut() throws {
    let path = hosts.path("thin.alds"), tool = Launcher.product("alidade")
    _ = try hosts.run("c", ranks: 2, [path])
    #expect(try Launcher.run(tool, arguments: ["verify", path, "-q"]).status == 0)
    #expect(try Launcher.mpirun(ranks: 3, executable: tool, arguments: ["verify", path, "-q"]).status == 0)
    for (steps, status, text) in [
      (["0"], Int32(2), "step 0 stays: step 10 in 0000000010.ald is predicted from it"), (["10"], 2, "step 10 stays"), (["7"], 2, "no step 7"), ([], 1, "numbers of steps"),
      (["20", "--dry-run"], 0, ""), (["20"], 0, ""),
    ] {
      let outcome = try Launcher.run(tool, arguments: ["remove", path] + steps)
      #expect(outcome.status == status && (text.isEmpty || outcome.stderr.contains(text)), "\(steps): \(outcome)")
    }
    #expect(try hosts.series("thin.alds").keys.sorted() == ["0000000000.ald", "0000000010.ald", "index"])
    #expect(try Launcher.run(tool, arguments: ["verify", path, "-q"]).status == 0)
    try FileManager.default.removeItem(atPath: path + "/0000000000.ald")
    let outcome = try Launcher.run(tool, arguments: ["verify", path, "-q"])
    #expect(outcome.status == 2 && outcome.stderr.contains("0000000000.ald"), "\(outcome)")
    let step = try Launcher.run(tool, arguments: ["verify", path + "/0000000010.ald", "-q"])
    #expect(step.status == 2 && step.stderr.contains("is predicted from step 0 in") && step.stderr.contains("missing"), "\(step)")
  }

  /// The page of a run shows what there is, also when its last line is not whole yet.
  @Test func reportOfARun() throws {
    let path = hosts.path("plot.alds"), page = hosts.path("run.html")
    #expect(try hosts.run("series", ranks: 2, ["plot", path]).status == 0)
    let lines = URL(fileURLWithPath: path + "/steps.jsonl"), handle = try FileHandle(forWritingTo: lines)
    try handle.seekToEnd()
    try handle.write(contentsOf: Data("{\"step\":99,\"fie".utf8))
    try handle.close()
    let outcome = try Launcher.run(Launcher.product("alidade"), arguments: ["report", path, "-o", page, "-q"])
    #expect(outcome.status == 0, "\(outcome)")
    let html = try String(contentsOfFile: page, encoding: .utf8)
    for part in ["Series plot.alds", "key steps stand alone", "u/mean", "budget", "Seconds that rank 0", "triggered"] { #expect(html.contains(part), "no '\(part)'") }
    #expect(html.components(separatedBy: "<svg").count - 1 >= 8)
    let none = try Launcher.run(Launcher.product("alidade"), arguments: ["report", hosts.path("equal.alds"), "-o", page, "-q"])
    #expect(none.status == 2 && none.stderr.contains("steps.jsonl"), "\(none)")
  }

  /// The tool reads what a run wrote.
  @Test func toolReadsSteps() throws {
    _ = try hosts.run("c", ranks: 2, [hosts.path("tool.alds")])
    let step = hosts.path("tool.alds/0000000010.ald"), out = hosts.path("tool.h5")
    for words in [["verify", step], ["inspect", step], ["decompress", step, "-o", out]] {
      let outcome = try Launcher.run(Launcher.product("alidade"), arguments: words)
      #expect(outcome.status == 0, "\(words): \(outcome)")
    }
  }
}
