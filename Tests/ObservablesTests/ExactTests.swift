import Fields
import Foundation
import Observables
import Support
import Testing

/// A field by its value at a position (z, y, x in cells).
private func field(_ domain: any Domain, _ f: (Double, Double, Double) -> Double) -> FieldPart {
  var part = FieldPart(domain.box)
  Cells.forEach(domain.box) { i, k in part.values[k] = f(Double(i.z), Double(i.y), Double(i.x)) }
  return part
}
private func made(_ text: String) throws -> any Observable { try ObservableCatalogue().observable(text) }
private func vector(_ v: ObservableValue) -> [Double] { if case .vector(let x) = v { x } else { [] } }
private func parts(_ v: ObservableValue) -> FieldParts { if case .field(let x) = v { x } else { [] } }

@Suite struct ExactValues {
  static let open = Grid(shape: Index3(5, 6, 7))

  @Test func rigidRotationHasTwiceItsRateAsVorticity() throws {
    _ = try SplitWorld(Self.open, participants: 4).run { d in
      // u = Omega x r about z, Omega = 1.5.
      let u = [field(d) { _, y, _ in -1.5 * y }, field(d) { _, _, x in 1.5 * x }, field(d) { _, _, _ in 4 }]
      let w = parts(try made("vorticity").value(of: u, on: d))
      #expect(w[0].values.allSatisfy { $0 == 0 } && w[1].values.allSatisfy { $0 == 0 } && w[2].values.allSatisfy { $0 == 3 })
      #expect(parts(try made("strain").value(of: u, on: d)).allSatisfy { $0.values.allSatisfy { $0 == 0 } })
      #expect(vector(try made("totalenstrophy").value(of: u, on: d)) == [4.5])
      #expect(parts(try made("qcriterion").value(of: u, on: d))[0].values.allSatisfy { $0 == 2.25 })
    }
  }

