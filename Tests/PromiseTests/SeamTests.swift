import Fields
import Foundation
import Support
import Testing

extension Promises {
  /// Promise 1: the transforms leave no trace of tiles in the error.
  @Suite struct Seams {
    /// 5 x 5 x 2 tiles whose faces lie at multiples of 32, 32 and 64 cells.
    static let shape = [144, 144, 96]
    static let faces = [[32, 64, 96, 128], [32, 64, 96, 128], [64]]

    /// Mean squared error in the two cells layers at tile faces, against layers elsewhere, tile by tile and axis by axis.
    ///
    /// - Parameter period: layers compared with lie at the same place modulo `period` cells, as the error within the blocks of
    ///   a transform is not flat at low rates; 1: any layer.
    struct Comparison {
      var atFaces = 0.0, elsewhere = 0.0, differences: [Double] = []
      var ratio: Double { atFaces / elsewhere }
      /// Mean paired difference over its standard error.
      var z: Double {
        let n = Double(differences.count), mean = differences.reduce(0, +) / n
        let variance = differences.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / (n - 1)
        return mean / (variance / n).squareRoot()
      }

      init(_ error: [Double], period: Int, periodic: Bool) {
        let n = Seams.shape
        for axis in 0..<3 {
          // Sums per (z, y, x) cell of a coarse lattice of 16 cells, so that like is compared with like.
          var sums = [(face: Double, faces: Int, other: Double, others: Int)](repeating: (0, 0, 0, 0), count: 5 * 5 * 2)
          var isFace = [Bool](repeating: false, count: n[axis]), isOther = isFace
          for i in 0..<n[axis] {
            isFace[i] = Seams.faces[axis].contains(i) || Seams.faces[axis].contains(i + 1) || (periodic && (i == 0 || i == n[axis] - 1))
            isOther[i] = !isFace[i] && (period == 1 || i % period == 0 || i % period == period - 1)
            // The transforms end with other blocks at the walls of the domain.
            if !periodic && (i < 16 || i >= n[axis] - 16) { isFace[i] = false; isOther[i] = false }
          }
          for z in 0..<n[0] { for y in 0..<n[1] { for x in 0..<n[2] {
            let i = [z, y, x][axis]
            guard isFace[i] || isOther[i] else { continue }
            let e = error[(z * n[1] + y) * n[2] + x], t = (min(z / 32, 4) * 5 + min(y / 32, 4)) * 2 + min(x / 64, 1)
            if isFace[i] { sums[t].face += e * e; sums[t].faces += 1 } else { sums[t].other += e * e; sums[t].others += 1 }
          } } }
          for s in sums where s.faces > 0 && s.others > 0 {
            let a = s.face / Double(s.faces), b = s.other / Double(s.others)
            atFaces += a; elsewhere += b
            differences.append(a - b)
          }
        }
      }
    }

    /// White noise averaged over boxes of growing size, periodic.
    static func homogeneous(_ seed: UInt64) -> [Double] {
      let n = shape, count = n[0] * n[1] * n[2]
      var sum = [Double](repeating: 0, count: count)
      for (k, width) in [1, 3, 7, 15, 31].enumerated() {
        var a = (0..<count).map { Double(SplitMix64.hash(seed &+ UInt64(k), $0) >> 11) * 0x1p-52 - 1 }
        for axis in 0..<3 where width > 1 {
          let stride = axis == 0 ? n[1] * n[2] : axis == 1 ? n[2] : 1, length = n[axis]
          var line = [Double](repeating: 0, count: length)
          for start in 0..<count where start / stride % length == 0 {
            for i in 0..<length { line[i] = a[start + i * stride] }
            var total = (0..<width).reduce(0) { $0 + line[($1 - width / 2 + length) % length] }
            for i in 0..<length {
              a[start + i * stride] = total / Double(width)
              total += line[(i + width - width / 2) % length] - line[(i - width / 2 + length) % length]
            }
          }
        }
        // Variance of an average of width^3 numbers, times a spectrum that falls.
        let scale = pow(Double(width), 1.5) * pow(Double(width), 1.2)
        for i in 0..<count { sum[i] += scale * a[i] * 0.02 }
      }
      return sum
    }

    @Test(arguments: ["lot16", "lot8", "wavelet97"], [true, false]) func errorsAtTileFacesAreLikeOthers(_ member: String, periodic: Bool) throws {
      let place = try Workplace("seams")
      // Random and statistically the same everywhere, at all scales up to half a tile.
      let seed: UInt64 = 77
      let values = Seams.homogeneous(seed)
      let original = Values(.float32, Seams.shape, values)
      try Snapshot.write(place.path("in.h5"), [("u", original, ["periodic": periodic ? "x y z" : "none"])])
      for psnr in [30, 45, 80] {
        try place.run("compress @in.h5 -o @c.ald --report @r.json --codec \(member) --psnr \(psnr)")
        #expect(try place.reports("r.json")[0]["transform"] as? String == member)
        try place.run("decompress @c.ald -o @d.h5")
        let decoded = try Snapshot.read(place.path("d.h5"), "u")
        let error = (0..<original.count).map { decoded[$0] - original[$0] }
        // Where every coefficient is active, the error of an orthogonal transform is flat; else it has the period of its blocks.
        let c = Comparison(error, period: psnr == 80 && member != "wavelet97" ? 1 : 16, periodic: periodic)
        print("seams seed \(seed) \(member) \(periodic ? "periodic" : "walls") \(psnr) dB: ratio \(c.ratio), z \(c.z), \(c.differences.count) pairs")
        #expect(abs(c.ratio - 1) < 0.05 && abs(c.z) < 4, "\(member) \(psnr) dB: ratio \(c.ratio), z \(c.z)")
      }
    }
  }
}
