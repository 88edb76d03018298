import Fields

/// What a file or a user says about axes, as letters of t, c, z, y, x.
enum AxisLetters {
  private static let alias: [String: Character] = {
    var a: [String: Character] = [:]
    for (letter, words) in [
      ("t", "t time times step steps a record snapshot frame epoch cycle iteration"),
      ("c", "c component components comp vector channel"),
      ("z", "z depth lev level levels k nz zc height altitude alt plev pressure layer deptht nlev"),
      ("y", "y lat latitude row rows j ny yc rlat nlat south_north"),
      ("x", "x lon longitude col cols column columns i nx xc rlon nlon west_east"),
    ] as [(Character, String)] { for w in words.split(separator: " ") { a[String(w)] = letter } }
    return a
  }()

  /// The letter a dimension's name stands for: `lat_2`, `Time` and `component` are known words.
  static func letter(_ name: String) -> Character? {
    let n = name.lowercased()
    if let l = alias[n] { return l }
    var base = n[...]
    while let last = base.last, last.isNumber || last == "_" { base = base.dropLast() }
    return alias[String(base)]
  }

  /// Names in a list such as "t,component(u,v,w),x,y,z"; what stands in parentheses is a remark.
  static func names(_ list: String) -> [String] {
    var depth = 0, text = ""
    for ch in list {
      if ch == "(" { depth += 1 } else if ch == ")" { depth = max(0, depth - 1) } else if depth == 0 { text.append(ch) }
    }
    return text.split(separator: ",").map { part in
      String(part.split(whereSeparator: { $0 == " " || $0 == "[" || $0 == "]" || $0 == "'" || $0 == "\"" }).first ?? "")
    }
  }

  /// Letters for named axes. Unknown names take what is left of x, y, z from the fastest axis on.
  ///
  /// - Returns: nil when no name is known, when a letter would come twice, or when letters run out.
  static func letters(_ known: [Character?]) -> String? {
    guard known.contains(where: { $0 != nil }) else { return nil }
    var out = known, free: [Character] = ["x", "y", "z"].filter { l in !known.contains(l) }
    for i in out.indices.reversed() where out[i] == nil {
      if free.isEmpty { return nil }
      out[i] = free.removeFirst()
    }
    let s = String(out.map { $0! })
    return Set(s).count == s.count ? s : nil
  }

  /// Axes by number of dimensions alone.
  static func byRank(_ n: Int) -> String? { n == 1 ? "x" : n == 2 ? "yx" : n == 3 ? "zyx" : nil }

  /// Reads "all", "none", "x y", "xyz", "lon only", "auto"; nil when it says nothing.
  static func periodicity(_ text: String, spatial: String) -> Grid.Periodicity? {
    var periodic = Set<Character>(), known = false
    for word in text.lowercased().split(whereSeparator: { !$0.isLetter && $0 != "_" }) {
      switch word {
      case "all", "true", "yes", "fully", "periodic": return flags(Set(spatial), spatial)
      case "none", "false", "no", "not", "non": return Grid.Periodicity.none
      default:
        if let l = letter(String(word)), "xyz".contains(l) { periodic.insert(l); known = true } else
        if word.allSatisfy({ "xyz".contains($0) }) { periodic.formUnion(word); known = true }
      }
    }
    return known ? flags(periodic, spatial) : nil
  }

  /// Flags per storage axis, for letters in storage order.
  static func flags(_ letters: Set<Character>, _ spatial: String) -> Grid.Periodicity {
    var p = Grid.Periodicity.none
    for (i, l) in spatial.enumerated() where letters.contains(l) { p[3 - spatial.count + i] = true }
    return p
  }
}
