public import Fields

/// A named array of a snapshot: where its axes lie, what its values mean.
///
/// Equal on all ranks; `encode` gives the bytes kept in a container (docs/format.md section 5).
public struct FieldDescription: Hashable, Sendable {
  /// Path of the dataset without the leading slash, or a variable's name.
  public var name: String
  public var type: ScalarType
  /// Extents of all axes as stored, C order.
  public var shape: [Int]
  /// One letter of t, c, z, y, x per storage axis.
  public var axes: String
  /// Spatial axes in storage order, padded in front with extents of 1.
  public var grid: Grid
  /// Times of the steps, where the file gives them.
  public var times: [Double]?
  /// Bit patterns (in the width of `type`) that mark missing values, beside NaN.
  public var fillValues: [UInt64]
  public var units: String
  /// Where each component is a dataset of its own: their names; `axes` then begins with c. Else empty.
  public var datasets: [String]

  /// - Precondition: `axes` has one letter per entry of `shape`, one to three of them spatial, none twice.
  public init(name: String, type: ScalarType, shape: [Int], axes: String, periodic: Grid.Periodicity = .none,
              times: [Double]? = nil, fillValues: [UInt64] = [], units: String = "", datasets: [String] = []) {
    precondition(axes.utf8.count == shape.count && (datasets.isEmpty || (axes.first == "c" && shape[0] == datasets.count)))
    self.datasets = datasets
    self.name = name; self.type = type; self.shape = shape; self.axes = axes
    self.times = times; self.fillValues = fillValues; self.units = units
    let spatial = zip(axes, shape).filter { $0.0 != "t" && $0.0 != "c" }.map(\.1)
    precondition((1...3).contains(spatial.count))
    let padded = [Int](repeating: 1, count: 3 - spatial.count) + spatial
    grid = Grid(shape: Index3(padded[0], padded[1], padded[2]), dimensions: spatial.count, periodic: periodic)
  }

  /// Letters of the spatial axes in storage order, 1 to 3 of them.
  public var spatialAxes: String { axes.filter { $0 != "t" && $0 != "c" } }
  /// Storage positions of the spatial axes.
  public var spatialPositions: [Int] { axes.enumerated().filter { $0.element != "t" && $0.element != "c" }.map(\.offset) }
  public var componentAxis: Int? { position(of: "c") }
  public var timeAxis: Int? { position(of: "t") }
  public var components: Int { componentAxis.map { shape[$0] } ?? 1 }
  public var steps: Int { timeAxis.map { shape[$0] } ?? 1 }
  /// Values per step, all components.
  public var valuesPerStep: Int { grid.count * components }
  private func position(of letter: Character) -> Int? { axes.enumerated().first { $0.element == letter }?.offset }

  /// The dataset of each component where those are several, else the field itself.
  public var stored: [FieldDescription] {
    datasets.isEmpty ? [self] : datasets.map {
      FieldDescription(name: $0, type: type, shape: Array(shape.dropFirst()), axes: String(axes.dropFirst()), periodic: grid.periodic,
                       times: times, fillValues: fillValues, units: units)
    }
  }

  /// Scalar fields as the components of one; values missing in any are missing values of it.
  ///
  /// - Throws: `SnapshotError` where they differ in type, extents, axes, periodicity or times, or one has components.
  init(name: String, components: [FieldDescription], file: String) throws {
    let first = components[0]
    for f in components {
      if let axis = f.componentAxis {
        throw SnapshotError(.sizeMismatch, file: file, dataset: f.name, "has \(f.shape[axis]) components itself; --vector \(name) takes scalar datasets")
      }
      var like = f
      like.name = first.name; like.fillValues = first.fillValues; like.units = first.units
      guard like == first else {
        throw SnapshotError(.sizeMismatch, file: file, dataset: f.name, "(\(f)) differs from \(first) in type, extents, axes, periodicity or times; --vector \(name) takes equal ones")
      }
    }
    self.init(name: name, type: first.type, shape: [components.count] + first.shape, axes: "c" + first.axes, periodic: first.grid.periodic,
              times: first.times, fillValues: Set(components.flatMap(\.fillValues)).sorted(),
              units: components.allSatisfy { $0.units == first.units } ? first.units : "", datasets: components.map(\.name))
  }

