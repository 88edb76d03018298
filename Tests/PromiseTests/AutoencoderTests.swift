import Codecs
import Compressor
import Fields
import Foundation
import Support
import Testing

extension Promises {
  /// Autoencoders of patches as a member of the codec bank.
  @Suite struct Autoencoders {
    /// A tied linear code whose columns are cosines of patches of 4^3 cells, of all components, their magnitudes those of `v`: no training, but a fair code.
    static func model(_ v: Values, _ coding: Autoencoder.Coding, _ path: String, scale: Float = 1) throws {
      let edge = 4, n = edge * edge * edge, parts = 3, all = parts * n, cells = Learned.shape.reduce(1, *)
      func wave(_ k: Int, _ i: Int) -> Double { (k == 0 ? 0.5 : 0.5.squareRoot()) * cos(Double.pi * Double(k) * (Double(i) + 0.5) / 4) }
      func column(_ k: Int, _ r: Int) -> Double { wave(k / 16, r / 16) * wave(k / 4 % 4, r / 4 % 4) * wave(k % 4, r % 4) }
      var parameters = [Float](repeating: 0, count: all * all + all), magnitudes = [Float](repeating: 0, count: all), patches: Float = 0
      for c in 0..<parts { for r in 0..<n { for k in 0..<n { parameters[(c * n + r) * all + c * n + k] = Float(column(k, r)) } } }
      let mean = (0..<parts).map { c in (0..<cells).reduce(0.0) { $0 + v[c * cells + $1] } / Double(cells) }
      let rms = ((0..<parts * cells).reduce(0.0) { $0 + pow(v[$1] - mean[$1 / cells], 2) } / Double(parts * cells)).squareRoot()
      for z in stride(from: 0, to: Learned.shape[0], by: 12) { for y in stride(from: 0, to: Learned.shape[1], by: 12) { for x in stride(from: 0, to: Learned.shape[2], by: 12) {
        patches += 1
        for c in 0..<parts { for k in 0..<n {
          var s = 0.0
          for r in 0..<n { s += column(k, r) * (v[((c * Learned.shape[0] + z + r / 16) * Learned.shape[1] + y + r / 4 % 4) * Learned.shape[2] + x + r % 4] - mean[c]) }
          magnitudes[c * n + k] += Float(abs(s) / rms)
        } }
      } } }
      var shape = Autoencoder.Shape(components: parts, patch: Index3(edge, edge, edge), latents: all)
      shape.coding = coding
      // Of sparse codes those of latents that are not zero.
      let means = magnitudes.map { coding == .sparse ? max(1, $0 / patches / 0.01) : $0 / patches / 0.01 }
      let numbers = Autoencoder.Numbers(parameters: parameters.map { scale * $0 }, steps: [Float](repeating: 0.01 / scale, count: all), magnitudes: means)
      try ModelFile(.autoencoder(Autoencoder(shape, rounding: numbers)), notes: ["on": "cosines"], licence: "none").write(path)
    }

    @Test(arguments: Autoencoder.Coding.allCases) func keepsItsPromises(_ coding: Autoencoder.Coding) throws {
      let place = try Workplace("autoencoder")
      let original = try Learned.snapshot(place)
      try Autoencoders.model(original, coding, place.path("m.aldm"))
      let bounds = coding == .contextual ? ["--psnr 45", "--rel 1e-2", "--abs 0.03", "--rate 1.5"] : ["--psnr 45"]
      for bound in bounds {
        try place.run("compress @in.h5 -o @c.ald --report @c.json \(bound) --codec autoencoder --model @m.aldm", ranks: 2)
        let c = try place.reports("c.json")[0], name = try #require(c["transform"] as? String)
        #expect(c["bound_kept"] as? Bool == true && name.hasPrefix("autoencoder+"), "\(bound): \(name)")
        try place.run("verify @c.ald --against @in.h5", ranks: 3)
      }
      let options = "--psnr 45 --codec autoencoder --model @m.aldm"
      try place.run("compress @in.h5 -o @1.ald \(options)")
      try place.run("decompress @1.ald -o @1.h5")
      try place.regionsAreCrops("velocity", Learned.regions)
      try place.sameOnEveryLevel(options)
    }

    @Test(arguments: [Autoencoder.Coding.contextual, .sparse]) func sameOnAnyRanks(_ coding: Autoencoder.Coding) throws {
      let place = try Workplace("autoencoder-identity")
      let v = try Learned.snapshot(place)
      try Autoencoders.model(v, coding, place.path("m.aldm"))
      try Identity.same(place, "in.h5", "--psnr 45 --codec autoencoder --model @m.aldm", ranks: Promises.rankCounts)
      try place.run("decompress @1.ald -o @1.h5")
      try place.decodesAlike(ranks: [2, 3, 4, 8])
    }

