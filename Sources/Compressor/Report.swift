/// What was kept and what it cost; see docs/report.md. `result` has the same text for any number of ranks.
public struct Report: Codable, Equatable, Sendable {
  public static let currentSchema = 1
  public var schema = Report.currentSchema
  public var result = Result()
  public var run = Run()
  public init() {}

  public struct Result: Codable, Equatable, Sendable {
    /// One per field and step, in the order of the container.
    public var fields: [FieldReport] = []
    /// File size minus every field's `stored_bytes`; 0 where there is no container.
    public var containerOverheadBytes = 0
    /// Of `sweep` only.
    public var sweep: SweepReport?
    /// Of `audit` only.
    public var audit: AuditReport?
    public init() {}
    enum CodingKeys: String, CodingKey { case fields, sweep, audit, containerOverheadBytes = "container_overhead_bytes" }
  }

  /// False as soon as one field's bound is known to be violated.
  public var promisesKept: Bool { result.fields.allSatisfy { $0.boundKept != false } }
}

/// One field at one step.
///
/// Everything a command does not know is NaN, `nil` or empty, and null or empty in the JSON.
public struct FieldReport: Codable, Equatable, Sendable {
  public var name: String
  public var step: Int
  /// Physical time of the step, where the input has one.
  @Number public var time: Double = .nan
  /// Extents of one step in storage order, components included.
  public var shape: [Int] = []
  /// `float32` or `float64`.
  public var type = ""
  @OrNull public var bound: Bound?
  /// The pointwise absolute error bound the codec really worked to; 0 when lossless.
  @Number public var granted: Double = .nan
  public var rawBytes = 0
  public var storedParts = StoredParts()
  /// Of the values that are neither masked nor fill.
  public var validValues = 0
  @Number public var maxAbsError: Double = .nan
  @Number public var rmse: Double = .nan
  /// rmse / range of the original.
  @Number public var nrmse: Double = .nan
  /// 20 log10(range / rmse); null when the error is zero.
  @Number public var psnrDB: Double = .nan
  /// Mean of decoded - original.
  @Number public var bias: Double = .nan
  public var errorHistogram = Histogram()
  public var errorAutocorrelation = Autocorrelation()
  @Number public var ssim: Double = .nan
  /// One per component.
  public var totals: [Total] = []
  /// Sum over the valid cells of |u|^2 / 2, for fields with several components whose name says velocity.
  public var kineticEnergy: Total?
  /// `nil` where the original was not at hand.
  @OrNull public var boundKept: Bool?
  /// Values that are NaN, infinite or fill.
  public var masked = 0
  /// Name of the codec.
  public var transform = ""
  public var observables: [ObservableReport] = []
  /// What it took to keep observables; `nil` where none was to be kept.
  @OrNull public var aligned: Aligned?
  /// What `decompress --restore` can put right; `nil`: nothing.
  @OrNull public var restoration: Restored?
  /// How it is predicted from other steps; `nil`: it is no step of a series.
  @OrNull public var temporal: Temporal?
  /// Of the learned decoder that `align --model` looked at; left out elsewhere.
  public var learned: Learned?

  public struct Learned: Codable, Equatable, Sendable {
    /// dB that the network takes from the squared error at this bound.
    @Number public var gainDB: Double
    /// dB of squared error that steps made for this decoder would save at the same rate.
    @Number public var slackDB: Double
    public init(gainDB: Double, slackDB: Double) { self.gainDB = gainDB; self.slackDB = slackDB }
    enum CodingKeys: String, CodingKey { case gainDB = "gain_db", slackDB = "slack_db" }
  }

  public struct Temporal: Codable, Equatable, Sendable {
    public var predicted: Bool
    /// Number of the step that decoding begins with.
    public var keyStep: Int
    /// Steps since then.
    public var position = 0
    /// Steps that it is predicted from, the newest first: `3`, or `3 of 0000000003.ald`.
    public var references: [String] = []
    /// Estimated share of the bits that prediction saves, also where that was too little to use it; known when coding only.
    @Number public var gain: Double = .nan
    public init(predicted: Bool, keyStep: Int) { self.predicted = predicted; self.keyStep = keyStep }
    enum CodingKeys: String, CodingKey { case predicted, position, references, gain, keyStep = "key_step" }
  }

  public struct Aligned: Codable, Equatable, Sendable {
    /// `uniform`, `diagonal` (a step per band) or `nearest-plane` (the same with shaped rounding).
    public var steps: String
    /// PSNR of a plain job at the same bound less that of this one.
    @Number public var psnrLossDB: Double
    public init(steps: String, psnrLossDB: Double) { self.steps = steps; self.psnrLossDB = psnrLossDB }
    enum CodingKeys: String, CodingKey { case steps, psnrLossDB = "psnr_loss_db" }
  }