  @Test func derivativesAreExactForQuadratics() throws {
    let x = [0, 1, 3, 3.5, 4, 6, 7.0]
    let coordinates = Coordinates([.uniform(spacing: 1), .uniform(spacing: 0.5), .positions(x)])
    _ = try SplitWorld(Self.open, coordinates, participants: 8).run { d in
      let u = [field(d) { _, y, i in x[Int(i)] * x[Int(i)] - 3 * (0.5 * y) * (0.5 * y) }]
      let g = parts(try made("gradient").value(of: u, on: d))
      let dx = field(d) { _, _, i in 2 * x[Int(i)] }, dy = field(d) { _, y, _ in -6 * 0.5 * y }
      for (a, b) in zip(g[0].values + g[1].values, dx.values + dy.values) { #expect(abs(a - b) < 1e-12) }
    }
  }

  @Test func densitiesSumToOne() throws {
    let c = ObservableCase(text: "pdf(bins=12)", components: 2, grid: Self.open, masked: 7)
    _ = try SplitWorld(c.grid, participants: 2).run { d in
      let u = c.field(1, d, masked: 7), v = c.field(2, d)
      let o = try #require(made(c.text) as? any CalibratedObservable).calibrated(to: u, on: d)
      let p = vector(try o.value(of: u, on: d)), dp = vector(try o.tangent(at: u, along: v, on: d))
      let a = try ObservableCatalogue().parse(o.specification).arguments
      let h = (Double(a.first { $0.key == "max" }!.value)! - Double(a.first { $0.key == "min" }!.value)!) / 12
      #expect(abs(p.reduce(0, +) * h - 1) < 1e-13 && abs(dp.reduce(0, +)) < 1e-12 && p.count == 16)
    }
  }

  @Test func secondStructureFunctionIsTheCorrelation() throws {
    let grid = Grid(shape: Index3(1, 1, 16), dimensions: 1, periodic: .init(true, true, true))
    let c = ObservableCase(text: "", components: 1, grid: grid)
    _ = try SplitWorld(grid, participants: 2).run { d in
      let u = c.field(1, d), s = vector(try made("structure(p=2,r=3,epsilon=0)").value(of: u, on: d))[0], w = d.whole(u)[0]
      var r0 = 0.0, r3 = 0.0
      for i in 0..<16 { r0 += w[i] * w[i] / 16; r3 += w[i] * w[(i + 3) % 16] / 16 }
      #expect(abs(s - 2 * (r0 - r3)) < 1e-14)
    }
  }

  @Test func profileOfAConstantImageIsConstant() throws {
    let grid = Grid(shape: Index3(1, 11, 14), dimensions: 2), c = ObservableCase(text: "", components: 1, grid: grid)
    _ = try SplitWorld(grid, participants: 4).run { d in
      let u = c.field(1, d, scale: 0, offset: 5, masked: 5)
      let o = try made("radial"), q = vector(try o.value(of: u, on: d))
      #expect(q.allSatisfy { abs($0 - 5) < 1e-14 } && q.count == 6)
      #expect(try o.scales(of: .vector(q), on: d).allSatisfy { $0 > 0 && $0 <= 5.0.squareRoot() })
    }
  }

  @Test func aUniformShiftAddsItsVolume() throws {
    let coordinates = Coordinates([.uniform(spacing: 0.5), .uniform(spacing: 2), .uniform(spacing: 0.25)])
    _ = try SplitWorld(Self.open, coordinates, participants: 2).run { d in
      let one = [FieldPart(d.box, filledWith: 3)]
      #expect(vector(try made("mass").tangent(at: one, along: one, on: d)) == [3 * 210 * 0.25])
      #expect(vector(try made("moments(order=3)").value(of: one, on: d)) == [3, 9, 27])
      // Partial boxes at the far faces: 2 x 2 x 3 of them.
      let rows = [field(d) { z, _, _ in z }], b = vector(try made("box3").value(of: rows, on: d))
      #expect(b == [Double](repeating: 1, count: 6) + [Double](repeating: 3.5, count: 6))
      #expect(vector(try made("region(1:3,0:6,2:5)").value(of: rows, on: d)) == [1.5])
    }
  }

  /// J^T M J written as a sum of separable terms is that of the derivatives.
  @Test(arguments: ["gradient", "vorticity", "strain", "divergence", "field", "mean", "box2", "region(1:3,0:4,2:5)", "roi(1:3,0:4,2:5)"])
  func separableFormsAreTheSensitivity(text: String) throws {
    for periodic in [true, false] {
      let grid = Grid(shape: Index3(4, 5, 6), periodic: .init(periodic, periodic, periodic))
      _ = try SplitWorld(grid, participants: 1).run { d in
        let o = try #require(made(text) as? any SeparableSensitivity), n = 3
        var g = SplitMix64(seed: 5)
        let phi = (0..<3).map { a in (0..<grid.shape[a]).map { _ in g.uniform() - 0.5 } }
        for c in 0..<n {
          let basis = field(d) { z, y, x in phi[0][Int(z)] * phi[1][Int(y)] * phi[2][Int(x)] }
          let v = (0..<n).map { $0 == c ? basis : FieldPart(d.box) }, value = try o.tangent(at: v, along: v, on: d)
          let scales = try o.scales(of: try o.value(of: v, on: d), on: d)
          var direct = 0.0
          switch value {
          case .vector(let x): for j in x.indices { direct += x[j] * x[j] / (Double(x.count) * scales[j] * scales[j]) }
          case .field(let f):
            for r in f.indices { for y in f[r].values { direct += y * y / (Double(f.count * grid.count) * scales[r] * scales[r]) } }
          }
          let terms = o.sensitivity(components: n, grid: grid, coordinates: .unit, scales: scales).filter { $0.row == c && $0.column == c }
          let form = terms.reduce(0) { sum, t in
            sum + (0..<3).reduce(t.weight) { $0 * t.axes[$1].form(phi[$1], phi[$1], start: 0) }
          }
          #expect(abs(form - direct) <= 1e-13 * max(direct, 1e-3), "\(text) \(c): \(form) \(direct)")
        }
      }
    }
  }
}

@Suite struct Naming {
  @Test func fieldsArgumentsAndPrefixes() throws {
    let s = try ObservableSpecification("run/velocity/structure(p=3, r=1:2)")
    #expect(s.field == "run/velocity" && s.name == "structure" && s.description == "run/velocity/structure(p=3,r=1:2)")
    #expect(try ObservableSpecification(s.description) == s)
    let l = try ObservableSpecification("velocity/lib:./a/mine.so:name")
    #expect(l.field == "velocity" && l.name == "lib:./a/mine.so:name")
    #expect(try ObservableSpecification("lib:/tmp/mine.so:name").field == nil)
    for bad in ["", "u/", "/mean", "pdf(bins=3", "pdf(bins=)", "pdf(,)"] { #expect(throws: ObservableError.self) { try ObservableSpecification(bad) } }
  }

  @Test func mistakesNameTheCure() throws {
    func message(_ text: String) -> String { do { _ = try made(text); return "" } catch { return "\(error)" } }
    #expect(message("vortices").contains("vorticity") && message("vortices").contains("radial"))
    #expect(message("structure(q=2)").contains("allowed: p, r, epsilon"))
    #expect(message("pdf(of=colour)").contains("value, gradient, vorticity, log"))
    #expect(message("mean(2)").contains("it takes none"))
    #expect(message("structure(p=1,epsilon=0)").contains("epsilon"))
    #expect(message("region(3:1)").contains("z0:z1"))
    let flat = Grid(shape: Index3(1, 4, 4), dimensions: 2)
    #expect(throws: ObservableError.self) { try made("vorticity").check(components: 1, grid: flat, coordinates: .unit) }
    #expect(throws: ObservableError.self) { try made("region(0:9,0:2)").check(components: 1, grid: flat, coordinates: .unit) }
    #expect(throws: ObservableError.self) { try made("structure(r=4)").check(components: 1, grid: flat, coordinates: .unit) }
  }
}

@Suite struct Libraries {
  static let library = ObservableLibrary.path

