import CKernels
import Codecs
import Fields
import Glibc
import Observables

/// Quadratic forms of a periodic field that are sums over its modes, u^T A u = sum over k of u^(k)^H A(k) u^(k): the terms of several observables,
/// each once.
///
/// A term T_z x T_y x T_x from one component to another has the factor T_z(k_z) T_y(k_y) T_x(k_x) at a mode, the eigenvalues of one-dimensional
/// operators that commute with shifts. Averages over boxes do not: of them the diagonal is taken, its mean over the box's places.
final class ModeForms {
  struct Term {
    let row: Int, column: Int
    /// By index from -(n - 1) / 2 on, along z, y, x; signs of products of odd symbols taken along.
    let symbols: [[Double]]
  }
  typealias Form = [(term: Int, weight: Double)]

  let shape: Index3
  private(set) var terms: [Term] = []
  private var keys: [(row: Int, column: Int, axes: [AxisOperator])] = []
  private var known: [[(operation: AxisOperator, symbol: Symbol?)]] = [[], [], []]

  init(_ shape: Index3) { self.shape = shape }

  /// nil where a term has no real symbol.
  ///
  /// - Parameter exact: leaves out operators that do not commute with shifts.
  func form(_ list: [SeparableTerm], exact: Bool) -> Form? {
    var out: Form = []
    for t in list {
      if let k = keys.firstIndex(where: { $0.row == t.row && $0.column == t.column && $0.axes == t.axes }) {
        if exact, t.axes.contains(where: { if case .averages = $0 { true } else { false } }) { return nil }
        out.append((k, t.weight))
        continue
      }
      let found = (0..<3).compactMap { symbol(t.axes[$0], $0) }
      if found.count < 3 || (exact && found.contains { !$0.isExact }) { return nil }
      let odd = found.filter(\.isOdd).count
      guard odd % 2 == 0 else { return nil }
      // i i = -1
      var symbols = found.map(\.values)
      if odd == 2 { symbols[0] = symbols[0].map { -$0 } }
      keys.append((t.row, t.column, t.axes))
      terms.append(Term(row: t.row, column: t.column, symbols: symbols))
      out.append((terms.count - 1, t.weight))
    }
    return out
  }

  /// Eigenvalues of an operator along an axis: real, or i times an odd function.
  private struct Symbol {
    let values: [Double], isOdd: Bool, isExact: Bool
  }
  private func symbol(_ operation: AxisOperator, _ axis: Int) -> Symbol? {
    if let found = known[axis].first(where: { $0.operation == operation }) { return found.symbol }
    let s = made(operation, axis)
    known[axis].append((operation, s))
    return s
  }
  private func made(_ operation: AxisOperator, _ axis: Int) -> Symbol? {
    let n = shape[axis], first = -(n - 1) / 2
    var cosines = [Double](repeating: 0, count: n), sines = cosines
    for k in 0..<n { ald_fft_root(Int64(k), Int64(n), &cosines[k], &sines[k]) }
    func root(_ j: Int, _ i: Int) -> Int { ((j * i) % n + n) % n }
    switch operation {
    case .identity: return Symbol(values: [Double](repeating: 1, count: n), isOdd: false, isExact: true)
    case .band(let b):
      guard b.periodic || n == 1 else { return nil }
      let rows = b.coefficients, even = rows.allSatisfy { row in row.allSatisfy { abs($0 - row[0]) <= 1e-12 * abs(row[0]) } }
      var real = [Double](repeating: 0, count: n), imaginary = real
      for i in 0..<n {
        for (k, row) in rows.enumerated() where row[0] != 0 {
          let r = root(first + i, k - b.reach)
          real[i] += row[0] * cosines[r]; imaginary[i] += row[0] * sines[r]
        }
      }
      let size = rows.reduce(0) { $0 + abs($1[0]) }
      guard even else { return nil }
      if imaginary.allSatisfy({ abs($0) <= 1e-12 * size }) { return Symbol(values: real, isOdd: false, isExact: true) }
      return real.allSatisfy { abs($0) <= 1e-12 * size } ? Symbol(values: imaginary, isOdd: true, isExact: true) : nil
    case .averages(let ranges, let weights):
      return Symbol(values: (0..<n).map { i in
        ranges.reduce(0.0) { sum, range in
          var re = 0.0, im = 0.0
          for p in range { let r = root(first + i, p); re += weights[p] * cosines[r]; im += weights[p] * sines[r] }
          return sum + (re * re + im * im)
        } / Double(n)
      }, isOdd: false, isExact: n == 1)
    }
  }

  /// The factors of a term along the row (z, y) of modes, from index `x` on.
  @inline(__always)
  func factors(_ t: Int, _ z: Int, _ y: Int, _ x: Int, times weight: Double, _ count: Int, into out: UnsafeMutablePointer<Double>) {
    let s = terms[t].symbols, w = weight * s[0][z + (shape.z - 1) / 2] * s[1][y + (shape.y - 1) / 2], first = x + (shape.x - 1) / 2
    s[2].withUnsafeBufferPointer { for i in 0..<count { out[i] = w * $0[first + i] } }
  }
}

/// Which rows (z, y) of modes are looked at: all of small fields; of large ones those of small wavenumbers and one in sixteen of the others, which
/// stands for sixteen.
struct ModeRows {
  private let every: Int
  /// - Parameter all: whether every row is wanted.
  init(_ shape: Index3, all: Bool = false) {
    var every = 1, rows = shape.z * shape.y
    // About a thousand of those of a large grid.
    if !all, rows > 1 << 14 { while rows >= 1 << 11 { every *= 2; rows /= 2 } }
    self.every = every
  }
  private static let low = 16

  /// How many rows this one stands for; 0: none.
  func weight(_ z: Int, _ y: Int) -> Double {
    if every == 1 || max(abs(z), abs(y)) <= ModeRows.low { return 1 }
    return (z + 5 * y) & (every - 1) == 0 ? Double(every) : 0
  }
}
