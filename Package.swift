// swift-tools-version:6.0
import Foundation
import PackageDescription

// Where libtorch lies: TORCH_ROOT (a folder with include and lib, as in the wheels of PyPI), else Debian's libtorch-dev. Without either
// there is no alidade-train, and nothing else misses it.
let debianTorch = "/usr/include/torch/csrc/api/include"
let torchRoot = Context.environment["TORCH_ROOT"]
let torchIncludes = torchRoot.map { ["\($0)/include", "\($0)/include/torch/csrc/api/include"] } ?? (FileManager.default.fileExists(atPath: debianTorch) ? [debianTorch] : [])
let torchLinking = torchRoot.map { ["-L\($0)/lib", "-Xlinker", "-rpath", "-Xlinker", "\($0)/lib"] } ?? []

// Layers, strictly upward; Tests/ArchitectureTests reads the `import` lines and holds them to this picture.
let package = Package(
  name: "alidade",
  products: [
    .executable(name: "alidade", targets: ["Tool"]),
    .executable(name: "alidade-taylorgreen", targets: ["Solver"]),
    .library(name: "Alidade", targets: ["Compressor"]),
    // jobscripts/library.sh makes the self-contained libalidade.so of it.
    .library(name: "AlidadeInSitu", type: .static, targets: ["InSitu"]),
  ],
  targets: [
    // C libraries: macros made functions, no logic.
    .systemLibrary(name: "COpenMPI", pkgConfig: "ompi-c", providers: [.apt(["libopenmpi-dev"])]),
    .systemLibrary(name: "CHDF5Parallel", pkgConfig: "hdf5-openmpi", providers: [.apt(["libhdf5-openmpi-dev"])]),
    .systemLibrary(name: "CFFTW3", pkgConfig: "fftw3", providers: [.apt(["libfftw3-mpi-dev"])]),
    .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
    .systemLibrary(name: "CxxHash", pkgConfig: "libxxhash", providers: [.apt(["libxxhash-dev"])]),
    .systemLibrary(name: "CLAPACKE", pkgConfig: "lapacke", providers: [.apt(["liblapacke-dev", "libopenblas-dev"])]),
    .target(name: "CMPI", dependencies: ["COpenMPI"]),
    .target(name: "CHDF5", dependencies: ["CHDF5Parallel", "COpenMPI"]),
    .target(name: "CFFTW", dependencies: ["CFFTW3", "COpenMPI"],
            linkerSettings: [.linkedLibrary("fftw3_mpi"), .linkedLibrary("fftw3")]),
    .target(name: "CLAPACK", dependencies: ["CLAPACKE"], linkerSettings: [.linkedLibrary("lapacke"), .linkedLibrary("openblas")]),
    .target(name: "CFibre"),
    .target(name: "CKernels", linkerSettings: [.linkedLibrary("m")]),

    // Science without communicators.
    .target(name: "Fields"),
    .target(name: "Statistics", dependencies: ["Fields", "CKernels"]),
    .target(name: "Codecs", dependencies: ["Fields", "CKernels", "CZstd", "CxxHash"]),

    .target(name: "CObservables"),
    .target(name: "Observables", dependencies: ["Fields", "Statistics", "CKernels", "CObservables"]),
    .target(name: "LatentGeometry", dependencies: ["Codecs", "Observables", "CLAPACK", "CLAPACKE"]),

    // Ranks and files.
    .target(name: "MPI", dependencies: ["CMPI", "COpenMPI"]),
    .target(name: "HDF5", dependencies: ["CHDF5", "CHDF5Parallel", "MPI"]),
    .target(name: "Decomposition", dependencies: ["Fields", "MPI"]),
    .target(name: "Reduction", dependencies: ["Observables", "Statistics", "Decomposition", "CKernels"]),
    .target(name: "SnapshotIO", dependencies: ["HDF5", "Decomposition", "Codecs", "CxxHash", "CZstd"]),

    // The job, and what uses it.
    .target(name: "Compressor", dependencies: ["SnapshotIO", "Codecs", "Reduction", "Observables", "LatentGeometry", "CFibre"]),
    .target(name: "Pages", dependencies: ["Compressor"]),
    .target(name: "CAlidade", dependencies: ["COpenMPI"]),
    .target(name: "InSitu", dependencies: ["CAlidade", "Compressor"]),
    .executableTarget(name: "Solver", dependencies: ["MPI", "CFFTW", "CFFTW3", "Compressor", "CAlidade", "InSitu"]),
    .executableTarget(name: "Tool", dependencies: ["Compressor", "Pages"]),

    // Tests.
    .target(name: "Support", dependencies: ["Fields", "Statistics", "Observables"], path: "Tests/Support"),
    .target(name: "LatentCases", dependencies: ["LatentGeometry"], path: "Tests/LatentCases"),
    .executableTarget(name: "RankTests",
                      dependencies: ["Support", "LatentCases", "Compressor", "Codecs", "Observables", "Decomposition", "Reduction", "SnapshotIO", "MPI", "HDF5"],
                      path: "Tests/RankTests"),
    .testTarget(name: "ArchitectureTests"),
    .testTarget(name: "FieldsTests", dependencies: ["Fields", "Support"]),
    .testTarget(name: "StatisticsTests", dependencies: ["Statistics", "Support"]),
    .testTarget(name: "ObservablesTests", dependencies: ["Observables", "CKernels", "Statistics", "Fields", "Support"], exclude: ["moments.c"]),
    .testTarget(name: "LatentGeometryTests", dependencies: ["LatentGeometry", "LatentCases"]),
    .testTarget(name: "CodecsTests", dependencies: ["Codecs", "CKernels", "Support"]),
    .testTarget(name: "GoldenTests", dependencies: ["Support", "RankTests", "Tool"]),
    .testTarget(name: "LauncherTests", dependencies: ["Support", "RankTests"]),
    .testTarget(name: "CommandLineTests", dependencies: ["Support", "Tool", "Solver"]),
    .testTarget(name: "InSituTests", dependencies: ["Support", "InSitu", "Tool", "Solver", "Compressor", "Fields", "RankTests"], exclude: ["hosts"]),
    .testTarget(name: "SlurmTests", dependencies: ["Support", "Tool", "Solver"], exclude: ["cluster.sh", "scenarios.sh"]),
    .testTarget(name: "PromiseTests", dependencies: ["Support", "Fields", "HDF5", "CHDF5", "CHDF5Parallel", "Compressor", "Codecs", "MPI", "Tool", "RankTests"]),
  ],
  swiftLanguageModes: [.v6],
  cLanguageStandard: .c11,
  cxxLanguageStandard: .cxx17
)

if !torchIncludes.isEmpty {
  package.products.append(.executable(name: "alidade-train", targets: ["Training"]))
  package.targets += [
    .target(name: "CTorch", cxxSettings: [.unsafeFlags(torchIncludes.flatMap { ["-isystem", $0] })],
            linkerSettings: [.unsafeFlags(torchLinking), .linkedLibrary("torch"), .linkedLibrary("torch_cpu"), .linkedLibrary("c10")]),
    .executableTarget(name: "Training", dependencies: ["CTorch", "Compressor", "LatentGeometry"]),
    .testTarget(name: "TrainingTests", dependencies: ["Training", "CTorch", "Compressor", "LatentGeometry", "Support"]),
  ]
}
