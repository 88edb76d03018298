public import Fields
import Glibc
import HDF5
public import MPI

/// A field to write: all of it, a region, some steps, or a coarser level.
public struct OutputField: Sendable {
  /// As in the container.
  public var description: FieldDescription
  public var steps: Range<Int>
  /// In storage order, inside the grid.
  public var region: Box
  /// Extents of a coarser level; then boxes written are in its cells, and `region` is ignored.
  public var coarse: Index3?

  public init(_ description: FieldDescription, steps: Range<Int>? = nil, region: Box? = nil, coarse: Index3? = nil) {
    self.description = description
    self.steps = steps ?? 0..<description.steps; self.region = region ?? description.grid.box; self.coarse = coarse
  }

  /// The field as it stands in the output.
  public var written: FieldDescription {
    let d = description, whole = coarse == nil && region == d.grid.box
    var f = whole ? d : coarse.map { d.resized(to: $0, periodic: d.grid.periodic) } ?? d.resized(to: region.shape)
    if let t = d.timeAxis {
      var shape = f.shape
      shape[t] = steps.count
      f = FieldDescription(name: f.name, type: f.type, shape: shape, axes: f.axes, periodic: f.grid.periodic,
                           times: f.times.map { Array($0[steps]) }, fillValues: f.fillValues, units: f.units, datasets: f.datasets)
    }
    return f
  }

  /// The datasets to write.
  var stored: [OutputField] {
    description.stored.map { d in var o = self; o.description = d; return o }
  }
}

/// Writes decompressed fields as HDF5 (NetCDF-4 where the input was), each rank its own boxes.
///
/// Rank 0 lays out the file with serial calls and closes it; all ranks write bytes at the datasets' offsets of
/// `<path>.tmp`, since collective HDF5 writes do not report a full disk. `commit` makes it durable and renames it.
/// After any error the temporary file is gone.
public final class OutputFile {
  public let path: String
  /// Fields as written, and the datasets that hold them: those of field i begin at `first[i]`.
  private let whole: [FieldDescription]
  private let first: [Int]
  private let fields: [FieldDescription]
  private let outputs: [OutputField]
  private let noClobber: Bool, isFirst: Bool
  private let temporary: String
  private var file: PosixFile?
  private var offsets: [Int] = []
  private var swapped: [Bool] = []
  /// Components of interleaved fields wait here for the others of their box.
  private var waiting: [Waiting: [Int: RawArray]] = [:]
  private struct Waiting: Hashable { let field: Int, step: Int, box: Box }

  /// - Parameter carry: `ContainerReader.carry()`; rank 0's is used. Empty: a plain file is made from the descriptions.
  /// - Parameter all: Every field of the container; those not in `fields` are left out of the output.
  /// - Collective: all ranks, equal arguments.
  public init(path: String, fields: [OutputField], all: [FieldDescription], carry: [UInt8], noClobber: Bool = false,
              ranks: borrowing Communicator) throws {
    self.path = path; outputs = fields.flatMap(\.stored); self.fields = outputs.map(\.written)
    whole = fields.map(\.written)
    first = fields.indices.map { fields[..<$0].reduce(0) { $0 + $1.stored.count } }
    let all = all.flatMap(\.stored)
    self.noClobber = noClobber; isFirst = ranks.rank == 0
    temporary = path + Temporary.suffix
    var placed = ByteWriter()
    try guarded(ranks) {
      guard isFirst else { return }
      _ = try Temporary.prepare(path, noClobber: noClobber)
      file = try PosixFile(temporary, O_RDWR)
      try layOut(carry, all, into: &placed)
    }
    var r = ByteReader(try ranks.broadcast(placed.bytes))
    for _ in outputs { offsets.append(Int(r.fixed(Int64.self)!)); swapped.append(r.fixed(UInt8.self)! != 0) }
    try guarded(ranks) { if file == nil { file = try PosixFile(temporary, O_RDWR) } }
  }

