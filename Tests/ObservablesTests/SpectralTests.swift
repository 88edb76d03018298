import Fields
import Foundation
@testable import Observables
import Statistics
import Support
import Testing

/// Closed forms of spectra, and what every observable has to satisfy.
@Suite struct SpectralTests {
  static let periodic = Grid.Periodicity(true, true, true)
  static let grids = [
    Grid(shape: Index3(12, 10, 14), periodic: periodic), Grid(shape: Index3(9, 7, 15), periodic: periodic),
    Grid(shape: Index3(1, 16, 11), dimensions: 2, periodic: periodic), Grid(shape: Index3(1, 1, 30), dimensions: 1, periodic: periodic),
  ]
  static let uneven = Coordinates([.uniform(spacing: 0.5), .uniform(spacing: 1.25), .uniform(spacing: 0.7)])

  func vector(_ v: ObservableValue) -> [Double] { if case .vector(let a) = v { a } else { [] } }
  func field(_ v: ObservableValue) -> FieldParts { if case .field(let a) = v { a } else { [] } }
  func density(_ checks: ObservableChecks) -> FieldParts {
    checks.noise(components: 1, seed: 21).map { p in FieldPart(p.box, p.values.map { 3 + $0 }) }
  }

  static func all(components: Int, highest: Int, window: Window = .none) -> [any Observable] {
    let low: [any Observable] = [
      EnergySpectrum(window: window), EnergySpectrum(shells: 1...highest, logarithm: 1e-3, window: window),
      SpectralFilter(.band(1...highest), window: window), SpectralFilter(.potential, window: window),
    ]
    return components == 1 ? low + [LogPowerSpectrum(window: window), LogPowerSpectrum(epsilon: 0.1, shells: 0...highest, window: window)]
      : low + [CrossSpectrum(0, 1, window: window), CrossSpectrum(2, 2, shells: 1...highest, window: window)]
  }

