import CKernels
import Decomposition
import Fields
import MPI
import Observables
import Statistics

/// A grid shared by the ranks of a communicator: whole rows in x where there are other axes to cut, else slabs.
///
/// Some boxes are empty where there are more ranks than rows. Lent by `withRankDomain`.
/// - Collective: all methods.
public final class RankDomain: Domain {
  public let grid: Grid
  public let coordinates: Coordinates
  public var box: Box { boxes[rank] }
  /// Boxes of all ranks.
  public let boxes: [Box]
  /// This participant's place among them.
  public let rank: Int
  private let cuts: PencilCuts
  /// A duplicate; none once closed.
  private var ranks: Communicator?

  private var halos: [Int: Redistribution] = [:], shifts: [Index3: Redistribution] = [:]
  private var fourier: RankTransform?

  fileprivate init(_ grid: Grid, _ coordinates: Coordinates, _ ranks: borrowing Communicator) throws {
    self.grid = grid; self.coordinates = coordinates
    rank = ranks.rank
    cuts = PencilCuts(grid.shape, ranks: ranks.size)
    boxes = grid.shape.z * grid.shape.y > 1 ? cuts.boxes(grid.shape, along: 2) : Partition.slabs(of: grid, ranks: ranks.size)
    self.ranks = try ranks.duplicated()
  }
  fileprivate func close() throws { if let r = ranks.take() { try r.close() } }

  public func merged<M: Mergeable>(_ part: M) throws -> M { try reduce(part, ranks: ranks!) }

  public func gathered(_ part: [Double]) throws -> [[Double]] {
    try ranks!.allGather(part.withUnsafeBytes { [UInt8]($0) }).map { bytes in
      bytes.withUnsafeBytes { b in (0..<b.count / 8).map { b.loadUnaligned(fromByteOffset: 8 * $0, as: Double.self) } }
    }
  }

  /// Runs `work`; if it fails on any rank, all throw the same error. `work` must not communicate.
  public func agree<Value>(_ work: () throws -> Value) throws -> Value { try ranks!.agree(work) }

  /// A field of which this rank has the cells of `owned`, as parts of this domain in double precision.
  ///
  /// - Parameter components: per component one array per box, whose box contains it.
  /// - Throws: `AgreedError` of a `DecompositionError` where the boxes of all ranks overlap or leave cells out.
  public func parts(of components: [[RawArray]], in owned: [Box], type: ScalarType) throws -> FieldParts {
    let plan = try Redistribution(have: owned, want: [box], grid: grid, ranks: ranks!)
    return try components.map { arrays in
      if type == .float64 { return try filled(box) { try plan.move(arrays, into: [$0], ranks: ranks!) } }
      let single = RawArray(box: box, type: type)
      try plan.move(arrays, into: [single], ranks: ranks!)
      return withExtendedLifetime(single) { filled(box) { ald_widen(single.bound(to: Float.self), box.count, $0.bound(to: Double.self)) } }
    }
  }

  public func handed(_ parts: FieldParts, to boxes: [Box]) throws -> [FieldParts] {
    let plan = try Redistribution(have: [box], want: boxes, grid: grid, ranks: ranks!)
    var out = boxes.map { b in parts.map { _ in FieldPart(b) } }
    for (c, p) in parts.enumerated() {
      let arrays = boxes.map { RawArray(box: $0, elementSize: 8) }
      try lent(p) { try plan.move([$0], into: arrays, ranks: ranks!) }
      for (i, a) in arrays.enumerated() {
        withExtendedLifetime(a) {
          out[i][c].values = [Double](UnsafeBufferPointer(start: a.bound(to: Double.self), count: a.count))
        }
      }
    }
    return out
  }

  /// The cells of `wanted` of a field that each rank holds on another box than the domain's; `wanted` may reach beyond periodic faces.
  ///
  /// - Parameter parts: at least one component, all on one box; the boxes of all ranks are disjoint and cover the grid.
  public func fetched(_ parts: FieldParts, to wanted: Box) throws -> FieldParts {
    let plan = try Redistribution(have: [parts[0].box], want: [wanted], grid: grid, ranks: ranks!)
    return try parts.map { p in try lent(p) { a in try filled(wanted) { try plan.move([a], into: [$0], ranks: ranks!) } } }
  }

  public func haloed(_ parts: FieldParts, width: Int) throws -> FieldParts {
    let halo = haloBox(width)
    let plan = try halos[width] ?? Redistribution(have: [box], want: [halo], grid: grid, ranks: ranks!)
    halos[width] = plan
    return try parts.map { p in try lent(p) { a in try filled(halo) { try plan.move([a], into: [$0], ranks: ranks!) } } }
  }

  public func shifted(_ parts: FieldParts, by offset: Index3) throws -> FieldParts {
    let moved = box.shifted(by: offset)
    let plan = try shifts[offset] ?? Redistribution(have: [box], want: [moved], grid: grid, ranks: ranks!)
    shifts[offset] = plan
    return try parts.map { p in
      FieldPart(box, try lent(p) { a in try filled(moved) { try plan.move([a], into: [$0], ranks: ranks!) } }.values)
    }
  }

