import Foundation
import HDF5
import Support
import Testing

private let vector = "--raw --type f32 --shape 3,32,32,32 --axes czyx --periodic xyz", against = "--against DIR/velocity.raw \(vector)"

/// Questions that cannot be answered: said once, whatever the number of ranks.
private let refused: [Case] = [
  Case("audit", 1, "missing argument IN.ald"),
  Case("audit DIR/a40.ald --labels variance", 1, "alidade audit needs --against ORIGINAL"),
  Case("audit DIR/a40.ald \(against)", 1, "alidade audit needs --labels, such as variance:4"),
  Case("audit DIR/a40.ald \(against) --labels variance:1", 1, "2 to 64 classes, not 1"),
  Case("audit DIR/a40.ald \(against) --labels x --labels x:4", 1, "--labels x:4 is given twice"),
  Case("audit DIR/a40.ald \(against) --labels x --patch 12", 1, "--patch must be 8 or 16"),
  Case("audit DIR/a40.ald \(against) --labels x --components 40", 1, "at most 20"),
  Case("audit DIR/none.ald \(against) --labels x", 2, "cannot open", "none.ald"),
  Case("audit DIR/velocity.raw \(against) --labels x", 2, "velocity.raw"),
  Case("audit DIR/a40.ald --against DIR/numbers.raw --raw --type f32 --shape 4,4,4 --labels x", 2, "numbers.raw"),
  Case("audit DIR/a40.ald \(against) --labels vortisity", 1, "there is no observable 'vortisity'"),
  Case("audit DIR/a40.ald \(against) --labels kineticenergy", 1, "its values are no field"),
  Case("audit DIR/a40.ald \(against) --labels step", 1, "leave 1 class of two samples or more"),
  Case("audit DIR/a40.ald \(against) --labels x --steps 3:4", 1, "no step in common"),
  Case("audit DIR/a40.ald \(against) --labels DIR/none.h5:regime", 2, "cannot open", "none.h5"),
  Case("audit DIR/a40.ald \(against) --labels DIR/text.h5:regime", 2, "cannot be read as HDF5"),
  Case("audit DIR/a40.ald \(against) --labels DIR/regimes.h5:nothing", 2, "there is no such dataset"),
  Case("audit DIR/a40.ald \(against) --labels DIR/regimes.h5:odd", 2, "neither cells [32, 32, 32], patches [4, 4, 4] nor tiles [1, 1, 1]"),
  Case("audit DIR/a40.ald \(against) --labels DIR/regimes.h5:half", 2, "labels are whole numbers, not 0.5"),
  Case("audit DIR/exact.ald \(against) --labels x", 1, "is exact, its latents have no noise"),
]

