import Fields
import LatentGeometry
import Observables

/// A linear decoder x = B y and a linear observable o = O x with wanted sensitivities, on the cells of a domain's grid: n = N = m cells.
public struct LinearProblem: Sendable {
  public let grid: Grid
  public let law: LocalLaw
  public let decoder: DenseMatrix, map: DenseMatrix

  /// G_D = B^T B/N and G_P = B^T O^T O B/m become those of `law`.
  public init(law: LocalLaw, grid: Grid) throws {
    precondition(law.count == grid.count)
    self.law = law; self.grid = grid
    let n = Double(grid.count), root = try law.distortion.squareRoot()
    decoder = n.squareRoot() * root
    map = try law.observable.squareRoot() * root.function { 1 / $0 }
  }

  public func sensitivities(on domain: any Domain, asVector: Bool = false) throws -> Sensitivities {
    try Sensitivities(codec: LinearCodec(matrix: decoder, domain: domain), observable: LinearObservable(matrix: map, isVector: asVector),
                      field: [FieldPart(domain.box)], domain: domain)
  }
}

/// All values of a field, in C order, from the parts of the participants.
func whole(_ part: FieldPart, _ domain: any Domain) throws -> [Double] {
  var entries: [Double] = []
  var k = 0
  for z in part.box.lower.z..<part.box.upper.z {
    for y in part.box.lower.y..<part.box.upper.y {
      for x in part.box.lower.x..<part.box.upper.x { entries += [Double(domain.grid.box.offset(of: Index3(z, y, x))), part.values[k]]; k += 1 }
    }
  }
  var out = [Double](repeating: 0, count: domain.grid.count)
  for e in try domain.gathered(entries) { for k in stride(from: 0, to: e.count, by: 2) { out[Int(e[k])] = e[k + 1] } }
  return out
}
/// The elements of a whole field inside the domain's box.
func own(_ v: [Double], _ domain: any Domain) -> FieldPart {
  FieldPart(domain.box, LatentSpace(boxes: [domain.box], count: 0, reducer: domain).vector { v[domain.grid.box.offset(of: $1)] })
}

public struct LinearCodec: LatentCodec {
  let matrix: DenseMatrix, domain: any Domain
  public var latentBoxes: [Box] { [domain.box] }
  public var latentCount: Int { matrix.columns }
  public func tangent(_ z: FieldParts) throws -> FieldParts { try [own(matrix * whole(z[0], domain), domain)] }
  public func adjoint(_ r: FieldParts) throws -> FieldParts { try [own(matrix.transposed * whole(r[0], domain), domain)] }
}

public struct LinearObservable: Observable {
  let matrix: DenseMatrix, isVector: Bool
  public var specification: String { "linear" }
  public var units: String { "field" }
  public func value(of u: FieldParts, on domain: any Domain) throws -> ObservableValue {
    let v = try matrix * whole(u[0], domain)
    return isVector ? .vector(v) : .field([own(v, domain)])
  }
  public func tangent(at u: FieldParts, along v: FieldParts, on domain: any Domain) throws -> ObservableValue { try value(of: v, on: domain) }
  public func adjoint(at u: FieldParts, of w: ObservableValue, on domain: any Domain) throws -> FieldParts {
    let v: [Double] = switch w {
    case .vector(let v): v
    case .field(let p): try whole(p[0], domain)
    }
    return [own(matrix.transposed * v, domain)]
  }
  public func scales(of value: ObservableValue, on domain: any Domain) throws -> [Double] {
    if case .vector(let v) = value { [Double](repeating: 1, count: v.count) } else { [1] }
  }
  public func check(components: Int, grid: Grid, coordinates: Coordinates) throws {}
}
