import CAlidade
import CMPI
import COpenMPI
import Compressor
import Fields
import Glibc
import MPI
import Synchronization

// The C functions of alidade.h, writer's side. Each turns arguments into values and errors into a status; nothing else happens here.

/// Text of the last failure where there is no handle to keep it.
let failedOpen = Mutex("")
/// C strings of error texts stay valid until the next failure; kept here per handle address.
private let errorTexts = Mutex<[UInt: UInt]>([:])

private func ownedText(_ key: UInt, _ text: String) -> UnsafePointer<CChar> {
  errorTexts.withLock { table in
    if let old = table[key].flatMap({ UnsafeMutablePointer<CChar>(bitPattern: $0) }) {
      if String(cString: old) == text { return UnsafePointer(old) }
      free(old)
    }
    let new = strdup(text)!
    table[key] = UInt(bitPattern: new)
    return UnsafePointer(new)
  }
}
func releaseText(_ handle: OpaquePointer?) {
  errorTexts.withLock { table in
    if let old = table.removeValue(forKey: UInt(bitPattern: handle)).flatMap({ UnsafeMutableRawPointer(bitPattern: $0) }) { free(old) }
  }
}
func errorText(_ handle: OpaquePointer?, _ text: String) -> UnsafePointer<CChar> { ownedText(UInt(bitPattern: handle), text) }

private func writer(_ handle: OpaquePointer) -> Writer { Unmanaged<Writer>.fromOpaque(UnsafeRawPointer(handle)).takeUnretainedValue() }

/// Runs `body` on the writer; a thrown error becomes a status and its text.
private func call(_ handle: OpaquePointer?, _ body: (Writer) throws -> Void) -> Int32 {
  guard let handle else {
    failedOpen.withLock { $0 = "no writer was given" }
    return Int32(ALD_USAGE.rawValue)
  }
  let w = writer(handle)
  do {
    try body(w)
    return 0
  } catch {
    w.lastError = String(describing: error)
    return statusCode(of: error)
  }
}

/// The first `n` values of an optional C array.
private func list(_ p: UnsafePointer<Int64>?, _ n: Int) throws -> [Int] {
  guard n == 0 || p != nil else { throw InSituError(ALD_USAGE, "a list of \(n) numbers is missing") }
  return (0..<n).map { Int(p![$0]) }
}

private func text(_ p: UnsafePointer<CChar>?) throws -> String {
  guard let p else { throw InSituError(ALD_USAGE, "a text is missing") }
  return String(cString: p)
}

/// Copies a C structure that may be shorter or longer than the one known here.
func sized<T: BitwiseCopyable>(_ p: UnsafePointer<T>?, _ empty: T) throws -> T {
  guard let p else { return empty }
  let size = UnsafeRawPointer(p).loadUnaligned(as: Int.self)
  guard size >= MemoryLayout<Int>.size, size <= 1 << 16 else { throw InSituError(ALD_USAGE, "the size field of a structure holds \(size)") }
  var out = empty
  withUnsafeMutableBytes(of: &out) { $0.copyMemory(from: UnsafeRawBufferPointer(start: p, count: min(size, MemoryLayout<T>.size))) }
  return out
}

/// Fills the caller's structure as far as it knows it.
func fill<T: BitwiseCopyable>(_ p: UnsafeMutablePointer<T>?, _ value: T) throws {
  guard let p else { throw InSituError(ALD_USAGE, "a structure is missing") }
  let size = UnsafeRawPointer(p).loadUnaligned(as: Int.self), head = MemoryLayout<Int>.size
  guard size >= head, size <= 1 << 16 else { throw InSituError(ALD_USAGE, "the size field of a structure holds \(size)") }
  withUnsafeBytes(of: value) { v in
    let n = min(size, v.count) - head
    if n > 0 { (UnsafeMutableRawPointer(p) + head).copyMemory(from: v.baseAddress! + head, byteCount: n) }
  }
}

// MARK: opening and closing

/// - Throws: `InSituError` (MPI) unless the library runs and lets this thread communicate.
private func checkMPI() throws {
  var started: Int32 = 0, ended: Int32 = 0
  MPI_Initialized(&started)
  if started != 0 { MPI_Finalized(&ended) }
  guard started != 0, ended == 0 else { throw InSituError(ALD_MPI, "MPI is not running; open before MPI_Init or after MPI_Finalize is not possible") }
  var level: Int32 = 0, isMain: Int32 = 0
  MPI_Query_thread(&level)
  MPI_Is_thread_main(&isMain)
  guard level >= Int32(MPI_THREAD_SERIALIZED) || isMain != 0 else {
    throw InSituError(ALD_MPI, "MPI was started for its main thread only, and this is another one")
  }
}

