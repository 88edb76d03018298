import CAlidade
import Compressor
import Fields
import MPI
import SnapshotIO

/// What was put since `begin`.
struct StepUnderWay {
  /// Values of one box: copied parts, or the host's memory until the step ends.
  enum Held { case copied([RawArray]), borrowed(StridedArray) }

  let number: Int, time: Double
  /// Per field and box.
  var held: [[Held?]]
  let boxes: [[OwnedBox]]
  /// The first thing that went wrong on this rank.
  var failure: InSituError?
  var copiedBytes = 0
  var putSeconds = 0.0
}

/// Of the last committed step.
struct StepStatistics {
  var step = -1, time = 0.0
  var result = StepResult()
  /// Position in `result.fields` of each declared field; nil: absent.
  var positions: [Int?] = []
  var put = 0.0, encode = 0.0, communicate = 0.0, write = 0.0, total = 0.0, background = 0.0
}

extension Writer {
  /// - Throws: the same on all ranks; no step is open then. `ALD_BUSY` while the one before is being coded and the host does not want to wait.
  /// - Collective: all ranks.
  func begin(_ number: Int, _ time: Double) throws {
    try makeRoom()
    let open = try ranks.agree { () -> StepUnderWay in
      guard coded != nil else { throw InSituError(ALD_USAGE, "the schema was not committed") }
      guard step == nil else { throw InSituError(ALD_USAGE, "step \(step!.number) was not ended") }
      do { try series.check(step: number, time: time) } catch let e as SnapshotError { throw InSituError(ALD_STEP, e.detail) }
      let all = try fields.map { try boxes(of: $0) }
      return StepUnderWay(number: number, time: time, held: all.map { [StepUnderWay.Held?](repeating: nil, count: $0.count) }, boxes: all)
    }
    let same = try ranks.allReduce([number, -number, Int(bitPattern: UInt(time.bitPattern)), ~Int(bitPattern: UInt(time.bitPattern))], .max)
    guard same[0] == -same[1], same[2] == ~same[3] else { throw InSituError(ALD_STEP, "ranks began different steps or times") }
    step = open
  }

  /// Takes the values of one box. A refusal also fails the step.
  func put(field: Int, box: Int, borrow: Bool = false, _ array: (Box) throws -> StridedArray) throws {
    let start = PhaseClock.now()
    guard step != nil else { throw InSituError(ALD_USAGE, "no step is open") }
    do {
      try checkField(field)
      guard step!.boxes[field].indices.contains(box) else {
        throw InSituError(ALD_BOXES, "\(fields[field].name): box \(box) was not declared; this rank has \(step!.boxes[field].count)")
      }
      guard step!.held[field][box] == nil else { throw InSituError(ALD_TWICE, "\(fields[field].name): box \(box) was put twice") }
      let owned = step!.boxes[field][box]
      guard !owned.box.isEmpty else { step!.held[field][box] = .copied([]); return }
      let values = try array(owned.box)
      if borrow { step!.held[field][box] = .borrowed(values) } else {
        let bytes = owned.parts.reduce(0) { $0 + $1.count } * values.type.size
        guard options.memory <= 0 || step!.copiedBytes + bytes <= Int(options.memory) else {
          throw InSituError(ALD_USAGE, "\(fields[field].name): copying \(bytes) bytes more exceeds the cap of \(options.memory); borrow the array, or allow more")
        }
        step!.held[field][box] = .copied(owned.parts.map { values.copy($0) })
        step!.copiedBytes += bytes
      }
      step!.putSeconds += PhaseClock.now() - start
    } catch let e as InSituError {
      fail(e)
      throw e
    }
  }

  /// Gives the step up; the first reason counts.
  func fail(_ e: InSituError) { if step?.failure == nil { step?.failure = e } }

  /// Codes and commits the step; it is over whatever happens.
  ///
  /// - Throws: the same on all ranks; the series is as before, and its next step a key step.
  /// - Collective: all ranks.
  func end() throws { try commit(try closeStep()) }

  /// What was put, ready to be coded.
  ///
  /// - Collective: all ranks.
  func closeStep() throws -> StepBeingCoded {
    let start = PhaseClock.now()
    do {
      let s = try gather()
      s.seconds = PhaseClock.now() - start
      return s
    } catch {
      series.temporal?.reset()
      throw error
    }
  }

