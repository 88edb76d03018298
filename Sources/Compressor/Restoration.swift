import CKernels
import Codecs
import Fields

/// From the values a codec decodes to the values a user gets. The same code runs in the encoder's check and in every decoder.
enum Restoration {
  /// Rounds to the stored type and undoes the logarithm; masked cells are left as they are.
  static func stored(_ decoded: RawArray, type: ScalarType, logarithmic: Bool, signs: [UInt8], mask: RawArray?) -> RawArray {
    if logarithmic { return LogMapping.inverse(decoded, type: type, signs: signs, mask: mask) }
    if decoded.elementSize == type.size { return decoded }
    let out = RawArray(box: decoded.box, type: type)
    let s = decoded.bound(to: Double.self), d = out.bound(to: Float.self)
    for i in 0..<out.count { d[i] = Float(s[i]) }
    return out
  }

  /// Puts the special bit patterns back.
  static func putSpecials(_ a: RawArray, type: ScalarType, categories: RawArray?, table: [UInt64]) {
    guard let categories else { return }
    let c = categories.bound(to: UInt8.self)
    if type == .float32 {
      let p = a.bound(to: UInt32.self)
      for i in 0..<a.count where c[i] != 0 { p[i] = UInt32(truncatingIfNeeded: table[Int(c[i]) - 1]) }
    } else {
      let p = a.bound(to: UInt64.self)
      for i in 0..<a.count where c[i] != 0 { p[i] = table[Int(c[i]) - 1] }
    }
  }
}
