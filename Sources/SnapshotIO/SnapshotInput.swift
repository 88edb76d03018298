public import Fields
import HDF5
public import MPI

/// A snapshot to read: one HDF5 or NetCDF-4 file, a set of files of which each holds a part, or a raw file.
///
/// Rank 0 looks at the files and tells the others; then every rank opens what it needs read-only by itself and
/// reads its own boxes, without further communication. MPI-IO is not used: independent reads gain nothing from
/// it, filtered and virtual datasets are restricted under it, and a failing rank would leave others in a collective.
public final class SnapshotInput {
  public let path: String
  public let fields: [FieldDescription]
  /// Per field, cell positions along each spatial axis in storage order as the file gives them; empty where it does not.
  public let positions: [[[Double]]]
  let files: [String]
  /// The datasets read, and per field those it consists of.
  let stored: [FieldDescription]
  private let members: [[Int]]
  /// Per dataset the parts it consists of.
  let parts: [[FieldPart]]
  let raw: Bool
  private var open: [(file: Int, handle: File)] = []
  private var datasets: [(file: Int, name: String, dataset: Dataset)] = []
  private var rawFile: PosixFile?

  /// - Throws: `SnapshotError` by way of `AgreedError`, on all ranks.
  /// - Collective: all ranks.
  public static func open(_ path: String, _ options: SnapshotOptions = .init(), ranks: borrowing Communicator) throws -> SnapshotInput {
    let isFirst = ranks.rank == 0
    var bytes: [UInt8] = []
    try ranks.agree { if isFirst { bytes = try SnapshotScan(path, options).encode() } }
    bytes = try ranks.broadcast(bytes)
    let scan = SnapshotScan(bytes)
    return try ranks.agree { SnapshotInput(path, scan, try scan.grouped(options.vectors, path: path)) }
  }

  /// The files a path stands for: itself (there or not), a folder's, or those that a pattern matches. Local.
  public static func files(_ path: String) throws -> [String] { try SnapshotScan.files(path) }

  private init(_ path: String, _ scan: SnapshotScan, _ grouped: (fields: [FieldDescription], members: [[Int]])) {
    self.path = path; fields = grouped.fields; members = grouped.members; stored = scan.fields; files = scan.files; parts = scan.parts; raw = scan.raw
    // Staggered components: those of the first.
    positions = grouped.members.map { scan.positions[$0[0]] }
  }

  /// Reads `box` of one step and component into the same cells of `array` (whose box contains it).
  ///
  /// - Parameter box: Inside the grid; may be empty.
  /// - Throws: `SnapshotError` naming file and dataset. Local: wrap in `agree`.
  public func read(field: Int, step: Int, component: Int, box: Box, into array: RawArray) throws {
    let whole = fields[field], joined = !whole.datasets.isEmpty
    let number = members[field][joined ? component : 0], f = stored[number], component = joined ? 0 : component
    precondition(f.grid.box.contains(box) && array.box.contains(box) && array.elementSize == f.type.size)
    precondition(0..<f.steps ~= step && 0..<f.components ~= component)
    if box.isEmpty { return }
    if raw { return try readRaw(f, step, component, box, array) }
    let (start, count) = f.slab(step: step, component: component, box: box)
    let s = f.spatialPositions
    for part in parts[number] {
      var lower = start, upper = zip(start, count).map(+)
      for i in start.indices {
        lower[i] = max(lower[i], part.offset[i]); upper[i] = min(upper[i], part.offset[i] + part.shape[i])
      }
      let n = zip(upper, lower).map(-)
      if n.contains(where: { $0 <= 0 }) { continue }
      let dataset = try self.dataset(part.file, f.name)
      var memory = MemoryLayout3(shape: [array.box.shape.z, array.box.shape.y, array.box.shape.x], start: [0, 0, 0], count: [1, 1, 1])
      for a in 0..<3 { memory.start[a] = box.lower[a] - array.box.lower[a] }
      for (i, p) in s.enumerated() {
        let a = 3 - s.count + i
        memory.start[a] += lower[p] - start[p]
        memory.count[a] = n[p]
      }
      do {
        try dataset.read(start: zip(lower, part.offset).map(-), count: n, double: f.type == .float64, memory: memory, into: array.pointer)
      } catch {
        throw SnapshotError(.readFailed, file: files[part.file], dataset: f.name,
          "cannot be read at \(lower) (damaged, a filter plugin is missing, or a source of a virtual dataset)")
      }
    }
  }

