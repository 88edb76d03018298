import Fields
public import Statistics

/// Latents of samples (patches of a field at a step), one row each, held in parts by the participants.
///
/// Rows are in units of the quantiser's noise (its standard deviation is 1), so that distances count what can be told apart.
public struct LatentRows: Sendable, Equatable {
  public let dimension: Int
  /// Number of each sample among those of all participants; each once.
  public private(set) var ids: [Int] = []
  /// Class of each sample, 0 ..< number of classes.
  public private(set) var labels: [Int] = []
  /// Row after row.
  public private(set) var values: [Double] = []

  public init(dimension: Int) { self.dimension = dimension }
  public mutating func append(_ row: some Sequence<Double>, id: Int, label: Int) {
    values += row
    ids.append(id); labels.append(label)
    precondition(values.count == ids.count * dimension)
  }
  public var count: Int { ids.count }
  public func row(_ i: Int) -> ArraySlice<Double> { values[i * dimension..<(i + 1) * dimension] }

  /// Each row times a number.
  public func scaled(by s: Double) -> LatentRows {
    var out = self
    for i in out.values.indices { out.values[i] *= s }
    return out
  }
  /// Products of the rows with the columns of a matrix of `dimension` rows.
  public func projected(on basis: DenseMatrix) -> LatentRows {
    precondition(basis.rows == dimension)
    var out = LatentRows(dimension: basis.columns)
    for i in ids.indices {
      out.append((0..<basis.columns).map { k in
        values.withUnsafeBufferPointer { v in basis.values.withUnsafeBufferPointer { b in dot(v.baseAddress! + i * dimension, b.baseAddress! + k * dimension, dimension) } }
      }, id: ids[i], label: labels[i])
    }
    return out
  }
  /// The rows of some places.
  public func rows(_ places: [Int]) -> LatentRows {
    var out = LatentRows(dimension: dimension)
    for i in places { out.append(row(i), id: ids[i], label: labels[i]) }
    return out
  }
  /// Columns as vectors: what `InnerProducts` takes.
  public var columns: [[Double]] { (0..<dimension).map { k in ids.indices.map { values[$0 * dimension + k] } } }

  /// At most `limit` rows, chosen by a hash of their numbers, on all participants, in the order of the numbers.
  ///
  /// - Returns: the chosen rows of all, and which of them are this participant's.
  /// - Collective: all participants.
  /// - Complexity: `limit` rows from everybody to everybody.
  public func shared(limit: Int, reducer: any Reducer) throws -> SharedRows {
    let random = CounterRandom(seed: 0x5a3d)
    func key(_ id: Int) -> Double { random.uniform(component: 2, at: Index3(0, id >> 31, id & 0x7fff_ffff)) }
    let own = ids.indices.map { (key: key(ids[$0]), place: $0) }.sorted { ($0.key, ids[$0.place]) < ($1.key, ids[$1.place]) }.prefix(limit)
    let keys = try reducer.gathered(own.map(\.key)).flatMap { $0 }.sorted()
    let last = keys.isEmpty ? 0 : keys[min(limit, keys.count) - 1]
    let chosen = own.filter { $0.key <= last }.map(\.place)
    let lists = try reducer.gathered(chosen.flatMap { [Double(ids[$0]), Double(labels[$0])] + row($0) })
    let width = dimension + 2
    var all: [(id: Int, from: Int, start: Int)] = []
    for (p, list) in lists.enumerated() { for s in stride(from: 0, to: list.count, by: width) { all.append((Int(list[s]), p, s)) } }
    all.sort { $0.id < $1.id }
    var rows = LatentRows(dimension: dimension)
    for a in all { rows.append(lists[a.from][a.start + 2..<a.start + width], id: a.id, label: Int(lists[a.from][a.start + 1])) }
    let mine = Set(chosen.map { ids[$0] })
    return SharedRows(rows: rows, mine: rows.ids.indices.filter { mine.contains(rows.ids[$0]) })
  }
}

/// Rows that all participants have, and which of them each one treats.
public struct SharedRows: Sendable {
  public let rows: LatentRows
  public let mine: [Int]
  public init(rows: LatentRows, mine: [Int]) { self.rows = rows; self.mine = mine }
  /// The same samples with other latents.
  public func with(_ rows: LatentRows) -> SharedRows {
    precondition(rows.ids == self.rows.ids)
    return SharedRows(rows: rows, mine: mine)
  }
}

/// sum a_k b_k, eight sums side by side.
func dot(_ a: UnsafePointer<Double>, _ b: UnsafePointer<Double>, _ n: Int) -> Double {
  var s = SIMD8<Double>(repeating: 0), k = 0
  while k + 8 <= n {
    s += UnsafeRawPointer(a + k).loadUnaligned(as: SIMD8<Double>.self) * UnsafeRawPointer(b + k).loadUnaligned(as: SIMD8<Double>.self)
    k += 8
  }
  var t = s.sum()
  while k < n { t += a[k] * b[k]; k += 1 }
  return t
}

/// |a - b|^2, eight sums side by side.
func squaredDistance(_ a: UnsafePointer<Double>, _ b: UnsafePointer<Double>, _ n: Int) -> Double {
  var s = SIMD8<Double>(repeating: 0), k = 0
  while k + 8 <= n {
    let d = UnsafeRawPointer(a + k).loadUnaligned(as: SIMD8<Double>.self) - UnsafeRawPointer(b + k).loadUnaligned(as: SIMD8<Double>.self)
    s += d * d
    k += 8
  }
  var t = s.sum()
  while k < n { let d = a[k] - b[k]; t += d * d; k += 1 }
  return t
}

extension LatentRows {
  /// |row i - row j|^2.
  func squaredDistance(_ i: Int, _ j: Int) -> Double {
    values.withUnsafeBufferPointer { v in LatentGeometry.squaredDistance(v.baseAddress! + i * dimension, v.baseAddress! + j * dimension, dimension) }
  }
}
