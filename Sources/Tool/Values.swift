import Compressor
import Fields
import Observables

// Text to values; every message names the option and what was given.

/// A positive finite number.
func positive(_ text: String, for option: String) throws(Failure) -> Double {
  guard let v = Double(text) else { throw Failure(.usage, "\(option) needs a number, not '\(text)'") }
  if v.isNaN { throw Failure(.usage, "\(option) must not be NaN") }
  if v.isInfinite { throw Failure(.usage, "\(option) must be finite, not '\(text)'") }
  if v == 0 { throw Failure(.usage, "\(option) must be positive, not 0; --lossless keeps every bit") }
  if v < 0 { throw Failure(.usage, "\(option) must be positive, not '\(text)'") }
  return v
}

func count(_ text: String, for option: String) throws(Failure) -> Int {
  guard let v = Int(text) else { throw Failure(.usage, "\(option) needs a whole number, not '\(text)'") }
  if v < 1 { throw Failure(.usage, "\(option) must be at least 1, not \(text)") }
  return v
}

func bound(kind: String, _ text: String, for option: String) throws(Failure) -> ErrorBound {
  let v = try positive(text, for: option)
  if kind == "pwrel", v >= 1 { throw Failure(.usage, "\(option) must be smaller than 1, not '\(text)'") }
  if kind == "rate", v > 64 { throw Failure(.usage, "\(option) must be at most 64 bits per value, not '\(text)'") }
  return ErrorBound(kind: kind, value: v)!
}

/// `NAME:KIND=E` or `NAME:lossless`; the name is everything before the last colon.
func fieldBound(_ text: String) throws(Failure) -> FieldBound {
  let kinds = ["abs", "rel", "pwrel", "psnr", "rate", "lossless"]
  guard let colon = text.lastIndex(of: ":"), colon != text.startIndex else {
    throw Failure(.usage, "--bound needs NAME:KIND=E, not '\(text)'")
  }
  let name = String(text[..<colon]), tail = text[text.index(after: colon)...]
  if tail == "lossless" { return FieldBound(name: name, bound: .lossless) }
  let parts = tail.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
  guard parts.count == 2, kinds.contains(parts[0]), parts[0] != "lossless" else {
    throw Failure(.usage, "--bound '\(text)': KIND=E must be one of abs=, rel=, pwrel=, psnr=, rate= or lossless"
      + suggestion(for: parts[0], among: kinds))
  }
  return FieldBound(name: name, bound: try bound(kind: parts[0], parts[1], for: "--bound \(name):\(parts[0])"))
}

/// `a:b` (b excluded), `a:`, `:b` or one step `a`.
func steps(_ text: String) throws(Failure) -> Range<Int> {
  let wrong = Failure(.usage, "--steps needs a:b with 0 <= a < b, not '\(text)'")
  let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
  func end(_ s: String, _ open: Int) -> Int? { s.isEmpty ? open : Int(s) }
  if parts.count == 1, let a = Int(parts[0]), a >= 0, a < Int.max { return a..<a + 1 }
  guard parts.count == 2, let a = end(parts[0], 0), let b = end(parts[1], .max), a >= 0, a < b else { throw wrong }
  return a..<b
}

/// `z0:z1,y0:y1,x0:x1`, storage order; upper ends excluded.
func region(_ text: String) throws(Failure) -> [Range<Int>] {
  let wrong = Failure(.usage, "--region needs z0:z1,y0:y1,x0:x1 with 0 <= lower < upper, not '\(text)'")
  var out: [Range<Int>] = []
  for part in text.split(separator: ",", omittingEmptySubsequences: false) {
    let ends = part.split(separator: ":", omittingEmptySubsequences: false)
    guard ends.count == 2, let a = Int(ends[0]), let b = Int(ends[1]), a >= 0, a < b else { throw wrong }
    out.append(a..<b)
  }
  if out.isEmpty || out.count > 3 { throw wrong }
  return out
}

