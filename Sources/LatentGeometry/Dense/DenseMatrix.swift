/// A small dense matrix of doubles, column-major.
public struct DenseMatrix: Equatable, Sendable {
  public let rows: Int, columns: Int
  /// Element (i, j) is `values[i + j * rows]`.
  public var values: [Double]

  public init(rows: Int, columns: Int, _ values: [Double]) {
    precondition(values.count == rows * columns)
    self.rows = rows; self.columns = columns; self.values = values
  }
  /// Every element from its row and column.
  public init(rows: Int, columns: Int, _ element: (Int, Int) -> Double = { _, _ in 0 }) {
    self.init(rows: rows, columns: columns, (0..<rows * columns).map { element($0 % max(1, rows), $0 / max(1, rows)) })
  }
  public init(diagonal d: [Double]) { self.init(rows: d.count, columns: d.count) { $0 == $1 ? d[$0] : 0 } }
  public static func identity(_ n: Int) -> DenseMatrix { DenseMatrix(diagonal: [Double](repeating: 1, count: n)) }

  public subscript(i: Int, j: Int) -> Double {
    get { values[i + j * rows] }
    set { values[i + j * rows] = newValue }
  }
  public func column(_ j: Int) -> [Double] { Array(values[j * rows..<(j + 1) * rows]) }
  /// Columns in `range`.
  public func columns(_ range: Range<Int>) -> DenseMatrix {
    DenseMatrix(rows: rows, columns: range.count, Array(values[range.lowerBound * rows..<range.upperBound * rows]))
  }

  public var transposed: DenseMatrix { DenseMatrix(rows: columns, columns: rows) { self[$1, $0] } }
  /// (H + H^T) / 2.
  public var symmetrised: DenseMatrix { DenseMatrix(rows: rows, columns: columns) { 0.5 * (self[$0, $1] + self[$1, $0]) } }
  public var diagonal: [Double] { (0..<min(rows, columns)).map { self[$0, $0] } }
  public var trace: Double { diagonal.reduce(0, +) }
  /// Square root of the sum of squares.
  public var norm: Double { values.reduce(0) { $0 + $1 * $1 }.squareRoot() }

  /// Product, summed in the order of the columns of `a`.
  public static func * (a: DenseMatrix, b: DenseMatrix) -> DenseMatrix {
    precondition(a.columns == b.rows)
    var c = DenseMatrix(rows: a.rows, columns: b.columns)
    c.values.withUnsafeMutableBufferPointer { c in
      a.values.withUnsafeBufferPointer { p in
        for j in 0..<b.columns {
          for k in 0..<a.columns {
            let w = b[k, j]
            for i in 0..<a.rows { c[i + j * a.rows] += p[i + k * a.rows] * w }
          }
        }
      }
    }
    return c
  }
  public static func * (a: DenseMatrix, x: [Double]) -> [Double] { (a * DenseMatrix(rows: x.count, columns: 1, x)).values }
  public static func * (s: Double, a: DenseMatrix) -> DenseMatrix {
    DenseMatrix(rows: a.rows, columns: a.columns, a.values.map { s * $0 })
  }
  public static func + (a: DenseMatrix, b: DenseMatrix) -> DenseMatrix {
    precondition(a.rows == b.rows && a.columns == b.columns)
    return DenseMatrix(rows: a.rows, columns: a.columns, zip(a.values, b.values).map { $0 + $1 })
  }
  public static func - (a: DenseMatrix, b: DenseMatrix) -> DenseMatrix { a + -1 * b }
  /// tr(A^T B).
  public static func inner(_ a: DenseMatrix, _ b: DenseMatrix) -> Double {
    precondition(a.rows == b.rows && a.columns == b.columns)
    return zip(a.values, b.values).reduce(0) { $0 + $1.0 * $1.1 }
  }
  /// diag(s) A diag(t).
  public func scaled(rows s: [Double], columns t: [Double]) -> DenseMatrix {
    DenseMatrix(rows: rows, columns: columns) { s[$0] * self[$0, $1] * t[$1] }
  }
}
