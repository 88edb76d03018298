/// All observables that can be named.
public struct ObservableCatalogue: Sendable {
  public var kinds: [ObservableKind]
  /// Names with a prefix and what makes an observable of the text behind `prefix:`; their lines of help.
  public var prefixes: [Prefix]

  public struct Prefix: Sendable {
    public let name: String, line: String
    let make: @Sendable (String) throws -> any Observable
    public init(_ name: String, line: String, make: @escaping @Sendable (String) throws -> any Observable) {
      self.name = name; self.line = line; self.make = make
    }
  }

  /// - Parameter window: for spectral observables that name none.
  public init(window: Window = .none, prefixes: [Prefix] = [ObservableCatalogue.library]) {
    kinds = ObservableCatalogue.local + SpectralObservables.kinds(window: window)
    self.prefixes = prefixes
  }

  /// One line per kind, by name.
  public var help: String { (kinds.map(\.line) + prefixes.map(\.line)).sorted().joined(separator: "\n") }

  public func parse(_ text: String) throws -> ObservableSpecification {
    try ObservableSpecification(text, prefixes: prefixes.map(\.name))
  }

  /// - Throws: `ObservableError` that lists all names, or the parameters of the one named.
  public func observable(_ s: ObservableSpecification) throws -> any Observable {
    for p in prefixes where s.name.hasPrefix("\(p.name):") { return try p.make(String(s.name.dropFirst(p.name.count + 1))) }
    // box16 is box(size=16).
    if let kind = kinds.first(where: { $0.name == "box" }), s.name.hasPrefix("box"), let n = Int(s.name.dropFirst(3)), s.arguments.isEmpty {
      var sized = s
      sized.arguments = [.init(key: "size", value: String(n))]
      return try kind.make(ObservableArguments(sized, for: kind))
    }
    guard let kind = kinds.first(where: { $0.name == s.name }) else {
      throw ObservableError("there is no observable '\(s.name)'; there are:\n\(help)")
    }
    let arguments = try ObservableArguments(s, for: kind), made = try kind.make(arguments)
    let staggered = kind.staggered ? try arguments.flag("staggered") ?? false : false
    return staggered ? Centred(inner: made) : made
  }
  /// The observable of a canonical text.
  public func observable(_ text: String) throws -> any Observable { try observable(try parse(text)) }

  public static let library = Prefix("lib", line: "lib:PATH.so:NAME  functions NAME_value, NAME_jvp, NAME_vjp of a shared library (alidade_observable.h)") { text in
    guard let colon = text.lastIndex(of: ":"), colon != text.startIndex, text.index(after: colon) != text.endIndex else {
      throw ObservableError("'lib:\(text)' must be lib:PATH.so:NAME")
    }
    return try LibraryObservable(path: String(text[..<colon]), name: String(text[text.index(after: colon)...]))
  }

