import Fields
import Observables
import Statistics

/// What every observable must satisfy, on any domain: the same calls on all its participants.
public struct ObservableCase: Sendable, CustomStringConvertible {
  public let text: String
  public let components: Int
  public let grid: Grid
  public var coordinates = Coordinates.unit
  /// Every how many cells one is NaN; 0: none.
  public var masked = 0
  /// o is linear: central differences are exact.
  public var linear = false
  /// Added to the noise that fields are made of.
  public var offset = 0.0
  public init(text: String, components: Int, grid: Grid, coordinates: Coordinates = .unit, masked: Int = 0, linear: Bool = false, offset: Double = 0) {
    self.text = text; self.components = components; self.grid = grid; self.coordinates = coordinates
    self.masked = masked; self.linear = linear; self.offset = offset
  }
  public var description: String { "\(text) \(components)x\(grid.shape)\(masked > 0 ? " masked" : "")" }

  /// Noise of the cell's number, whatever the box.
  public func field(_ seed: UInt64, _ domain: any Domain, scale: Double = 1, offset: Double = 0, masked: Int = 0) -> FieldParts {
    (0..<components).map { c in
      var part = FieldPart(domain.box)
      Cells.forEach(domain.box) { i, k in
        let cell = domain.grid.box.offset(of: i)
        let noise = Double(SplitMix64.hash(seed, cell * 8 + c) >> 11) * 0x1p-52 - 1
        part.values[k] = masked > 0 && SplitMix64.hash(99, cell) % UInt64(masked) == 0 ? .nan : offset + scale * noise
      }
      return part
    }
  }
  public func field(at u: FieldParts, plus h: Double, _ v: FieldParts) -> FieldParts {
    zip(u, v).map { a, b in FieldPart(a.box, zip(a.values, b.values).map { $0 + h * $1 }) }
  }

  public struct Outcome: Sendable, Equatable {
    /// Own part of values, tangents, adjoints and curvatures, as bits and with the cells they belong to.
    public var values: [UInt64] = [], tangent: [UInt64] = [], adjoint: [[UInt64]] = [], fields: [[UInt64]] = []
    public var dotError = 0.0, dotBound = 0.0
    /// |o(u + h v) - o(u - h v) - 2 h J v| for h = 1e-2, 1e-3, and 2 h |J v|.
    public var differences: [Double] = [], sizes: [Double] = []
    public var scales: [Double] = []
    public var specification = ""
    public var curvatureError = 0.0
  }

  public func outcome(on domain: any Domain, catalogue: ObservableCatalogue = ObservableCatalogue()) throws -> Outcome {
    var o = try catalogue.observable(text)
    try o.check(components: components, grid: grid, coordinates: coordinates)
    let u = field(1, domain, offset: offset, masked: masked), v = field(2, domain)
    if let open = o as? any CalibratedObservable { o = try open.calibrated(to: u, on: domain) }
    var out = Outcome()
    out.specification = o.specification
    let value = try o.value(of: u, on: domain), jv = try o.tangent(at: u, along: v, on: domain)
    let w: ObservableValue
    switch value {
    case .vector(let x): w = .vector(x.indices.map { Double(SplitMix64.hash(3, $0) >> 11) * 0x1p-52 - 1 })
    case .field(let f):
      var c = self
      c = ObservableCase(text: text, components: f.count, grid: grid, coordinates: coordinates)
      w = .field(c.field(3, domain))
    }
    let jtw = try o.adjoint(at: u, of: w, on: domain)
    let left = try dot(jv, w, domain), right = try dot(.field(v), .field(jtw), domain)
    out.dotError = abs(left - right)
    out.dotBound = try 50 * 0x1p-53 * (norm(jv, domain) * norm(w, domain) + norm(.field(v), domain) * norm(.field(jtw), domain))
    for h in [1e-2, 1e-3] {
      let plus = try o.value(of: field(at: u, plus: h, v), on: domain), minus = try o.value(of: field(at: u, plus: -h, v), on: domain)
      out.differences.append(try norm(combined(combined(plus, minus, -1), jv, -2 * h), domain))
      out.sizes.append(try norm(plus, domain) + norm(minus, domain))
    }
    out.scales = try o.scales(of: value, on: domain)
    if let q = o as? any QuadraticObservable {
      // d/dh J(u + h v)^T w, by central differences.
      let h = 1e-3, plus = try o.adjoint(at: field(at: u, plus: h, v), of: w, on: domain)
      let minus = try o.adjoint(at: field(at: u, plus: -h, v), of: w, on: domain)
      let hv = try q.curvature(at: u, weights: w, appliedTo: v, on: domain)
      let error = combined(combined(.field(plus), .field(minus), -1), .field(hv), -2 * h)
      out.curvatureError = try norm(error, domain) / (2 * h * max(norm(.field(hv), domain), 1e-300))
    }
    (out.values, out.fields) = try bits(value, domain)
    out.tangent = try bits(jv, domain).vector
    out.fields += try bits(jv, domain).fields
    out.adjoint = try bits(.field(jtw), domain).fields
    return out
  }

