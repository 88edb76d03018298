import HDF5

/// What a simulation tells beside its fields, carried in every step's container: coordinates, attributes, centring.
public struct StepCarry: Sendable {
  public enum Value: Equatable, Sendable { case text(String), numbers([Double]) }
  public struct Attribute: Equatable, Sendable {
    public var name: String, value: Value
    public init(name: String, value: Value) { self.name = name; self.value = value }
  }
  public struct Dataset: Sendable {
    public var description: FieldDescription, attributes: [Attribute]
    public init(description: FieldDescription, attributes: [Attribute]) { self.description = description; self.attributes = attributes }
  }
  public struct Coordinate: Equatable, Sendable {
    /// Letter of the axis.
    public var axis: String
    public var values: [Double]
    public init(axis: String, values: [Double]) { self.axis = axis; self.values = values }
  }

  /// One per dataset: the components of a vector field stand alone.
  public var datasets: [Dataset] = []
  public var coordinates: [Coordinate] = []
  /// Of the whole file.
  public var attributes: [Attribute] = []
  public init() {}

  /// A compressed HDF5 file of all this, as `ContainerWriter.commit` takes it; equal input gives equal bytes.
  public func encode() throws -> [UInt8] {
    let file = try File.create("carry", inMemory: true)
    let root = try file.object("/")
    for a in attributes { try write(a, to: root) }
    for c in coordinates {
      try writeNumbers(in: file, c.axis, shape: [c.values.count], c.values)
      let scale = try file.object("/" + c.axis)
      try scale.write("CLASS", "DIMENSION_SCALE")
      try scale.write("NAME", c.axis)
    }
    for d in datasets {
      let f = d.description, dataset = try createNumbers(in: file, f.name, shape: f.shape, double: f.type == .float64)
      try dataset.write("dims", f.axes.map { $0 == "c" ? "component" : String($0) }.joined(separator: ","))
      let spatial = Array(f.spatialAxes)
      let wraps = spatial.enumerated().filter { f.grid.periodic[3 - spatial.count + $0.offset] }.map { String($0.element) }
      try dataset.write("periodic", wraps.isEmpty ? "none" : wraps.joined(separator: " "))
      if !f.units.isEmpty { try dataset.write("units", f.units) }
      for a in d.attributes { try write(a, to: dataset) }
    }
    return try Carry.compress(file.image())
  }

  private func write(_ a: Attribute, to object: Handle) throws {
    switch a.value {
    case .text(let t): try object.write(a.name, t)
    case .numbers(let v): try object.write(a.name, v)
    }
  }

  /// Reads what a container carries: attributes of texts and numbers, and the positions along the axes of `fields`.
  ///
  /// Works for what `compress` carried of a file too; attributes of other kinds are left out.
  /// - Parameter carry: `ContainerReader.carry()`; may be empty.
  public init(_ carry: [UInt8], of fields: [FieldDescription], file path: String) throws {
    guard !carry.isEmpty else { return }
    let file = try File.open(image: Carry.expand(carry, file: path))
    attributes = StepCarry.attributes(of: try file.object("/"))
    for f in fields.flatMap(\.stored) {
      guard let dataset = try? file.object("/" + f.name) else { continue }
      datasets.append(Dataset(description: f, attributes: StepCarry.attributes(of: dataset)))
      let scales = dataset.scalePaths(rank: f.shape.count)
      for (p, letter) in f.axes.enumerated() where letter != "c" && !coordinates.contains(where: { $0.axis == String(letter) }) {
        guard let scale = try? file.object(scales?[p] ?? "/\(letter)"), (try? scale.shape()) == [f.shape[p]], let v = scale.values() else { continue }
        coordinates.append(Coordinate(axis: String(letter), values: v))
      }
    }
  }

  private static func attributes(of object: Handle) -> [Attribute] {
    object.attributeNames().compactMap { name in
      if let t = object.strings(name) { return Attribute(name: name, value: .text(t.joined(separator: ","))) }
      return object.numbers(name).map { Attribute(name: name, value: .numbers($0)) }
    }
  }
}
