import CKernels
import Codecs
import Fields

extension RawArray {
  /// Numbers of the other type, float32 and float64, rounded to nearest.
  func convert(from a: RawArray) {
    if elementSize == 4 {
      let s = a.bound(to: Double.self), d = bound(to: Float.self)
      for i in 0..<count { d[i] = Float(s[i]) }
    } else {
      let s = a.bound(to: Float.self), d = bound(to: Double.self)
      for i in 0..<count { d[i] = Double(s[i]) }
    }
  }
}

/// From the values a codec decodes to the values a user gets. The same code runs in the encoder's check and in every decoder.
enum Restoration {
  /// Rounds to the stored type; multiplies counts by their response; undoes the logarithm where `negative` is not empty. Masked cells
  /// hold anything.
  static func stored(
    _ decoded: RawArray, type: ScalarType, offset: Double = 0, negative: [UInt8], response: CountResponse? = nil, mask: UnsafePointer<UInt8>?
  ) -> RawArray {
    if let response { return response.values(of: decoded, type: type) }
    if !negative.isEmpty {
      let out = RawArray(box: decoded.box, type: type)
      LogMapping.inverse(decoded, negative: negative, mask: mask, into: out)
      return out
    }
    if offset != 0 {
      let out = RawArray(box: decoded.box, type: type)
      func value(_ i: Int) -> Double { (decoded.elementSize == 4 ? Double(decoded.bound(to: Float.self)[i]) : decoded.bound(to: Double.self)[i]) + offset }
      if type == .float32 {
        let d = out.bound(to: Float.self)
        for i in 0..<out.count { d[i] = Float(value(i)) }
      } else {
        let d = out.bound(to: Double.self)
        for i in 0..<out.count { d[i] = value(i) }
      }
      return out
    }
    if decoded.elementSize == type.size { return decoded }
    let out = RawArray(box: decoded.box, type: type)
    out.convert(from: decoded)
    return out
  }
}
