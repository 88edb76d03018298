import Fields
import Foundation
import Support
import Testing

extension Promises {
  /// What `--keep` and `--restoration` promise, measured on decompressed files by plain reads.
  @Suite struct Aligned {
    static let n = 48

    /// A solenoidal flow of a few modes with a mean, and noise that is solenoidal too: the curl of a potential, by the derivative
    /// sin(k h) of centred differences of the grid, so exactly so but for rounding to single precision.
    static func flow() -> [[Double]] {
      let potential = (0..<3).map { Pattern.waves.values([n, n, n], seed: 51 + UInt64($0)) }
      var periodic = [[Double]](repeating: [Double](repeating: 0, count: n * n * n), count: 3)
      for c in 0..<3 {
        // Waves of whole periods, so that the grid wraps.
        for (w, k) in [(1, 2, 1), (2, 1, 3), (3, 4, 2), (5, 3, 6), (7, 8, 5)].enumerated() {
          let phase = potential[c][17 * w + 3] * 3, amplitude = pow(Double(w + 1), -1.2)
          for z in 0..<n { for y in 0..<n { for x in 0..<n {
            let turns = Double(k.0 * z + k.1 * y + k.2 * x) / Double(n), cell: Int = (z * n + y) * n + x
            periodic[c][cell] += amplitude * sin(2 * Double.pi * turns + phase)
          } } }
        }
        for i in periodic[c].indices { periodic[c][i] += 1e-3 * (potential[c][i] - potential[c][(i + 1) % (n * n * n)]) }
      }
      func at(_ z: Int, _ y: Int, _ x: Int) -> Int { (((z + n) % n) * n + (y + n) % n) * n + (x + n) % n }
      var u = periodic
      for z in 0..<n { for y in 0..<n { for x in 0..<n {
        func d(_ c: Int, _ axis: Int) -> Double {
          let dz = axis == 2 ? 1 : 0, dy = axis == 1 ? 1 : 0, dx = axis == 0 ? 1 : 0
          return periodic[c][at(z + dz, y + dy, x + dx)] - periodic[c][at(z - dz, y - dy, x - dx)]
        }
        let i = at(z, y, x)
        u[0][i] = 0.3 + d(2, 1) - d(1, 2); u[1][i] = -0.1 + d(0, 2) - d(2, 0); u[2][i] = d(1, 0) - d(0, 1)
      } } }
      return u
    }
    /// rms of the centred divergence; component c along storage axis 2 - c.
    static func divergence(_ v: Values) -> Double {
      let cells = n * n * n
      func at(_ c: Int, _ z: Int, _ y: Int, _ x: Int) -> Double { v[c * cells + (((z + n) % n) * n + (y + n) % n) * n + (x + n) % n] }
      var sum = 0.0
      for z in 0..<n { for y in 0..<n { for x in 0..<n {
        let a: Double = at(0, z, y, x + 1) - at(0, z, y, x - 1), b: Double = at(1, z, y + 1, x) - at(1, z, y - 1, x)
        let d: Double = a + b + at(2, z + 1, y, x) - at(2, z - 1, y, x)
        sum += d * d / 4
      } } }
      return (sum / Double(cells)).squareRoot()
    }
    /// Means over boxes of 16 cells a side, all components.
    static func boxes(_ v: Values) -> [Double] {
      let b = n / 16
      var out = [Double](repeating: 0, count: 3 * b * b * b)
      for c in 0..<3 { for z in 0..<n { for y in 0..<n { for x in 0..<n {
        let box: Int = ((c * b + z / 16) * b + y / 16) * b + x / 16, cell: Int = ((c * n + z) * n + y) * n + x
        out[box] += v[cell] / 4096
      } } } }
      return out
    }
    static func relative(_ a: [Double], _ b: [Double]) -> Double {
      let square = zip(a, b).reduce(0.0) { (s: Double, p: (Double, Double)) in s + (p.0 - p.1) * (p.0 - p.1) }
      return (square / b.reduce(0.0) { $0 + $1 * $1 }).squareRoot()
    }
    static func snapshot(_ place: Workplace) throws -> Values {
      let u = flow(), v = Values(.float32, [3, n, n, n], u.flatMap { $0 })
      try Snapshot.write(place.path("in.h5"), [("velocity", v, ["dims": "component,z,y,x", "periodic": "x y z"])])
      return v
    }

