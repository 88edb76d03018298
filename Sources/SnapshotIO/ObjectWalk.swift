import HDF5

/// One dataset found in a file.
struct FoundDataset {
  let path: String                 // without the leading slash
  let elementClass: ElementClass
  let shape: [Int]?
  let handle: Handle

  var isScale: Bool { handle.string("CLASS") == "DIMENSION_SCALE" }
  var summary: String {
    let type = switch elementClass {
    case .float(let bytes, _): "float\(8 * bytes)"
    case .integer: "integer"
    case .string: "string"
    case .other: "other"
    }
    return "\(path) (\(type)\(shape.map { " [" + $0.map(String.init).joined(separator: ",") + "]" } ?? ""))"
  }
}

/// An object whose description this HDF5 library does not understand.
struct UnreadableObject: Error, CustomStringConvertible {
  let path: String
  var description: String { "\(path) cannot be opened (damaged, or written in a format newer than this HDF5 library)" }
}

/// All datasets of a file in a fixed order (that of creation where kept, else of names), each object once.
/// Soft links are not followed, external links are.
func datasets(in file: File) throws -> [FoundDataset] {
  var out: [FoundDataset] = [], seen = Set<ObjectIdentity>()
  func visit(_ group: Handle, _ prefix: String) throws {
    for link in try links(of: group) {
      switch link.kind { case .soft, .other: continue; default: break }
      let path = prefix + link.name
      let object: Handle
      if case .external = link.kind {
        guard let found = try? file.object("/" + path) else { continue }
        object = found
      } else { do { object = try file.object("/" + path) } catch { throw UnreadableObject(path: path) } }
      guard let info = try? object.info(), seen.insert(info.identity).inserted else { continue }
      switch info.kind {
      case .group: try visit(object, path + "/")
      case .dataset:
        out.append(FoundDataset(path: path, elementClass: try object.elementClass(), shape: try object.shape(), handle: object))
      default: break
      }
    }
  }
  let root = try file.object("/")
  seen.insert(try root.info().identity)
  try visit(root, "")
  return out
}
