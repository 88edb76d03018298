import Fields
import Support

extension SplitMix64 {
  /// Nearly normal: mean 0, variance 1, bounded by 6.
  mutating func normal() -> Double { (0..<12).reduce(-6.0) { s, _ in s + uniform() } }
}

extension RawArray {
  /// Fills cell by cell from (z, y, x), rounded to the element type.
  func fill(_ f: (Int, Int, Int) -> Double) {
    let s = box.shape
    var i = 0
    for z in 0..<s.z { for y in 0..<s.y { for x in 0..<s.x {
      if elementSize == 4 { bound(to: Float.self)[i] = Float(f(z, y, x)) } else { bound(to: Double.self)[i] = f(z, y, x) }
      i += 1
    } } }
  }
  func bits(_ i: Int) -> UInt64 { elementSize == 4 ? UInt64(bound(to: UInt32.self)[i]) : bound(to: UInt64.self)[i] }
  func setBits(_ i: Int, _ b: UInt64) {
    if elementSize == 4 { bound(to: UInt32.self)[i] = UInt32(truncatingIfNeeded: b) } else { bound(to: UInt64.self)[i] = b }
  }
}

let losslessShapes: [Index3] = [
  Index3(0, 0, 0), Index3(1, 1, 1), Index3(1, 1, 2), Index3(1, 1, 700), Index3(1, 700, 1), Index3(700, 1, 1), Index3(1, 40, 37),
  Index3(40, 1, 37), Index3(37, 40, 1), Index3(2, 2, 2), Index3(3, 5, 7), Index3(16, 17, 19), Index3(9, 30, 12), Index3(2, 33, 31),
  Index3(33, 2, 31), Index3(33, 31, 2), Index3(20, 24, 40),
]

/// A box away from the origin: only its shape may matter.
func losslessBox(_ s: Index3) -> Box { Box(shape: s).shifted(by: Index3(5, -3, 11)) }

/// Damages a stream: random bytes, or a valid stream cut, extended or with bytes changed.
func losslessDamage(_ valid: [[UInt8]], _ r: inout SplitMix64) -> [UInt8] {
  let kind = Int(r.next() % 4)
  if kind == 0 { return (0..<Int(r.next() % 300)).map { i in UInt8(truncatingIfNeeded: i == 0 ? r.next() % 16 : r.next()) } }
  var b = valid[Int(r.next() % UInt64(valid.count))]
  if b.isEmpty { return [UInt8(truncatingIfNeeded: r.next())] }
  if kind == 1 { return Array(b.prefix(Int(r.next() % UInt64(b.count)))) }
  if kind == 2 { for _ in 0..<Int(r.next() % 9) { b.append(UInt8(truncatingIfNeeded: r.next())) }; return b }
  for _ in 0...Int(r.next() % 5) {
    // Headers matter most.
    let near = r.next() & 1 == 0 ? min(b.count, 60) : b.count
    b[Int(r.next() % UInt64(near))] = UInt8(truncatingIfNeeded: r.next())
  }
  return b
}
