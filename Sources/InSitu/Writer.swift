import CAlidade
import Compressor
import Decomposition
import Fields
import MPI
import SnapshotIO

/// A series being written by a host program: what it declared, and the step under way.
final class Writer {
  let options: ald_options
  /// A duplicate of the host's; none once closed.
  private var communicator: Communicator?
  var ranks: Communicator { _read { yield communicator! } }
  let series: SeriesWriter

  private(set) var grid: Grid?
  private var coordinates: [StepCarry.Coordinate] = []
  private var boxes: [OwnedBox]?
  private(set) var fields: [DeclaredField] = []
  private var vectors: [DeclaredVector] = []
  private var attributes: [StepCarry.Attribute] = []
  private(set) var coded: [CodedField]?
  private var observed: [String] = []
  private var triggers: [(observable: String, threshold: Double, below: Bool, field: Int, bound: ErrorBound)] = []
  var budget: Budget
  var cap: TimeCap

  var step: StepUnderWay?
  /// Codes beside the host once it has asked for that.
  var worker: CodingWorker?
  /// What the worker communicates over, where it may.
  private var workers: Communicator?
  var workerRanks: Communicator { _read { yield workers! } }
  private(set) var workerCommunicates = false
  /// Where closing is forgotten MPI ends after the worker.
  private var finalizing: FinalizeHook?
  var coding: StepBeingCoded?
  /// Whether the host asked often for the step before.
  var isAskedOften = false
  var outcomes = Outcomes()
  var statistics = StepStatistics()
  var lastError = ""

  /// - Collective: all ranks of `communicator`.
  init(_ path: String, _ options: ald_options, _ communicator: consuming Communicator) throws {
    HostHeap.respect()
    self.options = options
    budget = Budget(bytesPerStep: options.bytes_per_step)
    cap = TimeCap(seconds: options.seconds_per_step, rungs: [])
    let opening: SeriesWriter.Opening
    switch options.opening {
    case Int32(ALD_APPEND.rawValue): opening = .append
    case Int32(ALD_REPLACE.rawValue): opening = .replace
    case Int32(ALD_CREATE.rawValue): opening = .create
    default:
      try communicator.close()
      throw InSituError(ALD_USAGE, "opening \(options.opening) does not exist")
    }
    guard options.key_interval >= 0, options.seconds_per_step >= 0, (0...1).contains(options.pressure) else {
      try communicator.close()
      throw InSituError(ALD_USAGE, "a key interval of \(options.key_interval), \(options.seconds_per_step) s per step, or pressure \(options.pressure) make no sense")
    }
    do { series = try SeriesWriter(path, opening: opening, ranks: communicator) } catch {
      try communicator.close()
      throw error
    }
    self.communicator = consume communicator
    series.reporting = options.report != 0
    series.bytesPerStep = options.bytes_per_step
    series.secondsPerStep = options.seconds_per_step
    if options.key_interval > 1 { series.temporal = TemporalSeries(keyInterval: Int(options.key_interval)) }
  }

  /// - Throws: what became of the step that was being coded; everything is closed then too.
  /// - Collective: all ranks.
  func close() throws {
    step = nil
    var failure: (any Error)?
    do { try finishCoding() } catch { failure = error }
    worker?.stop()
    series.close()
    finalizing?.remove()
    if let c = workers.take() { try c.close() }
    if let c = communicator.take() { try c.close() }
    if let failure { throw failure }
  }

  /// From now on the worker communicates; a single rank does so without MPI.
  ///
  /// - Collective: all ranks.
  func letWorkerCommunicate(_ worker: CodingWorker) throws {
    workerCommunicates = true
    if ranks.size == 1 { workers = .alone() } else {
      workers = try ranks.duplicated()
      finalizing = FinalizeHook { worker.wait() }
    }
  }

  // MARK: declarations

  private func declaring(_ what: String) throws {
    guard coded == nil else { throw InSituError(ALD_USAGE, "\(what) comes after the schema was committed") }
  }
  func known() throws -> Grid {
    guard let grid else { throw InSituError(ALD_USAGE, "no grid was declared") }
    return grid
  }

