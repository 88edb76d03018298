import CKernels
import Codecs
import Decomposition
import Fields
import MPI
import Reduction
import Statistics

/// Fields that need no transform: flat ones, and those of which every bit is kept.
extension FieldEncoder {
  /// The quantum that all values are multiples of.
  ///
  /// - Collective: all ranks.
  func findLattice(ranks: borrowing Communicator) throws -> DecimalLattice.Quantum? {
    var lattice = DecimalLattice()
    func pass(_ take: (inout DecimalLattice, RawArray, UnsafePointer<UInt8>?) -> Void) throws {
      for c in 0..<source.components {
        for a in source.arrays[c] where a.count > 0 && lattice.isAlive {
          if let special {
            let categories = RawArray(box: a.box, elementSize: 1)
            _ = special.classify(a, into: categories.bound(to: UInt8.self))
            let m = categories.bound(to: UInt8.self)
            for i in 0..<a.count { m[i] = m[i] == 0 ? 1 : 0 }
            take(&lattice, a, m)
          } else { take(&lattice, a, nil) }
        }
      }
      let all = try ranks.merged(lattice.bytes) { a, b in
        var m = DecimalLattice(bytes: a)
        m.merge(DecimalLattice(bytes: b))
        return m.bytes
      }
      lattice = DecimalLattice(bytes: all)
    }
    try pass { $0.scan($1, mask: $2) }
    if lattice.needsConfirmation { try pass { $0.confirm($1, mask: $2) } }
    return lattice.quantum
  }

  /// A field whose spread lies within what was asked for: one value per component says it all. `nil` when it does not.
  ///
  /// - Collective: all ranks.
  func runFlat(_ start: FieldCoding, ranks: borrowing Communicator) throws -> EncodedField? {
    guard let wanted = target.rmse, !target.logarithmic, special == nil else { return nil }
    if let bound = target.pointwise, survey.range > 2 * bound { return nil }
    let middle = survey.minimum + survey.range / 2
    if target.pointwise == nil {
      // A quick look, whose last bits depend on the cutting: it only sends away what is far from flat. A part varies no more than all.
      func farFromFlat(_ limit: Int) throws -> Bool {
        var parts: [Double] = []
        for c in 0..<layout.components {
          var s = 0.0, q = 0.0, n = 0
          for a in source.arrays[c] where a.count > 0 {
            var ds = 0.0, dq = 0.0
            let k = min(a.count, limit)
            if source.type == .float32 { ald_moments_f32(a.bound(to: Float.self), k, middle, &ds, &dq) } else {
              ald_moments_f64(a.bound(to: Double.self), k, middle, &ds, &dq)
            }
            s += ds; q += dq; n += k
          }
          parts += [s, q, Double(n)]
        }
        let all = try ranks.allReduce(parts, .sum)
        var rough = 0.0
        for c in 0..<layout.components { rough += all[3 * c + 1] - all[3 * c] * all[3 * c] / max(1, all[3 * c + 2]) }
        return rough / Double(layout.grid.count) / Double(layout.components) > wanted * wanted * 1.1
      }
      if try farFromFlat(1 << 12) { return nil }
      if try farFromFlat(.max) { return nil }
    }
    // Means and mean squares about the middle of the range, exact for any cutting.
    var sums = [ExactSum](repeating: ExactSum(), count: 2 * layout.components)
    for c in 0..<layout.components {
      for a in source.arrays[c] {
        for i in 0..<a.count {
          let v = (source.type == .float32 ? Double(a.bound(to: Float.self)[i]) : a.bound(to: Double.self)[i]) - middle
          sums[2 * c].add(v)
          sums[2 * c + 1].add(v * v)
        }
      }
    }
    let total = try reduce(sums, ranks: ranks)
    let n = Double(layout.grid.count)
    var coding = start, variance = 0.0
    coding.member = .constant
    coding.workType = source.type
    for c in 0..<layout.components {
      let mean = total[2 * c].value / n
      variance += max(0, total[2 * c + 1].value / n - mean * mean)
      let value = target.pointwise == nil ? middle + mean : middle
      coding.constants.append(source.type == .float32 ? UInt64(Float(value).bitPattern) : value.bitPattern)
    }
    guard target.pointwise != nil || (variance / Double(layout.components)).squareRoot() <= wanted * 0.999 else { return nil }
    let encoded = try runExact(coding, exact: false, ranks: ranks)
    if let bound = target.pointwise, encoded.statistics.contains(where: { $0.maximumError > bound }) { return nil }
    return encoded
  }

  /// The mask that statistics need where no list of special values gives it.
  private func validCells(_ a: RawArray) -> RawArray {
    let mask = RawArray(box: a.box, elementSize: 1), m = mask.bound(to: UInt8.self), fills = Set(source.fillPatterns)
    for i in 0..<a.count {
      let p = source.type == .float32 ? UInt64(a.bound(to: UInt32.self)[i]) : a.bound(to: UInt64.self)[i]
      let finite = source.type == .float32 ? a.bound(to: Float.self)[i].isFinite : a.bound(to: Double.self)[i].isFinite
      m[i] = finite && !fills.contains(p) ? 1 : 0
    }
    return mask
  }

  /// Constant and lossless fields.
  ///
  /// - Parameter exact: whether the decoded values are known to be the given ones.
  /// - Collective: all ranks.
  func runExact(_ coding: FieldCoding, exact: Bool = true, ranks: borrowing Communicator) throws -> EncodedField {
    var statistics = [ErrorStatistics](repeating: emptyStatistics(), count: layout.components)
    let none = emptyStatistics()
    var streams: [[UInt8]] = []
    try forEachPart(ranks: ranks) { part in
      let results = Slots<ErrorStatistics?>(part.count, nil), failures = Slots<(any Error)?>(part.count, nil)
      phases.measure("entropy") {
        parallelFor(part.count, threads: threads) { i in
          let u = part[i]
          if coding.member == .lossless {
            u.stream.payload = LosslessCodec.encode(u.original, mask: u.maskPointer)
            if check {
              do {
                let again = RawArray(box: u.box, type: source.type)
                try u.stream.payload.withUnsafeBytes { try LosslessCodec.decode($0, into: again, mask: u.maskPointer) }
                guard sameBits(again, u.original, u.maskPointer) else { throw CompressorError.notReproduced(stream: u.index) }
              } catch is StreamError { failures[i] = CompressorError.notReproduced(stream: u.index) } catch { failures[i] = error }
            }
          }
          if check || !exact || self.decoded != nil {
            var s = none
            let decoded = exact ? u.original : FieldDecoder.constant(coding.constants[layout.component(of: u.index)], u.box, source.type)
            s.add(tile: u.box, original: u.original, decoded: decoded, type: source.type, mask: survey.unlisted ? validCells(u.original) : u.mask)
            results[i] = s
            self.decoded?[u.index - layout.units.lowerBound] = decoded
          }
        }
      }
      for i in part.indices {
        if let e = failures[i] { throw e }
        if let s = results[i] { statistics[layout.component(of: part[i].index)].merge(s) }
      }
      streams += part.map(\.stream.bytes)
    }
    return try conclude(coding, streams: streams, statistics: statistics, ranks: ranks)
  }
}
