/// Writes numbers of any width, low bits first.
struct BitPacker {
  private(set) var bytes: [UInt8] = []
  private var free = 0
  mutating func put(_ v: Int, _ n: Int) {
    for k in 0..<n {
      if free == 0 { bytes.append(0); free = 8 }
      if v >> k & 1 == 1 { bytes[bytes.count - 1] |= 1 << UInt8(8 - free) }
      free -= 1
    }
  }
}
/// Reads what `BitPacker` wrote.
struct BitUnpacker {
  private let bytes: [UInt8]
  private var at = 0
  init(_ bytes: [UInt8]) { self.bytes = bytes }
  /// Bits not yet taken; below 0 past the end.
  var remaining: Int { 8 * bytes.count - at }
  /// Zeros past the end.
  mutating func take(_ n: Int) -> Int {
    var v = 0
    for k in 0..<n {
      if at >> 3 < bytes.count && bytes[at >> 3] >> UInt8(at & 7) & 1 == 1 { v |= 1 << k }
      at += 1
    }
    return v
  }
}