  func declare(shape: [Int], periodic: [Bool]) throws {
    try declaring("a grid")
    guard grid == nil else { throw InSituError(ALD_USAGE, "the grid was declared already") }
    guard (1...3).contains(shape.count), shape.allSatisfy({ $0 > 0 }), shape.reduce(1.0, { $0 * Double($1) }) < 0x1p56 else {
      throw InSituError(ALD_USAGE, "a grid of shape \(shape) makes no sense")
    }
    let n = [Int](repeating: 1, count: 3 - shape.count) + shape, p = [Bool](repeating: false, count: 3 - shape.count) + periodic
    grid = Grid(shape: Index3(n[0], n[1], n[2]), dimensions: shape.count, periodic: .init(p[0], p[1], p[2]))
  }

  func declare(positions: [Double], axis: Int) throws {
    try declaring("a coordinate")
    let grid = try known()
    guard (0..<grid.dimensions).contains(axis) else { throw InSituError(ALD_USAGE, "there is no axis \(axis)") }
    let letter = axisLetters[3 - grid.dimensions + axis], n = grid.shape[3 - grid.dimensions + axis]
    guard positions.count == n, positions.allSatisfy(\.isFinite) else {
      throw InSituError(ALD_USAGE, "axis \(letter) has \(n) cells, \(positions.count) positions were given, which must be finite")
    }
    coordinates.removeAll { $0.axis == letter }
    coordinates.append(.init(axis: letter, values: positions))
  }

  func declare(firstPosition: Double, spacing: Double, axis: Int) throws {
    let grid = try known()
    guard (0..<grid.dimensions).contains(axis) else { throw InSituError(ALD_USAGE, "there is no axis \(axis)") }
    try declare(positions: (0..<grid.shape[3 - grid.dimensions + axis]).map { firstPosition + Double($0) * spacing }, axis: axis)
  }

  func declare(field name: String, _ o: ald_field_options) throws -> Int {
    try declaring("a field")
    let grid = try known()
    guard !name.isEmpty, name.utf8.count <= 200, !name.utf8.contains(where: { $0 < 32 }), !name.hasPrefix("/"), !name.hasSuffix("/") else {
      throw InSituError(ALD_USAGE, "'\(name)' is no name for a field")
    }
    guard !axisLetters.contains(name), !fields.contains(where: { $0.name == name }), !vectors.contains(where: { $0.name == name }) else {
      throw InSituError(ALD_USAGE, "the name '\(name)' is taken")
    }
    guard let type = ScalarType(rawValue: UInt8(truncatingIfNeeded: o.type == 0 ? Int32(ALD_FLOAT64.rawValue) : o.type)) else {
      throw InSituError(ALD_USAGE, "\(name): type \(o.type) does not exist")
    }
    guard (0...5).contains(o.centring) else { throw InSituError(ALD_USAGE, "\(name): centring \(o.centring) does not exist") }
    let given = [Int(o.extra.0), Int(o.extra.1), Int(o.extra.2)]
    guard given[..<grid.dimensions].allSatisfy({ (0...1).contains($0) }) else { throw InSituError(ALD_USAGE, "\(name): extra points \(given) are not 0 or 1") }
    let e = [Int](repeating: 0, count: 3 - grid.dimensions) + given[..<grid.dimensions], extra = Index3(e[0], e[1], e[2])
    var own = grid
    own.shape = grid.shape + extra
    // An axis that holds both its end points does not wrap.
    for a in 0..<3 where extra[a] > 0 { own.periodic[a] = false }
    let units = o.units.map { String(cString: $0) } ?? ""
    fields.append(DeclaredField(
      name: name, type: type, centring: ald_centring(UInt32(o.centring)), units: units, grid: own, extra: extra, bound: try errorBound(o.bound)))
    return fields.count - 1
  }

  func declare(vector name: String, of members: [Int]) throws {
    try declaring("a vector")
    guard (2...3).contains(members.count), Set(members).count == members.count, members.allSatisfy({ fields.indices.contains($0) }) else {
      throw InSituError(ALD_USAGE, "vector \(name): it takes two or three different fields")
    }
    guard !name.isEmpty, !fields.contains(where: { $0.name == name }), !vectors.contains(where: { $0.name == name || !Set($0.fields).isDisjoint(with: members) }) else {
      throw InSituError(ALD_USAGE, "vector \(name): the name is taken, or a field belongs to another vector")
    }
    let first = fields[members[0]]
    for m in members {
      let f = fields[m]
      guard f.type == first.type, f.grid == first.grid, f.units == first.units else {
        throw InSituError(ALD_USAGE, "vector \(name): \(f.name) differs from \(first.name) in type, extents or units")
      }
    }
    vectors.append(DeclaredVector(name: name, fields: members))
  }

