import Codecs
import Fields
import Support
import Testing

/// Counts times a smooth response.
@Suite struct CountResponseTests {
  /// Counts around 25 and 60 times a response that grows towards the corners, in volumes by less.
  static func field(_ shape: Index3, _ type: ScalarType, seed: UInt64) -> RawArray {
    var random = SplitMix64(seed: seed)
    let a = RawArray(box: Box(shape: shape), type: type)
    var at = 0
    for z in 0..<shape.z { for y in 0..<shape.y { for x in 0..<shape.x {
      func t(_ i: Int, _ n: Int) -> Double { n > 1 ? 2 * Double(i) / Double(n - 1) - 1 : 0 }
      let p = t(z, shape.z), q = t(y, shape.y), r = t(x, shape.x)
      let curved = 9.1 * (p * p + q * q) + 8.7 * r * r + 1.3 * q * r - 0.9 * r + 0.4 * q * q * r * r
      let s = 271.3 + (shape.z > 1 ? 0.1 : 1) * curved
      let k = Double(random.next() % 30) + (random.next() % 4 == 0 ? 40 : 10)
      if type == .float32 { a.bound(to: Float.self)[at] = Float(k * s) } else { a.bound(to: Double.self)[at] = k * s }
      at += 1
    } } }
    return a
  }
  static func rows(_ a: RawArray) -> [RawArray] {
    let n = a.box.shape
    return (0..<n.z).flatMap { z in stride(from: 1, to: n.y, by: 3).map { y in
      let row = RawArray(box: Box(lower: Index3(z, y, 0), upper: Index3(z + 1, y + 1, n.x)), elementSize: a.elementSize)
      row.copy(row.box, from: a)
      return row
    } }
  }

  @Test(arguments: [Index3(1, 96, 110), Index3(9, 40, 33)])
  func isFoundAndGivesTheValuesBack(shape: Index3) throws {
    for type in ScalarType.allCases {
      let a = CountResponseTests.field(shape, type, seed: 3)
      let found = try #require(CountResponse(rows: CountResponseTests.rows(a), shape: shape))
      let again = try CountResponse(serialised: found.serialised, shape: shape)
      #expect(again == found)
      let k = found.counts(of: a, mask: nil), b = again.values(of: k, type: type)
      withExtendedLifetime((a, b)) {
        for i in 0..<a.count {
          let (x, y) = type == .float32 ? (Double(a.bound(to: Float.self)[i]), Double(b.bound(to: Float.self)[i])) : (a.bound(to: Double.self)[i], b.bound(to: Double.self)[i])
          #expect(abs(x - y) < 1e-6 * x)
        }
      }
      // A part has the bits of the whole.
      let part = Box(lower: Index3(0, 5, 7), upper: Index3(shape.z, 20, 30))
      let own = RawArray(box: part, elementSize: a.elementSize), whole = RawArray(box: part, elementSize: a.elementSize)
      own.copy(part, from: k)
      whole.copy(part, from: b)
      let values = again.values(of: own, type: type)
      withExtendedLifetime((values, whole)) {
        for i in 0..<part.count * type.size { #expect(values.bound(to: UInt8.self)[i] == whole.bound(to: UInt8.self)[i]) }
      }
    }
  }

  /// Other fields have none.
  @Test func isNotSeenWhereThereIsNone() {
    let shape = Index3(1, 96, 110), grid = Grid(shape: shape)
    for source in [SyntheticField.waves(seed: 5), .noise(seed: 6), .linear] {
      let a = source.array(Box(shape: shape), of: grid, type: .float32)
      let p = a.bound(to: Float.self)
      withExtendedLifetime(a) { for i in 0..<a.count { p[i] += 3 } }
      #expect(CountResponse(rows: CountResponseTests.rows(a), shape: shape) == nil, "\(source)")
    }
  }

  @Test func otherBytesAreRefused() throws {
    let shape = Index3(1, 96, 110), found = try #require(CountResponse(rows: CountResponseTests.rows(CountResponseTests.field(shape, .float32, seed: 1)), shape: shape))
    let bytes = found.serialised
    for bad in [[], [9], Array(bytes.dropLast()), bytes + [0], [bytes[0]] + [UInt8](repeating: 0xff, count: bytes.count - 1)] {
      #expect(throws: StreamError.self) { try CountResponse(serialised: bad, shape: shape) }
    }
  }
}
