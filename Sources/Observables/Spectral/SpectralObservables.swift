/// The spectral observables by name.
public enum SpectralObservables {
  /// Names and the keys each takes, all optional but `k` of `band`, `first` and `second` of `cross`.
  public static let names = ["spectrum", "cross", "logpower", "potential", "band"]

  /// The observable `name` with `parameters`; nil for a name that is none of these.
  ///
  /// Keys: `shells=a:b|all`, `window=hann|none`, `log=yes|no`, `epsilon=number`, `first=i`, `second=j`, `k=a:b`.
  /// - Throws: `ObservableError` for unknown keys and values that do not parse.
  public static func observable(named name: String, _ parameters: [String: String]) throws -> (any Observable)? {
    var left = parameters
    func take<T>(_ key: String, _ kind: String, _ parse: (String) -> T?) throws -> T? {
      guard let text = left.removeValue(forKey: key) else { return nil }
      guard let value = parse(text) else { throw ObservableError("\(name): \(key)=\(text) is not \(kind)") }
      return value
    }
    func range(_ text: String) -> ClosedRange<Int>? {
      let ends = text.split(separator: ":", omittingEmptySubsequences: false).map { Int($0) }
      guard ends.count == 2, let a = ends[0], let b = ends[1], a >= 0, a <= b else { return nil }
      return a...b
    }
    func shells() throws -> ClosedRange<Int>? {
      if left["shells"] == "all" { left["shells"] = nil }
      return try take("shells", "a range a:b of shells, or all", range)
    }
    func positive(_ fallback: Double) throws -> Double {
      try take("epsilon", "a positive number") { Double($0).flatMap { $0 > 0 && $0 < .infinity ? $0 : nil } } ?? fallback
    }
    func required<T>(_ key: String, _ value: T?) throws -> T {
      guard let value else { throw ObservableError("\(name) needs \(key)=") }
      return value
    }
    guard names.contains(name) else { return nil }
    let window = try take("window", "hann or none") { Window(rawValue: $0) } ?? .none
    let made: any Observable
    switch name {
    case "spectrum":
      let log = try take("log", "yes or no") { ["yes": true, "no": false][$0] } ?? false
      made = EnergySpectrum(shells: try shells(), logarithm: log ? try positive(1e-12) : nil, window: window)
    case "cross":
      let first = try required("first", take("first", "a component's number") { Int($0) })
      let second = try required("second", take("second", "a component's number") { Int($0) })
      made = CrossSpectrum(first, second, shells: try shells(), window: window)
    case "logpower":
      made = LogPowerSpectrum(epsilon: try positive(1e-6), shells: try shells(), window: window)
    case "band":
      made = SpectralFilter(.band(try required("k", take("k", "a range a:b of shells", range))), window: window)
    default:
      made = SpectralFilter(.potential, window: window)
    }
    if let key = left.keys.sorted().first { throw ObservableError("\(name) does not take \(key)") }
    return made
  }

  /// Their entries in a catalogue.
  ///
  /// - Parameter window: of those that name none.
  public static func kinds(window: Window) -> [ObservableKind] {
    let shells = ObservableKind.Parameter("shells", "all", "a:b"), windowed = ObservableKind.Parameter("window", window.rawValue, "none or hann")
    let epsilon = ObservableKind.Parameter("epsilon", "1e-06", "smoothing of the logarithm")
    func kind(_ name: String, _ help: String, _ parameters: [ObservableKind.Parameter]) -> ObservableKind {
      ObservableKind(name, help, parameters + [windowed]) { try observable(named: name, ["window": window.rawValue].merging($0.texts) { $1 })! }
    }
    return [
      kind("spectrum", "energy per shell of wavenumbers", [shells, .init("log", "no", "ln(E + epsilon)"), .init("epsilon", "1e-12", "for log")]),
      kind("cross", "cross spectrum of two components per shell", [.init("first", "?", "component"), .init("second", "?", "component"), shells]),
      kind("logpower", "power spectrum of the logarithm of a density", [epsilon, shells]),
      kind("potential", "field whose Laplacian is the field, mean removed", []),
      kind("band", "the field's part in shells a to b", [.init("k", "?", "a:b")]),
    ]
  }
}