  /// - Collective: all ranks.
  private func gather() throws -> StepBeingCoded {
    let open = step
    step = nil
    let present = try ranks.agree { () -> [Bool] in
      guard let open else { throw InSituError(ALD_USAGE, "no step is open") }
      if let f = open.failure { throw f }
      return open.held.map { $0.contains { $0 != nil } }
    }
    let anywhere = try ranks.allReduce(present.map { $0 ? 1 : 0 }, .max)
    let wanted = coded!.filter { $0.fields.contains { anywhere[$0] > 0 } }
    try ranks.agree {
      guard !wanted.isEmpty else { throw InSituError(ALD_MISSING, "step \(open!.number): no field was put") }
      for i in wanted.flatMap(\.fields) {
        if let b = open!.held[i].firstIndex(where: { $0 == nil }), !open!.boxes[i][b].box.isEmpty {
          throw InSituError(ALD_MISSING, "\(fields[i].name): box \(b) of rank \(ranks.rank) was not put")
        }
      }
    }
    let held = StepBeingCoded(open!, wanted, fields), list = wanted.map { StepField(description: $0.description, bound: budget.spent(on: fields[$0.fields[0]].bound)) }
    held.step = try SeriesStep(
      of: series, list, step: held.number, time: held.time, carry: carry(wanted, step: held.number, time: held.time), threads: max(1, Int(options.threads)),
      verify: options.no_verify == 0, without: cap.leftOut, phases: held.phases, ranks: ranks
    ) { k in try held.source(wanted[k]) }
    return held
  }

  /// Codes one field of a step.
  ///
  /// - Collective: all ranks.
  func encode(_ i: Int, of s: StepBeingCoded, background: CodingTask? = nil, ranks: borrowing Communicator) throws {
    try s.step.encode(i, background: background, ranks: ranks) { k in try s.source(s.wanted[k]) }
  }

  /// Writes a step, coding first what is not yet coded.
  ///
  /// - Collective: all ranks.
  func commit(_ c: StepBeingCoded) throws {
    let start = PhaseClock.now(), result: StepResult
    do {
      for t in c.tasks { if let e = t.failure { throw e } }
      for i in c.wanted.indices {
        if c.tasks.isEmpty { try encode(i, of: c, ranks: ranks) }
        try c.step.store(i, ranks: ranks)
      }
      result = try c.step.commit(after: c.seconds + PhaseClock.now() - start, ranks: ranks)
    } catch {
      c.step.abandon()
      throw error
    }
    var s = StepStatistics()
    s.step = c.number; s.time = c.time; s.result = result
    s.positions = fields.indices.map { i in c.wanted.firstIndex { $0.fields.contains(i) } }
    s.put = c.open.putSeconds
    s.write = c.phases.seconds(of: "write")
    s.communicate = c.isWhole ? 0 : c.phases.seconds(of: "exchange")
    s.total = c.seconds + PhaseClock.now() - start
    s.encode = s.total - s.write - s.communicate
    s.background = worker?.takeSeconds() ?? 0
    statistics = s
    budget.account(for: result)
    if cap.seconds > 0 { cap.account(slowest: try ranks.allReduce(s.total + s.background, .max)) }
  }
}

extension StepBeingCoded {
  /// The arrays of a coded field, which leave the step with it.
  func source(_ c: CodedField) throws -> FieldSource {
    var arrays: [[RawArray]] = []
    for i in c.fields {
      var mine: [RawArray] = []
      for (b, held) in open.held[i].enumerated() {
        switch held {
        case .copied(let parts): mine += parts
        case .borrowed(let a):
          for p in open.boxes[i][b].parts {
            mine.append(p == a.box && a.isPacked ? RawArray(lending: UnsafeMutableRawPointer(mutating: a.first), box: p, elementSize: a.type.size) : a.copy(p))
          }
        case nil: break
        }
      }
      open.held[i] = []
      arrays.append(mine)
    }
    let f = fields[c.fields[0]]
    for (i, a) in zip(c.fields, arrays) where a.map(\.box) != arrays[0].map(\.box) {
      throw InSituError(ALD_BOXES, "\(fields[i].name) lies on other boxes than \(f.name), the first component of \(c.description.name)")
    }
    return FieldSource(name: c.description.name, grid: f.grid, type: f.type, components: c.fields.count, boxes: arrays[0].map(\.box), arrays: arrays)
  }
}
