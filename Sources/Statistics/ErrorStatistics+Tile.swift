import CKernels
import Fields
import Foundation

func log10(_ v: Double) -> Double { Foundation.log10(v) }

extension ErrorStatistics {
  /// Adds one tile.
  ///
  /// - Parameter tile: a tile of the grid, inside the boxes of the arrays.
  /// - Parameter mask: bytes, 1 valid; nil if all are.
  /// - Complexity: O(cells), about twenty double operations per cell.
  public mutating func add(tile: Box, original: RawArray, decoded: RawArray, type: ScalarType, mask: RawArray? = nil) {
    if tile.isEmpty { return }
    let n = tile.shape
    var setup = ald_error_setup()
    setup.shift = minimum; setup.scale = scale
    setup.factor = scale > 0 && (32 / scale).isFinite ? 32 / scale : 0
    setup.c1 = (0.01 * range) * (0.01 * range); setup.c2 = (0.03 * range) * (0.03 * range)
    func rows(_ a: RawArray) -> ald_rows {
      let s = a.box.shape
      return ald_rows(first: a.pointer + a.box.offset(of: tile.lower) * a.elementSize, row: Int64(s.x), plane: Int64(s.y * s.x))
    }
    precondition([original, decoded].allSatisfy { $0.elementSize == type.size && $0.box.contains(tile) })
    var sums = ald_error_sums(), from = rows(original), to = rows(decoded), valid = mask.map(rows) ?? ald_rows()
    withUnsafeTemporaryAllocation(of: Int64.self, capacity: 3) { shape in
      for a in 0..<3 { shape[a] = Int64(n[a]) }
      let size = ald_error_work(shape.baseAddress!)
      let work = RawArray(box: Box(shape: Index3(1, 1, size)), elementSize: 8)
      ald_error_tile(Int32(type.size), shape.baseAddress!, &from, &to, &valid, &setup, work.bound(to: Double.self), &sums)
    }
    take(tile, sums, mask)
  }

  /// From here on exact: one term per tile and sum.
  private mutating func take(_ tile: Box, _ s: ald_error_sums, _ mask: RawArray?) {
    let valid = Int(s.valid), points = Double(valid), shift = minimum
    count += valid
    maskedCount += tile.count - valid
    sumError.add(s.e)
    sumSquaredError.add(s.ee)
    let sum = s.x + points * shift
    let squares = s.xx + 2 * shift * s.x + points * shift * shift
    originalSum.add(sum)
    decodedSum.add(sum + s.e)
    originalSquares.add(squares)
    decodedSquares.add(squares + 2 * (s.xe + shift * s.e) + s.ee)
    ssimSum.add(s.ssim)
    ssimCount += Int(s.windows)
    lagSums[0].add(s.lag.0)
    lagSums[1].add(s.lag.1)
    lagSums[2].add(s.lag.2)
    countPairs(tile, valid == tile.count ? nil : mask)
    maximumError = Swift.max(maximumError, s.e.isFinite && s.ee.isFinite ? s.peak : .infinity)
    withUnsafeBytes(of: s.places) {
      let places = $0.bindMemory(to: UInt64.self)
      for k in 0..<ErrorStatistics.binCount { histogram[k] += Int(places[k]) }
      below += Int(places[64])
      above += Int(places[65])
    }
  }

  /// Pairs of valid neighbours; no mask where all points are valid.
  private mutating func countPairs(_ tile: Box, _ mask: RawArray?) {
    let n = tile.shape
    guard let mask else {
      for a in 0..<3 where n[a] > 1 { lagCounts[a] += n.product / n[a] * (n[a] - 1) }
      return
    }
    let m = mask.bound(to: UInt8.self), s = mask.box.shape
    var pairs = (0, 0, 0)
    for z in tile.lower.z..<tile.upper.z {
      for y in tile.lower.y..<tile.upper.y {
        let r = m + mask.box.offset(of: Index3(z, y, tile.lower.x))
        for k in 0..<n.x - 1 { pairs.2 += r[k] != 0 && r[k + 1] != 0 ? 1 : 0 }
        if y > tile.lower.y { for k in 0..<n.x { pairs.1 += r[k] != 0 && r[k - s.x] != 0 ? 1 : 0 } }
        if z > tile.lower.z { for k in 0..<n.x { pairs.0 += r[k] != 0 && r[k - s.y * s.x] != 0 ? 1 : 0 } }
      }
    }
    lagCounts[0] += pairs.0; lagCounts[1] += pairs.1; lagCounts[2] += pairs.2
  }
}