  /// Fields on the whole grid, gathered, as bits.
  private func bits(_ value: ObservableValue, _ domain: any Domain) throws -> (vector: [UInt64], fields: [[UInt64]]) {
    switch value {
    case .vector(let v): return (v.map(\.bitPattern), [])
    case .field(let f):
      let boxes = try domain.gathered([domain.box.lower.z, domain.box.lower.y, domain.box.lower.x, domain.box.upper.z, domain.box.upper.y,
                                       domain.box.upper.x].map { Double($0) }).map { $0.map { Int($0) } }
      return ([], try f.map { part in
        var whole = [UInt64](repeating: 0, count: domain.grid.count)
        for (b, values) in zip(boxes, try domain.gathered(part.values)) {
          Cells.forEach(Box(lower: Index3(b[0], b[1], b[2]), upper: Index3(b[3], b[4], b[5]))) { i, k in
            whole[domain.grid.box.offset(of: i)] = values[k].bitPattern
          }
        }
        return whole
      })
    }
  }
  private func dot(_ a: ObservableValue, _ b: ObservableValue, _ domain: any Domain) throws -> Double {
    var sum = ExactSum()
    switch (a, b) {
    case (.vector(let x), .vector(let y)):
      for (p, q) in zip(x, y) { sum.add(p * q) }
      return sum.value
    case (.field(let f), .field(let g)):
      for (x, y) in zip(f, g) { for (p, q) in zip(x.values, y.values) { sum.add(p * q) } }
      return try domain.merged(sum).value
    default: return .nan
    }
  }
  private func norm(_ a: ObservableValue, _ domain: any Domain) throws -> Double { try dot(a, a, domain).squareRoot() }
  private func combined(_ a: ObservableValue, _ b: ObservableValue, _ factor: Double) -> ObservableValue {
    switch (a, b) {
    case (.vector(let x), .vector(let y)): .vector(zip(x, y).map { $0 + factor * $1 })
    case (.field(let f), .field(let g)): .field(zip(f, g).map { p, q in FieldPart(p.box, zip(p.values, q.values).map { $0 + factor * $1 }) })
    default: a
    }
  }
}

extension ObservableCase {
  private static let cube = Grid(shape: Index3(7, 6, 9), periodic: .init(true, true, true))
  private static let mixed = Grid(shape: Index3(5, 8, 7), periodic: .init(false, true, false))
  private static let flat = Grid(shape: Index3(1, 9, 11), dimensions: 2)
  private static let thin = Grid(shape: Index3(1, 2, 5), periodic: .init(true, false, true))
  private static let stretched = Coordinates([
    .positions([0, 0.5, 0.8, 2, 2.25]), .uniform(spacing: 0.7), .positions([0, 1, 3, 3.5, 4, 6, 7]),
  ])

