import Foundation
import Support

/// The self-contained library, and programs in several languages linked with it; made once.
struct Hosts: Sendable {
  let folder: URL
  /// What could not be made, by the reason.
  let missing: [String: String]

  static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
  static let made: Hosts = Hosts()
  /// A Python with numpy and mpi4py; `ALIDADE_TEST_PYTHON` names another.
  static let python: String? = [ProcessInfo.processInfo.environment["ALIDADE_TEST_PYTHON"], "/usr/bin/python3", "python3"].compactMap { $0 }.first {
    (try? shell("\($0) -c 'import numpy, mpi4py'"))?.status == 0
  }
  static func pythonHas(_ modules: String) -> Bool { python.map { (try? shell("\($0) -c 'import \(modules)'"))?.status == 0 } ?? false }

  static func shell(_ command: String, environment: [String: String] = [:]) throws -> Launcher.Outcome {
    try Launcher.run(URL(fileURLWithPath: "/bin/bash"), arguments: ["-c", command], environment: environment)
  }

  private init() {
    folder = FileManager.default.temporaryDirectory.appendingPathComponent("hosts-\(UUID().uuidString)")
    let root = Hosts.root.path, f = folder.path, hosts = root + "/Tests/InSituTests/hosts"
    let include = "-I\(root)/Sources/CAlidade/include", link = "-L\(f) -lalidade -Wl,-rpath,\(f)"
    var missing: [String: String] = [:]
    func make(_ name: String, _ command: String) {
      let outcome = try? Hosts.shell(command)
      if outcome?.status != 0 { missing[name] = outcome?.stderr ?? "cannot start a shell" }
    }
    try? FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    make("library", "'\(root)/jobscripts/library.sh' '\(Launcher.product("libAlidadeInSitu.a").path)' '\(f)'")
    make("stub", "mkdir -p \(f)/stub && mpicc -Wall -Werror -fPIC -shared -Wl,-soname,libalidade.so.0 \(include) '\(root)/Sources/Bindings/stub/alidade_stub.c' -o \(f)/stub/libalidade.so.0")
    make("c", "mpicc -std=c11 -Wall -Werror \(include) \(hosts)/host.c -o \(f)/c \(link) -lm")
    make("own-hdf5", "mpicc -std=gnu11 -Wall -Werror -DOWN_HDF5 \(include) $(pkg-config --cflags hdf5-openmpi) \(hosts)/host.c -o \(f)/own-hdf5 \(link) $(pkg-config --libs hdf5-openmpi) -lm")
    make("series", "mpicc -std=gnu11 -Wall -Werror \(include) \(hosts)/series.c -o \(f)/series \(link) -lm")
    make("failures", "mpicc -std=gnu11 -Wall -Werror \(include) \(hosts)/failures.c -o \(f)/failures \(link) -lm")
    make("memory", "mpicc -std=gnu11 -O2 -Wall -Werror \(include) \(root)/benchmarks/insitu/memory.c -o \(f)/memory \(link) -lm")
    make("c++", "mpicxx -std=c++11 -Wall -Werror \(include) -I\(root)/Sources/Bindings/cpp \(hosts)/host.cpp -o \(f)/c++ \(link)")
    make("fortran", "cd \(f) && mpif90 -std=f2018 -Wall -Werror -ffree-line-length-none \(root)/Sources/Bindings/fortran/alidade.f90 \(hosts)/host.f90 -o fortran \(link)")
    self.missing = missing
    atexit { try? FileManager.default.removeItem(at: Hosts.made.folder) }
  }

  func path(_ name: String) -> String { folder.appendingPathComponent(name).path }
  var environment: [String: String] {
    ["PYTHONPATH": Hosts.root.path + "/Sources/Bindings/python", "ALIDADE_LIBRARY": path("libalidade.so.0"), "PYTHONDONTWRITEBYTECODE": "1"]
  }

  /// A program of one of the languages, under mpirun.
  func run(_ language: String, ranks: Int, _ arguments: [String], environment more: [String: String] = [:]) throws -> Launcher.Outcome {
    let all = environment.merging(more) { $1 }
    if language == "python" {
      return try Launcher.mpirun(
        ranks: ranks, executable: URL(fileURLWithPath: "/usr/bin/env"), arguments: [Hosts.python!, Hosts.root.path + "/Tests/InSituTests/hosts/host.py"] + arguments,
        environment: all, timeout: 60)
    }
    return try Launcher.mpirun(ranks: ranks, executable: folder.appendingPathComponent(language), arguments: arguments, environment: all, timeout: 60)
  }

  /// All files of a series, by name.
  func series(_ name: String) throws -> [String: Data] {
    let place = folder.appendingPathComponent(name)
    var out: [String: Data] = [:]
    for f in try FileManager.default.contentsOfDirectory(atPath: place.path) { out[f] = try Data(contentsOf: place.appendingPathComponent(f)) }
    return out
  }
}
