import CKernels

extension ExactSum {
  /// Adds many terms: what `add` of each would give, several times faster.
  ///
  /// - Complexity: about 1 ns a term.
  public mutating func add(contentsOf x: UnsafeBufferPointer<Double>) { add(ALD_TERMS_PLAIN, x, x) }
  /// Adds the squares x x, each rounded.
  public mutating func addSquares(of x: UnsafeBufferPointer<Double>) { add(ALD_TERMS_SQUARE, x, x) }
  /// Adds the squares (x - y)(x - y), differences and squares rounded; equal counts.
  public mutating func addSquares(of x: UnsafeBufferPointer<Double>, minus y: UnsafeBufferPointer<Double>) { add(ALD_TERMS_DIFFERENCE, x, y) }
  /// Adds the products x y, each rounded; equal counts.
  public mutating func addProducts(_ x: UnsafeBufferPointer<Double>, _ y: UnsafeBufferPointer<Double>) { add(ALD_TERMS_PRODUCT, x, y) }

  public mutating func add(contentsOf x: [Double]) { x.withUnsafeBufferPointer { add(contentsOf: $0) } }
  public mutating func addSquares(of x: [Double]) { x.withUnsafeBufferPointer { addSquares(of: $0) } }
  public mutating func addSquares(of x: [Double], minus y: [Double]) {
    x.withUnsafeBufferPointer { x in y.withUnsafeBufferPointer { addSquares(of: x, minus: $0) } }
  }

  private mutating func add(_ kind: Int32, _ x: UnsafeBufferPointer<Double>, _ y: UnsafeBufferPointer<Double>) {
    precondition(x.count == y.count)
    guard let a = x.baseAddress, let b = y.baseAddress else { return }
    let most = Int(ALD_EXACT_TERMS)
    withUnsafeTemporaryAllocation(of: Double.self, capacity: most) { parts in
      for start in stride(from: 0, to: x.count, by: most) {
        let n = ald_exact_terms(kind, a + start, b + start, min(most, x.count - start), parts.baseAddress!)
        for i in 0..<n { add(parts[i]) }
      }
    }
  }
}
