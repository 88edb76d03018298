import Fields
import Foundation
import Testing
@testable import Codecs

/// Makes the table in `InterpolationDefaults.swift`; runs only where `ALIDADE_INTERPOLATION_TRAINING` names a folder of
/// files `*.f32`, each three little-endian int32 extents and the float32 values of one field in C order.
@Suite(.enabled(if: ProcessInfo.processInfo.environment["ALIDADE_INTERPOLATION_TRAINING"] != nil)) struct InterpolationDefaultsFit {
  @Test func printTable() throws {
    let folder = ProcessInfo.processInfo.environment["ALIDADE_INTERPOLATION_TRAINING"]!
    let workspace = InterpolationWorkspace()
    var all: [FitRows] = []
    for f in try FileManager.default.contentsOfDirectory(atPath: folder).sorted() where f.hasSuffix(".f32") {
      let data = try Data(contentsOf: URL(fileURLWithPath: folder + "/" + f))
      let n = data.withUnsafeBytes { Array($0.bindMemory(to: Int32.self).prefix(3)) }.map { Int($0) }
      let values = data.withUnsafeBytes { Array($0.bindMemory(to: Float.self).dropFirst(3)) }
      let whole = RawArray(box: Box(shape: Index3(n[0], n[1], n[2])), type: .float32)
      whole.pointer.copyMemory(from: values, byteCount: values.count * 4)
      let lower = Double(values.min()!), upper = Double(values.max()!), grid = TileGrid(shape: whole.box.shape)
      let tiles = (0..<grid.count).map { t in
        let a = RawArray(box: grid.box(t), type: .float32)
        a.copy(a.box, from: whole)
        return a
      }
      for (k, decibel) in [50.0, 60, 70, 80, 90, 100, 110].enumerated() {
        let step = (upper - lower) * pow(10, -decibel / 20) * 12.0.squareRoot()
        var s = InterpolationSettings(lower: lower, upper: upper, step: step, refinement: k % 2)!
        var sums = [Int64](repeating: 0, count: 36)
        for t in tiles {
          for (i, v) in InterpolationCodec.statistics(t, mask: nil, settings: s, workspace: workspace).enumerated() { sums[i] += v }
        }
        s.prediction = InterpolationCodec.choose(from: sums)
        let every = max(1, whole.count / 60_000)
        for t in tiles { all.append(InterpolationCodec(settings: s).features(t, mask: nil, workspace: workspace, every: every)) }
      }
    }
    var w: [Double]?, model: InterpolationModel?
    for _ in 0..<4 {
      var e = NormalEquations.interpolation()
      for r in all { e.add(r, weights: w, steep: true) }
      let next = e.interpolationWeights(fallback: InterpolationModel(weights: .init(repeating: [20, 20, 20, 10, 30, 3, 2], count: 13)))
      w = next.real
      model = next.model
    }
    for g in model!.weights { print("    [" + g.map { "\($0)" }.joined(separator: ", ") + "],") }
  }
}
