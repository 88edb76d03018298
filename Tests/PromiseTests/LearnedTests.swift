import Codecs
import Compressor
import Fields
import Foundation
import MPI
import Support
import Testing

extension Promises {
  /// Decoded values corrected by networks: fitted filters in the container, and networks of model files.
  @Suite struct Learned {
    static let shape = [40, 44, 48]
    /// Within a tile and across the faces of tiles.
    static let regions = [[0..<3, 5..<33, 40..<48], [31..<33, 0..<44, 20..<21]]

    /// A velocity without divergence, of many waves; components x, y, z.
    static func flow(seed: UInt64) -> [Double] {
      let n = shape.reduce(1, *)
      var values = [Double](repeating: 0, count: 3 * n), g = SplitMix64(seed: seed)
      func normal() -> Double { (0..<12).reduce(-6) { s, _ in s + g.uniform() } }
      for _ in 0..<80 {
        let r = 8 * g.uniform(), k = (0..<3).map { _ in r * normal() }, v = (0..<3).map { _ in normal() }, phase = 2 * Double.pi * g.uniform()
        var e = [v[1] * k[2] - v[2] * k[1], v[2] * k[0] - v[0] * k[2], v[0] * k[1] - v[1] * k[0]]
        let length = e.reduce(0) { $0 + $1 * $1 }.squareRoot(), kk = k.reduce(0) { $0 + $1 * $1 }
        e = e.map { $0 / length / pow(1 + kk / 9, 0.9) }
        let tables = (0..<3).map { a in (0..<shape[a]).map { 2 * Double.pi * k[a] * Double($0) / 40 } }
        var at = 0
        for z in tables[0] { for y in tables[1] { for x in tables[2] {
          let s = sin(z + y + x + phase)
          for c in 0..<3 { values[c * n + at] += e[2 - c] * s }
          at += 1
        } } }
      }
      return values
    }
    static func snapshot(_ place: Workplace, _ type: ScalarType = .float32) throws -> Values {
      let v = Values(type, [3] + shape, flow(seed: 5))
      try Snapshot.write(place.path("in.h5"), [("velocity", v, ["dims": "c,z,y,x"])])
      return v
    }
    /// A linear network on 2^3 patches fitted to the field at 45 dB.
    static func model(_ v: Values, _ path: String) throws {
      let grid = Grid(shape: Index3(shape[0], shape[1], shape[2])), n = grid.count, alone = Communicator.alone()
      let arrays = (0..<3).map { c -> [RawArray] in
        let a = RawArray(box: grid.box, type: .float32)
        for i in 0..<n { a.bound(to: Float.self)[i] = Float(v[c * n + i]) }
        return [a]
      }
      let source = FieldSource(name: "velocity", grid: grid, type: .float32, components: 3, boxes: [grid.box], arrays: arrays)
      let shape = Network.Shape(components: 3, dimensions: 3, patch: 2, width: 0, blocks: 0)
      let tiles = try TrainingTiles(source, bound: .psnr(45), shape: shape, every: 1, threads: 1, ranks: alone)
      try ModelFile(Network(shape, rounding: #require(tiles.fit.solution()).weights), licence: "none").write(path)
    }

    @Test(arguments: ["--filter", "--model @m.aldm"]) func paysAndKeepsItsPromises(_ correction: String) throws {
      let place = try Workplace("learned")
      let original = try Learned.snapshot(place)
      try Learned.model(original, place.path("m.aldm"))
      for bound in ["--psnr 45", "--psnr 45 --codec wavelet97", "--rel 1e-2 --codec lot16", "--rate 0.4"] {
        try place.run("compress @in.h5 -o @p.ald --report @p.json \(bound)")
        try place.run("compress @in.h5 -o @c.ald --report @c.json \(bound) \(correction)", ranks: 2)
        let p = try place.reports("p.json")[0], c = try place.reports("c.json")[0]
        let name = try #require(c["transform"] as? String)
        // A network pays near the operating point that it was made for.
        let must = correction == "--filter" || !bound.contains("--codec")
        #expect(c["bound_kept"] as? Bool == true && (name.contains("+") || !must), "\(bound): \(name)")
        if bound.contains("rate") {
          #expect((c["psnr_db"] as! Double) > (p["psnr_db"] as! Double) + 0.2)
        } else { #expect((c["stored_bytes"] as! Int) < (p["stored_bytes"] as! Int) + (must ? 0 : 1), "\(bound)") }
        try place.run("verify @c.ald --against @in.h5", ranks: 3)
      }
      // Regions, also on several ranks, and every level of vector instructions.
      try place.run("compress @in.h5 -o @1.ald --psnr 45 \(correction)")
      try place.run("decompress @1.ald -o @1.h5")
      try place.regionsAreCrops("velocity", Learned.regions)
      try place.sameOnEveryLevel("--psnr 45 \(correction)")
    }

    @Test(arguments: ["--filter", "--model @m.aldm"]) func sameOnAnyRanks(_ correction: String) throws {
      let place = try Workplace("learned-identity")
      let v = try Learned.snapshot(place)
      try Learned.model(v, place.path("m.aldm"))
      try Identity.same(place, "in.h5", "--psnr 45 \(correction)", ranks: [1, 2, 4, 8])
      try place.run("decompress @1.ald -o @1.h5")
      try place.decodesAlike(ranks: [2, 4, 8])
    }

    /// Where it does not pay, and where it cannot be, the container is that of a plain job.
    @Test func neverWorse() throws {
      let place = try Workplace("learned-noise")
      let v = try Learned.snapshot(place)
      try Learned.model(v, place.path("m.aldm"))
      let n = 3 * Learned.shape.reduce(1, *), noise = (0..<n).map { Double(SplitMix64.hash(3, $0) >> 11) * 0x1p-53 }
      var holes = Learned.flow(seed: 2)
      for i in stride(from: 0, to: n, by: 97) { holes[i] = .nan }
      let dims = ["dims": "c,z,y,x"]
      try Snapshot.write(place.path("in.h5"), [("noise", Values(.float32, [3] + Learned.shape, noise), dims), ("holes", Values(.float64, [3] + Learned.shape, holes), dims)])
      for bound in ["--psnr 40", "--pwrel 1e-2", "--lossless"] {
        try place.run("compress @in.h5 -o @p.ald \(bound)")
        for c in ["--filter", "--model @m.aldm"] {
          try place.run("compress @in.h5 -o @c.ald \(bound) \(c)")
          let plain = try place.bytes("p.ald"), corrected = try place.bytes("c.ald")
          #expect(bound == "--psnr 40" ? corrected.count <= plain.count : corrected == plain, "\(bound) \(c)")
        }
      }
    }

    @Test func modelsThatAreNotThere() throws {
      let place = try Workplace("learned-models")
      let v = try Learned.snapshot(place)
      try Learned.model(v, place.path("m.aldm"))
      try place.run("compress @in.h5 -o @c.ald --psnr 45 --model @m.aldm")
      // Beside the container it is found by its hash, whatever its name.
      try FileManager.default.moveItem(atPath: place.path("m.aldm"), toPath: place.path("renamed.aldm"))
      try place.run("verify @c.ald --against @in.h5")
      let whole = try place.bytes("renamed.aldm")
      place.remove("renamed.aldm")
      func refused(_ words: String, _ part: String) throws {
        for ranks in [0, 3] {
          let o = try place.run(words, ranks: ranks, status: 5)
          #expect(o.stderr.contains(part) && o.stderr.components(separatedBy: "alidade: error: ").count == 2, "\(words): \(o.stderr)")
        }
      }
      try refused("verify @c.ald", "needs the model")
      try refused("decompress @c.ald -o @x.h5 --region 0:4,0:4,0:4", "needs the model")
      #expect(!place.exists("x.h5"))
      try place.run("inspect @c.ald")
      // Cut, changed, of another kind, of another hash.
      let file = place.folder.appendingPathComponent("m.dat")
      for n in [0, 100, whole.count / 2, whole.count - 1] {
        try whole.prefix(n).write(to: file)
        try refused("compress @in.h5 -o @y.ald --psnr 45 --model @m.dat", "model")
        try refused("verify @c.ald --model @m.dat", "model")
      }
      var changed = [UInt8](whole)
      changed[changed.count - 1000] ^= 4
      try Data(changed).write(to: file)
      try refused("verify @c.ald --model @m.dat", "damaged")
      try refused("compress @in.h5 -o @y.ald --psnr 45 --model @nothing.aldm", "cannot be read")
      try whole.write(to: file)
      try place.run("verify @c.ald --model @m.dat")
      try Snapshot.write(place.path("scalar.h5"), [("s", Values(.float32, Learned.shape, Pattern.waves.values(Learned.shape, seed: 1)), ["dims": "z,y,x"])])
      try refused("compress @scalar.h5 -o @y.ald --psnr 45 --model @m.dat", "3 components")
      try Learned.model(Values(.float32, [3] + Learned.shape, Learned.flow(seed: 8)), place.path("other.aldm"))
      try refused("verify @c.ald --model @other.aldm", "needs the model")
      try place.run("compress @in.h5 -o @y.ald --psnr 45 --model @m.dat --temporal 3", status: 1)
      #expect(!place.exists("y.ald"))
    }
  }
}