    @Test func targetsAreKept() throws {
      let place = try Workplace("aligned-keep"), original = try Aligned.snapshot(place)
      for bound in ["--rate 1.5", "--psnr 50", "--rel 1e-3"] {
        // Against blocks, not a coarser grid, which leaves out what is kept.
        try place.run("compress @in.h5 --codec lot16 -o @p.ald \(bound) --report @p.json")
        try place.run("compress @in.h5 --access tile -o @c.ald \(bound) --keep box16:1e-5 --report @c.json")
        try place.run("decompress @c.ald -o @d.h5")
        try place.run("verify @c.ald --against @in.h5")
        let d = try Snapshot.read(place.path("d.h5"), "velocity")
        let error = Aligned.relative(Aligned.boxes(d), Aligned.boxes(original))
        #expect(error <= 1e-5, "\(bound): \(error)")
        let plain = try #require(try place.reports("p.json").first), kept = try #require(try place.reports("c.json").first)
        let line = try #require((kept["observables"] as? [[String: Any]])?.first)
        #expect(abs((line["error"] as? Double ?? 1) / error - 1) < 1e-3 && line["target"] as? Double == 1e-5)
        #expect(kept["bound_kept"] as? Bool == true)
        // Nearly nothing is paid for it.
        let bits = (kept["bits_per_value"] as! Double) / (plain["bits_per_value"] as! Double)
        let loss = (plain["psnr_db"] as! Double) - (kept["psnr_db"] as! Double)
        #expect(bits < 1.05 && loss < 0.3, "\(bound): \(bits) of the bits, \(loss) dB")
      }
    }

    /// What the plain coding keeps already costs nothing: lambda = 0 is the plain stream, byte for byte.
    @Test(arguments: ["", "--access tile", "--codec lot8", "--codec wavelet97"]) func targetsMetAnyhowLeaveThePlainBytes(_ codec: String) throws {
      let place = try Workplace("aligned-zero")
      _ = try Aligned.snapshot(place)
      for bound in ["--rate 1.5", "--psnr 50", "--rel 1e-3"] {
        try place.run("compress @in.h5 \(codec) -o @p.ald \(bound)")
        try place.run("compress @in.h5 \(codec) -o @k.ald \(bound) --keep box16:0.5 --keep vorticity:0.9 --report @k.json", ranks: 2)
        #expect(try place.bytes("p.ald") == place.bytes("k.ald"), "\(codec) \(bound)")
        let aligned = try #require(try place.reports("k.json").first?["aligned"] as? [String: Any])
        #expect((aligned["steps"] as? String) == "uniform" && (aligned["psnr_loss_db"] as? Double) == 0)
      }
    }

    /// A step per band: fidelity held, bits pay; rate held, fidelity pays.
    @Test func diagonalSteps() throws {
      let place = try Workplace("aligned-diagonal")
      _ = try Aligned.snapshot(place)
      try place.run("compress @in.h5 --access tile -o @p.ald --psnr 50 --observe vorticity --report @p.json")
      let plain = try #require(try place.reports("p.json").first)
      let error = try #require(((plain["observables"] as? [[String: Any]])?.first)?["error"] as? Double)
      try place.run("compress @in.h5 --access tile -o @c.ald --psnr 50 --keep vorticity:\(error / 2) --report @c.json")
      try place.run("verify @c.ald --against @in.h5 --observe vorticity --report @v.json")
      let kept = try #require(try place.reports("c.json").first), seen = try #require(try place.reports("v.json").first)
      let measured = try #require(((seen["observables"] as? [[String: Any]])?.first)?["error"] as? Double)
      #expect(measured <= error / 2 && kept["psnr_db"] as! Double >= 50)
      #expect((kept["aligned"] as? [String: Any])?["steps"] as? String == "diagonal")
      // Half the error of a derivative is a bit per value at most.
      #expect((kept["bits_per_value"] as! Double) < (plain["bits_per_value"] as! Double) + 1.1)
      let o = try place.run("compress @in.h5 --access tile -o @c.ald --rate 1.5 --keep vorticity:1e-9", status: 3)
      #expect(o.stderr.contains("--keep cannot be met: vorticity:1e-09 (best: ") && !place.exists("x.ald"), "\(o.stderr)")
      let limited = try place.run("compress @in.h5 --access tile -o @x.ald --rate 1.5 --keep box16:1e-6 --max-psnr-loss 1e-9", status: 3)
      #expect(limited.stderr.contains("within --max-psnr-loss 1e-09 dB; what is asked for costs") && !place.exists("x.ald"), "\(limited.stderr)")
    }

