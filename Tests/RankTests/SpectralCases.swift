import Codecs
import Compressor
import Decomposition
import Fields
import Foundation
import MPI
import Reduction
import SnapshotIO
import Support

/// Transforms of all sizes against sums over cells, and back.
private func transforms(_ ranks: borrowing Communicator) throws {
  var worst = 0.0
  for n in [Index3(6, 5, 8), Index3(1, 7, 13), Index3(4, 1, 9), Index3(1, 1, 10), Index3(2, 3, 1)] {
    for extent in [n, Index3(1, 2, 3)] {
      let modes = SpectralModes.box(n, extent: extent), t = try SpectralTransform(n, modes: modes, ranks: ranks)
      func value(_ i: Index3) -> Double { Double(SplitMix64.hash(9, (i.z * n.y + i.y) * n.x + i.x) >> 11) * 0x1p-53 }
      let values = RawArray(box: t.rows, elementSize: 8), v = values.bound(to: Double.self)
      eachCell(t.rows) { v[t.rows.offset(of: $0)] = value($0) }
      let spectrum = try t.forward(ranks: ranks) { $0.copy($0.box, from: values) }, s = spectrum.bound(to: Double.self)
      eachCell(t.mine) { k in
        var re = 0.0, im = 0.0
        eachCell(Box(shape: n)) { i in
          let angle = -2 * Double.pi * (Double(k.z * i.z) / Double(n.z) + Double(k.y * i.y) / Double(n.y) + Double(k.x * i.x) / Double(n.x))
          re += value(i) * cos(angle); im += value(i) * sin(angle)
        }
        let at = spectrum.box.offset(of: t.place(Box(lower: k, upper: k + Index3(1, 1, 1))).lower)
        worst = max(worst, abs(s[at] - re), abs(s[at + 1] - im))
      }
      try ranks.agree { try expect(worst < 1e-10, "\(n): forward is off by \(worst)") }
      if extent == n {
        let again = try t.backward(spectrum, ranks: ranks), a = again.bound(to: Double.self)
        eachCell(t.rows) { worst = max(worst, abs(a[t.rows.offset(of: $0)] / Double(n.product) - value($0))) }
        try ranks.agree { try expect(worst < 1e-10, "\(n): back is off by \(worst)") }
      }
    }
  }
}
private func eachCell(_ b: Box, _ body: (Index3) -> Void) {
  for z in b.lower.z..<max(b.lower.z, b.upper.z) { for y in b.lower.y..<max(b.lower.y, b.upper.y) { for x in b.lower.x..<max(b.lower.x, b.upper.x) {
    body(Index3(z, y, x))
  } } }
}

/// Containers of the spectral member and of coarser grids: one digest for any ranks and cuttings, the bound kept, coarser grids.
@Sendable func spectral(_ ranks: borrowing Communicator) throws -> String {
  try transforms(ranks)
  typealias Request = (shape: Index3, components: Int, type: ScalarType, bound: ErrorBound)
  let modes: [Request] = [
    (Index3(64, 64, 64), 3, .float32, .psnr(70)), (Index3(24, 20, 28), 3, .float64, .relative(1e-4)), (Index3(1, 96, 120), 2, .float32, .absolute(1e-3)),
    (Index3(91, 1, 64), 1, .float32, .psnr(60)), (Index3(1, 1, 120), 1, .float64, .relative(1e-5)), (Index3(3, 91, 26), 1, .float32, .rate(2)),
    (Index3(5, 4, 7), 3, .float32, .psnr(40)), (Index3(1, 96, 96), 3, .float32, .psnr(60)), (Index3(37, 64, 2), 2, .float64, .psnr(120)),
  ]
  let coarser: [Request] = [
    (Index3(64, 40, 91), 3, .float32, .psnr(50)), (Index3(24, 32, 28), 2, .float64, .relative(1e-2)), (Index3(1, 96, 120), 1, .float32, .absolute(5e-2)),
    (Index3(1, 40, 480), 1, .float64, .psnr(45)), (Index3(96, 1, 64), 1, .float32, .psnr(45)),
  ]
  let requests = modes.map { (FieldCoding.Member.spectral, $0) } + coarser.map { (FieldCoding.Member.resampled, $0) }
  var lines: [String] = []
  for (turn, (member, r)) in requests.enumerated() {
    let grid = Grid(shape: r.shape, periodic: .init(true, true, true))
    var digests: [String] = []
    for cutting in [Cutting.slabs, Cutting.allCases[turn % Cutting.allCases.count], .pencils] {
      let boxes = cutting.boxes(of: grid, rank: ranks.rank, of: ranks.size)
      let arrays = (0..<r.components).map { c in boxes.map { SyntheticField.waves(seed: UInt64(3 + c)).array($0, of: grid, type: r.type) } }
      let source = FieldSource(name: "u", grid: grid, type: r.type, components: r.components, boxes: boxes, arrays: arrays)
      let encoded = try encodeField(source, bound: r.bound, member: member, threads: 1 + turn % 3, ranks: ranks)
      let path = try ContainerCases.path("spectral", ranks)
      let d = FieldDescription(
        name: "u", type: r.type, shape: [r.components, r.shape.z, r.shape.y, r.shape.x], axes: "czyx", periodic: grid.periodic)
      let report = try writeContainer(encoded, as: d, to: path, ranks: ranks)
      try ranks.agree { try expect(report.boundKept != false && report.transform == member.name, "\(r): \(report.transform), bound \(String(describing: report.boundKept))") }
      // What is decoded is what was measured.
      var sum: UInt64 = 0, error = 0.0
      try decodeContainer(path, ranks: ranks) { decoded in
        for (c, a) in decoded.enumerated() {
          let original = SyntheticField.waves(seed: UInt64(3 + c)).array(a.box, of: grid, type: r.type)
          var i = 0
          eachCell(a.box) { cell in
            let bits = r.type == .float32 ? UInt64(a.bound(to: UInt32.self)[i]) : a.bound(to: UInt64.self)[i]
            let e = r.type == .float32 ? Double(a.bound(to: Float.self)[i]) - Double(original.bound(to: Float.self)[i])
              : a.bound(to: Double.self)[i] - original.bound(to: Double.self)[i]
            error = max(error, abs(e))
            sum &+= SplitMix64.hash(bits, ((c * grid.shape.z + cell.z) * grid.shape.y + cell.y) * grid.shape.x + cell.x)
            i += 1
          }
        }
      }
      let digest = try ranks.allReduce(Int(bitPattern: UInt(sum)), .sum), found = try ranks.allReduce(error, .max)
      try ranks.agree { try expect(found == report.maxAbsError, "\(r): largest error \(found), measured \(report.maxAbsError)") }
      digests.append("\(report.storedBytes) \(String(UInt64(bitPattern: Int64(digest)), radix: 16))")
      try ContainerCases.remove(path, ranks)
    }
    try ranks.agree { try expect(digests.allSatisfy { $0 == digests[0] }, "\(r): \(digests)") }
    lines.append("\(r.shape) \(r.components) \(r.type) \(r.bound) \(digests[0])")
  }
  return lines.joined(separator: "\n")
}
