import Fields
import HDF5
import Observables

/// Weights of a linear observable in an HDF5 file, `weights:FILE.h5:NAME`.
///
/// NAME is a dataset `[m, (c), z, y, x]` of as many spatial axes as the field, the component axis where there is more than one component;
/// or, for few cells, a group of three datasets of one length: `value` (0 ... m - 1), `cell` (C-order index into `[(c), z, y, x]`), `weight`.
/// Every participant reads the weights of its own cells.
struct WeightFile: WeightSource {
  let path: String, name: String
  /// Extents of a dataset, nil for a group.
  private let shape: [Int]?
  let count: Int

  /// - Parameter text: `FILE.h5:NAME`.
  /// - Throws: `ObservableError` where there is no such thing in the file.
  init(_ text: String) throws {
    guard let colon = text.lastIndex(of: ":"), colon != text.startIndex, text.index(after: colon) != text.endIndex else {
      throw ObservableError("'weights:\(text)' must be weights:FILE.h5:DATASET")
    }
    path = String(text[..<colon]); name = String(text[text.index(after: colon)...])
    let opened: File
    do { opened = try File.open(path) } catch { throw ObservableError("weights:\(text): \(path) cannot be read as HDF5") }
    if let shape = try? Dataset(in: opened, name).shape {
      self.shape = shape
      count = shape.first ?? 0
    } else {
      shape = nil
      guard let values = try? WeightFile.list("value", opened, name) else {
        throw ObservableError("weights:\(text): \(path) has neither a dataset \(name) nor a group of that name with value, cell and weight")
      }
      count = Int(values.max() ?? -1) + 1
    }
    if count < 1 { throw ObservableError("weights:\(text): there are no weights") }
  }
  /// The catalogue's entry.
  static let prefix = ObservableCatalogue.Prefix("weights", line: "weights:FILE.h5:DATASET  sums weighted by a dataset [m,(c),z,y,x] or a group of value, cell, weight") {
    LinearObservable(try WeightFile($0))
  }
  var specification: String { "weights:\(path):\(name)" }

  private static func list(_ part: String, _ file: File, _ group: String) throws -> [Double] {
    guard let v = try file.object("\(group)/\(part)").values() else { throw ObservableError("\(group)/\(part) holds no numbers") }
    return v
  }

  func check(components: Int, grid: Grid) throws {
    guard let shape else { return }
    let spatial = (3 - grid.dimensions..<3).map { grid.shape[$0] }
    let wanted = (components > 1 ? [components] : []) + spatial
    if Array(shape.dropFirst()) != wanted && Array(shape.dropFirst()) != [components] + spatial {
      throw ObservableError("\(specification) has extents \(shape), the field needs [m, \(wanted.map(String.init).joined(separator: ", "))]")
    }
  }

  func rows(in box: Box, components: Int, grid: Grid) throws -> [WeightRow] {
    let file = try File.open(path)
    defer { try? file.close() }
    guard let shape else { return try sparse(file, box, components, grid) }
    let set = try Dataset(in: file, name), axes = 3 - grid.dimensions..<3
    let spatial = axes.map { box.shape[$0] }, at = axes.map { box.lower[$0] }, hasComponents = shape.count == grid.dimensions + 2
    var out: [WeightRow] = []
    for j in 0..<count {
      for c in 0..<components {
        var weights = [Double](repeating: 0, count: box.count)
        let n = box.count
        try weights.withUnsafeMutableBytes {
          try set.read(start: [j] + (hasComponents ? [c] : []) + at, count: [1] + (hasComponents ? [1] : []) + spatial, double: true,
                       memory: MemoryLayout3(shape: [n], start: [0], count: [n]), into: $0.baseAddress!)
        }
        if !weights.allSatisfy(\.isFinite) { throw ObservableError("\(specification): weights of value \(j) are not finite") }
        out.append(WeightRow(value: j, component: c, cells: nil, weights: weights))
      }
    }
    return out
  }

  private func sparse(_ file: File, _ box: Box, _ components: Int, _ grid: Grid) throws -> [WeightRow] {
    let value = try WeightFile.list("value", file, name), cell = try WeightFile.list("cell", file, name)
    let weight = try WeightFile.list("weight", file, name)
    if value.count != cell.count || value.count != weight.count { throw ObservableError("\(specification): value, cell and weight differ in length") }
    var parts: [[Int: (cells: [Int], weights: [Double])]] = Array(repeating: [:], count: components)
    for k in value.indices {
      guard let i = Int(exactly: cell[k]), i >= 0, i < grid.count * components, let j = Int(exactly: value[k]), j >= 0, weight[k].isFinite else {
        throw ObservableError("\(specification): entry \(k) (value \(value[k]), cell \(cell[k]), weight \(weight[k])) is not for this field")
      }
      let c = i / grid.count, r = i % grid.count, plane = grid.shape.y * grid.shape.x
      let at = Index3(r / plane, r % plane / grid.shape.x, r % grid.shape.x)
      if !box.contains(at) { continue }
      parts[c][j, default: ([], [])].cells.append(box.offset(of: at))
      parts[c][j]!.weights.append(weight[k])
    }
    return parts.indices.flatMap { c in
      parts[c].sorted { $0.key < $1.key }.map { WeightRow(value: $0.key, component: c, cells: $0.value.cells, weights: $0.value.weights) }
    }
  }
}
