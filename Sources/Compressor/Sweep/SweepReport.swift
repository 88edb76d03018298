import Glibc
import LatentGeometry

/// The law against measurement, cell by cell, and how well it follows. See docs/report.md.
public struct SweepReport: Codable, Equatable, Sendable {
  public struct Cell: Codable, Equatable, Sendable {
    public var field = "", step = 0
    public var observable: String
    /// Asked for; lambda^.
    @Number public var rate: Double = .nan
    @Number public var weight: Double = .nan
    /// Of the weighted and of the plain coding, streams and header but for the table of weights, which the law does not know.
    @Number public var bitsPerValue: Double = .nan
    @Number public var baseBits: Double = .nan
    @Number public var tableBits: Double = .nan
    /// Of the plain coding.
    @Number public var psnrDB: Double = .nan
    @Number public var error: Double = .nan
    @Number public var baseError: Double = .nan
    /// For the plain coding.
    @Number public var predictedError: Double = .nan
    /// dB of PSNR lost and dB of the observable won at the plain coding's rate.
    @Number public var costDB: Double = .nan
    @Number public var gainDB: Double = .nan
    /// Codings of either kind that cost and gain are means over, and the standard error of the gain by their scatter.
    public var draws = 1
    @Number public var drawDB: Double = .nan
    @Number public var predictedCostDB: Double = .nan
    @Number public var predictedGainDB: Double = .nan
    @Number public var cv2: Double = .nan
    @Number public var maxGainDB: Double = .nan
    @Number public var overlap: Double = .nan
    /// With a model: dB of PSNR that steps made for its decoder would win at the plain coding's rate; costs may be as much below 0.
    public var slackDB: Double?
    init(observable: String) { self.observable = observable }
    enum CodingKeys: String, CodingKey {
      case field, step, observable, rate, weight, error, cv2, overlap, draws, bitsPerValue = "bits_per_value", baseBits = "base_bits_per_value", tableBits = "table_bits_per_value"
      case psnrDB = "base_psnr_db", baseError = "base_error", predictedError = "predicted_base_error", costDB = "cost_db", gainDB = "gain_db", drawDB = "draw_db"
      case predictedCostDB = "predicted_cost_db", predictedGainDB = "predicted_gain_db", maxGainDB = "max_gain_db", slackDB = "slack_db"
    }
  }
  public struct Agreement: Codable, Equatable, Sendable {
    /// Value, lower and upper end of the 95 % interval over clusters of field and observable.
    @Numbers public var spearman: [Double]
    @Numbers public var pearson: [Double]
    @Numbers public var slope: [Double]
    @Number public var rms: Double
    /// Likewise of the rms.
    @Numbers public var rmsCI: [Double]
    public var cells: Int
    enum CodingKeys: String, CodingKey { case spearman, pearson, slope, rms, cells, rmsCI = "rms_ci" }
    init(_ c: Correlation) {
      func list(_ i: Interval) -> [Double] { [i.value, i.lower, i.upper] }
      spearman = list(c.spearman); pearson = list(c.pearson); slope = list(c.slope); rms = c.rms.value; rmsCI = [c.rms.lower, c.rms.upper]; cells = c.count
    }
  }
  /// Hash of the network that corrected what was decoded.
  public var model: String?
  public var cells: [Cell]
  /// Predicted against measured, in dB.
  public var cost: Agreement, gain: Agreement
  /// ln CV^2 against the measured gain, and the overlap against the measured cost, both at the weight next to 1.
  public var cv2Gain: Agreement, overlapCost: Agreement
  enum CodingKeys: String, CodingKey { case model, cells, cost, gain, cv2Gain = "cv2_gain", overlapCost = "overlap_cost" }

  init(_ cells: [Cell], model: String?) {
    self.cells = cells; self.model = model
    let names = cells.map { "\($0.field)/\($0.observable)" }, clusters = names.map { n in names.firstIndex(of: n)! }
    func agreement(_ x: (Cell) -> Double, _ y: (Cell) -> Double, where use: (Cell) -> Bool = { _ in true }) -> Agreement {
      let chosen = cells.indices.filter { use(cells[$0]) }
      return Agreement(Correlation(predicted: chosen.map { x(cells[$0]) }, measured: chosen.map { y(cells[$0]) }, clusters: chosen.map { clusters[$0] }))
    }
    let unit = cells.map(\.weight).min { abs(log($0)) < abs(log($1)) } ?? 1
    cost = agreement({ $0.predictedCostDB }, { $0.costDB })
    gain = agreement({ $0.predictedGainDB }, { $0.gainDB })
    cv2Gain = agreement({ log($0.cv2) }, { $0.gainDB }) { $0.weight == unit }
    overlapCost = agreement({ $0.overlap }, { $0.costDB }) { $0.weight == unit }
  }

  func lines() -> [String] {
    func row(_ words: [String]) -> String {
      zip(words, [26, 8, 8, 10, 18, 26]).map { $0.padding(toLength: $1, withPad: " ", startingAt: 0) }.joined(separator: " ")
    }
    var out = [row(["observable", "rate", "weight", "psnr dB", "cost dB (law)", "gain dB (law)"])]
    for c in cells {
      out.append(row([c.observable, short(c.bitsPerValue), short(c.weight), short(c.psnrDB), "\(short(c.costDB)) (\(short(c.predictedCostDB)))",
                      "\(short(c.gainDB)) +- \(short(c.drawDB)) (\(short(c.predictedGainDB)))"]))
    }
    for (name, a) in [("cost", cost), ("gain", gain), ("gain by CV^2", cv2Gain), ("cost by overlap", overlapCost)] {
      func value(_ v: [Double]) -> String { short(v[0]) + (v[1].isFinite ? " [\(short(v[1])), \(short(v[2]))]" : "") }
      out.append("\(name): Spearman \(value(a.spearman))" + (name.contains(" by ") ? "" : ", Pearson \(value(a.pearson)), slope \(value(a.slope)), rms \(value([a.rms] + a.rmsCI)) dB")
        + ", \(a.cells) cells")
    }
    return out
  }
}
