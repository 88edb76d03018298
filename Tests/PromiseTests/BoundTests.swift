import CHDF5
import Fields
import Foundation
import HDF5
import Support
import Testing

extension Promises {
  /// Promises 2 and 3, measured on the decompressed file by nothing but plain reads.
  @Suite struct Bounds {
    struct Trial {
      var name: String, original: Values, bound: String, value: Double
      var attributes: [String: String] = [:]
      var option: String { bound == "lossless" ? "--bound \(name):lossless" : "--bound \(name):\(bound)=\(value)" }
      var label: String { "\(name) \(original.type) \(original.shape) \(bound) \(value)" }
    }

    /// Compresses all trials in one container, decodes and measures each.
    static func check(_ name: String, _ trials: [Trial], extra: String = "", ranks: Int = 0) throws {
      let place = try Workplace("bounds-\(name)")
      try Snapshot.write(place.path("in.h5"), trials.map { ($0.name, $0.original, $0.attributes) })
      let fields = trials.map { "-f \($0.name)" }.joined(separator: " ")
      let o = try place.run("compress @in.h5 -o @c.ald --report @c.json \(fields) \(trials.map(\.option).joined(separator: " ")) \(extra)", ranks: ranks)
      guard o.status == 0 else { return }
      try place.run("decompress @c.ald -o @d.h5", ranks: ranks)
      try place.run("verify @c.ald --against @in.h5", ranks: ranks)
      let decoded = try Snapshot.read(place.path("d.h5"), trials.map(\.name)), reports = try place.reports("c.json")
      #expect(reports.count == trials.count)
      for (i, t) in trials.enumerated() where i < reports.count { measure(t, decoded[i], reports[i]) }
    }

