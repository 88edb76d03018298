import Foundation
import MPI
import Support

/// A case runs on all ranks; it throws where something is wrong and may return text that must not depend on ranks.
typealias Case = @Sendable (borrowing Communicator) throws -> String

/// `RankTests <case>` under `mpirun`: prints the text of rank 0; exit 0 if the case held on all ranks, else 1 on all.
@main struct Main {
  static let cases: [String: Case] = [
    "background-coding": backgroundCoding,
    "collectives": collectives,
    "large-messages": largeMessages,
    "lapped-codec": lappedCodec,
    "network-codec": networkCodec,
    "latent-geometry": latentGeometry,
    "observables": observables,
    "own-observables": ownObservables,
    "agree": agreement,
    "fail-on-one": failOnOne,
    "container-round-trip": ContainerCases.roundTrip,
    "container-damage": ContainerCases.damage,
    "container-refusals": ContainerCases.refusals,
    "snapshot-round-trip": ContainerSnapshotCases.roundTrip,
    "snapshot-errors": ContainerSnapshotCases.errors,
    "snapshot-parts": ContainerSnapshotCases.parts,
    "golden-decode": GoldenCases.decode,
    "golden-encode": GoldenCases.encode,
    "golden-write": GoldenCases.write,
    "domains": domains,
    "finish": { _ in "" },
    "promise-bad-boxes": promiseBadBoxes,
    "promise-cuttings": promiseCuttings,
    "promise-forged": promiseForged,
    "redistribute": redistribute,
    "redistribute-wide": redistributeWide,
    "redistribute-emptying": redistributeEmptying,
    "redistribute-errors": redistributeErrors,
    "redistribute-speed": redistributeSpeed,
    "spectra": spectra,
    "spectral": spectral,
    "spectra-speed": spectraSpeed,
    "statistics": statistics,
    "statistics-speed": statisticsSpeed,
    "temporal-series": temporalSeries,
  ]

  static func main() {
    do {
      try MPIEnvironment.start()
      let ranks = try Communicator.world()
      guard CommandLine.arguments.count == 2, let run = cases[CommandLine.arguments[1]] else {
        if ranks.rank == 0 { print(cases.keys.sorted().joined(separator: "\n")) }
        try MPIEnvironment.finish()
        exit(1)
      }
      let status = report(run, ranks)
      try MPIEnvironment.finish()
      exit(status)
    } catch {
      print("MPI: \(error)")
      exit(6)
    }
  }

  /// One message and one exit code, whichever rank failed. A case that fails on some ranks only has to do so after
  /// its last collective (`try ranks.agree`).
  private static func report(_ run: Case, _ ranks: borrowing Communicator) -> Int32 {
    do {
      let text = try run(ranks)
      if ranks.rank == 0 && !text.isEmpty { print(text) }
      return 0
    } catch let error as AgreedError {
      if ranks.rank == 0 { FileHandle.standardError.write(Data("rank \(error.rank): \(error.message)\n".utf8)) }
      return error.exitCode
    } catch {
      // Not agreed: the other ranks may be waiting for this one; the launcher ends them.
      FileHandle.standardError.write(Data("rank \(ranks.rank), alone: \(error)\n".utf8))
      return 1
    }
  }
}

struct Failed: Error, CustomStringConvertible, ExitCoded {
  let description: String
  var exitCode: Int32 { 1 }
}

func expect(_ holds: Bool, _ what: @autoclosure () -> String, line: UInt = #line) throws {
  if !holds { throw Failed(description: "line \(line): \(what())") }
}