  func declare(_ a: StepCarry.Attribute, field: Int) throws {
    guard !a.name.isEmpty, a.name.utf8.count <= 200 else { throw InSituError(ALD_USAGE, "an attribute needs a name of at most 200 bytes") }
    switch a.value {
    case .text(let t): guard t.utf8.count <= 60_000 else { throw InSituError(ALD_USAGE, "attribute \(a.name) is longer than 60000 bytes") }
    case .numbers(let v): guard !v.isEmpty, v.count <= 7_500 else { throw InSituError(ALD_USAGE, "attribute \(a.name) takes 1 to 7500 numbers") }
    }
    if field == -1 {
      guard a.name != "step", a.name != "time" else { throw InSituError(ALD_USAGE, "attribute \(a.name) is written by the library") }
      attributes.removeAll { $0.name == a.name }
      attributes.append(a)
      return
    }
    try checkField(field)
    guard !["dims", "periodic", "units", "centring"].contains(a.name) else { throw InSituError(ALD_USAGE, "attribute \(a.name) is written by the library") }
    fields[field].attributes.removeAll { $0.name == a.name }
    fields[field].attributes.append(a)
  }

  func observe(_ observable: String) throws {
    try declaring("an observable")
    observed.append(observable)
  }

  func trigger(_ observable: String, threshold: Double, below: Bool, field: Int, _ bound: ErrorBound) throws {
    try declaring("a trigger")
    try checkField(field)
    guard !threshold.isNaN else { throw InSituError(ALD_USAGE, "a threshold must be a number") }
    triggers.append((observable, threshold, below, field, bound))
  }

  func checkField(_ f: Int) throws {
    guard fields.indices.contains(f) else { throw InSituError(ALD_USAGE, "there is no field \(f)") }
  }

  func setBound(_ b: ald_bound, field: Int) throws {
    try checkField(field)
    guard step == nil else { throw InSituError(ALD_USAGE, "a bound changes between steps") }
    fields[field].bound = try errorBound(b)
  }

  // MARK: boxes

  /// This rank's boxes of the grid; they must tile it.
  ///
  /// - Collective: all ranks.
  func declare(boxes mine: [Box]) throws {
    let grid = try checked(mine)
    try checkTiling(mine, grid)
    boxes = mine.map { OwnedBox(box: $0, parts: $0.isEmpty ? [] : [$0]) }
  }

  /// This rank's boxes of one field.
  ///
  /// - Collective: all ranks.
  func declare(boxes mine: [Box], field: Int, shared overlap: Bool) throws {
    _ = try checked(mine)
    try ranks.agree { try checkField(field) }
    let grid = fields[field].grid
    if !overlap {
      try checkTiling(mine, grid)
      fields[field].ownBoxes = mine.map { OwnedBox(box: $0, parts: $0.isEmpty ? [] : [$0]) }
      return
    }
    var words: [Int64] = []
    for b in mine { for a in 0..<3 { words += [Int64(b.lower[a]), Int64(b.upper[a])] } }
    let all = try ranks.allGather(words.withUnsafeBytes { [UInt8]($0) }).map { bytes in
      bytes.withUnsafeBytes { p in
        (0..<p.count / 48).map { i in
          func word(_ k: Int) -> Int { Int(p.loadUnaligned(fromByteOffset: 48 * i + 8 * k, as: Int64.self)) }
          return Box(lower: Index3(word(0), word(2), word(4)), upper: Index3(word(1), word(3), word(5)))
        }
      }
    }
    let owned = shared(all, rank: ranks.rank)
    try checkTiling(owned.flatMap(\.parts), grid)
    fields[field].ownBoxes = owned
  }

  /// - Collective: all ranks.
  private func checked(_ mine: [Box]) throws -> Grid {
    try ranks.agree {
      let grid = try known()
      guard step == nil else { throw InSituError(ALD_USAGE, "boxes change between steps") }
      for b in mine where (0..<3).contains(where: { b.upper[$0] < b.lower[$0] }) { throw InSituError(ALD_BOXES, "box \(b) has a negative extent") }
      return grid
    }
  }

  /// - Throws: `InSituError` (boxes), on all ranks: outside, overlap or gap.
  /// - Collective: all ranks.
  private func checkTiling(_ mine: [Box], _ grid: Grid) throws {
    do {
      let slab = Partition.slab(of: grid, rank: ranks.rank, of: ranks.size)
      _ = try Redistribution(have: mine, want: [slab], grid: grid, ranks: ranks)
    } catch let e as AgreedError where e.exitCode == 2 { throw InSituError(ALD_BOXES, e.message) }
  }