    static func measure(_ t: Trial, _ d: Values, _ report: [String: Any]) {
      let a = t.original
      #expect(d.type == a.type && d.shape == a.shape, "\(t.label): shape \(d.shape)")
      guard d.count == a.count else { return }
      var lo = Double.infinity, hi = -Double.infinity, valid = 0
      for i in 0..<a.count where a[i].isFinite { lo = min(lo, a[i]); hi = max(hi, a[i]); valid += 1 }
      let range = valid > 0 ? hi - lo : 0
      // Special values come back bit for bit, whatever the bound.
      var lost = 0, different = 0, worst = 0.0, worstRelative = 0.0, squared = 0.0, broken = 0
      let limit = t.bound == "abs" ? t.value : t.bound == "rel" ? t.value * range : .infinity
      for i in 0..<a.count {
        if a.bits[i] != d.bits[i] { different += 1 }
        guard a[i].isFinite else { if a.bits[i] != d.bits[i] { lost += 1 }; continue }
        let e = abs(d[i] - a[i])
        if !(e <= limit) { broken += 1 }
        worst = max(worst, e)
        squared += e * e
        if t.bound == "pwrel" {
          // Scaled, so that the product is not rounded among subnormal numbers.
          let s = abs(a[i]) < 1e-200 ? 0x1p300 : 1
          if !(e * s <= t.value * (abs(a[i]) * s)) || (a[i] == 0 && a.bits[i] != d.bits[i]) || (a[i] < 0) != (d[i] < 0) { broken += 1 }
          if a[i] != 0 { worstRelative = max(worstRelative, e / abs(a[i])) }
        }
      }
      #expect(lost == 0, "\(t.label): \(lost) special values changed")
      #expect(broken == 0, "\(t.label): \(broken) of \(valid) values beyond the bound, worst \(worst), relative \(worstRelative)")
      #expect(report["bound_kept"] as? Bool ?? true, "\(t.label): the report says the bound is broken")
      let psnr = 20 * log10(range / (squared / Double(max(1, valid))).squareRoot())
      switch t.bound {
      case "lossless": #expect(different == 0, "\(t.label): \(different) values changed")
      case "psnr": #expect(squared == 0 || psnr >= t.value - 1e-9, "\(t.label): \(psnr) dB")
      default: break
      }
      // What the report says is what the file holds (to the digits that Foundation's JSON reader keeps).
      if valid > 0, let said = report["max_abs_error"] as? Double { #expect(abs(said - worst) <= 1e-14 * worst, "\(t.label): report has \(said), file \(worst)") }
    }

    /// Awkward extents, two of them by three: thin, prime, 1.
    static let shapes: [[Int]] = [[17, 23, 31], [40, 1, 29], [1, 1, 333], [3, 50, 2], [64, 33], [1, 77], [1000], [37, 35, 33]]

    /// Interpolation uses a pointwise bound up: errors spread evenly over it, none beyond.
    @Test(arguments: [1e-2, 1e-4]) func filled(_ share: Double) throws {
      let shape = [40, 37, 41]
      var v: [Double] = []
      for z in 0..<shape[0] { for y in 0..<shape[1] { for x in 0..<shape[2] {
        let noise = Double(SplitMix64.hash(7, v.count) >> 11) * 0x1p-53
        v.append(Double(Float(abs(sin(0.11 * Double(z)) - 0.3) + abs(cos(0.07 * Double(y + x)) - 0.2) + 0.1 * noise)))
      } } }
      let range = v.max()! - v.min()!
      // With a missing value the choice is interpolation.
      v[1234] = .nan
      let t = Trial(name: "kinks", original: Values(.float32, shape, v), bound: "abs", value: share * range)
      let place = try Workplace("filled-\(share)")
      try Snapshot.write(place.path("in.h5"), [(t.name, t.original, [:])])
      try place.run("compress @in.h5 -o @c.ald --report @c.json -f kinks --bound kinks:abs=\(t.value)")
      try place.run("decompress @c.ald -o @d.h5")
      let d = try Snapshot.read(place.path("d.h5"), ["kinks"])[0], report = try place.reports("c.json")[0]
      Self.measure(t, d, report)
      let squared = v.indices.reduce(0.0) { v[$1].isNaN ? $0 : $0 + (d[$1] - v[$1]) * (d[$1] - v[$1]) }
      let ratio = t.value / (squared / Double(v.count)).squareRoot()
      #expect(ratio > 1.70 && ratio < 2.2, "bound / rmse \(ratio)")
    }

    @Test(arguments: [1, 2, 3] as [UInt64]) func pointwise(_ seed: UInt64) throws {
      print("bounds seed \(seed)")
      var g = SplitMix64(seed: seed), trials: [Trial] = []
      for (k, pattern) in Pattern.allCases.enumerated() {
        for type in [ScalarType.float32, .float64] {
          for bound in ["abs", "rel", "psnr", "pwrel"] {
            let shape = Bounds.shapes[g.below(Bounds.shapes.count)]
            var v = Values(type, shape, pattern.values(shape, seed: seed &* 100 &+ UInt64(k)))
            let finite = (0..<v.count).map { v[$0] }
            let range = finite.max()! - finite.min()!
            if g.below(3) == 0 { for i in 0..<v.count where g.below(9) == 0 { v.bits[i] = Bounds.special(type, g.below(5)) } }
            let small = pow(10, -1 - 5 * g.uniform())
            let value = bound == "abs" ? max(small * range, 1e-300) : bound == "psnr" ? (20 + 100 * g.uniform()).rounded() : small
            trials.append(Trial(name: "\(pattern.rawValue)-\(type == .float32 ? "f" : "d")-\(bound)", original: v, bound: bound, value: value))
          }
        }
      }
      try Bounds.check("pointwise", trials, ranks: seed == 2 ? 3 : 0)
    }

    /// NaN with payloads and signs, infinities.
    static func special(_ t: ScalarType, _ k: Int) -> UInt64 {
      t == .float32 ? [0x7fc0_0000, 0x7fc1_2345, 0xffc0_0001, 0x7f80_0000, 0xff80_0000][k]
        : [0x7ff8_0000_0000_0000, 0x7ff8_0000_dead_beef, 0xfff8_0000_0000_0001, 0x7ff0_0000_0000_0000, 0xfff0_0000_0000_0000][k]
    }

    /// Relative to each value: through zero, both zeros, both signs, subnormals, the largest numbers.
    @Test(arguments: [0.5, 1e-1, 1e-2, 1e-4, 1e-6]) func pointwiseRelative(_ e: Double) throws {
      let seed: UInt64 = 91
      print("pwrel seed \(seed), \(e)")
      var g = SplitMix64(seed: seed)
      let shape = [24, 25, 26], n = shape.reduce(1, *)
      let waves = Pattern.waves.values(shape, seed: seed)
      var trials: [Trial] = []
      for type in [ScalarType.float32, .float64] {
        let f = type == .float32
        let big = f ? Double(Float.greatestFiniteMagnitude) : Double.greatestFiniteMagnitude
        let subnormal = f ? Double(Float.leastNonzeroMagnitude) : Double.leastNonzeroMagnitude
        let kinds: [(String, [Double])] = [
          ("signs", waves),
          ("zeros", waves.enumerated().map { $0.offset % 7 == 0 ? 0.0 : $0.offset % 11 == 0 ? -0.0 : $0.element }),
          ("decades", (0..<n).map { _ in (g.below(2) == 0 ? -1 : 1) * pow(10, (f ? 37 : 300) * (2 * g.uniform() - 1)) }),
          ("subnormal", (0..<n).map { _ in subnormal * Double(g.below(5000) - 2500) }),
          ("largest", waves.map { big * max(-1, min(1, $0)) }),
        ]
        for k in kinds { trials.append(Trial(name: "\(k.0)-\(f ? "f" : "d")", original: Values(type, shape, k.1), bound: "pwrel", value: e)) }
      }
      try Bounds.check("pwrel", trials)
    }

    /// Every bit: signed zeros, subnormals, payloads of NaN (a few and very many), infinities.
    @Test func lossless() throws {
      let seed: UInt64 = 92
      print("lossless seed \(seed)")
      var g = SplitMix64(seed: seed), trials: [Trial] = []
      let shape = [18, 33, 27], n = shape.reduce(1, *)
      for type in [ScalarType.float32, .float64] {
        let f = type == .float32, mask: UInt64 = f ? 0xffff_ffff : .max
        func add(_ name: String, _ bits: [UInt64]) { trials.append(Trial(name: "\(name)-\(f ? "f" : "d")", original: Values(type, shape, bits: bits), bound: "lossless", value: 0)) }
        add("random", (0..<n).map { _ in g.next() & mask })
        add("few", Values(type, shape, Pattern.waves.values(shape, seed: seed)).bits.map { b in g.below(10) == 0 ? Bounds.special(type, g.below(5)) : b })
        add("zeros", (0..<n).map { _ in g.below(2) == 0 ? 0 : f ? 0x8000_0000 : 1 << 63 })
        add("subnormal", (0..<n).map { _ in g.next() & (f ? 0x807f_ffff : 0x800f_ffff_ffff_ffff) })
        add("payloads", (0..<n).map { _ in (f ? 0x7f80_0001 : 0x7ff0_0000_0000_0001) | g.next() & (f ? 0x807f_ffff : 0x800f_ffff_ffff_ffff) })
        add("lattice", Values(type, shape, Pattern.waves.values(shape, seed: seed).map { (1000 * $0).rounded() / 1000 }).bits)
        add("lattice-zeros", Values(type, shape, Pattern.waves.values(shape, seed: seed).map { ($0 * 4).rounded() / 4 }).bits)
      }
      try Bounds.check("lossless", trials)
    }

    /// Large tiles in which nothing happens after the first cells: values and masks that cost no bits for a long time.
    @Test func quietTiles() throws {
      let n = 2_200_000
      var quiet = [Double](repeating: 0, count: n), masked = quiet, outliers = quiet, exact = quiet, signs = quiet
      for i in 0..<n {
        let inTile = i % 262_144, wave = sin(Double(i) * 0.001)
        if inTile < 3000 || i == n / 2 { quiet[i] = wave }
        let gone = inTile < 500 && i % 3 == 0
        masked[i] = gone ? .nan : wave
        exact[i] = gone ? .nan : 1.5
        outliers[i] = inTile < 3 ? 1000 * wave : wave
        signs[i] = inTile == 7 ? -1 : 2
      }
      var trials: [Trial] = []
      for type in [ScalarType.float32, .float64] {
        let f = type == .float32 ? "f" : "d"
        trials.append(Trial(name: "quiet-\(f)", original: Values(type, [n], quiet), bound: "lossless", value: 0))
        if type == .float64 { continue }
        trials.append(Trial(name: "masked-\(f)", original: Values(type, [n], masked), bound: "rel", value: 1e-2))
        trials.append(Trial(name: "masked-exact-\(f)", original: Values(type, [n], exact), bound: "lossless", value: 0))
        trials.append(Trial(name: "outliers-\(f)", original: Values(type, [n], outliers), bound: "abs", value: 1e-2))
        trials.append(Trial(name: "signs-\(f)", original: Values(type, [n], signs), bound: "pwrel", value: 1e-2))
      }
      try Bounds.check("quiet", trials)
    }

    /// Fields with hardly anything in them.
    @Test func degenerate() throws {
      let seed: UInt64 = 93
      print("degenerate seed \(seed)")
      var trials: [Trial] = []
      let bounds: [(String, Double)] = [("abs", 1e-3), ("rel", 1e-3), ("pwrel", 1e-3), ("psnr", 60), ("rate", 4), ("lossless", 0)]
      for (k, b) in bounds.enumerated() {
        for type in [ScalarType.float32, .float64] {
          func add(_ name: String, _ shape: [Int], _ values: [Double]) {
            trials.append(Trial(name: "\(name)-\(type == .float32 ? "f" : "d")-\(k)", original: Values(type, shape, values), bound: b.0, value: b.1))
          }
          // A rate is kept only where there is something to spend bits on.
          if b.0 == "rate" { continue }
          add("cell", [1], [3.25])
          add("cell3", [1, 1, 1], [-7])
          add("nan-cell", [1, 1], [.nan])
          add("two", [2], [1, 2])
          add("all-nan", [5, 6, 7], [Double](repeating: .nan, count: 210))
          add("infinite", [6, 7], (0..<42).map { $0 % 2 == 0 ? .infinity : -.infinity })
          add("zero", [9, 8, 7], [Double](repeating: 0, count: 504))
          add("minus-zero", [9, 8], [Double](repeating: -0.0, count: 72))
          add("constant", [20, 21, 22], [Double](repeating: 1.1, count: 9240))
          add("one-differs", [12, 12, 12], (0..<1728).map { $0 == 777 ? 2 : 1 })
          add("one-valid", [12, 12, 12], (0..<1728).map { $0 == 777 ? 2 : .nan })
          add("column", [200, 1, 1], Pattern.waves.values([200, 1, 1], seed: seed))
          add("row", [1, 1, 200], Pattern.noise.values([1, 1, 200], seed: seed))
        }
      }
      try Bounds.check("degenerate", trials)
      try Bounds.check("degenerate-ranks", trials, ranks: 4)
    }

    /// Rates within 2 % from 0.1 bits per value on; the number of values decides how small a field can be.
    @Test func rate() throws {
      let place = try Workplace("rate")
      var entries: [Snapshot.Entry] = [], wanted: [(String, Double, Int)] = [], options = ""
      for (size, shape) in [(3, [80, 80, 80]), (2, [40, 44, 48]), (1, [20, 22, 24])] {
        for (p, rates) in [(Pattern.waves, [0.1, 0.5, 2, 6]), (.noise, [1, 8]), (.spikes, [0.25, 3])] {
          let v = Values(.float32, shape, p.values(shape, seed: 94))
          for r in rates {
            let name = "\(p.rawValue)-\(size)-\(r)"
            entries.append((name, v, [:])); wanted.append((name, r, size))
            options += " --bound \(name):rate=\(r)"
          }
        }
      }
      try Snapshot.write(place.path("in.h5"), entries)
      for (name, rate, size) in wanted {
        let o = try place.run("compress @in.h5 -o @c.ald --report @c.json -f \(name) --rate \(rate) -q", status: nil)
        guard o.status == 0 else {
          print("rate \(name): status \(o.status) \(o.stderr.trimmingCharacters(in: .newlines))")
          // A field too small for its own tables may be refused, with the code for a broken promise; so may heavy tails, whose steps
          // end at the 24 bits of the integers below some rates.
          #expect((size < 3 || name.hasPrefix("spikes")) && o.status == 3 && !o.crashed, "\(name): \(o.stderr)")
          continue
        }
        let got = try #require(try place.reports("c.json")[0]["bits_per_value"] as? Double)
        print("rate \(name): \(got) bits/value, \(100 * (got / rate - 1)) %")
        #expect(got <= rate * 1.02, "\(name): \(got)")
        #expect(got >= rate * 0.98, "\(name): \(got)")
      }
    }

    /// A region is the crop of everything, on any ranks, for every member, across periodic faces.
    @Test(arguments: ["lot16", "lot8", "wavelet97", "interpolation", "lossless", "auto"]) func regions(_ member: String) throws {
      let place = try Workplace("regions-\(member)")
      let shape = [80, 48, 96], n = shape.reduce(1, *)
      var masked = Pattern.waves.values(shape, seed: 96)
      for i in 0..<n where masked[i] > 1 { masked[i] = .nan }
      let names = ["walls", "wraps", "vector", "masked", "outliers"]
      try Snapshot.write(place.path("in.h5"), [
        ("walls", Values(.float32, shape, Pattern.waves.values(shape, seed: 95)), [:]),
        ("wraps", Values(.float64, shape, Pattern.waves.values(shape, seed: 97)), ["periodic": "x y z"]),
        ("vector", Values(.float32, [2] + shape, Pattern.waves.values(shape, seed: 98) + Pattern.spikes.values(shape, seed: 99)), ["dims": "component,z,y,x"]),
        ("masked", Values(.float32, shape, masked), [:]),
        ("outliers", Values(.float32, shape, Pattern.spikes.values(shape, seed: 100)), [:]),
      ])
      let codec = member == "auto" ? "" : "--codec \(member)"
      try place.run("compress @in.h5 -o @c.ald --psnr 60 --bound outliers:abs=0.5 \(codec)", ranks: 2)
      try place.run("decompress @c.ald -o @all.h5")
      let all = try Snapshot.read(place.path("all.h5"), names)
      let regions = [[0..<80, 0..<48, 0..<96], [33..<34, 17..<18, 64..<65], [0..<5, 40..<48, 90..<96], [30..<66, 10..<33, 31..<70], [79..<80, 0..<48, 3..<9]]
      for (k, r) in regions.enumerated() {
        let text = r.map { "\($0.lowerBound):\($0.upperBound)" }.joined(separator: ",")
        try place.run("decompress @c.ald -o @r.h5 --region \(text)", ranks: k % 2 == 0 ? 0 : 3)
        let part = try Snapshot.read(place.path("r.h5"), names)
        for (i, name) in names.enumerated() { #expect(part[i] == all[i].cropped(r), "\(member) \(name) region \(text)") }
      }
    }

    /// Scalar datasets coded as one vector come back as the datasets they were; `verify` finds them by itself.
    @Test(arguments: [0, 3]) func vectorOfScalars(ranks: Int) throws {
      let place = try Workplace("vector")
      let shape = [20, 33, 26], names = ["g/vx", "p", "g/vy", "g/vz"]
      let parts = names.indices.map { Values(.float32, shape, Pattern.waves.values(shape, seed: 130 + UInt64($0))) }
      let file = try File.create(place.path("in.h5"))
      try Handle("H5Gcreate2", H5Gcreate2(file.id, "g", 0, 0, 0)).close()
      try Snapshot.write(file, zip(names, parts).map { ($0, $1, ["units": "m/s"]) })
      try place.run("compress @in.h5 -o @c.ald --report @c.json --abs 1e-3 --vector velocity=g/vx,g/vy,g/vz", ranks: ranks)
      let reports = try place.reports("c.json")
      #expect(reports.map { $0["name"] as? String } == ["velocity", "p"])
      #expect(reports[0]["shape"] as? [Int] == [3] + shape)
      try place.run("verify @c.ald --against @in.h5", ranks: ranks)
      try place.run("decompress @c.ald -o @all.h5 --xdmf", ranks: ranks)
      try place.run("decompress @c.ald -o @cut.h5 -f velocity --region 2:9,0:33,5:6", ranks: ranks)
      let all = try Snapshot.read(place.path("all.h5"), names), cut = try Snapshot.read(place.path("cut.h5"), ["g/vx", "g/vy", "g/vz"])
      for (a, b) in zip(all, parts) { #expect(a.shape == shape && (0..<a.count).allSatisfy { abs(a[$0] - b[$0]) <= 1e-3 }) }
      for (c, a) in zip(cut, [all[0], all[2], all[3]]) { #expect(c == a.cropped([2..<9, 0..<33, 5..<6])) }
      try place.run("compress @in.h5 -o @n.ald --abs 1e-3 --vector v=g/vx,g/w", ranks: ranks, status: 2)
      try place.run("compress @in.h5 -o @n.ald --abs 1e-3 --vector p=g/vx,g/vy", ranks: ranks, status: 2)
      try place.run("compress @in.h5 -o @n.ald --abs 1e-3 --vector v=g/vx,g/vy --vector w=g/vy,g/vz", ranks: ranks, status: 2)
      #expect(!place.exists("n.ald"))
    }

    /// A time axis: every step on its own, and a range of steps.
    @Test(arguments: [0, 3]) func steps(ranks: Int) throws {
      let place = try Workplace("steps")
      let shape = [24, 30, 20]
      let each = (0..<5).map { Pattern.waves.values(shape, seed: 110 + UInt64($0)).map { v in v * 3 } }
      let series = Values(.float32, [5] + shape, each.flatMap { $0 })
      try Snapshot.write(place.path("in.h5"), [("u", series, ["dims": "time,z,y,x"])])
      try place.run("compress @in.h5 -o @all.ald --report @all.json --abs 1e-3", ranks: ranks)
      try place.run("compress @in.h5 -o @some.ald --steps 2:4 --abs 1e-3", ranks: ranks)
      try place.run("decompress @all.ald -o @all.h5", ranks: ranks)
      try place.run("decompress @all.ald -o @cut.h5 --steps 2:4", ranks: ranks)
      try place.run("decompress @some.ald -o @some.h5", ranks: ranks)
      #expect(try place.reports("all.json").count == 5)
      let all = try Snapshot.read(place.path("all.h5"), "u"), cut = try Snapshot.read(place.path("cut.h5"), "u"), some = try Snapshot.read(place.path("some.h5"), "u")
      let n = shape.reduce(1, *)
      #expect(all.shape == series.shape && (0..<all.count).allSatisfy { abs(all[$0] - series[$0]) <= 1e-3 })
      #expect(cut.shape == [2] + shape && cut.bits == Array(all.bits[2 * n..<4 * n]))
      #expect(some == cut, "the bits of a step do not depend on the steps beside it")
      try place.run("compress @in.h5 -o @none.ald --steps 7:9 --abs 1e-3", ranks: ranks, status: 1)
    }
  }
}