private func open(_ path: UnsafePointer<CChar>?, _ options: UnsafePointer<ald_options>?, _ out: UnsafeMutablePointer<OpaquePointer?>?,
                  _ communicator: () throws -> Communicator) -> Int32 {
  do {
    guard let out else { throw InSituError(ALD_USAGE, "there is no place for the writer") }
    out.pointee = nil
    let o = try sized(options, ald_options())
    let w = try Writer(try text(path), o, try communicator())
    out.pointee = OpaquePointer(Unmanaged.passRetained(w).toOpaque())
    return 0
  } catch {
    failedOpen.withLock { $0 = String(describing: error) }
    return statusCode(of: error)
  }
}

@_cdecl("ald_open")
public func aldOpen(_ comm: OpaquePointer?, _ path: UnsafePointer<CChar>?, _ options: UnsafePointer<ald_options>?, _ out: UnsafeMutablePointer<OpaquePointer?>?) -> Int32 {
  open(path, options, out) {
    try checkMPI()
    guard let comm else { throw InSituError(ALD_MPI, "no communicator was given") }
    return try Communicator(duplicating: cmpi_comm_to_fortran(comm))
  }
}

@_cdecl("ald_open_fortran")
public func aldOpenFortran(_ comm: Int32, _ path: UnsafePointer<CChar>?, _ options: UnsafePointer<ald_options>?, _ out: UnsafeMutablePointer<OpaquePointer?>?) -> Int32 {
  open(path, options, out) {
    try checkMPI()
    return try Communicator(duplicating: comm)
  }
}

@_cdecl("ald_open_serial")
public func aldOpenSerial(_ path: UnsafePointer<CChar>?, _ options: UnsafePointer<ald_options>?, _ out: UnsafeMutablePointer<OpaquePointer?>?) -> Int32 {
  open(path, options, out) { .alone() }
}

@_cdecl("ald_close")
public func aldClose(_ handle: UnsafeMutablePointer<OpaquePointer?>?) -> Int32 {
  guard let handle, let p = handle.pointee else { return 0 }
  let status = call(p) { try $0.close() }
  if status != 0 { let text = writer(p).lastError; failedOpen.withLock { $0 = text } }
  releaseText(p)
  Unmanaged<Writer>.fromOpaque(UnsafeRawPointer(p)).release()
  handle.pointee = nil
  return status
}

@_cdecl("ald_last_error")
public func aldLastError(_ handle: OpaquePointer?) -> UnsafePointer<CChar> {
  errorText(handle, handle.map { writer($0).lastError } ?? failedOpen.withLock { $0 })
}

// MARK: declarations

@_cdecl("ald_grid")
public func aldGrid(_ h: OpaquePointer?, _ axes: Int32, _ shape: UnsafePointer<Int64>?, _ periodic: UnsafePointer<Int32>?) -> Int32 {
  call(h) { w in
    guard (1...3).contains(axes) else { throw InSituError(ALD_USAGE, "a grid has one to three axes, not \(axes)") }
    try w.declare(shape: try list(shape, Int(axes)), periodic: (0..<Int(axes)).map { a in periodic.map { $0[a] != 0 } ?? false })
  }
}

@_cdecl("ald_coords")
public func aldCoords(_ h: OpaquePointer?, _ axis: Int32, _ n: Int64, _ positions: UnsafePointer<Double>?) -> Int32 {
  call(h) { w in
    guard let positions, n > 0 else { throw InSituError(ALD_USAGE, "positions are missing") }
    try w.declare(positions: Array(UnsafeBufferPointer(start: positions, count: Int(n))), axis: Int(axis))
  }
}

@_cdecl("ald_uniform")
public func aldUniform(_ h: OpaquePointer?, _ axis: Int32, _ first: Double, _ spacing: Double) -> Int32 {
  call(h) { try $0.declare(firstPosition: first, spacing: spacing, axis: Int(axis)) }
}

