import Compressor
import Foundation

/// Draws with gnuplot: a script in, an SVG picture out.
struct Gnuplot {
  private let program: String

  /// - Throws: `Failure` where there is no gnuplot.
  init() throws {
    let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin").split(separator: ":")
    guard let found = folders.map({ "\($0)/gnuplot" }).first(where: { FileManager.default.isExecutableFile(atPath: $0) }) else {
      throw Failure(.inputOutput, "alidade report draws with gnuplot, which is not on the PATH; install the package gnuplot-nox")
    }
    program = found
  }

  /// - Parameter script: everything but the terminal.
  /// - Returns: One `<svg>` element that scales with its surroundings.
  func svg(width: Int = 520, height: Int = 340, _ script: String) throws -> String {
    let head = """
      set terminal svg size \(width),\(height) dynamic noenhanced font "Helvetica,12" background "white"
      set encoding utf8
      set border 3 lw 0.7
      set tics nomirror
      set grid lc rgb "#dddddd" lw 0.5
      set key noautotitle spacing 1.1

      """
    let process = Process(), input = Pipe(), output = Pipe(), complaints = Pipe()
    process.executableURL = URL(fileURLWithPath: program)
    process.standardInput = input; process.standardOutput = output; process.standardError = complaints
    do { try process.run() } catch { throw Failure(.inputOutput, "gnuplot does not start: \(error.localizedDescription)") }
    // A pipe holds little: write beside reading.
    let text = Data((head + script).utf8)
    DispatchQueue.global().async {
      try? input.fileHandleForWriting.write(contentsOf: text)
      try? input.fileHandleForWriting.close()
    }
    let drawn = output.fileHandleForReading.readDataToEndOfFile()
    let said = complaints.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    let picture = String(decoding: drawn, as: UTF8.self)
    guard process.terminationStatus == 0, let start = picture.range(of: "<svg"), picture.contains("</svg>") else {
      throw Failure(.inputOutput, "gnuplot failed: \(String(decoding: said, as: UTF8.self).split(separator: "\n").suffix(3).joined(separator: " "))")
    }
    return String(picture[start.lowerBound...])
  }
}

/// A curve or cloud of points of one plot.
struct Series {
  enum Mark { case line, points, linePoints, dashed }
  var title: String
  var points: [(x: Double, y: Double)]
  var mark = Mark.linePoints
  /// Number of its colour, dash and point shape.
  var style = 1
}

/// A plot of curves over common axes, told apart by colour, dash and point shape.
struct Plot {
  var x: String, y: String
  var series: [Series]
  var logX = false, logY = false
  /// More of gnuplot before the plot.
  var extra = ""

  /// Distinct in grey too: Okabe and Ito, "Color universal design" (2008), from dark to light.
  static let colours = ["#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"]
  static let shapes = [7, 5, 9, 13, 6, 4, 8, 12]

  var script: String {
    var s = "set xlabel \(quoted(x))\nset ylabel \(quoted(y))\n"
    if logX { s += "set logscale x\nset format x \"%.3g\"\n" }
    if logY { s += "set logscale y\nset format y \"%.0e\"\n" }
    s += extra
    var clauses: [String] = []
    for (i, c) in series.enumerated() {
      let usable = c.points.filter { $0.x.isFinite && $0.y.isFinite && (!logX || $0.x > 0) && (!logY || $0.y > 0) }
      if usable.isEmpty { continue }
      s += "$d\(i) << EOD\n" + usable.map { "\($0.x) \($0.y)\n" }.joined() + "EOD\n"
      let n = c.style - 1, colour = Plot.colours[n % Plot.colours.count]
      let line = "lc rgb \"\(colour)\" lw 1.6 dt \(n % 5 + 1)", point = "pt \(Plot.shapes[n % Plot.shapes.count]) ps 0.6"
      let with = switch c.mark {
      case .line: "lines \(line)"
      case .points: "points lc rgb \"\(colour)\" \(point)"
      case .linePoints: "linespoints \(line) \(point)"
      case .dashed: "lines lc rgb \"#888888\" lw 1 dt 2"
      }
      clauses.append("$d\(i) using 1:2 with \(with) title \(quoted(c.title))")
    }
    return clauses.isEmpty ? "" : s + "plot " + clauses.joined(separator: ", \\\n  ") + "\n"
  }
}

/// A gnuplot string.
func quoted(_ text: String) -> String {
  "\"" + text.replacingOccurrences(of: "\\", with: "\\\\").replacingOccurrences(of: "\"", with: "\\\"").replacingOccurrences(of: "\n", with: " ") + "\""
}
