import Decomposition
import Fields
import MPI
import Observables
import Reduction
import Statistics
import Support

private let wrap = Grid.Periodicity(true, true, true)

private func expectEqual(_ part: FieldPart, _ whole: FieldPart, _ what: String) throws {
  let b = part.box
  if b.isEmpty { return }
  for z in b.lower.z..<b.upper.z { for y in b.lower.y..<b.upper.y { for x in b.lower.x..<b.upper.x {
    let i = Index3(z, y, x)
    try expect(part.values[b.offset(of: i)].bitPattern == whole.values[whole.box.offset(of: i)].bitPattern, "\(what) at \(i)")
  } } }
}

/// Everything a domain does has the bits of the sole domain.
func domains(_ ranks: borrowing Communicator) throws -> String {
  for (shape, dimensions, periodic) in [
    (Index3(12, 10, 14), 3, wrap), (Index3(3, 2, 9), 3, wrap), (Index3(8, 6, 5), 3, Grid.Periodicity(false, true, false)),
    (Index3(1, 16, 11), 2, wrap), (Index3(1, 1, 30), 1, wrap), (Index3(1, 1, 3), 1, wrap), (Index3(5, 1, 6), 3, wrap),
  ] {
    let grid = Grid(shape: shape, dimensions: dimensions, periodic: periodic), sole = SoleDomain(grid)
    let whole = ObservableChecks(sole).noise(components: 2, seed: 5)
    // From boxes of other owners, in float32 and float64: the last ranks have nothing.
    let owned = Partition.slabs(of: grid, ranks: (ranks.size + 1) / 2), mine = ranks.rank < owned.count ? [owned[ranks.rank]] : []
    try withRankDomain(grid, ranks: ranks) { domain in
      let u = ObservableChecks(domain).noise(components: 2, seed: 5)
      for type in ScalarType.allCases {
        let given = mine.map { SyntheticField.linear.array($0, of: grid, type: type) }
        let parts = try domain.parts(of: [given], in: mine, type: type)
        let linear = ObservableChecks(sole).parts(components: 1) { _, i in SyntheticField.linear.value(i, shape) }
        try domain.agree { try expectEqual(parts[0], linear[0], "redistributed") }
      }
      let handed = try domain.handed(u, to: mine + [grid.box])
      try domain.agree { for h in handed { for (p, q) in zip(h, whole) { try expectEqual(p, q, "handed") } } }

      for width in [1, 2, 4] {
        let h = try domain.haloed(u, width: width), expected = try sole.haloed(whole, width: width)
        try domain.agree {
          for (p, q) in zip(h, expected) {
            try expect(p.box == domain.haloBox(width), "halo's box")
            try expectEqual(p, q, "halo \(width) of \(shape)")
          }
        }
        // The transpose of the five-point sum along each axis, scattered. Few bits: all sums exact, so nothing depends on boxes.
        func scattered(_ d: any Domain) throws -> FieldPart {
          let c = ObservableChecks(d).parts(components: 1) { _, i in (SyntheticField.noise(seed: 2).value(i, shape) * 1024).rounded() }[0]
          var s = FieldPart(d.haloBox(width))
          let b = d.box
          if !b.isEmpty {
            for z in b.lower.z..<b.upper.z { for y in b.lower.y..<b.upper.y { for x in b.lower.x..<b.upper.x {
              for a in 0..<3 where shape[a] > 1 { for k in [-width, -1, 0, 1, width] {
                var i = Index3(z, y, x)
                i[a] += k
                if s.box.contains(i) { s.values[s.box.offset(of: i)] += c.values[b.offset(of: Index3(z, y, x))] * Double(k + 5) }
              } }
            } } }
          }
          return try d.accumulated([s], width: width)[0]
        }
        let mine = try scattered(domain), all = try scattered(sole)
        try domain.agree { try expectEqual(mine, all, "accumulated \(width) of \(shape)") }
      }
      let offset = Index3(periodic.z ? -2 : 0, 1, periodic.x ? 5 : 0)
      let shifted = try domain.shifted(u, by: offset), expected = try sole.shifted(whole, by: offset)
      let spectra = try domain.transformed(u), all = try sole.transformed(whole)
      let back = try domain.inverse(spectra), wholeBack = try sole.inverse(all)
      try domain.agree {
        for c in 0..<2 {
          try expectEqual(shifted[c], expected[c], "shifted")
          try expectEqual(back[c], wholeBack[c], "inverse")
          let s = spectra[c], w = all[c]
          if s.box.isEmpty { continue }
          for z in s.box.lower.z..<s.box.upper.z { for y in s.box.lower.y..<s.box.upper.y { for x in s.box.lower.x..<s.box.upper.x {
            for k in 0..<2 {
              let i = Index3(z, y, x)
              try expect(s.values[2 * s.box.offset(of: i) + k].bitPattern == w.values[2 * w.box.offset(of: i) + k].bitPattern, "transform")
            }
          } } }
        }
      }
      let gathered = try domain.gathered([Double](repeating: Double(ranks.rank), count: ranks.rank % 3))
      try domain.agree { try expect(gathered.enumerated().allSatisfy { r, v in v == [Double](repeating: Double(r), count: r % 3) }, "gathered") }
    }
  }
  return ""
}

