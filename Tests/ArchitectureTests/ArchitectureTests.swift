import Foundation
import Testing

/// The layers of Package.swift, read from its text.
struct Layers {
  static let root = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  /// Targets in the order of the manifest, with the targets they name.
  let targets: [(name: String, dependencies: [String])]

  init() throws {
    let text = try String(contentsOf: Layers.root.appendingPathComponent("Package.swift"), encoding: .utf8)
    var found: [(String, [String])] = []
    let target = /\.(?:systemLibrary|target|executableTarget)\(\s*name:\s*"(\w+)"(?:,\s*dependencies:\s*\[([^\]]*)\])?/
    for match in text.matches(of: target) {
      let names = (match.output.2 ?? "").matches(of: /"(\w+)"/).map { String($0.output.1) }
      found.append((String(match.output.1), names))
    }
    targets = found
  }

  /// A target's dependencies and theirs.
  func reach(_ name: String) -> Set<String> {
    var seen: Set<String> = [], next = [name]
    while let n = next.popLast() {
      for d in targets.first(where: { $0.name == n })?.dependencies ?? [] where seen.insert(d).inserted { next.append(d) }
    }
    return seen
  }

  static func files(under folder: String, ending endings: [String]) throws -> [URL] {
    let url = root.appendingPathComponent(folder)
    guard let all = FileManager.default.enumerator(at: url, includingPropertiesForKeys: nil) else { return [] }
    return all.compactMap { $0 as? URL }.filter { u in endings.contains { u.pathExtension == $0 } }.sorted { $0.path < $1.path }
  }
}

@Suite struct Layering {
  static let system: Set = ["Foundation", "Glibc", "Synchronization", "Dispatch", "Swift"]

  @Test func dependenciesLookOnlyUp() throws {
    let layers = try Layers()
    #expect(layers.targets.count > 15)
    var above: Set<String> = []
    for t in layers.targets {
      for d in t.dependencies { #expect(above.contains(d), "\(t.name) depends on \(d), which is not above it") }
      above.insert(t.name)
    }
  }

  @Test func importsStayInsideTheManifest() throws {
    let layers = try Layers()
    let line = /^\s*(?:@\w+(?:\([^)]*\))?\s+)*(?:(?:public|package|internal|fileprivate|private)\s+)?import\s+(?:(?:struct|class|enum|protocol|func|var|let|typealias)\s+)?(\w+)/
      .anchorsMatchLineEndings()
    for t in layers.targets {
      let allowed = layers.reach(t.name).union(Layering.system)
      for file in try Layers.files(under: "Sources/\(t.name)", ending: ["swift"]) {
        for match in try String(contentsOf: file, encoding: .utf8).matches(of: line) {
          let module = String(match.output.1)
          #expect(allowed.contains(module), "\(t.name)/\(file.lastPathComponent) imports \(module)")
        }
      }
    }
  }

  @Test(arguments: ["Fields", "Statistics", "Codecs", "CKernels", "Observables", "LatentGeometry"])
  func scienceKnowsNoCommunicator(module: String) throws {
    let forbidden: Set = ["COpenMPI", "CMPI", "MPI", "CHDF5", "CHDF5Parallel", "HDF5"]
    let reached = try Layers().reach(module).intersection(forbidden)
    #expect(reached.isEmpty, "\(module) reaches \(reached.sorted())")
    for file in try Layers.files(under: "Sources/\(module)", ending: ["c", "h"]) {
      let text = try String(contentsOf: file, encoding: .utf8)
      #expect(!text.contains(/#\s*include\s*[<"](mpi|hdf5)\.h/), "\(file.lastPathComponent) includes MPI or HDF5")
    }
  }

  @Test func onlyTheTrainerKnowsTorch() throws {
    let layers = try Layers()
    #expect(layers.reach("Training").contains("CTorch"))
    for t in layers.targets where t.name != "Training" { #expect(!layers.reach(t.name).contains("CTorch"), "\(t.name) reaches CTorch") }
  }

  @Test func modulesHaveAHome() throws {
    // What other languages see of the C header is no Swift module.
    let names = try Set(Layers().targets.map(\.name)).union(["Bindings"])
    for folder in try FileManager.default.contentsOfDirectory(atPath: Layers.root.appendingPathComponent("Sources").path) {
      #expect(names.contains(folder), "Sources/\(folder) is no target of Package.swift")
    }
  }
}

@Suite struct Kernels {
  @Test func everyKernelFileForbidsContraction() throws {
    let files = try Layers.files(under: "Sources/CKernels", ending: ["c"])
    #expect(!files.isEmpty)
    for file in files {
      let text = try String(contentsOf: file, encoding: .utf8)
      let pragma = text.range(of: "#pragma STDC FP_CONTRACT OFF")
      #expect(pragma != nil, "\(file.lastPathComponent) lacks #pragma STDC FP_CONTRACT OFF")
      // Before the first function body, or it would not cover it.
      if let pragma, let brace = text.range(of: ") {") {
        #expect(pragma.lowerBound < brace.lowerBound, "\(file.lastPathComponent): the pragma comes too late")
      }
    }
  }

  /// The kernels as built hold no fused multiply-add. Without objdump there is nothing to read.
  @Test func objectsHoldNoFusedInstruction() throws {
    let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    var folders = [URL(fileURLWithPath: own).deletingLastPathComponent()]
    folders += CommandLine.arguments.filter { $0.hasSuffix(".xctest") }.map { URL(fileURLWithPath: $0).deletingLastPathComponent() }
    let objects = folders.map { $0.appendingPathComponent("CKernels.build") }
      .flatMap { (try? FileManager.default.contentsOfDirectory(at: $0, includingPropertiesForKeys: nil)) ?? [] }
      .filter { $0.pathExtension == "o" }
    #expect(!objects.isEmpty, "no built kernels beside \(own)")
    guard FileManager.default.isExecutableFile(atPath: "/usr/bin/objdump") else { return }
    for object in objects {
      let process = Process(), pipe = Pipe()
      process.executableURL = URL(fileURLWithPath: "/usr/bin/objdump")
      process.arguments = ["-d", "--no-show-raw-insn", object.path]
      process.standardOutput = pipe
      try process.run()
      let text = [UInt8](pipe.fileHandleForReading.readDataToEndOfFile())
      process.waitUntilExit()
      // "address:<tab>mnemonic<blanks>operands"; hundreds of thousands of lines, so bytes rather than characters.
      let fused = text.split(separator: UInt8(ascii: "\n")).lazy.compactMap { line -> String? in
        guard let tab = line.firstIndex(of: UInt8(ascii: "\t")) else { return nil }
        let name = line[(tab + 1)...]
        return Self.fusedMnemonics.contains(where: { name.starts(with: $0) }) ? String(decoding: line, as: UTF8.self) : nil
      }.first
      #expect(fused == nil, "\(object.lastPathComponent): \(fused ?? "")")
    }
  }
  private static let fusedMnemonics = ["vfmadd", "vfmsub", "vfnmadd", "vfnmsub", "fmadd", "fmsub", "fnmadd", "fnmsub", "fmla", "fmls", "vfma"].map { Array($0.utf8) }
}
