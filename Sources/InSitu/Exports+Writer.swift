import CAlidade
import CMPI
import COpenMPI
import Compressor
import Fields
import Glibc
import MPI
import Synchronization

// The C functions of alidade.h, writer's side: opening, declarations, closing. Each turns arguments into values and errors into a status; nothing else happens here.

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
func onWriter(_ handle: OpaquePointer?, _ body: (Writer) throws -> Void) -> Int32 {
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
func list(_ p: UnsafePointer<Int64>?, _ n: Int) throws -> [Int] {
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
  let status = onWriter(p) { try $0.close() }
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
  onWriter(h) { w in
    guard (1...3).contains(axes) else { throw InSituError(ALD_USAGE, "a grid has one to three axes, not \(axes)") }
    try w.declare(shape: try list(shape, Int(axes)), periodic: (0..<Int(axes)).map { a in periodic.map { $0[a] != 0 } ?? false })
  }
}

@_cdecl("ald_coords")
public func aldCoords(_ h: OpaquePointer?, _ axis: Int32, _ n: Int64, _ positions: UnsafePointer<Double>?) -> Int32 {
  onWriter(h) { w in
    guard let positions, n > 0 else { throw InSituError(ALD_USAGE, "positions are missing") }
    try w.declare(positions: Array(UnsafeBufferPointer(start: positions, count: Int(n))), axis: Int(axis))
  }
}

@_cdecl("ald_uniform")
public func aldUniform(_ h: OpaquePointer?, _ axis: Int32, _ first: Double, _ spacing: Double) -> Int32 {
  onWriter(h) { try $0.declare(firstPosition: first, spacing: spacing, axis: Int(axis)) }
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
  onWriter(h) { w in
    let mine = try w.ranks.agree { try boxes(w, count, lower, extent) }
    try w.declare(boxes: mine)
  }
}

@_cdecl("ald_field")
public func aldField(_ h: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ options: UnsafePointer<ald_field_options>?, _ out: UnsafeMutablePointer<Int32>?) -> Int32 {
  onWriter(h) { w in
    guard let out else { throw InSituError(ALD_USAGE, "there is no place for the field's number") }
    out.pointee = Int32(try w.declare(field: try text(name), try sized(options, ald_field_options())))
  }
}

@_cdecl("ald_field_boxes")
public func aldFieldBoxes(_ h: OpaquePointer?, _ field: Int32, _ shared: Int32, _ count: Int32, _ lower: UnsafePointer<Int64>?, _ extent: UnsafePointer<Int64>?) -> Int32 {
  onWriter(h) { w in
    let mine = try w.ranks.agree { try boxes(w, count, lower, extent) }
    try w.declare(boxes: mine, field: Int(field), shared: shared != 0)
  }
}

@_cdecl("ald_vector")
public func aldVector(_ h: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ count: Int32, _ fields: UnsafePointer<Int32>?) -> Int32 {
  onWriter(h) { w in
    guard let fields, count > 0 else { throw InSituError(ALD_USAGE, "the components are missing") }
    try w.declare(vector: try text(name), of: (0..<Int(count)).map { Int(fields[$0]) })
  }
}

@_cdecl("ald_attr_text")
public func aldAttrText(_ h: OpaquePointer?, _ field: Int32, _ name: UnsafePointer<CChar>?, _ value: UnsafePointer<CChar>?) -> Int32 {
  onWriter(h) { try $0.declare(.init(name: try text(name), value: .text(try text(value))), field: Int(field)) }
}

@_cdecl("ald_attr_numbers")
public func aldAttrNumbers(_ h: OpaquePointer?, _ field: Int32, _ name: UnsafePointer<CChar>?, _ n: Int32, _ values: UnsafePointer<Double>?) -> Int32 {
  onWriter(h) { w in
    guard let values, n > 0 else { throw InSituError(ALD_USAGE, "the numbers are missing") }
    try w.declare(.init(name: try text(name), value: .numbers(Array(UnsafeBufferPointer(start: values, count: Int(n))))), field: Int(field))
  }
}

@_cdecl("ald_observe")
public func aldObserve(_ h: OpaquePointer?, _ observable: UnsafePointer<CChar>?) -> Int32 { onWriter(h) { try $0.observe(try text(observable)) } }

@_cdecl("ald_trigger")
public func aldTrigger(_ h: OpaquePointer?, _ observable: UnsafePointer<CChar>?, _ threshold: Double, _ below: Int32, _ field: Int32, _ bound: ald_bound) -> Int32 {
  onWriter(h) { try $0.trigger(try text(observable), threshold: threshold, below: below != 0, field: Int(field), try errorBound(bound)) }
}

@_cdecl("ald_commit")
public func aldCommit(_ h: OpaquePointer?) -> Int32 { onWriter(h) { try $0.commit() } }

@_cdecl("ald_set_bound")
public func aldSetBound(_ h: OpaquePointer?, _ field: Int32, _ bound: ald_bound) -> Int32 { onWriter(h) { try $0.setBound(bound, field: Int(field)) } }