  /// The catalogue on grids of odd extents, extents of 1 and 2, with faces, wrapped, stretched and masked.
  public static let all: [ObservableCase] = {
    var out: [ObservableCase] = []
    for name in ["gradient", "vorticity", "strain", "divergence", "field"] {
      out += [ObservableCase(text: name, components: 3, grid: cube, linear: true),
              ObservableCase(text: name, components: 3, grid: mixed, coordinates: stretched, linear: true),
              ObservableCase(text: name, components: 3, grid: mixed, coordinates: stretched, masked: 9, linear: true),
              ObservableCase(text: name, components: 2, grid: flat, linear: true),
              ObservableCase(text: name, components: 3, grid: thin, linear: true)]
    }
    for name in ["enstrophy", "totalenstrophy", "dissipation(nu=0.25)", "totaldissipation", "qcriterion", "kineticenergy"] {
      out += [ObservableCase(text: name, components: 3, grid: cube), ObservableCase(text: name, components: 2, grid: flat),
              ObservableCase(text: name, components: 3, grid: mixed, coordinates: stretched, masked: 9)]
    }
    for name in ["mean", "total", "box(size=3)", "box4", "region(1:5,2:6,0:4)", "roi(1:5,2:6,0:4)"] {
      out += [ObservableCase(text: name, components: 2, grid: cube, linear: true),
              ObservableCase(text: name, components: 1, grid: mixed, coordinates: stretched, masked: 7, linear: true)]
    }
    out += [
      ObservableCase(text: "mass", components: 1, grid: mixed, coordinates: stretched, linear: true),
      ObservableCase(text: "moments(order=4)", components: 2, grid: cube, offset: 0.4),
      ObservableCase(text: "moments(order=3)", components: 1, grid: mixed, coordinates: stretched, masked: 5, offset: 0.4),
      ObservableCase(text: "extremes(beta=5)", components: 2, grid: cube),
      ObservableCase(text: "extremes", components: 1, grid: mixed, coordinates: stretched, masked: 5),
      ObservableCase(text: "structure(p=2,r=1:3,epsilon=0)", components: 3, grid: cube),
      ObservableCase(text: "structure(p=3,r=2,epsilon=0.3)", components: 3, grid: mixed, masked: 8),
      ObservableCase(text: "structure(p=1,r=4,epsilon=0.3)", components: 1, grid: flat),
      ObservableCase(text: "structure(p=4,r=2)", components: 3, grid: thin),
      ObservableCase(text: "pdf(bins=12)", components: 2, grid: cube),
      ObservableCase(text: "pdf(of=gradient,bins=9,min=-30,max=30)", components: 3, grid: mixed, coordinates: stretched, masked: 9),
      ObservableCase(text: "pdf(of=gradient,bins=9)", components: 1, grid: flat),
      ObservableCase(text: "histogram(of=vorticity,bins=10)", components: 3, grid: cube),
      ObservableCase(text: "logpdf(bins=8)", components: 1, grid: cube, offset: 2.5),
      ObservableCase(text: "radial", components: 1, grid: flat, masked: 6, linear: true),
      ObservableCase(text: "radial(bins=5,width=1.5,centre=2.5:3:4)", components: 1, grid: mixed, coordinates: stretched, linear: true),
      ObservableCase(text: "vorticity(staggered=true)", components: 3, grid: mixed, coordinates: stretched, masked: 20, linear: true),
      ObservableCase(text: "kineticenergy(staggered=true)", components: 3, grid: cube),
      ObservableCase(text: "pdf(of=vorticity,bins=8,staggered=true)", components: 2, grid: flat),
    ]
    return out
  }()
}

public enum Cells {
  /// Every cell of a box and its offset.
  public static func forEach(_ box: Box, _ body: (Index3, Int) -> Void) {
    if box.isEmpty { return }
    var k = 0
    for z in box.lower.z..<box.upper.z { for y in box.lower.y..<box.upper.y { for x in box.lower.x..<box.upper.x {
      body(Index3(z, y, x), k)
      k += 1
    } } }
  }
}
