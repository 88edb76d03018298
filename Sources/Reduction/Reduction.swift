import MPI
import Statistics

/// Merges accumulators over all ranks.
///
/// - Collective: all ranks, the same types with the same settings; one `MPI_Allreduce` whatever is passed.
/// - Returns: the merged accumulators; the same bits on every rank and for any rank count.
public func reduce<each M: Mergeable>(_ items: repeat each M, ranks: borrowing Communicator) throws -> (repeat each M) {
  var message = PackedAccumulators()
  repeat (each items).pack(into: &message)
  try ranks.allReduce(sums: &message.sums, minima: &message.minima, maxima: &message.maxima)
  var reader = PackedAccumulators.Reader(message)
  return (repeat taken(each items, from: &reader))
}

private func taken<M: Mergeable>(_ item: M, from reader: inout PackedAccumulators.Reader) -> M {
  var merged = item
  merged.unpack(from: &reader)
  return merged
}
