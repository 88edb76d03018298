extension ObservableReport.Alignment {
  /// The forms of the law at lambda^ = 1, and the bounds; 95 % intervals are empty where nothing was sampled. See docs/observables.md.
  public struct Laws: Codable, Equatable, Sendable {
    public struct Law: Codable, Equatable, Sendable {
      @Number public var costDB: Double = .nan
      @Numbers public var costCI: [Double] = []
      @Number public var gainDB: Double = .nan
      @Numbers public var gainCI: [Double] = []
      @Number public var costBits: Double = .nan
      @Number public var maxGainDB: Double = .nan
      @Numbers public var maxGainCI: [Double] = []
      public init() {}
      enum CodingKeys: String, CodingKey {
        case costDB = "cost_db", costCI = "cost_ci", gainDB = "gain_db", gainCI = "gain_ci", costBits = "cost_bits", maxGainDB = "max_gain_db", maxGainCI = "max_gain_ci"
      }
    }
    public var high = Law()
    @OrNull public var soft: Law?
    @OrNull public var hard: Law?
    /// dB of PSNR per squared dB of the observable.
    @Number public var curvature: Double = .nan
    @Numbers public var curvatureCI: [Double] = []
    /// Minkowski's bound as a share of D, and in dB.
    @Number public var defect: Double = .nan
    @Numbers public var defectCI: [Double] = []
    @Number public var boundDB: Double = .nan
    @Numbers public var boundCI: [Double] = []
    @Number public var slackDB: Double = .nan
    public init() {}
    enum CodingKeys: String, CodingKey {
      case high = "A", soft = "B", hard = "C", curvature, curvatureCI = "curvature_ci", defect, defectCI = "defect_ci", boundDB = "bound_db", boundCI = "bound_ci"
      case slackDB = "slack_db"
    }
  }
}