    /// Chosen on its own only where it is smaller: cosines of 4^3 cells are no match for lapped transforms.
    @Test func neverWorse() throws {
      let place = try Workplace("autoencoder-noise")
      let v = try Learned.snapshot(place)
      try Autoencoders.model(v, .contextual, place.path("m.aldm"))
      for bound in ["--psnr 45", "--rel 1e-3", "--pwrel 1e-2", "--lossless"] {
        try place.run("compress @in.h5 -o @p.ald \(bound)")
        try place.run("compress @in.h5 -o @c.ald \(bound) --model @m.aldm")
        #expect(try place.bytes("c.ald").count <= place.bytes("p.ald").count, "\(bound)")
      }
      // Patches from few columns: what only they know, they code better.
      let grid = Learned.shape
      var few = [Double](repeating: 0, count: 3 * grid.reduce(1, *))
      for i in few.indices {
        let x = i % grid[2], y = i / grid[2] % grid[1], z = i / (grid[2] * grid[1])
        let patch = (z / 4 * 50 + y / 4) * 50 + x / 4
        few[i] = Double(SplitMix64.hash(7, patch) % 9) * cos(Double.pi * 3 * (Double(x % 4) + 0.5) / 4)
      }
      let w = Values(.float32, [3] + grid, few)
      try Snapshot.write(place.path("in.h5"), [("velocity", w, ["dims": "c,z,y,x"])])
      try Autoencoders.model(w, .contextual, place.path("m.aldm"))
      try place.run("compress @in.h5 -o @p.ald --psnr 50")
      try place.run("compress @in.h5 -o @c.ald --psnr 50 --model @m.aldm --report @c.json")
      #expect(try place.bytes("c.ald").count < place.bytes("p.ald").count)
      #expect((try place.reports("c.json")[0]["transform"] as? String)?.hasPrefix("autoencoder+") == true)
      try place.run("verify @c.ald --against @in.h5")
    }

    /// The code of scattering images that comes with the program: form factors of spheres over a background, with counting noise, after Anscombe's root.
    @Test func shippedCodeOfImages() throws {
      let place = try Workplace("autoencoder-images"), edge = 32, count = 64
      let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../../benchmarks/learned/scattering.aldm")
      try Data(contentsOf: file).write(to: place.folder.appendingPathComponent("m.aldm"))
      var g = SplitMix64(seed: 11), values: [Double] = []
      for _ in 0..<count {
        let radius = 4 + 8 * g.uniform(), top = pow(10, 3 + 1.5 * g.uniform()), background = 2 + 18 * g.uniform()
        for i in 0..<edge * edge {
          let q = hypot(Double(i / edge) - 15.5, Double(i % edge) - 15.5) / 16
          var form = 0.0, noise = -6.0
          for (k, share) in [0.12, 0.23, 0.3, 0.23, 0.12].enumerated() {
            let x = radius * (1 + 0.07 * Double(k - 2)) * q, f = 3 * (sin(x) - x * cos(x)) / (x * x * x)
            form += share * f * f
          }
          // Of variance 1 after the root.
          for _ in 0..<12 { noise += g.uniform() }
          values.append(2 * (top * form + background + 0.375).squareRoot() + noise)
        }
      }
      try Snapshot.write(place.path("in.h5"), [("counts", Values(.float32, [count, edge, edge], values), ["dims": "z,y,x"])])
      try place.run("compress @in.h5 -o @p.ald --psnr 45")
      try place.run("compress @in.h5 -o @c.ald --psnr 45 --model @m.aldm --report @c.json", ranks: 2)
      let c = try place.reports("c.json")[0], plain = try place.bytes("p.ald").count
      #expect((c["transform"] as? String)?.hasPrefix("autoencoder+") == true && c["bound_kept"] as? Bool == true, "\(c["transform"]!)")
      #expect((c["stored_bytes"] as! Int) * 3 < plain, "\(c["stored_bytes"]!) against \(plain)")
      try place.run("verify @c.ald --against @in.h5")
      try place.run("decompress @c.ald -o @out.h5 --region 0:3,0:32,5:9")
    }

