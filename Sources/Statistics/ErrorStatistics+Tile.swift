import Fields
import Foundation

func log10(_ v: Double) -> Double { Foundation.log10(v) }

extension ErrorStatistics {
  /// Adds one tile.
  ///
  /// - Parameter tile: a tile of the grid, inside the boxes of the arrays.
  /// - Parameter mask: bytes, 1 valid; nil if all are.
  /// - Complexity: O(cells), about ten double operations per cell.
  public mutating func add(tile: Box, original: RawArray, decoded: RawArray, type: ScalarType, mask: RawArray? = nil) {
    if tile.isEmpty { return }
    switch type {
    case .float32: add(tile, original, decoded, mask, Float.self)
    case .float64: add(tile, original, decoded, mask, Double.self)
    }
  }

  /// Works on bricks: rows of windows, 8 x 8 rows of cells and as long as the tile, kept as doubles.
  ///
  /// Rows are padded with zeros to whole windows; masked points are zero as well, so that sums need no cases.
  @inline(__always)
  private mutating func add<T: Sample>(
    _ tile: Box, _ original: RawArray, _ decoded: RawArray, _ mask: RawArray?, _: T.Type
  ) {
    let n = tile.shape, row = (n.x + 8) & ~7   // at least one zero behind each row
    let windows = (n.x + 7) / 8
    // Errors of eight planes and of the one before; shifted originals of one brick.
    let planes = n.z > 1 ? 9 : 1, plane = n.y * row
    let e = UnsafeMutablePointer<Double>.allocate(capacity: planes * plane + 8)
    let x = UnsafeMutablePointer<Double>.allocate(capacity: 64 * row)
    let bin = UnsafeMutablePointer<Double>.allocate(capacity: row)
    let skip = UnsafeMutablePointer<Bool>.allocate(capacity: windows)
    let bins = UnsafeMutablePointer<UInt32>.allocate(capacity: 4 * 128)
    defer { e.deallocate(); x.deallocate(); bin.deallocate(); skip.deallocate(); bins.deallocate() }
    e.initialize(repeating: 0, count: planes * plane + 8)
    x.initialize(repeating: 0, count: 64 * row)
    bins.initialize(repeating: 0, count: 4 * 128)
    let base = n.z > 1 ? 1 : 0   // plane slot of the first plane of a brick

    let shift = minimum, scale = self.scale
    let factor = scale > 0 && (32 / scale).isFinite ? 32 / scale : 0
    var moments = Moments(), ssim = 0.0, valid = 0
    var peak = SIMD4<Double>(repeating: 0)
    var lag = (SIMD4<Double>(repeating: 0), SIMD4<Double>(repeating: 0), SIMD4<Double>(repeating: 0))
    let constants = (c1: (0.01 * range) * (0.01 * range), c2: (0.03 * range) * (0.03 * range))

    var z0 = 0
    while z0 < n.z {
      let dz = min(8, n.z - z0)
      if z0 > 0 { e.update(from: e + 8 * plane, count: plane) }
      var y0 = 0
      while y0 < n.y {
        let dy = min(8, n.y - y0)
        skip.update(repeating: false, count: windows)
        for z in 0..<dz {
          for y in 0..<dy {
            let i = Index3(tile.lower.z + z0 + z, tile.lower.y + y0 + y, tile.lower.x)
            let a = UnsafePointer(original.bound(to: T.self) + original.box.offset(of: i))
            let b = UnsafePointer(decoded.bound(to: T.self) + decoded.box.offset(of: i))
            let xr = x + (z * 8 + y) * row, er = e + (base + z) * plane + (y0 + y) * row
            T.differences(a, b, n.x, shift, xr, er)
            if let mask {
              let m = UnsafePointer(mask.bound(to: UInt8.self) + mask.box.offset(of: i))
              if allValid(m, n.x) {
                ErrorStatistics.chooseBins(er, bin, n.x, factor, scale)
                valid += n.x
              } else {
                for k in 0..<n.x where m[k] == 0 { xr[k] = 0; er[k] = 0; skip[k >> 3] = true }
                ErrorStatistics.chooseBins(er, bin, n.x, factor, scale)
                for k in 0..<n.x { if m[k] == 0 { bin[k] = 66 + ErrorStatistics.fraction } else { valid += 1 } }
              }
            } else {
              ErrorStatistics.chooseBins(er, bin, n.x, factor, scale)
              valid += n.x
            }
            ErrorStatistics.countBins(bin, bins, n.x)
          }
        }
        for w in 0..<windows {
          var sums = WindowSums()
          for z in 0..<dz {
            var xp = UnsafeRawPointer(x + z * 8 * row + 8 * w)
            var ep = UnsafeRawPointer(e + (base + z) * plane + y0 * row + 8 * w)
            for _ in 0..<dy {
              sums.add(xp.loadUnaligned(as: SIMD4<Double>.self), ep.loadUnaligned(as: SIMD4<Double>.self), &peak)
              sums.add(xp.loadUnaligned(fromByteOffset: 32, as: SIMD4<Double>.self),
                       ep.loadUnaligned(fromByteOffset: 32, as: SIMD4<Double>.self), &peak)
              xp += row * 8; ep += row * 8
            }
          }
          let m = sums.moments
          moments.add(m)
          if !skip[w] {
            ssim += m.ssim(dz * dy * min(8, n.x - 8 * w), constants.c1, constants.c2)
            ssimCount += 1
          }
        }
        y0 += 8
      }
      // Products of neighbours: along the row, with the row before, with the plane before.
      for z in 0..<dz {
        for y in 0..<n.y {
          let r = e + (base + z) * plane + y * row
          // The last pair of the padded row joins a zero with the row behind: 0 unless that is not finite.
          lag.2 += ErrorStatistics.dot(r, r + 1, row)
          if y > 0 { lag.1 += ErrorStatistics.dot(r, r - row, row) }
          if z0 + z > 0 { lag.0 += ErrorStatistics.dot(r, r - plane, row) }
        }
      }
      z0 += 8
    }

    // From here on exact: one term per tile and sum.
    let points = Double(valid)
    count += valid
    maskedCount += tile.count - valid
    sumError.add(moments.e)
    sumSquaredError.add(moments.ee)
    let sum = moments.x + points * shift
    let squares = moments.xx + 2 * shift * moments.x + points * shift * shift
    originalSum.add(sum)
    decodedSum.add(sum + moments.e)
    originalSquares.add(squares)
    decodedSquares.add(squares + 2 * (moments.xe + shift * moments.e) + moments.ee)
    ssimSum.add(ssim)
    lagSums[0].add(ErrorStatistics.total(lag.0))
    lagSums[1].add(ErrorStatistics.total(lag.1))
    lagSums[2].add(ErrorStatistics.total(lag.2))
    countPairs(tile, valid == tile.count ? nil : mask)
    let largest = Swift.max(Swift.max(peak[0], peak[1]), Swift.max(peak[2], peak[3]))
    maximumError = Swift.max(maximumError, moments.e.isFinite && moments.ee.isFinite ? largest : .infinity)
    for k in 0..<64 { histogram[k] += Int(bins[k]) + Int(bins[128 + k]) + Int(bins[256 + k]) + Int(bins[384 + k]) }
    below += Int(bins[64]) + Int(bins[192]) + Int(bins[320]) + Int(bins[448])
    above += Int(bins[65]) + Int(bins[193]) + Int(bins[321]) + Int(bins[449])
  }