private func boxes(_ w: Writer, _ count: Int32, _ lower: UnsafePointer<Int64>?, _ extent: UnsafePointer<Int64>?) throws -> [Box] {
  let d = try w.known().dimensions, n = Int(count)
  guard n >= 0 else { throw InSituError(ALD_USAGE, "\(n) boxes") }
  let lo = try list(lower, n * d), e = try list(extent, n * d)
  return (0..<n).map { i in
    var b = Box(lower: Index3(0, 0, 0), upper: Index3(1, 1, 1))
    for a in 0..<d { b.lower[3 - d + a] = lo[i * d + a]; b.upper[3 - d + a] = lo[i * d + a] + e[i * d + a] }
    return b
  }
}

@_cdecl("ald_boxes")
public func aldBoxes(_ h: OpaquePointer?, _ count: Int32, _ lower: UnsafePointer<Int64>?, _ extent: UnsafePointer<Int64>?) -> Int32 {
  call(h) { w in
    let mine = try w.ranks.agree { try boxes(w, count, lower, extent) }
    try w.declare(boxes: mine)
  }
}

@_cdecl("ald_field")
public func aldField(_ h: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ options: UnsafePointer<ald_field_options>?, _ out: UnsafeMutablePointer<Int32>?) -> Int32 {
  call(h) { w in
    guard let out else { throw InSituError(ALD_USAGE, "there is no place for the field's number") }
    out.pointee = Int32(try w.declare(field: try text(name), try sized(options, ald_field_options())))
  }
}

@_cdecl("ald_field_boxes")
public func aldFieldBoxes(_ h: OpaquePointer?, _ field: Int32, _ shared: Int32, _ count: Int32, _ lower: UnsafePointer<Int64>?, _ extent: UnsafePointer<Int64>?) -> Int32 {
  call(h) { w in
    let mine = try w.ranks.agree { try boxes(w, count, lower, extent) }
    try w.declare(boxes: mine, field: Int(field), shared: shared != 0)
  }
}

@_cdecl("ald_vector")
public func aldVector(_ h: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ count: Int32, _ fields: UnsafePointer<Int32>?) -> Int32 {
  call(h) { w in
    guard let fields, count > 0 else { throw InSituError(ALD_USAGE, "the components are missing") }
    try w.declare(vector: try text(name), of: (0..<Int(count)).map { Int(fields[$0]) })
  }
}

@_cdecl("ald_attr_text")
public func aldAttrText(_ h: OpaquePointer?, _ field: Int32, _ name: UnsafePointer<CChar>?, _ value: UnsafePointer<CChar>?) -> Int32 {
  call(h) { try $0.declare(.init(name: try text(name), value: .text(try text(value))), field: Int(field)) }
}

@_cdecl("ald_attr_numbers")
public func aldAttrNumbers(_ h: OpaquePointer?, _ field: Int32, _ name: UnsafePointer<CChar>?, _ n: Int32, _ values: UnsafePointer<Double>?) -> Int32 {
  call(h) { w in
    guard let values, n > 0 else { throw InSituError(ALD_USAGE, "the numbers are missing") }
    try w.declare(.init(name: try text(name), value: .numbers(Array(UnsafeBufferPointer(start: values, count: Int(n))))), field: Int(field))
  }
}

@_cdecl("ald_observe")
public func aldObserve(_ h: OpaquePointer?, _ observable: UnsafePointer<CChar>?) -> Int32 { call(h) { try $0.observe(try text(observable)) } }

@_cdecl("ald_trigger")
public func aldTrigger(_ h: OpaquePointer?, _ observable: UnsafePointer<CChar>?, _ threshold: Double, _ below: Int32, _ field: Int32, _ bound: ald_bound) -> Int32 {
  call(h) { try $0.trigger(try text(observable), threshold: threshold, below: below != 0, field: Int(field), try errorBound(bound)) }
}

@_cdecl("ald_commit")
public func aldCommit(_ h: OpaquePointer?) -> Int32 { call(h) { try $0.commit() } }

@_cdecl("ald_set_bound")
public func aldSetBound(_ h: OpaquePointer?, _ field: Int32, _ bound: ald_bound) -> Int32 { call(h) { try $0.setBound(bound, field: Int(field)) } }

// MARK: steps

@_cdecl("ald_begin")
public func aldBegin(_ h: OpaquePointer?, _ step: Int64, _ time: Double) -> Int32 { call(h) { try $0.begin(Int(step), time) } }

