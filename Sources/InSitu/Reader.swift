import CAlidade
import Compressor
import Fields
import Foundation
import Glibc
import MPI
import SnapshotIO

/// A series or a single container, read by this process alone.
final class Reader {
  struct Step { let number: Int, time: Double, entry: SeriesIndex.Entry? }

  let path: String
  private let series: SeriesFolder?
  private(set) var steps: [Step] = []
  private var container: ContainerReader?
  /// The container of the step that was looked at last.
  private var latest: (position: Int, container: ContainerReader)?
  /// C strings handed out, by content.
  private var texts: [String: UnsafeMutablePointer<CChar>] = [:]
  private var description: UnsafeMutablePointer<CChar>?
  var lastError = ""

  init(_ path: String) throws {
    self.path = path
    var s = stat()
    guard stat(path, &s) == 0 else { throw SnapshotError(.cannotOpen, file: path, String(cString: strerror(errno))) }
    guard s.st_mode & S_IFMT == S_IFDIR else {
      series = nil
      let c = try ContainerReader.open(path, ranks: .alone())
      container = c
      let all = Set(c.fields.flatMap(\.steps)).sorted(), d = try c.fields.map { try Reader.described($0, path) }
      steps = all.map { n in
        let times = d.lazy.compactMap { f in f.times.flatMap { t in let i = f.timeAxis == nil ? 0 : n; return i < t.count ? t[i] : nil } }
        return Step(number: n, time: times.first ?? .nan, entry: nil)
      }
      return
    }
    series = SeriesFolder(path)
    guard series!.exists else { throw SnapshotError(.notContainer, file: path, "is a directory without the index of a series") }
    try refresh()
  }
  deinit {
    for t in texts.values { free(t) }
    free(description)
  }

  /// Takes notice of steps that were added.
  func refresh() throws {
    guard let series else { return }
    steps = try series.index().entries.map { Step(number: $0.step, time: $0.time, entry: $0) }
    latest = nil
  }

  func step(_ position: Int) throws -> Step {
    guard steps.indices.contains(position) else { throw InSituError(ALD_USAGE, "\(path) has \(steps.count) steps; there is no position \(position)") }
    return steps[position]
  }

  private static func described(_ f: ContainerReader.Field, _ path: String) throws -> FieldDescription {
    guard let d = FieldDescription(f.description) else { throw SnapshotError(.badDirectory, file: path, dataset: f.name, "has a description this version cannot read") }
    return d
  }

  func container(_ position: Int) throws -> ContainerReader {
    let s = try step(position)
    if let container { return container }
    if let latest, latest.position == position { return latest.container }
    try series!.check(s.entry!)
    let c = try ContainerReader.open(series!.containerPath(of: s.entry!), ranks: .alone())
    latest = (position, c)
    return c
  }

  /// Fields that have the step, with where they stand in the container.
  func fields(_ position: Int) throws -> [(description: FieldDescription, field: Int, stepIndex: Int)] {
    let c = try container(position), number = try step(position).number
    return try c.fields.enumerated().compactMap { i, f in
      try f.steps.firstIndex(of: number).map { (try Reader.described(f, c.path), i, $0) }
    }
  }

  func field(_ position: Int, _ number: Int) throws -> (description: FieldDescription, field: Int, stepIndex: Int) {
    let all = try fields(position)
    guard all.indices.contains(number) else { throw InSituError(ALD_USAGE, "\(path): step \(steps[position].number) has \(all.count) fields, none of number \(number)") }
    return all[number]
  }

  /// Field and component of a name: that of a field, or of a component that is a dataset of its own.
  func find(_ position: Int, _ name: String) throws -> (Int, Int) {
    let all = try fields(position)
    if let i = all.firstIndex(where: { $0.description.name == name }) { return (i, 0) }
    for (i, f) in all.enumerated() { if let c = f.description.datasets.firstIndex(of: name) { return (i, c) } }
    let names = all.flatMap { [$0.description.name] + $0.description.datasets }
    throw InSituError(ALD_USAGE, "\(path): step \(steps[position].number) has no field \(name); there are \(names.joined(separator: ", "))")
  }

  /// - Parameter region: nil: the whole grid.
  func read(_ position: Int, field number: Int, component: Int, region: Box?, into out: UnsafeMutableRawPointer) throws {
    let f = try field(position, number)
    guard (0..<f.description.components).contains(component) else {
      throw InSituError(ALD_USAGE, "\(f.description.name) has \(f.description.components) components, none of number \(component)")
    }
    let values = try decodeRegion(try container(position), field: f.field, stepIndex: f.stepIndex, region: region ?? f.description.grid.box)[component]
    out.copyMemory(from: values.pointer, byteCount: values.byteCount)
  }

  /// Everything about a step, as JSON with sorted keys.
  func describe(_ position: Int) throws -> UnsafePointer<CChar> {
    let s = try step(position), c = try container(position), all = try fields(position)
    let carry = try StepCarry(try c.carry(), of: all.map(\.description), file: c.path)
    func number(_ v: Double) -> Any { v.isFinite ? v : NSNull() }
    func attributes(_ list: [StepCarry.Attribute]) -> [String: Any] {
      Dictionary(list.map { a in
        switch a.value {
        case .text(let t): (a.name, t as Any)
        case .numbers(let v): (a.name, v.count == 1 ? number(v[0]) : v.map(number))
        }
      }) { $1 }
    }
    var fields: [[String: Any]] = []
    for f in all {
      let d = f.description, stored = c.stored(field: f.field, step: f.stepIndex)
      fields.append([
        "name": d.name, "type": d.type.name, "axes": d.axes.filter { $0 != "t" }.map { String($0) },
        "shape": d.axes.enumerated().filter { $0.element != "t" }.map { d.shape[$0.offset] }, "components": d.components, "datasets": d.datasets,
        "periodic": (3 - d.grid.dimensions..<3).map { d.grid.periodic[$0] }, "units": d.units, "stored_bytes": stored.total,
        "attributes": Dictionary(d.stored.map { s in (s.name, attributes(carry.datasets.first { $0.description.name == s.name }?.attributes ?? [])) }) { $1 },
      ])
    }
    let whole: [String: Any] = [
      "step": s.number, "time": number(s.time), "fields": fields, "attributes": attributes(carry.attributes),
      "coordinates": Dictionary(carry.coordinates.map { ($0.axis, $0.values.map(number)) }) { $1 },
    ]
    let text = try JSONSerialization.data(withJSONObject: whole, options: [.sortedKeys, .withoutEscapingSlashes])
    free(description)
    description = strdup(String(decoding: text, as: UTF8.self))
    return UnsafePointer(description!)
  }

  /// A C string that lives as long as the reader.
  func text(_ s: String) -> UnsafePointer<CChar> {
    if let known = texts[s] { return UnsafePointer(known) }
    let t = strdup(s)!
    texts[s] = t
    return UnsafePointer(t)
  }
}
