import Fields
public import Observables

// What a caller asks of the pipeline: one value per sub-command. Parsing and validation of text live in the tool; these
// are already sane (positive numbers, non-empty names), but not yet checked against any data.

/// How much is said on the terminal while working.
public enum Verbosity: Int, Sendable { case quiet, normal, verbose }

/// Which axes of the input wrap.
public enum PeriodicAxes: Hashable, Sendable, Codable {
  /// The file's attribute `periodic` decides; none where it has none.
  case auto
  case none
  /// Axis letters, e.g. `"xy"`.
  case axes(String)
}

/// A raw binary file: little-endian values in C order, last axis fastest.
public struct RawLayout: Hashable, Sendable, Codable {
  public var type: ScalarType
  /// Extents, slowest axis first; as many as `axes` letters where those are given.
  public var shape: [Int]
  public init(type: ScalarType, shape: [Int]) { self.type = type; self.shape = shape }
}

/// Several scalar datasets taken as the components of one vector, in the order x, y, z.
public struct VectorGroup: Hashable, Sendable, Codable {
  public var name: String
  public var components: [String]
  public init(name: String, components: [String]) { self.name = name; self.components = components }
}

/// A bound for one field only; `--bound NAME:KIND=E`.
public struct FieldBound: Hashable, Sendable {
  public var name: String
  public var bound: ErrorBound
  public init(name: String, bound: ErrorBound) { self.name = name; self.bound = bound }
}

/// `--keep OBSERVABLE:ERROR`: the relative L2 error over the observable's values is at most `error`; `--keep-restored`: in the restored view.
public struct KeepTarget: Hashable, Sendable {
  /// `[FIELD/]NAME[(...)]`.
  public var observable: String
  public var error: Double
  /// Of what `decompress --restore` gives, not of the plain decode.
  public var restored = false
  public init(observable: String, error: Double, restored: Bool = false) { self.observable = observable; self.error = error; self.restored = restored }
  var option: String { restored ? "--keep-restored" : "--keep" }
}

/// How to read an input that is not a container.
public struct InputOptions: Sendable, Codable {
  /// One letter of t, c, z, y, x per dimension; `nil`: from attributes, else by rank.
  public var axes: String?
  public var periodic: PeriodicAxes = .auto
  /// `nil`: HDF5 or NetCDF-4.
  public var raw: RawLayout?
  public var vectors: [VectorGroup] = []
  public init() {}
}

/// What every command that works on data is told.
public protocol WorkOptions: Sendable {
  /// Threads per rank; at least 1.
  var threads: Int { get set }
  /// Path of the JSON report.
  var report: String? { get set }
  var verbosity: Verbosity { get set }
}

/// What `compress` is to do.
public struct CompressOptions: WorkOptions {
  public var input: String
  public var output: String
  /// Empty: every floating-point dataset.
  public var fields: [String] = []
  /// For every field without an entry in `fieldBounds`. `.lossless` when each selected field has its own entry.
  public var bound: ErrorBound
  /// In the order given; a later entry of the same name replaces an earlier one.
  public var fieldBounds: [FieldBound] = []
  /// `nil`: all. An upper end of `Int.max` means "to the end".
  public var steps: Range<Int>?
  public var reading = InputOptions()
  public var threads = 1
  public var report: String?
  /// Read the container back before it gets its name.
  public var verify = true
  public var noClobber = false
  /// Measure everything, write nothing.
  public var dryRun = false
  /// What is measured on the decoded values.
  public var observe = ObserveOptions()
  /// Forces one member of the codec bank; for tests and measurements.
  public var codec: String?
  public var verbosity = Verbosity.normal
  /// Observables to keep, each on the field it names or on all that suit it.
  public var keep: [KeepTarget] = []
  /// dB of PSNR that `keep` may cost at a fixed rate; `nil`: any.
  public var maximumPSNRLoss: Double?
  /// What `decompress --restore` is to be able to put right.
  public var restoration: Set<RestorationKind> = []
  /// Only codecs that decode a tile from the streams around it.
  public var tileAccess = false
  /// Steps are predicted from those before, every so many stand alone; `nil`: all stand alone.
  public var temporal: Int?
  /// Model files whose networks may correct what tile codecs decode; each that suits a field is tried.
  public var models: [String] = []
  /// A linear filter fitted to each field and step may do so.
  public var filter = false
  /// A container in the folder of the output whose last steps the first ones are predicted from.
  public var after: String?

