public import Fields
import MPI
import Observables
import Reduction
import SnapshotIO

/// What is observed of every step of a series, and what it changes.
public struct SeriesWatch: Sendable {
  /// In steps whose original has more of an observable than `threshold` (`below`: less), a field has another bound.
  public struct Trigger: Sendable {
    public var observable: String, threshold: Double, below: Bool
    public var field: String, bound: ErrorBound
    public init(observable: String, threshold: Double, below: Bool, field: String, bound: ErrorBound) {
      self.observable = observable; self.threshold = threshold; self.below = below; self.field = field; self.bound = bound
    }
  }
  /// `[FIELD/]NAME[(...)]`, as for `--observe`.
  public var observe: [String] = []
  /// The last one that holds counts.
  public var triggers: [Trigger] = []
  public init() {}
}

/// A watch made ready for the fields of a series.
struct PreparedWatch {
  struct Alarm { let trigger: SeriesWatch.Trigger, field: Int, plan: ObservationPlan.Field }
  let names: [String]
  let plan: ObservationPlan
  let alarms: [Alarm]

  /// - Throws: `AgreedError` (usage): unknown observables, or such that suit no field.
  /// - Collective: all ranks.
  init(_ w: SeriesWatch, _ fields: [FieldDescription], positions: [[[Double]]], ranks: borrowing Communicator) throws {
    func planned(_ specifications: [String], _ ranks: borrowing Communicator) throws -> ObservationPlan {
      var o = ObserveOptions()
      o.specifications = specifications
      return try ObservationPlan(o, fields, positions: positions, ranks: ranks)
    }
    names = fields.map(\.name)
    plan = try planned(w.observe, ranks)
    var alarms: [Alarm] = []
    for t in w.triggers {
      let p = try planned([t.observable], ranks)
      // The plan refuses what suits no field.
      let i = p.fields.firstIndex { !$0.observables.isEmpty }!
      alarms.append(Alarm(trigger: t, field: i, plan: p.fields[i]))
    }
    self.alarms = alarms
  }

  func observing(_ name: String) -> ObservationPlan.Field? { names.firstIndex(of: name).map { plan.fields[$0] } }
}

/// Value of an observable of the values that the ranks hold; root mean square of one with several values.
///
/// - Collective: all ranks.
func observedValue(_ p: ObservationPlan.Field, _ d: FieldDescription, _ source: FieldSource, ranks: borrowing Communicator) throws -> Double {
  try withRankDomain(d.grid, coordinates: p.coordinates, ranks: ranks) { domain in
    let parts = try source.parts(on: domain)
    return try FieldObserver(p.observables, of: d.componentOrder.map { parts[$0] }, on: domain).sizes()[0]
  }
}