  public func accumulated(_ parts: FieldParts, width: Int) throws -> FieldParts {
    // The cells of box `owner` that the halo of box `reader` holds, in it and in the owner; by image.
    func copies(of owner: Int, in reader: Int) -> [(part: Box, shift: Index3)] {
      let own = boxes[owner], other = boxes[reader]
      if own.isEmpty || other.isEmpty { return [] }
      let halo = other.dilated(by: width, in: grid), n = grid.shape
      func turns(_ a: Int) -> ClosedRange<Int> {
        let reach = grid.periodic[a] && n[a] > 1 ? (width + n[a] - 1) / n[a] : 0
        return -reach...reach
      }
      var out: [(Box, Index3)] = []
      for z in turns(0) { for y in turns(1) { for x in turns(2) {
        let shift = Index3(z * n.z, y * n.y, x * n.x), part = own.shifted(by: shift).intersection(halo)
        let itself = owner == reader && (z, y, x) == (0, 0, 0)
        if !part.isEmpty && !itself { out.append((part, shift)) }
      } } }
      return out
    }
    let halo = haloBox(width), own = box
    let outgoing = boxes.indices.map { $0 == rank ? [] : copies(of: $0, in: rank) }
    let incoming = boxes.indices.map { copies(of: rank, in: $0) }
    func cells(_ list: [(part: Box, shift: Index3)]) -> Int { list.reduce(0) { $0 + $1.part.count } }
    return try parts.map { p in
      if !own.isEmpty { precondition(p.box == halo, "a part is not on the halo's box") }
      var exchange = Exchange(ranks!)
      let senders = boxes.indices.filter { $0 != rank && !incoming[$0].isEmpty }
      for r in senders { try exchange.receive(8 * cells(incoming[r]), from: r) }
      for r in boxes.indices where !outgoing[r].isEmpty {
        try exchange.send(8 * cells(outgoing[r]), to: r) { buffer in
          var to = buffer.baseAddress!.assumingMemoryBound(to: Double.self)
          for t in outgoing[r] { eachRow(of: t.part) { for v in p.values[halo.offset(of: $0)...].prefix($1) { to.pointee = v; to += 1 } } }
        }
      }
      var out = FieldPart(own)
      eachRow(of: own) { i, n in
        let to = own.offset(of: i), from = halo.offset(of: i)
        for k in 0..<n { out.values[to + k] = p.values[from + k] }
      }
      try exchange.finish()
      for r in boxes.indices {
        func add(_ source: UnsafePointer<Double>?) {
          var source = source
          for t in incoming[r] {
            eachRow(of: t.part) { i, n in
              let to = own.offset(of: i - t.shift)
              if let s = source {
                for k in 0..<n { out.values[to + k] += s[k] }
                source = s + n
              } else {
                let from = halo.offset(of: i)
                for k in 0..<n { out.values[to + k] += p.values[from + k] }
              }
            }
          }
        }
        if r == rank { add(nil) } else if let i = senders.firstIndex(of: r) {
          exchange.withReceived(i) { add($0.baseAddress!.assumingMemoryBound(to: Double.self)) }
        }
      }
      return out
    }
  }

  public func transformed(_ parts: FieldParts) throws -> [SpectralPart] {
    let f = try transform()
    return try parts.map { try f.forward($0, ranks!) }
  }
  public func inverse(_ spectra: [SpectralPart]) throws -> FieldParts {
    let f = try transform()
    return try spectra.map { try f.backward($0, ranks!) }
  }
  private func transform() throws -> RankTransform {
    if let fourier { return fourier }
    let f = try RankTransform(grid, boxes, cuts, ranks!)
    fourier = f
    return f
  }
}

/// Lends `body` a domain on all ranks and closes it on all of them, however `body` ends.
///
/// - Collective: all ranks.
/// - Throws: what `body` throws, the same on all ranks where it fails on any after its last collective.
public func withRankDomain<Result>(
  _ grid: Grid, coordinates: Coordinates = .unit, ranks: borrowing Communicator, _ body: (RankDomain) throws -> Result
) throws -> Result {
  let domain = try RankDomain(grid, coordinates, ranks)
  let outcome = Swift.Result { try body(domain) }
  let agreed = Swift.Result { try domain.agree {
    try checkKernelMemory()
    return try outcome.get()
  } }
  try domain.close()
  return try agreed.get()
}

/// Calls `body` with the first cell and the length of each row.
private func eachRow(of box: Box, _ body: (Index3, Int) -> Void) {
  if box.isEmpty { return }
  for z in box.lower.z..<box.upper.z { for y in box.lower.y..<box.upper.y { body(Index3(z, y, box.lower.x), box.shape.x) } }
}

/// Lends the values of a part as an array to be read.
func lent<R>(_ part: FieldPart, _ body: (RawArray) throws -> R) rethrows -> R {
  try part.values.withUnsafeBufferPointer { b in
    let pointer = UnsafeMutableRawPointer(mutating: UnsafeRawPointer(b.baseAddress ?? UnsafePointer(bitPattern: 64)!))
    return try body(RawArray(lending: pointer, box: part.box, elementSize: 8))
  }
}

/// A part on `box` whose values `body` writes into the array it is lent.
func filled(_ box: Box, _ body: (RawArray) throws -> Void) rethrows -> FieldPart {
  FieldPart(box, try [Double](unsafeUninitializedCapacity: box.count) { buffer, count in
    let pointer = UnsafeMutableRawPointer(buffer.baseAddress ?? UnsafeMutablePointer(bitPattern: 64)!)
    try body(RawArray(lending: pointer, box: box, elementSize: 8))
    count = box.count
  })
}