  @Test(.enabled(if: library != nil, "no C compiler"), arguments: [
    Grid(shape: Index3(5, 18, 37), periodic: .init(true, true, true)), Grid(shape: Index3(1, 7, 20), dimensions: 2),
  ])
  func exampleHoldsOnAnyParticipants(grid: Grid) throws {
    let c = ObservableCase(text: "lib:\(Self.library!):moments", components: 2, grid: grid)
    let alone = try SplitWorld(grid, participants: 1).run { try c.outcome(on: $0) }[0]
    try Properties().check(alone, c)
    for n in [2, 4, 8] { for o in try SplitWorld(grid, participants: n).run({ try c.outcome(on: $0) }) { #expect(o == alone) } }
  }

  @Test(.enabled(if: library != nil, "no C compiler")) func brokenLibrariesAreNamed() throws {
    let path = Self.library!, grid = Grid(shape: Index3(4, 4, 4))
    @Sendable func message(_ work: () throws -> Void) -> String { do { try work(); return "" } catch { return "\(error)" } }
    #expect(message { _ = try made("lib:./none.so:x") }.contains("cannot be loaded"))
    #expect(message { _ = try made("lib:\(path):half") }.contains("half_jvp"))
    _ = try SplitWorld(grid, participants: 2).run { d in
      let o = try made("lib:\(path):nan"), u = [FieldPart(d.box)]
      #expect(message { _ = try o.value(of: u, on: d) }.contains("NaN"))
      #expect(message { _ = try o.tangent(at: u, along: u, on: d) }.contains("promised 1"))
      #expect(message { _ = try o.adjoint(at: u, of: .vector([1]), on: d) }.contains("failed with -7"))
    }
  }
}
