import Fields
import Glibc

/// A small XML file beside an HDF5 output that tells viewers its grids: uniform, unit spacing, a scalar or a vector
/// per field, steps as a time series. Several fields on equal grids share one.
enum XDMF {
  static func write(_ path: String, _ fields: [FieldDescription]) throws {
    let dot = path.lastIndex(of: "."), slash = path.lastIndex(of: "/")
    let stem = dot != nil && (slash == nil || dot! > slash!) ? String(path[..<dot!]) : path
    let file = path.split(separator: "/").last.map(String.init) ?? path
    let target = stem + ".xdmf", tmp = target + Temporary.suffix
    try PosixFile(tmp, O_WRONLY | O_CREAT | O_TRUNC).write(Array(text(file, fields).utf8), at: 0)
    try Temporary.publish(tmp, as: target, noClobber: false)
  }

  static func text(_ file: String, _ fields: [FieldDescription]) -> String {
    struct Group { var shape: Index3, steps: Int, times: [Double]?, fields: [FieldDescription] }
    var groups: [Group] = []
    for f in fields {
      if let i = groups.firstIndex(where: { $0.shape == f.grid.shape && $0.steps == f.steps && $0.times == f.times }) {
        groups[i].fields.append(f)
      } else { groups.append(Group(shape: f.grid.shape, steps: f.steps, times: f.times, fields: [f])) }
    }
    var t = "<?xml version=\"1.0\"?>\n<Xdmf Version=\"3.0\">\n <Domain>\n"
    for (g, group) in groups.enumerated() {
      t += "  <Grid Name=\"grid\(g)\" GridType=\"Collection\" CollectionType=\"Temporal\">\n"
      for s in 0..<group.steps {
        t += "   <Grid Name=\"step\(s)\" GridType=\"Uniform\">\n"
        t += "    <Time Value=\"\(group.times?[s] ?? Double(s))\"/>\n"
        // Cell-like data on nodes: one value per grid point.
        let n = "\(group.shape.z) \(group.shape.y) \(group.shape.x)"
        t += "    <Topology TopologyType=\"3DCoRectMesh\" Dimensions=\"\(n)\"/>\n"
        t += "    <Geometry GeometryType=\"ORIGIN_DXDYDZ\">\n"
        t += "     <DataItem Dimensions=\"3\" Format=\"XML\">0 0 0</DataItem>\n     <DataItem Dimensions=\"3\" Format=\"XML\">1 1 1</DataItem>\n"
        t += "    </Geometry>\n"
        for f in group.fields { t += attribute(file, f, s, n) }
        t += "   </Grid>\n"
      }
      t += "  </Grid>\n"
    }
    return t + " </Domain>\n</Xdmf>\n"
  }

  private static func attribute(_ file: String, _ f: FieldDescription, _ step: Int, _ n: String) -> String {
    let vector = f.components == 3
    if f.components == 1 || !vector {
      return (0..<f.components).map { c in
        let name = f.components == 1 ? f.name : "\(f.name)_\(c)"
        return "    <Attribute Name=\"\(escape(name))\" AttributeType=\"Scalar\" Center=\"Node\">\n" + slab(file, f, step, c, n) + "    </Attribute>\n"
      }.joined()
    }
    return "    <Attribute Name=\"\(escape(f.name))\" AttributeType=\"Vector\" Center=\"Node\">\n"
      + "     <DataItem ItemType=\"Function\" Function=\"JOIN($0, $1, $2)\" Dimensions=\"\(n) 3\">\n"
      + (0..<3).map { slab(file, f, step, $0, n) }.joined() + "     </DataItem>\n    </Attribute>\n"
  }

  private static func slab(_ file: String, _ f: FieldDescription, _ step: Int, _ component: Int, _ n: String) -> String {
    let f = f.datasets.isEmpty ? f : f.stored[component], component = f.componentAxis == nil ? 0 : component
    let (start, count) = f.slab(step: step, component: component, box: f.grid.box)
    let rank = f.shape.count
    func row(_ v: [Int]) -> String { v.map(String.init).joined(separator: " ") }
    return "     <DataItem ItemType=\"HyperSlab\" Dimensions=\"\(n)\">\n"
      + "      <DataItem Dimensions=\"3 \(rank)\" Format=\"XML\">\(row(start)) \(row(start.map { _ in 1 })) \(row(count))</DataItem>\n"
      + "      <DataItem Format=\"HDF\" NumberType=\"Float\" Precision=\"\(f.type.size)\" Dimensions=\"\(row(f.shape))\">\(escape(file)):/\(escape(f.name))</DataItem>\n"
      + "     </DataItem>\n"
  }

  private static func escape(_ s: String) -> String {
    s.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing("\"", with: "&quot;")
  }
}