  /// The restored view as the encoder measured it; elsewhere its errors are unknown.
  public struct Restored: Codable, Equatable, Sendable {
    public var kinds: [String]
    @Number public var maxAbsError: Double = .nan
    @Number public var rmse: Double = .nan
    @Number public var psnrDB: Double = .nan
    public init(kinds: [String]) { self.kinds = kinds }
    enum CodingKeys: String, CodingKey { case kinds, maxAbsError = "max_abs_error", rmse, psnrDB = "psnr_db" }
  }

  public init(name: String, step: Int) { self.name = name; self.step = step }

  /// Everything this field and step occupies.
  public var storedBytes: Int { storedParts.total }
  /// raw / stored; NaN when nothing is stored.
  public var ratio: Double { storedBytes > 0 ? Double(rawBytes) / Double(storedBytes) : .nan }
  /// 8 stored bytes / valid values; the mask is included in the bytes.
  public var bitsPerValue: Double { validValues > 0 && storedBytes > 0 ? 8 * Double(storedBytes) / Double(validValues) : .nan }

  public struct Bound: Codable, Equatable, Sendable {
    /// abs, rel, pwrel, psnr, rate, lossless.
    public var kind: String
    @Number public var value: Double
    /// The absolute bound it resolves to: pointwise for abs and rel, on the rmse for psnr; null where there is none.
    @Number public var absolute: Double
    public init(kind: String, value: Double, absolute: Double) { self.kind = kind; self.value = value; self.absolute = absolute }
  }

  /// Bytes in the container. One-off costs of a field (tables, side information) are charged to its first step.
  public struct StoredParts: Codable, Equatable, Sendable {
    public var streams = 0, index = 0, tables = 0, side = 0
    public init(streams: Int = 0, index: Int = 0, tables: Int = 0, side: Int = 0) {
      self.streams = streams; self.index = index; self.tables = tables; self.side = side
    }
    public var total: Int { streams + index + tables + side }
  }

  /// Counts of decoded - original in equal bins over [lower, upper].
  public struct Histogram: Codable, Equatable, Sendable {
    @Number public var lower: Double = .nan
    @Number public var upper: Double = .nan
    public var counts: [Int] = []
    public init() {}
    public init(lower: Double, upper: Double, counts: [Int]) { self.lower = lower; self.upper = upper; self.counts = counts }
  }

  /// Autocorrelation coefficient of the error at lags 1, 2, ... along each storage axis; empty along an axis of extent 1.
  public struct Autocorrelation: Codable, Equatable, Sendable {
    @Numbers public var z: [Double] = []
    @Numbers public var y: [Double] = []
    @Numbers public var x: [Double] = []
    public init() {}
    public init(z: [Double], y: [Double], x: [Double]) { self.z = z; self.y = y; self.x = x }
  }

  /// Sum over all valid cells of one component.
  public struct Total: Codable, Equatable, Sendable {
    @Number public var original: Double
    @Number public var decoded: Double
    public init(original: Double, decoded: Double) { self.original = original; self.decoded = decoded }
  }
}

/// An observable of the original and of the decoded field, with the law's prediction beside the measurement.
public struct ObservableReport: Codable, Equatable, Sendable {
  /// The canonical text of its specification.
  public var name: String
  public var units = ""
  /// The value where there is one, else the root mean square of the values.
  @Number public var original: Double = .nan
  @Number public var decoded: Double = .nan
  /// |o(x') - o(x)| / |o(x)| over the values; 0 where they are equal.
  @Number public var error: Double = .nan
  @Number public var predictedError: Double = .nan
  /// The same of what `decompress --restore` gives; where a restored view is stored.
  public var restoredError: Double?
  /// What `--keep` asked for, and `--keep-restored` of the restored view.
  @Number public var target: Double = .nan
  public var restoredTarget: Double?
  @OrNull public var alignment: Alignment?
  /// Every value, where there are 2 to 1024 that are no field (spectra, densities, profiles, averages); scaled as the observable scales them.
  public var values: Values?
  public init(name: String) { self.name = name }

  public struct Values: Codable, Equatable, Sendable {
    @Numbers public var original: [Double]
    @Numbers public var decoded: [Double]
    public init(original: [Double], decoded: [Double]) { self.original = original; self.decoded = decoded }
  }