  /// Rank 0: metadata and storage of all datasets.
  private func layOut(_ carry: [UInt8], _ all: [FieldDescription], into placed: inout ByteWriter) throws {
    let base = try carry.isEmpty ? nil : File.open(image: Carry.expand(carry, file: path))
    var image = base
    if let base, outputs.count != all.count || zip(outputs.map(\.description.shape), fields.map(\.shape)).contains(where: { $0 != $1 }) {
      image = try reshaped(base, all)
    }
    let bytes = try (image ?? File.create("plain", inMemory: true)).image()
    // HDF5 1.10 crashes when it cannot write its metadata: room for everything first. It cuts the file on closing.
    let values = fields.reduce(0) { $0 + $1.shape.reduce($1.type.size, *) }
    try file!.reserve(0..<bytes.count + values + (64 << 10) + 4096 * fields.count)
    try file!.write(bytes, at: 0)
    let h = try File.open(temporary, writable: true)
    for f in fields {
      let dataset: Handle
      if image != nil, let known = try? h.object("/" + f.name) { dataset = known } else {
        dataset = try createNumbers(in: h, f.name, shape: f.shape, double: f.type == .float64)
        try dataset.write("dims", f.axes.map { $0 == "c" ? "component" : String($0) }.joined(separator: ","))
        let spatial = Array(f.spatialAxes)
        let wraps = spatial.enumerated().filter { f.grid.periodic[3 - spatial.count + $0.offset] }.map { String($0.element) }
        try dataset.write("periodic", wraps.isEmpty ? "none" : wraps.joined(separator: " "))
        if !f.units.isEmpty { try dataset.write("units", f.units) }
        if let t = f.times { try dataset.write("times", t) }
      }
      guard case .float(let n, let big) = try dataset.elementClass(), n == f.type.size, try dataset.shape() == f.shape else {
        throw SnapshotError(.badDirectory, file: path, dataset: f.name, "the losslessly carried part describes another dataset")
      }
      placed.fixed(Int64(try allocate(dataset))); placed.fixed(UInt8(big ? 1 : 0))
    }
    try h.close()
    try file!.reserve(0..<(try file!.size))
  }

  /// The carried file with other extents: unwanted fields gone, coordinates cut like the fields.
  private func reshaped(_ base: File, _ all: [FieldDescription]) throws -> File {
    var placeholders: [String: ObjectCopy.Placeholder] = [:], scales: [String: Range<Int>] = [:]
    for (o, f) in zip(outputs, fields) {
      var p = ObjectCopy.Placeholder(shape: f.shape)
      let attached = (try? base.object("/" + o.description.name))?.scalePaths(rank: f.shape.count)
      var ranges = o.description.shape.map { 0..<$0 }
      if let t = o.description.timeAxis { ranges[t] = o.steps }
      let s = o.description.spatialPositions
      for (i, a) in s.enumerated() {
        let k = 3 - s.count + i
        if o.coarse == nil { ranges[a] = o.region.lower[k]..<o.region.upper[k] } else { p.keepsScale[a] = f.shape[a] == o.description.shape[a] }
      }
      for a in f.shape.indices where p.keepsScale[a] && ranges[a].count != o.description.shape[a] {
        if let scale = attached?[a] { scales[String(scale.dropFirst())] = ranges[a] } 
      }
      placeholders[o.description.name] = p
    }
    var cropped: [String: [Range<Int>]] = [:]
    for d in try datasets(in: base) where placeholders[d.path] == nil {
      guard let shape = d.shape, !shape.isEmpty else { continue }
      if let r = scales[d.path], shape.count == 1, r.upperBound <= shape[0] { cropped[d.path] = [r]; continue }
      guard let attached = d.handle.scalePaths(rank: shape.count) else { continue }
      let ranges = shape.indices.map { a in attached[a].flatMap { scales[String($0.dropFirst())] } ?? 0..<shape[a] }
      if ranges != shape.map({ 0..<$0 }), zip(ranges, shape).allSatisfy({ $0.upperBound <= $1 }) { cropped[d.path] = ranges }
    }
    let kept = Set(outputs.map(\.description.name))
    let target = try File.create("output", inMemory: true, creationOrder: tracksCreationOrder(try base.object("/")))
    var copy = ObjectCopy(from: base, to: target, placeholders: placeholders,
                          dropped: Set(all.map(\.name)).subtracting(kept), cropped: cropped)
    try copy.run()
    return target
  }

  /// Writes `box` of one step and component from the same cells of `array`.
  ///
  /// Where components are interleaved in storage, values are written once every component of the same box is there.
  /// - Parameter step: A step of the container.
  /// - Parameter box: Cells of the container's grid (of the coarse level); the part outside the region is left out.
  /// - Throws: Local: wrap in `agree`, and `abandon` after an error.
  public func write(field: Int, step: Int, component: Int, box: Box, from array: RawArray) throws {
    let joined = !whole[field].datasets.isEmpty, field = first[field] + (joined ? component : 0), component = joined ? 0 : component
    let o = outputs[field], f = fields[field]
    precondition(array.elementSize == f.type.size && array.box.contains(box) && o.steps.contains(step))
    let origin = o.coarse == nil ? o.region.lower : Index3(repeating: 0)
    let region = o.coarse.map { Box(shape: $0) } ?? o.region
    let part = box.intersection(region)
    if part.isEmpty { return }
    let back = Index3(0, 0, 0) - origin
    let target = part.shifted(by: back), memory = array.box.shifted(by: back), s = step - o.steps.lowerBound
    if f.componentAxis == f.shape.count - 1, f.components > 1 {
      let key = Waiting(field: field, step: s, box: target)
      let copy = RawArray(box: target, type: f.type)
      pack(array, memory, target, into: copy)
      waiting[key, default: [:]][component] = copy
      guard let parts = waiting[key], parts.count == f.components else { return }
      waiting[key] = nil
      try writeInterleaved(field, s, target, (0..<f.components).map { parts[$0]! })
      return
    }
    try writeRuns(field, s, component, target, memory, array)
  }