  /// All that need no Fourier transform.
  public static let local: [ObservableKind] = [
    ObservableKind("field", "the field itself") { _ in LinearField(.value) },
    ObservableKind("gradient", "all first derivatives, centred differences") { _ in LinearField(.gradient) },
    ObservableKind("vorticity", "curl of a vector", staggered: true) { _ in LinearField(.vorticity) },
    ObservableKind("strain", "symmetric part of the velocity gradient", staggered: true) { _ in LinearField(.strain) },
    ObservableKind("divergence", "divergence of a vector", staggered: true) { _ in LinearField(.divergence) },
    ObservableKind("enstrophy", "field |curl u|^2 / 2", staggered: true) { _ in QuadraticDensity(.enstrophy, mean: false) },
    ObservableKind("totalenstrophy", "mean of |curl u|^2 / 2", staggered: true) { _ in QuadraticDensity(.enstrophy, mean: true) },
    ObservableKind("dissipation", "field 2 nu S:S", [.init("nu", "1", "viscosity")], staggered: true) {
      QuadraticDensity(.dissipation, mean: false, nu: try $0.positive("nu") ?? 1)
    },
    ObservableKind("totaldissipation", "mean of 2 nu S:S", [.init("nu", "1", "viscosity")], staggered: true) {
      QuadraticDensity(.dissipation, mean: true, nu: try $0.positive("nu") ?? 1)
    },
    ObservableKind("qcriterion", "field (A:A - S:S) / 2 of the velocity gradient's parts", staggered: true) { _ in
      QuadraticDensity(.qcriterion, mean: false)
    },
    ObservableKind("kineticenergy", "mean of |u|^2 / 2", staggered: true) { _ in QuadraticDensity(.kineticenergy, mean: true) },
    ObservableKind("structure", "structure functions <(z^2 + epsilon^2)^(p/2)> of increments z over r cells", [
      .init("p", "2", "order"), .init("r", "1", "distances in cells, joined by colons"), .init("epsilon", "1e-06", "smoothing, field units"),
    ], staggered: true) {
      let p = try $0.count("p", 1...12) ?? 2, epsilon = try $0.number("epsilon") ?? 1e-6
      if epsilon < 0 || (p == 1 && epsilon == 0) { throw ObservableError("structure: epsilon must be positive (0 only from p=2 on), not \(epsilon)") }
      return StructureFunction(p: p, distances: try $0.counts("r", 1...(1 << 20)) ?? [1], epsilon: epsilon)
    },
    ObservableKind("pdf", "smooth probability density", distribution, staggered: true) { try distribution($0, fractions: false, .value) },
    ObservableKind("histogram", "smooth fractions per bin", distribution, staggered: true) { try distribution($0, fractions: true, .value) },
    ObservableKind("logpdf", "smooth probability density of ln |u|", distribution.filter { $0.name != "of" }) {
      try distribution($0, fractions: false, .log)
    },
    ObservableKind("mean", "mean of each component") { _ in Averages("mean") },
    ObservableKind("moments", "means of the powers 1 to order of each component", [.init("order", "4", "highest power, at most 8")]) {
      Averages("moments", orders: try $0.count("order", 1...8) ?? 4)
    },
    ObservableKind("total", "integral of each component over the volume") { _ in Averages("total", integral: true) },
    ObservableKind("mass", "integral of a density over the volume") { _ in Averages("mass", integral: true) },
    ObservableKind("box", "means over boxes of size cells a side; box16 is box(size=16)", [.init("size", "16", "cells a side")]) {
      Averages("box", .boxes(try $0.count("size", 1...(1 << 20)) ?? 16))
    },
    ObservableKind("region", "mean over a region", positional: "z0:z1,y0:y1,x0:x1") {
      Averages("region", .region(try RegionRanges($0.positional, for: "region")))
    },
    ObservableKind("roi", "the field inside a region", positional: "z0:z1,y0:y1,x0:x1") {
      RegionOfInterest(region: try RegionRanges($0.positional, for: "roi"))
    },
    ObservableKind("extremes", "smooth maximum and minimum of each component", [.init("beta", "from the original", "sharpness, 1/field")]) {
      SoftExtremes(beta: try $0.positive("beta"))
    },
    ObservableKind("radial", "radial profile I(q) of an image, masked pixels left out, scaled by counting errors", [
      .init("bins", "to the nearest face", "number of bins"), .init("width", "the spacing", "of a bin, units of the coordinates"),
      .init("centre", "the middle", "cell indices z:y:x, fractions allowed"),
    ]) { RadialProfile(bins: try $0.count("bins", 1...Averages.limit), width: try $0.positive("width"), centre: try $0.numbers("centre")) },
  ]

  private static let distribution: [ObservableKind.Parameter] = [
    .init("of", "value", "value, gradient, vorticity or log"), .init("bins", "64", "between min and max"),
    .init("min", "from the original", "lower end"), .init("max", "from the original", "upper end"),
    .init("floor", "from the original", "for log: ln sqrt(u^2 + floor^2)"),
  ]
  private static func distribution(_ a: ObservableArguments, fractions: Bool, _ fallback: Distribution.Sample) throws -> Distribution {
    let lower = try a.number("min"), upper = try a.number("max"), of = try a.choice("of", Distribution.Sample.self) ?? fallback
    if let lower, let upper, lower >= upper { throw ObservableError("\(a.name): min must be below max, not \(lower) and \(upper)") }
    return Distribution(sample: of, fractions: fractions, bins: try a.count("bins", 1...(1 << 14)) ?? 64, minimum: lower, maximum: upper,
                        floor: try a.positive("floor"))
  }
}