  /// Boxes of a field: its own, or those of the grid with the extra points at the upper end.
  func boxes(of f: DeclaredField) throws -> [OwnedBox] {
    if let own = f.ownBoxes { return own }
    guard let boxes, let grid else { throw InSituError(ALD_USAGE, "\(f.name): no boxes were declared") }
    if f.extra == Index3(0, 0, 0) { return boxes }
    return boxes.map { o in
      var b = o.box
      if !b.isEmpty { for a in 0..<3 where b.upper[a] == grid.shape[a] { b.upper[a] += f.extra[a] } }
      return OwnedBox(box: b, parts: b.isEmpty ? [] : [b])
    }
  }

  // MARK: schema

  /// Ends the declarations.
  ///
  /// - Throws: the same on all ranks: nothing declared, or ranks that declared different things.
  /// - Collective: all ranks.
  func commit() throws {
    let schema = try ranks.agree {
      try declaring("a commit")
      _ = try known()
      guard !fields.isEmpty else { throw InSituError(ALD_USAGE, "no field was declared") }
      return try makeSchema()
    }
    var digest = ByteWriter()
    for n in [options.key_interval, options.pressure] { digest.number(Int(n)) }
    for v in [options.bytes_per_step, options.seconds_per_step] { digest.fixed(v.bitPattern) }
    for c in schema { digest.blob(c.description.encode()) }
    for f in fields { digest.text(f.centring.name); digest.text(f.bound.kind); digest.fixed(f.bound.value.bitPattern) }
    for o in observed { digest.text(o) }
    for t in triggers { digest.text(t.observable); digest.fixed(t.threshold.bitPattern); digest.number(t.field); digest.fixed(t.bound.value.bitPattern) }
    for c in coordinates { digest.text(c.axis); for v in c.values { digest.fixed(v.bitPattern) } }
    let first = try ranks.broadcast(digest.bytes)
    try ranks.agree {
      guard first == digest.bytes else { throw InSituError(ALD_USAGE, "rank \(ranks.rank) declared another schema than rank 0") }
    }
    if !observed.isEmpty || !triggers.isEmpty {
      var w = SeriesWatch()
      w.observe = observed
      w.triggers = triggers.map { t in
        .init(observable: t.observable, threshold: t.threshold, below: t.below, field: schema.first { $0.fields.contains(t.field) }!.description.name, bound: t.bound)
      }
      let positions = schema.map { c in c.description.spatialAxes.map { a in coordinates.first { $0.axis == String(a) }?.values ?? [] } }
      try series.observe(w, fields: schema.map(\.description), positions: positions, ranks: ranks)
    }
    let wraps = fields.contains(where: \.wraps)
    let parts: [(StepPart, Bool)] = [(.observables, !observed.isEmpty), (.verification, options.no_verify == 0), (.globalCodecs, wraps)]
    cap = TimeCap(seconds: options.seconds_per_step, rungs: parts.filter(\.1).map(\.0))
    coded = schema
  }

  private func makeSchema() throws -> [CodedField] {
    var out: [CodedField] = []
    for (i, f) in fields.enumerated() {
      if let v = vectors.first(where: { $0.fields.contains(i) }) {
        // A vector stands where its first component was declared.
        guard i == v.fields.min() else { continue }
        let d = f.description, parts = v.fields.map { fields[$0].name }
        for m in v.fields where fields[m].bound != fields[v.fields[0]].bound {
          throw InSituError(ALD_USAGE, "vector \(v.name): its components have different bounds")
        }
        out.append(CodedField(
          description: FieldDescription(
            name: v.name, type: f.type, shape: [parts.count] + d.shape, axes: "c" + d.axes, periodic: f.grid.periodic, units: f.units, datasets: parts),
          fields: v.fields))
      } else { out.append(CodedField(description: f.description, fields: [i])) }
    }
    return out
  }

  /// Everything that is told beside the fields.
  func carry(_ present: [CodedField], step: Int, time: Double) -> StepCarry {
    var c = StepCarry()
    c.coordinates = coordinates
    c.attributes = [.init(name: "step", value: .numbers([Double(step)])), .init(name: "time", value: .numbers([time]))] + attributes
    for f in present {
      for (d, i) in zip(f.description.stored, f.fields) {
        c.datasets.append(.init(description: d, attributes: [.init(name: "centring", value: .text(fields[i].centring.name))] + fields[i].attributes))
      }
    }
    return c
  }
}