  /// A dataset, with its file; the last few stay open with their chunk caches.
  private func dataset(_ file: Int, _ name: String) throws -> Dataset {
    if let i = datasets.firstIndex(where: { $0.file == file && $0.name == name }) { return datasets[i].dataset }
    let h: File
    if let known = open.first(where: { $0.file == file }) { h = known.handle } else {
      h = try FieldScan.open(files[file])
      if open.count >= 8 {
        let gone = open.removeFirst().file
        datasets.removeAll { $0.file == gone }
      }
      open.append((file, h))
    }
    do {
      var d = try Dataset(in: h, "/" + name)
      if let chunk = try d.chunk() {
        let bytes = chunk.reduce(8, *)
        if bytes > 16 << 20 { d = try Dataset(in: h, "/" + name, cacheBytes: min(4 * bytes, 1 << 30)) }
      }
      if datasets.count >= 4 { datasets.removeFirst() }
      datasets.append((file, name, d))
      return d
    } catch { throw SnapshotError(.noDataset, file: files[file], dataset: name, "cannot be opened: \(error)") }
  }

  /// Rows of a raw file, the longest contiguous runs at once.
  private func readRaw(_ f: FieldDescription, _ step: Int, _ component: Int, _ box: Box, _ array: RawArray) throws {
    if rawFile == nil { rawFile = try PosixFile(files[0], 0) }
    let file = rawFile!
    try forEachRun(f, step: step, component: component, box: box, in: array.box) { at, cell, cells, stride in
      let size = f.type.size
      let target = array.pointer + cell * size
      if stride == 1 { return try file.read(into: .init(start: target, count: cells * size), at: at * size) }
      let span = try file.read(((cells - 1) * stride + 1) * size, at: at * size)
      span.withUnsafeBytes { s in
        for i in 0..<cells { (target + i * size).copyMemory(from: s.baseAddress! + i * stride * size, byteCount: size) }
      }
    }
  }
}

/// Calls `body(file element, array cell, cells, stride)` for runs of `box`: cells that follow each other in the array and
/// lie `stride` elements apart in the field. Whole planes and volumes are one run where both sides allow it.
func forEachRun(_ f: FieldDescription, step: Int, component: Int, box: Box, in memory: Box,
                _ body: (Int, Int, Int, Int) throws -> Void) rethrows {
  let strides = f.strides, s = f.spatialPositions, (start, _) = f.slab(step: step, component: component, box: box)
  var base = 0
  for i in start.indices { base += start[i] * strides[i] }
  var step3 = [0, 0, 0]
  for (i, p) in s.enumerated() { step3[3 - s.count + i] = strides[p] }
  let n = box.shape, m = memory.shape, stride = max(1, step3[2])
  let origin = memory.offset(of: box.lower)
  // Merge axes that continue each other on both sides.
  let joinY = n.y == 1 || (step3[1] == n.x * stride && m.x == n.x)
  let joinZ = joinY && (n.z == 1 || (step3[0] == n.x * n.y * stride && m.x == n.x && m.y == n.y))
  if joinZ { return try body(base, origin, n.x * n.y * n.z, stride) }
  for z in 0..<n.z {
    if joinY { try body(base + z * step3[0], origin + z * m.y * m.x, n.x * n.y, stride); continue }
    for y in 0..<n.y { try body(base + z * step3[0] + y * step3[1], origin + (z * m.y + y) * m.x, n.x, stride) }
  }
}
