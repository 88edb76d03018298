import CKernels
import Fields
import Statistics

extension Box {
  /// The rows of the box in C order: position along axes 0 and 1 and the offset of the first cell.
  func forEachRow(_ body: (_ z: Int, _ y: Int, _ offset: Int) throws -> Void) rethrows {
    if isEmpty { return }
    var at = 0
    for z in lower.z..<upper.z {
      for y in lower.y..<upper.y {
        try body(z, y, at)
        at += upper.x - lower.x
      }
    }
  }
}

/// A copy in which cells that are not finite in all components are zero, and which cells are finite; nil: all.
///
/// Such cells are masked: they have weight 0 in every observable, and so has every stencil that touches one.
func cleaned(_ parts: FieldParts) -> (FieldParts, valid: [Bool]?) {
  var out = parts, valid: [Bool]?
  for c in parts.indices {
    parts[c].values.withUnsafeBufferPointer { p in
      guard let first = p.baseAddress, ald_all_finite(first, p.count) == 0 else { return }
      for i in p.indices where !p[i].isFinite {
        if valid == nil { valid = [Bool](repeating: true, count: p.count) }
        valid![i] = false
      }
    }
  }
  if let valid { for c in out.indices { out[c].values.clear(where: valid) } }
  return (out, valid)
}

extension FieldPart {
  var isFinite: Bool { values.withUnsafeBufferPointer { $0.isEmpty || ald_all_finite($0.baseAddress!, $0.count) == 1 } }
}

extension [Double] {
  /// Sets the entries to zero that `valid` excludes.
  mutating func clear(where valid: [Bool]) { for i in indices where !valid[i] { self[i] = 0 } }
}

extension Domain {
  func sums(_ parts: [ExactSum]) throws -> [Double] { try merged(parts).map(\.value) }

  /// Runs `work` on each participant; if it fails anywhere, throws the same error everywhere.
  ///
  /// - Collective: always reached; `work` itself must not communicate.
  func agreed<Value>(_ work: () throws -> Value) throws -> Value {
    let result = Result(catching: work)
    var text = ""
    if case .failure(let error) = result { text = "\(error)" }
    let failures = try gathered(text.utf8.map { Double($0) })
    if let first = failures.first(where: { !$0.isEmpty }) {
      throw ObservableError(String(decoding: first.map { UInt8($0) }, as: UTF8.self))
    }
    return try result.get()
  }
}

/// Values as a field of one scale, or a vector; misuse traps.
extension ObservableValue {
  var vector: [Double] { if case .vector(let v) = self { v } else { preconditionFailure("a vector was expected") } }
  var field: FieldParts { if case .field(let f) = self { f } else { preconditionFailure("a field was expected") } }
}

/// Root mean square of all values, 1 where that is no positive number: one natural scale for values of one kind.
func commonScale(_ values: [Double]) -> Double {
  var sum = ExactSum()
  sum.addSquares(of: values)
  return positiveScale((sum.value / Double(max(1, values.count))).squareRoot())
}

func positiveScale(_ s: Double) -> Double { s.isFinite && s > 0 ? s : 1 }

/// One scale for all components of a field: the root mean square over cells and components.
/// - Collective.
func commonScale(_ parts: FieldParts, on domain: any Domain) throws -> Double {
  var sum = ExactSum()
  for p in parts { sum.addSquares(of: p.values) }
  let total = try domain.merged(sum).value
  return positiveScale((total / Double(domain.grid.count * max(1, parts.count))).squareRoot())
}