private func put(
  _ w: Writer, _ field: Int32, _ box: Int32, borrow: Bool, _ first: UnsafeRawPointer?, extent: UnsafePointer<Int64>? = nil, exact: Bool = false,
  _ strides: UnsafePointer<Int64>?
) throws {
  try w.put(field: Int(field), box: Int(box), borrow: borrow) { b in
    let n = b.shape, d = w.fields[Int(field)].grid.dimensions
    if let extent {
      for a in 0..<d where Int(extent[a]) < n[3 - d + a] || (exact && Int(extent[a]) > n[3 - d + a]) {
        throw InSituError(ALD_BOXES, "\(w.fields[Int(field)].name): the array has \(extent[a]) values along \(axisLetters[3 - d + a]), box \(box) has \(n[3 - d + a])")
      }
    }
    guard let first else { throw InSituError(ALD_USAGE, "\(w.fields[Int(field)].name): the array is missing") }
    var s = Index3(n.y * n.x, n.x, 1)
    if let strides { for a in 0..<d { s[3 - d + a] = Int(strides[a]) } }
    return StridedArray(first: first, strides: s, box: b, type: w.fields[Int(field)].type)
  }
}

@_cdecl("ald_put")
public func aldPut(_ h: OpaquePointer?, _ field: Int32, _ box: Int32, _ first: UnsafeRawPointer?, _ strides: UnsafePointer<Int64>?) -> Int32 {
  call(h) { try put($0, field, box, borrow: false, first, strides) }
}

@_cdecl("ald_put_borrow")
public func aldPutBorrow(_ h: OpaquePointer?, _ field: Int32, _ box: Int32, _ first: UnsafeRawPointer?, _ strides: UnsafePointer<Int64>?) -> Int32 {
  call(h) { try put($0, field, box, borrow: true, first, strides) }
}

@_cdecl("ald_put_array")
public func aldPutArray(
  _ h: OpaquePointer?, _ field: Int32, _ box: Int32, _ first: UnsafeRawPointer?, _ extent: UnsafePointer<Int64>?, _ strides: UnsafePointer<Int64>?, _ flags: Int32
) -> Int32 {
  call(h) { w in
    try put(
      w, field, box, borrow: flags & Int32(ALD_BORROW.rawValue) != 0, first, extent: extent, exact: flags & Int32(ALD_EXACT.rawValue) != 0, strides)
  }
}

@_cdecl("ald_put_ghosted")
public func aldPutGhosted(
  _ h: OpaquePointer?, _ field: Int32, _ box: Int32, _ base: UnsafeRawPointer?, _ alloc: UnsafePointer<Int64>?, _ pad: UnsafePointer<Int64>?,
  _ order: Int32, _ ghostsValid: Int32
) -> Int32 {
  call(h) { w in
    try w.put(field: Int(field), box: Int(box)) { b in
      let f = w.fields[Int(field)], d = f.grid.dimensions
      guard let base else { throw InSituError(ALD_USAGE, "\(f.name): the array is missing") }
      var extents = try list(alloc, d), before = try list(pad, d)
      if order == Int32(ALD_F_ORDER.rawValue) { extents.reverse(); before.reverse() }
      var strides = Index3(0, 0, 0), step = 1, offset = 0
      for a in (0..<d).reversed() {
        let n = b.shape[3 - d + a]
        guard before[a] >= 0, before[a] + n <= extents[a] else {
          throw InSituError(ALD_BOXES, "\(f.name): an array of \(extents[a]) along \(axisLetters[3 - d + a]) does not hold \(n) cells after \(before[a])")
        }
        strides[3 - d + a] = step
        offset += before[a] * step
        step *= extents[a]
      }
      return StridedArray(first: base + offset * f.type.size, strides: strides, box: b, type: f.type)
    }
  }
}

@_cdecl("ald_fail")
public func aldFail(_ h: OpaquePointer?, _ why: UnsafePointer<CChar>?) -> Int32 {
  call(h) { w in
    guard w.step != nil else { throw InSituError(ALD_USAGE, "no step is open") }
    w.fail(InSituError(ALD_HOST, why.map { String(cString: $0) } ?? "given up by the host"))
  }
}

@_cdecl("ald_end")
public func aldEnd(_ h: OpaquePointer?) -> Int32 { call(h) { try $0.end() } }

