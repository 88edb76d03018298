import CAlidade
import Compressor
import Fields

// The C functions of alidade.h for the steps of a writer, and what is told of them.

@_cdecl("ald_begin")
public func aldBegin(_ h: OpaquePointer?, _ step: Int64, _ time: Double) -> Int32 { onWriter(h) { try $0.begin(Int(step), time) } }

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
  onWriter(h) { try put($0, field, box, borrow: false, first, strides) }
}

@_cdecl("ald_put_borrow")
public func aldPutBorrow(_ h: OpaquePointer?, _ field: Int32, _ box: Int32, _ first: UnsafeRawPointer?, _ strides: UnsafePointer<Int64>?) -> Int32 {
  onWriter(h) { try put($0, field, box, borrow: true, first, strides) }
}

@_cdecl("ald_put_array")
public func aldPutArray(
  _ h: OpaquePointer?, _ field: Int32, _ box: Int32, _ first: UnsafeRawPointer?, _ extent: UnsafePointer<Int64>?, _ strides: UnsafePointer<Int64>?, _ flags: Int32
) -> Int32 {
  onWriter(h) { w in
    try put(
      w, field, box, borrow: flags & Int32(ALD_BORROW.rawValue) != 0, first, extent: extent, exact: flags & Int32(ALD_EXACT.rawValue) != 0, strides)
  }
}

@_cdecl("ald_put_ghosted")
public func aldPutGhosted(
  _ h: OpaquePointer?, _ field: Int32, _ box: Int32, _ base: UnsafeRawPointer?, _ alloc: UnsafePointer<Int64>?, _ pad: UnsafePointer<Int64>?,
  _ order: Int32, _ ghostsValid: Int32
) -> Int32 {
  onWriter(h) { w in
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
  onWriter(h) { w in
    guard w.step != nil else { throw InSituError(ALD_USAGE, "no step is open") }
    w.fail(InSituError(ALD_HOST, why.map { String(cString: $0) } ?? "given up by the host"))
  }
}

@_cdecl("ald_end")
public func aldEnd(_ h: OpaquePointer?) -> Int32 { onWriter(h) { try $0.end() } }

@_cdecl("ald_end_async")
public func aldEndAsync(_ h: OpaquePointer?, _ request: UnsafeMutablePointer<Int64>?) -> Int32 {
  onWriter(h) { w in
    let r = try w.endAsync()
    request?.pointee = r
  }
}

@_cdecl("ald_test")
public func aldTest(_ h: OpaquePointer?, _ request: Int64, _ done: UnsafeMutablePointer<Int32>?) -> Int32 {
  onWriter(h) { w in
    // A step that failed is over too.
    done?.pointee = 1
    if !(try w.test(request)) { done?.pointee = 0 }
  }
}

@_cdecl("ald_wait")
public func aldWait(_ h: OpaquePointer?, _ request: Int64) -> Int32 { onWriter(h) { try $0.wait(request) } }

// MARK: statistics

@_cdecl("ald_get_stats")
public func aldGetStats(_ h: OpaquePointer?, _ out: UnsafeMutablePointer<ald_stats>?) -> Int32 {
  onWriter(h) { w in
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
  onWriter(h) { w in
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
