import Codecs
import Fields
import Glibc
import MPI
import SnapshotIO

/// The steps that a predicted one is decoded after, its key step first, itself not among them.
struct StepChain {
  struct Link {
    let reader: ContainerReader, field: Int, stepIndex: Int
    let decoder: FieldDecoder
    var step: Int { reader.fields[field].steps[stepIndex] }
    func isSame(_ other: Link) -> Bool { reader.path == other.reader.path && field == other.field && stepIndex == other.stepIndex }
  }
  private(set) var links: [Link] = []

  /// Of a step that stands alone.
  init() {}

  /// Finds the steps and opens the containers that hold them.
  ///
  /// - Throws: `Failure` by way of `AgreedError`, on all ranks: a container that is missing, is another one, or does not hold the step (2), named;
  ///   a header that contradicts its references (4).
  /// - Collective: all ranks.
  init(_ last: Link, _ d: FieldDescription, ranks: borrowing Communicator) throws {
    var at = last, path: [Link] = []
    while let p = at.decoder.coding.prediction {
      let r = p.references[0], what = "\(at.reader.path): \(d.name), step \(at.step)"
      let reader = try StepChain.container(of: r, beside: at.reader, needed: what, ranks: ranks)
      let here = at
      at = try ranks.agree { try StepChain.link(r, in: reader, d, needed: what, by: here) }
      path.append(at)
    }
    links = path.reversed()
    // The second reference is the first one's first.
    for (i, l) in (links + [last]).enumerated() {
      guard let p = l.decoder.coding.prediction else { continue }
      let second = p.references.count > 1 ? p.references[1] : nil
      let holds = p.position == i && p.references.count == min(2, i)
        && second.map { s in s.step == links[i - 2].step && StepChain.path(of: s, beside: l.reader) == links[i - 2].reader.path } ?? true
      try ranks.agree { if !holds { throw Failure(.corrupt, "\(l.reader.path): \(d.name), step \(l.step): references contradict each other") } }
    }
  }

  /// The chain with the step itself at its end.
  func including(_ last: Link) -> StepChain {
    var c = self
    c.links.append(last)
    return c
  }

  /// Whether a reference's container is there and the one that it was. Local.
  static func isThere(_ r: Prediction.Reference, beside reader: ContainerReader) -> Bool {
    r.file.isEmpty || ContainerReader.root(of: path(of: r, beside: reader)) == r.root
  }

  private static func path(of r: Prediction.Reference, beside reader: ContainerReader) -> String {
    if r.file.isEmpty { return reader.path }
    guard let slash = reader.path.lastIndex(of: "/") else { return r.file }
    return reader.path[...slash] + r.file
  }

  /// - Collective: all ranks.
  private static func container(
    of r: Prediction.Reference, beside reader: ContainerReader, needed what: String, ranks: borrowing Communicator
  ) throws -> ContainerReader {
    if r.file.isEmpty { return reader }
    let isFirst = ranks.rank == 0, file = path(of: r, beside: reader)
    let known = reader.neighbours[r.file]
    if known == nil {
      try ranks.agree {
        guard isFirst, access(file, R_OK) != 0 else { return }
        throw Failure(.inputOutput, "\(what) is predicted from step \(r.step) in \(file), which \(errno == ENOENT ? "is missing" : "cannot be read")")
      }
    }
    let found = try known ?? ContainerReader.open(file, ranks: ranks)
    try ranks.agree {
      guard try found.root == r.root else {
        throw Failure(.inputOutput, "\(what) is predicted from step \(r.step) in \(file), which is not the container that it was (checksum)")
      }
    }
    reader.neighbours[r.file] = found
    return found
  }

  private static func link(_ r: Prediction.Reference, in reader: ContainerReader, _ d: FieldDescription, needed what: String, by last: Link) throws -> Link {
    guard let field = reader.fields.firstIndex(where: { $0.name == d.name }), let index = reader.fields[field].steps.firstIndex(of: r.step),
          reader !== last.reader || index < last.stepIndex else {
      throw Failure(.corrupt, "\(what) is predicted from step \(r.step), which \(reader.path) does not hold\(reader === last.reader ? " before it" : "")")
    }
    return try corrupt("\(reader.path): \(d.name), step \(r.step)") {
      let coding = try FieldCoding(serialised: try reader.header(field: field, step: index)), wanted = last.decoder.coding
      let given = FieldDescription(reader.fields[field].description)
      guard coding.member == wanted.member, coding.workType == wanted.workType, coding.logarithmic == wanted.logarithmic, coding.offset == wanted.offset,
            (coding.prediction?.position ?? 0) + 1 == wanted.prediction!.position, given?.grid == d.grid, given?.components == d.components, given?.type == d.type,
            reader.streamCount(field: field, step: index) == last.decoder.tiles.count * d.components
      else { throw Failure(.corrupt, "\(what) is predicted from step \(r.step) of \(reader.path), which is of another kind") }
      return Link(reader: reader, field: field, stepIndex: index, decoder: try FieldDecoder(coding, grid: d.grid, type: d.type, components: d.components))
    }
  }

  /// Coefficients of streams at the last one or two steps of the chain, the newest first, one array per stream.
  ///
  /// - Parameter known: what an earlier call left; decoding goes on from there.
  /// - Parameter numbers: streams, and with each the box of its tile.
  /// - Throws: `Failure` for streams that cannot be decoded.
  func coefficients(of numbers: [(stream: Int, box: Box, component: Int)], known: DecodedSteps?, threads: Int) throws -> [[RawArray]] {
    var sets: [[RawArray]] = [], next = 0
    let streams = numbers.map(\.stream)
    if let known, known.streams == streams, let newest = known.newest, let i = links.firstIndex(where: { $0.isSame(newest) }) {
      sets = known.sets
      next = i + 1
    }
    for l in links[next...] {
      let bytes = try l.reader.readStreams(field: l.field, step: l.stepIndex, streams)
      let out = Slots<RawArray?>(numbers.count, nil), failures = Slots<(any Error)?>(numbers.count, nil)
      parallelFor(numbers.count, threads: threads) { i in
        do {
          out[i] = try l.decoder.coefficients(bytes[i], box: numbers[i].box, component: numbers[i].component, references: sets.map { $0[i] })
        } catch { failures[i] = error }
      }
      for i in numbers.indices { if let e = failures[i] { try corrupt("\(l.reader.path), step \(l.step), stream \(streams[i])") { throw e } } }
      sets = [out.array.map { $0! }] + sets.prefix(1)
    }
    return sets
  }
}

/// What decoding step after step of a field keeps on this rank, so that no chain is decoded twice: the coefficients of the last two steps.
final class DecodedSteps {
  fileprivate(set) var streams: [Int] = [], newest: StepChain.Link?, sets: [[RawArray]] = []

  /// Of steps whose predictions are not known yet.
  init() {}
  /// `nil` where no step of the field is predicted.
  init?(_ reader: ContainerReader, field: Int) throws {
    let predicted = try reader.fields[field].steps.indices.contains { s in
      try corrupt(reader.path) { try FieldCoding(serialised: reader.header(field: field, step: s)).prediction != nil }
    }
    if !predicted { return nil }
  }

  /// Takes a step just decoded.
  func keep(_ coefficients: [RawArray], of link: StepChain.Link, _ streams: [Int], before: [[RawArray]]) {
    self.streams = streams
    newest = link
    sets = [coefficients] + before.prefix(1)
  }
}
