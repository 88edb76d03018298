import Fields
import Foundation
import Observables
import Statistics

/// What every observable has to satisfy, on any domain.
public struct ObservableChecks {
  public let domain: any Domain
  public init(_ domain: any Domain) { self.domain = domain }

  /// The same field for any boxes: the value at a cell depends on the cell only.
  public func parts(components: Int, on box: Box? = nil, _ value: (_ component: Int, _ cell: Index3) -> Double) -> FieldParts {
    let b = box ?? domain.box
    return (0..<components).map { c in
      var out = FieldPart(b), i = 0
      if b.isEmpty { return out }
      for z in b.lower.z..<b.upper.z { for y in b.lower.y..<b.upper.y { for x in b.lower.x..<b.upper.x {
        out.values[i] = value(c, Index3(z, y, x)); i += 1
      } } }
      return out
    }
  }
  public func noise(components: Int, seed: UInt64) -> FieldParts {
    parts(components: components) { c, i in SyntheticField.noise(seed: seed &+ UInt64(c) &* 77).value(i, domain.grid.shape) }
  }
  /// Random numbers of a value's form.
  public func cotangent(like value: ObservableValue, seed: UInt64) -> ObservableValue {
    switch value {
    case .vector(let v): .vector(v.indices.map { SyntheticField.noise(seed: seed).value(Index3(0, 0, $0), Index3(1, 1, v.count)) })
    case .field(let p): .field(noise(components: p.count, seed: seed))
    }
  }

  /// <a, b>: plain sums, exact over all participants.
  public func inner(_ a: ObservableValue, _ b: ObservableValue) throws -> Double {
    var sum = ExactSum()
    switch (a, b) {
    case (.vector(let a), .vector(let b)):
      for (x, y) in zip(a, b) { sum.add(x * y) }
      return sum.value
    case (.field(let a), .field(let b)):
      for (p, q) in zip(a, b) { for (x, y) in zip(p.values, q.values) { sum.add(x * y) } }
      return try domain.merged(sum).value
    default: preconditionFailure("two forms")
    }
  }
  public func norm(_ a: ObservableValue) throws -> Double { try inner(a, a).squareRoot() }

  /// |<J v, w> - <v, J^T w>| over u (|J v| |w| + |v| |J^T w|): at most 50.
  public func adjointError(_ o: some Observable, at u: FieldParts, seed: UInt64) throws -> Double {
    let v = noise(components: u.count, seed: seed), jv = try o.tangent(at: u, along: v, on: domain)
    let w = cotangent(like: jv, seed: seed &+ 1000), jw = try o.adjoint(at: u, of: w, on: domain)
    let scale = try norm(jv) * norm(w) + norm(.field(v)) * norm(.field(jw))
    return try abs(inner(jv, w) - inner(.field(v), .field(jw))) / (scale * 0x1p-53)
  }

  /// |o(u + h v) - o(u - h v) - 2 h J v| for each h, relative to |o(u)|.
  public func differenceErrors(_ o: some Observable, at u: FieldParts, seed: UInt64, steps: [Double]) throws -> [Double] {
    let v = noise(components: u.count, seed: seed), jv = try o.tangent(at: u, along: v, on: domain)
    let size = try norm(o.value(of: u, on: domain))
    return try steps.map { h in
      func moved(_ h: Double) -> FieldParts { zip(u, v).map { p, q in FieldPart(p.box, zip(p.values, q.values).map { $0 + h * $1 }) } }
      let a = try o.value(of: moved(h), on: domain), b = try o.value(of: moved(-h), on: domain)
      func combined(_ a: [Double], _ b: [Double], _ j: [Double]) -> [Double] { a.indices.map { a[$0] - b[$0] - 2 * h * j[$0] } }
      switch (a, b, jv) {
      case (.vector(let a), .vector(let b), .vector(let j)): return try norm(.vector(combined(a, b, j))) / size
      case (.field(let a), .field(let b), .field(let j)):
        return try norm(.field(a.indices.map { FieldPart(a[$0].box, combined(a[$0].values, b[$0].values, j[$0].values)) })) / size
      default: preconditionFailure("two forms")
      }
    }
  }

  /// A number that changes with any bit of a field, the same for any boxes.
  public func digest(_ value: ObservableValue) throws -> String {
    switch value {
    case .vector(let v): return v.map { String($0.bitPattern, radix: 16) }.joined(separator: " ")
    case .field(let parts):
      var sums: [Int] = []
      for p in parts {
        var i = 0, sum = 0
        if !p.box.isEmpty {
          for z in p.box.lower.z..<p.box.upper.z { for y in p.box.lower.y..<p.box.upper.y { for x in p.box.lower.x..<p.box.upper.x {
            let cell = (z * domain.grid.shape.y + y) * domain.grid.shape.x + x
            sum &+= Int(bitPattern: UInt(SplitMix64.hash(p.values[i].bitPattern, cell)))
            i += 1
          } } }
        }
        sums.append(sum)
      }
      return try domain.merged(IntegerSums(sums)).values.map { String(UInt(bitPattern: $0), radix: 16) }.joined(separator: " ")
    }
  }
}
