import Fields
import MPI
public import Observables
import SnapshotIO

/// What is to be observed: texts `[FIELD/]NAME[(key=value,...)]`, and the window of spectral observables that name none.
public struct ObserveOptions: Sendable {
  public var specifications: [String] = []
  /// Fields that do not wrap are multiplied by a Hann window before they are transformed.
  public var hann = false
  /// Observables of the caller's own, named in specifications like those of the catalogue.
  public var kinds: [ObservableKind] = []
  public init() {}
}

/// A wrong observable is wrong usage.
extension ObservableError: ExitCoded {
  public var exitCode: Int32 { ExitCode.usage.rawValue }
}

/// The observables asked for, parsed, and which field each is for.
struct ObservationPlan {
  struct Field {
    /// Those that suit the field, in the order given.
    let observables: [any Observable]
    /// As they were asked for, without the field.
    let names: [String]
    /// Where its cells lie.
    let coordinates: Coordinates
  }
  let fields: [Field]

  static func catalogue(_ o: ObserveOptions) -> ObservableCatalogue {
    var c = ObservableCatalogue(window: o.hann ? .hann : .none, prefixes: [ObservableCatalogue.library, WeightFile.prefix])
    c.kinds += o.kinds
    return c
  }

  /// - Parameter positions: of each field's cells along its spatial axes, as a file gives them.
  /// - Throws: `AgreedError` of an `ObservableError`: unknown names, fields that are not there, an observable that suits no field.
  /// - Collective: all ranks.
  init(_ o: ObserveOptions, _ described: [FieldDescription], positions: [[[Double]]], ranks: borrowing Communicator) throws {
    fields = try ranks.agree {
      let catalogue = ObservationPlan.catalogue(o)
      if o.specifications.isEmpty { return described.map { _ in Field(observables: [], names: [], coordinates: .unit) } }
      let coordinates = try described.indices.map { try ObservationPlan.coordinates(of: described[$0], positions[$0]) }
      var chosen = [[any Observable]](repeating: [], count: described.count), names = described.map { _ in [String]() }
      for text in o.specifications {
        let s = try catalogue.parse(text), observable = try catalogue.observable(s)
        let candidates = described.indices.filter { s.field == nil || described[$0].name == s.field }
        if candidates.isEmpty {
          throw ObservableError("'\(text)': there is no field '\(s.field ?? "")'; there are \(described.map(\.name).joined(separator: ", "))")
        }
        var refusal: (any Error)?, suits = false
        for i in candidates {
          do {
            try observable.check(components: described[i].components, grid: described[i].grid, coordinates: coordinates[i])
            suits = true
            chosen[i].append(observable)
            names[i].append(s.field.map { String(text.dropFirst($0.count + 1)) } ?? text)
          } catch { refusal = refusal ?? ObservableError("\(described[i].name): \(error)") }
        }
        if let refusal, !suits { throw refusal }
      }
      return described.indices.map { Field(observables: chosen[$0], names: names[$0], coordinates: coordinates[$0]) }
    }
  }

  /// Uniform spacing where all gaps are equal within a thousandth, else the positions; unit spacing where there are none.
  static func coordinates(of d: FieldDescription, _ positions: [[Double]]) throws -> Coordinates {
    var out = Coordinates.unit
    for (i, x) in positions.enumerated() {
      let axis = 3 - positions.count + i, n = x.count
      guard n > 1, n == d.grid.shape[axis], x.allSatisfy(\.isFinite) else { continue }
      let h = (x[n - 1] - x[0]) / Double(n - 1), gaps = (1..<n).map { x[$0] - x[$0 - 1] }
      guard h != 0, gaps.allSatisfy({ $0 * h > 0 }) else { continue }
      if gaps.allSatisfy({ abs($0 / h - 1) < 1e-3 }) {
        out.axes[axis] = .uniform(spacing: h)
      } else if d.grid.periodic[axis] {
        throw ObservableError("\(d.name): axis \(Array(d.spatialAxes)[i]) wraps, but its coordinates are not uniform; give --periodic without it")
      } else { out.axes[axis] = .positions(x) }
    }
    return out
  }
}
