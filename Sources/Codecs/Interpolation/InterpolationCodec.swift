import CKernels
import Fields
#if canImport(Glibc)
import Glibc
#endif

/// Scratch memory of the interpolation kernels; one per thread, grows on demand.
public final class InterpolationWorkspace {
  private var pointer: UnsafeMutableRawPointer?
  private var capacity = 0
  public init() {}
  deinit { pointer?.deallocate() }
  func memory(for shape: Index3) -> UnsafeMutableRawPointer {
    let need = ald_interp_workspace(Int32(shape.z), Int32(shape.y), Int32(shape.x))
    if need > capacity {
      pointer?.deallocate()
      pointer = .allocate(byteCount: need, alignment: 64)
      capacity = need
    }
    return pointer!
  }
}

extension NormalEquations {
  /// Empty equations of the interpolation contexts.
  public static func interpolation() -> NormalEquations {
    NormalEquations(groups: InterpolationModel.groups, features: InterpolationModel.features)
  }
  /// Real weights for the next round, and a model; groups with few rows keep those of `fallback`.
  public func interpolationWeights(fallback: InterpolationModel = .default, minimumRows: Int = 64)
    -> (real: [Double], model: InterpolationModel)
  {
    let solved = solve(minimumRows: minimumRows)
    var real: [Double] = [], codes: [[UInt8]] = []
    for g in 0..<InterpolationModel.groups {
      var w = solved[g] ?? fallback.weights[g].map { Double($0) / 128 }
      w[w.count - 1] = max(w[w.count - 1], 2e-4)
      real += w
      codes.append(w.map { UInt8(max(0, min(255, ($0 * 128).rounded()))) })
    }
    return (real, InterpolationModel(weights: codes))
  }
}

/// Multilevel interpolation of isolated tiles: closed loop in integers, mask-aware, lossless on lattices.
public struct InterpolationCodec: Sendable {
  public let settings: InterpolationSettings
  public let model: InterpolationModel
  private var kernel: ald_interp

  /// - Parameter deadZone: rounding offset in steps, 0 ..< 0.5; encoder only, the errors then reach (0.5 + deadZone) steps.
  public init(settings: InterpolationSettings, model: InterpolationModel = .default, deadZone: Double = 0) {
    self.settings = settings; self.model = model
    var k = ald_interp()
    switch settings.scale {
    case .affine(let o, let u): k.offset = o; k.unit = u; k.quotient = 0
    case .quotient(let o, let d): k.offset = o; k.unit = d; k.quotient = 1
    case .shifted(let o, let d, let s, let product): k.offset = o; k.unit = d; k.add = s; k.quotient = product ? 3 : 2
    }
    k.shift = Int32(settings.shift)
    k.weight_bits = Int32(settings.weightBits)
    k.dead_zone = settings.shift == 0 ? 0 : Int32((max(0, min(0.49, deadZone)) * 256).rounded())
    let steps = settings.steps
    withUnsafeMutableBytes(of: &k.step) { $0.copyBytes(from: steps.flatMap { s in (0..<4).map { UInt8(truncatingIfNeeded: s >> (8 * $0)) } }) }
    withUnsafeMutableBytes(of: &k.kind) { $0.copyBytes(from: settings.prediction.cubic.flatMap { $0.map { $0 ? 1 : 0 } }) }
    withUnsafeMutableBytes(of: &k.code) { $0.copyBytes(from: settings.prediction.weight.flatMap { $0 }) }
    withUnsafeMutableBytes(of: &k.context) { $0.copyBytes(from: model.weights.flatMap { $0 }) }
    ald_interp_prepare(&k)
    kernel = k
  }

  /// Elements the class and value buffers of a tile must hold.
  public static func capacity(_ cells: Int) -> Int { cells + Int(ALD_INTERP_SLACK) }