  public init(input: String, output: String, bound: ErrorBound) {
    self.input = input; self.output = output; self.bound = bound
  }
  /// The bound that holds for `field`.
  public func bound(for field: String) -> ErrorBound {
    fieldBounds.last { $0.name == field }?.bound ?? bound
  }
}

/// What `decompress` is to do.
public struct DecompressOptions: WorkOptions {
  public var input: String
  public var output: String
  /// Empty: all.
  public var fields: [String] = []
  public var steps: Range<Int>?
  /// One range per spatial axis, storage order (z, y, x); `nil`: everything.
  public var region: [Range<Int>]?
  /// Extents are divided by this: 1, 2 or 4; fields with levels of resolution only.
  public var coarsening = 1
  /// Also writes a description for visualisation tools beside the output.
  public var xdmf = false
  /// Model files beside those in the folder of a container.
  public var models: [String] = []
  /// Puts back what `restoration` stored; the result no longer promises a pointwise bound.
  public var restore = false
  public var threads = 1
  public var report: String?
  public var noClobber = false
  public var verbosity = Verbosity.normal
  public init(input: String, output: String) { self.input = input; self.output = output }
}

/// What `verify` is to do.
public struct VerifyOptions: WorkOptions {
  public var input: String
  /// The original snapshot; `nil`: checksums and decodability only.
  public var against: String?
  /// How to read `against`.
  public var reading = InputOptions()
  /// Model files beside those in the folder of a container.
  public var models: [String] = []
  /// What is measured against the original.
  public var observe = ObserveOptions()
  public var threads = 1
  public var report: String?
  public var verbosity = Verbosity.normal
  public init(input: String) { self.input = input }
}

/// What `compare` is to do. `first` is the reference: ranges and relative errors refer to it. Either may be a container or a snapshot.
public struct CompareOptions: WorkOptions {
  public var first: String
  public var second: String
  /// Model files beside those in the folder of a container.
  public var models: [String] = []
  public var fields: [String] = []
  public var reading = InputOptions()
  public var observe = ObserveOptions()
  public var threads = 1
  public var report: String?
  public var verbosity = Verbosity.normal
  public init(first: String, second: String) { self.first = first; self.second = second }
}

/// What `align` is to do.
public struct AlignOptions: WorkOptions {
  public var input: String
  public var fields: [String] = []
  /// Where on the rate axis the verdict is asked for.
  public var bound: ErrorBound
  /// `nil`: the first.
  public var steps: Range<Int>?
  public var reading = InputOptions()
  public var observe = ObserveOptions()
  /// Path of an HDF5 file of the numbers per tile.
  public var map: String?
  /// Model file of a network that corrects what a tile codec decodes: then the sensitivities are those of the learned decoder.
  public var model: String?
  public var threads = 1
  public var report: String?
  public var verbosity = Verbosity.normal
  public init(input: String, bound: ErrorBound) { self.input = input; self.bound = bound }
}

/// What `sweep` is to do.
public struct SweepOptions: WorkOptions {
  public var input: String
  public var fields: [String] = []
  /// Bits per value.
  public var rates: [Double] = [1, 2, 4]
  /// Weights lambda^, positive; 0 is always coded.
  public var weights: [Double] = [0.25, 1, 4, 16]
  /// `nil`: the first.
  public var steps: Range<Int>?
  public var reading = InputOptions()
  public var observe = ObserveOptions()
  /// Model file of a network that corrects what every coding decodes.
  public var model: String?
  public var threads = 1
  public var report: String?
  public var verbosity = Verbosity.normal
  public init(input: String) { self.input = input }
}

/// What `inspect` is to do.
public struct InspectOptions: Sendable {
  public var input: String
  /// The report as JSON on standard output instead of text.
  public var json = false
  public init(input: String) { self.input = input }
}

/// What `report` is to do.
public struct ReportOptions: Sendable {
  /// Reports of other commands.
  public var reports: [String]
  /// The page to write.
  public var output: String
  /// For pictures of fields and errors; both or neither.
  public var container: String?
  public var original: String?
  /// How to read `original`.
  public var reading = InputOptions()
  /// What `align --map` wrote.
  public var map: String?
  public var verbosity = Verbosity.normal
  public init(reports: [String], output: String) { self.reports = reports; self.output = output }
}
