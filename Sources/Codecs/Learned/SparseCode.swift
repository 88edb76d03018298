import CKernels

/// Sparse codes of patches over the columns of an autoencoder's linear synthesis S:
///
///     z = argmin |u - b - S z|^2 + 2 sum over groups of t_g |z_g|
///
/// by proximal steps, group after group, then the same without penalty on the support alone, which takes the shrinkage away. The encoder's alone: any codes decode.
public final class SparseCode: Sendable {
  public let count: Int, rows: Int
  private let group: Int
  private let columns: [Double], gram: [Double], bias: [Double]
  /// Threshold of each latent at factor 1.
  private let thresholds: [Double]

  /// - Precondition: `model.solvesCodes`.
  public convenience init(_ model: Autoencoder) {
    precondition(model.solvesCodes)
    let s = model.shape, l = s.synthesisLayers[0], p = model.numbers.parameters, at = p.count - l.inputs * l.outputs - l.outputs
    let group: Int = if case .groups(let n) = s.structure { n } else { 1 }
    // Stored as [value][latent].
    let columns = (0..<l.inputs * l.outputs).map { Double(p[at + $0]) }
    var squares = [Double](repeating: 0, count: l.inputs)
    for r in 0..<l.outputs { for j in 0..<l.inputs { squares[j] += columns[r * l.inputs + j] * columns[r * l.inputs + j] } }
    let n = model.numbers, scale = Double(n.threshold)
    let weights = (0..<l.inputs).map { j in scale * Double(n.steps[j]) * squares[j] * (n.penalties.isEmpty ? 1 : Double(n.penalties[j])) }
    self.init(columns: columns, rows: l.outputs, bias: p[(at + columns.count)...].map(Double.init), group: group, thresholds: weights)
  }
  /// - Parameter columns: [row][column].
  /// - Parameter thresholds: half the penalty of each column; of a group that of its first.
  public init(columns: [Double], rows: Int, bias: [Double]? = nil, group: Int = 1, thresholds: [Double]) {
    self.columns = columns; self.rows = rows; self.group = group; self.thresholds = thresholds
    count = columns.count / rows
    self.bias = bias ?? [Double](repeating: 0, count: rows)
    var g = [Double](repeating: 0, count: count * count)
    ald_sparse_gram(columns, rows, count, &g)
    gram = g
  }

  /// Largest relative change at which steps end, and how many passes over all columns there are at most.
  public static let tolerance = 1e-4
  private static let sweeps: Int32 = 200

  /// - Parameter factor: on all thresholds.
  /// - Parameter debiased: whether the shrinkage is taken away.
  public func code(_ u: [Double], factor: Double = 1, debiased: Bool = true, tolerance: Double = SparseCode.tolerance) -> [Double] {
    let given = (0..<rows).map { u[$0] - bias[$0] }
    var c = [Double](repeating: 0, count: count), z = c
    ald_sparse_correlate(columns, rows, count, given, &c)
    _ = ald_sparse_code(gram, count, group, thresholds.map { factor * $0 }, &c, &z, SparseCode.sweeps, tolerance)
    if debiased {
      let kept = z.map { $0 == 0 ? Double.infinity : 0 }
      _ = ald_sparse_code(gram, count, 1, kept, &c, &z, SparseCode.sweeps, tolerance)
    }
    return z
  }
}
