import CHDF5
import CHDF5Parallel

/// One entry of a group.
public struct Link: Sendable {
  public enum Kind: Sendable { case hard, soft(String), external(file: String, path: String), other }
  public let name: String
  public let kind: Kind
}

/// Entries of a group; in creation order where the group keeps it, else by name.
public func links(of group: Handle) throws -> [Link] {
  var info = H5G_info_t()
  try check("H5Gget_info", H5Gget_info(group.id, &info))
  let ordered = tracksCreationOrder(group)
  var out: [Link] = []
  for i in 0..<hsize_t(info.nlinks) {
    let index = ordered ? H5_INDEX_CRT_ORDER : H5_INDEX_NAME
    let n = try check("H5Lget_name_by_idx", H5Lget_name_by_idx(group.id, ".", index, H5_ITER_INC, i, nil, 0, 0))
    var buffer = [CChar](repeating: 0, count: Int(n) + 1)
    try check("H5Lget_name_by_idx", H5Lget_name_by_idx(group.id, ".", index, H5_ITER_INC, i, &buffer, buffer.count, 0))
    let name = string(buffer)
    var kind: Int32 = 0, size = 0
    try check("H5Lget_info", ald_link_info(group.id, name, &kind, &size))
    switch kind {
    case H5L_TYPE_HARD.rawValue: out.append(Link(name: name, kind: .hard))
    case H5L_TYPE_SOFT.rawValue, H5L_TYPE_EXTERNAL.rawValue:
      var value = [CChar](repeating: 0, count: size + 1)
      try check("H5Lget_val", H5Lget_val(group.id, name, &value, size, 0))
      if kind == H5L_TYPE_SOFT.rawValue { out.append(Link(name: name, kind: .soft(string(value)))); break }
      var flags: UInt32 = 0, file: UnsafePointer<CChar>?, path: UnsafePointer<CChar>?
      try check("H5Lunpack_elink_val", H5Lunpack_elink_val(value, size, &flags, &file, &path))
      out.append(Link(name: name, kind: .external(file: file.map { String(cString: $0) } ?? "",
                                                  path: path.map { String(cString: $0) } ?? "")))
    default: out.append(Link(name: name, kind: .other))
    }
  }
  return out
}

/// Whether a group or the root keeps its links in creation order.
public func tracksCreationOrder(_ group: Handle) -> Bool {
  let plist = H5Gget_create_plist(group.id)
  if plist < 0 { return false }
  defer { H5Pclose(plist) }
  var flags: UInt32 = 0
  return H5Pget_link_creation_order(plist, &flags) >= 0 && flags & UInt32(H5P_CRT_ORDER_INDEXED) != 0
}

/// A new group with its links kept in the object header, so that few entries cost few bytes.
@discardableResult
public func createGroup(in parent: Handle, _ name: String, creationOrder: Bool = false, expecting: Int = 4, nameLength: Int = 8) throws -> Handle {
  let plist = try Handle("H5Pcreate", H5Pcreate(ald_H5P_GROUP_CREATE()))
  try check("H5Pset_obj_track_times", H5Pset_obj_track_times(plist.id, false))
  try check("H5Pset_link_phase_change", H5Pset_link_phase_change(plist.id, 512, 256))
  try check("H5Pset_est_link_info", H5Pset_est_link_info(plist.id, UInt32(expecting), UInt32(nameLength)))
  if creationOrder {
    let both = UInt32(H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED)
    try check("H5Pset_link_creation_order", H5Pset_link_creation_order(plist.id, both))
    try check("H5Pset_attr_creation_order", H5Pset_attr_creation_order(plist.id, both))
  }
  return try Handle("H5Gcreate2", H5Gcreate2(parent.id, name, 0, plist.id, 0))
}

func string(_ buffer: [CChar]) -> String {
  String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