/// Prints values, tangents and adjoints of the spectral observables as bits; adjoints and differences hold on any number of ranks.
func spectra(_ ranks: borrowing Communicator) throws -> String {
  var digest: [String] = []
  let spacing = Coordinates([.uniform(spacing: 0.5), .uniform(spacing: 1.25), .uniform(spacing: 0.7)])
  for (shape, window) in [(Index3(12, 10, 14), Window.none), (Index3(9, 7, 15), .hann), (Index3(1, 16, 11), .none)] {
    let grid = Grid(shape: shape, periodic: window == .none ? wrap : Grid.Periodicity(false, true, false))
    try withRankDomain(grid, coordinates: spacing, ranks: ranks) { domain in
      let checks = ObservableChecks(domain)
      for components in [1, 3] {
        var u = checks.noise(components: components, seed: 8)
        if components == 1 { u = u.map { p in FieldPart(p.box, p.values.map { 3 + $0 }) } }
        var all: [any Observable] = [
          EnergySpectrum(window: window), EnergySpectrum(shells: 1...3, logarithm: 1e-3, window: window),
          SpectralFilter(.band(1...3), window: window), SpectralFilter(.potential, window: window),
        ]
        if components == 1 { all.append(LogPowerSpectrum(window: window)) } else { all.append(CrossSpectrum(0, 2, window: window)) }
        for o in all {
          let value = try o.value(of: u, on: domain), v = checks.noise(components: components, seed: 9)
          let w = checks.cotangent(like: value, seed: 10)
          digest.append(o.specification)
          digest.append(try checks.digest(value))
          digest.append(try checks.digest(o.tangent(at: u, along: v, on: domain)))
          digest.append(try checks.digest(.field(o.adjoint(at: u, of: w, on: domain))))
          digest.append(try checks.digest(.vector(o.scales(of: value, on: domain))))
          let error = try checks.adjointError(o, at: u, seed: 11)
          let curved = o is LogPowerSpectrum || (o as? EnergySpectrum)?.epsilon != nil
          let e = try checks.differenceErrors(o, at: u, seed: 12, steps: [4e-2, 4e-3])
          try domain.agree {
            try expect(error <= 50, "\(o.specification): adjoint off by \(error) units")
            try expect(curved ? e[0] / e[1] > 630 && e[0] / e[1] < 1590 : e.allSatisfy { $0 < 1e-14 }, "\(o.specification): differences \(e)")
          }
        }
      }
    }
  }
  let text = digest.joined(separator: "\n"), all = try ranks.allGather([UInt8](text.utf8))
  try ranks.agree { try expect(all.allSatisfy { $0 == all[0] }, "results differ between ranks") }
  return text
}
