import Foundation
import Support
import Testing

/// `alidade report` on reports of real runs.
@Suite(.serialized) struct ReportPageTests {
  private static let folder = Workplace.shared.folder
  private static let vector = "--raw --type f32 --shape 3,32,32,32 --axes czyx --periodic xyz"

  private func run(_ command: String, ranks: Int = 1) throws {
    let words = command.replacingOccurrences(of: "DIR", with: Self.folder.path).split(separator: " ").map(String.init)
    let tool = Launcher.product("alidade")
    let out = ranks == 1 ? try Launcher.run(tool, arguments: words) : try Launcher.mpirun(ranks: ranks, executable: tool, arguments: words)
    #expect(out.status == 0, "\(command)\n\(out.stderr)")
  }

  @Test func showsWhatTheReportsSay() throws {
    for (psnr, ranks) in [(40, 1), (60, 3)] {
      try run("compress DIR/velocity.raw -o DIR/page\(psnr).ald \(Self.vector) --psnr \(psnr) --observe spectrum,box(size=8),vorticity -q --report DIR/page\(psnr).json", ranks: ranks)
    }
    try run("align DIR/velocity.raw \(Self.vector) --psnr 50 --observe vorticity -q --report DIR/page.align.json --map DIR/page.map.h5")
    try run("sweep DIR/velocity.raw \(Self.vector) --observe box(size=8) --rates 1,2 --weights 1,4 -q --report DIR/page.sweep.json")
    try run("report DIR/page40.json DIR/page60.json DIR/page.align.json DIR/page.sweep.json -o DIR/page.html --container DIR/page60.ald"
      + " --original DIR/velocity.raw \(Self.vector) --map DIR/page.map.h5 -q")
    let html = try String(contentsOf: Self.folder.appendingPathComponent("page.html"), encoding: .utf8)
    for part in ["Rate and distortion", "Observables", "Alignment", "Errors", "The law", "Time", "kept (2 of", "vorticity cannot gain", "error of the decoded field"] {
      #expect(html.contains(part), "no '\(part)'")
    }
    // Rate, errors by rate, two curves, two histograms, three components with their errors, three of the law, four runs.
    #expect(html.components(separatedBy: "<svg").count - 1 >= 16)
    #expect(html.components(separatedBy: "<svg").count == html.components(separatedBy: "</svg>").count)
    // Self-contained: nothing is fetched, and no two pictures share a name.
    #expect(!html.contains(/(src|href)\s*=\s*["']https?:/) && !html.contains("<script"))
    let names = html.matches(of: /\bid=["']([^"']+)["']/).map { String($0.output.1) }
    #expect(names.count > 20 && Set(names).count == names.count)
    for use in html.matches(of: /href=["']#([^"']+)["']/).prefix(50) { #expect(names.contains(String(use.output.1))) }
    // The numbers are those of the reports.
    let json = try JSONSerialization.jsonObject(with: Data(contentsOf: Self.folder.appendingPathComponent("page60.json"))) as? [String: Any]
    let fields = try #require((json?["result"] as? [String: Any])?["fields"] as? [[String: Any]])
    #expect(html.contains(String(format: "%.4g", try #require(fields[0]["bits_per_value"] as? Double))))
    let observables = try #require(fields[0]["observables"] as? [[String: Any]])
    let spectrum = try #require(observables.first { ($0["name"] as? String)?.hasPrefix("spectrum") == true }?["values"] as? [String: [Double]])
    #expect(spectrum["original"]?.count == spectrum["decoded"]?.count && (spectrum["original"]?.count ?? 0) > 16)
    #expect(observables.allSatisfy { ($0["name"] as? String) != "vorticity" || $0["values"] == nil })
    // Every rank has its bar.
    let phases = try #require((json?["run"] as? [String: Any])?["phases"] as? [[String: Any]])
    #expect(!phases.isEmpty && phases.allSatisfy { ($0["per_rank"] as? [Double])?.count == 3 })
  }

  @Test func namesAreText() throws {
    // Whatever a dataset is called, the page shows it and does not run it.
    try run("compress DIR/numbers.raw -o DIR/named.ald --rel 1e-3 --raw --type f32 --shape 4,4,4 -q --report DIR/named.json")
    let path = Self.folder.appendingPathComponent("named.json")
    let text = try String(contentsOf: path, encoding: .utf8)
    try text.replacing(/"name" : "[^"]*"/, with: "\"name\" : \"<script>&'\\\"`$(x)\"", maxReplacements: 1).write(to: path, atomically: true, encoding: .utf8)
    try run("report DIR/named.json -o DIR/named.html -q")
    let html = try String(contentsOf: Self.folder.appendingPathComponent("named.html"), encoding: .utf8)
    #expect(html.contains("&lt;script&gt;") && !html.contains("<script>"))
  }

  @Test func saysThatGnuplotIsMissing() throws {
    try run("compress DIR/numbers.raw -o DIR/plain.ald --rel 1e-3 --raw --type f32 --shape 4,4,4 -q --report DIR/plain.json")
    // What MPI needs to start, and no gnuplot.
    let tools = Self.folder.appendingPathComponent("tools")
    try FileManager.default.createDirectory(at: tools, withIntermediateDirectories: true)
    for name in ["orted", "ssh", "rsh"] {
      let found = ["/usr/bin", "/bin"].map { "\($0)/\(name)" }.first { FileManager.default.isExecutableFile(atPath: $0) }
      if let found { try FileManager.default.createSymbolicLink(atPath: tools.appendingPathComponent(name).path, withDestinationPath: found) }
    }
    let words = ["report", "\(Self.folder.path)/plain.json", "-o", "\(Self.folder.path)/plain.html"]
    let out = try Launcher.run(Launcher.product("alidade"), arguments: words, environment: ["PATH": tools.path])
    #expect(out.status == 2 && out.stderr.contains("gnuplot-nox"))
    #expect(!FileManager.default.fileExists(atPath: "\(Self.folder.path)/plain.html"))
  }
}