  /// 2^32: a double with this added carries its integer part in bits 20 ..< 52.
  @inline(__always) private static var fraction: Double { 0x1p32 }

  /// bin[k] = 2^32 + place of e[k]: its bin, 64 below the scale, 65 above it or not a number.
  @inline(never)
  private static func chooseBins(
    _ e: UnsafeMutablePointer<Double>, _ bin: UnsafeMutablePointer<Double>, _ n: Int, _ factor: Double, _ scale: Double
  ) {
    for k in 0..<n {
      let v = e[k]
      var t = v * factor + 32
      t = t > 0 ? t : 0
      t = t < 63 ? t : 63
      t = v <= scale ? t : 65
      t = v < -scale ? 64 : t
      bin[k] = t + fraction
    }
  }

  /// Four histograms, so that equal neighbours do not wait for each other.
  @inline(__always)
  private static func countBins(_ bin: UnsafeMutablePointer<Double>, _ bins: UnsafeMutablePointer<UInt32>, _ n: Int) {
    var k = 0
    while k + 4 <= n {
      bins[Int(bin[k].bitPattern >> 20 & 127)] &+= 1
      bins[Int(bin[k + 1].bitPattern >> 20 & 127) + 128] &+= 1
      bins[Int(bin[k + 2].bitPattern >> 20 & 127) + 256] &+= 1
      bins[Int(bin[k + 3].bitPattern >> 20 & 127) + 384] &+= 1
      k += 4
    }
    while k < n { bins[Int(bin[k].bitPattern >> 20 & 127)] &+= 1; k += 1 }
  }