  public struct Alignment: Codable, Equatable, Sendable {
    @Number public var overlap: Double = .nan
    @Number public var chance: Double = .nan
    @Numbers public var ci: [Double] = []
    public var k = 0
    /// Of observable and rate, whitened by the quantiser; from `align` only.
    @Number public var rateOverlap: Double = .nan
    @Number public var cv2: Double = .nan
    @Number public var maxGainDB: Double = .nan
    @Number public var predictedCostDB: Double = .nan
    /// At lambda^ 1: dB of the observable won, bits per value that buy the cost back.
    @Number public var predictedGainDB: Double = .nan
    @Number public var predictedCostBits: Double = .nan
    /// Price of a mean square error ten times smaller, null where that is out of reach.
    @Number public var tenfoldCostDB: Double = .nan
    @Number public var tenfoldCostBits: Double = .nan
    /// 95 % intervals, from `align` only.
    @Numbers public var cv2CI: [Double] = []
    @Numbers public var maxGainCI: [Double] = []
    @Numbers public var predictedCostCI: [Double] = []
    /// Every form of the law; from `align` only.
    public var laws: Laws?
    /// What to do; from `align` only.
    public var verdict = ""
    public init() {}
    enum CodingKeys: String, CodingKey {
      case overlap, chance, ci, k, rateOverlap = "rate_overlap", cv2, laws, verdict, maxGainDB = "max_gain_db", predictedCostDB = "predicted_cost_db"
      case predictedGainDB = "predicted_gain_db", predictedCostBits = "predicted_cost_bits"
      case tenfoldCostDB = "tenfold_cost_db", tenfoldCostBits = "tenfold_cost_bits"
      case cv2CI = "cv2_ci", maxGainCI = "max_gain_ci", predictedCostCI = "predicted_cost_ci"
    }
  }
  enum CodingKeys: String, CodingKey { case name, units, original, decoded, error, predictedError = "predicted_error", restoredError = "restored_error", target, restoredTarget = "restored_target", alignment, values }
}

/// How the result came about; may differ from run to run.
public struct Run: Codable, Equatable, Sendable {
  /// The sub-command.
  public var command = ""
  public var ranks = 0
  public var threads = 0
  /// Of rank 0.
  public var host = ""
  /// "alidade", "mpi", "hdf5", ...
  public var versions: [String: String] = [:]
  /// Wall time of the whole command, slowest rank.
  @Number public var seconds: Double = .nan
  /// In the order they ran.
  public var phases: [Phase] = []
  /// Resident, in bytes.
  public var peakMemory = Spread()
  public init() {}

  public struct Phase: Codable, Equatable, Sendable {
    public var name: String
    public var seconds: Spread
    /// Handed to MPI for other ranks: messages, and what a rank contributes to collective calls.
    public var bytes: Spread
    /// Messages to other ranks, and collective calls.
    public var messages = Spread(), collectives = Spread()
    /// Seconds of every rank, of evenly chosen ones where there are more than `mostRanks`.
    @Numbers public var perRank: [Double] = []
    public init(name: String, seconds: Spread, bytes: Spread) { self.name = name; self.seconds = seconds; self.bytes = bytes }
    public static let mostRanks = 64
    /// All there are, in the order in which they run.
    public static let names = [
      "open", "read", "survey", "trial", "step", "predict", "fit", "exchange", "transform", "entropy", "decode", "verify", "observe", "align", "audit",
      "compare", "restore", "write",
    ]
    public init(from decoder: any Decoder) throws {
      let c = try decoder.container(keyedBy: CodingKeys.self)
      self.init(name: try c.decode(String.self, forKey: .name), seconds: try c.decode(Spread.self, forKey: .seconds), bytes: try c.decode(Spread.self, forKey: .bytes))
      perRank = try c.decodeIfPresent(Numbers.self, forKey: .perRank)?.wrappedValue ?? []
      messages = try c.decodeIfPresent(Spread.self, forKey: .messages) ?? Spread()
      collectives = try c.decodeIfPresent(Spread.self, forKey: .collectives) ?? Spread()
    }
    enum CodingKeys: String, CodingKey { case name, seconds, bytes, messages, collectives, perRank = "per_rank" }
  }

  /// Over the ranks.
  public struct Spread: Codable, Equatable, Sendable {
    @Number public var minimum: Double = .nan
    @Number public var median: Double = .nan
    @Number public var maximum: Double = .nan
    public init() {}
    /// Of one value per rank; all null when empty. The median is the lower one of an even count.
    public init(_ perRank: [Double]) {
      let s = perRank.sorted()
      guard let first = s.first, let last = s.last else { return }
      minimum = first; median = s[(s.count - 1) / 2]; maximum = last
    }
  }
  enum CodingKeys: String, CodingKey {
    case command, ranks, threads, host, versions, seconds, phases, peakMemory = "peak_memory_bytes"
  }
}