    @Test func restoredViews() throws {
      let place = try Workplace("aligned-restored"), original = try Aligned.snapshot(place)
      try place.run("compress @in.h5 --access tile -o @c.ald --rate 1.5 --restoration totals,spectrum,divergence,band --report @c.json")
      try place.run("decompress @c.ald -o @d.h5")
      try place.run("decompress @c.ald -o @r.h5 --restore")
      let file = try place.bytes("r.h5")
      for ranks in [2, 3] {
        try place.run("decompress @c.ald -o @n.h5 --restore", ranks: ranks)
        #expect(try place.bytes("n.h5") == file, "restored on \(ranks) ranks")
      }
      let d = try Snapshot.read(place.path("d.h5"), "velocity"), r = try Snapshot.read(place.path("r.h5"), "velocity")
      #expect(r.shape == original.shape)
      #expect(Aligned.divergence(r) < 1e-3 * Aligned.divergence(d), "\(Aligned.divergence(r)) of \(Aligned.divergence(d))")
      try place.run("compare @in.h5 @r.h5 --observe spectrum,mean --report @v.json")
      let report = try #require(try place.reports("v.json").first), observed = report["observables"] as! [[String: Any]]
      #expect(observed.allSatisfy { ($0["error"] as! Double) < 1e-6 }, "\(observed)")
      let stored = try #require((try place.reports("c.json").first)?["restoration"] as? [String: Any])
      #expect(stored["kinds"] as? [String] == ["totals", "spectrum", "divergence", "band"])
      #expect(abs((stored["psnr_db"] as! Double) - (report["psnr_db"] as! Double)) < 1e-6)
      #expect(stored["max_abs_error"] as? Double == report["max_abs_error"] as? Double)
      // Restoring never makes such a field worse.
      #expect(report["psnr_db"] as! Double >= (try place.reports("c.json").first)?["psnr_db"] as! Double)

      try place.run("compress @in.h5 --access tile -o @p.ald --rate 1.5")
      let nothing = try place.run("decompress @p.ald -o @y.h5 --restore", status: 1)
      #expect(nothing.stderr.contains("holds nothing to restore"), "\(nothing.stderr)")
    }