/// `n,n,n`, slowest axis first.
func shape(_ text: String) throws(Failure) -> [Int] {
  var out: [Int] = []
  for part in text.split(separator: ",", omittingEmptySubsequences: false) {
    guard let n = Int(part), n > 0 else {
      throw Failure(.usage, "--shape needs positive extents nz,ny,nx, not '\(text)'")
    }
    out.append(n)
  }
  if out.count > 5 { throw Failure(.usage, "--shape takes at most 5 extents, not '\(text)'") }
  var cells = 1
  for n in out {
    let (p, overflow) = cells.multipliedReportingOverflow(by: n)
    if overflow { throw Failure(.usage, "--shape '\(text)' is too large") }
    cells = p
  }
  return out
}

func axes(_ text: String) throws(Failure) -> String {
  if Set(text).count < text.count || !text.allSatisfy({ "tczyx".contains($0) }) {
    throw Failure(.usage, "--axes needs different letters out of t,c,z,y,x, one per dimension, not '\(text)'")
  }
  return text
}

/// `NAME=X,Y,Z`.
func vector(_ text: String) throws(Failure) -> VectorGroup {
  let sides = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
  let parts = sides.count == 2 ? sides[1].split(separator: ",", omittingEmptySubsequences: false).map(String.init) : []
  guard parts.count > 1, !sides[0].isEmpty, !parts.contains("") else {
    throw Failure(.usage, "--vector needs a name and two or more datasets, NAME=X,Y,Z, not '\(text)'")
  }
  return VectorGroup(name: sides[0], components: parts)
}

func periodic(_ text: String) throws(Failure) -> PeriodicAxes {
  if text == "auto" { return .auto }
  if text == "none" { return .none }
  if Set(text).count < text.count || !text.allSatisfy({ "xyz".contains($0) }) {
    throw Failure(.usage, "--periodic needs auto, none or different letters out of x,y,z, not '\(text)'")
  }
  return .axes(text)
}

/// `SPEC:TARGET`s, split at the last colon.
func keepTargets(_ texts: [String], restored: Bool) throws(Failure) -> [KeepTarget] {
  let option = restored ? "--keep-restored" : "--keep"
  var out: [KeepTarget] = []
  for text in texts {
    guard let colon = text.lastIndex(of: ":"), colon != text.startIndex, Double(text[text.index(after: colon)...]) != nil else {
      throw Failure(.usage, "\(option) needs SPEC:TARGET, such as box16:1e-6, not '\(text)'")
    }
    let k = KeepTarget(observable: String(text[..<colon]), error: try positive(String(text[text.index(after: colon)...]), for: "\(option) \(text[..<colon])"), restored: restored)
    if let other = out.first(where: { $0.observable == k.observable }) {
      throw Failure(.usage, "\(option) \(k.observable) has two targets, \(other.error) and \(k.error)")
    }
    out.append(k)
  }
  return out
}

/// Names joined by commas.
func restorationKinds(_ text: String) throws(Failure) -> Set<RestorationKind> {
  var out: Set<RestorationKind> = []
  let names = RestorationKind.allCases.map(\.rawValue)
  for name in text.split(separator: ",", omittingEmptySubsequences: false).map(String.init) {
    guard let k = RestorationKind(rawValue: name) else {
      throw Failure(.usage, "--restoration knows \(names.joined(separator: ", ")), not '\(name)'" + suggestion(for: name, among: names))
    }
    out.insert(k)
  }
  return out
}

/// The parts of a list, cut at commas outside parentheses.
func splitOutsideParentheses(_ text: String) -> [String] {
  var parts = [""], depth = 0
  for c in text {
    if c == "(" { depth += 1 } else if c == ")" { depth -= 1 }
    if c == ",", depth <= 0 { parts.append("") } else { parts[parts.count - 1].append(c) }
  }
  return parts
}

/// Positive finite numbers joined by commas.
func positives(_ text: String, for option: String) throws(Failure) -> [Double] {
  var out: [Double] = []
  for part in text.split(separator: ",", omittingEmptySubsequences: false) {
    guard let v = Double(part), v.isFinite, v > 0, !out.contains(v) else {
      throw Failure(.usage, "\(option) needs different positive numbers joined by commas, not '\(text)'")
    }
    out.append(v)
  }
  return out.sorted()
}
