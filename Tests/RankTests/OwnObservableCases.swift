import Compressor
import Fields
import HDF5
import MPI
import Observables
import Reduction
import Statistics
import Support

/// <u^3> of each component, as somebody outside would write it.
private struct CubeMeans: Observable {
  let factor: Double
  var specification: String { "cubes(factor=\(factor))" }
  var units: String { "field^3" }
  private func means(_ terms: (Int) -> [Double], _ n: Int, on domain: any Domain) throws -> ObservableValue {
    .vector(try domain.merged((0..<n).map { c in
      var sum = ExactSum()
      for t in terms(c) { sum.add(t) }
      return sum
    }).map { factor * $0.value / Double(domain.grid.count) })
  }
  func value(of u: FieldParts, on domain: any Domain) throws -> ObservableValue {
    try means({ u[$0].values.map { $0 * $0 * $0 } }, u.count, on: domain)
  }
  func tangent(at u: FieldParts, along v: FieldParts, on domain: any Domain) throws -> ObservableValue {
    try means({ c in zip(u[c].values, v[c].values).map { 3 * $0 * $0 * $1 } }, u.count, on: domain)
  }
  func adjoint(at u: FieldParts, of w: ObservableValue, on domain: any Domain) throws -> FieldParts {
    guard case .vector(let w) = w else { preconditionFailure("a vector") }
    return zip(u, w).map { p, w in FieldPart(p.box, p.values.map { 3 * factor * w * $0 * $0 / Double(domain.grid.count) }) }
  }
  func scales(of value: ObservableValue, on domain: any Domain) throws -> [Double] {
    guard case .vector(let v) = value else { preconditionFailure("a vector") }
    return v.map { max(abs($0), 1e-300) }
  }
  func check(components: Int, grid: Grid, coordinates: Coordinates) throws {}
}

/// A Swift type named in a job like any other, and weights from a file, dense and for few cells, that say what a mean over a region says.
func ownObservables(_ ranks: borrowing Communicator) throws -> String {
  let folder = try ContainerSnapshotCases.folder("own", ranks), shape = Index3(20, 24, 32), grid = Grid(shape: shape)
  let cells = shape.product, inside = Box(lower: Index3(2, 3, 4), upper: Index3(7, 9, 8))
  var places: [Index3] = []
  Cells.forEach(grid.box) { i, _ in places.append(i) }
  let u = places.map { 2 + SyntheticField.waves(seed: 3).value($0, shape) }
  let path = folder + "/u.h5", weights = folder + "/w.h5", isFirst = ranks.rank == 0
  try ranks.agree {
    guard isFirst else { return }
    let file = try File.create(path)
    try writeNumbers(in: file, "u", shape: [shape.z, shape.y, shape.x], u)
    try file.close()
    let list = try File.create(weights), part = 1 / Double(inside.count), chosen = places.enumerated().filter { inside.contains($0.element) }.map(\.offset)
    var dense = [Double](repeating: 0, count: 2 * cells)
    for i in chosen { dense[i] = part; dense[cells + i] = -2 * part }
    try writeNumbers(in: list, "dense", shape: [2, shape.z, shape.y, shape.x], dense)
    try writeNumbers(in: list, "few/value", shape: [2 * chosen.count], chosen.map { _ in 0.0 } + chosen.map { _ in 1.0 })
    try writeNumbers(in: list, "few/cell", shape: [2 * chosen.count], (chosen + chosen).map(Double.init))
    try writeNumbers(in: list, "few/weight", shape: [2 * chosen.count], chosen.map { _ in part } + chosen.map { _ in -2 * part })
    try list.close()
  }
  var observe = ObserveOptions()
  observe.kinds = [ObservableKind("cubes", "mean cubes", [.init("factor", "1", "a factor")]) { CubeMeans(factor: try $0.positive("factor") ?? 1) }]
  observe.specifications = ["cubes(factor=2)", "weights:\(weights):dense", "weights:\(weights):few", "region(2:7,3:9,4:8)"]
  var o = CompareOptions(first: path, second: path)
  o.observe = observe
  let same = try compare(o, ranks: ranks) { _ in }.result.fields[0].observables
  var a = AlignOptions(input: path, bound: .psnr(60))
  a.observe = observe
  let told = try align(a, ranks: ranks) { _ in }.result.fields[0].observables
  let cubes = 2 * u.reduce(0) { $0 + $1 * $1 * $1 } / Double(cells), region = same[3].original
  try ranks.agree {
    try expect(same.count == 4 && told.count == 4 && same.allSatisfy { $0.error == 0 }, "\(same)")
    try expect(same[0].name.hasPrefix("cubes(factor=2") && abs(same[0].original / cubes - 1) < 1e-13, "\(same[0].original) for \(cubes)")
    // Root mean square of m and -2 m.
    for k in 1...2 { try expect(abs(same[k].original / (2.5.squareRoot() * abs(region)) - 1) < 1e-13, "\(same[k].original) beside \(region)") }
    for t in told { try expect(t.predictedError > 0 && (t.alignment?.cv2 ?? 0) > 0, "\(t)") }
    // Random cotangents on one side, closed forms on the other.
    for k in 1...2 { try expect(abs(told[k].predictedError / told[3].predictedError - 1) < 0.5, "\(told[k].predictedError) beside \(told[3].predictedError)") }
  }
  try withRankDomain(grid, ranks: ranks) { domain in
    let checks = ObservableChecks(domain), v = checks.noise(components: 2, seed: 4), error = try checks.adjointError(CubeMeans(factor: 3), at: v, seed: 5)
    try domain.agree { try expect(error <= 50, "adjoint off by \(error) units") }
  }
  try ContainerSnapshotCases.remove(folder, ranks)
  return told.flatMap { [$0.predictedError, $0.alignment!.cv2, $0.alignment!.predictedCostDB] }.map { String($0.bitPattern, radix: 16) }.joined(separator: " ")
}
