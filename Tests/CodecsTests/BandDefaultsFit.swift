import Fields
import Foundation
import Testing
@testable import Codecs

/// Makes the table in `BandDefaults.swift`; runs only where `ALIDADE_BAND_TRAINING` names a folder of coefficient files.
///
/// A file `lot16-*.q`, `lot8-*.q` or `w97-*.q` holds three little-endian int32 extents and the quantised coefficients of one field in C order.
@Suite(.enabled(if: ProcessInfo.processInfo.environment["ALIDADE_BAND_TRAINING"] != nil)) struct BandDefaultsFit {
  @Test func printTables() throws {
    let folder = ProcessInfo.processInfo.environment["ALIDADE_BAND_TRAINING"]!
    let files = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
    for (name, t) in [("lot16", BandLayout.Transform.lapped(edge: 16)), ("lot8", .lapped(edge: 8)), ("w97", .wavelet)] {
      var rows: [FitRows] = []
      for f in files where f.hasPrefix(name + "-") {
        let ints = try Data(contentsOf: URL(fileURLWithPath: folder + "/" + f)).withUnsafeBytes { Array($0.bindMemory(to: Int32.self)) }
        let shape = Index3(Int(ints[0]), Int(ints[1]), Int(ints[2])), q = Array(ints[3...])
        var l = try BandLayout(wavelet: shape)
        if case .lapped(let edge) = t { l = try BandLayout(lapped: shape, edge: edge, starts: (0..<3).map { a in
          (0..<max(1, (shape[a] + edge / 2) / edge)).map { Int32($0 * edge) } }) }
        var sums = BandScaleSums(), m = BandModel(t)
        let side = l.survey(q)
        l.addScaleSums(q, side: side, to: &sums)
        m.setScales(sums)
        rows.append(l.rows(q, side: side, model: m, every: max(1, l.codedCount(side) / 40_000)))
      }
      var model = BandModel(t), w: [Double]?
      for k in model.weights.indices { model.weights[k] = 0 }
      for _ in 0..<4 {
        var e = NormalEquations.bands()
        for r in rows { e.add(r, weights: w) }
        model.setWeights(e, minimumRows: 200)
        w = model.realWeights
      }
      // Groups without data continue the octave below; no constant below 1/1024.
      let step = t == .wavelet ? 3 : 4
      let n = BandModel.features
      for g in 0..<BandModel.groups {
        if model.weights[g * n..<(g + 1) * n].allSatisfy({ $0 == 0 }) {
          let from = g >= step ? g - step : 0
          for k in 0..<n { model.weights[g * n + k] = model.weights[from * n + k] }
        }
        model.weights[g * n + n - 1] = max(8, model.weights[g * n + n - 1])
      }
      print("// \(name)")
      for g in 0..<BandModel.groups {
        print("    " + model.weights[g * n..<(g + 1) * n].map { "\($0), " }.joined(), terminator: g % 2 == 1 ? "\n" : "")
      }
    }
  }
}
