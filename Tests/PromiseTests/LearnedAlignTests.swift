import Foundation
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
    // What cannot be.
    #expect(try place.run("align @in.h5 --psnr 45 \(observe) --model @m.aldm --map @map.h5", status: 1).stderr.contains("--map"))
    #expect(try place.run("align @in.h5 --psnr 45 \(observe) --model @none.aldm", status: 5).stderr.contains("none.aldm"))
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