    /// A flow that is coded by its modes stays so: steps of shells, carriers at low wavenumbers, and the decoder finds them in the header.
    @Test func keptBySpectralSteps() throws {
      let place = try Workplace("aligned-spectral"), original = try Aligned.snapshot(place)
      for bound in ["--psnr 60", "--rate 2", "--rel 1e-3"] {
        try place.run("compress @in.h5 -o @p.ald \(bound) --observe vorticity --report @p.json")
        let plain = try #require(try place.reports("p.json").first)
        #expect(plain["transform"] as? String == "spectral", "\(bound)")
        try place.run("compress @in.h5 -o @c.ald \(bound) --keep box16:1e-6 --report @c.json")
        try place.run("decompress @c.ald -o @d.h5")
        try place.run("verify @c.ald --against @in.h5")
        let d = try Snapshot.read(place.path("d.h5"), "velocity"), error = Aligned.relative(Aligned.boxes(d), Aligned.boxes(original))
        #expect(error <= 1e-6, "\(bound): \(error)")
        let kept = try #require(try place.reports("c.json").first)
        #expect(kept["transform"] as? String == "spectral" && kept["bound_kept"] as? Bool == true, "\(bound): \(kept["transform"]!)")
        let line = try #require((kept["observables"] as? [[String: Any]])?.first)
        #expect(abs((line["error"] as? Double ?? 1) / error - 1) < 1e-2)
        // 81 values, a few carriers each.
        let bits = (kept["bits_per_value"] as! Double) - (plain["bits_per_value"] as! Double)
        let loss = (plain["psnr_db"] as! Double) - (kept["psnr_db"] as! Double)
        #expect(bits < 0.06 && loss < 0.5, "\(bound): \(bits) bits more, \(loss) dB")
        // Further bytes lie between steps and settings; whole or damaged they are read.
        if bound == "--psnr 60" {
          let good = [UInt8](try place.bytes("c.ald")), right = try place.bytes("d.h5")
          var g = SplitMix64(seed: 23)
          for _ in 0..<20 {
            var bad = good
            bad[g.below(bad.count)] ^= UInt8(1 + g.below(255))
            try Data(bad).write(to: place.folder.appendingPathComponent("bad.ald"))
            let o = try place.run("decompress @bad.ald -o @bad.h5 -q", status: nil, timeout: 60)
            #expect(!o.crashed && !o.timedOut)
            if o.status == 0 { #expect(try place.bytes("bad.h5") == right) }
          }
        }
        let before = try #require((plain["observables"] as? [[String: Any]])?.first?["error"] as? Double)
        if bound != "--rate 2" {
          try place.run("compress @in.h5 -o @c.ald \(bound) --keep vorticity:\(before / 2) --report @c.json")
          let finer = try #require(try place.reports("c.json").first)
          #expect(finer["transform"] as? String == "spectral", "\(bound): \(finer["transform"]!), \(before)")
          #expect((finer["bits_per_value"] as! Double) < (plain["bits_per_value"] as! Double) + 1.2)
          try place.run("verify @c.ald --against @in.h5 --observe vorticity --report @v.json")
          let seen = try #require((try place.reports("v.json").first?["observables"] as? [[String: Any]])?.first?["error"] as? Double)
          #expect(seen <= before / 2, "\(bound)")
        } else {
          let o = try place.run("compress @in.h5 -o @x.ald \(bound) --keep vorticity:1e-9", status: 3)
          #expect(o.stderr.contains("--keep cannot be met: vorticity:1e-09 (best: ") && !place.exists("x.ald"), "\(o.stderr)")
        }
      }
    }

    /// `--keep-restored` is a promise of what `decompress --restore` gives.
    @Test func targetsOfTheRestoredView() throws {
      let place = try Workplace("aligned-keep-restored"), original = try Aligned.snapshot(place)
      let view = "--restoration totals,spectrum,divergence,band"
      try place.run("compress @in.h5 --access tile -o @p.ald --rate 1.5 \(view) --observe vorticity,box16 --report @p.json")
      let seen = try #require(try place.reports("p.json").first?["observables"] as? [[String: Any]])
      let before = try #require(seen[0]["restored_error"] as? Double), plain = try #require(seen[1]["error"] as? Double)
      // Met by the view alone, met by finer steps, and a promise of the plain decode beside it.
      for (keep, bound) in [("--keep-restored spectrum:1e-6", "--rate 1.5"), ("--keep-restored vorticity:\(before / 2) --keep-restored spectrum:1e-6", "--psnr 50"),
                            ("--keep-restored spectrum:1e-6 --keep box16:\(plain / 20)", "--rate 1.5")] {
        try place.run("compress @in.h5 --access tile -o @c.ald \(bound) \(view) \(keep) --report @c.json")
        try place.run("decompress @c.ald -o @r.h5 --restore")
        try place.run("compare @in.h5 @r.h5 --observe spectrum,vorticity --report @v.json")
        let restored = try #require(try place.reports("v.json").first?["observables"] as? [[String: Any]]), line = try #require(try place.reports("c.json").first)
        #expect((restored[0]["error"] as! Double) <= 1e-6, "\(keep)")
        let told = try #require(line["observables"] as? [[String: Any]])
        if keep.contains("vorticity") {
          #expect((restored[1]["error"] as! Double) <= before / 2)
          #expect((line["aligned"] as? [String: Any])?["steps"] as? String == "diagonal")
          #expect((told[0]["restored_target"] as? Double) == before / 2 && told[0]["target"] is NSNull)
        }
        if keep.contains("box16") {
          try place.run("decompress @c.ald -o @d.h5")
          #expect(Aligned.relative(Aligned.boxes(try Snapshot.read(place.path("d.h5"), "velocity")), Aligned.boxes(original)) <= plain / 20)
        }
      }
      let o = try place.run("compress @in.h5 --access tile -o @x.ald --rate 1.5 \(view) --keep-restored spectrum:1e-12", status: 3)
      #expect(o.stderr.contains("spectrum(") && o.stderr.contains("restored (best: ") && !place.exists("x.ald"), "\(o.stderr)")
      let bare = try place.run("compress @in.h5 -o @x.ald --rate 1.5 --keep-restored spectrum:1e-6", status: 1)
      #expect(bare.stderr.contains("give --restoration with it"), "\(bare.stderr)")
      try Identity.same(place, "in.h5", "--access tile --rate 1.5 \(view) --keep-restored spectrum:1e-6 --keep box16:1e-5", ranks: [3], threads: [])
    }

    @Test func spectralFieldsRestored() throws {
      let place = try Workplace("aligned-spectral-restored"), original = try Aligned.snapshot(place)
      try place.run("compress @in.h5 -o @c.ald --psnr 45 --restoration totals,spectrum,divergence,band --report @c.json")
      #expect(try place.reports("c.json")[0]["transform"] as? String == "spectral")
      try place.run("decompress @c.ald -o @r.h5 --restore")
      try place.run("decompress @c.ald -o @n.h5 --restore", ranks: 3)
      #expect(try place.bytes("n.h5") == place.bytes("r.h5"))
      let r = try Snapshot.read(place.path("r.h5"), "velocity")
      #expect(r.shape == original.shape)
      try place.run("compare @in.h5 @r.h5 --observe spectrum,mean --report @v.json")
      let report = try #require(try place.reports("v.json").first), observed = report["observables"] as! [[String: Any]]
      #expect(observed.allSatisfy { ($0["error"] as! Double) < 1e-6 }, "\(observed)")
      let stored = try #require((try place.reports("c.json").first)?["restoration"] as? [String: Any])
      #expect(abs((stored["psnr_db"] as! Double) - (report["psnr_db"] as! Double)) < 1e-6)
    }

    /// What the coefficients say of a field and of its errors is what its cells say, and is foretold before anything is coded.
    @Test func coefficientsTellObservables() throws {
      let place = try Workplace("aligned-coefficients"), u = Aligned.flow()
      let v = Values(.float64, [3, Aligned.n, Aligned.n, Aligned.n], u.flatMap { $0 })
      try Snapshot.write(place.path("in.h5"), [("velocity", v, ["dims": "component,z,y,x", "periodic": "x y z"])])
      let exact = "gradient,vorticity,strain,totalenstrophy,totaldissipation,kineticenergy,structure(r=1:4),band(k=1:6),potential,spectrum,field"
      for psnr in [40, 60, 80] {
        try place.run("compress @in.h5 -o @c.ald --psnr \(psnr) --observe \(exact),dissipation,box16,divergence --report @c.json")
        try place.run("align @in.h5 --psnr \(psnr) --observe \(exact),dissipation,box16,divergence --report @a.json", ranks: 2)
        let coded = try #require(try place.reports("c.json").first), told = try #require(try place.reports("a.json").first)
        #expect(coded["transform"] as? String == "spectral" && told["transform"] as? String == "spectral")
        let lines = try #require(coded["observables"] as? [[String: Any]]), before = try #require(told["observables"] as? [[String: Any]])
        for (i, (o, t)) in zip(lines, before).enumerated() {
          let name = o["name"] as! String, error = o["error"] as! Double, predicted = o["predicted_error"] as! Double
          let original = o["original"] as! Double, foretold = try #require(t["predicted_error"] as? Double)
          // Of a flow without divergence that is rounding.
          if name == "divergence" { continue }
          if i < 11 {
            // No rounding to single precision, no outliers: the same but for the transform's own rounding.
            #expect(abs(predicted - error) < 1e-7 * error + 1e-13, "\(psnr) dB, \(name): \(error), predicted \(predicted)")
            if !name.hasPrefix("structure"), let size = t["original"] as? Double { #expect(abs(size / original - 1) < 1e-10, "\(name): \(original), from coefficients \(size)") }
          } else {
            #expect(abs(predicted / error - 1) < 0.5, "\(psnr) dB, \(name): \(error), predicted \(predicted)")
          }
          #expect(foretold > 0.5 * predicted && foretold < 2 * predicted, "\(psnr) dB, \(name): \(predicted), foretold \(foretold)")
          // Sensitivities are exact, so A has no interval; variances are those of eight sets of modes.
          if name == "vorticity" {
            let laws = try #require((t["alignment"] as? [String: Any])?["laws"] as? [String: Any])
            let ends = ["A", "B", "C"].map { ((laws[$0] as? [String: Any])?["cost_ci"] as? [Double])?.count }
            #expect(ends == [0, 2, 2], "\(laws)")
          }
        }
      }
    }

    /// Means of a field with missing values; the cells that hold none stay as they are.
    @Test func meansOfMaskedFields() throws {
      let place = try Workplace("aligned-masked")
      var v = Pattern.waves.values([20, 24, 28], seed: 9)
      for i in stride(from: 0, to: v.count, by: 7) { v[i] = .nan }
      let original = Values(.float32, [20, 24, 28], v)
      try Snapshot.write(place.path("in.h5"), [("sea", original, ["dims": "z,y,x"])])
      try place.run("compress @in.h5 --access tile -o @c.ald --rel 1e-4 --restoration totals")
      try place.run("decompress @c.ald -o @r.h5 --restore")
      let r = try Snapshot.read(place.path("r.h5"), "sea")
      var sum = 0.0, wanted = 0.0
      for i in 0..<r.count {
        if original[i].isNaN { #expect(r.bits[i] == original.bits[i]) } else { sum += r[i]; wanted += original[i] }
      }
      // The values' own rounding; their mean is nearly zero.
      #expect(abs(sum - wanted) <= 1e-8 * Double(r.count))
    }

    /// They have one step for all: it is made finer, and bits pay.
    @Test func keptOfMaskedFields() throws {
      let place = try Workplace("aligned-masked-kept")
      var v = Pattern.waves.values([20, 24, 28], seed: 9)
      for i in v.indices { v[i] += 3 }
      for i in stride(from: 0, to: v.count, by: 7) { v[i] = .nan }
      let original = Values(.float32, [20, 24, 28], v)
      try Snapshot.write(place.path("in.h5"), [("sea", original, ["dims": "z,y,x"])])
      try place.run("compress @in.h5 -o @c.ald --rel 0.05 --keep mean:1e-5 --keep box(size=8):1e-4 --report @c.json")
      try place.run("verify @c.ald --against @in.h5 --observe mean,box(size=8) --report @v.json")
      let seen = try #require(try place.reports("v.json").first), errors = (seen["observables"] as! [[String: Any]]).map { $0["error"] as! Double }
      #expect(errors[0] <= 1e-5 && errors[1] <= 1e-4, "\(errors)")
      try place.run("decompress @c.ald -o @d.h5")
      let d = try Snapshot.read(place.path("d.h5"), "sea")
      for i in 0..<d.count where original[i].isNaN { #expect(d.bits[i] == original.bits[i]) }
      let o = try place.run("compress @in.h5 -o @x.ald --rate 0.5 --keep mean:1e-12", status: 3)
      #expect(o.stderr.contains("--keep cannot be met: mean:1e-12") && !place.exists("x.ald"), "\(o.stderr)")
    }

    @Test func sameOnAnyRanks() throws {
      let place = try Workplace("aligned-ranks")
      _ = try Aligned.snapshot(place)
      try Identity.same(place, "in.h5", "--access tile --rate 1.5 --keep box16:1e-5 --keep vorticity:0.5 --restoration totals,spectrum,divergence,band", ranks: [2, 4], threads: [3])
      try Identity.same(place, "in.h5", "--access tile --psnr 45 --keep vorticity:0.02 --keep mean:1e-4", ranks: [3], threads: [])
      try Identity.same(place, "in.h5", "--psnr 60 --keep box16:1e-6 --keep vorticity:0.003 --observe spectrum,dissipation --restoration totals,spectrum", ranks: Promises.rankCounts, threads: [3])
    }
  }
}
