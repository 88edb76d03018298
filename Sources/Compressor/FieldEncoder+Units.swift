import Codecs
import Fields
import Statistics

/// Tiles of a field on their way into codecs and out of them.
extension FieldEncoder {
  /// Tile of `component` cut out of arrays that cover it, with mask and mapping applied.
  func makeUnit(_ unit: Int, from array: RawArray) throws -> Unit {
    let box = layout.box(of: unit)
    let original = RawArray(box: box, type: source.type)
    original.copy(box, from: array)
    let u = Unit(index: unit, box: box, original: original, work: original)
    if let special {
      let categories = RawArray(box: box, elementSize: 1)
      if special.classify(original, into: categories.bound(to: UInt8.self)).dropFirst().contains(where: { $0 > 0 }) {
        u.categories = categories
        let mask = RawArray(box: box, elementSize: 1)
        let c = categories.bound(to: UInt8.self), m = mask.bound(to: UInt8.self)
        for i in 0..<mask.count { m[i] = c[i] == 0 ? 1 : 0 }
        u.mask = mask
        u.stream.mask = MaskCodec.encode(c, box: box)
      }
    }
    if let response {
      u.work = response.counts(of: original, mask: u.maskPointer)
    } else if target.logarithmic {
      let logs = LogMapping.forward(original, mask: u.maskPointer, logType: workType)
      u.work = logs.log
      u.negative = logs.negative
      u.stream.signs = MaskCodec.encode(logs.negative, box: box, within: u.maskPointer)
    } else if workType != source.type {
      u.work = converted(original)
    }
    if let mask = u.mask { u.work = filled(u.work, mask) }
    return u
  }

  /// In the working type, which is the other one.
  private func converted(_ a: RawArray) -> RawArray {
    let w = RawArray(box: a.box, type: workType)
    w.convert(from: a)
    return w
  }

  /// A copy whose masked cells hold zero, so that kernels never meet NaN.
  private func filled(_ a: RawArray, _ mask: RawArray) -> RawArray {
    let w = RawArray(box: a.box, elementSize: a.elementSize)
    let m = mask.bound(to: UInt8.self)
    if a.elementSize == 4 {
      let s = a.bound(to: Float.self), d = w.bound(to: Float.self)
      for i in 0..<a.count { d[i] = m[i] != 0 ? s[i] : 0 }
    } else {
      let s = a.bound(to: Double.self), d = w.bound(to: Double.self)
      for i in 0..<a.count { d[i] = m[i] != 0 ? s[i] : 0 }
    }
    return w
  }

  /// Whether codecs work on the values as given.
  var plain: Bool { !target.logarithmic && offset == 0 && workType == source.type }

  /// Working values of a region with halo, for the transforms (never masked).
  func workRegion(_ a: RawArray) -> RawArray {
    if target.logarithmic { return LogMapping.forward(a, mask: nil, logType: workType).log }
    if offset != 0 {
      let w = RawArray(box: a.box, type: workType)
      func value(_ i: Int) -> Double { (source.type == .float32 ? Double(a.bound(to: Float.self)[i]) : a.bound(to: Double.self)[i]) - offset }
      if workType == .float32 {
        let d = w.bound(to: Float.self)
        for i in 0..<a.count { d[i] = Float(value(i)) }
      } else {
        let d = w.bound(to: Double.self)
        for i in 0..<a.count { d[i] = value(i) }
      }
      return w
    }
    return plain ? a : converted(a)
  }

  /// Statistics that all tiles of a component add to.
  func emptyStatistics() -> ErrorStatistics {
    let wanted = target.bound.histogramScale(target.absolute)
    let scale = wanted > 0 && wanted.isFinite ? wanted : max(survey.range * 1e-3, .leastNormalMagnitude)
    return ErrorStatistics(scale: scale, minimum: survey.valid > 0 ? survey.minimum : 0, maximum: survey.valid > 0 ? survey.maximum : 0)
  }

  /// Decoded tile in the stored type: mapping undone, outliers found, applied and coded, specials restored. Adds to `statistics`.
  func finish(_ u: Unit, statistics: inout ErrorStatistics) {
    let restored = Restoration.stored(u.decoded!, type: source.type, offset: u.offset, negative: u.negative, response: response, mask: u.maskPointer)
    if let bound = outlierBound {
      u.stream.outliers = target.logarithmic
        ? OutlierCodec.encodeRelative(original: u.original, decoded: restored, mask: u.maskPointer, bound: bound)
        : OutlierCodec.encode(original: u.original, decoded: restored, mask: u.maskPointer, bound: bound)
    }
    statistics.add(tile: u.box, original: u.original, decoded: restored, type: source.type, mask: u.mask)
    decoded?[u.index - layout.units.lowerBound] = restored
  }
}