    /// An autoencoder stays where it keeps observables as it is; else the field is coded as without it.
    @Test func keepsObservables() throws {
      let place = try Workplace("autoencoder-keep")
      try Autoencoders.model(try Learned.snapshot(place), .contextual, place.path("m.aldm"))
      let forced = "compress @in.h5 -o @c.ald --psnr 45 --codec autoencoder --model @m.aldm --report @c.json --keep"
      try place.run("\(forced) vorticity:0.2", ranks: 2)
      let o = try #require((try place.reports("c.json")[0]["observables"] as? [[String: Any]])?.first)
      #expect((o["error"] as! Double) <= 0.2)
      try place.run("verify @c.ald --against @in.h5")
      place.remove("c.ald")
      #expect(try place.run("\(forced) vorticity:1e-4", status: 3).stderr.contains("leave --codec out"))
      #expect(!place.exists("c.ald"))
      try place.run("compress @in.h5 -o @p.ald --psnr 45 --keep vorticity:0.03")
      try place.run("compress @in.h5 -o @c.ald --psnr 45 --keep vorticity:0.03 --model @m.aldm", ranks: 3)
      #expect(try place.bytes("c.ald") == place.bytes("p.ald"))
    }

    /// Weights on the steps of latents: what they cost and win is what the law says, the same on any ranks.
    @Test func sweepsOfLatents() throws {
      let place = try Workplace("autoencoder-sweep")
      try Autoencoders.model(try Learned.snapshot(place), .factorized, place.path("m.aldm"))
      func cells(ranks: Int) throws -> [[String: Any]] {
        try place.run("sweep @in.h5 --rates 1 --weights 1 --observe box(size=8),vorticity --model @m.aldm --report @s.json", ranks: ranks)
        return try #require((try place.results("s.json")["sweep"] as? [String: Any])?["cells"] as? [[String: Any]])
      }
      let alone = try cells(ranks: 0)
      #expect(alone.count == 2)
      for c in alone {
        func number(_ key: String) throws -> Double { try #require(c[key] as? Double) }
        #expect(try abs(number("cost_db") - number("predicted_cost_db")) < 0.3 + 0.2 * number("predicted_cost_db"), "\(c)")
        #expect(try abs(number("gain_db") - number("predicted_gain_db")) < 0.3 + 0.2 * number("predicted_gain_db"), "\(c)")
      }
      #expect(NSArray(array: try cells(ranks: 4)).isEqual(to: alone))
    }

    @Test func modelsThatAreNotThere() throws {
      let place = try Workplace("autoencoder-models")
      let v = try Learned.snapshot(place)
      try Autoencoders.model(v, .sparse, place.path("m.aldm"))
      try place.run("compress @in.h5 -o @c.ald --psnr 45 --codec autoencoder --model @m.aldm")
      try FileManager.default.moveItem(atPath: place.path("m.aldm"), toPath: place.path("renamed.aldm"))
      try place.run("verify @c.ald --against @in.h5")
      let whole = try place.bytes("renamed.aldm")
      place.remove("renamed.aldm")
      func refused(_ words: String, _ part: String, status: Int32 = 5) throws {
        for ranks in [0, 3] {
          let o = try place.run(words, ranks: ranks, status: status)
          #expect(o.stderr.contains(part) && o.stderr.components(separatedBy: "alidade: error: ").count == 2, "\(words): \(o.stderr)")
        }
      }
      try refused("verify @c.ald", "needs the model")
      try refused("decompress @c.ald -o @x.h5 --region 0:4,0:4,0:4", "needs the model")
      try place.run("inspect @c.ald")
      let file = place.folder.appendingPathComponent("m.dat")
      try whole.prefix(whole.count - 1).write(to: file)
      try refused("verify @c.ald --model @m.dat", "model")
      var changed = [UInt8](whole)
      changed[changed.count - 1000] ^= 4
      try Data(changed).write(to: file)
      try refused("compress @in.h5 -o @y.ald --psnr 45 --model @m.dat", "damaged")
      // Another model, other fields, and what it cannot take.
      try Autoencoders.model(v, .sparse, place.path("other.dat"), scale: 2)
      try refused("verify @c.ald --model @other.dat", "needs the model")
      try whole.write(to: file)
      try place.run("verify @c.ald --model @m.dat")
      try refused("align @in.h5 -f velocity --psnr 45 --observe vorticity --model @m.dat", "autoencoder", status: 1)
      try refused("sweep @in.h5 -f velocity --observe vorticity --model @m.dat", "sparse", status: 1)
      try refused("compress @in.h5 -o @y.ald --psnr 45 --codec autoencoder", "--codec autoencoder", status: 1)
      try refused("compress @in.h5 -o @y.ald --pwrel 1e-2 --codec autoencoder --model @m.dat", "--codec autoencoder", status: 1)
      try Snapshot.write(place.path("scalar.h5"), [("s", Values(.float32, Learned.shape, Pattern.waves.values(Learned.shape, seed: 1)), ["dims": "z,y,x"])])
      try refused("compress @scalar.h5 -o @y.ald --psnr 45 --model @m.dat", "3 components")
      #expect(!place.exists("y.ald"))
    }
  }
}