  private func pack(_ array: RawArray, _ memory: Box, _ part: Box, into copy: RawArray) {
    let size = array.elementSize, n = part.shape
    for z in 0..<n.z { for y in 0..<n.y {
      let i = Index3(part.lower.z + z, part.lower.y + y, part.lower.x)
      (copy.pointer + part.offset(of: i) * size).copyMemory(from: array.pointer + memory.offset(of: i) * size, byteCount: n.x * size)
    } }
  }

  private func writeRuns(_ field: Int, _ step: Int, _ component: Int, _ box: Box, _ memory: Box, _ array: RawArray) throws {
    let f = fields[field], size = f.type.size
    try forEachRun(f, step: step, component: component, box: box, in: memory) { at, cell, cells, stride in
      let source = array.pointer + cell * size
      if stride == 1 { return try put(field, UnsafeRawBufferPointer(start: source, count: cells * size), at) }
      for i in 0..<cells { try put(field, UnsafeRawBufferPointer(start: source + i * size, count: size), at + i * stride) }
    }
  }

  private func writeInterleaved(_ field: Int, _ step: Int, _ box: Box, _ parts: [RawArray]) throws {
    let f = fields[field], size = f.type.size, n = parts.count
    var row: [UInt8] = []
    // Runs of component 0 are `n` elements apart; the others fill the gaps.
    try forEachRun(f, step: step, component: 0, box: box, in: box) { at, cell, cells, stride in
      guard stride == n else { for c in 0..<n { for i in 0..<cells {
        try put(field, UnsafeRawBufferPointer(start: parts[c].pointer + (cell + i) * size, count: size), at + i * stride + c)
      } }; return }
      row = [UInt8](repeating: 0, count: cells * n * size)
      try row.withUnsafeMutableBytes { r in
        for c in 0..<n { for i in 0..<cells {
          (r.baseAddress! + (i * n + c) * size).copyMemory(from: parts[c].pointer + (cell + i) * size, byteCount: size)
        } }
        try put(field, UnsafeRawBufferPointer(r), at)
      }
    }
  }

  /// Writes elements at element `at` of a dataset, in its byte order.
  private func put(_ field: Int, _ bytes: UnsafeRawBufferPointer, _ at: Int) throws {
    let size = fields[field].type.size, offset = offsets[field] + at * size
    if !swapped[field] { return try file!.write(bytes, at: offset) }
    var turned = [UInt8](repeating: 0, count: bytes.count)
    for i in stride(from: 0, to: bytes.count, by: size) { for b in 0..<size { turned[i + b] = bytes[i + size - 1 - b] } }
    try file!.write(turned, at: offset)
  }

  /// Makes the file durable and gives it its name.
  ///
  /// - Parameter xdmf: Also writes `<path>` with the ending `.xdmf`, for viewers that do not know the layout.
  /// - Collective: all ranks.
  public func commit(xdmf: Bool = false, ranks: borrowing Communicator) throws {
    try guarded(ranks) {
      for (key, parts) in waiting.sorted(by: { ($0.key.field, $0.key.step) < ($1.key.field, $1.key.step) }) {
        for (c, array) in parts { try writeRuns(key.field, key.step, c, key.box, key.box, array) }
      }
      waiting = [:]
      try file!.sync()
    }
    try guarded(ranks) {
      guard isFirst else { return }
      try Temporary.publish(temporary, as: path, noClobber: noClobber)
      if xdmf { try XDMF.write(path, whole) }
    }
    file = nil
  }

  /// Gives up and removes the temporary file. All ranks should call it; it does not communicate.
  public func abandon() {
    if file != nil && isFirst { Temporary.discard(temporary) }
    file = nil
  }

  private func guarded(_ ranks: borrowing Communicator, _ work: () throws -> Void) throws {
    do {
      try ranks.agree {
        do { try work() } catch let e as SnapshotError where e.file == temporary {
          throw SnapshotError(e.code, file: path, dataset: e.dataset, e.detail)
        } catch let e as HDF5Error { throw SnapshotError(.writeFailed, file: path, "writing metadata: \(e)") }
      }
    } catch { abandon(); throw error }
  }
}
