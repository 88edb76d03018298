import CLAPACK
import CLAPACKE

/// A matrix that has not the property its use needs.
public struct MatrixError: Error, Equatable, Sendable {
  public enum Code: Sendable { case notPositiveDefinite, noConvergence }
  public let code: Code
  /// `info` of the LAPACK routine.
  public let info: Int
}

/// LAPACK on one thread, started once.
private let start: Void = clapack_start()
private let upper = CChar(UInt8(ascii: "U")), lower = CChar(UInt8(ascii: "L")), vectors = CChar(UInt8(ascii: "V"))
private let columnMajor = Int32(LAPACK_COL_MAJOR)

extension DenseMatrix {
  /// Eigenvalues, largest first, and the eigenvectors as columns in the same order; H = Z diag(values) Z^T. `LAPACKE_dsyevd`.
  ///
  /// The sign of a vector is that which makes its largest element positive.
  /// - Throws: `MatrixError.noConvergence`, also for NaN.
  public func eigen() throws -> (values: [Double], vectors: DenseMatrix) {
    precondition(rows == columns)
    _ = start
    if rows == 0 { return ([], self) }
    var z = symmetrised.values, w = [Double](repeating: 0, count: rows)
    let n = Int32(rows)
    let info = LAPACKE_dsyevd(columnMajor, vectors, upper, n, &z, n, &w)
    if info != 0 { throw MatrixError(code: .noConvergence, info: Int(info)) }
    return (w.reversed(), DenseMatrix(rows: rows, columns: rows, z).descending())
  }

  /// Eigenvalues a, largest first, and vectors w of self w = a metric w, with W^T metric W = I. `LAPACKE_dsygvd`.
  /// - Throws: `MatrixError.notPositiveDefinite` if the metric is not.
  public func pencil(_ metric: DenseMatrix) throws -> (values: [Double], vectors: DenseMatrix) {
    precondition(rows == columns && metric.rows == rows && metric.columns == rows)
    _ = start
    var a = symmetrised.values, b = metric.symmetrised.values, w = [Double](repeating: 0, count: rows)
    let n = Int32(rows)
    let info = LAPACKE_dsygvd(columnMajor, 1, vectors, upper, n, &a, n, &b, n, &w)
    if info > n { throw MatrixError(code: .notPositiveDefinite, info: Int(info)) }
    if info != 0 { throw MatrixError(code: .noConvergence, info: Int(info)) }
    return (w.reversed(), DenseMatrix(rows: rows, columns: rows, a).descending())
  }

  /// Columns in the opposite order, each with its largest element positive.
  private func descending() -> DenseMatrix {
    var out = self
    for j in 0..<columns {
      let v = column(columns - 1 - j)
      let top = v.indices.max { abs(v[$0]) < abs(v[$1]) }.map { v[$0] } ?? 0
      for i in 0..<rows { out[i, j] = top < 0 ? -v[i] : v[i] }
    }
    return out
  }

  /// The upper triangular R with positive diagonal and self = R^T R. `LAPACKE_dpotrf`.
  /// - Throws: `MatrixError.notPositiveDefinite`.
  public func cholesky() throws -> DenseMatrix {
    precondition(rows == columns)
    _ = start
    if rows == 0 { return self }
    var r = symmetrised
    let n = Int32(rows)
    let info = LAPACKE_dpotrf(columnMajor, upper, n, &r.values, n)
    if info != 0 { throw MatrixError(code: .notPositiveDefinite, info: Int(info)) }
    for j in 0..<rows { for i in j + 1..<max(rows, j + 1) { r[i, j] = 0 } }
    return r
  }

  /// ln det of a symmetric positive definite matrix.
  public func logDeterminant() throws -> Double { try 2 * cholesky().diagonal.reduce(0) { $0 + ln($1) } }

  /// The inverse of an upper triangular matrix.
  public func upperInverse() -> DenseMatrix {
    var out = DenseMatrix(rows: rows, columns: rows)
    for j in 0..<rows {
      out[j, j] = 1 / self[j, j]
      for i in (0..<j).reversed() {
        var s = 0.0
        for k in i + 1...j { s += self[i, k] * out[k, j] }
        out[i, j] = -s / self[i, i]
      }
    }
    return out
  }

  /// The inverse of a symmetric positive definite matrix.
  public func inverse() throws -> DenseMatrix {
    let r = try cholesky().upperInverse()
    return (r * r.transposed).symmetrised
  }

  /// f of a symmetric matrix: Z f(values) Z^T.
  public func function(_ f: (Double) -> Double) throws -> DenseMatrix {
    let (w, z) = try eigen()
    return (z.scaled(rows: [Double](repeating: 1, count: rows), columns: w.map(f)) * z.transposed).symmetrised
  }
  /// The symmetric square root of a positive semidefinite matrix; negative rounding errors count as 0.
  public func squareRoot() throws -> DenseMatrix { try function { max(0, $0).squareRoot() } }

  /// Norm-wise condition number estimate of an upper triangular matrix in the 1-norm. `LAPACKE_dtrcon`.
  public func triangularCondition() -> Double {
    _ = start
    var reciprocal = 0.0
    let n = Int32(rows), one = CChar(UInt8(ascii: "1")), nonUnit = CChar(UInt8(ascii: "N"))
    let info = values.withUnsafeBufferPointer { LAPACKE_dtrcon(columnMajor, one, upper, nonUnit, n, $0.baseAddress!, n, &reciprocal) }
    return info == 0 && reciprocal > 0 ? 1 / reciprocal : .infinity
  }
}