  /// Start and count per storage axis of a box of one step and component.
  func slab(step: Int, component: Int, box: Box) -> (start: [Int], count: [Int]) {
    var start = [Int](repeating: 0, count: shape.count), count = [Int](repeating: 1, count: shape.count)
    if let t = timeAxis { start[t] = step }
    if let c = componentAxis { start[c] = component }
    let s = spatialPositions, shape = box.shape
    for (i, p) in s.enumerated() { start[p] = box.lower[3 - s.count + i]; count[p] = shape[3 - s.count + i] }
    return (start, count)
  }

  /// Distance in elements between neighbours along each storage axis.
  var strides: [Int] {
    var s = [Int](repeating: 1, count: shape.count)
    for i in stride(from: shape.count - 2, through: 0, by: -1) { s[i] = s[i + 1] * shape[i + 1] }
    return s
  }

  /// The same field with other spatial extents (a region, a coarser level).
  public func resized(to shape: Index3, periodic: Grid.Periodicity = .none) -> FieldDescription {
    var all = self.shape
    let s = spatialPositions
    for (i, p) in s.enumerated() { all[p] = shape[3 - s.count + i] }
    return FieldDescription(name: name, type: type, shape: all, axes: axes, periodic: periodic, times: times,
                            fillValues: fillValues, units: units, datasets: datasets)
  }

  public func encode() -> [UInt8] {
    var w = ByteWriter()
    w.text(name); w.fixed(type.rawValue); w.text(axes)
    for n in shape { w.number(n) }
    w.fixed(UInt8((grid.periodic.z ? 1 : 0) | (grid.periodic.y ? 2 : 0) | (grid.periodic.x ? 4 : 0) | (datasets.isEmpty ? 0 : 8)))
    w.number(fillValues.count)
    for v in fillValues { w.fixed(v) }
    w.text(units)
    w.number(times.map { $0.count + 1 } ?? 0)
    for t in times ?? [] { w.fixed(t.bitPattern) }
    for d in datasets { w.text(d) }
    return w.bytes
  }

  /// nil for bytes that no `encode` wrote.
  public init?(_ bytes: [UInt8]) { var r = ByteReader(bytes); self.init(&r); if !r.isAtEnd { return nil } }

  init?(_ r: inout ByteReader) {
    guard let name = r.text(), let t = r.fixed(UInt8.self), let type = ScalarType(rawValue: t), let axes = r.text(),
          axes.utf8.count <= 5, axes.allSatisfy({ "tczyx".contains($0) }), Set(axes).count == axes.count,
          (1...3).contains(axes.filter { $0 != "t" && $0 != "c" }.count) else { return nil }
    var shape: [Int] = [], cells = 1
    for _ in axes {
      guard let n = r.number(), n > 0 else { return nil }
      let (product, overflow) = cells.multipliedReportingOverflow(by: n)
      guard !overflow, product < 1 << 56 else { return nil }
      cells = product; shape.append(n)
    }
    guard let p = r.fixed(UInt8.self), let fills = r.number(), fills <= r.bytes.count else { return nil }
    var fillValues: [UInt64] = []
    for _ in 0..<fills { guard let v = r.fixed(UInt64.self) else { return nil }; fillValues.append(v) }
    guard let units = r.text(), let n = r.number(), n <= r.bytes.count else { return nil }
    var times: [Double]? = n == 0 ? nil : []
    for _ in 0..<max(0, n - 1) { guard let v = r.fixed(UInt64.self) else { return nil }; times!.append(Double(bitPattern: v)) }
    var datasets: [String] = []
    if p & 8 != 0 {
      guard axes.first == "c", shape[0] <= r.bytes.count else { return nil }
      for _ in 0..<shape[0] { guard let d = r.text() else { return nil }; datasets.append(d) }
    }
    self.init(name: name, type: type, shape: shape, axes: axes, periodic: .init(p & 1 != 0, p & 2 != 0, p & 4 != 0),
              times: times, fillValues: fillValues, units: units, datasets: datasets)
  }
}

extension FieldDescription: CustomStringConvertible {
  public var description: String {
    "\(name): \(type.name) [\(zip(axes, shape).map { "\($0)=\($1)" }.joined(separator: ", "))]"
  }
}
