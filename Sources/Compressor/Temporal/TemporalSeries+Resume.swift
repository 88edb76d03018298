import Codecs
import Decomposition
import Fields
import MPI
import SnapshotIO

extension TemporalSeries {
  /// Goes on after the last step of a field in a finished container: decodes what the next step may be predicted from.
  ///
  /// Nothing is taken, and the next step is a key step, where the container has no such field, the step cannot be a reference, or the interval is over.
  /// - Throws: `Failure` by way of `AgreedError`: references that are missing (2), a corrupt container (4).
  /// - Collective: all ranks.
  func resume(after reader: ContainerReader, _ d: FieldDescription, threads: Int, ranks: borrowing Communicator) throws {
    guard let field = reader.fields.firstIndex(where: { $0.name == d.name }), let last = reader.fields[field].steps.indices.last,
          let stored = FieldDescription(reader.fields[field].description), stored.grid == d.grid, stored.components == d.components, stored.type == d.type
    else { return }
    let link = try ranks.agree {
      try corrupt("\(reader.path): \(d.name)") {
        StepChain.Link(
          reader: reader, field: field, stepIndex: last,
          decoder: try FieldDecoder(FieldCoding(serialised: reader.header(field: field, step: last)), grid: d.grid, type: d.type, components: d.components))
      }
    }
    let position = link.decoder.coding.prediction?.position ?? 0
    guard link.decoder.transform != nil, position + 1 < keyInterval else { return }
    let chain = try StepChain(link, d, ranks: ranks).including(link)
    let layout = try TileLayout(grid: d.grid, components: d.components, ranks: ranks)
    let file = String(reader.path[(reader.path.lastIndex(of: "/").map { reader.path.index(after: $0) } ?? reader.path.startIndex)...])
    let (sets, root) = try ranks.agree {
      let streams = layout.units.map { (stream: $0, box: layout.box(of: $0), component: layout.component(of: $0)) }
      return (try chain.coefficients(of: streams, known: nil, threads: threads), try reader.root)
    }
    var largest = sets.map { $0.reduce(0.0) { max($0, $1.largestMagnitude) } }
    largest = try ranks.allReduce(largest, .max)
    var steps: [FieldHistory.Step] = []
    for (i, (l, set)) in zip(chain.links.suffix(2).reversed(), sets).enumerated() {
      let c = l.decoder.coding
      var s = FieldHistory.Step(
        member: c.member, workType: c.workType, logarithmic: c.logarithmic, grid: d.grid, components: d.components, firstStream: layout.units.lowerBound,
        offset: c.offset, magnitude: largest[i], coefficients: set, prediction: c.prediction)
      // The older one is where the newer one says.
      s.reference = i == 0 ? .init(file: file, root: root, step: l.step) : steps[0].prediction!.references[0]
      if i == 1, s.reference.file.isEmpty { s.reference.file = file; s.reference.root = root }
      steps.append(s)
    }
    resume(d.name, steps, position: position)
  }
}

extension RawArray {
  /// Largest magnitude of floating-point elements.
  fileprivate var largestMagnitude: Double {
    var m = 0.0
    if elementSize == 4 {
      let v = bound(to: Float.self)
      for i in 0..<count { m = max(m, Double(abs(v[i]))) }
    } else {
      let v = bound(to: Double.self)
      for i in 0..<count { m = max(m, abs(v[i])) }
    }
    return m
  }
}