  /// Sums of products in four lanes; `n` a multiple of 4.
  @inline(__always)
  private static func dot(_ a: UnsafeMutablePointer<Double>, _ b: UnsafeMutablePointer<Double>, _ n: Int) -> SIMD4<Double> {
    var s = SIMD4<Double>(repeating: 0), t = s
    let p = UnsafeRawPointer(a), q = UnsafeRawPointer(b)
    var k = 0
    while k + 8 <= n {
      s += p.loadUnaligned(fromByteOffset: 8 * k, as: SIMD4<Double>.self) * q.loadUnaligned(fromByteOffset: 8 * k, as: SIMD4<Double>.self)
      t += p.loadUnaligned(fromByteOffset: 8 * k + 32, as: SIMD4<Double>.self) * q.loadUnaligned(fromByteOffset: 8 * k + 32, as: SIMD4<Double>.self)
      k += 8
    }
    return s + t
  }

  @inline(__always)
  private static func total(_ s: SIMD4<Double>) -> Double { (s[0] + s[1]) + (s[2] + s[3]) }

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

/// Sums over a window in lanes.
private struct WindowSums {
  var x = SIMD4<Double>(repeating: 0), e = SIMD4<Double>(repeating: 0)
  var xx = SIMD4<Double>(repeating: 0), ee = SIMD4<Double>(repeating: 0), xe = SIMD4<Double>(repeating: 0)

  @inline(__always)
  mutating func add(_ a: SIMD4<Double>, _ d: SIMD4<Double>, _ peak: inout SIMD4<Double>) {
    x += a; e += d
    xx += a * a; ee += d * d; xe += a * d
    // The larger of d and -d.
    let m = d.replacing(with: -d, where: d .< 0)
    peak.replace(with: m, where: m .> peak)
  }

  var moments: Moments {
    @inline(__always) func t(_ s: SIMD4<Double>) -> Double { (s[0] + s[1]) + (s[2] + s[3]) }
    return Moments(x: t(x), e: t(e), xx: t(xx), ee: t(ee), xe: t(xe))
  }
}

/// Sums of x, e, x^2, e^2, x e, where x is the original value less the global minimum.
private struct Moments {
  var x = 0.0, e = 0.0, xx = 0.0, ee = 0.0, xe = 0.0

  @inline(__always)
  mutating func add(_ o: Moments) { x += o.x; e += o.e; xx += o.xx; ee += o.ee; xe += o.xe }

  /// Structural similarity of x and y = x + e over `n` points.
  ///
  /// (2 mx my + c1)(2 cxy + c2) / ((mx^2 + my^2 + c1)(vx + vy + c2)); 1 where that is 0/0.
  /// - Source: Baker et al., Evaluating image quality measures to assess the impact of lossy data compression applied
  ///   to climate simulation data (2019): windows on the data, values relative to the global range.
  @inline(__always)
  func ssim(_ n: Int, _ c1: Double, _ c2: Double) -> Double {
    let r = 1 / Double(n)
    let mx = x * r, me = e * r, my = mx + me
    let vx = Swift.max(0, xx * r - mx * mx), ve = Swift.max(0, ee * r - me * me), c = xe * r - mx * me
    let vy = Swift.max(0, vx + 2 * c + ve)
    let d = (mx * mx + my * my + c1) * (vx + vy + c2)
    return d > 0 ? (2 * mx * my + c1) * (2 * (vx + c) + c2) / d : 1
  }
}
