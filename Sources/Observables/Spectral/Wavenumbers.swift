import Fields

/// The wavenumbers of a grid and their shells.
///
/// |kappa| is measured in units of the lowest wavenumber of the longest axis: kappa_a = j_a L_max / L_a with L_a = n_a dx_a. Shell b holds
/// b - 1/2 <= |kappa| < b + 1/2. Shells go up to `highest`, the last at or below the smallest of the axes' Nyquist wavenumbers
/// n_a L_max / (2 L_a); what lies above them, in the corners and along finer axes, is the rest.
struct Wavenumbers {
  /// kappa_a^2 by storage axis and index of the transform.
  let squares: [[Double]]
  let highest: Int
  /// Wavenumber 1 in radians per unit of length.
  let unit: Double
  private let evenX: Bool
  private let lastX: Int

  init(_ grid: Grid, _ coordinates: Coordinates) {
    let n = grid.shape
    var spacing = [1.0, 1.0, 1.0]
    for a in 0..<3 { if case .uniform(let d) = coordinates.axes[a] { spacing[a] = abs(d) } }
    let active = (0..<3).filter { n[$0] > 1 }
    let length = (0..<3).map { Double(n[$0]) * spacing[$0] }
    let longest = active.map { length[$0] }.max() ?? 1
    squares = (0..<3).map { a in
      (0..<(a == 2 ? n.x / 2 + 1 : n[a])).map { i in
        let j = 2 * i <= n[a] ? i : i - n[a], k = Double(j) * (longest / length[a])
        return k * k
      }
    }
    highest = active.map { Int((Double(n[$0]) / 2 * (longest / length[$0])).rounded(.down)) }.min() ?? 0
    unit = 2 * Double.pi / longest
    evenX = n.x % 2 == 0; lastX = n.x / 2
  }

  /// Calls `body` with each coefficient of a box: its offset, kappa^2, and how often it counts: coefficients with kx = 0 and, n even,
  /// kx = n / 2 have no mirror image outside the half that is kept.
  func each(in box: Box, _ body: (_ offset: Int, _ square: Double, _ weight: Double) -> Void) {
    if box.isEmpty { return }
    var offset = 0
    for z in box.lower.z..<box.upper.z { for y in box.lower.y..<box.upper.y {
      let plane = squares[0][z] + squares[1][y]
      for x in box.lower.x..<box.upper.x {
        body(offset, plane + squares[2][x], x == 0 || (evenX && x == lastX) ? 1 : 2)
        offset += 1
      }
    } }
  }

  /// Calls `body` with each row of a box along kx: its offset, kz^2 + ky^2, and how often each of its coefficients counts, as in `each`.
  func eachRow(in box: Box, _ body: (_ offset: Int, _ plane: Double, _ weights: [Double]) -> Void) {
    if box.isEmpty { return }
    let weights = (box.lower.x..<box.upper.x).map { $0 == 0 || (evenX && $0 == lastX) ? 1.0 : 2.0 }
    var offset = 0
    for z in box.lower.z..<box.upper.z { for y in box.lower.y..<box.upper.y {
      body(offset, squares[0][z] + squares[1][y], weights)
      offset += weights.count
    } }
  }

  static func shell(_ square: Double) -> Int { Int(square.squareRoot() + 0.5) }

  func check(_ name: String, _ shells: ClosedRange<Int>?) throws {
    guard let shells else { return }
    if shells.upperBound > highest {
      throw ObservableError("\(name): shell \(shells.upperBound) lies beyond the Nyquist shell \(highest) of the field")
    }
    if shells.lowerBound < 0 { throw ObservableError("\(name): shells begin at 0") }
  }
}
