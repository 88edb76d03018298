import Foundation

/// One measurement.
struct Row {
  var benchmark = "", operation = "", field = ""
  var ranks = 1
  var shape: [Int] = []
  var bytes = 0
  var bound = ""
  var fastest = Double.nan, median = Double.nan
  var runs = 0
  var ratio = Double.nan, psnr = Double.nan, maxError = Double.nan
  var codec = ""
  var peakMemory = 0

  static let header =
    "commit,machine,benchmark,operation,field,ranks,shape,bytes,bound,codec,runs,seconds_fastest,seconds_median,mb_per_s,ratio,psnr_db,max_error,peak_mb"

  var megabytesPerSecond: Double { Double(bytes) / 1e6 / fastest }

  var csv: String {
    [Machine.commit, Machine.name, benchmark, operation, field, "\(ranks)", shape.map(String.init).joined(separator: "x"), "\(bytes)", bound, codec,
     "\(runs)", number(fastest, 4), number(median, 4), number(megabytesPerSecond, 1), number(ratio, 3), number(psnr, 2),
     maxError.isNaN ? "" : String(format: "%.4g", maxError), peakMemory > 0 ? number(Double(peakMemory) / 1e6, 1) : ""].joined(separator: ",")
  }

  var line: String {
    func pad(_ s: String, _ n: Int) -> String { s.padding(toLength: max(n, s.count), withPad: " ", startingAt: 0) }
    var text = pad(operation, 22) + pad(field, 18) + pad("\(ranks) rank\(ranks == 1 ? "" : "s")", 9)
    if !fastest.isNaN {
      text += "\(number(megabytesPerSecond, 1)) MB/s   fastest \(number(fastest, 4)) s   median \(number(median, 4)) s of \(runs)"
    }
    if !ratio.isNaN { text += "   ratio \(number(ratio, 2))" }
    if !psnr.isNaN { text += "   \(number(psnr, 2)) dB" }
    if !codec.isEmpty { text += "   \(codec)" }
    if peakMemory > 0 { text += "   peak \(number(Double(peakMemory) / 1e6, 0)) MB" }
    return text
  }

  private func number(_ v: Double, _ digits: Int) -> String { v.isFinite ? String(format: "%.\(digits)f", v) : "" }
}

func median(_ v: [Double]) -> Double {
  let s = v.sorted()
  return s.isEmpty ? .nan : s.count % 2 == 1 ? s[s.count / 2] : (s[s.count / 2 - 1] + s[s.count / 2]) / 2
}
