public import Fields

/// Factors on the modes of a spectral field by component and shell: numbers are multiplied before they are quantised and divided afterwards,
/// so a shell's step is the common one divided by its factor. The scales of shells take them up: contexts know nothing of them.
///
/// A factor is 2^(k / 8), k = 0 ... 127, as for `BandWeights`.
public struct ShellWeights: Equatable, Sendable {
  public let components: Int
  /// `[component][shell]`, all components alike long.
  public let exponents: [UInt8]
  private let forward: [Double], backward: [Double]
  private var shells: Int { exponents.count / components }

  /// - Precondition: as many exponents for every component, at least one, of at most `BandWeights.largest`.
  public init(_ exponents: [UInt8], components: Int) {
    precondition(exponents.count >= components && exponents.count % components == 0 && exponents.allSatisfy { $0 <= BandWeights.largest })
    self.components = components; self.exponents = exponents
    forward = exponents.map { BandWeights.factor(Int($0)) }
    backward = exponents.map { BandWeights.factor(-Int($0)) }
  }

  public var isFlat: Bool { exponents.allSatisfy { $0 == 0 } }

  /// From squared errors of weighted numbers to those of the field.
  public func inverseSquare(component: Int, shell: Int) -> Double {
    let f = backward[component * shells + min(shell, shells - 1)]
    return f * f
  }

  /// Multiplies the numbers of the row (z, y) of a box of modes, one pointer per component; beyond the last shell by its factor.
  public func multiply(_ modes: SpectralModes, _ z: Int, _ y: Int, _ box: Box, _ u: [UnsafeMutablePointer<Double>]) { scale(forward, modes, z, y, box, u) }
  /// By the inverse factors.
  public func divide(_ modes: SpectralModes, _ z: Int, _ y: Int, _ box: Box, _ u: [UnsafeMutablePointer<Double>]) { scale(backward, modes, z, y, box, u) }

  private func scale(_ factors: [Double], _ modes: SpectralModes, _ z: Int, _ y: Int, _ box: Box, _ u: [UnsafeMutablePointer<Double>]) {
    let shells = shells
    factors.withUnsafeBufferPointer { factors in
      for i in 0..<box.shape.x {
        let s = min(modes.shell(z, y, box.lower.x + i), shells - 1)
        for c in u.indices {
          let f = factors[c * shells + s]
          u[c][2 * i] *= f; u[c][2 * i + 1] *= f
        }
      }
    }
  }

  // MARK: stream

  /// docs/format.md section 7.16: shells 1 ... radius of each component, as differences to the shell before.
  public func serialised(radius: Int) -> [UInt8] {
    var coder = AdaptiveBinaryEncoder(), model = AdaptiveInteger(contexts: 2)
    for c in 0..<components {
      var previous = 0
      for s in stride(from: 1, through: radius, by: 1) {
        let k = Int(exponents[c * shells + min(s, shells - 1)])
        model.encode(k - previous, context: min(c, 1), &coder)
        previous = k
      }
    }
    return coder.finish()
  }
  /// - Throws: `StreamError` for exponents out of range.
  public init(serialised bytes: [UInt8], components: Int, radius: Int) throws {
    var coder = AdaptiveBinaryDecoder(bytes[...]), model = AdaptiveInteger(contexts: 2)
    var list: [UInt8] = []
    for c in 0..<components {
      var previous = 0
      list.append(0)
      for _ in stride(from: 1, through: radius, by: 1) {
        previous += model.decode(context: min(c, 1), &coder)
        guard 0...BandWeights.largest ~= previous else { throw StreamError(.invalid, offset: 0) }
        list.append(UInt8(previous))
      }
    }
    self.init(list, components: components)
  }
}