@_cdecl("ald_end_async")
public func aldEndAsync(_ h: OpaquePointer?, _ request: UnsafeMutablePointer<Int64>?) -> Int32 {
  call(h) { w in
    let r = try w.endAsync()
    request?.pointee = r
  }
}

@_cdecl("ald_test")
public func aldTest(_ h: OpaquePointer?, _ request: Int64, _ done: UnsafeMutablePointer<Int32>?) -> Int32 {
  call(h) { w in
    // A step that failed is over too.
    done?.pointee = 1
    if !(try w.test(request)) { done?.pointee = 0 }
  }
}

@_cdecl("ald_wait")
public func aldWait(_ h: OpaquePointer?, _ request: Int64) -> Int32 { call(h) { try $0.wait(request) } }

// MARK: statistics

@_cdecl("ald_get_stats")
public func aldGetStats(_ h: OpaquePointer?, _ out: UnsafeMutablePointer<ald_stats>?) -> Int32 {
  call(h) { w in
    let s = w.statistics
    guard s.step >= 0 else { throw InSituError(ALD_USAGE, "no step was committed yet") }
    var o = ald_stats()
    o.step = Int64(s.step); o.time = s.time
    o.raw_bytes = Int64(s.result.fields.reduce(0) { $0 + $1.rawBytes })
    o.stored_bytes = Int64(s.result.fields.reduce(0) { $0 + $1.storedBytes })
    o.file_bytes = Int64(s.result.fileBytes)
    o.put_seconds = s.put; o.encode_seconds = s.encode; o.communicate_seconds = s.communicate; o.write_seconds = s.write; o.total_seconds = s.total
    o.background_seconds = s.background
    o.key_step = Int64(s.result.keyStep)
    let flags: [StepPart: ald_left_out] = [.observables: ALD_NO_OBSERVABLES, .verification: ALD_NO_VERIFICATION, .globalCodecs: ALD_NO_GLOBAL_CODECS]
    o.left_out = s.result.leftOut.reduce(0) { $0 | Int64(flags[$1]!.rawValue) }
    try fill(out, o)
  }
}

@_cdecl("ald_get_field_stats")
public func aldGetFieldStats(_ h: OpaquePointer?, _ field: Int32, _ out: UnsafeMutablePointer<ald_field_stats>?) -> Int32 {
  call(h) { w in
    try w.checkField(Int(field))
    guard w.statistics.positions.indices.contains(Int(field)), let p = w.statistics.positions[Int(field)] else {
      throw InSituError(ALD_USAGE, "the last committed step does not have \(w.fields[Int(field)].name)")
    }
    let r = w.statistics.result.fields[p]
    var o = ald_field_stats()
    o.raw_bytes = Int64(r.rawBytes); o.stored_bytes = Int64(r.storedBytes)
    // Values on a lattice are coded exactly without a bound of their own.
    o.granted = r.granted.isNaN && r.maxAbsError == 0 ? 0 : r.granted
    o.max_error = r.maxAbsError; o.rms_error = r.rmse
    o.masked = Int64(r.masked)
    withUnsafeMutableBytes(of: &o.codec) { b in for (i, c) in r.transform.utf8.prefix(b.count - 1).enumerated() { b[i] = c } }
    try fill(out, o)
  }
}

@_cdecl("ald_version")
public func aldVersion() -> UnsafePointer<CChar> { cText("0.1.0") }

/// Texts of the program itself end in a zero byte.
private func cText(_ s: StaticString) -> UnsafePointer<CChar> { UnsafeRawPointer(s.utf8Start).assumingMemoryBound(to: CChar.self) }

@_cdecl("ald_status_text")
public func aldStatusText(_ status: Int32) -> UnsafePointer<CChar> {
  switch status {
  case 0: cText("ok")
  case 1: cText("wrong argument, or call out of order")
  case 2: cText("input or output failed")
  case 3: cText("bound not kept")
  case 4: cText("damaged bytes")
  case 6: cText("MPI")
  case 7: cText("step or time does not follow the last")
  case 8: cText("boxes overlap, leave a gap or reach outside")
  case 9: cText("a field was not put everywhere")
  case 10: cText("a field was put twice")
  case 11: cText("the step before is still being coded")
  case 12: cText("given up by the host")
  default: cText("unknown status")
  }
}