  /// Classes and values of the valid points of a tile in coding order, and what a decoder will make of them.
  /// - Parameters:
  ///   - mask: 1 = valid, one byte per cell; `nil`: all valid.
  ///   - classes: `capacity(cells)` elements, as `values`.
  ///   - reconstruction: same box and type as the tile (may be the tile); unspecified where masked.
  /// - Returns: the number of values.
  public func encode(_ tile: RawArray, mask: UnsafePointer<UInt8>?, workspace: InterpolationWorkspace,
                     classes: UnsafeMutablePointer<UInt8>, values: UnsafeMutablePointer<Int32>,
                     reconstruction: RawArray) -> Int {
    precondition(tile.box.shape == reconstruction.box.shape && tile.elementSize == reconstruction.elementSize)
    let s = tile.box.shape
    if tile.count == 0 { return 0 }
    return withUnsafePointer(to: kernel) {
      ald_interp_encode($0, tile.pointer, Int32(tile.elementSize), mask, Int32(s.z), Int32(s.y), Int32(s.x),
                        workspace.memory(for: s), classes, values, reconstruction.pointer)
    }
  }

  /// Fills a tile from a decoder opened on its stream. Never fails by itself: check `ald_decoder_close`.
  public func decode(_ d: inout ald_decoder, mask: UnsafePointer<UInt8>?, workspace: InterpolationWorkspace,
                     into tile: RawArray) {
    let s = tile.box.shape
    if tile.count == 0 { return }
    withUnsafePointer(to: kernel) {
      ald_interp_decode($0, &d, mask, Int32(s.z), Int32(s.y), Int32(s.x), workspace.memory(for: s), tile.pointer,
                        Int32(tile.elementSize))
    }
  }

  /// Context features of every `every`-th valid point of a tile, from `phase` on.
  public func features(_ tile: RawArray, mask: UnsafePointer<UInt8>?, workspace: InterpolationWorkspace,
                       every: Int = 1, phase: Int = 0) -> FitRows {
    var rows = FitRows(width: InterpolationModel.features, unit: 1 / 16)
    let s = tile.box.shape, F = InterpolationModel.features
    if tile.count == 0 { return rows }
    let most = tile.count / max(1, every) + 1
    rows.features = [UInt16](repeating: 0, count: most * F)
    rows.groups = [UInt8](repeating: 0, count: most)
    rows.values = [Int32](repeating: 0, count: most)
    let n = withUnsafePointer(to: kernel) {
      ald_interp_features($0, tile.pointer, Int32(tile.elementSize), mask, Int32(s.z), Int32(s.y), Int32(s.x),
                          workspace.memory(for: s), max(1, every), phase, &rows.features, &rows.groups, &rows.values, most)
    }
    rows.features.removeLast((most - n) * F)
    rows.groups.removeLast(most - n); rows.values.removeLast(most - n)
    return rows
  }

  /// Sums over a tile from which kinds and weights are chosen: per level and axis the sum of log2(1 + 2|e|/step) in 1/256
  /// of linear and of cubic prediction, and the number of points. Integers: add them over tiles and ranks in any order.
  public static func statistics(_ tile: RawArray, mask: UnsafePointer<UInt8>?, settings: InterpolationSettings,
                                workspace: InterpolationWorkspace) -> [Int64] {
    let s = tile.box.shape
    var out = [Int64](repeating: 0, count: Int(ALD_INTERP_STATISTICS))
    if tile.count == 0 { return out }
    let c = InterpolationCodec(settings: settings)
    withUnsafePointer(to: c.kernel) {
      ald_interp_statistics($0, tile.pointer, Int32(tile.elementSize), mask, Int32(s.z), Int32(s.y), Int32(s.x),
                            workspace.memory(for: s), &out)
    }
    return out
  }

  /// Kinds and weights from summed statistics.
  public static func choose(from sums: [Int64]) -> InterpolationPrediction {
    precondition(sums.count == Int(ALD_INTERP_STATISTICS))
    var p = InterpolationPrediction()
    for l in 0..<4 {
      var spread = [Double](repeating: .infinity, count: 3)
      for a in 0..<3 {
        let o = (l * 3 + a) * 3, n = Double(sums[o + 2])
        if sums[o + 2] <= 0 { continue }
        func square(_ s: Int64) -> Double { let t = exp2(Double(s) / 256 / n) - 0.9; return t * t }
        let linear = square(sums[o]), cubic = square(sums[o + 1])
        p.cubic[l][a] = sums[o + 1] <= sums[o]
        spread[a] = min(linear, cubic)
      }
      let best = spread.min()!
      for a in 0..<3 {
        p.weight[l][a] = spread[a].isFinite ? UInt8(max(0, min(20, (2 * log2(spread[a] / best)).rounded()))) : 14
      }
    }
    return p
  }
}
