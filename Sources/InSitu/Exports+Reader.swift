import CAlidade
import Fields
import Glibc

// The C functions of alidade.h, reader's side.

private func reader(_ handle: OpaquePointer) -> Reader { Unmanaged<Reader>.fromOpaque(UnsafeRawPointer(handle)).takeUnretainedValue() }

private func call(_ handle: OpaquePointer?, _ body: (Reader) throws -> Void) -> Int32 {
  guard let handle else {
    failedOpen.withLock { $0 = "no reader was given" }
    return Int32(ALD_USAGE.rawValue)
  }
  let r = reader(handle)
  do {
    try body(r)
    return 0
  } catch {
    r.lastError = String(describing: error)
    return statusCode(of: error)
  }
}

@_cdecl("ald_reader_open")
public func aldReaderOpen(_ path: UnsafePointer<CChar>?, _ out: UnsafeMutablePointer<OpaquePointer?>?) -> Int32 {
  do {
    guard let path, let out else { throw InSituError(ALD_USAGE, "a path and a place for the reader are needed") }
    out.pointee = nil
    out.pointee = OpaquePointer(Unmanaged.passRetained(try Reader(String(cString: path))).toOpaque())
    return 0
  } catch {
    failedOpen.withLock { $0 = String(describing: error) }
    return statusCode(of: error)
  }
}

@_cdecl("ald_reader_close")
public func aldReaderClose(_ handle: UnsafeMutablePointer<OpaquePointer?>?) -> Int32 {
  guard let handle, let p = handle.pointee else { return 0 }
  releaseText(p)
  Unmanaged<Reader>.fromOpaque(UnsafeRawPointer(p)).release()
  handle.pointee = nil
  return 0
}

@_cdecl("ald_reader_error")
public func aldReaderError(_ handle: OpaquePointer?) -> UnsafePointer<CChar> {
  errorText(handle, handle.map { reader($0).lastError } ?? failedOpen.withLock { $0 })
}

@_cdecl("ald_reader_refresh")
public func aldReaderRefresh(_ h: OpaquePointer?) -> Int32 { call(h) { try $0.refresh() } }

@_cdecl("ald_reader_steps")
public func aldReaderSteps(_ h: OpaquePointer?, _ count: UnsafeMutablePointer<Int64>?) -> Int32 { call(h) { count?.pointee = Int64($0.steps.count) } }

@_cdecl("ald_reader_step")
public func aldReaderStep(_ h: OpaquePointer?, _ position: Int64, _ step: UnsafeMutablePointer<Int64>?, _ time: UnsafeMutablePointer<Double>?) -> Int32 {
  call(h) { r in
    let s = try r.step(Int(position))
    step?.pointee = Int64(s.number)
    time?.pointee = s.time
  }
}

@_cdecl("ald_reader_fields")
public func aldReaderFields(_ h: OpaquePointer?, _ position: Int64, _ count: UnsafeMutablePointer<Int32>?) -> Int32 {
  call(h) { count?.pointee = Int32(try $0.fields(Int(position)).count) }
}

@_cdecl("ald_reader_field")
public func aldReaderField(_ h: OpaquePointer?, _ position: Int64, _ field: Int32, _ out: UnsafeMutablePointer<ald_field_info>?) -> Int32 {
  call(h) { r in
    let d = try r.field(Int(position), Int(field)).description, n = d.grid.dimensions
    var o = ald_field_info()
    o.type = Int32(d.type.rawValue); o.components = Int32(d.components); o.axes = Int32(n)
    let shape = (0..<3).map { $0 < n ? Int64(d.grid.shape[3 - n + $0]) : 1 }
    o.shape = (shape[0], shape[1], shape[2])
    o.name = r.text(d.name)
    try fill(out, o)
  }
}

@_cdecl("ald_reader_find")
public func aldReaderFind(
  _ h: OpaquePointer?, _ position: Int64, _ name: UnsafePointer<CChar>?, _ field: UnsafeMutablePointer<Int32>?, _ component: UnsafeMutablePointer<Int32>?
) -> Int32 {
  call(h) { r in
    guard let name else { throw InSituError(ALD_USAGE, "a name is missing") }
    let found = try r.find(Int(position), String(cString: name))
    field?.pointee = Int32(found.0)
    component?.pointee = Int32(found.1)
  }
}

@_cdecl("ald_reader_describe")
public func aldReaderDescribe(_ h: OpaquePointer?, _ position: Int64, _ json: UnsafeMutablePointer<UnsafePointer<CChar>?>?) -> Int32 {
  call(h) { json?.pointee = try $0.describe(Int(position)) }
}

@_cdecl("ald_reader_read")
public func aldReaderRead(
  _ h: OpaquePointer?, _ position: Int64, _ field: Int32, _ component: Int32, _ lower: UnsafePointer<Int64>?, _ extent: UnsafePointer<Int64>?,
  _ out: UnsafeMutableRawPointer?
) -> Int32 {
  call(h) { r in
    guard let out else { throw InSituError(ALD_USAGE, "there is no place for the values") }
    let d = try r.field(Int(position), Int(field)).description, n = d.grid.dimensions
    var region: Box?
    if let lower, let extent {
      var b = Box(lower: Index3(0, 0, 0), upper: Index3(1, 1, 1))
      for a in 0..<n { b.lower[3 - n + a] = Int(lower[a]); b.upper[3 - n + a] = Int(lower[a]) + Int(extent[a]) }
      guard !b.isEmpty, d.grid.box.contains(b) else { throw InSituError(ALD_USAGE, "region \(b) of \(d.name) is empty or not inside \(d.grid.box)") }
      region = b
    }
    try r.read(Int(position), field: Int(field), component: Int(component), region: region, into: out)
  }
}
