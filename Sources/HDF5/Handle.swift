public import CHDF5
import CHDF5Parallel

/// A failed HDF5 call.
public struct HDF5Error: Error, Equatable, Sendable, Codable, CustomStringConvertible {
  /// Name of the C function.
  public let call: String
  public let status: Int
  public init(call: String, status: Int) { self.call = call; self.status = status }
  public var description: String { "\(call) failed" }
}

/// The one place where an HDF5 status becomes an error.
@discardableResult
public func check<I: SignedInteger>(_ call: String, _ status: I) throws -> I {
  guard status >= 0 else { throw HDF5Error(call: call, status: Int(status)) }
  return status
}

/// An owned HDF5 identifier of any kind; released with `H5Idec_ref`.
///
/// Only files opened serially are ever held, so releasing one is local and may happen in `deinit`.
public final class Handle {
  public let id: hid_t
  private var isOpen = true
  public init(_ call: String, _ id: hid_t) throws { self.id = try check(call, id) }
  deinit { if isOpen { H5Idec_ref(id) } }
  /// Releases now, and says whether that worked.
  public func close() throws {
    guard isOpen else { return }
    isOpen = false
    try check("H5Idec_ref", H5Idec_ref(id))
  }
}

/// Element class of a dataset, as far as fields are concerned.
public enum ElementClass: Equatable, Sendable { case float(bytes: Int, bigEndian: Bool), integer, string, other }

public enum ObjectKind: Sendable { case group, dataset, type, unknown }

/// Identity of an object: two links to one object have the same identity.
public struct ObjectIdentity: Hashable, Sendable { public let file: UInt, address: UInt64 }

extension Handle {
  public func info() throws -> (identity: ObjectIdentity, kind: ObjectKind, attributes: Int) {
    var file: UInt = 0, address: haddr_t = 0, kind: Int32 = 0, n: hsize_t = 0
    try check("H5Oget_info", ald_object_info(id, &file, &address, &kind, &n))
    let k: ObjectKind = kind == 0 ? .group : kind == 1 ? .dataset : kind == 2 ? .type : .unknown
    return (ObjectIdentity(file: file, address: UInt64(address)), k, Int(n))
  }
}
