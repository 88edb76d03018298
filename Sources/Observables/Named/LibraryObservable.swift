import CObservables
import Fields
import Glibc
import Statistics

/// An observable in a shared library, `lib:./mine.so:name`: the three C functions of `alidade_observable.h`.
///
/// The grid is cut into fixed blocks of 16 cells a side, each evaluated whole by one participant and its values added exactly; cotangents
/// are evaluated by everyone whose cells a block touches and added in the order of the blocks: the same bits for any participants.
/// - Complexity: halo of 15 cells and that of the library.
public final class LibraryObservable: Observable, @unchecked Sendable {
  static let side = 16
  private let path: String, name: String
  private let handle: UnsafeMutableRawPointer
  private let valueFunction: alidade_value, tangentFunction: alidade_jvp, adjointFunction: alidade_vjp

  /// - Throws: `ObservableError` naming the file, or the symbol that is missing.
  public init(path: String, name: String) throws {
    // A bare file name means the file, not the system's search path.
    guard let handle = dlopen(path.contains("/") ? path : "./\(path)", RTLD_NOW | RTLD_LOCAL) else {
      throw ObservableError("lib:\(path):\(name): the library cannot be loaded: \(String(cString: dlerror()))")
    }
    func symbol<F>(_ suffix: String, _: F.Type) throws -> F {
      guard let s = dlsym(handle, "\(name)_\(suffix)") else {
        throw ObservableError("lib:\(path):\(name): the library has no function \(name)_\(suffix); it needs \(name)_value, \(name)_jvp and \(name)_vjp")
      }
      return unsafeBitCast(s, to: F.self)
    }
    do {
      valueFunction = try symbol("value", alidade_value.self)
      tangentFunction = try symbol("jvp", alidade_jvp.self)
      adjointFunction = try symbol("vjp", alidade_vjp.self)
    } catch {
      dlclose(handle)
      throw error
    }
    self.path = path; self.name = name; self.handle = handle
  }
  deinit { dlclose(handle) }

  public var specification: String { "lib:\(path):\(name)" }
  public var units: String { "of the library" }

  /// What the library says of a field: how many values, which halo.
  private func asked(_ block: inout alidade_block) throws -> (count: Int, halo: Int) {
    let m = Int(valueFunction(&block, nil, nil)), halo = Int(block.halo)
    if m < 1 || m > Averages.limit { throw ObservableError("\(specification): \(name)_value gives \(m) values, allowed are 1 to \(Averages.limit)") }
    if halo < 0 || halo > 64 { throw ObservableError("\(specification): a halo of \(halo) cells, allowed are 0 to 64") }
    return (m, halo)
  }

  private func block(_ components: Int, _ grid: Grid) -> alidade_block {
    var b = alidade_block()
    b.version = UInt32(ALIDADE_OBSERVABLE_VERSION)
    b.components = UInt32(components); b.dimensions = UInt32(grid.dimensions)
    b.periodic = (grid.periodic.z ? 1 : 0, grid.periodic.y ? 1 : 0, grid.periodic.x ? 1 : 0)
    b.shape = triple(grid.shape)
    return b
  }
  private func triple(_ i: Index3) -> (Int64, Int64, Int64) { (Int64(i.z), Int64(i.y), Int64(i.x)) }

  /// Calls `body` with a block that knows the grid's positions.
  private func withBlock<R>(_ components: Int, _ grid: Grid, _ coordinates: Coordinates, _ body: (inout alidade_block) throws -> R) rethrows -> R {
    let positions = (0..<3).flatMap { a -> [Double] in
      switch coordinates.axes[a] {
      case .uniform(let h): return (0..<grid.shape[a]).map { Double($0) * h }
      case .positions(let x): return x
      }
    }
    return try positions.withUnsafeBufferPointer { p in
      var b = block(components, grid)
      let base = p.baseAddress!
      b.positions = (base, base + grid.shape.z, base + grid.shape.z + grid.shape.y)
      return try body(&b)
    }
  }

  /// A block of the grid, and how far (whole periods) the place it is seen at lies from the grid's own.
  private struct Place { let block: Box, shift: Index3 }

  /// All blocks with a cell of their own inside `box` (which may reach across periodic faces), ordered by block, then shift.
  private func places(_ box: Box, _ grid: Grid, ownedBy owner: Bool) -> [Place] {
    if box.isEmpty { return [] }
    let side = LibraryObservable.side
    let axes = (0..<3).map { a -> [(Range<Int>, Int)] in
      let n = grid.shape[a]
      return stride(from: 0, to: n, by: side).flatMap { lower -> [(Range<Int>, Int)] in
        let range = lower..<min(n, lower + side)
        if owner { return box.lower[a] <= lower && lower < box.upper[a] ? [(range, 0)] : [] }
        let turns = grid.periodic[a] && n > 1 ? (-box.lower[a]).clamped(0, .max) / n + 1 + box.upper[a] / n : 0
        return (-turns...turns).map { (range, $0 * n) }.filter { range.lowerBound + $0.1 < box.upper[a] && range.upperBound + $0.1 > box.lower[a] }
      }
    }
    var out: [Place] = []
    for z in axes[0] { for y in axes[1] { for x in axes[2] {
      out.append(Place(block: Box(lower: Index3(z.0.lowerBound, y.0.lowerBound, x.0.lowerBound),
                                  upper: Index3(z.0.upperBound, y.0.upperBound, x.0.upperBound)),
                       shift: Index3(z.1, y.1, x.1)))
    } } }
    return out
  }

