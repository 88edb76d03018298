import CKernels

/// One layer of an autoencoder as the kernel reads it: y = W x + b of each row, outputs padded with zeros.
final class Dense: Sendable {
  private let inputs: Int, outputs: Int
  /// [group of outputs][input][output].
  private let weights: [Float], bias: [Float]

  /// - Parameter given: weights [output][input].
  init(_ l: Network.Layer, weights given: [Float], bias: [Float]) {
    let lanes = Int(ALD_DENSE_LANES)
    inputs = l.inputs
    outputs = Convolution.padded(l.outputs)
    var w = [Float](repeating: 0, count: outputs * l.inputs)
    for o in 0..<l.outputs { for i in 0..<l.inputs { w[(o / lanes * l.inputs + i) * lanes + o % lanes] = given[o * l.inputs + i] } }
    weights = w
    // Not -0: then no sum is, and terms that are zero change none.
    self.bias = (0..<outputs).map { $0 < bias.count ? bias[$0] + 0 : 0 }
  }

  /// - Parameter adding: to what `output` holds, without a bias.
  /// - Parameter sparse: whether most inputs are likely to be 0; the same values.
  func apply(_ input: Patches, _ output: Patches, adding: Bool = false, sparse: Bool = false) {
    weights.withUnsafeBufferPointer { w in bias.withUnsafeBufferPointer { b in
      var k = ald_dense(inputs: Int32(inputs), outputs: Int32(outputs), stride: input.stride, weights: w.baseAddress, bias: adding ? nil : b.baseAddress)
      (sparse ? ald_dense_apply_sparse : ald_dense_apply)(&k, input.pointer, input.extents.product, output.pointer)
    } }
  }
}
