import Codecs
import Compressor
import Foundation
import HDF5
import Support
import Testing

extension Promises.Learned {
  /// The pre-flight of a learned decoder: what it says of the errors is what a job with the model measures, on any ranks.
  @Test func preflightOfTheLearnedDecoder() throws {
    let place = try Workplace("learned-align")
    try Promises.Learned.model(try Promises.Learned.snapshot(place), place.path("m.aldm"))
    let observe = "--observe box(size=8) --observe vorticity"
    try place.run("align @in.h5 --psnr 45 \(observe) --model @m.aldm --report @a.json")
    try place.run("align @in.h5 --psnr 45 \(observe) --report @t.json")
    try place.run("compress @in.h5 -o @c.ald --psnr 45 --model @m.aldm \(observe) --report @c.json")
    let a = try place.reports("a.json")[0], c = try place.reports("c.json")[0]
    let name = try #require(a["transform"] as? String), learned = try #require(a["learned"] as? [String: Double])
    #expect(name.contains("+") && learned["gain_db"]! > 0.3 && learned["slack_db"]! >= 0, "\(name) \(learned)")
    let predicted = try #require(a["observables"] as? [[String: Any]]), measured = try #require(c["observables"] as? [[String: Any]])
    for (p, m) in zip(predicted, measured) {
      let expected = try #require(p["predicted_error"] as? Double), found = try #require(m["error"] as? Double)
      #expect(abs(found / expected - 1) < 0.25, "\(p["name"]!): \(found), foretold \(expected)")
      let alignment = try #require(p["alignment"] as? [String: Any])
      #expect((alignment["predicted_gain_db"] as? Double ?? -1) >= 0 && (alignment["verdict"] as? String)?.isEmpty == false)
    }
    for ranks in [2, 3] {
      try place.run("align @in.h5 --psnr 45 \(observe) --model @m.aldm --report @n.json", ranks: ranks)
      let n = try place.reports("n.json")[0]
      #expect(NSDictionary(dictionary: n["learned"] as! [String: Any]).isEqual(to: a["learned"] as! [String: Any]))
      #expect(NSArray(array: n["observables"] as! [Any]).isEqual(to: a["observables"] as! [Any]), "\(ranks) ranks")
    }
    // Tile by tile, the same on any ranks.
    for ranks in [1, 3] {
      try place.run("align @in.h5 --psnr 45 \(observe) --model @m.aldm --map @map\(ranks).h5", ranks: ranks)
      let tiles = try Dataset(in: try File.open(place.path("map\(ranks).h5")), "velocity/0/vorticity/sensitivity")
      #expect(tiles.shape == [1, 1, 2], "\(tiles.shape)")
    }
    #expect(try place.bytes("map1.h5") == place.bytes("map3.h5"))
    // What cannot be.
    #expect(try place.run("align @in.h5 --psnr 45 \(observe) --model @none.aldm", status: 5).stderr.contains("none.aldm"))
  }

  /// A learned decoder's sweep: the same numbers on any ranks, those of a plain sweep for a network that does nothing.
  @Test func sweepsOfTheLearnedDecoder() throws {
    let place = try Workplace("learned-sweep")
    try Promises.Learned.model(try Promises.Learned.snapshot(place), place.path("m.aldm"))
    let shape = Network.Shape(components: 3, dimensions: 3, patch: 2, width: 0, blocks: 0)
    try ModelFile(Network(shape, rounding: [Float](repeating: 0, count: shape.parameterCount)), licence: "none").write(place.path("idle.aldm"))
    func cells(_ words: String, ranks: Int = 0) throws -> [[String: Any]] {
      try place.run("sweep @in.h5 --rates 0.6 --weights 1 --observe box(size=8),vorticity --report @s.json \(words)", ranks: ranks)
      return try #require((try place.results("s.json")["sweep"] as? [String: Any])?["cells"] as? [[String: Any]])
    }
    let plain = try cells("--model @idle.aldm"), transform = try cells(""), learned = try cells("--model @m.aldm")
    #expect(plain.count == 2)
    for (p, t) in zip(plain, transform) {
      func apart(_ key: String) throws -> Double { try abs(#require(p[key] as? Double) - #require(t[key] as? Double)) }
      // Sensitivities to the bit; the step is not quite the same, as tiles say whether they are corrected, and a rate is met within 2 %.
      #expect(try apart("cv2") == 0 && abs(p["slack_db"] as! Double) < 1e-9)
      for key in ["predicted_cost_db", "predicted_gain_db"] { #expect(try apart(key) < 0.02 * (1 + (t[key] as! Double)), "\(key): \(p[key]!) and \(t[key]!)") }
      for key in ["base_psnr_db", "cost_db", "gain_db"] { #expect(try apart(key) < 0.25, "\(key): \(p[key]!) and \(t[key]!)") }
    }
    // A small field, whose tables are a third of it: that the law holds is seen on larger ones (docs/results/learned.md).
    for l in learned { #expect((l["slack_db"] as! Double) > 0.1 && (l["predicted_cost_db"] as! Double) < (transform[0]["predicted_cost_db"] as! Double)) }
    #expect(NSArray(array: try cells("--model @m.aldm", ranks: 4)).isEqual(to: learned))
    #expect(try place.run("sweep @in.h5 --observe vorticity --model @none.aldm", status: 5).stderr.contains("none.aldm"))
  }

  /// Components of a file belong to its axes; a network takes them as they stand there.
  @Test func preflightTakesComponentsAsTheyAre() throws {
    let place = try Workplace("learned-axes")
    let v = try Promises.Learned.snapshot(place)
    try Promises.Learned.model(v, place.path("m.aldm"))
    func gain(_ dims: String) throws -> Double {
      try Snapshot.write(place.path("in.h5"), [("velocity", v, ["dims": dims])])
      try place.run("align @in.h5 --psnr 45 --observe box(size=8) --model @m.aldm --report @a.json")
      return try #require((try place.reports("a.json")[0]["learned"] as? [String: Double])?["gain_db"])
    }
    // The step is sought in another order of the components.
    let asTrained = try gain("c,z,y,x"), turned = try gain("c,x,y,z")
    #expect(asTrained > 0.3 && abs(asTrained - turned) < 0.05, "\(asTrained) and \(turned) dB")
  }

  /// Observables are kept on corrected values, in containers that are the same on any ranks.
  @Test(arguments: ["--filter", "--model @m.aldm"]) func keepsObservablesOfCorrectedValues(_ correction: String) throws {
    let place = try Workplace("learned-keep")
    try Promises.Learned.model(try Promises.Learned.snapshot(place), place.path("m.aldm"))
    for (k, keep) in ["vorticity:0.03", "box(size=8):0.0005"].enumerated() {
      try place.run("compress @in.h5 -o @c.ald --psnr 45 --access tile \(correction) --keep \(keep) --report @c.json")
      let c = try place.reports("c.json")[0], o = try #require((c["observables"] as? [[String: Any]])?.first)
      #expect(c["bound_kept"] as? Bool == true && (o["error"] as! Double) <= (o["target"] as! Double), "\(keep)")
      #expect((c["transform"] as? String)?.contains("+") == true)
      try place.run("verify @c.ald --against @in.h5", ranks: k == 0 ? 0 : 2)
      try place.run("compress @in.h5 -o @n.ald --psnr 45 --access tile \(correction) --keep \(keep)", ranks: 3)
      #expect(try place.bytes("n.ald") == place.bytes("c.ald"), "\(keep)")
    }
  }
}
