import Codecs
import Fields
import LatentGeometry
import MPI
import Observables
import Reduction
import Statistics

/// The latents of an orthonormal lapped transform where the encoder has them, one array of doubles per stream of this rank, and the
/// fields they stand for.
struct TileLatents: ShapedLatents {
  let layout: TileLayout
  let transform: LappedOrthogonalTransform
  let domain: RankDomain
  /// Which component of the field each component of the parts is.
  let order: [Int]

  private var edge: Int { transform.blockEdge }
  var bandCount: Int { edge * edge * edge }

  /// T u; T is orthonormal.
  ///
  /// - Collective: all ranks.
  func analysis(of parts: FieldParts, ranks: borrowing Communicator) throws -> [RawArray] {
    let wide = layout.regions.map { $0.box.dilated(by: transform.analysisHalo, in: layout.grid) }
    let arrays = order.indices.map { c in
      let p = parts[order.firstIndex(of: c)!], a = RawArray(box: p.box, elementSize: 8), v = a.bound(to: Double.self)
      for i in p.values.indices { v[i] = p.values[i] }
      return [a]
    }
    let given = try Surroundings(have: [domain.box], arrays: arrays, elementSize: 8, wanted: wide, grid: layout.grid, ranks: ranks)
    var out: [RawArray] = []
    for round in 0..<layout.rounds {
      let here = round < layout.regions.count
      var found: [[RawArray]] = []
      try given.forEachComponent(of: here ? wide[round] : nil, ranks: ranks) { _, cells in
        found.append(layout.regions[round].tiles.map { RawArray(box: layout.tiles.box($0), elementSize: 8) })
        transform.analyse(cells, core: layout.regions[round].box, into: found[found.count - 1])
      }
      if here { for t in found[0].indices { for c in found { out.append(c[t]) } } }
    }
    return out
  }

  /// T^T z; overwrites `latents`.
  ///
  /// - Collective: all ranks.
  func synthesis(of latents: [RawArray], ranks: borrowing Communicator) throws -> FieldParts {
    for a in latents { transform.synthesiseInside(a, core: a.box) }
    let boxes = layout.regions.map(\.box)
    let arrays = (0..<layout.components).map { c in stride(from: c, to: latents.count, by: layout.components).map { latents[$0] } }
    let given = try Surroundings(
      have: layout.mine.map { layout.tiles.box($0) }, arrays: arrays, elementSize: 8, wanted: boxes.map { transform.synthesisInput(for: $0) },
      grid: layout.grid, ranks: ranks)
    var out = [[RawArray]](repeating: [], count: layout.components)
    for round in 0..<layout.rounds {
      let box = round < boxes.count ? boxes[round] : nil
      try given.forEachComponent(of: box.map { transform.synthesisInput(for: $0) }, ranks: ranks) { c, cells in
        let a = RawArray(box: box!, elementSize: 8)
        transform.synthesise(cells, core: box!, into: a)
        out[c].append(a)
      }
    }
    return try domain.parts(of: order.map { out[$0] }, in: boxes, type: .float64)
  }

  var exactBand: Int? { nil }
  var arrays: [(box: Box, component: Int)] { layout.units.map { (layout.box(of: $0), layout.component(of: $0)) } }
  func eachBand(of i: Int, _ body: (_ offset: Int, _ band: Int) -> Void) { eachBand(of: layout.box(of: layout.units.lowerBound + i), body) }

  /// Calls `body` with the offset of each coefficient of a tile and its band.
  func eachBand(of box: Box, _ body: (_ offset: Int, _ band: Int) -> Void) {
    BandScaler(BandWeights(edge: edge, tables: [[UInt8](repeating: 0, count: bandCount)]), transform).eachBand(of: box, body)
  }

  /// sum of a_i b_i over the latents of each component and band; tile by tile, then exact.
  ///
  /// - Collective: all ranks.
  func bandSums(_ a: [RawArray], _ b: [RawArray]) throws -> [[Double]] {
    var total = [ExactSum](repeating: ExactSum(), count: layout.components * bandCount)
    for i in a.indices {
      var part = [Double](repeating: 0, count: bandCount)
      func value(_ r: RawArray, _ k: Int) -> Double { r.elementSize == 4 ? Double(r.bound(to: Float.self)[k]) : r.bound(to: Double.self)[k] }
      part.withUnsafeMutableBufferPointer { p in eachBand(of: a[i].box) { p[$1] += value(a[i], $0) * value(b[i], $0) } }
      for k in 0..<bandCount where part[k] != 0 { total[i % layout.components * bandCount + k].add(part[k]) }
    }
    let merged = try domain.merged(total).map(\.value)
    return (0..<layout.components).map { Array(merged[$0 * bandCount..<($0 + 1) * bandCount]) }
  }

  /// Latents of each band, the same for all components.
  var bandSizes: [Double] {
    let m = edge
    let n = (0..<3).map { a in
      BandWeights.bands(transform, axis: a).reduce(into: [Double](repeating: 0, count: m)) { $0[$1] += 1 }
    }
    return (0..<bandCount).map { n[0][$0 / (m * m)] * n[1][$0 / m % m] * n[2][$0 % m] }
  }
}

extension Judge {
  /// Sensitivities of observable j to the bands, [component of the field][band]: P = sum count g noise is the square of its relative error.
  ///
  /// - Collective: all ranks.
  func sensitivities(_ j: Int, _ latents: TileLatents, _ coordinates: Coordinates, ranks: borrowing Communicator) throws -> [[Double]] {
    let (square, count) = norms[j]
    let scale = square > 0 ? (square / Double(max(1, count))).squareRoot() : 1
    let number = switch values[j] { case .vector(let v): v.count; case .field(let f): f.count }
    if let o = kept[j].observable as? any SeparableSensitivity,
       let closed = BandForms(latents.transform).sensitivities(
        o, components: order.count, coordinates: coordinates, scales: [Double](repeating: scale, count: number)) {
      return order.indices.map { c in closed[order.firstIndex(of: c)!] }
    }
    return try probed(j, latents, ranks: ranks)
  }

  /// Sensitivities from random signs xi in the field: the mean of (T xi)_i (T J^T M J xi)_i over a band.
  ///
  /// - Collective: all ranks.
  private func probed(_ j: Int, _ latents: TileLatents, ranks: borrowing Communicator) throws -> [[Double]] {
    let sizes = latents.bandSizes, weight = norms[j].square > 0 ? 1 / norms[j].square : 1, o = kept[j].observable
    var g = [[Double]](repeating: [Double](repeating: 0, count: sizes.count), count: order.count)
    for k in 0..<Judge.probes {
      let random = CounterRandom(seed: 0xa11d, stream: UInt64(k))
      let xi: FieldParts = original.enumerated().map { c, p in
        var out = FieldPart(p.box), at = 0
        for z in p.box.lower.z..<p.box.upper.z { for y in p.box.lower.y..<p.box.upper.y { for x in p.box.lower.x..<p.box.upper.x {
          out.values[at] = random.sign(component: c, at: Index3(z, y, x))
          at += 1
        } } }
        return out
      }
      let h = try o.adjoint(at: original, of: o.tangent(at: original, along: xi, on: domain).times(weight), on: domain)
      let s = try latents.bandSums(latents.analysis(of: xi, ranks: ranks), latents.analysis(of: h, ranks: ranks))
      for c in g.indices { for i in sizes.indices where sizes[i] > 0 { g[c][i] += s[c][i] / sizes[i] / Double(Judge.probes) } }
    }
    return g.map { $0.map { max(0, $0) } }
  }
  private static let probes = 4
}