  /// sum E_b = <|u|^2> / 2, and w = 1 gives u / N.
  @Test(arguments: grids, [Coordinates.unit, uneven]) func parseval(grid: Grid, coordinates: Coordinates) throws {
    let domain = SoleDomain(grid, coordinates: coordinates), checks = ObservableChecks(domain), u = checks.noise(components: 3, seed: 1)
    let spectrum = EnergySpectrum()
    let e = vector(try spectrum.value(of: u, on: domain)), mean = try checks.inner(.field(u), .field(u)) / Double(grid.count)
    #expect(abs(e.reduce(0, +) - mean / 2) <= 1e-14 * mean)
    let x = try spectrum.adjoint(at: u, of: .vector(e.map { _ in 1 }), on: domain)
    for (p, q) in zip(x, u) { for (a, b) in zip(p.values, q.values) { #expect(abs(a - b / Double(grid.count)) <= 4e-15 / Double(grid.count)) } }
    let cross = vector(try CrossSpectrum(0, 2).value(of: u, on: domain)).reduce(0, +)
    #expect(abs(cross - (try checks.inner(.field([u[0]]), .field([u[2]]))) / Double(grid.count)) <= 1e-14)
    // A whole band is the field, the potential's Laplacian symbol undoes it.
    let n = Wavenumbers(grid, coordinates).highest
    let bands = try (0...n).map { field(try SpectralFilter(.band($0...$0)).value(of: u, on: domain)) }
    for b in 0...n {
      let energy = try checks.inner(.field(bands[b]), .field(bands[b])) / Double(grid.count) / 2
      #expect(abs(energy - e[b]) <= 1e-14 * mean)
    }
  }

  /// A cos(kappa x): A^2 / 4 in shell kappa, 0 elsewhere; along every axis, of the longest axis' wavenumbers.
  @Test func singleMode() throws {
    let grid = Grid(shape: Index3(8, 12, 24), periodic: SpectralTests.periodic), domain = SoleDomain(grid), checks = ObservableChecks(domain)
    for (axis, j, shell) in [(2, 5, 5), (1, 2, 4), (0, 1, 3), (2, 0, 0), (0, 4, 12), (2, 12, 12)] {
      let u = checks.parts(components: 1) { _, i in 3 * cos(2 * Double.pi * Double(i[axis] * j) / Double(grid.shape[axis])) }
      let e = vector(try EnergySpectrum().value(of: u, on: domain))
      #expect(e.count == 14)
      let energy = j == 0 || 2 * j == grid.shape[axis] ? 4.5 : 2.25   // a constant and the Nyquist mode have no two halves
      for (b, v) in e.enumerated() { #expect(abs(v - (b == shell ? energy : 0)) <= 1e-14) }
    }
    // Spacing: an axis twice as long has half the lowest wavenumber.
    let stretched = SoleDomain(grid, coordinates: Coordinates([.uniform(spacing: 6), .uniform(spacing: 1), .uniform(spacing: 1)]))
    #expect(Wavenumbers(grid, stretched.coordinates).highest == 4)   // of 8 points on the longest axis
    let u = checks.parts(components: 1) { _, i in cos(2 * Double.pi * Double(i.x) / 24) }
    #expect(abs(vector(try EnergySpectrum().value(of: u, on: stretched))[2] - 0.25) <= 1e-15)
  }

  /// Taylor-Green: all energy, 1/8 per unit amplitude squared, at |kappa| = sqrt 3, that is shell 2; -laplacian is 3.
  @Test func taylorGreen() throws {
    let grid = Grid(shape: Index3(16, 16, 16), periodic: SpectralTests.periodic), d = 2 * Double.pi / 16
    let spacing = Coordinates.Axis.uniform(spacing: d)
    let domain = SoleDomain(grid, coordinates: Coordinates([spacing, spacing, spacing])), checks = ObservableChecks(domain)
    let u = checks.parts(components: 3) { c, i in
      let x = d * Double(i.x), y = d * Double(i.y), z = d * Double(i.z)
      return c == 0 ? sin(x) * cos(y) * cos(z) : c == 1 ? -cos(x) * sin(y) * cos(z) : 0
    }
    let e = vector(try EnergySpectrum().value(of: u, on: domain))
    for (b, v) in e.enumerated() { #expect(abs(v - (b == 2 ? 0.125 : 0)) <= 1e-15) }
    let phi = field(try SpectralFilter(.potential).value(of: u, on: domain)), band = field(try SpectralFilter(.band(2...2)).value(of: u, on: domain))
    for c in 0..<3 { for i in u[c].values.indices {
      #expect(abs(3 * phi[c].values[i] - u[c].values[i]) <= 1e-14 && abs(band[c].values[i] - u[c].values[i]) <= 1e-14)
    } }
    // Enstrophy over energy is kappa^2: 3 by the exact derivative (u = 3 phi, so u . -laplacian u = 3 u . u), times (sin h / h)^2 by the centred one.
    let energy = try checks.inner(.field(u), .field(u)) / Double(2 * grid.count)
    #expect(abs(try checks.inner(.field(u), .field(u)) / checks.inner(.field(u), .field(phi)) - 3) <= 1e-14)
    let enstrophy = vector(try ObservableCatalogue().observable("totalenstrophy").value(of: u, on: domain))[0]
    #expect(abs(enstrophy / energy - 3 * pow(sin(d) / d, 2)) <= 1e-14)
  }

  @Test(arguments: grids, [1, 3]) func adjoints(grid: Grid, components: Int) throws {
    for window in Window.allCases {
      var grid = grid
      if window == .hann { grid.periodic.x = false; grid.periodic.z = false }
      let domain = SoleDomain(grid, coordinates: SpectralTests.uneven), checks = ObservableChecks(domain)
      let u = components == 1 ? density(checks) : checks.noise(components: components, seed: 3)
      for o in SpectralTests.all(components: components, highest: 3, window: window) {
        try o.check(components: components, grid: grid, coordinates: domain.coordinates)
        for seed in 1...3 as ClosedRange<UInt64> { #expect(try checks.adjointError(o, at: u, seed: seed) <= 50, "\(o.specification)") }
        let s = try o.scales(of: o.value(of: u, on: domain), on: domain)
        #expect(!s.isEmpty && s.allSatisfy { $0 > 0 })
      }
    }
  }

  /// Slope 3 where there is a third derivative; for linear and quadratic observables central differences are exact.
  @Test func differences() throws {
    let domain = SoleDomain(SpectralTests.grids[0]), checks = ObservableChecks(domain)
    for components in [1, 3] {
      let u = components == 1 ? density(checks) : checks.noise(components: 3, seed: 4)
      for o in SpectralTests.all(components: components, highest: 4) {
        let curved = o is LogPowerSpectrum || (o as? EnergySpectrum)?.epsilon != nil
        let e = try checks.differenceErrors(o, at: u, seed: 5, steps: curved ? [4e-2, 4e-3] : [1e-2, 1e-3, 1e-4])
        if curved { #expect(abs(log10(e[0] / e[1]) - 3) <= 0.2, "\(o.specification) \(e)") } else { #expect(e.allSatisfy { $0 <= 1e-14 }, "\(o.specification) \(e)") }
      }
    }
  }

  @Test func refusals() throws {
    let grid = Grid(shape: Index3(8, 8, 8)), wrapped = Grid(shape: Index3(8, 8, 8), periodic: SpectralTests.periodic)
    func message(_ o: some Observable, _ components: Int, _ grid: Grid, _ c: Coordinates = .unit) -> String? {
      do { try o.check(components: components, grid: grid, coordinates: c); return nil } catch { return "\(error)" }
    }
    #expect(message(EnergySpectrum(), 3, grid) == "spectrum needs periodic axes; give --window hann")
    #expect(message(EnergySpectrum(window: .hann), 3, grid) == nil)
    #expect(message(EnergySpectrum(shells: 1...4), 3, wrapped) == nil)
    #expect(message(EnergySpectrum(shells: 1...5), 3, wrapped) == "spectrum: shell 5 lies beyond the Nyquist shell 4 of the field")
    #expect(message(SpectralFilter(.band(2...9)), 3, wrapped) == "band: shell 9 lies beyond the Nyquist shell 4 of the field")
    #expect(message(CrossSpectrum(0, 3), 3, wrapped) == "cross: the field has 3 components, numbered from 0; there is no 3")
    #expect(message(LogPowerSpectrum(), 3, wrapped) == "logpower needs a field of one component, a density")
    #expect(message(EnergySpectrum(), 1, wrapped, Coordinates([.uniform(spacing: 1), .uniform(spacing: 1), .positions([0, 1, 3])]))
            == "spectrum needs uniform spacing along every axis")
    let domain = SoleDomain(wrapped)
    #expect(throws: ObservableError.self) { try LogPowerSpectrum().value(of: ObservableChecks(domain).noise(components: 1, seed: 1), on: domain) }
  }

  @Test func specificationsParseBack() throws {
    for o in SpectralTests.all(components: 1, highest: 3, window: .hann) + SpectralTests.all(components: 3, highest: 2) {
      let text = o.specification, open = text.firstIndex(of: "(")!
      let pairs = text[text.index(after: open)...].dropLast().split(separator: ",").map { $0.split(separator: "=").map { String($0) } }
      let parameters = Dictionary(uniqueKeysWithValues: pairs.map { ($0[0], $0[1]) })
      let back = try #require(try SpectralObservables.observable(named: String(text[..<open]), parameters))
      #expect(back.specification == text && !back.units.isEmpty)
    }
    #expect(try SpectralObservables.observable(named: "enstrophy", [:]) == nil)
    for (name, p) in [("spectrum", ["shell": "1:2"]), ("spectrum", ["shells": "2:1"]), ("band", [:]), ("logpower", ["epsilon": "0"]), ("cross", ["first": "x", "second": "1"])] {
      #expect(throws: ObservableError.self) { try SpectralObservables.observable(named: name, p) }
    }
  }

  /// Halos wrap, may exceed the grid, and their adjoint is one; shifts are halos.
  @Test func halos() throws {
    var grid = Grid(shape: Index3(3, 4, 5), periodic: SpectralTests.periodic)
    for wrap in [true, false] {
      grid.periodic.x = wrap
      let domain = SoleDomain(grid), checks = ObservableChecks(domain), u = checks.noise(components: 2, seed: 1)
      for width in [0, 1, 4, 7] {
        let h = try domain.haloed(u, width: width), b = domain.haloBox(width)
        #expect(h.allSatisfy { $0.box == b })
        let expected = checks.parts(components: 2, on: b) { c, i in
          u[c].values[grid.box.offset(of: Index3((i.z + 21) % 3, (i.y + 28) % 4, (i.x + 35) % 5))]
        }
        for (p, q) in zip(h, expected) { #expect(p.values == q.values) }
        let w = h.map { FieldPart($0.box, $0.values.indices.map { Double($0 % 17) - 8 }) }   // exact sums
        let back = try domain.accumulated(w, width: width)
        #expect(abs(try checks.inner(.field(h), .field(w)) - checks.inner(.field(u), .field(back))) <= 1e-11)
      }
      let s = try domain.shifted(u, by: Index3(-1, 6, wrap ? 3 : 0))
      #expect(s[0].values[grid.box.offset(of: Index3(2, 1, 4))] == u[0].values[grid.box.offset(of: Index3(1, 3, wrap ? 2 : 4))])
    }
  }
}
