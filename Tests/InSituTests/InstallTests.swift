import Foundation
import Support
import Testing

/// What `jobscripts/install.sh --prefix` leaves, used as a stranger would: pkg-config, CMake, a compiler's flags, pip.
@Suite(.serialized) struct InstallTests {
  private static func has(_ command: String) -> Bool { (try? Hosts.shell("command -v \(command)"))?.status == 0 }

  @Test func strangersFindIt() throws {
    let hosts = Hosts.made, root = Hosts.root.path, prefix = hosts.path("prefix of mine"), sources = root + "/Tests/InSituTests/hosts"
    func shell(_ command: String) throws {
      let outcome = try Hosts.shell("set -e; export PKG_CONFIG_PATH='\(prefix)/lib/pkgconfig'; cd '\(hosts.folder.path)'; P='\(prefix)'; \(command)")
      #expect(outcome.status == 0, "\(command)\n\(outcome)")
    }
    try shell("'\(root)/jobscripts/install_library.sh' \"$P\" '\(Launcher.product("libAlidadeInSitu.a").path)'")
    // Paths with blanks are eval's business with pkg-config.
    try shell("eval mpicc -std=c11 '\(sources)/host.c' -o installed-c $(pkg-config --cflags --libs alidade) -lm '\"-Wl,-rpath,$P/lib\"'")
    try shell("mpif90 -ffree-line-length-none \"-I$P/include\" '\(sources)/host.f90' -o installed-fortran \"-L$P/lib\" -lalidade_fortran -lalidade \"-Wl,-rpath,$P/lib\"")
    var programs = ["installed-c", "installed-fortran"]
    if Self.has("cmake") {
      try shell("cmake -S '\(sources)' -B cmake \"-DCMAKE_PREFIX_PATH=$P\" -DCMAKE_BUILD_TYPE=Release >/dev/null && cmake --build cmake -j 2 >/dev/null")
      programs += ["cmake/c", "cmake/c++", "cmake/fortran"]
    }
    _ = try hosts.run("c", ranks: 1, [hosts.path("expected.alds")])
    let expected = try hosts.series("expected.alds")
    for p in programs {
      let outcome = try hosts.run(p, ranks: 2, [hosts.path("installed.alds")])
      #expect(outcome.status == 0 && outcome.stderr.isEmpty, "\(p): \(outcome)")
      #expect(try hosts.series("installed.alds") == expected, "\(p): other bytes")
    }
  }

  @Test(.enabled(if: InstallTests.has("cmake"), "needs cmake")) func cmakeWasThere() {}

  /// The package as pip puts it into an environment of its own, without anything said about where the library is.
  @Test(.enabled(if: (try? Hosts.shell("/usr/bin/python3 -c 'import venv, ensurepip, setuptools, wheel, numpy, mpi4py'"))?.status == 0,
                 "needs Debian's python3-venv, python3-setuptools, python3-wheel, python3-numpy and python3-mpi4py"))
  func pipInstalls() throws {
    let hosts = Hosts.made, prefix = hosts.path("prefix of mine"), place = hosts.path("venv")
    let made = try Hosts.shell("/usr/bin/python3 -m venv --system-site-packages '\(place)' && '\(place)/bin/pip' install -q --no-deps --no-build-isolation '\(prefix)/share/alidade/python'")
    #expect(made.status == 0, "\(made)")
    let outcome = try Launcher.mpirun(
      ranks: 2, executable: URL(fileURLWithPath: place + "/bin/python"), arguments: [Hosts.root.path + "/Tests/InSituTests/hosts/host.py", hosts.path("pip.alds")],
      environment: ["PYTHONDONTWRITEBYTECODE": "1"], timeout: 60)
    #expect(outcome.status == 0, "\(outcome)")
    #expect(try hosts.series("pip.alds") == hosts.series("expected.alds"))
  }
}
