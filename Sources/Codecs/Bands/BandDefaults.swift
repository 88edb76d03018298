/// Built-in weights.
enum BandDefaults {
  static func weights(_ t: BandLayout.Transform) -> [UInt8] { [UInt8](repeating: 8, count: 240) }
}