@Suite(.serialized) struct AuditTests {
  private func tool(_ command: String, ranks: Int = 1) throws -> Launcher.Outcome {
    let words = command.replacingOccurrences(of: "DIR", with: Workplace.shared.folder.path).split(separator: " ").map(String.init)
    let tool = Launcher.product("alidade")
    return ranks == 1 ? try Launcher.run(tool, arguments: words) : try Launcher.mpirun(ranks: ranks, executable: tool, arguments: words)
  }
  /// Containers at three bounds, an exact one, and regimes per cell, per patch and per tile. Made once.
  private static let prepared: Bool = {
    let words = { (s: String) in s.replacingOccurrences(of: "DIR", with: Workplace.shared.folder.path).split(separator: " ").map(String.init) }
    for (name, bound) in [("a30", "--psnr 30"), ("a40", "--psnr 40"), ("a60", "--psnr 60"), ("exact", "--lossless")] {
      let codec = name == "exact" ? "" : "--codec lot8"
      guard let o = try? Launcher.run(Launcher.product("alidade"), arguments: words("compress DIR/velocity.raw -o DIR/\(name).ald \(bound) \(codec) \(vector) -q")), o.status == 0 else { return false }
    }
    let half = (0..<1 << 15).map { Double($0 >> 14) }
    func numbers(_ file: File, _ name: String, _ shape: [Int], _ v: [Double]) throws { try writeNumbers(in: file, name, shape: shape, v) }
    do {
      let f = try File.create(Workplace.shared.folder.appendingPathComponent("regimes.h5").path)
      try numbers(f, "cells", [32, 32, 32], half)
      try numbers(f, "patches", [4, 4, 4], (0..<64).map { Double($0 / 32) })
      try numbers(f, "steps", [1, 4, 4, 4], (0..<64).map { $0 % 4 == 0 ? -1 : Double($0 / 32) })
      try numbers(f, "odd", [3, 4], [Double](repeating: 0, count: 12))
      try numbers(f, "half", [4, 4, 4], [Double](repeating: 0.5, count: 64))
      try f.close()
    } catch { return false }
    return true
  }()
  private func result(_ command: String, ranks: Int = 1) throws -> (text: String, audit: [String: Any]) {
    try #require(Self.prepared)
    let path = Workplace.shared.folder.appendingPathComponent("audit.json")
    let out = try tool("\(command) -q --report \(path.path)", ranks: ranks)
    #expect(out.status == 0, "\(command) on \(ranks): \(out.stderr)")
    let all = try #require(try JSONSerialization.jsonObject(with: Data(contentsOf: path)) as? [String: Any])
    let result = try #require(all["result"] as? [String: Any])
    return (String(decoding: try JSONSerialization.data(withJSONObject: result, options: .sortedKeys), as: UTF8.self), try #require(result["audit"] as? [String: Any]))
  }
  private func points(_ audit: [String: Any]) throws -> [[String: Any]] { try #require(audit["points"] as? [[String: Any]]) }

  @Test func refuses() throws {
    try #require(Self.prepared)
    for c in refused { try c.check() }
  }
  @Test(arguments: [1, 10, 15, 17, 18, 19]) func refusesUnderMPI(_ i: Int) throws {
    try #require(Self.prepared)
    try refused[i].check(ranks: 3)
  }

  /// One text on any number of ranks; what the estimates promise; coarser codes tell less.
  @Test func alongTheRate() throws {
    let command = "audit DIR/a30.ald DIR/a40.ald DIR/a60.ald \(against) --labels vorticity:2 --labels z:2 --sample 48"
    let (text, audit) = try result(command)
    for n in [2, 3, 4, 8] { #expect(try result(command, ranks: n).text == text, "\(n) ranks") }
    var last = (code: 0.0, gaussian: 0.0, mixture: 0.0)
    for p in try points(audit) {
      let i = try #require(p["information"] as? [String: Double])
      #expect(i["mixture"]! <= min(i["code"]!, i["limit"]!) && i["contrastive"]! <= i["limit"]! && i["mixture"]! <= i["principal_gaussian"]! + 0.5)
      #expect(i["classes"]! <= min(i["class_entropy"]!, i["mixture"]!) + 1e-9 && abs(i["class_entropy"]! - 1) < 1e-12 && i["principal_gaussian"]! < i["gaussian"]!)
      #expect(i["code"]! > last.code && i["gaussian"]! > last.gaussian && i["mixture"]! >= last.mixture)
      last = (i["code"]!, i["gaussian"]!, i["mixture"]!)
      for kind in ["coefficients", "energies"] {
        let g = try #require(p[kind] as? [String: Any]), u = try #require(g["utility"] as? [String: Double])
        let cdnv = try #require(g["cdnv"] as? Double), nc1 = try #require(g["nc1"] as? Double)
        #expect(cdnv > 0 && nc1 > 0)
        #expect(u.values.allSatisfy { 0...1 ~= $0 })
        #expect((g["distortion"] as? [[String: Any]])?.count == 2 && (g["factors"] as? [[String: Any]])?.count == 1)
      }
    }
    let sample = try #require((audit["samples"] as? [[String: Any]])?.first)
    #expect(sample["patches"] as? Int == 64 && sample["classes"] as? [Int] == [32, 32] && sample["left_out"] as? Int == 0 && sample["shared"] as? Int == 48)
    #expect(((audit["relations"] as? [[String: Any]])?.first)?["points"] as? Int == 3)
  }

  /// A container against itself as the reference: no distortion.
  @Test func ownReference() throws {
    let p = try points(result("audit DIR/a40.ald \(against) --reference DIR/a40.ald --labels variance:2").audit)[0]
    for kind in ["coefficients", "energies"] {
      let g = try #require(p[kind] as? [String: Any])
      #expect(g["prototypization"] as? Double == 0 && g["specialization"] as? Double == 0 && g["cdnv"] as? Double == g["reference_cdnv"] as? Double)
    }
  }

  /// The same classes per cell, per patch and by position; classes below 0 are left out.
  @Test func labelsOfFiles() throws {
    func same(_ labels: String) throws -> NSDictionary {
      let p = try points(result("audit DIR/a40.ald \(against) --labels \(labels)").audit)[0]
      return try #require(p["coefficients"] as? NSDictionary)
    }
    let expected = try same("z:2")
    #expect(try same("DIR/regimes.h5:cells") == expected)
    #expect(try same("DIR/regimes.h5:patches") == expected)
    let audit = try result("audit DIR/a40.ald \(against) --labels DIR/regimes.h5:steps", ranks: 2).audit
    let sample = try #require((audit["samples"] as? [[String: Any]])?.first)
    #expect(sample["classes"] as? [Int] == [24, 24] && sample["left_out"] as? Int == 16)
  }

  @Test func aTableForPeople() throws {
    try #require(Self.prepared)
    try Case("audit DIR/a30.ald DIR/a60.ald \(against) --labels variance:2", 0, "64 patches of 8x8x8 cells", "classes by variance:2: 32, 32", "I(C;T)", "geometry of energies", "a60.ald").check()
  }
}
