/// What `audit` is to do.
public struct AuditOptions: WorkOptions {
  /// One operating point each: bounds, kept observables, models.
  public var containers: [String]
  /// The original, or a container in its place: noise is measured against it, labels are made from it.
  public var against: String
  /// Distances are compared with those of this container; `nil`: of the original.
  public var reference: String?
  public var models: [String] = []
  /// Empty: those of the first container.
  public var fields: [String] = []
  /// `nil`: all that the containers and the original have in common.
  public var steps: Range<Int>?
  public var reading = InputOptions()
  /// The classes, then further factors.
  public var labels: [RegimeLabels] = []
  /// Cells a side of a patch: 8 or 16.
  public var patch = 8
  /// Coefficients kept of a patch at most.
  public var dimensions = 192
  /// Samples at most for what compares all pairs.
  public var sample = 1024
  /// Principal components for the estimators that work in few dimensions only.
  public var components = 8
  public var threads = 1
  public var report: String?
  public var verbosity = Verbosity.normal
  public init(containers: [String], against: String) { self.containers = containers; self.against = against }

  /// Files that labels are read from.
  public var labelFiles: [String] { labels.compactMap { if case .dataset(let file, _) = $0 { file } else { nil } } }
}

/// Where the class of a patch comes from.
public enum RegimeLabels: Equatable, Sendable {
  /// Equal shares of all patches and steps by the patch's mean, variance (over the components together), or mean square of an observable that
  /// is a field.
  case quantiles(of: String, count: Int)
  /// Equal parts of an axis: x, y or z.
  case position(axis: Int, count: Int)
  case step
  /// Whole numbers per cell, per patch or per tile, all steps alike or with steps in front; below 0 or NaN: no class.
  case dataset(file: String, name: String)

  static let most = 64

  /// `QUANTITY[:N]`, `x|y|z[:N]`, `step` or `FILE:DATASET`. Four classes where N is left out.
  public init(_ text: String) throws(Failure) {
    if text == "step" { self = .step; return }
    var name = text, count = 4
    if let colon = text.lastIndex(of: ":") {
      let tail = String(text[text.index(after: colon)...])
      if let n = Int(tail) {
        guard 2...RegimeLabels.most ~= n else { throw Failure(.usage, "--labels \(text): 2 to \(RegimeLabels.most) classes, not \(n)") }
        count = n
        name = String(text[..<colon])
      } else if !text.hasPrefix("lib:") {
        guard colon != text.startIndex, !tail.isEmpty else { throw Failure(.usage, "--labels needs QUANTITY[:N], x|y|z[:N], step or FILE:DATASET, not '\(text)'") }
        self = .dataset(file: String(text[..<colon]), name: tail)
        return
      }
    }
    if name.isEmpty { throw Failure(.usage, "--labels '\(text)' has an empty name") }
    if let axis = ["z", "y", "x"].firstIndex(of: name) { self = .position(axis: axis, count: count) } else { self = .quantiles(of: name, count: count) }
  }

  /// As it is asked for; of a file only its own name.
  public var name: String {
    switch self {
    case .quantiles(let q, let n): "\(q):\(n)"
    case .position(let a, let n): "\(["z", "y", "x"][a]):\(n)"
    case .step: "step"
    case .dataset(let file, let name): "\(file.split(separator: "/").last ?? ""):\(name)"
    }
  }
}