  /// The cells of `box` shifted by `shift`, component after component.
  private func cut(_ parts: FieldParts, _ box: Box, _ shift: Index3) -> [Double] {
    var out: [Double] = []
    out.reserveCapacity(box.count * parts.count)
    for p in parts {
      box.forEachRow { z, y, _ in
        let at = p.box.offset(of: Index3(z, y, box.lower.x) + shift)
        out += p.values[at..<at + box.shape.x]
      }
    }
    return out
  }

  private func summed(_ u: FieldParts, _ v: FieldParts?, _ domain: any Domain) throws -> ObservableValue {
    let (m, halo) = try domain.agreed { try withBlock(u.count, domain.grid, domain.coordinates) { try asked(&$0) } }
    let width = LibraryObservable.side - 1 + halo
    let from = try domain.haloed(u, width: width), along = try v.map { cleaned(try domain.haloed($0, width: width)).0 }
    let function = v == nil ? "\(name)_value" : "\(name)_jvp"
    let parts = try domain.agreed {
      var sums = [ExactSum](repeating: ExactSum(), count: m), shares = [Double](repeating: 0, count: m)
      try withBlock(u.count, domain.grid, domain.coordinates) { block in
        block.halo = Int64(halo)
        for place in places(domain.box, domain.grid, ownedBy: true) {
          let array = set(&block, place, halo, domain.grid), a = cut(from, array, place.shift)
          for j in 0..<m { shares[j] = 0 }
          let given = Int(along.map { tangentFunction(&block, a, cut($0, array, place.shift), &shares) } ?? valueFunction(&block, a, &shares))
          try checked(function, given, m, shares)
          for j in 0..<m { sums[j].add(shares[j]) }
        }
      }
      return sums
    }
    return .vector(try domain.sums(parts))
  }
  private func set(_ block: inout alidade_block, _ place: Place, _ halo: Int, _ grid: Grid) -> Box {
    let array = place.block.dilated(by: halo, in: grid)
    block.lower = triple(place.block.lower); block.upper = triple(place.block.upper)
    block.array_lower = triple(array.lower); block.array_upper = triple(array.upper)
    return array
  }
  private func checked(_ function: String, _ given: Int, _ m: Int, _ result: [Double]) throws {
    if given < 0 { throw ObservableError("\(specification): \(function) failed with \(given)") }
    if given != m { throw ObservableError("\(specification): \(function) gives \(given) values, \(name)_value promised \(m)") }
    if !result.allSatisfy(\.isFinite) { throw ObservableError("\(specification): \(function) gives NaN or infinity") }
  }

  public func value(of u: FieldParts, on domain: any Domain) throws -> ObservableValue { try summed(u, nil, domain) }
  public func tangent(at u: FieldParts, along v: FieldParts, on domain: any Domain) throws -> ObservableValue { try summed(u, v, domain) }

  public func adjoint(at u: FieldParts, of w: ObservableValue, on domain: any Domain) throws -> FieldParts {
    let (m, halo) = try domain.agreed { try withBlock(u.count, domain.grid, domain.coordinates) { try asked(&$0) } }
    let from = try domain.haloed(u, width: LibraryObservable.side - 1 + 2 * halo), own = domain.box
    return try domain.agreed {
      var out = FieldParts(repeating: FieldPart(own), count: u.count)
      try withBlock(u.count, domain.grid, domain.coordinates) { block in
        block.halo = Int64(halo)
        for place in places(domain.haloBox(halo), domain.grid, ownedBy: false) {
          let array = set(&block, place, halo, domain.grid), a = cut(from, array, place.shift)
          var field = [Double](repeating: 0, count: a.count)
          let given = Int(adjointFunction(&block, a, w.vector, &field))
          try checked("\(name)_vjp", given, m, field)
          let here = array.shifted(by: place.shift), common = here.intersection(own)
          for c in out.indices {
            common.forEachRow { z, y, _ in
              let s = c * array.count + here.offset(of: Index3(z, y, common.lower.x)), t = own.offset(of: Index3(z, y, common.lower.x))
              for k in 0..<common.shape.x { out[c].values[t + k] += field[s + k] }
            }
          }
        }
      }
      if let valid = cleaned(u).valid { for c in out.indices { out[c].values.clear(where: valid) } }
      return out
    }
  }
  public func scales(of value: ObservableValue, on domain: any Domain) throws -> [Double] {
    [Double](repeating: commonScale(value.vector), count: value.vector.count)
  }
  public func check(components: Int, grid: Grid, coordinates: Coordinates) throws {
    try checkSpacing(specification, grid: grid, coordinates: coordinates)
    _ = try withBlock(components, grid, coordinates) { try asked(&$0) }
  }
}

extension Int {
  fileprivate func clamped(_ lower: Int, _ upper: Int) -> Int { Swift.min(Swift.max(self, lower), upper) }
}
